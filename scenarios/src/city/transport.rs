//! The transport agency: taxi trips, taxi zones, daily counts of for-hire bases.

use std::path::Path;

use super::Stream;
use super::draw::{Draw, Weights};
use super::table::{Table, cell, decimal};
use super::town::{BOROUGHS, Town, Zone};
use crate::calendar::{Day, clock};
use crate::error::DataError;

/// Three separate months; the first has no fares, as in the real records.
const MONTHS: [(i64, i64, i64, usize); 3] = [(2022, 1, 31, 2_400), (2024, 1, 31, 2_100), (2025, 11, 30, 1_900)];
const BASES: i64 = 18;

pub(super) fn write(dir: &Path, town: &Town, seed: u64) -> Result<(), DataError> {
    let locations = Location::all(town, seed);
    taxi_zones(&locations, town).write(dir, "transport/taxi_zones.csv")?;
    green_trips(&locations, town, seed).write(dir, "transport/green_trips.csv.gz")?;
    fhv_daily(seed).write(dir, "transport/fhv_daily.csv.gz")
}

/// A taxi zone: one or two lie in each ZIP area, a few in none.
struct Location {
    name: String,
    zone: Option<usize>,
    overlap: i64,
    airport: bool,
}

impl Location {
    fn all(town: &Town, seed: u64) -> Vec<Self> {
        let mut draw = Draw::new(seed, Stream::TaxiZones);
        let mut all = vec![
            Self { name: "Outer Airport".to_owned(), zone: None, overlap: 0, airport: true },
            Self { name: "The Bay".to_owned(), zone: None, overlap: 0, airport: false },
        ];
        for (at, zone) in town.zones.iter().enumerate() {
            let airport = zone.neighborhood.starts_with("Airfield");
            let halves: &[&str] = if draw.chance(500) { &[" North", " South"] } else { &[""] };
            for half in halves {
                let overlap = draw.range(450, 1_000);
                all.push(Self { name: format!("{}{half}", zone.neighborhood), zone: Some(at), overlap, airport });
            }
        }
        all
    }
}

fn taxi_zones(locations: &[Location], town: &Town) -> Table {
    let mut table = Table::new(&["location_id", "zone", "taxi_borough", "service_zone", "modzcta", "overlap_share", "uhf42", "borough"]);
    for (id, location) in (1..).zip(locations) {
        let zone = location.zone.map(|at| &town.zones[at]);
        let borough = zone.map(|z| BOROUGHS[z.borough]);
        let service = if location.airport {
            "Airports"
        } else if borough == Some("Old Town") {
            "Yellow Zone"
        } else {
            "Boro Zone"
        };
        table.row(&[
            id.to_string(),
            location.name.clone(),
            borough.unwrap_or("Unknown").to_owned(),
            service.to_owned(),
            cell(zone.map(|z| z.modzcta)),
            cell(zone.map(|_| decimal(location.overlap, 3))),
            cell(zone.map(|z| z.uhf42)),
            cell(borough),
        ]);
    }
    table
}

