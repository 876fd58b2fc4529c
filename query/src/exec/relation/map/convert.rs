//! What turns elements into bits, and divisions.

use super::super::super::program::ProgramError;
use super::{Layout, Running, Stage};
use crate::plan::relation::RowOp;
use mpc_core::Abort;
use protocols::Engine;

/// Whether an operation ends a stage: its bits do not come from gates.
pub(super) fn is_conversion(op: &RowOp) -> bool {
    matches!(op, RowOp::ToPlanes(..) | RowOp::Negative(_) | RowOp::Zero(_) | RowOp::Quotient { .. } | RowOp::DatePart { .. })
}

impl Layout<'_> {
    pub(super) fn lay_conversion(&mut self, id: usize, stage: usize) -> Result<(), ProgramError> {
        self.stages[stage].converted.push(id);
        Err(ProgramError("elements cannot be turned into bits yet"))
    }

    pub(super) fn convert<E: Engine>(&self, _engine: &mut E, stage: &Stage, _run: &mut Running<'_, E>) -> Result<(), Abort> {
        match stage.converted.is_empty() {
            true => Ok(()),
            false => Err(Abort::Refused("the layout lets no conversion pass".into())),
        }
    }
}
