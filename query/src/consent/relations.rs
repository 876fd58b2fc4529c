//! Labels through the operators over private rows, and what of them comes out.

use std::collections::BTreeSet;

use ledger::contract::Operation;

use super::{
    Unknown, clipped,
    frames::roles_of,
    home::{Home, Labels},
    label::{Kind, Label},
    uses::Role,
};
use crate::plan::{
    Plan, RowRelease, Source,
    relation::{Fold, FoldOp, Function, Operator, Relation, RelationId, RowNode, RowNodeId, RowOp, SortKey},
};

impl Home {
    /// The relations and row releases of a plan.
    pub(super) fn relations(&mut self, plan: &Plan) -> Result<(), Unknown> {
        let mut all: Vec<Labels> = Vec::new();
        for relation in &plan.relations {
            let labels = self.operator(relation, plan, &all)?;
            if labels.columns.len() != relation.columns.len() {
                return Err(Unknown::of("a relation with other columns than its operator"));
            }
            all.push(labels);
        }
        for release in &plan.rows {
            self.row_release(release, plan.relation(release.relation), &all[release.relation.0])?;
        }
        Ok(())
    }

    fn operator(&mut self, relation: &Relation, plan: &Plan, all: &[Labels]) -> Result<Labels, Unknown> {
        let labels = |id: &RelationId| &all[id.0];
        let words = |id: &RelationId, column: usize| plan.relation(*id).columns.get(column).map_or("", |c| c.words.as_str());
        Ok(match &relation.op {
            Operator::Home { source, plan, sizes } => {
                self.discloses(plan.logical(), *sizes);
                let owner = match source {
                    Source::Public => "the public tables",
                    Source::Party(name) => name,
                };
                self.at(&format!("what is computed of {owner}"), |me| me.plan(plan.logical()))?
            }
            Operator::Map { input, nodes, columns, keep } => {
                let of = labels(input);
                let all = self.nodes(nodes, &of.columns, plan.relation(*input))?;
                let column = |(value, valid): &(RowNodeId, Option<RowNodeId>)| {
                    let label = all[value.0].0.clone();
                    let label = if may_be_zero(nodes, *value, *valid) { label.or_zero() } else { label };
                    match valid.map(|valid| (&nodes[value.0].op, &nodes[valid.0].op, &all[valid.0].0)) {
                        None => label,
                        // passed on as it is: that a key is NULL is a value of the key, as where groups come out at once
                        Some((RowOp::Column(c), RowOp::Valid(d), _)) if c == d => {
                            label.and(&of.columns[*c].without_keys().presence(self.always()))
                        }
                        Some((_, _, valid)) => label.and(valid),
                    }
                };
                let out = Labels::new(columns.iter().map(column).collect(), of.rows.clone()).of(&[of]);
                match keep {
                    Some(keep) => {
                        let (label, words) = &all[keep.0];
                        let label = label.tested(Operation::Filter, words);
                        self.at(words, |me| me.uses.filter(&label));
                        self.filtered(out, &label)
                    }
                    None => out,
                }
            }
            Operator::Lookup { base, table, on, columns, .. } => {
                let on: Vec<_> = on.iter().map(|(b, t)| (*b, *t, format!("{} = {}", words(base, *b), words(table, *t)))).collect();
                let (mut base, table) = self.joined(labels(base), labels(table), &on);
                let met = on.iter().map(|(b, t, words)| base.columns[*b].clone().and(&table.columns[*t]).tested(Operation::Join, words));
                let met = met.fold(table.rows.where_rows(), |met, label| met.and(&label));
                // what a row lacks is NULL
                let looked = columns.iter().map(|c| table.columns[*c].clone().and(&table.rows.where_rows()));
                let looked: Vec<_> = looked.collect();
                base.columns.extend(looked);
                base.columns.push(met);
                base.rows = base.rows.clone().and(&table.rows);
                // which row is looked up follows from the row that it is looked up for
                Labels::new(base.columns.clone(), base.rows.clone()).looked_up(&base, &table)
            }
            Operator::Pairs { left, right, on } => {
                let on: Vec<_> = on.iter().map(|(l, r)| (*l, *r, format!("{} = {}", words(left, *l), words(right, *r)))).collect();
                let (left, right) = self.joined(labels(left), labels(right), &on);
                Labels::new([&left.columns[..], &right.columns].concat(), left.rows.clone().and(&right.rows)).of(&[&left, &right])
            }
            Operator::Cross { left, right } => {
                // whether there are rows is told to every row beside
                for one in [left, right].into_iter().filter(|id| plan.relation(**id).places == 1) {
                    let columns = labels(one).columns.iter().zip(&plan.relation(*one).columns);
                    columns.for_each(|(label, column)| self.at(&column.words, |me| me.uses.whether(label)));
                }
                let (left, right) = (labels(left), labels(right));
                Labels::new([&left.columns[..], &right.columns].concat(), left.rows.clone().and(&right.rows)).of(&[left, right])
            }
            Operator::Group { input, keys, folds } => {
                let of = labels(input);
                let keys: Vec<Label> = keys.iter().map(|key| of.columns[*key].clone()).collect();
                let mut groups = self.at("GROUP BY", |me| {
                    me.uses.placed(&of.rows);
                    me.grouped(&keys, of)
                });
                for (i, fold) in folds.iter().enumerate() {
                    let place = &relation.columns.get(keys.len() + i).map_or("", |c| c.words.as_str());
                    let label = self.at(place, |me| me.row_fold(fold, of))?;
                    groups.columns.push(label.and(&groups.rows));
                }
                groups
            }
            Operator::Total { input, folds } => {
                let of = labels(input);
                let place = |i: usize| relation.columns.get(i).map_or("", |c| c.words.as_str());
                self.at(place(0), |me| me.uses.placed(&of.rows));
                let columns = folds.iter().enumerate().map(|(i, fold)| self.at(place(i), |me| me.row_fold(fold, of)));
                Labels::new(columns.collect::<Result<_, _>>()?, Label::default())
            }
            // noise asks for nothing, and hides
            Operator::Noise { input, .. } => {
                let of = labels(input);
                Labels::new(of.columns[..relation.columns.len()].to_vec(), of.rows.clone()).of(&[of])
            }
            Operator::Top { input, by, .. } => {
                let of = labels(input);
                let order = self.sorted(by, of, plan.relation(*input));
                Labels::new(of.columns.clone(), of.rows.clone().and(&of.placed(&order))).of(&[of])
            }
            Operator::Union { inputs } => {
                let column = |i: usize| Label::one_of(inputs.iter().filter_map(|input| labels(input).columns.get(i)));
                let rows = Label::union(inputs.iter().map(|input| &labels(input).rows));
                Labels::new((0..relation.columns.len()).map(column).collect(), rows).of(&inputs.iter().map(labels).collect::<Vec<_>>())
            }
            // The compiler's own number of each row, by which it finds rows again that are in a pair: nothing else can be asked of it. What a question orders by nothing has ties, or one row.
            Operator::Window { input, partition, by, unique: true, functions }
                if partition.is_empty() && by.is_empty() && functions[..] == [Function::RowNumber] =>
            {
                let of = labels(input);
                Labels::new(of.columns.iter().cloned().chain([Label::default()]).collect(), of.rows.clone()).of(&[of])
            }
            Operator::Window { input, partition, by, functions, .. } => {
                let of = labels(input);
                let order = self.sorted(by, of, plan.relation(*input));
                let place = of.placed(&order);
                let split = self.uses.parted(partition.iter().map(|c| &of.columns[*c]), &of.joined);
                let mut columns = of.columns.clone();
                for (i, function) in functions.iter().enumerate() {
                    let words = relation.columns.get(of.columns.len() + i).map_or("", |c| c.words.as_str());
                    let ranks = matches!(function, Function::Rank | Function::DenseRank);
                    let place = if ranks { of.ranked(&order) } else { place.clone() };
                    let label = self.at(words, |me| me.row_window(function, of, &place))?;
                    columns.push(label.and(&order.tested(Operation::Order, "ORDER BY")).and(&split));
                }
                Labels::new(columns, of.rows.clone()).of(&[of])
            }
        })
    }

