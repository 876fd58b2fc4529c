//! A look-up in which the owner of base's rows asks the owner of the table's: both know their keys in clear ([`protocols::relational::find`]).
//!
//! *Functionality.* That of a [look-up](protocols::rows::lookup); what is not found is zeros. *Which.* The rows of both sides are those of relations at home, at two parties, place by place, and their keys are columns there as they stand. Base may have lost rows
//! since by secret bits, and found others: its places are still those of home. The table's may not, and what is looked up is a column at home, too. *Protocol.*
//! `find`. It never sees a share of the table, which need not be shared at all. Whether a key is there twice the owner of the table looks, and shares one bit, which is opened, unless it
//! is proved that none is.
//! *Source.* A circuit-PSI with payloads (Pinkas, Schneider, Tkachenko, Yanai, EUROCRYPT'19), in which the third party holds the pads instead of bins; `find` says why.
//! *Cost.* [`protocols::cost::find`]: of n rows that ask and L bits, some 75 + 57 + L bits for each to ask and share, 56 + L to compare and zero, 17 + 2 (L + 1) to permute, all sent by the asker, and
//! the table's rows once, with their tags; 2 + log2 (40 + log2 n) + 1 (elements: 3) + 2 rounds, 2 more if rows of a key are not side by side; 2 for the bit
//! ([`protocols::cost::has_repeats`]). Nothing for NULLs. *Leakage.* None but, where it is not proved, whether the table has a key twice; that ends the session. Who asks
//! does not learn what was found, who is asked not what for.

use super::order::{at_home, is_together};
use crate::exec::field::Value;
use crate::local::{Inputs, bits_at, element_at, planes_of};
use crate::plan::relation::{Operator, Relation, RelationId, RowColumn};
use crate::plan::{Plan, Ring, Source};
use mpc_core::{Abort, B64, Column, Fp61, Fp127, Layout, PartyId, Ring as _};
use protocols::relational::{Found, Keys, Known, Standing, find, has_repeats};
use protocols::rows::{Bits, Cells, Rows, Values, not_unique};
use protocols::{Engine, Payload, Share};

/// A look-up whose sides are known at home.
pub(super) struct Ask<'p> {
    base: Side<'p>,
    table: Side<'p>,
    /// Columns of the table at home that are looked up.
    columns: Vec<usize>,
    standing: Standing,
}

/// Rows at home.
struct Side<'p> {
    id: RelationId,
    relation: &'p Relation,
    places: usize,
    owner: &'p str,
    /// The columns of the key.
    keys: Vec<usize>,
}

/// Clear planes of each ring.
type Planes = (Column<B64>, Column<Fp61>, Column<Fp127>);

impl<'p> Ask<'p> {
    /// The look-up, if it is one and its sides are known at two parties.
    pub fn of(plan: &'p Plan, op: &Operator) -> Option<Self> {
        let Operator::Lookup { base, table, on, columns, .. } = op else { return None };
        let base = Side::of(plan, at_home(plan, *base, on.iter().map(|(b, _)| *b).collect(), true)?)?;
        let all = on.iter().map(|(_, t)| *t).chain(columns.iter().copied()).collect();
        let mut table = Side::of(plan, at_home(plan, *table, all, false)?)?;
        let columns = table.keys.split_off(on.len());
        let standing = if is_together(plan, base.id, &base.keys) { Standing::Together } else { Standing::Anywhere };
        (base.owner != table.owner).then_some(Ask { base, table, columns, standing })
    }

    /// The owners of base and table.
    pub fn owners(&self) -> [&'p str; 2] {
        [self.base.owner, self.table.owner]
    }

    /// This look-up between sides of at most so many places, to price it.
    pub(super) fn with_places(mut self, most: usize) -> Self {
        self.base.places = self.base.places.min(most);
        self.table.places = self.table.places.min(most);
        self
    }

    /// The columns of base, those looked up, and whether there is such a row. `parties` are the owners' places, `inputs` what is in clear here; `unique` says that no two rows
    /// of the table have the same key, `words` names the keys if two have.
    pub fn run<E: Engine>(
        &self,
        engine: &mut E,
        base: &Rows<E>,
        parties: [PartyId; 2],
        inputs: &Inputs,
        (relation, unique): (&Relation, bool),
        words: impl FnOnce() -> String,
    ) -> Result<Rows<E>, Abort> {
        let payload = self.payload();
        let [asks, answers] = [(&self.base, parties[0]), (&self.table, parties[1])].map(|(side, party)| {
            let clear = engine.holds(party).then(|| side.clear(inputs)).transpose()?;
            Ok::<_, Abort>((party, side.key(), clear))
        });
        let (asks, answers) = (asks?, answers?);
        let [base_known, table_known] = [&asks, &answers].map(|(owner, key, clear)| Known {
            owner: *owner,
            key: *key,
            clear: clear.as_ref().map(|(key, valid)| Keys { key, valid }),
        });
        let empty = base.places == 0 || self.table.places == 0;
        if !unique && !empty && has_repeats(engine, &table_known)? {
            return Err(Abort::Data(not_unique(&words())));
        }
        let rows = engine.holds(parties[1]).then(|| self.rows(inputs)).transpose()?;
        let rows = rows.as_ref().map(|(bits, fp61, fp127)| (bits, fp61, fp127));
        let found = find(engine, (&base_known, self.standing), &table_known, payload, rows)?;
        let columns = self.columns(&found, &relation.columns[base.columns.len()..]);
        let matched = Cells { values: Values::Bits(found.matched), valid: None };
        let columns = base.columns.iter().cloned().chain(columns).chain(std::iter::once(matched)).collect();
        Ok(Rows { places: base.places, row: base.row.clone(), columns })
    }

