//! Random questions to the town: a small grammar of what relations can do, as proptest strategies, so that a question that goes wrong
//! shrinks to a short one. Columns are drawn by number and looked up when the text is written, so every value of the grammar is a
//! query that DataFusion runs, and one whose answer does not depend on an order SQL leaves open.

use proptest::prelude::*;

/// A whole question.
#[derive(Clone, Debug)]
pub enum Question {
    /// One SELECT.
    One(Select),
    /// Two, of as many columns each, the first a key; and perhaps one of them again.
    Set { op: u8, columns: Vec<u8>, left: (From, Option<Cond>), right: (From, Option<Cond>), third: Option<(u8, bool)> },
}

/// SELECT … FROM … WHERE …
#[derive(Clone, Debug)]
pub struct Select {
    pub from: From,
    pub filter: Option<Cond>,
    pub shape: Shape,
    /// ORDER BY all columns, LIMIT, OFFSET; directions by bits.
    pub limit: Option<(u8, u8, u8)>,
}

/// A table, and tables joined to it.
#[derive(Clone, Debug)]
pub struct From {
    pub table: u8,
    pub joins: Vec<Join>,
}

#[derive(Clone, Debug)]
pub struct Join {
    pub kind: u8,
    pub table: u8,
    pub on: u8,
    /// A second condition, of the joined row and those before it.
    pub also: Option<Cond>,
}

#[derive(Clone, Debug)]
pub enum Shape {
    Aggregates {
        of: Vec<Aggregate>,
        by: Vec<u8>,
        having: Option<(u8, i8)>,
    },
    Rows {
        items: Vec<Item>,
        distinct: bool,
    },
    Window {
        function: u8,
        /// How many rows away, what stands for a row that is not there, or how many tiles.
        away: u8,
        of: u8,
        partition: Option<u8>,
        by: u8,
        descending: bool,
    },
    /// Aggregates over the groups of a grouped query.
    Groups {
        by: u8,
        of: Aggregate,
        outer: u8,
    },
}

#[derive(Clone, Debug)]
pub enum Item {
    Column(u8),
    Number(Num),
    Condition(Cond),
    Text(Txt),
    When(When),
    Scalar(Scalar),
}

/// A text.
#[derive(Clone, Debug)]
pub enum Txt {
    Column(u8),
    Literal(u8),
    /// UPPER or LOWER.
    Cased(bool, Box<Txt>),
    Part(Box<Txt>, u8, u8),
    Joined(Box<Txt>, Box<Txt>),
    Coalesce(Box<Txt>, Box<Txt>),
    Case(Box<Cond>, Box<Txt>, Box<Txt>),
    /// A number or a date as text.
    Written(u8),
}

/// A date, or a moment.
#[derive(Clone, Debug)]
pub enum When {
    Column(u8),
    Day(u8),
    /// The beginning of its year, quarter, month or week.
    Start(u8, u8),
    Later(u8, i8),
    /// Months later than a day of any of two columns.
    Months(bool, u8, u8, i8),
}

/// An aggregate of another table as a value: with a link, of the rows that are the row's own.
#[derive(Clone, Debug)]
pub struct Scalar {
    pub table: u8,
    pub op: u8,
    pub column: u8,
    pub on: Option<u8>,
    pub also: Option<(u8, i8)>,
}

#[derive(Clone, Debug)]
pub struct Aggregate {
    pub op: u8,
    pub of: Num,
    pub column: u8,
    pub filter: Option<Cond>,
}

#[derive(Clone, Debug)]
pub enum Num {
    Column(u8),
    Literal(i8),
    Times(u8, i8),
    Add(Box<Num>, Box<Num>),
    Sub(Box<Num>, Box<Num>),
    Coalesce(u8, Box<Num>),
    Case(Box<Cond>, Box<Num>, Box<Num>),
    Abs(Box<Num>),
    /// The remainder by one of some numbers.
    Rest(Box<Num>, u8),
    /// As a BIGINT.
    Whole(Box<Num>),
    /// 1 or 0, or NULL.
    Truth(Box<Cond>),
    /// EXTRACT.
    Part(u8, When),
    Length(Box<Txt>),
    /// GREATEST or LEAST.
    Best(bool, Box<Num>, Box<Num>),
}

#[derive(Clone, Debug)]
pub enum Cond {
    Bool(u8),
    Compare(u8, Box<Num>, Box<Num>),
    Texts(u8, u8, u8),
    Text(u8, u8, u8),
    Dates(u8, u8, u8),
    Date(u8, u8, u16),
    IsNull(u8, bool),
    Between(u8, i8, i8),
    Like(Box<Txt>, u8, bool),
    Written(Box<Txt>, u8, Box<Txt>),
    Days(When, u8, When),
    Not(Box<Cond>),
    And(Box<Cond>, Box<Cond>),
    Or(Box<Cond>, Box<Cond>),
    /// [NOT] EXISTS over a table linked to a column of the scope, or compared with one, or neither; or [NOT] IN; in WHERE alone, as DataFusion has it.
    Exists {
        table: u8,
        on: Option<u8>,
        not: bool,
        is_in: bool,
        also: Option<(u8, i8)>,
        /// A column of the table, how, and one of the scope; of EXISTS alone.
        compared: Option<(u8, u8, u8)>,
    },
    /// A comparison with a sub-query; in WHERE alone, too.
    Scalar(Box<Num>, u8, Scalar),
}