    fn joined(&mut self, left: &Labels, right: &Labels, on: &[(usize, usize, String)]) -> (Labels, Labels) {
        let (mut on_left, mut on_right) = (BTreeSet::new(), BTreeSet::new());
        for (l, r, words) in on {
            let (l, r) = (&left.columns[*l], &right.columns[*r]);
            self.at(words, |me| me.uses.matched(l, r));
            on_left.extend(l.joining());
            on_right.extend(r.joining());
        }
        (self.joined_on(left, &on_left), self.joined_on(right, &on_right))
    }

    fn sorted(&mut self, by: &[SortKey], of: &Labels, relation: &Relation) -> Label {
        let mut all = Label::default();
        for key in by {
            let words = relation.columns.get(key.column).map_or("", |c| c.words.as_str());
            self.at(&format!("ORDER BY {words}"), |me| me.uses.order(&of.columns[key.column]));
            all = all.and(&of.columns[key.column]);
        }
        all
    }

    fn row_fold(&mut self, fold: &Fold, of: &Labels) -> Result<Label, Unknown> {
        let given = fold.when.map_or_else(Label::default, |when| of.columns[when].tested(Operation::Filter, "FILTER"));
        let column = |c: &usize| of.columns[*c].clone();
        Ok(match &fold.op {
            FoldOp::Rows if given.0.is_empty() => self.uses.count(&of.rows),
            FoldOp::Rows => self.uses.fold(Operation::Count, &given, &of.rows),
            FoldOp::Count(c) => {
                let there = column(c).presence(self.always());
                let there = there.map(|atom| (atom.kind != Kind::Presence || atom.source.private().is_some()).then(|| atom.clone()));
                self.uses.fold(Operation::Count, &there.and(&given), &of.rows)
            }
            FoldOp::CountDistinct(c) => self.uses.fold(Operation::CountDistinct, &column(c).and(&given), &of.rows),
            FoldOp::Sum(c) => self.uses.fold(Operation::Sum, &column(c).and(&given), &of.rows),
            FoldOp::SumDistinct { by, of: c } => {
                let distinct = self.uses.fold(Operation::CountDistinct, &column(by).and(&given), &of.rows);
                self.uses.fold(Operation::Sum, &column(c).and(&given), &of.rows).and(&distinct)
            }
            FoldOp::Min(c) => self.uses.fold(Operation::Min, &column(c).and(&given), &of.rows),
            FoldOp::Max(c) => self.uses.fold(Operation::Max, &column(c).and(&given), &of.rows),
            FoldOp::Percentile { column: c, .. } => self.uses.fold(Operation::Median, &column(c).and(&given), &of.rows),
            // a function of the keys
            FoldOp::Same(c) => self.uses.key(&column(c)),
        })
    }

