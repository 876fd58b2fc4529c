//! The tables of the town as random questions name them: columns by kind, and which of them may be equal.

/// What a column is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Int,
    Decimal,
    Text,
    Date,
    Moment,
    Bool,
}

use Kind::{Bool, Date, Decimal, Int, Moment, Text};

/// A table, or a view of one: its text in FROM, and its columns with the kind of thing a key names.
pub struct Table {
    pub text: &'static str,
    pub columns: &'static [(&'static str, Kind, Option<Link>)],
}

/// Columns that may be equal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Person,
    Name,
    Ward,
    Home,
    Day,
    Moment,
}

pub const TABLES: [Table; 13] = [
    Table {
        text: "school.pupils",
        columns: &[
            ("pupil", Int, Some(Link::Person)),
            ("name", Text, Some(Link::Name)),
            ("born", Date, None),
            ("ward", Int, Some(Link::Ward)),
            ("level", Text, None),
            ("points", Decimal, None),
            ("boards", Bool, None),
        ],
    },
    Table {
        text: "clinic.patients",
        columns: &[
            ("patient", Int, Some(Link::Person)),
            ("name", Text, Some(Link::Name)),
            ("ward", Int, Some(Link::Ward)),
            ("weight", Decimal, None),
            ("insured", Bool, None),
            ("since", Date, None),
            ("blood", Text, None),
        ],
    },
    Table {
        text: "housing.tenants",
        columns: &[
            ("tenant", Int, Some(Link::Person)),
            ("home", Int, Some(Link::Home)),
            ("name", Text, Some(Link::Name)),
            ("since", Date, None),
        ],
    },
    Table {
        text: "school.marks",
        columns: &[("pupil", Int, Some(Link::Person)), ("subject", Text, None), ("mark", Int, None), ("day", Date, Some(Link::Day))],
    },
    Table {
        text: "clinic.visits",
        columns: &[
            ("patient", Int, Some(Link::Person)),
            ("day", Date, Some(Link::Day)),
            ("cost", Decimal, None),
            ("ward", Int, Some(Link::Ward)),
            ("kind", Text, None),
        ],
    },
    Table {
        text: "housing.homes",
        columns: &[
            ("home", Int, Some(Link::Home)),
            ("ward", Int, Some(Link::Ward)),
            ("street", Text, None),
            ("rent", Decimal, None),
            ("rooms", Int, None),
            ("heated", Bool, None),
            ("built", Date, None),
        ],
    },
    Table {
        text: "school.entries",
        columns: &[("pupil", Int, Some(Link::Person)), ("at", Moment, Some(Link::Moment)), ("until", Moment, Some(Link::Moment))],
    },
    Table {
        text: "clinic.calls",
        columns: &[
            ("call", Int, None),
            ("patient", Int, Some(Link::Person)),
            ("at", Moment, Some(Link::Moment)),
            ("seen", Moment, Some(Link::Moment)),
        ],
    },
    Table {
        text: "housing.events",
        columns: &[("event", Int, None), ("tenant", Int, Some(Link::Person)), ("at", Moment, Some(Link::Moment))],
    },
    Table { text: "public.wards", columns: &[("ward", Int, Some(Link::Ward)), ("area", Text, None), ("people", Int, None)] },
    Table {
        text: "(SELECT pupil, COUNT(*) AS n, SUM(mark) AS total FROM school.marks GROUP BY pupil)",
        columns: &[("pupil", Int, Some(Link::Person)), ("n", Int, None), ("total", Int, None)],
    },
    Table {
        text: "(SELECT patient, MAX(day) AS latest, SUM(cost) AS cost FROM clinic.visits GROUP BY patient)",
        columns: &[("patient", Int, Some(Link::Person)), ("latest", Date, None), ("cost", Decimal, None)],
    },
    Table {
        text: "(SELECT ward, COUNT(*) AS homes, MIN(rent) AS rent FROM housing.homes GROUP BY ward)",
        columns: &[("ward", Int, Some(Link::Ward)), ("homes", Int, None), ("rent", Decimal, None)],
    },
];
