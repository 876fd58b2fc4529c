//! Frames (public rows) and the units attached to them: relations computed at home that have at most one row for each row of the frame.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::{
    arrow::datatypes::DataType,
    common::{Column, DFSchema, ScalarValue, TableReference},
    logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder, lit},
};

use super::{
    SqlError,
    facts::Known,
    internal,
    symbol::{BitId, Bits, Local, Side},
    words::words,
};
use crate::compile::expr::Reads;
use crate::plan::whole_text;

/// Frames with more rows are refused.
const MOST_ROWS: u64 = 1 << 24;

/// A public set of rows.
#[derive(Debug)]
pub(super) struct FrameHome {
    pub(super) axes: Vec<Axis>,
    pub(super) name: String,
    pub(super) keys: Vec<(String, DataType)>,
    /// The keys, sorted.
    pub(super) rows: LogicalPlan,
    pub(super) max_rows: u64,
}

/// One dimension of a frame: its keys are all combinations of the axes' values.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) name: String,
    /// The distinct values.
    pub(super) plan: LogicalPlan,
    pub(super) max_rows: u64,
    /// What makes two axes the same.
    pub(super) identity: String,
}

/// A relation attached to a frame.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) side: Side,
    /// Columns c0, c1, …, and `p`, which is true.
    pub(super) plan: LogicalPlan,
    /// Public expression of the frame's row = expression of the unit's row.
    on: Vec<(Expr, Expr)>,
    nulls_equal: bool,
    /// Every row of the frame has its row here.
    total: bool,
    /// For messages and EXPLAIN: what c0, c1, … are called in the query.
    pub(super) names: Vec<String>,
    identity: String,
}

/// All frames and units of a compilation.
#[derive(Debug, Default)]
pub(super) struct Frames {
    pub(super) all: Vec<FrameHome>,
    pub(super) units: Vec<Unit>,
}

/// The alias of a frame's rows in home plans.
const FRAME: &str = "f";

/// The presence column of a unit.
const PRESENT: &str = "p";

pub(super) fn column(relation: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(TableReference::bare(relation)), name))
}

fn unit_name(unit: usize) -> String {
    format!("u{unit}")
}

impl Frames {
    /// The frame with these axes; none: exactly one row.
    pub(super) fn frame(&mut self, axes: Vec<Axis>) -> Result<usize, SqlError> {
        let same = |f: &FrameHome| f.axes.len() == axes.len() && f.axes.iter().zip(&axes).all(|(a, b)| a.identity == b.identity);
        if let Some(i) = self.all.iter().position(same) {
            return Ok(i);
        }
        let name =
            if axes.is_empty() { "one row".to_owned() } else { axes.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(" × ") };
        let max_rows = axes.iter().try_fold(1u64, |n, a| n.checked_mul(a.max_rows)).filter(|n| *n <= MOST_ROWS);
        let Some(max_rows) = max_rows else {
            return Err(SqlError::unsupported(format!("{name} has more than {MOST_ROWS} combinations"), "group by fewer or coarser keys"));
        };
        let mut keys = Vec::new();
        let mut rows: Option<LogicalPlan> = None;
        for axis in &axes {
            let fields: Vec<_> = axis.plan.schema().columns();
            let mut project = Vec::new();
            for (field, column) in axis.plan.schema().fields().iter().zip(fields) {
                let key = format!("k{}", keys.len());
                project.push(Expr::Column(column).alias(&key));
                keys.push((key, field.data_type().clone()));
            }
            let plan = LogicalPlanBuilder::from(axis.plan.clone()).project(project).map_err(internal)?;
            rows = Some(match rows {
                None => plan.build().map_err(internal)?,
                Some(rows) => {
                    LogicalPlanBuilder::from(rows).cross_join(plan.build().map_err(internal)?).and_then(|b| b.build()).map_err(internal)?
                }
            });
        }
        let rows = match rows {
            None => LogicalPlanBuilder::empty(true).build().map_err(internal)?,
            Some(rows) => {
                let sorts = keys.iter().map(|(k, _)| Expr::Column(Column::new_unqualified(k)).sort(true, false)).collect::<Vec<_>>();
                LogicalPlanBuilder::from(rows).sort(sorts).and_then(|b| b.build()).map_err(internal)?
            }
        };
        self.all.push(FrameHome { axes, name, keys, rows, max_rows });
        Ok(self.all.len() - 1)
    }

    /// A key of a frame, as an expression in its home plans.
    pub(super) fn key(&self, frame: usize, key: usize) -> Expr {
        column(FRAME, &self.all[frame].keys[key].0)
    }

