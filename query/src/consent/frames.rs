//! Labels through the joint stage over public rows, and what of it comes out.

use std::collections::BTreeSet;

use datafusion::logical_expr::{Expr, LogicalPlan};
use ledger::contract::Operation;

use super::{
    Unknown, clipped,
    home::{Home, unalias},
    label::{Kind, Label},
    uses::Role,
};
use crate::plan::{Existence, Finish, Frame, Op, Opening, Plan, Release, Scan, Source};

impl Home {
    /// The scans, nodes and releases of a plan.
    pub(super) fn frames(&mut self, plan: &Plan) -> Result<(), Unknown> {
        for frame in &plan.frames {
            self.plan(frame.rows.logical())?;
        }
        let mut scans = Vec::new();
        for scan in &plan.scans {
            let owner = match &scan.source {
                Source::Public => "the public tables",
                Source::Party(name) => name,
            };
            let labels = self.at(&format!("what is computed of {owner}"), |me| {
                let labels = me.plan(scan.plan.logical())?;
                me.uses.placed(&labels.rows);
                Ok(labels)
            })?;
            let keys = plan.frame(scan.frame).keys.len();
            if labels.columns.len() != keys + scan.columns.len() {
                return Err(Unknown::of("a scan with other columns than its plan"));
            }
            scans.push(labels.columns[keys..].to_vec());
        }
        let mut nodes: Vec<(Label, String)> = Vec::new();
        for node in &plan.nodes {
            let of = |id: &crate::plan::NodeId| &nodes[id.0];
            let found = match &node.op {
                Op::Column { scan, column, .. } => (scans[scan.0][*column].clone(), plan.scan(*scan).columns[*column].words.clone()),
                Op::Not(a) => (of(a).0.tested_as("NOT"), format!("NOT {}", of(a).1)),
                Op::And(all) | Op::Or(all) => {
                    (all.iter().fold(Label::default(), |label, a| label.with_condition(&of(a).0)), "a condition".into())
                }
                Op::Lift(a) => of(a).clone(),
                Op::Add(a, b) => (of(a).0.plus(&of(b).0), format!("{} + {}", of(a).1, of(b).1)),
                Op::Product(a, b) => (of(a).0.times(&of(b).0, true), format!("{} * {}", of(a).1, of(b).1)),
                Op::Less(a, b) => {
                    let words = clipped(format!("{} < {}", of(a).1, of(b).1));
                    (of(a).0.clone().and(&of(b).0).tested(Operation::Filter, &words), words)
                }
                Op::Equal(a, b) => {
                    let words = clipped(format!("{} = {}", of(a).1, of(b).1));
                    let (l, r) = (of(a).0.clone(), of(b).0.clone());
                    (self.at(&words, |me| me.equal(&l, &r, &words)), words)
                }
            };
            nodes.push((found.0, clipped(found.1)));
        }
        for (number, release) in plan.releases.iter().enumerate() {
            let reveals: Vec<&str> = plan.reveals.iter().filter(|r| r.release == number).map(|r| r.what.as_str()).collect();
            self.release(plan, release, &reveals, &scans, &nodes)?;
        }
        Ok(())
    }