/// All questions.
pub fn questions() -> impl Strategy<Value = Question> {
    let filtered = || (from(1), option(filter(1)));
    let columns = proptest::collection::vec(any::<u8>(), 1..=4);
    prop_oneof![
        7 => select().prop_map(Question::One),
        1 => (any::<u8>(), columns, filtered(), filtered(), proptest::option::weighted(0.2, any::<(u8, bool)>()))
            .prop_map(|(op, columns, left, right, third)| Question::Set { op, columns, left, right, third }),
    ]
}

fn option<T: std::fmt::Debug + Clone + 'static>(of: impl Strategy<Value = T> + 'static) -> impl Strategy<Value = Option<T>> {
    proptest::option::weighted(0.4, of)
}

fn select() -> impl Strategy<Value = Select> {
    let limit = proptest::option::weighted(0.25, (any::<u8>(), 1..6_u8, 0..4_u8));
    (from(2), option(filter(2)), shape(), limit).prop_map(|(from, filter, shape, limit)| Select { from, filter, shape, limit })
}

fn from(most: usize) -> impl Strategy<Value = From> {
    let join = (any::<u8>(), any::<u8>(), any::<u8>(), proptest::option::weighted(0.15, cond(0)));
    let join = join.prop_map(|(kind, table, on, also)| Join { kind, table, on, also });
    // mostly there is one: what one owner answers alone is not what is tried here
    let joins = prop_oneof![1 => Just(Vec::new()), 9 => proptest::collection::vec(join, 1..=most)];
    (any::<u8>(), joins).prop_map(|(table, joins)| From { table, joins })
}

fn shape() -> impl Strategy<Value = Shape> {
    let having = proptest::option::weighted(0.3, (any::<u8>(), -5..40_i8));
    let aggregates = (proptest::collection::vec(aggregate(), 1..=3), proptest::collection::vec(any::<u8>(), 0..=2), having);
    let item = prop_oneof![
        12 => any::<u8>().prop_map(Item::Column),
        8 => num(2).prop_map(Item::Number),
        4 => cond(1).prop_map(Item::Condition),
        3 => txt(2).prop_map(Item::Text),
        2 => when().prop_map(Item::When),
        1 => scalar().prop_map(Item::Scalar),
    ];
    let window = (any::<u8>(), any::<u8>(), any::<u8>(), option(any::<u8>()), any::<u8>(), any::<bool>());
    prop_oneof![
        5 => aggregates.prop_map(|(of, by, having)| Shape::Aggregates { of, by, having }),
        4 => (proptest::collection::vec(item, 1..=3), proptest::bool::weighted(0.3))
            .prop_map(|(items, distinct)| Shape::Rows { items, distinct }),
        2 => window.prop_map(|(function, away, of, partition, by, descending)| Shape::Window {
            function, away, of, partition, by, descending
        }),
        1 => (any::<u8>(), aggregate(), any::<u8>()).prop_map(|(by, of, outer)| Shape::Groups { by, of, outer }),
    ]
}

fn aggregate() -> impl Strategy<Value = Aggregate> {
    let filter = proptest::option::weighted(0.1, cond(0));
    (any::<u8>(), num(1), any::<u8>(), filter).prop_map(|(op, of, column, filter)| Aggregate { op, of, column, filter })
}