    /// Attaches a relation; `on` pairs a public expression of the frame's row with one of the relation's (none: it has at most one row).
    pub(super) fn attach(
        &mut self,
        frame: usize,
        side: Side,
        plan: &LogicalPlan,
        on: Vec<(Expr, Expr)>,
        nulls_equal: bool,
        total: bool,
    ) -> Result<usize, SqlError> {
        let on_text: Vec<_> = on.iter().map(|(f, u)| format!("{f} = {u}")).collect();
        let identity = format!("{frame} {side} {on_text:?} {nulls_equal} {total}\n{}", whole_text(plan));
        if let Some(i) = self.units.iter().position(|u| u.identity == identity) {
            return Ok(i);
        }
        let id = self.units.len();
        let schema = plan.schema();
        let columns = schema.columns();
        let names = columns.iter().map(|c| c.flat_name()).collect();
        let rename: BTreeMap<Column, String> = columns.iter().cloned().enumerate().map(|(i, c)| (c, format!("c{i}"))).collect();
        let mut project: Vec<_> = columns.iter().map(|c| Expr::Column(c.clone()).alias(&rename[c])).collect();
        project.push(lit(true).alias(PRESENT));
        let named = LogicalPlanBuilder::from(plan.clone())
            .project(project)
            .and_then(|b| b.alias(unit_name(id)))
            .and_then(|b| b.build())
            .map_err(internal)?;
        let on = on.into_iter().map(|(f, u)| Ok((f, in_unit(&u, schema, id)?))).collect::<Result<Vec<_>, SqlError>>()?;
        self.units.push(Unit { side, plan: named, on, nulls_equal, total, names, identity });
        Ok(id)
    }

    /// A column of a unit as a value of the frame's rows.
    pub(super) fn value(&self, unit: usize, index: usize, known: Known) -> Local {
        let absent = if self.units[unit].total { BTreeSet::new() } else { BTreeSet::from([unit]) };
        let expr = column(&unit_name(unit), &format!("c{index}"));
        Local { side: self.units[unit].side.clone(), expr, known, absent, valid: Bits::TRUE }
    }

    /// Whether the frame's row has a row of the unit.
    pub(super) fn present(&self, unit: usize, bits: &mut Bits) -> BitId {
        let u = &self.units[unit];
        if u.total {
            return Bits::TRUE;
        }
        bits.local(u.side.clone(), Expr::IsNotNull(Box::new(column(&unit_name(unit), PRESENT))))
    }

    /// The home plan of a frame for one side: its keys and then `exprs`, one row for each row of the frame, sorted by the keys.
    pub(super) fn home(&self, frame: usize, exprs: &[(Expr, String)]) -> Result<LogicalPlan, SqlError> {
        let home = &self.all[frame];
        let mut needed = BTreeSet::new();
        exprs.iter().for_each(|(e, _)| self.needs(e, &mut needed));
        let mut plan = LogicalPlanBuilder::from(home.rows.clone()).alias(FRAME).map_err(internal)?;
        for id in needed {
            let unit = &self.units[id];
            let condition = unit.on.iter().map(|(f, u)| {
                if unit.nulls_equal {
                    Expr::BinaryExpr(datafusion::logical_expr::BinaryExpr::new(
                        Box::new(f.clone()),
                        datafusion::logical_expr::Operator::IsNotDistinctFrom,
                        Box::new(u.clone()),
                    ))
                } else {
                    f.clone().eq(u.clone())
                }
            });
            let condition: Vec<_> = if unit.on.is_empty() { vec![lit(true)] } else { condition.collect() };
            plan = plan.join_on(unit.plan.clone(), JoinType::Left, condition).map_err(internal)?;
        }
        let mut project: Vec<_> = home.keys.iter().map(|(k, _)| column(FRAME, k).alias(k)).collect();
        project.extend(exprs.iter().map(|(e, name)| e.clone().alias(name)));
        let plan = plan.project(project).map_err(internal)?;
        let sorts: Vec<_> = home.keys.iter().map(|(k, _)| Expr::Column(Column::new_unqualified(k)).sort(true, false)).collect();
        let plan = if sorts.is_empty() { plan } else { plan.sort(sorts).map_err(internal)? };
        plan.build().map_err(internal)
    }

    // the units an expression reads, and those by whose columns these are attached
    fn needs(&self, expr: &Expr, needed: &mut BTreeSet<usize>) {
        for column in expr.reads() {
            let unit = column.relation.as_ref().and_then(|r| r.table().strip_prefix('u')).and_then(|n| n.parse().ok());
            if let Some(unit) = unit
                && needed.insert(unit)
            {
                self.units[unit].on.iter().for_each(|(f, _)| self.needs(f, needed));
            }
        }
    }

    /// An expression of a home plan in the query's own words.
    pub(super) fn words(&self, expr: &Expr) -> String {
        use datafusion::common::tree_node::{Transformed, TreeNode};
        let named = expr.clone().transform(|e| {
            Ok(match &e {
                Expr::Column(c) => {
                    let unit = c.relation.as_ref().and_then(|r| r.table().strip_prefix('u')).and_then(|n| n.parse::<usize>().ok());
                    let index = c.name.strip_prefix('c').and_then(|n| n.parse::<usize>().ok());
                    match (unit.and_then(|u| self.units.get(u)), index) {
                        (Some(unit), Some(i)) if i < unit.names.len() => {
                            Transformed::yes(Expr::Column(Column::new_unqualified(&unit.names[i])))
                        }
                        (Some(unit), None) => {
                            Transformed::yes(Expr::Column(Column::new_unqualified(format!("a row of {}", unit.source()))))
                        }
                        _ => Transformed::no(e),
                    }
                }
                _ => Transformed::no(e),
            })
        });
        named.map_or_else(|_| expr.to_string(), |e| words(&e.data))
    }

