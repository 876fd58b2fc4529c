//! The health agency: restaurants and their inspections, COVID-19, indicators of the neighbourhoods.

use std::path::Path;

use super::Stream;
use super::draw::{Draw, Weights};
use super::energy::Address;
use super::table::{Table, cell, decimal};
use super::town::{BOROUGHS, Town};
use crate::calendar::Day;
use crate::error::DataError;

const RESTAURANTS: i64 = 640;
/// Of these, the first so many lie at the address of a graded building.
const GRADED_ADDRESSES: i64 = 160;
const WEEKS: i64 = 100;

const CUISINES: [&str; 8] = ["American", "Bakery", "Café", "Chinese", "Ice Cream, Gelato, Yogurt, Ices", "Irish", "Italian", "Mexican"];
/// Violation codes; the first four are critical.
const CODES: [&str; 8] = ["02G", "04L", "04N", "06C", "08A", "10B", "10F", "22G"];

pub(super) fn write(dir: &Path, town: &Town, graded: &[Address], seed: u64) -> Result<(), DataError> {
    let (restaurants, inspections) = restaurants(town, graded, seed);
    restaurants.write(dir, "health/restaurants.csv.gz")?;
    inspections.write(dir, "health/inspections.csv.gz")?;
    covid_modzcta(town, seed).write(dir, "health/covid_modzcta.csv")?;
    covid_weekly(town, seed).write(dir, "health/covid_weekly.csv.gz")?;
    indicators(town, seed).write(dir, "health/uhf42_indicators.csv")
}

fn restaurants(town: &Town, graded: &[Address], seed: u64) -> (Table, Table) {
    let mut draw = Draw::new(seed, Stream::Restaurants);
    let place = Weights::new(town.zones.iter().map(|z| 150 + z.busy));
    let mut table = Table::new(&[
        "camis",
        "borough",
        "zip",
        "modzcta",
        "uhf42",
        "address_key",
        "cuisine",
        "inspection_days",
        "latest_score",
        "latest_grade",
    ]);
    let mut records = Inspections::new(seed);
    for nth in 0..RESTAURANTS {
        let camis = 30_075_445 + nth * 1_117 + draw.range(0, 999);
        let address =
            if nth < GRADED_ADDRESSES { draw.pick(graded).clone() } else { Address::new(town, draw.weighted(&place), 10_000 + nth) };
        let zone = &town.zones[address.zone];
        // A post-box ZIP number belongs to no area.
        let known = draw.unless(3, zone);
        let latest = records.of_restaurant(camis, known.map(|z| (z.modzcta, z.uhf42)), zone.burden);
        table.row(&[
            camis.to_string(),
            if draw.chance(1) { "Missing" } else { BOROUGHS[zone.borough] }.to_owned(),
            known.map_or(zone.modzcta + 90, |z| z.modzcta).to_string(),
            cell(known.map(|z| z.modzcta)),
            cell(known.map(|z| z.uhf42)),
            address.key,
            (*draw.pick(&CUISINES)).to_owned(),
            latest.visits.to_string(),
            cell(draw.unless(2, latest.score)),
            cell(draw.unless(25, grade(latest.score))),
        ]);
    }
    (table, records.table)
}

fn grade(score: i64) -> &'static str {
    match score {
        ..=13 => "A",
        14..=27 => "B",
        _ => "C",
    }
}

/// A record per violation; several per visit.
struct Inspections {
    draw: Draw,
    table: Table,
    records: i64,
}

struct Latest {
    visits: i64,
    score: i64,
}

impl Inspections {
    fn new(seed: u64) -> Self {
        let header = ["record_id", "camis", "modzcta", "uhf42", "date", "violation_code", "critical", "score", "grade", "cycle"];
        Self { draw: Draw::new(seed, Stream::Inspections), table: Table::new(&header), records: 0 }
    }

