//! What a Map does besides gates, for people.

use super::{Layout, gates};
use crate::plan::Ring;
use crate::plan::relation::RowOp;
use mpc_core::{Fp61, Fp127};
use protocols::circuit::{Rounding, Sign};
use protocols::cost;
use std::collections::BTreeMap;

impl Layout<'_> {
    /// How divisions and parts of dates are computed, on how many bits, in which field and rounds.
    pub(super) fn divisions(&self) -> String {
        let mut all: BTreeMap<String, usize> = BTreeMap::new();
        let needed = (0..self.nodes.len()).filter(|id| self.stage[*id].is_some());
        for words in needed.filter_map(|id| self.division_in_words(id)) {
            *all.entry(words).or_default() += 1;
        }
        let times = |n: usize| if n > 1 { format!("{n} times ") } else { String::new() };
        let mut said: String = all.iter().map(|(words, n)| format!("; {}{words}", times(*n))).collect();
        if all.keys().any(|words| words.contains(RECIPROCAL)) {
            said += "; digit by digit, each bit of a quotient would take a chain of carries";
        }
        said
    }

    fn division_in_words(&self, id: usize) -> Option<String> {
        Some(match &self.nodes[id].op {
            RowOp::Quotient { .. } => {
                let (of, ring) = self.division(id).ok()?;
                let (wide, rounds) = match ring {
                    Ring::Fp61 => (!of.fits::<Fp61>(), cost::divide::<Fp61>(1, &of).rounds),
                    Ring::Fp127 => (true, cost::divide::<Fp127>(1, &of).rounds),
                };
                let (n, d, q) = (of.numerator.0, of.denominator.0, of.quotient);
                format!(
                    "a quotient of {q} bits, of {n} bits by {d}: {RECIPROCAL} in {}, then an exact correction, {rounds} rounds",
                    field(if wide { Ring::Fp127 } else { Ring::Fp61 })
                )
            }
            RowOp::Floor { of, by } => {
                let (divisor, bits, ring) = self.public_division(id).ok()?;
                let rounds = match ring {
                    Ring::Fp61 => cost::divide_public::<Fp61>(1, divisor, Sign::Unsigned, Rounding::TowardZero).rounds,
                    Ring::Fp127 => cost::divide_public::<Fp127>(1, divisor, Sign::Unsigned, Rounding::TowardZero).rounds,
                };
                let bits = bits.min(gates::width(self.nodes[of.0].kind) as u32);
                format!(
                    "{bits} bits by the public {by}, rounded down: off by one at most in {}, then corrected, {rounds} rounds",
                    field(ring)
                )
            }
            RowOp::DatePart { .. } => "a part of a date: compared with the public days on which years and months begin".into(),
            _ => return None,
        })
    }
}

const RECIPROCAL: &str = "a reciprocal by multiplications";

fn field(ring: Ring) -> &'static str {
    match ring {
        Ring::Fp61 => "F(2^61−1)",
        Ring::Fp127 => "F(2^127−1)",
    }
}