fn green_trips(locations: &[Location], town: &Town, seed: u64) -> Table {
    let mut draw = Draw::new(seed, Stream::GreenTrips);
    let weigh = |location: &Location, inner: i64| match location.zone.map(|at| &town.zones[at]) {
        // Westfield hardly sees a green taxi; in the old town they may set down, but hardly pick up.
        Some(z) if z.borough == 4 => 8,
        Some(z) => z.busy * if z.borough == 3 { inner } else { 4 } + 100,
        None => 60,
    };
    let pick_ups = Weights::new(locations.iter().map(|l| weigh(l, 2)));
    let set_downs = Weights::new(locations.iter().map(|l| weigh(l, 6)));
    let mut table = Table::new(&[
        "trip_id",
        "month",
        "pickup",
        "duration_s",
        "distance_mi",
        "pu_location",
        "do_location",
        "pu_modzcta",
        "pu_uhf42",
        "do_modzcta",
        "do_uhf42",
        "passengers",
        "fare_usd",
        "tip_usd",
        "total_usd",
        "payment_type",
    ]);
    let mut trip = 0;
    for (year, month, days, rows) in MONTHS {
        let step = days * 86_400 / rows as i64;
        for nth in 0..rows as i64 {
            trip += 1;
            let second = nth * step + draw.range(0, step - 1);
            let (from, to) = (draw.weighted(&pick_ups), draw.weighted(&set_downs));
            let zone = |at: usize| locations[at].zone.map(|z| &town.zones[z]);
            let (pu, dro) = (zone(from), zone(to));
            let miles = miles(&mut draw, pu, dro);
            // Slower where the neighbourhood is busy: hundredths of a mile at 12 to 24 s each 0.04 mi.
            let slow = pu.map_or(300, |z| z.busy);
            let duration = (60 + miles * (240 + slow / 4 + draw.bell(-80, 80)) / 100).clamp(1, 14_400);
            let fare = 300 + 50 * (miles / 20) + draw.range(0, 3) * 25;
            let fare = if draw.chance(4) { -fare } else { fare };
            let card = draw.chance(620);
            let tip = if card && fare > 0 { fare * draw.range(0, 25) / 100 } else { 0 };
            let total = fare + tip + if fare > 0 { 150 } else { -150 };
            let with_fares = year != 2022;
            let dispatched = !with_fares || draw.chance(86);
            let passengers = 1 + draw.bell(0, 5).saturating_sub(1).clamp(0, 5);
            let money = |cents: i64| cell(with_fares.then(|| decimal(cents, 2)));
            table.row(&[
                trip.to_string(),
                format!("{year}-{month:02}"),
                format!("{} {}", Day(Day::of(year, month, 1).0 + second / 86_400), clock(second % 86_400)),
                duration.to_string(),
                decimal(miles, 2),
                (from + 1).to_string(),
                (to + 1).to_string(),
                cell(pu.map(|z| z.modzcta)),
                cell(pu.map(|z| z.uhf42)),
                cell(dro.map(|z| z.modzcta)),
                cell(dro.map(|z| z.uhf42)),
                cell((!dispatched).then_some(passengers)),
                money(fare),
                money(tip),
                money(total),
                cell((!dispatched).then_some(if card { 1 } else { 2 })),
            ]);
        }
    }
    table
}

/// Trip length in hundredths of a mile: short in a zone, longer between boroughs.
fn miles(draw: &mut Draw, from: Option<&Zone>, to: Option<&Zone>) -> i64 {
    match (from, to) {
        (Some(a), Some(b)) if a.modzcta == b.modzcta => draw.bell(10, 180),
        (Some(a), Some(b)) if a.borough == b.borough => draw.bell(60, 480),
        (Some(_), Some(_)) => draw.bell(200, 1_400),
        _ => draw.bell(300, 2_500),
    }
}

/// January to July 2015: more on weekdays, half again as much from April.
fn fhv_daily(seed: u64) -> Table {
    let mut draw = Draw::new(seed, Stream::FhvDaily);
    let sizes: Vec<i64> = (0..BASES).map(|_| 10 + draw.bell(0, 60) * draw.bell(0, 60) / 4).collect();
    let mut table = Table::new(&["date", "base", "trips", "vehicles"]);
    for day in Day::of(2015, 1, 1).0..=Day::of(2015, 7, 31).0 {
        let day = Day(day);
        let week = if day.weekday() < 5 { 10 } else { 8 };
        let season = if day >= Day::of(2015, 4, 1) { 15 } else { 10 };
        for (base, size) in sizes.iter().enumerate() {
            let trips = (size * week * season / 100 + draw.bell(-size / 3, size / 3)).max(1);
            let vehicles = trips / 5 + draw.range(0, 3);
            if !draw.chance(40) {
                table.row(&[day.to_string(), format!("B{:05}", 8 + base * 37), trips.to_string(), vehicles.to_string()]);
            }
        }
    }
    table
}