fn num(depth: usize) -> BoxedStrategy<Num> {
    let leaf = prop_oneof![
        4 => any::<u8>().prop_map(Num::Column),
        1 => (-9..99_i8).prop_map(Num::Literal),
        1 => (any::<u8>(), -3..4_i8).prop_map(|(c, by)| Num::Times(c, by)),
        1 => (any::<u8>(), when()).prop_map(|(part, when)| Num::Part(part, when)),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let boxed = move || num(depth - 1).prop_map(Box::new);
    prop_oneof![
        7 => leaf,
        1 => boxed().prop_map(Num::Whole),
        1 => cond(depth - 1).prop_map(|c| Num::Truth(Box::new(c))),
        1 => txt(depth - 1).prop_map(|text| Num::Length(Box::new(text))),
        2 => (boxed(), boxed()).prop_map(|(a, b)| Num::Add(a, b)),
        2 => (boxed(), boxed()).prop_map(|(a, b)| Num::Sub(a, b)),
        1 => (any::<u8>(), boxed()).prop_map(|(c, b)| Num::Coalesce(c, b)),
        1 => (cond(depth - 1).prop_map(Box::new), boxed(), boxed()).prop_map(|(c, a, b)| Num::Case(c, a, b)),
        1 => boxed().prop_map(Num::Abs),
        1 => (boxed(), any::<u8>()).prop_map(|(a, by)| Num::Rest(a, by)),
        1 => (any::<bool>(), boxed(), boxed()).prop_map(|(greatest, a, b)| Num::Best(greatest, a, b)),
    ]
    .boxed()
}

fn cond(depth: usize) -> BoxedStrategy<Cond> {
    let leaf = prop_oneof![
        2 => any::<u8>().prop_map(Cond::Bool),
        5 => (any::<u8>(), num(0).prop_map(Box::new), num(0).prop_map(Box::new)).prop_map(|(op, a, b)| Cond::Compare(op, a, b)),
        1 => (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(a, op, b)| Cond::Texts(a, op, b)),
        1 => (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(a, op, b)| Cond::Text(a, op, b)),
        1 => (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(a, op, b)| Cond::Dates(a, op, b)),
        1 => (any::<u8>(), any::<u8>(), any::<u16>()).prop_map(|(a, op, day)| Cond::Date(a, op, day)),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(c, not)| Cond::IsNull(c, not)),
        1 => (any::<u8>(), -9..30_i8, 0..99_i8).prop_map(|(c, a, b)| Cond::Between(c, a, b)),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let boxed = move || cond(depth - 1).prop_map(Box::new);
    let text = move || txt(depth - 1).prop_map(Box::new);
    prop_oneof![
        10 => leaf,
        1 => (text(), any::<u8>(), any::<bool>()).prop_map(|(text, pattern, not)| Cond::Like(text, pattern, not)),
        1 => (text(), any::<u8>(), text()).prop_map(|(a, op, b)| Cond::Written(a, op, b)),
        1 => (when(), any::<u8>(), when()).prop_map(|(a, op, b)| Cond::Days(a, op, b)),
        1 => boxed().prop_map(Cond::Not),
        2 => (boxed(), boxed()).prop_map(|(a, b)| Cond::And(a, b)),
        2 => (boxed(), boxed()).prop_map(|(a, b)| Cond::Or(a, b)),
    ]
    .boxed()
}

fn txt(depth: usize) -> BoxedStrategy<Txt> {
    let leaf = prop_oneof![
        6 => any::<u8>().prop_map(Txt::Column),
        1 => any::<u8>().prop_map(Txt::Literal),
        1 => any::<u8>().prop_map(Txt::Written),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let boxed = move || txt(depth - 1).prop_map(Box::new);
    prop_oneof![
        4 => leaf,
        2 => (any::<bool>(), boxed()).prop_map(|(upper, a)| Txt::Cased(upper, a)),
        2 => (boxed(), any::<u8>(), any::<u8>()).prop_map(|(a, from, length)| Txt::Part(a, from, length)),
        1 => (boxed(), boxed()).prop_map(|(a, b)| Txt::Joined(a, b)),
        1 => (boxed(), boxed()).prop_map(|(a, b)| Txt::Coalesce(a, b)),
        1 => (cond(depth - 1).prop_map(Box::new), boxed(), boxed()).prop_map(|(c, a, b)| Txt::Case(c, a, b)),
    ]
    .boxed()
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        2 => any::<u8>().prop_map(When::Column),
        1 => any::<u8>().prop_map(When::Day),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(unit, c)| When::Start(unit, c)),
        1 => (any::<u8>(), -40..40_i8).prop_map(|(c, days)| When::Later(c, days)),
        1 => (any::<bool>(), any::<u8>(), any::<u8>(), any::<i8>()).prop_map(|(greatest, a, b, months)| When::Months(greatest, a, b, months)),
    ]
}

fn scalar() -> impl Strategy<Value = Scalar> {
    let also = proptest::option::weighted(0.3, (any::<u8>(), -5..40_i8));
    let on = proptest::option::weighted(0.6, any::<u8>());
    (any::<u8>(), any::<u8>(), any::<u8>(), on, also).prop_map(|(table, op, column, on, also)| Scalar { table, op, column, on, also })
}

/// What stands behind WHERE.
fn filter(depth: usize) -> BoxedStrategy<Cond> {
    let also = proptest::option::weighted(0.5, (any::<u8>(), -5..40_i8));
    let (on, compared) = (proptest::option::weighted(0.85, any::<u8>()), proptest::option::weighted(0.3, any::<(u8, u8, u8)>()));
    let exists = (any::<u8>(), on, any::<bool>(), any::<bool>(), also, compared);
    let exists = exists.prop_map(|(table, on, not, is_in, also, compared)| Cond::Exists { table, on, not, is_in, also, compared });
    let of = (num(1).prop_map(Box::new), any::<u8>(), scalar()).prop_map(|(a, op, scalar)| Cond::Scalar(a, op, scalar));
    if depth == 0 {
        return prop_oneof![6 => cond(0), 3 => exists, 1 => of].boxed();
    }
    let boxed = move || filter(depth - 1).prop_map(Box::new);
    prop_oneof![
        6 => cond(depth),
        2 => exists,
        1 => of,
        1 => boxed().prop_map(Cond::Not),
        1 => (boxed(), boxed()).prop_map(|(a, b)| Cond::And(a, b)),
        1 => (boxed(), boxed()).prop_map(|(a, b)| Cond::Or(a, b)),
    ]
    .boxed()
}
