//! Both sides' columns of a join together.

use datafusion::{
    common::{Column, DFSchema},
    logical_expr::{Expr, Join, JoinType, LogicalPlan},
};

use super::Sides;
use crate::compile::expr::Reads;
use crate::{
    catalog::Catalog,
    compile::{
        SqlError,
        facts::{Facts, Known},
        internal,
        rows::{
            Rows,
            emit::{positions, strict},
            form,
        },
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Base,
    Table,
}

/// Both sides' columns together, in the order of the join's own schema (left, then right, then a mark).
pub(super) struct Both {
    pub(super) schema: DFSchema,
    pub(super) columns: Vec<Known>,
    left: LogicalPlan,
    right: LogicalPlan,
    width: usize,
    straight: bool,
    pub(super) mark: Option<usize>,
}

impl Both {
    pub(super) fn new(sides: &Sides<'_>, join: &Join, rows: &Rows<'_>, outer: bool) -> Result<Self, SqlError> {
        let (fl, fr) = (Facts::of(&join.left, rows.catalog), Facts::of(&join.right, rows.catalog));
        let width = fl.columns.len();
        let mut columns: Vec<_> = fl.columns.into_iter().chain(fr.columns).collect();
        if outer {
            let of_table = |i: usize| (i < width) != sides.straight;
            columns.iter_mut().enumerate().filter(|(i, _)| of_table(*i)).for_each(|(_, k)| k.nullable = true);
        }
        let schema = join.left.schema().join(join.right.schema()).map_err(internal)?;
        Ok(Both {
            schema,
            columns,
            left: join.left.as_ref().clone(),
            right: join.right.as_ref().clone(),
            width,
            straight: sides.straight,
            mark: None,
        })
    }

    /// For EXISTS: the base's columns, the table's (whatever it has become), and the mark.
    pub(super) fn exists(sides: &Sides<'_>, join: &Join, rows: &Rows<'_>) -> Result<Self, SqlError> {
        let (fb, ft) = (Facts::of(sides.base, rows.catalog), Facts::of(sides.table, rows.catalog));
        let width = fb.columns.len();
        let mut columns: Vec<_> = fb.columns.into_iter().chain(ft.columns).collect();
        let mut schema = sides.base.schema().join(sides.table.schema()).map_err(internal)?;
        let mut mark = None;
        if matches!(join.join_type, JoinType::LeftMark | JoinType::RightMark) {
            let (relation, field) = join.schema.qualified_field(join.schema.fields().len() - 1);
            let one = DFSchema::new_with_metadata(vec![(relation.cloned(), field.clone())], Default::default()).map_err(internal)?;
            mark = Some(columns.len());
            schema = schema.join(&one).map_err(internal)?;
            columns.push(Known {
                nullable: false,
                range: Some(crate::compile::range::Interval::BIT),
                ..Known::of_type(datafusion::arrow::datatypes::DataType::Boolean)
            });
        }
        Ok(Both { schema, columns, left: sides.base.clone(), right: sides.table.clone(), width, straight: true, mark })
    }

    /// The side all of an expression's columns are of.
    pub(super) fn side(&self, expr: &Expr) -> Option<Side> {
        let positions = positions(expr, &self.schema);
        if positions.iter().any(|p| Some(*p) == self.mark) || positions.is_empty() {
            return None;
        }
        let left = positions[0] < self.width;
        let same = positions.iter().all(|p| (*p < self.width) == left);
        same.then_some(if left == self.straight { Side::Base } else { Side::Table })
    }

    /// Whether one side supplies the whole expression. Of a side whose rows may be missing, only what is NULL without them.
    pub(super) fn leaf(&self, expr: &Expr, outer: bool) -> bool {
        match self.side(expr) {
            Some(Side::Table) if outer => matches!(expr, Expr::Column(_)) || strict(expr),
            Some(_) => true,
            None => false,
        }
    }

    pub(super) fn text_bytes(&self, expr: &Expr, catalog: &Catalog) -> Option<u32> {
        let column = |c: &Column| {
            let at = self.schema.index_of_column(c).ok()?;
            let (plan, at) = if at < self.width { (&self.left, at) } else { (&self.right, at - self.width) };
            form::text_bytes(&Expr::Column(plan.schema().columns().get(at)?.clone()), plan, catalog)
        };
        match expr {
            Expr::Column(c) => column(c),
            _ => match self.side(expr) {
                Some(side) if (side == Side::Base) == self.straight => form::text_bytes(expr, &self.left, catalog),
                Some(_) => form::text_bytes(expr, &self.right, catalog),
                None => {
                    let all: Option<Vec<u32>> = expr.reads().into_iter().map(column).collect();
                    all.map(|b| b.into_iter().sum::<u32>()).or_else(|| form::text_bytes(expr, &self.left, catalog))
                }
            },
        }
    }
}