    /// A message about a home plan in the query's own words: `u3.c1` is the second column of the fourth unit.
    pub(super) fn in_words(&self, message: &str) -> String {
        let name = |word: &str| {
            let (unit, column) = word.split_once('.')?;
            let unit = self.units.get(unit.strip_prefix('u')?.parse::<usize>().ok()?)?;
            unit.names.get(column.strip_prefix('c')?.parse::<usize>().ok()?).cloned()
        };
        let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
        let mut text = String::new();
        let mut rest = message;
        while let Some(start) = rest.find(part) {
            let end = rest[start..].find(|c| !part(c)).map_or(rest.len(), |n| start + n);
            text += &rest[..start];
            text += &name(&rest[start..end]).unwrap_or_else(|| rest[start..end].to_owned());
            rest = &rest[end..];
        }
        text + rest
    }
}

impl Unit {
    fn source(&self) -> String {
        super::facts::tables(&self.plan).join(", ")
    }
}

fn in_unit(expr: &Expr, schema: &DFSchema, unit: usize) -> Result<Expr, SqlError> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let moved = expr.clone().transform(|e| {
        Ok(match &e {
            Expr::Column(c) => Transformed::yes(column(&unit_name(unit), &format!("c{}", schema.index_of_column(c)?))),
            _ => Transformed::no(e),
        })
    });
    Ok(moved.map_err(internal)?.data)
}

/// The distinct values of expressions over a public table, without NULL (or with it, if `null`).
pub(super) fn public_axis(scan: LogicalPlan, table: &str, exprs: &[Expr], null: bool, max_rows: u64) -> Result<Axis, SqlError> {
    let short = table.strip_prefix("public.").unwrap_or(table);
    let name = exprs.iter().map(|e| format!("{short}.{}", words(e))).collect::<Vec<_>>().join(", ");
    let named: Vec<_> = exprs.iter().enumerate().map(|(i, e)| e.clone().alias(format!("v{i}"))).collect();
    let columns: Vec<_> = (0..exprs.len()).map(|i| Expr::Column(Column::new_unqualified(format!("v{i}")))).collect();
    let mut plan = LogicalPlanBuilder::from(scan).project(named).map_err(internal)?;
    if null {
        let nulls = plan
            .schema()
            .fields()
            .iter()
            .map(|f| ScalarValue::try_from(f.data_type()).map(|v| Expr::Literal(v, None)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(internal)?;
        let nulls: Vec<_> = nulls.into_iter().enumerate().map(|(i, e)| e.alias(format!("v{i}"))).collect();
        let row = LogicalPlanBuilder::empty(true).project(nulls).and_then(|b| b.build()).map_err(internal)?;
        plan = plan.union(row).map_err(internal)?;
    } else {
        for c in &columns {
            plan = plan.filter(Expr::IsNotNull(Box::new(c.clone()))).map_err(internal)?;
        }
    }
    let plan = plan.distinct().and_then(|b| b.build()).map_err(internal)?;
    let identity = format!("{null}\n{}", whole_text(&plan));
    Ok(Axis { name, plan, max_rows: max_rows.saturating_add(u64::from(null)), identity })
}

/// A list of values.
pub(super) fn listed_axis(name: &str, values: Vec<ScalarValue>) -> Result<Axis, SqlError> {
    let max_rows = values.len() as u64;
    let rows = values.into_iter().map(|v| vec![Expr::Literal(v, None)]).collect();
    let plan = LogicalPlanBuilder::values(rows).and_then(|b| b.build()).map_err(internal)?;
    let identity = whole_text(&plan);
    Ok(Axis { name: name.to_owned(), plan, max_rows, identity })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_begin_alike_are_different_frames() {
        let listed = |last: i32| listed_axis("k", (0..=last).map(|v| ScalarValue::Int32(Some(v))).collect()).expect("a list of constants");
        let mut frames = Frames::default();
        let (hours, days) = (frames.frame(vec![listed(23)]).expect("a frame"), frames.frame(vec![listed(30)]).expect("a frame"));
        assert_ne!(hours, days);
        assert_eq!((frames.all[hours].max_rows, frames.all[days].max_rows), (24, 31));
        assert_eq!(frames.frame(vec![listed(23)]).expect("a frame"), hours);
        let text = |frame: usize| crate::plan::Subplan::new(frames.all[frame].rows.clone()).text().to_owned();
        assert_ne!(text(hours), text(days));
    }
}
