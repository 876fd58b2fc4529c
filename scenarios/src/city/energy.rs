//! The energy agency: buildings, graded buildings, hourly demand.

use std::path::Path;

use super::Stream;
use super::draw::{Draw, Weights};
use super::table::{Table, cell, decimal};
use super::town::{BOROUGHS, Town};
use crate::calendar::{Day, clock};
use crate::error::DataError;

const BUILDINGS: i64 = 3_600;
const GRADED: i64 = 1_200;

/// A property type and its usual energy use in tenths of a kBtu a square foot.
const PROPERTY: [(&str, i64); 8] = [
    ("Multifamily Housing", 780),
    ("Office", 720),
    ("K-12 School", 600),
    ("Hotel", 980),
    ("Retail Store", 650),
    ("Hospital (General Medical & Surgical)", 2_100),
    ("College/University", 1_150),
    ("Worship Facility", 450),
];

const STREETS: [&str; 10] =
    ["HIGH ST", "CANAL ST", "MILL RD", "QUAY ST", "STATION RD", "PARK AVE", "BRIDGE ST", "KILN LA", "CHURCH ST", "RIDGE RD"];

/// Writes the three tables; hands back the addresses of graded buildings, at some of which there is a restaurant.
pub(super) fn write(dir: &Path, town: &Town, seed: u64) -> Result<Vec<Address>, DataError> {
    buildings(town, seed).write(dir, "energy/buildings.csv.gz")?;
    let (table, addresses) = graded_buildings(town, seed);
    table.write(dir, "energy/graded_buildings.csv.gz")?;
    hourly_demand(seed).write(dir, "energy/hourly_demand.csv.gz")?;
    Ok(addresses)
}

/// A street address: `Borough|house number|STREET`.
#[derive(Clone)]
pub(super) struct Address {
    pub zone: usize,
    pub key: String,
}

impl Address {
    /// The `nth` address of the zone: distinct for each `nth` below 20,000.
    pub(super) fn new(town: &Town, zone: usize, nth: i64) -> Self {
        let street = STREETS[(nth % 10) as usize];
        let house = zone as i64 * 2_000 + nth / 10 + 1;
        Self { zone, key: format!("{}|{house}|{street}", BOROUGHS[town.zones[zone].borough]) }
    }
}

fn buildings(town: &Town, seed: u64) -> Table {
    let mut draw = Draw::new(seed, Stream::Buildings);
    let place = Weights::new(town.zones.iter().map(|z| 200 + z.busy + z.population / 100));
    let kind = Weights::new([50, 16, 10, 6, 8, 2, 4, 4]);
    let mut table = Table::new(&[
        "building_id",
        "modzcta",
        "uhf42",
        "borough",
        "property_type",
        "gfa_ft2",
        "site_eui_kbtu_ft2",
        "energy_star_score",
        "building_age_y",
        "meters_cat",
        "est_gas",
        "est_electricity",
        "subsidized_housing",
        "multifamily_gfa_ft2",
        "plausible",
        "site_energy_mmbtu",
    ]);
    for id in 1..=BUILDINGS {
        let at = draw.weighted(&place);
        let zone = draw.unless(39, &town.zones[at]);
        let (property, usual) = PROPERTY[draw.weighted(&kind)];
        // Floor area grows by powers of two, so that a few buildings hold much of it.
        let area = (25_000 + draw.range(0, 24_999)) << draw.bell(0, 8).saturating_sub(2).clamp(0, 5);
        let area = draw.unless(1, area);
        let leaky = zone.map_or(0, |z| z.burden / 4);
        let intensity = (usual + leaky + draw.bell(-400, 600)).max(1);
        let reported = match draw.range(0, 999) {
            0..=59 => None,
            60..=66 => Some(0),
            67..=69 => Some(intensity * 400),
            _ => Some(intensity),
        };
        let plausible = reported.is_some_and(|e| (1..=10_000).contains(&e)) && area.is_some();
        let energy = plausible.then(|| (area.unwrap_or(0) * reported.unwrap_or(0) + 5_000) / 10_000);
        let score = (100 - intensity / 20 + draw.bell(-25, 25)).clamp(1, 100);
        let housing = property == "Multifamily Housing";
        let subsidized = i64::from(draw.chance(180));
        let score = draw.unless(228, score);
        let age = if draw.chance(1) { -draw.range(1, 9) } else { draw.bell(0, 170) };
        let meters = *draw.pick(&["5", "10", "15", "20", "25", "25+"]);
        let est_gas = i64::from(draw.chance(60));
        let est_electricity = i64::from(draw.chance(90));
        table.row(&[
            id.to_string(),
            cell(zone.map(|z| z.modzcta)),
            cell(zone.map(|z| z.uhf42)),
            cell(zone.map(|z| BOROUGHS[z.borough])),
            cell(draw.unless(10, property)),
            cell(area),
            cell(reported.map(|e| decimal(e, 1))),
            cell(score),
            age.to_string(),
            cell(draw.unless(9, meters)),
            cell(draw.unless(108, est_gas)),
            cell(draw.unless(54, est_electricity)),
            cell(housing.then_some(subsidized)),
            cell(area.filter(|_| housing)),
            i64::from(plausible).to_string(),
            cell(energy),
        ]);
    }
    table
}

