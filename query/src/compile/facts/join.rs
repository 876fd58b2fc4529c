//! What is known of a join, of what is known of its sides.

use std::collections::BTreeSet;

use datafusion::{
    arrow::datatypes::DataType,
    logical_expr::{Expr, Join, JoinType, LogicalPlan},
};

use super::{Determines, Facts, Known, Walk, by_type, plain};

impl Walk<'_> {
    pub(super) fn join(&mut self, join: &Join) -> Facts {
        let (left, right) = (self.plan(&join.left), self.plan(&join.right));
        let on = |side: &LogicalPlan, pick: fn(&(Expr, Expr)) -> &Expr| -> BTreeSet<usize> {
            join.on.iter().filter_map(|p| plain(pick(p), side.schema())).collect()
        };
        let (left_on, right_on) = (on(&join.left, |p| &p.0), on(&join.right, |p| &p.1));
        let (left_one, right_one) = (left.unique_on(&left_on), right.unique_on(&right_on));
        let width = left.columns.len();
        let raw = left.raw || right.raw;
        match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => return Facts { exactly_one: false, raw, ..left },
            JoinType::RightSemi | JoinType::RightAnti => return Facts { exactly_one: false, raw, ..right },
            JoinType::LeftMark => {
                let mut facts = Facts { raw, ..left };
                facts.columns.push(Known::of_type(DataType::Boolean));
                return facts;
            }
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {}
            _ => return by_type(&LogicalPlan::Join(join.clone()), u128::MAX, raw),
        }
        let (of_left, of_right) = (left.repeated(&left_on), right.repeated(&right_on));
        let determines = across(join, (&left, &left_on), (&right, &right_on));
        let mut columns = left.columns;
        columns.extend(right.columns.clone());
        let more = |columns: &mut [Known], times: u128| {
            columns.iter_mut().for_each(|c| c.repeats = c.repeats.and_then(|n| n.checked_mul(times.max(1))));
        };
        more(&mut columns[..width], of_right);
        more(&mut columns[width..], of_left);
        let outer = |columns: &mut [Known]| columns.iter_mut().for_each(|c| c.nullable = true);
        match join.join_type {
            JoinType::Left => outer(&mut columns[width..]),
            JoinType::Right => outer(&mut columns[..width]),
            JoinType::Full => outer(&mut columns),
            _ => {
                for (l, r) in &join.on {
                    let (Some(l), Some(r)) = (plain(l, join.left.schema()), plain(r, join.right.schema())) else { continue };
                    equate(&mut columns, l, width + r);
                }
            }
        }
        let shift = |u: &BTreeSet<usize>| u.iter().map(|c| c + width).collect::<BTreeSet<_>>();
        let mut unique = Vec::new();
        // the rows that an outer join adds have NULLs on the other side, more than one perhaps
        if right_one && matches!(join.join_type, JoinType::Inner | JoinType::Left) {
            unique.extend(left.unique.iter().cloned());
        }
        if left_one && matches!(join.join_type, JoinType::Inner | JoinType::Right) {
            unique.extend(right.unique.iter().map(shift));
        }
        if join.join_type == JoinType::Inner {
            unique.extend(left.unique.iter().flat_map(|l| right.unique.iter().map(move |r| l.union(&shift(r)).copied().collect())));
        }
        // pairs, seen from either side
        let pairs = left.rows.saturating_mul(of_right).min(right.rows.saturating_mul(of_left));
        let rows = match join.join_type {
            JoinType::Full => pairs.saturating_add(left.rows).saturating_add(right.rows),
            JoinType::Left if right_one => left.rows,
            JoinType::Right if left_one => right.rows,
            JoinType::Left => pairs.saturating_add(left.rows),
            JoinType::Right => pairs.saturating_add(right.rows),
            _ => pairs,
        };
        let free = join.on.is_empty() && join.filter.is_none();
        let exactly_one = match join.join_type {
            JoinType::Inner => free && left.exactly_one && right.exactly_one,
            JoinType::Left => left.exactly_one && right.rows <= 1,
            JoinType::Right => right.exactly_one && left.rows <= 1,
            _ => false,
        };
        Facts { columns, unique, determines, rows, exactly_one, raw }
    }
}

/// What depends on what in a join, given its sides and the columns they are joined on.
fn across(join: &Join, left: (&Facts, &BTreeSet<usize>), right: (&Facts, &BTreeSet<usize>)) -> Vec<Determines> {
    let width = left.0.columns.len();
    let mut all = Vec::new();
    // without a row, a side is all NULL; that must not be taken for a row whose key is NULL
    let of_side = |side: &Facts, shift: usize, kept: bool| -> Vec<Determines> {
        let whole: BTreeSet<usize> = (0..side.columns.len()).collect();
        let known = side.unique.iter().map(|u| (u.clone(), whole.clone())).chain(side.determines.iter().cloned());
        let safe = known.filter(|(of, _)| kept || of.iter().any(|c| !side.columns[*c].nullable));
        safe.map(|(of, columns)| (of.iter().map(|c| c + shift).collect(), columns.iter().map(|c| c + shift).collect())).collect()
    };
    all.extend(of_side(left.0, 0, !matches!(join.join_type, JoinType::Right | JoinType::Full)));
    all.extend(of_side(right.0, width, !matches!(join.join_type, JoinType::Left | JoinType::Full)));
    if join.join_type == JoinType::Inner {
        for (l, r) in &join.on {
            let (Some(l), Some(r)) = (plain(l, join.left.schema()), plain(r, join.right.schema())) else { continue };
            all.push((BTreeSet::from([l]), BTreeSet::from([width + r])));
            all.push((BTreeSet::from([width + r]), BTreeSet::from([l])));
        }
    }
    all
}

/// An inner join made these equal (and not NULL): what is known of one is known of the other.
fn equate(columns: &mut [Known], l: usize, r: usize) {
    columns[l].drop_nulls();
    columns[r].drop_nulls();
    if columns[l].ty != columns[r].ty {
        return;
    }
    let origin = columns[l].origin.clone().or(columns[r].origin.clone());
    let distinct = columns[l].distinct.into_iter().chain(columns[r].distinct).min();
    let draws = columns[l].draws.clone().or(columns[r].draws.clone());
    for c in [l, r] {
        columns[c].origin = columns[c].origin.clone().or(origin.clone());
        columns[c].draws = columns[c].draws.clone().or(draws.clone());
        columns[c].distinct = distinct;
    }
}
