//! One row of counts and sums over private rows, with noise. Groups by private keys have none: which of them there are would be exact.

use datafusion::{
    common::{Column, ExprSchema},
    logical_expr::{Aggregate, Expr, LogicalPlan},
};

use super::{Compared, Demand, Extended, One, Rows, unnamed};
use crate::{
    compile::{
        SqlError,
        answer::Released,
        internal,
        range::{self, Interval},
        rows::{form, ratio},
    },
    plan::{
        Finish, ReleasedColumn, Reveal, RowRelease, Type,
        noise::{Law, Noised},
        relation::{Operator as Op, RowColumn, RowForm},
    },
};

/// The noise on a moment.
struct Made {
    scale: i8,
    law: Law,
    /// Its values are less than this in magnitude, or this.
    reach: i128,
}

/// The same in a field in which it has room for noise of this reach, and is less than a threshold that is raised by as much.
fn roomy(form: &RowForm, reach: i128) -> Option<RowForm> {
    let RowForm::Field { scale, min, max, .. } = *form else { return None };
    let room = reach.saturating_mul(2);
    let ring = form::field(Interval { min: min.saturating_sub(room), max: max.saturating_add(room) }, scale)?.ring()?;
    form::field_in(ring, Interval { min, max }, scale)
}

impl Rows<'_> {
    /// An aggregate without groups: its moments and the numbers of entities get noise, these are compared, those are opened.
    pub(super) fn release_noised(&mut self, plan: &LogicalPlan, a: &Aggregate, names: &[Column]) -> Result<Released, SqlError> {
        let groups = self.groups.ok_or_else(|| internal("noise is a protection"))?;
        if !a.group_expr.is_empty() {
            let what = "which groups of a private key, or of a key that is matched row by row, there are would be exact";
            groups.inexact(
                &a.input,
                what,
                "ask without GROUP BY, one question a group; or group one owner's table, or sub-queries, by a public key",
            )?;
        }
        if !matches!(unnamed(plan), LogicalPlan::Aggregate(_)) {
            groups.inexact(&a.input, "HAVING and LIMIT choose by exact values", "leave them out")?;
        }
        let Extended { plan: extended, moments, parts, finishes, below, least, .. } = self.with_moments(plan, a)?;
        let spreads = groups.spreads(a, &below)?.ok_or_else(|| internal("noise is asked for"))?;
        // the moments that are read, and their noise
        let mut columns = Vec::new();
        let mut read: Vec<(usize, Option<Made>)> = Vec::new();
        for (finish, spread) in finishes.into_iter().zip(spreads) {
            let One::Finish(mut finish) = finish else { return Err(internal("noise is on counts, sums and means")) };
            for (of, moved) in spread.over(&mut finish)? {
                let law = groups.law(&moved)?.map(|(law, noise)| Made { scale: moved.scale, law, reach: 1 << noise.bits() });
                if !read.iter().any(|(r, _)| *r == of) {
                    read.push((of, law));
                }
            }
            columns.push(finish);
        }
        let place = |of: usize| read.iter().position(|(r, _)| *r == of).unwrap_or(0);
        let mut demands = Vec::new();
        let mut noised = Vec::new();
        let mut out = Vec::new();
        for (at, (of, law)) in read.iter().enumerate() {
            let (Demand { expr, form }, part) = (&moments[*of], &parts[*of]);
            let RowForm::Field { scale, min, max, .. } = *form else { return Err(internal("a moment is an element")) };
            let reach = law.as_ref().map_or(0, |made| made.reach);
            let range = Interval { min: min.saturating_sub(reach), max: max.saturating_add(reach) };
            let wide = || SqlError::width(format!("{} and its noise leave the widest field", part.words), "sum values of fewer digits");
            let form = roomy(form, reach).ok_or_else(wide)?;
            let opened = form.ring().and_then(|ring| form::field_in(ring, range, scale)).ok_or_else(wide)?;
            let own = |finish: &Finish| matches!(finish, Finish::Value { of: value, .. } if value == of);
            for column in columns.iter().zip(names).filter_map(|(finish, column)| own(finish).then_some(column)) {
                let ty = plan.schema().field_from_column(column).map_err(internal)?.data_type();
                if range::limits(ty).is_some_and(|limits| !range.within(limits)) {
                    let what = format!("{} and its noise can leave the type {}", part.words, range::sql_type(ty));
                    return Err(SqlError::width(what, "CAST what is summed to DECIMAL(38, s), or ask for less noise"));
                }
            }
            demands.push(Demand { expr: expr.clone(), form });
            out.push(RowColumn { words: part.words.clone(), form: opened, nullable: false });
            if let Some(Made { scale, law, .. }) = law {
                noised.push(Noised { of: at, guard: None, words: part.words.clone(), scale: *scale, law: *law });
            }
        }
        let opened = demands.len();
        let folds: Vec<Expr> = least.iter().map(|compared| compared.fold.clone()).collect();
        let mut thresholds = Vec::new();
        for (number, (moved, Compared { demand, least, words, .. })) in groups.moves(a, &below, &folds)?.into_iter().zip(&least).enumerate()
        {
            let mut threshold = i128::from(*least);
            let mut demand = demand.clone();
            if let Some((law, noise)) = groups.law(&moved)? {
                let wide = || SqlError::width(format!("whether {words}, and its noise, leave the widest field"), "ask for less noise");
                demand.form = roomy(&demand.form, 1 << noise.bits()).ok_or_else(wide)?;
                threshold = threshold.saturating_add(i128::try_from(noise.error(20)).unwrap_or(i128::MAX >> 1));
                noised.push(Noised { of: opened + number, guard: Some(number), words: words.clone(), scale: moved.scale, law });
            }
            thresholds.push(threshold);
            demands.push(demand);
        }
        let got = self.lower(&ratio::compared(&extended)?, &demands)?;
        let input = self.exactly(got);
        let op = Op::Noise { input, noised, least: thresholds };
        let safe = !least.is_empty();
        let relation = self.push(op, 1, !safe, out);
        let number = self.releases.len();
        let name = format!("rows{number}");
        let mut released = Vec::new();
        for (i, (finish, column)) in columns.into_iter().zip(names).enumerate() {
            let ty = plan.schema().field_from_column(column).map_err(internal)?.data_type().clone();
            released.push(ReleasedColumn { name: format!("c{i}"), data_type: Type(ty), value: finish.moved(place) });
        }
        let reveal = |what: String, why: String| Reveal { release: number, what, per: "all rows together".into(), why };
        self.reveals.extend(read.iter().map(|(of, _)| reveal(parts[*of].words.clone(), parts[*of].why.clone())));
        let held =
            least.iter().map(|compared| reveal(format!("whether {}, counted with noise", compared.words), "what may come out".into()));
        self.reveals.extend(held);
        let result = Released::new(&name, &released, names, true)?;
        self.releases.push(RowRelease { name, relation, ordered: false, safe, columns: released });
        Ok(result)
    }
}