    fn row_window(&mut self, function: &Function, of: &Labels, place: &Label) -> Result<Label, Unknown> {
        Ok(match function {
            Function::RowNumber | Function::Rank | Function::DenseRank | Function::Ntile(_) => place.clone(),
            Function::Lag { column, default: Some(_), .. } => Label::one_of([&of.columns[*column], &Label::default()]).and(place),
            Function::Lag { column, .. } | Function::First(column) => of.columns[*column].clone().and(place),
            Function::Whole(fold) => self.row_fold(fold, of)?,
            // two of neighbours differ in a row
            Function::Running { fold, .. } | Function::Trailing { fold, .. } => {
                let row = match &fold.op {
                    FoldOp::Rows => Label::default(),
                    FoldOp::Count(c) => of.columns[*c].presence(self.always()),
                    FoldOp::Sum(c) => of.columns[*c].computed(),
                    _ => return Err(Unknown::of("another running aggregate than a sum")),
                };
                self.row_fold(fold, of)?.and(&row).and(place)
            }
        })
    }

    fn nodes(&mut self, nodes: &[RowNode], columns: &[Label], relation: &Relation) -> Result<Vec<(Label, String)>, Unknown> {
        let mut all: Vec<(Label, String)> = Vec::new();
        for node in nodes {
            let of = |id: &RowNodeId| &all[id.0];
            let words = |sign: &str, a: &RowNodeId, b: &RowNodeId| clipped(format!("{} {sign} {}", of(a).1, of(b).1));
            let both = |a: &RowNodeId, b: &RowNodeId| of(a).0.clone().and(&of(b).0);
            let column = |c: usize| relation.columns.get(c).map_or("", |c| c.words.as_str());
            let compared = |label: Label, words: String| (label.tested(Operation::Filter, &words), words);
            let found = match &node.op {
                RowOp::Column(c) => (columns[*c].clone(), column(*c).to_owned()),
                RowOp::Valid(c) => (columns[*c].presence(self.always()), format!("{} IS NOT NULL", column(*c))),
                RowOp::Bit(bit) => (Label::default(), bit.to_string()),
                RowOp::Integer(limbs) => (Label::default(), limbs.first().map_or_else(String::new, u64::to_string)),
                RowOp::Element(value) => (Label::default(), value.to_string()),
                RowOp::Not(a) => (of(a).0.tested_as("NOT"), format!("NOT {}", of(a).1)),
                RowOp::And(bits) => (conditions(bits, &all), joined_words(" AND ", bits, &all)),
                RowOp::Or(bits) => (conditions(bits, &all), joined_words(" OR ", bits, &all)),
                RowOp::Less(a, b) => compared(both(a, b), words("<", a, b)),
                RowOp::Equal(a, b) => {
                    let (l, r, words) = (of(a).0.clone(), of(b).0.clone(), words("=", a, b));
                    (self.at(&words, |me| me.equal(&l, &r, &words)), words)
                }
                RowOp::Add(a, b) => (of(a).0.plus(&of(b).0), words("+", a, b)),
                RowOp::Sub(a, b) => (of(a).0.minus(&of(b).0), words("-", a, b)),
                RowOp::Product(a, b) => {
                    let positive = [a, b].iter().any(|factor| is_positive(&nodes[factor.0].op));
                    (of(a).0.times(&of(b).0, positive), words("*", a, b))
                }
                RowOp::Quotient { a, b, .. } => {
                    let words = words("/", a, b);
                    (both(a, b).computed().and(&both(a, b).tested(Operation::Filter, &words)), words)
                }
                RowOp::Select(c, a, b) => {
                    let when = of(c).0.tested(Operation::Filter, &of(c).1);
                    let when = if asks_for_null(nodes, *c, [*a, *b]) { when.unchosen() } else { when };
                    let one = match (is_zero(nodes, *a), is_zero(nodes, *b)) {
                        (false, false) => Label::one_of([&of(a).0, &of(b).0]),
                        // 0, or what stands for NULL
                        _ => both(a, b).or_null(),
                    };
                    (when.and(&one), clipped(format!("CASE WHEN {} …", of(c).1)))
                }
                // planes of 0 are the least that may be there, or NULL
                RowOp::ToField(a, 1.. | ..=-1) if has_zero(nodes, *a) => (Label::one_of([&of(a).0, &Label::default()]), of(a).1.clone()),
                RowOp::Lift(a) | RowOp::ToField(a, _) | RowOp::ToPlanes(a, _) => of(a).clone(),
                // the same text, longer or of another list
                RowOp::Shift(a, _) | RowOp::Listed(a, _) => of(a).clone(),
                RowOp::Negative(a) => compared(of(a).0.clone(), format!("{} < 0", of(a).1)),
                RowOp::Zero(a) => {
                    let label = if is_conditional_count(relation, &nodes[a.0].op) { of(a).0.any_row() } else { of(a).0.clone() };
                    compared(label, format!("{} = 0", of(a).1))
                }
                RowOp::Linear(terms, constant) => {
                    let term = |(factor, a): &(i128, RowNodeId)| match factor {
                        1 => of(a).0.clone(),
                        _ => of(a).0.times(&Label::default(), *factor >= 0),
                    };
                    let label = terms.iter().map(term).reduce(|sum, term| sum.plus(&term)).unwrap_or_default();
                    let label = if *constant == 0 { label } else { label.plus(&Label::default()) };
                    (label, joined_words(" + ", &terms.iter().map(|(_, a)| *a).collect::<Vec<_>>(), &all))
                }
                RowOp::Floor { of: moment, .. } | RowOp::DatePart { of: moment, .. } => {
                    let (label, words) = of(moment);
                    (label.computed().and(&label.tested(Operation::Filter, words)), words.clone())
                }
            };
            all.push((found.0, clipped(found.1)));
        }
        Ok(all)
    }