    fn of_restaurant(&mut self, camis: i64, zone: Option<(u32, u32)>, burden: i64) -> Latest {
        let visits = self.draw.range(1, 5);
        let mut score = 0;
        for visit in 0..visits {
            let day = Day(Day::of(2012, 1, 2).0 + visit * 290 + self.draw.range(0, 280));
            let cycle = self.draw.chance(840);
            let violations = 1 + self.draw.bell(0, 3 + burden / 300);
            score = if self.draw.chance(5) { -1 } else { violations * 4 + self.draw.range(0, 9) };
            let score_known = self.draw.unless(60, score).filter(|_| cycle || violations > 1);
            let graded = self.draw.unless(450, grade(score)).filter(|_| cycle);
            for _ in 0..violations {
                self.records += 1;
                let code = draw_code(&mut self.draw, burden);
                let coded = self.draw.unless(17, code);
                self.table.row(&[
                    self.records.to_string(),
                    camis.to_string(),
                    cell(zone.map(|z| z.0)),
                    cell(zone.map(|z| z.1)),
                    day.to_string(),
                    cell(coded.map(|c| CODES[c])),
                    cell(coded.map(|c| i64::from(c < 4))),
                    cell(score_known),
                    cell(graded),
                    i64::from(cycle).to_string(),
                ]);
            }
        }
        Latest { visits, score }
    }
}

fn draw_code(draw: &mut Draw, burden: i64) -> usize {
    let critical = draw.chance(500 + burden / 10);
    (draw.range(0, 3) + if critical { 0 } else { 4 }) as usize
}

fn covid_modzcta(town: &Town, seed: u64) -> Table {
    let mut draw = Draw::new(seed, Stream::CovidModzcta);
    let mut table = Table::new(&["modzcta", "uhf42", "borough", "population", "covid_cases", "covid_confirmed", "covid_deaths"]);
    for z in &town.zones {
        let cases = z.population * (300 + z.burden / 8 + draw.bell(-60, 60)) / 1_000;
        let confirmed = cases * draw.range(760, 820) / 1_000;
        let deaths = 1 + z.population * (80 + z.burden / 2 + draw.bell(-120, 120)).max(5) / 100_000;
        table.row(&[
            z.modzcta.to_string(),
            z.uhf42.to_string(),
            BOROUGHS[z.borough].to_owned(),
            z.population.to_string(),
            cases.to_string(),
            confirmed.to_string(),
            deaths.to_string(),
        ]);
    }
    table
}

/// Weekly case rates from March 2020: four waves, the last the highest; small zones sometimes report nothing.
fn covid_weekly(town: &Town, seed: u64) -> Table {
    let mut draw = Draw::new(seed, Stream::CovidWeekly);
    let mut table = Table::new(&["modzcta", "week_ending", "case_rate_100k"]);
    for z in &town.zones {
        for week in 0..WEEKS {
            let wave = [(4, 300), (44, 420), (74, 190), (95, 2_900)]
                .iter()
                .map(|&(peak, height)| height * 30 / (30 + (week - peak) * (week - peak)))
                .sum::<i64>();
            let rate = wave * (80 + z.burden / 25) + draw.bell(500, 3_000);
            if !draw.chance(12) {
                let ending = Day(Day::of(2020, 3, 14).0 + 7 * week);
                table.row(&[z.modzcta.to_string(), ending.to_string(), decimal(rate, 2)]);
            }
        }
    }
    table
}

fn indicators(town: &Town, seed: u64) -> Table {
    let mut draw = Draw::new(seed, Stream::Indicators);
    let mut table = Table::new(&[
        "uhf42",
        "uhf_name",
        "population",
        "asthma_ed_5_17_rate",
        "asthma_ed_adult_rate",
        "asthma_hosp_adult_rate",
        "diabetes_adult_pct",
        "heat_stress_ed_rate",
        "pedestrian_injury_hosp_rate",
        "household_ac_pct",
        "pm25_death_rate",
    ]);
    for (uhf42, name, zones) in town.areas() {
        let population: i64 = zones.iter().map(|z| z.population).sum();
        let mean = |of: fn(&super::town::Zone) -> i64| zones.iter().map(|&z| of(z) * z.population).sum::<i64>() / population;
        let (burden, busy) = (mean(|z| z.burden), mean(|z| z.busy));
        // Rates are printed with one decimal.
        let mut rate = |base: i64| decimal((base + draw.bell(-base / 8, base / 8)).max(5), 1);
        table.row(&[
            uhf42.to_string(),
            name.to_owned(),
            population.to_string(),
            rate(250 + burden * 4),
            rate(120 + burden * 2),
            rate(20 + burden / 4),
            rate(60 + burden / 8),
            rate(10 + burden / 20),
            rate(120 + busy / 4),
            decimal((960 - burden / 10 + busy / 50).clamp(700, 990), 1),
            rate(220 + burden / 4),
        ]);
    }
    table
}
