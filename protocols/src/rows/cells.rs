//! Rows and columns on shares, and what is public of them.

use super::Bits;
use super::keys::zeros;
use crate::{Cell, Engine, Estimate, Share};
use mpc_core::{B64, Fp61, Fp127, Ring};
use std::ops::Range;

/// How the values of a column are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An unsigned integer in so many planes, which may be none.
    Planes(usize),
    /// An element of F(2^61 - 1).
    Fp61,
    /// An element of F(2^127 - 1).
    Fp127,
}

impl Form {
    /// Bit-planes of a value; 0 for elements.
    pub fn width(self) -> usize {
        if let Form::Planes(width) = self { width } else { 0 }
    }
}

/// What is public of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnShape {
    /// How its values are shared.
    pub form: Form,
    /// Whether it has a valid bit.
    pub nullable: bool,
}

/// What is public of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Their places.
    pub places: usize,
    /// Whether every place holds a row.
    pub full: bool,
    /// Their columns.
    pub columns: Vec<ColumnShape>,
}

/// Rows on shares.
pub struct Rows<E: Engine> {
    /// Places: public.
    pub places: usize,
    /// Which places hold a row; `None`: all.
    pub row: Option<Bits<E>>,
    /// Their columns.
    pub columns: Vec<Cells<E>>,
}

/// A column on shares.
pub struct Cells<E: Engine> {
    /// Its values; what is NULL is 0.
    pub values: Values<E>,
    /// The valid bit, if it is nullable: 0 where it is NULL.
    pub valid: Option<Bits<E>>,
}

/// The values of a column on shares.
pub enum Values<E: Engine> {
    /// In planes, least significant first.
    Bits(Bits<E>),
    /// Elements.
    Fp61(E::Share<Fp61>),
    /// Wide elements.
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
    ///
    /// # Panics
    /// If it is.
    pub fn bits(&self) -> &Bits<E> {
        match &self.values {
            Values::Bits(bits) => bits,
            _ => unreachable!("the caller knows that the column is in planes"),
        }
    }

    /// The elements of a column of this field.
    ///
    /// # Panics
    /// If it is of another, or in planes.
    pub fn elements<R: Element>(&self) -> &E::Share<R> {
        R::of_values(&self.values).expect("the caller knows that the column is of this field")
    }

