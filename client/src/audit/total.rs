//! What questions come to.

use super::{Question, State};
use std::collections::BTreeMap;

/// Of some questions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Total {
    /// How many there are.
    pub questions: u64,
    /// How many were answered.
    pub released: u64,
    /// Uses that they take.
    pub uses: u64,
    /// Millionths of ε that were debited.
    pub epsilon: i128,
    /// What the answers are to be paid, by unit.
    pub price: BTreeMap<String, u64>,
}

/// By what people ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Of all.
    pub all: Total,
    /// By who asked.
    pub planners: BTreeMap<String, Total>,
    /// By what for.
    pub purposes: BTreeMap<String, Total>,
    /// By month.
    pub months: BTreeMap<String, Total>,
    /// By column; a question counts for each that it reads.
    pub columns: BTreeMap<String, Total>,
}

impl Totals {
    /// Of these questions.
    pub fn of<'a>(questions: impl IntoIterator<Item = &'a Question>) -> Self {
        let mut totals = Self::default();
        for question in questions {
            totals.all.add(question);
            totals.planners.entry(question.planner.clone()).or_default().add(question);
            totals.purposes.entry(question.query.purpose.clone()).or_default().add(question);
            totals.months.entry(question.month()).or_default().add(question);
            for column in &question.columns {
                totals.columns.entry(column.clone()).or_default().add(question);
            }
        }
        totals
    }

    /// Planners, purposes and months, with what they are.
    pub fn groups(&self) -> [(&'static str, &BTreeMap<String, Total>); 3] {
        [("planner", &self.planners), ("purpose", &self.purposes), ("month", &self.months)]
    }
}

impl Total {
    fn add(&mut self, question: &Question) {
        self.questions += 1;
        self.released += u64::from(matches!(question.state(), State::Released(_)));
        self.uses = self.uses.saturating_add(question.uses());
        self.epsilon += question.epsilon();
        if let Some((amount, unit)) = question.price() {
            let sum = self.price.entry(unit.to_owned()).or_default();
            *sum = sum.saturating_add(amount);
        }
    }

    /// `3 credit`; by unit, if there are several; `0` if nothing is to be paid.
    pub fn paid(&self) -> String {
        match self.price.is_empty() {
            true => "0".into(),
            false => self.price.iter().map(|(unit, sum)| format!("{sum} {unit}")).collect::<Vec<_>>().join(", "),
        }
    }
}