    fn row_release(&mut self, release: &RowRelease, relation: &Relation, labels: &Labels) -> Result<(), Unknown> {
        let width = labels.columns.len();
        let mut roles: Vec<Vec<Role>> = vec![Vec::new(); width];
        for column in &release.columns {
            for (of, role) in roles_of(&column.value) {
                // beyond the columns are their valid bits
                let of = if of >= width { of - width } else { of };
                roles.get_mut(of).ok_or_else(|| Unknown::of("a column of an opening that is not there"))?.push(role);
            }
        }
        for ((label, roles), column) in labels.columns.iter().zip(&roles).zip(&relation.columns) {
            let roles = if roles.is_empty() { &[Role::Plain][..] } else { roles };
            self.at(&column.words, |me| roles.iter().for_each(|role| me.uses.out(label, *role)));
        }
        self.at("how many rows there are", |me| me.uses.out_rows(&labels.rows, relation.places > 1));
        Ok(())
    }
}

/// Whether a factor is not less than 0, whatever it is of.
fn is_positive(op: &RowOp) -> bool {
    matches!(op, RowOp::Lift(_) | RowOp::Element(0..))
}

/// Whether a node is the constant 0.
fn is_zero(nodes: &[RowNode], of: RowNodeId) -> bool {
    match &nodes[of.0].op {
        RowOp::Bit(bit) => !bit,
        RowOp::Integer(limbs) => limbs.iter().all(|limb| *limb == 0),
        RowOp::Element(value) => *value == 0,
        RowOp::Lift(a) | RowOp::ToField(a, _) | RowOp::ToPlanes(a, _) => is_zero(nodes, *a),
        _ => false,
    }
}