    /// The rows in a range.
    pub(super) fn slice(&self, range: Range<usize>) -> Self {
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

    /// Each row less the row before; the first row's is itself.
    pub(super) fn differences(&self) -> Self {
        Cells {
            values: match &self.values {
                Values::Bits(v) => Values::Bits(v.differences()),
                Values::Fp61(v) => Values::Fp61(v.differences()),
                Values::Fp127(v) => Values::Fp127(v.differences()),
            },
            valid: self.valid.as_ref().map(Share::differences),
        }
    }

    /// What is public of it.
    pub fn shape(&self) -> ColumnShape {
        let form = match &self.values {
            Values::Bits(v) => Form::Planes(v.layout().planes),
            Values::Fp61(_) => Form::Fp61,
            Values::Fp127(_) => Form::Fp127,
        };
        ColumnShape { form, nullable: self.valid.is_some() }
    }
}

impl ColumnShape {
    /// So many rows of zeros, NULL if there is a valid bit.
    pub(super) fn zeros<E: Engine>(self, engine: &mut E, rows: usize) -> Cells<E> {
        Cells {
            values: match self.form {
                Form::Planes(width) => Values::Bits(zeros::<B64, E>(engine, rows, width)),
                Form::Fp61 => Values::Fp61(zeros::<Fp61, E>(engine, rows, 1)),
                Form::Fp127 => Values::Fp127(zeros::<Fp127, E>(engine, rows, 1)),
            },
            valid: self.nullable.then(|| zeros::<B64, E>(engine, rows, 1)),
        }
    }
}

/// A field in which columns hold elements.
pub trait Element: Cell {
    /// The form of such a column.
    const FORM: Form;
    /// An integer as an element, negative ones centred.
    fn element(value: i128) -> Self;
    /// The elements, if they are of this field.
    fn of_values<E: Engine>(values: &Values<E>) -> Option<&E::Share<Self>>;
    /// Elements as the values of a column.
    fn values<E: Engine>(share: E::Share<Self>) -> Values<E>;
}

impl Element for Fp61 {
    const FORM: Form = Form::Fp61;
    fn element(value: i128) -> Self {
        Fp61::from_i128(value)
    }
    fn of_values<E: Engine>(values: &Values<E>) -> Option<&E::Share<Self>> {
        if let Values::Fp61(v) = values { Some(v) } else { None }
    }
    fn values<E: Engine>(share: E::Share<Self>) -> Values<E> {
        Values::Fp61(share)
    }
}

impl Element for Fp127 {
    const FORM: Form = Form::Fp127;
    fn element(value: i128) -> Self {
        Fp127::from_i128(value)
    }
    fn of_values<E: Engine>(values: &Values<E>) -> Option<&E::Share<Self>> {
        if let Values::Fp127(v) = values { Some(v) } else { None }
    }
    fn values<E: Engine>(share: E::Share<Self>) -> Values<E> {
        Values::Fp127(share)
    }
}

impl<E: Engine> Rows<E> {
    /// Those in a range of places.
    pub fn slice(&self, range: Range<usize>) -> Self {
        let row = self.row.as_ref().map(|row| row.slice(range.clone()));
        let columns = self.columns.iter().map(|c| c.slice(range.clone())).collect();
        Rows { places: range.len(), row, columns }
    }

    /// Rows from all their planes, ring by ring: of bits that of the row first, if there are places without one, then column by column the planes and the valid bit.
    ///
    /// # Panics
    /// If planes that the shape has are missing.
    pub fn split(shape: &Shape, bits: Option<Bits<E>>, fp61: Option<E::Share<Fp61>>, fp127: Option<E::Share<Fp127>>) -> Self {
        let mut next = [0; 3];
        fn take<R: Ring, S: Share<R>>(share: &Option<S>, next: &mut usize, planes: usize) -> S {
            let from = *next;
            *next += planes;
            share.as_ref().expect("a ring of which rows have planes is shared").planes(from..*next)
        }
        let row = (!shape.full).then(|| take(&bits, &mut next[0], 1));
        let columns = shape.columns.iter().map(|column| Cells {
            values: match column.form {
                Form::Planes(0) if bits.is_none() => unreachable!("a column without planes is one of rows with bits"),
                Form::Planes(width) => Values::Bits(take(&bits, &mut next[0], width)),
                Form::Fp61 => Values::Fp61(take(&fp61, &mut next[1], 1)),
                Form::Fp127 => Values::Fp127(take(&fp127, &mut next[2], 1)),
            },
            valid: column.nullable.then(|| take(&bits, &mut next[0], 1)),
        });
        Rows { places: shape.places, columns: columns.collect(), row }
    }
}

impl Rows<Estimate> {
    /// Rows of a shape, to price what is done with them.
    pub fn to_price(shape: &Shape) -> Self {
        let one: Bits<Estimate> = zeros::<B64, Estimate>(&mut Estimate::new(), shape.places, 1);
        let planes = |planes: usize| Share::<B64>::planes(&one, std::iter::repeat_n(0, planes));
        let columns = shape.columns.iter().map(|column| Cells {
            values: match column.form {
                Form::Planes(width) => Values::Bits(planes(width)),
                Form::Fp61 => Values::Fp61(planes(1)),
                Form::Fp127 => Values::Fp127(planes(1)),
            },
            valid: column.nullable.then(|| planes(1)),
        });
        Rows { places: shape.places, row: (!shape.full).then(|| planes(1)), columns: columns.collect() }
    }
}