    fn payload(&self) -> Payload {
        let of = |ring| self.columns.iter().filter(|c| self.table.relation.columns[**c].form.ring() == Some(ring)).count();
        let bits = self.columns.iter().map(|c| bits_at(self.table.relation, *c).len()).sum();
        Payload { bits, fp61: of(Ring::Fp61), fp127: of(Ring::Fp127) }
    }

    /// What the table's rows have, at their owner.
    fn rows(&self, inputs: &Inputs) -> Result<Planes, Abort> {
        let elements = |ring| {
            let mine = self.columns.iter().filter(move |c| self.table.relation.columns[**c].form.ring() == Some(ring));
            mine.map(|c| element_at(self.table.relation, *c)).collect::<Vec<_>>()
        };
        let bits = self.columns.iter().flat_map(|c| bits_at(self.table.relation, *c)).collect();
        Ok((
            self.table.planes::<B64>(inputs, bits)?,
            self.table.planes::<Fp61>(inputs, elements(Ring::Fp61))?,
            self.table.planes::<Fp127>(inputs, elements(Ring::Fp127))?,
        ))
    }

    /// What was found, column by column: NULL where there is no row, if it may be.
    fn columns<E: Engine>(&self, found: &Found<E>, outputs: &[RowColumn]) -> Vec<Cells<E>> {
        let (mut bits, mut fp61, mut fp127) = (0, 0, 0);
        let take = |next: &mut usize, planes: usize| {
            *next += planes;
            *next - planes..*next
        };
        let of = |(column, output): (&usize, &RowColumn)| {
            let column = &self.table.relation.columns[*column];
            let values = match column.form.ring() {
                None => Values::Bits(found.bits.planes(take(&mut bits, column.form.width()))),
                Some(Ring::Fp61) => Values::Fp61(found.fp61.planes(take(&mut fp61, 1))),
                Some(Ring::Fp127) => Values::Fp127(found.fp127.planes(take(&mut fp127, 1))),
            };
            let valid: Option<Bits<E>> = column.nullable.then(|| found.bits.planes(take(&mut bits, 1)));
            Cells { values, valid: output.nullable.then(|| valid.unwrap_or_else(|| found.matched.clone())) }
        };
        self.columns.iter().zip(outputs).map(of).collect()
    }
}

impl<'p> Side<'p> {
    fn of(plan: &'p Plan, (id, keys): (RelationId, Vec<usize>)) -> Option<Self> {
        let relation = plan.relation(id);
        match &relation.op {
            Operator::Home { source: Source::Party(owner), .. } => {
                Some(Side { id, relation, places: usize::try_from(relation.places).ok()?, owner, keys })
            }
            _ => None,
        }
    }

    /// The shape of the key.
    fn key(&self) -> Layout {
        Layout::new(self.places, self.keys.iter().map(|c| self.relation.columns[*c].form.width()).sum())
    }

    /// The keys, and which rows have one: at their owner.
    fn clear(&self, inputs: &Inputs) -> Result<(Column<B64>, Column<B64>), Abort> {
        let at = |c: &usize| bits_at(self.relation, *c);
        let key = self.keys.iter().flat_map(|c| at(c).take(self.relation.columns[*c].form.width())).collect();
        let nullable = self.keys.iter().filter(|c| self.relation.columns[**c].nullable);
        let row = (!self.relation.full).then_some(0);
        let valid = row.into_iter().chain(nullable.map(|c| at(c).end - 1));
        let mut all = Column::splat(B64::ONE, Layout::new(self.places, 1));
        for plane in valid {
            all = all.zip(&self.planes(inputs, vec![plane])?, B64::mul);
        }
        Ok((self.planes(inputs, key)?, all))
    }

    /// Some of the planes of one ring, at their owner.
    fn planes<R: Value>(&self, inputs: &Inputs, planes: Vec<usize>) -> Result<Column<R>, Abort> {
        if planes.is_empty() {
            return Ok(Column::zeros(Layout::new(self.places, 0)));
        }
        let whole = Layout::new(self.places, planes_of(self.relation, R::RING));
        let column = inputs.relation(self.id, R::RING).and_then(R::column).filter(|c| c.layout() == whole);
        let column = column.ok_or_else(|| Abort::Refused("this node's local stage did not yield the rows of the plan".into()))?;
        Ok(column.pick_planes(planes))
    }
}
