//! Output privacy at the gate: noise, clamps and rules.

use super::{Case, GateLine, measured};
use crate::circuit::{self, Sign};
use crate::cost;
use crate::privacy::{Binomial, Bounds, Delta, Dominance, Epsilon, Facts, Laplace, Loss, Rule, Sensitivity, clamp, clamp_field, safe};
use crate::world::Protocol;
use crate::{Abort, Engine};
use mpc_core::{B64, Column, Fp61, Layout};

/// Everything at `rows` rows.
pub(super) fn lines(rows: usize, lines: &mut Vec<GateLine>) {
    let one = Sensitivity { each: 1, total: 1, cells: 1 };
    let of = |what| Private { what, rows };
    let mut line = |op: &str, ring, what, formula| {
        let case = Case { op: op.into(), n: rows, ..Case::default() };
        lines.push(measured(&of(what), case, ring, formula));
    };
    for (op, epsilon) in [("laplace_1", 1_000_000), ("laplace_0.1", 100_000)] {
        let noise = Laplace::new(Epsilon(epsilon), &one).expect("such noise fits");
        line(op, "Fp61", What::Laplace(noise.clone()), cost::laplace::<Fp61>(rows, &noise));
    }
    let loss = Loss { epsilon: Epsilon::ONE, delta: Delta(Delta::ONE.0 / 1_000_000) };
    let noise = Binomial::new(loss, &one).expect("such noise takes few coins");
    line("binomial_1", "Fp61", What::Binomial(noise), cost::binomial::<Fp61>(rows, &noise));
    line("weight_100", "Z2", What::Weight(100), cost::weight(rows, 100));
    let bounds = Bounds { low: -1000, high: 2000 };
    line("clamp_32", "Z2", What::Clamp(bounds), cost::clamp(rows, 32, Sign::Signed, &bounds));
    line("clamp_field", "Fp61", What::ClampField(bounds), cost::clamp_field::<Fp61>(rows));
    for (op, dominance) in [("minimum_group", None), ("dominance", Some(Dominance::Share { largest: 1, percent: 15 }))] {
        let rule = Rule { entities: 15, dominance };
        line(op, "Fp61", What::Safe(rule), cost::safe::<Fp61>(rows, &rule));
    }
}

enum What {
    Laplace(Laplace),
    Binomial(Binomial),
    Weight(usize),
    Clamp(Bounds),
    ClampField(Bounds),
    Safe(Rule),
}

/// On shares of zeros, which cost nothing to make.
struct Private {
    what: What,
    rows: usize,
}

impl Protocol for Private {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), Abort> {
        let x = e.constant(&Column::<Fp61>::zeros(Layout::new(self.rows, 1)));
        let mut bits = |planes| e.constant(&Column::<B64>::zeros(Layout::new(self.rows, planes)));
        match &self.what {
            What::Laplace(noise) => noise.sample::<E, Fp61>(e, self.rows).map(drop),
            What::Binomial(noise) => noise.sample::<E, Fp61>(e, self.rows).map(drop),
            What::Weight(planes) => {
                let bits = bits(*planes);
                circuit::weight(e, &bits).map(drop)
            }
            What::Clamp(bounds) => {
                let bits = bits(32);
                clamp(e, &bits, Sign::Signed, bounds).map(drop)
            }
            What::ClampField(bounds) => clamp_field::<E, Fp61>(e, &x, bounds).map(drop),
            What::Safe(rule) => safe::<E, Fp61>(e, &Facts { entities: &x, totals: Some((&x, &x)) }, rule).map(drop),
        }
    }
}