/// Whether a condition asks of one of these values whether it is there, and the others are 0 or NULL: they add as much without it.
fn asks_for_null(nodes: &[RowNode], when: RowNodeId, values: [RowNodeId; 2]) -> bool {
    match &nodes[when.0].op {
        RowOp::Not(when) => asks_for_null(nodes, *when, values),
        RowOp::Valid(of) => {
            let own = |value: &RowNodeId| matches!(&nodes[value.0].op, RowOp::Column(c) if c == of);
            values.iter().any(own) && values.iter().all(|value| own(value) || is_zero(nodes, *value))
        }
        _ => false,
    }
}

fn has_zero(nodes: &[RowNode], of: RowNodeId) -> bool {
    matches!(nodes[of.0].op, RowOp::Select(_, a, b) if is_zero(nodes, a) || is_zero(nodes, b))
}

/// Whether a value may be the literal 0 instead of a column's: where it is NULL, its place is filled with that, too.
fn may_be_zero(nodes: &[RowNode], value: RowNodeId, valid: Option<RowNodeId>) -> bool {
    let RowOp::Select(when, a, b) = &nodes[value.0].op else { return false };
    let filled = |side: usize| match valid.map(|valid| &nodes[valid.0].op) {
        None => false,
        Some(RowOp::Select(also, va, vb)) if also == when => is_zero(nodes, [*va, *vb][side]),
        Some(_) => true,
    };
    [*a, *b].into_iter().enumerate().any(|(side, arm)| is_zero(nodes, arm) && !filled(side))
}

fn conditions(of: &[RowNodeId], all: &[(Label, String)]) -> Label {
    of.iter().fold(Label::default(), |label, a| label.with_condition(&all[a.0].0))
}

/// Whether a node is the number of a group's rows that met a condition, as it was counted: what is computed of it may say more than whether it is 0.
fn is_conditional_count(relation: &Relation, op: &RowOp) -> bool {
    let RowOp::Column(c) = op else { return false };
    let fold = match &relation.op {
        Operator::Group { keys, folds, .. } => c.checked_sub(keys.len()).and_then(|at| folds.get(at)),
        Operator::Total { folds, .. } => folds.get(*c),
        _ => None,
    };
    fold.is_some_and(|fold| fold.when.is_some() && matches!(fold.op, FoldOp::Rows | FoldOp::Count(_)))
}

fn joined_words(sign: &str, of: &[RowNodeId], all: &[(Label, String)]) -> String {
    clipped(of.iter().map(|a| all[a.0].1.as_str()).collect::<Vec<_>>().join(sign))
}
