//! Output privacy, inside the joint computation and before anything opens: what may come out is bounded, checked and blurred while it is still shared.
//!
//! | step | file | rounds | bits a row (or cell) and party |
//! |---|---|---|---|
//! | [`clamp`] to public bounds, k bits; [`clamp_field`] | `clamp` | ceil(log2 k) + 1; 11 | at most 3k; about 5 elements and signs |
//! | [`cap`] of the rows of an entity, keys of k bits | `cap` | the sort's, ceil(log2 (k + 1)) | the sort's, k |
//! | [`contributions`]: distinct entities, totals, largest contributors of each group | `contributions` | those of two sorts and two group sums | theirs |
//! | [`safe`]: minimum group and dominance | `suppress` | 8, and one | 156 a rule over Fp61 |
//! | [`complement`]: complementary suppression | `complement` | the sort's, about 21 | the sort's, about 460 |
//! | [`Laplace`] noise, ε = 1 | `laplace` | 8 | 1050 over Fp61 |
//! | [`Binomial`] noise of N coins | `binomial` | floor(log2 N) + 2 | N and a bit's element for each of log2 N bits |
//! | [`Noise`] of several laws at once | `noise` | of the laws | theirs |
//!
//! What it costs in privacy is counted in [`account`](Loss): exact integers, rounded against the spender. No floating point is on any path of noise or budget
//! (Mironov, CCS'12). Leakage of all of these: none; what opens is a bit for each cell, whether it is shown, and the values of those that are.
//!
//! `docs/privacy.md` says what is promised, by which formula, and what is not.

mod account;
mod binomial;
mod cap;
mod clamp;
mod complement;
mod contributions;
mod exact;
mod laplace;
mod noise;
mod suppress;

pub use account::{Budget, Delta, Epsilon, Exhausted, Loss, Sensitivity, debit};
pub use binomial::Binomial;
pub use cap::{Capped, cap};
pub(crate) use clamp::constants as clamp_constants;
pub use clamp::{Bounds, clamp, clamp_field};
pub use complement::{Margins, complement};
pub use contributions::{Contributions, Rows, contributions};
pub use exact::hockey_stick;
pub use laplace::Laplace;
pub use noise::Noise;
pub use suppress::{Dominance, Facts, Rule, safe, suppress};

use crate::Engine;
use mpc_core::B64;

/// Shares of bits.
type Bits<E> = <E as Engine>::Share<B64>;

/// Noise that cannot be made as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// ε is 0, or the ratio of ε to the sensitivity is so large that no noise is left.
    Epsilon(Epsilon),
    /// Nothing depends on the data, or a bound of what does leaves 64 bits.
    Sensitivity,
    /// The noise would leave the field: so many bits.
    Wide(u32),
    /// More coins than [`Binomial::MOST`].
    Coins,
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unfit::Epsilon(epsilon) => {
                write!(f, "ε = {epsilon} is no privacy parameter here: it must be above 0, and below 32 times the sensitivity")
            }
            Unfit::Sensitivity => f.write_str(
                "the sensitivity must be at least 1 and fit 64 bits: clamp the values more narrowly, or cap the rows of an entity",
            ),
            Unfit::Wide(bits) => {
                write!(f, "noise of {bits} bits leaves the field: raise ε, clamp the values more narrowly, or cap the rows of an entity")
            }
            Unfit::Coins => {
                write!(f, "binomial noise takes more than {} coins for this: take Laplace noise, or raise ε or δ", Binomial::MOST)
            }
        }
    }
}

impl std::error::Error for Unfit {}
