//! What the agencies allow to be asked of their tables: the operations of their contracts, by table and column. What the questions need is
//! allowed, and little more; what is not listed is not. Money, the letters and cuisine of single restaurants, and a building's type, say, are
//! nobody's business.

/// What a table's agency allows: for each column, the operations, in the words of contracts.
pub type Allowed = &'static [(&'static str, &'static str)];

/// What is allowed of each table that questions may be asked of.
pub fn allowed() -> &'static [(&'static str, Allowed)] {
    ALLOWED
}

const ALLOWED: &[(&str, Allowed)] = &[
    (
        "transport.green_trips",
        &[
            ("*", "COUNT"),
            ("do_modzcta", "GROUP JOIN"),
            ("duration_s", "AVG CORR MIN ORDER SUM"),
            ("month", "FILTER"),
            ("pu_modzcta", "GROUP JOIN"),
            ("pu_uhf42", "GROUP JOIN"),
        ],
    ),
    ("transport.fhv_daily", &[("date", "GROUP JOIN"), ("trips", "AVG FILTER SUM")]),
    (
        "energy.buildings",
        &[
            ("*", "COUNT"),
            ("gfa_ft2", "CORR SUM"),
            ("modzcta", "GROUP JOIN"),
            ("plausible", "FILTER"),
            ("site_energy_mmbtu", "CORR FILTER GROUP ORDER SUM"),
            ("uhf42", "GROUP JOIN"),
        ],
    ),
    ("energy.graded_buildings", &[("*", "COUNT"), ("address_key", "JOIN"), ("grade", "GROUP")]),
    ("energy.hourly_demand", &[("demand_mw", "AVG FILTER MAX"), ("hour_start", "FILTER GROUP JOIN")]),
    (
        "health.covid_modzcta",
        &[
            ("*", "COUNT"),
            ("covid_cases", "SUM"),
            ("covid_deaths", "CORR FILTER ORDER SUM"),
            ("modzcta", "GROUP JOIN"),
            ("population", "CORR FILTER ORDER"),
        ],
    ),
    (
        "health.covid_weekly",
        &[("*", "COUNT"), ("case_rate_100k", "AVG CORR FILTER ORDER"), ("modzcta", "GROUP JOIN"), ("week_ending", "FILTER")],
    ),
    (
        "health.inspections",
        &[
            ("*", "COUNT"),
            ("critical", "CORR COUNT FILTER SUM"),
            ("cycle", "FILTER"),
            ("date", "GROUP JOIN"),
            ("modzcta", "GROUP JOIN"),
            ("score", "SUM"),
        ],
    ),
    (
        "health.restaurants",
        &[("*", "COUNT"), ("address_key", "COUNT_DISTINCT JOIN"), ("latest_grade", "COUNT FILTER"), ("latest_score", "COUNT SUM VAR")],
    ),
    ("health.uhf42_indicators", &[("*", "COUNT"), ("asthma_ed_5_17_rate", "CORR FILTER GROUP"), ("uhf42", "GROUP JOIN")]),
];
