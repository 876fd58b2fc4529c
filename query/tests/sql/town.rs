//! A small town of three agencies: people who go to school, to the clinic and rent a home, under private numbers and names.

use super::pool::Pool;

pub const PARTIES: [&str; 3] = ["school", "clinic", "housing"];

const TABLES: [(&str, &str); 11] = [
    ("public.wards", include_str!("../slt/tables/public.wards.csv")),
    ("school.pupils", include_str!("../slt/tables/school.pupils.csv")),
    ("school.marks", include_str!("../slt/tables/school.marks.csv")),
    ("school.entries", include_str!("../slt/tables/school.entries.csv")),
    ("clinic.patients", include_str!("../slt/tables/clinic.patients.csv")),
    ("clinic.visits", include_str!("../slt/tables/clinic.visits.csv")),
    ("clinic.calls", include_str!("../slt/tables/clinic.calls.csv")),
    ("clinic.cases", include_str!("../slt/tables/clinic.cases.csv")),
    ("housing.homes", include_str!("../slt/tables/housing.homes.csv")),
    ("housing.tenants", include_str!("../slt/tables/housing.tenants.csv")),
    ("housing.events", include_str!("../slt/tables/housing.events.csv")),
];

/// The town, with every table.
pub fn town() -> Pool {
    town_over("")
}

/// The town, with the same rows of every table in another order.
pub fn town_stirred() -> Pool {
    let mut pool = Pool::new(PARTIES, include_str!("../slt/city.toml")).expect("the catalogue of the town is sound");
    for (name, csv) in TABLES {
        let mut rows: Vec<&str> = csv.lines().collect();
        let places = rows.len();
        rows[1..].rotate_left(places / 3);
        rows[1..].reverse();
        pool.add(name, rows.join("\n").as_bytes()).expect("the tables are as the catalogue says");
    }
    pool
}

/// The town, whose agencies all tell how many rows are left at home; of the tables of all but one of them every other row is gone, if it says which.
pub fn town_that_tells(whole: Option<&str>) -> Pool {
    let catalogue = include_str!("../slt/city.toml");
    let hidden = catalogue.lines().filter(|line| !line.starts_with("sizes = "));
    let told =
        hidden.map(|line| if line.starts_with("max_rows = ") { format!("{line}\nsizes = \"exact\"\n") } else { format!("{line}\n") });
    let mut pool = Pool::new(PARTIES, &told.collect::<String>()).expect("the catalogue of the town is sound");
    for (name, csv) in TABLES {
        let stays = name.starts_with("public.") || whole.is_none_or(|owner| name.starts_with(owner));
        let rows: Vec<&str> = csv.lines().enumerate().filter(|(at, _)| stays || *at == 0 || at % 2 == 1).map(|(_, row)| row).collect();
        pool.add(name, rows.join("\n").as_bytes()).expect("the tables are as the catalogue says");
    }
    pool
}

/// The town, between whose agencies lies such a network.
pub fn town_over(network: &str) -> Pool {
    let catalogue = format!("{}\n[network]\n{network}\n", include_str!("../slt/city.toml"));
    let mut pool = Pool::new(PARTIES, &catalogue).expect("the catalogue of the town is sound");
    for (name, csv) in TABLES {
        pool.add(name, csv.as_bytes()).expect("the tables are as the catalogue says");
    }
    pool
}
