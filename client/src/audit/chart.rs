//! Bars by month, as SVG: for print, so in shades of one colour, with the figures beside them.

use super::html::Html;
use super::{Question, State, epsilon, history::Contract};
use std::collections::{BTreeMap, BTreeSet};

/// How many months are drawn: the last ones.
const MONTHS: usize = 24;
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 34.0;
/// One shade for each series, by turns.
const SHADES: [&str; 4] = ["#1f4e79", "#7fb2e5", "#e3e3e3", "#7f7f7f"];

/// Questions by month: answered, ended without an answer, and under way.
pub(super) fn questions(questions: &[&Question]) -> Html {
    let mut counts: BTreeMap<String, [f64; 3]> = BTreeMap::new();
    for question in questions {
        let part = match question.state() {
            State::Released(_) => 0,
            State::Aborted(_) => 1,
            State::Waiting | State::Running => 2,
        };
        counts.entry(question.month()).or_default()[part] += 1.0;
    }
    let names = ["answered", "ended without an answer", "waiting or running"].map(String::from);
    let groups = months(counts.keys()).into_iter().map(|month| {
        let mut from = 0.0;
        let stacked = counts.get(&month).copied().unwrap_or_default().into_iter().enumerate().map(|(series, value)| {
            let part = Part { series, value, from };
            from += value;
            part
        });
        let stacked: Vec<Part> = stacked.collect();
        (month, vec![stacked])
    });
    draw("Questions by month", &groups.collect::<Vec<_>>(), None, &names)
}

/// What was spent of a contract by month and planner, against what a planner may spend in a month.
pub(super) fn spent(contract: &Contract) -> Option<Html> {
    let most = contract.monthly()?;
    let planners: BTreeSet<&String> = contract.spent.keys().map(|(_, planner)| planner).collect();
    let planners: Vec<&String> = planners.into_iter().collect();
    let groups = months(contract.spent.keys().map(|(month, _)| month)).into_iter().map(|month| {
        let bars = planners.iter().enumerate().map(|(series, planner)| {
            let spent = contract.spent.get(&(month.clone(), (*planner).clone())).copied().unwrap_or_default();
            vec![Part { series, value: spent as f64 / 1e6, from: 0.0 }]
        });
        let bars = bars.collect();
        (month, bars)
    });
    let names: Vec<String> = planners.iter().map(|planner| (*planner).clone()).collect();
    let limit = (most as f64 / 1e6, format!("at most ε {} a planner and month", epsilon(most)));
    Some(draw(&format!("ε spent by month under {}", contract.name()), &groups.collect::<Vec<_>>(), Some(limit), &names))
}

/// A piece of a bar.
struct Part {
    series: usize,
    value: f64,
    from: f64,
}

/// A month and its bars, each of pieces.
type Group = (String, Vec<Vec<Part>>);

