//! The rows and columns of a relation on shares.

use crate::exec::field::Field;
use crate::plan::relation::Relation;
use mpc_core::{B64, Fp61, Fp127, Ring};
use protocols::{Cell, Engine, Share};

/// Shared bits.
pub(super) type Bits<E> = <E as Engine>::Share<B64>;

/// The rows of a relation on shares.
pub(in crate::exec) struct Rows<E: Engine> {
    /// Places.
    pub(super) places: usize,
    /// Which places hold a row; `None`: all.
    pub(super) row: Option<Bits<E>>,
    pub(super) columns: Vec<Cells<E>>,
}

/// A column of a relation on shares.
pub(super) struct Cells<E: Engine> {
    pub(super) values: Values<E>,
    /// The valid bit, if it is nullable.
    pub(super) valid: Option<Bits<E>>,
}

/// The values of a column on shares.
pub(in crate::exec) enum Values<E: Engine> {
    Bits(Bits<E>),
    Fp61(E::Share<Fp61>),
    Fp127(E::Share<Fp127>),
}

impl<E: Engine> Clone for Values<E> {
    fn clone(&self) -> Self {
        match self {
            Values::Bits(v) => Values::Bits(v.clone()),
            Values::Fp61(v) => Values::Fp61(v.clone()),
            Values::Fp127(v) => Values::Fp127(v.clone()),
        }
    }
}

impl<E: Engine> Clone for Cells<E> {
    fn clone(&self) -> Self {
        Cells { values: self.values.clone(), valid: self.valid.clone() }
    }
}

impl<E: Engine> Cells<E> {
    /// The planes of a column that is not of elements.
    pub(super) fn bits(&self) -> &Bits<E> {
        match &self.values {
            Values::Bits(bits) => bits,
            _ => unreachable!("checked by the layout: the column is in planes"),
        }
    }

    /// The elements of a column of this field.
    pub(super) fn elements<R: Element>(&self) -> &E::Share<R> {
        R::of_values(&self.values).expect("checked by the layout: the column is of this field")
    }

    /// The rows in a range.
    pub(super) fn slice(&self, range: std::ops::Range<usize>) -> Self {
        Cells {
            values: match &self.values {
                Values::Bits(v) => Values::Bits(v.slice(range.clone())),
                Values::Fp61(v) => Values::Fp61(v.slice(range.clone())),
                Values::Fp127(v) => Values::Fp127(v.slice(range.clone())),
            },
            valid: self.valid.as_ref().map(|v| v.slice(range)),
        }
    }

    /// This column with rows moved publicly.
    pub(super) fn gather(&self, rows: &[Option<usize>]) -> Self {
        Cells {
            values: match &self.values {
                Values::Bits(v) => Values::Bits(v.gather(rows)),
                Values::Fp61(v) => Values::Fp61(v.gather(rows)),
                Values::Fp127(v) => Values::Fp127(v.gather(rows)),
            },
            valid: self.valid.as_ref().map(|v| v.gather(rows)),
        }
    }
}

/// A field in which columns hold elements.
pub(in crate::exec) trait Element: Field + Cell {
    fn of_values<E: Engine>(values: &Values<E>) -> Option<&E::Share<Self>>;
    fn values<E: Engine>(share: E::Share<Self>) -> Values<E>;
}

impl Element for Fp61 {
    fn of_values<E: Engine>(values: &Values<E>) -> Option<&E::Share<Self>> {
        if let Values::Fp61(v) = values { Some(v) } else { None }
    }
    fn values<E: Engine>(share: E::Share<Self>) -> Values<E> {
        Values::Fp61(share)
    }
}

impl Element for Fp127 {
    fn of_values<E: Engine>(values: &Values<E>) -> Option<&E::Share<Self>> {
        if let Values::Fp127(v) = values { Some(v) } else { None }
    }
    fn values<E: Engine>(share: E::Share<Self>) -> Values<E> {
        Values::Fp127(share)
    }
}

impl<E: Engine> Rows<E> {
    /// The rows of a relation from all its planes, ring by ring ([`planes_of`]).
    pub(super) fn split(relation: &Relation, bits: Option<Bits<E>>, fp61: Option<E::Share<Fp61>>, fp127: Option<E::Share<Fp127>>) -> Self {
        let mut next = [0; 3];
        fn take<R: Ring, S: Share<R>>(share: &Option<S>, next: &mut usize, planes: usize) -> S {
            let from = *next;
            *next += planes;
            share.as_ref().expect("a ring of which a relation has planes is shared").planes(from..*next)
        }
        let row = (!relation.full).then(|| take(&bits, &mut next[0], 1));
        let columns = relation.columns.iter().map(|column| Cells {
            values: match column.form.ring() {
                None if column.form.width() == 0 && bits.is_none() => unreachable!("a column without planes has a relation with bits"),
                None => Values::Bits(take(&bits, &mut next[0], column.form.width())),
                Some(crate::plan::Ring::Fp61) => Values::Fp61(take(&fp61, &mut next[1], 1)),
                Some(crate::plan::Ring::Fp127) => Values::Fp127(take(&fp127, &mut next[2], 1)),
            },
            valid: column.nullable.then(|| take(&bits, &mut next[0], 1)),
        });
        Rows { places: relation.places as usize, columns: columns.collect(), row }
    }
}
