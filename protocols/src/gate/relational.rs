//! The gate's relational operators: every case of the model is run at its sizes.

use super::{Case, GateLine};
use crate::cost::{self, Cost, Opening};
use crate::relational::{
    JoinOptions, Keys, Known, Radix, Side, Standing, Tail, apply, compact_in, distinct_in, find, has_repeats, join_in, last_rows,
    places_by_digit, radix_places, sums_of_last,
};
use crate::table::Message;
use crate::world::{self, Protocol};
use crate::{Abort, Cell, Engine, Payload, Table, circuit};
use mpc_core::{B64, Column, Fp61, Fp127, Layout, PartyId, Z64};

/// Rows above which three parties are not run, only the formulas and the estimate: a sort has hundreds of rounds.
const RUN: usize = 64;

/// A line for each case of the model at `sizes` that is an operator's.
pub(super) fn lines<'c>(cases: impl Iterator<Item = &'c Case>, sizes: &[usize]) -> Vec<GateLine> {
    let line = |case: &Case| {
        let operator = Operator::of(case)?;
        let metered = (case.n <= RUN).then(|| operator.alone(|o| world::metered(o, 1).1));
        let (estimate, formula) = (operator.alone(world::estimated), operator.formula());
        Some(GateLine { case: case.clone(), ring: "rows", metered, formula, estimate, model: None, ok: false })
    };
    cases.filter(|case| sizes.contains(&case.n)).filter_map(line).collect()
}

/// Joins by keys that owners know, which the model does not have.
pub(super) fn known(sizes: &[usize]) -> Vec<GateLine> {
    let (narrow, wide) = (Payload { bits: 20, fp61: 0, fp127: 0 }, Payload { bits: 8, fp61: 1, fp127: 1 });
    let kinds = [(5, narrow, Standing::Anywhere), (64, narrow, Standing::Together), (100, wide, Standing::Together)];
    let line = |(n, (key, payload, standing)): (usize, (usize, Payload, Standing))| {
        let op = Finding { n, key, payload, standing };
        let case = Case { op: "find".into(), n, k: Some(key as u32), payload: Some(payload.bits), ..Case::default() };
        let metered = (n <= RUN).then(|| world::metered(&op, 1).1);
        let (base, table) = (PartyId(2), PartyId(0));
        let formula = cost::has_repeats(table).then(cost::find((base, n), standing, (table, 2 * n), key, payload));
        GateLine { case, ring: "rows", metered, formula, estimate: world::estimated(&op), model: None, ok: false }
    };
    sizes.iter().flat_map(|n| kinds.map(|kind| (*n, kind))).map(line).collect()
}

/// Such a join of n rows with twice as many, whose keys are all 0.
struct Finding {
    n: usize,
    key: usize,
    payload: Payload,
    standing: Standing,
}

impl Protocol for Finding {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), Abort> {
        let side = |rows| (Column::zeros(Layout::new(rows, self.key)), Column::splat(B64(u64::MAX), Layout::new(rows, 1)));
        let (base, table) = (side(self.n), side(2 * self.n));
        fn known<'a, E: Engine>(e: &E, owner: u8, (key, valid): &'a (Column<B64>, Column<B64>)) -> Known<'a> {
            let owner = PartyId(owner);
            Known { owner, key: key.layout(), clear: e.holds(owner).then_some(Keys { key, valid }) }
        }
        let (base, table) = (known(e, 2, &base), known(e, 0, &table));
        has_repeats(e, &table)?;
        let of = |planes| Layout::new(2 * self.n, planes);
        let (bits, fp61) = (Column::zeros(of(self.payload.bits)), Column::<Fp61>::zeros(of(self.payload.fp61)));
        let fp127 = Column::<Fp127>::zeros(of(self.payload.fp127));
        let rows = table.clear.is_some().then_some((&bits, &fp61, &fp127));
        find(e, (&base, self.standing), &table, self.payload, rows).map(drop)
    }
}

/// An operator on shares of zeros, which cost nothing to make.
struct Operator<'c> {
    case: &'c Case,
    what: What,
}

enum What {
    Shuffle(usize),
    Apply(usize),
    Compose,
    Compact(usize),
    Digit(usize),
    Places(usize, Radix),
    Sort(usize, Radix, usize),
    /// Key bits, sums, bits of a sum, whether the tail is blanked.
    Group(usize, usize, u32, bool),
    /// Key bits, payload of left, options.
    Join(usize, usize, JoinOptions),
    Match(usize),
    Distinct(usize, usize, Radix),
}

impl<'c> Operator<'c> {
    /// The operator of a case; `None` if it is another's.
    fn of(case: &'c Case) -> Option<Self> {
        let key = || case.k.map(|k| k as usize);
        let radix = |moving| Some(Radix { digit: case.digit?, moving });
        let what = match case.op.as_str() {
            "shuffle" => What::Shuffle(case.moved?),
            "apply_perm" => What::Apply(case.moved?),
            "compose" => What::Compose,
            "compaction" => What::Compact(case.moved?),
            "genperm" => What::Digit(case.digit?),
            "radix_perm" => What::Places(case.key_bits?, radix(false)?),
            "radix_move_perm" => What::Places(case.key_bits?, radix(true)?),
            "radix_sort" => What::Sort(case.key_bits?, radix(false)?, case.moved?),
            "group_by" => What::Group(key()?, case.m?, case.v?, case.blank?),
            "join" => {
                let options =
                    JoinOptions { right_filtered: case.right_filtered?, left_flag: case.semi_left?, sorting: radix(false)?.into() };
                What::Join(key()?, case.payload? + case.rows?, options)
            }
            "join_match" => What::Match(key()?),
            "distinct" => What::Distinct(key()?, case.moved?, radix(false)?),
            _ => return None,
        };
        Some(Operator { case, what })
    }

