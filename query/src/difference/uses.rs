//! What is done on shares with the columns that owners bring: which are summed, by which rows form groups.

use crate::plan::relation::{FoldOp, Operator, RelationId, RowOp};
use crate::plan::{NodeId, Op, Opening, Plan, ScanId};
use std::collections::{BTreeMap, BTreeSet};

/// The columns of scans that are in a sum that opens, themselves or as a condition; not those that are only compared with others.
pub(super) fn summed(plan: &Plan) -> BTreeSet<(ScanId, usize)> {
    let openings = plan.releases.iter().flat_map(|release| &release.cells).flat_map(|cell| &cell.openings);
    let terms = openings.filter_map(|opening| if let Opening::Sum { terms, .. } = opening { Some(terms) } else { None }).flatten();
    let mut todo: Vec<NodeId> = terms.flat_map(|term| [Some(term.a), term.b]).flatten().collect();
    let (mut seen, mut columns) = (BTreeSet::new(), BTreeSet::new());
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        match &plan.node(id).op {
            Op::Column { scan, column, .. } => drop(columns.insert((*scan, *column))),
            Op::Not(of) | Op::Lift(of) => todo.push(*of),
            Op::And(of) | Op::Or(of) => todo.extend(of),
            Op::Add(a, b) | Op::Product(a, b) => todo.extend([*a, *b]),
            Op::Less(..) | Op::Equal(..) => {}
        }
    }
    columns
}

/// For each relation at home, the columns of it that are keys of a group together.
pub(super) fn keys(plan: &Plan) -> BTreeMap<RelationId, BTreeSet<Vec<usize>>> {
    let mut all: BTreeMap<RelationId, BTreeSet<Vec<usize>>> = BTreeMap::new();
    for relation in &plan.relations {
        let Operator::Group { input, keys, .. } = &relation.op else { continue };
        let mut of: BTreeMap<RelationId, Vec<usize>> = BTreeMap::new();
        for (home, column) in keys.iter().filter_map(|key| origin(plan, *input, *key)) {
            of.entry(home).or_default().push(column);
        }
        of.into_iter().for_each(|(home, columns)| {
            all.entry(home).or_default().insert(columns);
        });
    }
    all
}

/// The column at home that a column is, if it is one as it stands.
fn origin(plan: &Plan, relation: RelationId, column: usize) -> Option<(RelationId, usize)> {
    let width = |id: RelationId| plan.relation(id).columns.len();
    let side = |left: RelationId, right: RelationId| match column.checked_sub(width(left)) {
        None => origin(plan, left, column),
        Some(column) => origin(plan, right, column),
    };
    match &plan.relation(relation).op {
        Operator::Home { .. } => Some((relation, column)),
        Operator::Map { input, nodes, columns, .. } => match nodes[columns.get(column)?.0.0].op {
            RowOp::Column(of) => origin(plan, *input, of),
            _ => None,
        },
        Operator::Lookup { base, table, columns, .. } => match column.checked_sub(width(*base)) {
            None => origin(plan, *base, column),
            Some(column) => origin(plan, *table, *columns.get(column)?),
        },
        Operator::Pairs { left, right, .. } | Operator::Cross { left, right } => side(*left, *right),
        Operator::Group { input, keys, folds } => match column.checked_sub(keys.len()) {
            None => origin(plan, *input, keys[column]),
            Some(fold) => match folds.get(fold)?.op {
                FoldOp::Same(of) => origin(plan, *input, of),
                _ => None,
            },
        },
        Operator::Top { input, .. } => origin(plan, *input, column),
        Operator::Window { input, .. } => (column < width(*input)).then(|| origin(plan, *input, column)).flatten(),
        Operator::Total { .. } | Operator::Union { .. } | Operator::Noise { .. } => None,
    }
}