fn graded_buildings(town: &Town, seed: u64) -> (Table, Vec<Address>) {
    let mut draw = Draw::new(seed, Stream::GradedBuildings);
    let mut table = Table::new(&["bbl", "borough", "address_key", "gfa_ft2", "energy_star_score", "grade"]);
    let mut addresses = Vec::new();
    for nth in 0..GRADED {
        let zone = (nth % town.zones.len() as i64) as usize;
        let address = Address::new(town, zone, nth);
        let borough = town.zones[zone].borough;
        let lot = (borough as i64 + 1) * 1_000_000_000 + nth * 100_003 + draw.range(1, 9_999);
        let score = draw.bell(1, 130).min(100);
        let grade = match score {
            85.. => "A",
            70..=84 => "B",
            55..=69 => "C",
            _ => "D",
        };
        table.row(&[
            lot.to_string(),
            BOROUGHS[borough].to_owned(),
            address.key.clone(),
            (25_000 + draw.bell(0, 900_000)).to_string(),
            score.to_string(),
            grade.to_owned(),
        ]);
        addresses.push(address);
    }
    (table, addresses)
}

/// January to July 2015, hour by hour: high by day, and the more so the hotter it is.
fn hourly_demand(seed: u64) -> Table {
    let mut draw = Draw::new(seed, Stream::HourlyDemand);
    let mut table = Table::new(&["hour_start", "demand_mw", "temp_f", "precip_in"]);
    let first = Day::of(2015, 1, 1);
    for day in first.0..=Day::of(2015, 7, 31).0 {
        let since = day - first.0;
        let warm = 3_000 + since * 24 + draw.bell(-900, 900);
        let wet = draw.chance(250);
        for hour in 0..24 {
            let sun = 12 - (hour - 14_i64).abs();
            let temperature = warm + sun * 80 + draw.bell(-60, 60);
            let cooling = (temperature - 6_500).max(0) * 9 / 10;
            let weekday = if Day(day).weekday() < 5 { 3_000 } else { 0 };
            let load = 42_000 + weekday + sun.max(0) * 1_000 + cooling * 6 + draw.bell(-900, 900);
            let rain = if wet { draw.bell(0, 1_200) } else { 0 };
            table.row(&[
                format!("{} {}", Day(day), clock(hour * 3600)),
                cell(draw.unless(2, decimal(load, 1))),
                cell(draw.unless(4, decimal(temperature, 2))),
                cell(draw.unless(5, decimal(rain, 4))),
            ]);
        }
    }
    table
}
