//! What is different between two catalogues, in words: a hash says only that something is.

use super::{Catalog, Column, Table};

impl Catalog {
    /// The first difference between this catalogue, which is `here`, and another one, which is `there`; `None` if they declare the same.
    pub fn difference(&self, there: &Catalog) -> Option<String> {
        let names = self.tables.iter().chain(&there.tables).map(|table| table.name.as_str());
        let of_tables = names.clone().find_map(|name| match (self.table(name), there.table(name)) {
            (Some(here), Some(there)) => of_table(here, there),
            (Some(_), None) => Some(format!("the table {name} is here, and not there")),
            _ => Some(format!("the table {name} is there, and not here")),
        });
        let of_domains = || {
            let mut names = self.domains.iter().chain(&there.domains).map(|domain| domain.name.as_str());
            names.find(|name| self.domain(name) != there.domain(name)).map(|name| format!("the domain {name} is declared otherwise"))
        };
        let of_network =
            || (self.network != there.network).then(|| format!("the network is {} here, and {} there", self.network, there.network));
        of_tables.or_else(of_domains).or_else(of_network)
    }
}

fn of_table(here: &Table, there: &Table) -> Option<String> {
    let name = &here.name;
    let columns = here.columns.iter().chain(&there.columns).map(|column| column.name.as_str());
    let column = |table: &'_ Table, name: &str| table.columns.iter().find(|column| column.name == name).cloned();
    let of_columns = columns.clone().find_map(|of| match (column(here, of), column(there, of)) {
        (Some(here), Some(there)) => of_column(&format!("{name}.{of}"), &here, &there),
        (Some(_), None) => Some(format!("the column {name}.{of} is here, and not there")),
        _ => Some(format!("the column {name}.{of} is there, and not here")),
    });
    of_columns.or_else(|| {
        (here != there)
            .then(|| format!("the table {name} is declared otherwise (rows, key, sha256, release, sizes, or the order of columns)"))
    })
}

fn of_column(name: &str, here: &Column, there: &Column) -> Option<String> {
    if here.dictionary != there.dictionary {
        let texts = |column: &Column| column.dictionary.clone().unwrap_or_default();
        let (mine, theirs) = (texts(here), texts(there));
        return Some(match (mine.iter().find(|text| !theirs.contains(text)), theirs.iter().find(|text| !mine.contains(text))) {
            (Some(text), _) => format!("the dictionary of {name} has `{text}` here, and not there"),
            (_, Some(text)) => format!("the dictionary of {name} has `{text}` there, and not here"),
            _ => format!("the dictionary of {name} is here or there alone"),
        });
    }
    if here.column_type != there.column_type {
        return Some(format!("{name} is {} here, and {} there", here.column_type, there.column_type));
    }
    (here != there).then(|| format!("{name} is declared otherwise (range, domain, NULLs, max_bytes, distinct or repeats)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version = 1\n[[table]]\nname = \"energy.use\"\nmax_rows = 9\ncolumn = [\n{ name = \"kwh\", type = \"INT\", min = 0, max = 9 },\n\
        { name = \"kind\", type = \"STRING\", dictionary = [\"flat\", \"house\"] },\n]\n";

    #[test]
    fn a_difference_is_named() {
        let of = |text: &str| Catalog::parse(text).expect("a catalogue");
        let here = of(TEXT);
        assert_eq!(here.difference(&here), None);
        for (from, to, words) in [
            ("\"house\"", "\"house\", \"tower\"", "the dictionary of energy.use.kind has `tower` there, and not here"),
            ("\"flat\", ", "", "the dictionary of energy.use.kind has `flat` here, and not there"),
            (", dictionary = [\"flat\", \"house\"]", "", "the dictionary of energy.use.kind has `flat` here, and not there"),
            ("\"INT\"", "\"BIGINT\"", "energy.use.kwh is INT here, and BIGINT there"),
            ("max = 9 }", "max = 8 }", "energy.use.kwh is declared otherwise"),
            ("max_rows = 9", "max_rows = 8", "the table energy.use is declared otherwise"),
            ("energy.use", "energy.uses", "the table energy.use is here, and not there"),
            (
                "version = 1\n",
                "version = 1\n[network]\nround_trip_ms = 40\n",
                "the network is 1 Gbit/s from each party, 0.5 ms there and back here, and 1 Gbit/s from each party, 40 ms there and back there",
            ),
            ("\"kwh\"", "\"kw\"", "the column energy.use.kwh is here, and not there"),
        ] {
            let there = of(&TEXT.replace(from, to));
            let found = here.difference(&there).expect("they differ");
            assert!(found.starts_with(words), "{found}");
            assert!(there.difference(&here).is_some() && there.hash() != here.hash(), "{words}");
        }
    }
}