    fn width(&self) -> u32 {
        self.case.w.unwrap_or(1)
    }

    /// What the operator costs, without what it needs to be there.
    fn alone(&self, cost: impl Fn(&Self) -> Cost) -> Cost {
        let whole = cost(self);
        match self.what {
            // a shuffle of nothing, to have one to undo
            What::Compose => Cost { rounds: whole.rounds - cost(&Operator { case: self.case, what: What::Shuffle(0) }).rounds, ..whole },
            _ => whole,
        }
    }

    fn formula(&self) -> Cost {
        let (n, w) = (self.case.n, self.width());
        let bits = |planes| Message::of::<B64>(Layout::new(n, planes));
        match self.what {
            What::Shuffle(moved) => cost::shuffle(bits(moved), 0),
            What::Apply(moved) => cost::apply(Layout::narrow(n, 1, w), bits(moved), 0, Opening::After),
            What::Compose => cost::compose(n, w, 0),
            What::Compact(moved) => cost::compact(n, w, bits(moved), 0, Opening::After),
            What::Digit(digit) => cost::digit(n, w, digit),
            What::Places(key, radix) => cost::radix_places(n, w, key, radix, 0, Opening::After).0,
            What::Sort(key, radix, moved) => cost::sort(n, w, key, radix.into(), bits(moved), 0, Opening::After),
            What::Group(key, m, 64, blank) => cost::group_sums::<Z64>(w, key, Layout::new(n, m), 0, blank, 0, Opening::After),
            What::Group(key, m, _, blank) => cost::group_sums::<Fp61>(w, key, Layout::new(n, m), 0, blank, 0, Opening::After),
            What::Join(key, payload, options) => cost::join(n, w, key, payload, options, 0, Opening::After),
            What::Match(key) => cost::join_match(n, key),
            What::Distinct(key, moved, radix) => cost::distinct(n, w, key, moved, radix.into(), 0, Opening::After),
        }
    }
}

impl Protocol for Operator<'_> {
    type Output = ();

    fn run<E: Engine>(&self, e: &mut E) -> Result<(), Abort> {
        // as in the model
        e.open_after_shuffles();
        let (n, w) = (self.case.n, self.width());
        let places = e.constant(&Column::from_indices((0..n).map(|i| i as u32), w));
        let mut bits = |planes| e.constant(&Column::<B64>::zeros(Layout::new(n, planes)));
        match self.what {
            What::Shuffle(moved) => {
                let table = Table::new(n).with(bits(moved));
                e.shuffle(table).map(drop)
            }
            What::Apply(moved) => {
                let table = Table::new(n).with(bits(moved));
                apply(e, places, table).map(drop)
            }
            What::Compose => {
                // the shuffle alone, as an application would leave it
                let (_, shuffled) = e.shuffle(Table::new(n))?;
                e.unshuffle(Table::new(n).with(places), &shuffled).map(drop)
            }
            What::Compact(moved) => {
                let (flag, table) = (bits(1), Table::new(n).with(bits(moved)));
                compact_in(e, &flag, table, w, false).map(drop)
            }
            What::Digit(digit) => {
                let digit = bits(digit);
                places_by_digit(e, &digit, w).map(drop)
            }
            What::Places(key, radix) => {
                let key = bits(key);
                radix_places(e, key, radix, w).map(drop)
            }
            What::Sort(key, radix, moved) => {
                let (key, table) = (bits(key), Table::new(n).with(bits(moved)));
                let places = radix_places(e, key, radix, w)?;
                apply(e, places, table).map(drop)
            }
            What::Group(key, m, 64, blank) => group::<E, Z64>(e, (n, w), key, m, blank),
            What::Group(key, m, _, blank) => group::<E, Fp61>(e, (n, w), key, m, blank),
            What::Join(key, payload, options) => {
                let mut side = |rows, payload| {
                    let mut bits = |planes| e.constant(&Column::<B64>::zeros(Layout::new(rows, planes)));
                    let table = if payload > 0 { Table::new(rows).with(bits(payload)) } else { Table::new(rows) };
                    Side { key: bits(key), valid: bits(1), table }
                };
                let (left, right) = (side(n / 2, payload), side(n - n / 2, 0));
                join_in(e, left, right, options, w).map(drop)
            }
            What::Match(key) => {
                let (key, flag) = (bits(key), bits(1));
                circuit::equal(e, &key, &key, &[&flag, &flag]).map(drop)
            }
            What::Distinct(key, moved, radix) => {
                let (key, valid, table) = (bits(key), bits(1), Table::new(n).with(bits(moved)));
                distinct_in(e, key, valid, table, radix.into(), w).map(drop)
            }
        }
    }
}

fn group<E: Engine, R: Cell>(e: &mut E, (n, w): (usize, u32), key: usize, m: usize, blank: bool) -> Result<(), Abort> {
    let key = e.constant(&Column::<B64>::zeros(Layout::new(n, key)));
    let values = e.constant(&Column::<R>::zeros(Layout::new(n, m)));
    let last = last_rows(e, &key)?;
    let tail = if blank { Tail::Blank } else { Tail::Keep };
    sums_of_last::<E, R>(e, key, values, Table::new(n), last, tail, w).map(drop)
}
