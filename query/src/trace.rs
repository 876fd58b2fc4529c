//! What each step of a run cost, for EXPLAIN ANALYZE and progress.

use crate::exec::Step;
use crate::message::Measured;
use mpc_core::Meter;
use std::time::Instant;

/// Takes a reading before each step and turns them into what each step cost.
pub struct Trace {
    last: Option<(Meter, Instant)>,
    measured: Vec<Measured>,
}

impl Trace {
    /// No step yet.
    pub fn new() -> Self {
        Trace { last: None, measured: Vec::new() }
    }

    /// Notes the session's meter before step `number`, and after the last one: exactly the calls of `progress` in
    /// [`Program::run`](crate::exec::Program::run).
    pub fn mark(&mut self, steps: &[Step], number: usize, meter: Meter) {
        let now = Instant::now();
        let done = number.checked_sub(1).and_then(|n| steps.get(n));
        if let (Some((before, since)), Some(step)) = (self.last, done) {
            let spent = meter - before;
            let micros = u64::try_from((now - since).as_micros()).unwrap_or(u64::MAX);
            self.measured.push(Measured { operator: step.name.clone(), rounds: spent.rounds, bytes: spent.bytes, micros });
        }
        self.last = Some((meter, now));
    }

    /// What was spent since the last reading that is no step's.
    pub fn leave_out(&mut self, spent: Meter) {
        if let Some((last, _)) = &mut self.last {
            *last += spent;
        }
    }

    /// What each step cost so far.
    pub fn measured(&self) -> &[Measured] {
        &self.measured
    }

    /// What each step cost.
    pub fn into_measured(self) -> Vec<Measured> {
        self.measured
    }
}

impl Default for Trace {
    fn default() -> Self {
        Trace::new()
    }
}

/// What a party tells of its steps. Rounds and bytes follow from public shapes; times need not, and go only to those who asked (`analyze`).
pub fn told(measured: Vec<Measured>, analyze: bool) -> Vec<Measured> {
    let micros = |m: &Measured| if analyze { m.micros } else { 0 };
    measured.into_iter().map(|m| Measured { micros: micros(&m), ..m }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_only_to_analyze() {
        let of = |micros| vec![Measured { operator: "Less".into(), rounds: 7, bytes: 19, micros }];
        assert_eq!(told(of(1234), true), of(1234));
        assert_eq!(told(of(1234), false), of(0));
    }
}
