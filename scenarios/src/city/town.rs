//! The public keys: boroughs, neighbourhoods, zones.

use std::path::Path;

use super::Stream;
use super::draw::Draw;
use super::table::{Table, decimal};
use crate::error::DataError;

/// Neighbourhoods, each with its borough (an index) and its zones.
const AREAS: [(u32, &str, usize, &[&str]); 12] = [
    (101, "Castle Hill - Mill Pond", 0, &["Castle Hill", "Mill Pond", "Tanner Row"]),
    (102, "Upper Eastgate", 0, &["Chapel Green", "Eastgate Heights", "Quarry Bank", "Swan Field"]),
    (103, "Lower Eastgate", 0, &["Gasworks", "Lower Eastgate/Viaduct", "Rope Walk"]),
    (201, "Docks - Customs House", 1, &["Customs House", "Dry Dock", "Fish Quay", "Long Pier"]),
    (202, "Salt Marsh", 1, &["Lighthouse Point", "Salt Marsh", "Tidemill"]),
    (203, "Harbour Hill", 1, &["Harbour Hill", "Mariners Rest", "Signal Hill"]),
    (301, "Northside Park", 2, &["Arboretum", "Northside Park", "Observatory/College", "Reservoir"]),
    (302, "Kilns - Brickfield", 2, &["Brickfield", "Kilns", "Potters Lane"]),
    (401, "Market - Guildhall", 3, &["Cathedral", "Guildhall", "Market/Corn Exchange", "Theatre District"]),
    (402, "Old Walls", 3, &["Friars Gate", "Old Walls", "Queens Wharf"]),
    (501, "Westfield Meadows", 4, &["Hay Meadow", "Orchard Rise", "Westfield Meadows"]),
    (502, "West Ridge", 4, &["Airfield/Ridgeway", "Sheepfold", "West Ridge"]),
];

/// The boroughs in alphabetical order.
pub(super) const BOROUGHS: [&str; 5] = ["Eastgate", "Harbour", "Northside", "Old Town", "Westfield"];

/// The first ZIP-like number of each borough.
const FIRST: [u32; 5] = [10451, 11201, 11354, 10001, 10301];

pub(super) struct Zone {
    pub modzcta: u32,
    pub uhf42: u32,
    pub area: usize,
    pub borough: usize,
    pub neighborhood: &'static str,
    pub population: i64,
    /// in 1/10,000 km²
    pub surface: i64,
    /// latent, 0..=1000: trade, offices, traffic
    pub busy: i64,
    /// latent, 0..=1000: burden of disease
    pub burden: i64,
}

pub(super) struct Town {
    /// in the order of `modzcta`
    pub zones: Vec<Zone>,
}

impl Town {
    pub(super) fn new(seed: u64) -> Self {
        let mut draw = Draw::new(seed, Stream::Town);
        let mut next = FIRST;
        let mut zones = Vec::new();
        for (area, &(uhf42, _, borough, names)) in AREAS.iter().enumerate() {
            for &neighborhood in names {
                let modzcta = next[borough];
                next[borough] += draw.range(1, 3) as u32;
                let centre = [450, 400, 350, 750, 150][borough];
                let busy = (centre + draw.bell(-300, 300)).clamp(20, 1000);
                let burden = (700 - busy / 2 + draw.bell(-350, 350)).clamp(0, 1000);
                let population = 4_000 + draw.bell(0, 90_000) + draw.range(0, 999);
                let surface = 3_000 + draw.bell(0, if borough == 4 { 250_000 } else { 70_000 });
                zones.push(Zone { modzcta, uhf42, area, borough, neighborhood, population, surface, busy, burden });
            }
        }
        zones.sort_by_key(|z| z.modzcta);
        Self { zones }
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), DataError> {
        let mut table = Table::new(&["modzcta", "uhf42", "uhf_name", "borough", "neighborhood", "population", "area_km2"]);
        for z in &self.zones {
            table.row(&[
                z.modzcta.to_string(),
                z.uhf42.to_string(),
                AREAS[z.area].1.to_owned(),
                BOROUGHS[z.borough].to_owned(),
                z.neighborhood.to_owned(),
                z.population.to_string(),
                decimal(z.surface, 4),
            ]);
        }
        table.write(dir, "keys/zones.csv")
    }

    /// The neighbourhoods in the order of their numbers: number, name, zones.
    pub(super) fn areas(&self) -> impl Iterator<Item = (u32, &'static str, Vec<&Zone>)> {
        AREAS.iter().enumerate().map(|(at, &(uhf42, name, ..))| (uhf42, name, self.zones.iter().filter(|z| z.area == at).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_distinct_and_every_area_has_some() {
        for seed in 0..20 {
            let town = Town::new(seed);
            assert_eq!(town.zones.len(), 40);
            assert!(town.zones.windows(2).all(|w| w[0].modzcta < w[1].modzcta));
            assert_eq!(town.areas().count(), 12);
            assert!(town.areas().all(|(_, _, zones)| zones.len() >= 3));
        }
    }
}