fn draw(title: &str, groups: &[Group], limit: Option<(f64, String)>, names: &[String]) -> Html {
    let tops = groups.iter().flat_map(|(_, bars)| bars.iter().flatten()).map(|part| part.from + part.value);
    let most = tops.chain(limit.iter().map(|(limit, _)| *limit)).fold(0.0, f64::max);
    let step = nice(most / 4.0);
    let top = (most / step).ceil().max(1.0) * step;
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / top);
    let mut svg = Html::new();
    let rows = HEIGHT + 16.0 * names.len().div_ceil(3) as f64;
    svg.begin("figure", &[]).leaf("figcaption", &[], title);
    let view = format!("0 0 {WIDTH} {rows}");
    // Not every printer of pages takes a picture's letters from the page's style.
    let letters = [("font-size", "10"), ("font-family", "Arial, Helvetica, sans-serif")];
    let picture = [("xmlns", "http://www.w3.org/2000/svg"), ("viewBox", &*view), ("role", "img"), ("aria-label", title)];
    svg.begin("svg", &[&picture[..], &letters].concat());
    let mut tick = 0.0;
    while tick <= top + step / 2.0 {
        let [at, label] = [format!("{:.1}", y(tick)), format!("{:.1}", y(tick) + 3.5)];
        svg.void("line", &[("x1", &px(LEFT)), ("x2", &px(WIDTH)), ("y1", &at), ("y2", &at), ("stroke", "#cccccc")]);
        svg.leaf("text", &[("x", &px(LEFT - 5.0)), ("y", &label), ("text-anchor", "end")], &amount(tick));
        tick += step;
    }
    let wide = ((WIDTH - LEFT) / groups.len().max(1) as f64).min(110.0);
    for (at, (month, bars)) in groups.iter().enumerate() {
        let left = LEFT + wide * at as f64 + wide * 0.12;
        let bar = wide * 0.76 / bars.len().max(1) as f64;
        for (nth, part) in
            bars.iter().enumerate().flat_map(|(nth, bar)| bar.iter().map(move |part| (nth, part))).filter(|(_, p)| p.value > 0.0)
        {
            let height = y(part.from) - y(part.from + part.value);
            let name = names.get(part.series).map_or("", String::as_str);
            let (x, y) = (px(left + bar * nth as f64), px(y(part.from + part.value)));
            let size = [("width", px(bar * 0.94)), ("height", px(height))];
            let fill = SHADES[part.series % SHADES.len()];
            svg.begin(
                "rect",
                &[
                    ("x", &x),
                    ("y", &y),
                    (size[0].0, &size[0].1),
                    (size[1].0, &size[1].1),
                    ("fill", fill),
                    ("stroke", "#333333"),
                    ("stroke-width", "0.5"),
                ],
            );
            svg.leaf("title", &[], &format!("{month}, {name}: {}", amount(part.value))).end();
        }
        let middle = px(left + wide * 0.38);
        svg.leaf("text", &[("x", &middle), ("y", &px(HEIGHT - BOTTOM + 13.0)), ("text-anchor", "middle")], month.get(5..).unwrap_or(month));
        if at == 0 || month.ends_with("-01") {
            svg.leaf(
                "text",
                &[("x", &middle), ("y", &px(HEIGHT - BOTTOM + 25.0)), ("text-anchor", "middle")],
                month.get(..4).unwrap_or(month),
            );
        }
    }
    if let Some((limit, what)) = &limit {
        let at = px(y(*limit));
        let dashes = [("stroke", "#c00000"), ("stroke-width", "1.5"), ("stroke-dasharray", "6 3")];
        svg.void("line", &[&[("x1", &*px(LEFT)), ("x2", &*px(WIDTH)), ("y1", &*at), ("y2", &*at)][..], &dashes].concat());
        svg.leaf("text", &[("x", &px(WIDTH)), ("y", &px(y(*limit) - 4.0)), ("text-anchor", "end"), ("fill", "#c00000")], what);
    }
    for (series, name) in names.iter().enumerate() {
        let (x, y) = (LEFT + (series % 3) as f64 * 190.0, HEIGHT + 16.0 * (series / 3) as f64);
        let fill = SHADES[series % SHADES.len()];
        svg.void("rect", &[("x", &px(x)), ("y", &px(y)), ("width", "9"), ("height", "9"), ("fill", fill), ("stroke", "#444444")]);
        svg.leaf("text", &[("x", &px(x + 14.0)), ("y", &px(y + 8.5))], name);
    }
    svg
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}

fn amount(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// 1, 2 or 5 of a power of ten, and not below this.
fn nice(step: f64) -> f64 {
    if step <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(step.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0].into_iter().find(|nice| nice * power >= step).unwrap_or(10.0);
    nice * power
}

/// All months from the first of these to the last, but no more than are drawn.
fn months<'a>(some: impl Iterator<Item = &'a String>) -> Vec<String> {
    let all: BTreeSet<&String> = some.collect();
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return Vec::new() };
    let mut months = vec![(*last).clone()];
    while months.len() < MONTHS && months.last().is_some_and(|month| month > *first) {
        months.extend(months.last().and_then(|month| before(month)));
    }
    months.reverse();
    months
}

fn before(month: &str) -> Option<String> {
    let (year, month) = month.split_once('-')?;
    let (year, month): (u32, u32) = (year.parse().ok()?, month.parse().ok()?);
    Some(if month > 1 { format!("{year:04}-{:02}", month - 1) } else { format!("{:04}-12", year.checked_sub(1)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_without_gaps_and_no_more_than_are_drawn() {
        let of = |some: &[&str]| months(some.iter().map(|month| (*month).to_owned()).collect::<Vec<_>>().iter());
        assert_eq!(of(&["2027-02", "2026-11"]), ["2026-11", "2026-12", "2027-01", "2027-02"]);
        assert_eq!(of(&["0000-01"]), ["0000-01"]);
        let long = of(&["0000-01", "9999-12"]);
        assert_eq!((long.len(), &*long[0], &*long[23]), (24, "9998-01", "9999-12"));
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([0.0, 0.3, 1.0, 2.3, 70.0].map(nice), [1.0, 0.5, 1.0, 5.0, 100.0]);
        assert_eq!([0.0, 0.5, 1.25, 100.0].map(amount), ["0", "0.5", "1.25", "100"]);
    }
}