    fn release(
        &mut self,
        plan: &Plan,
        release: &Release,
        reveals: &[&str],
        scans: &[Vec<Label>],
        nodes: &[(Label, String)],
    ) -> Result<(), Unknown> {
        if let Some((scan, column)) = release.rows {
            let label = &scans[scan.0][column];
            self.at(&plan.scan(scan).columns[column].words, |me| me.uses.filter(label));
        }
        for (scan, column) in &release.by {
            self.at(&format!("GROUP BY {}", plan.scan(*scan).columns[*column].words), |me| {
                let key = me.uses.key(&scans[scan.0][*column]);
                me.uses.out(&key, Role::Plain);
            });
        }
        // a group that is one row of the frame has that row's values
        let frame = plan.frame(release.frame);
        let keys: BTreeSet<usize> = release.by.iter().filter_map(|(scan, column)| frame_key(frame, plan.scan(*scan), *column)).collect();
        let single = keys.len() == frame.keys.len();
        let openings = release.cells.first().map_or(0, |cell| cell.openings.len());
        let mut roles: Vec<Vec<Role>> = vec![Vec::new(); openings];
        for column in &release.columns {
            for (of, role) in roles_of(&column.value) {
                roles.get_mut(of).ok_or_else(|| Unknown::of("a column of an opening that is not there"))?.push(role);
            }
        }
        if let Existence::NonZero(of) | Existence::Safe(of) = release.exists {
            roles.get_mut(of).ok_or_else(|| Unknown::of("a group of an opening that is not there"))?.push(Role::Whether);
        }
        for (i, roles) in roles.iter().enumerate() {
            let mut cells = Vec::new();
            let mut any = false;
            for cell in &release.cells {
                if matches!(cell.openings.get(i), Some(Opening::Safe { .. })) {
                    // what it counts is the contracts' own
                    continue;
                }
                cells.push(match cell.openings.get(i) {
                    Some(Opening::Any(node)) => {
                        any = true;
                        nodes[node.0].0.clone()
                    }
                    Some(Opening::Sum { terms, .. }) => {
                        Label::union(terms.iter().flat_map(|t| [t.a].into_iter().chain(t.b)).map(|node| &nodes[node.0].0))
                    }
                    Some(Opening::Safe { .. }) | None => return Err(Unknown::of("cells of different openings")),
                });
            }
            if cells.is_empty() {
                continue;
            }
            let what = reveals.get(i).copied().unwrap_or("what comes out").to_owned();
            self.at(&what, |me| {
                let label = me.cells(&cells);
                let folded = match (any, single) {
                    (true, _) => me.uses.any(&label),
                    (false, true) => label,
                    (false, false) => me.uses.fold(Operation::Sum, &label, &Label::default()),
                };
                let plain = [if any { Role::Whether } else { Role::Plain }];
                let roles = if roles.is_empty() { &plain[..] } else { roles };
                roles.iter().for_each(|role| me.uses.out(&folded, *role));
            });
        }
        Ok(())
    }

    /// The label of an opening over all cells. What is compared in another way from cell to cell says which cell a row is of.
    fn cells(&mut self, cells: &[Label]) -> Label {
        let all = Label::union(cells);
        all.map(|atom| {
            let differs = || cells.iter().any(|cell| !cell.0.contains(atom));
            if matches!(atom.kind, Kind::Test { .. }) && differs() {
                let key = self.uses.key(&Label::from(BTreeSet::from([atom.clone()])));
                self.uses.out(&key, Role::Plain);
                return None;
            }
            Some(atom.clone())
        })
    }
}

/// What a released column takes of which opening.
pub(super) fn roles_of(finish: &Finish) -> Vec<(usize, Role)> {
    let whether = |some: &Option<usize>| some.iter().map(|of| (*of, Role::Whether)).collect::<Vec<_>>();
    let all = |operation, n: &usize, of: &[&usize]| {
        std::iter::once((*n, Role::Number)).chain(of.iter().map(|of| (**of, Role::Of(operation)))).collect::<Vec<_>>()
    };
    match finish {
        Finish::Public(_) | Finish::Secret(_) => Vec::new(),
        Finish::Value { of, some, .. } | Finish::Text { of, some } => [vec![(*of, Role::Plain)], whether(some)].concat(),
        Finish::Average { n, x, .. } => all(Operation::Avg, n, &[x]),
        Finish::Variance { n, x, xx, .. } => all(Operation::Var, n, &[x, xx]),
        Finish::Covariance { n, x, y, xy, .. } => all(Operation::Corr, n, &[x, y, xy]),
        Finish::Correlation { n, x, y, xx, yy, xy } => all(Operation::Corr, n, &[x, y, xx, yy, xy]),
        Finish::Percentile { n, lower, upper, .. } => all(Operation::Median, n, &[lower, upper]),
    }
}

/// Which key of its frame a public column is, if it is one as it stands.
fn frame_key(frame: &Frame, scan: &Scan, column: usize) -> Option<usize> {
    let mut plan = scan.plan.logical();
    while let LogicalPlan::Sort(sort) = plan {
        plan = &sort.input;
    }
    let LogicalPlan::Projection(projection) = plan else { return None };
    let Expr::Column(of) = unalias(projection.expr.get(frame.keys.len() + column)?) else { return None };
    frame.keys.iter().position(|key| key.name == of.name)
}
