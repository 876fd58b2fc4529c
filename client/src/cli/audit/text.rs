//! A history for people at a terminal.

use crate::audit::history::Contract;
use crate::audit::page::{figures, timeline};
use crate::audit::{History, Opened, Question, Standing, State, Totals, epsilon, month, time};
use crate::contract::words;
use crate::render::{Table, plain, plural};

pub(super) fn text(history: &History, questions: &[&Question], standing: &Standing, known: &Opened) -> String {
    let mut text = head(history, questions, standing);
    if !questions.is_empty() {
        text += &asked(history, questions, standing);
        text += &opened(questions, standing, known);
        text += &totals(history, questions);
    }
    text += &contracts(history, standing);
    text += "Every hash, signature and rule of the log holds.\n";
    plain(&text)
}

fn head(history: &History, questions: &[&Question], standing: &Standing) -> String {
    let all = Totals::of(questions.iter().copied()).all;
    let of = match history.questions.len() {
        all if all == questions.len() => String::new(),
        all => format!(" (of {all})"),
    };
    let paid = if all.price.is_empty() { String::new() } else { format!(", price {}", all.paid()) };
    let mut text = format!(
        "{}: {}{of}, {} answered; {}, ε {}{paid}\n",
        history.dataset,
        plural(questions.len(), "question"),
        all.released,
        plural(usize::try_from(all.uses).unwrap_or(usize::MAX), "use"),
        epsilon(all.epsilon)
    );
    for log in &standing.logs {
        text += &format!("{}: {} entries, root {}\n", log.origin, log.size, log.root);
    }
    text + &format!("cosigned at {}\n\n", time(standing.time()))
}

fn asked(history: &History, questions: &[&Question], standing: &Standing) -> String {
    let head =
        ["entry", "month", "asked by", "what for", "columns", "under", "snapshot", "state", "result", "uses", "ε", "price", "statement"];
    let mut table = Table::new(head);
    for question in questions {
        let result = if let State::Released(result) = question.state() { result.short() } else { String::new() };
        let columns: Vec<&str> = question.columns.iter().map(|name| words::column(name)).collect();
        let under: Vec<String> = history.under(question).map(Contract::name).collect();
        table.push([
            standing.name(question.place),
            question.month(),
            question.planner.clone(),
            question.query.purpose.clone(),
            columns.join(", "),
            under.join(", "),
            question.snapshot.short(),
            question.state().name(),
            result,
            question.uses().to_string(),
            epsilon(question.epsilon()),
            question.price().map_or_else(|| "0".into(), |(amount, unit)| format!("{amount} {unit}")),
            question.query.statement.short(),
        ]);
    }
    table.aligned() + "\n"
}

/// Statements and results whose openings are there, and what they released.
fn opened(questions: &[&Question], standing: &Standing, known: &Opened) -> String {
    let mut text = String::new();
    for question in questions {
        let entry = standing.name(question.place);
        if let Some(sql) = known.open(&question.query.statement) {
            text += &format!("entry {entry} asked:\n{}\n", indented(sql));
        }
        let result = if let State::Released(result) = question.state() { Some(result) } else { None };
        match known.released(question) {
            None => {}
            Some(Err(why)) => text += &format!("entry {entry}: what it released is not told here: {why}\n\n"),
            Some(Ok(released)) => {
                let came = if result.is_some() { "released" } else { "would have released" };
                text += &format!(
                    "entry {entry} {came}, by the plan whose hash is on the log, and nothing else:\n{}\n",
                    indented(&released.lines.join("\n"))
                );
                let uses = released.uses.iter().map(|(name, done)| format!("{}: {}", words::column(name), done.join(", ")));
                text += &format!("entry {entry} did with the columns:\n{}\n", indented(&uses.collect::<Vec<_>>().join("\n")));
            }
        }
        if let Some(value) = result.and_then(|result| known.open(result)) {
            text += &format!("entry {entry} was answered:\n{}\n", indented(value));
        }
    }
    known.wrong.iter().for_each(|wrong| text += &format!("an opening is refused: {wrong}\n"));
    if known.wrong.is_empty() { text } else { text + "\n" }
}

fn indented(text: &str) -> String {
    format!("  {}\n", text.trim().replace('\n', "\n  "))
}

fn totals(history: &History, questions: &[&Question]) -> String {
    let totals = Totals::of(questions.iter().copied());
    let mut table = Table::new(["", "of", "questions", "answered", "uses", "ε", "price"]);
    for name in &history.columns {
        let total = totals.columns.get(name).cloned().unwrap_or_default();
        table.push([vec!["column".to_owned(), name.clone()], figures(&total)].concat());
    }
    for (what, all) in totals.groups() {
        all.iter().for_each(|(name, total)| table.push([vec![what.to_owned(), name.clone()], figures(total)].concat()));
    }
    table.aligned() + "\n"
}

fn contracts(history: &History, standing: &Standing) -> String {
    let mut table = Table::new(["entry", "what its owner did"]);
    timeline(history).into_iter().for_each(|(place, what)| table.push([standing.name(place), what]));
    let mut text = table.aligned() + "\n";
    let this_month = month(standing.time());
    let mut table = Table::new(["contract", "state", "uses", "left", "planner", "month", "ε", "left"]);
    for contract in &history.contracts {
        let left = contract.uses_left(standing.time()).map_or("any number".into(), |left| left.to_string());
        let first = [contract.name(), contract.standing(standing.time()).into(), contract.uses.to_string(), left];
        let spent = contract.spent.iter().filter(|((month, _), spent)| **spent > 0 || *month == this_month);
        let mut rows = spent.map(|((month, planner), spent)| {
            let left = contract.monthly().map_or("not bounded".into(), |most| epsilon((most - spent).max(0)));
            [planner.clone(), month.clone(), epsilon(*spent), left]
        });
        table.push(first.into_iter().chain(rows.next().unwrap_or_default()));
        rows.for_each(|row| table.push([String::new(), String::new(), String::new(), String::new()].into_iter().chain(row)));
    }
    text += &table.aligned();
    text + "\n"
}
