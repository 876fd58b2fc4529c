//! `tacit catalog` and `tacit doctor`.

use super::{Done, End, PlannerArgs, print, runtime};
use crate::config::Config;
use crate::doctor::{self, Outcome};
use crate::error::Error;
use crate::render::{Format, Table};
use clap::Args;
use query::catalog::{self, Catalog, Column, ColumnType};
use query::datafusion::arrow::array::Int64Array;
use query::datafusion::arrow::compute::cast;
use query::datafusion::arrow::datatypes::DataType;
use query::datafusion::arrow::util::display::array_value_to_string;
use std::fmt::Write as _;
use std::path::PathBuf;

/// List the tables that may be asked of, or the columns of one
#[derive(Debug, Args)]
#[command(after_long_help = CATALOG_HELP)]
pub(super) struct CatalogArgs {
    /// A table, such as transport.green_trips
    table: Option<String>,
    #[command(flatten)]
    planner: PlannerArgs,
    /// How it is printed
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

const CATALOG_HELP: &str = "Examples:
  tacit catalog
  tacit catalog transport.green_trips
  tacit catalog --format json";

pub(super) fn catalog(args: CatalogArgs) -> Done {
    let config = Config::find(args.planner.config.as_deref())?;
    let catalog = Catalog::load(&config.catalogue).map_err(|e| Error::config(e.to_string()))?;
    let text = match &args.table {
        None => tables(&catalog, args.format),
        Some(name) => columns(&catalog, name, args.format)?,
    };
    Ok(print(&text)?)
}

fn tables(catalog: &Catalog, format: Format) -> String {
    let mut table = Table::new(["table", "owner", "rows", "key", "columns"]);
    for t in catalog.tables() {
        let rows = if t.owner().is_some() { format!("at most {}", t.max_rows) } else { t.max_rows.to_string() };
        let columns = t.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
        table.push([t.name.clone(), t.owner().unwrap_or("everyone").to_owned(), rows, t.key.join(", "), columns]);
    }
    let mut text = table.render(format);
    if format == Format::Table {
        text += "\nDomains: what private columns draw from, and tables are joined and grouped by\n\n";
        let mut domains = Table::new(["domain", "column", "values"]);
        for d in catalog.domains() {
            domains.push([d.name.clone(), format!("{}.{}", d.table, d.column), d.values.to_string()]);
        }
        text += &domains.aligned();
        writeln!(text, "\nNetwork, by which ways are chosen: {}", catalog.network()).ok();
    }
    text
}

fn columns(catalog: &Catalog, name: &str, format: Format) -> Result<String, Error> {
    let unknown = || {
        let names = catalog.tables().iter().map(|t| t.name.as_str()).collect::<Vec<_>>().join(", ");
        Error::config(format!("the catalogue has no table `{name}`; it has {names}"))
    };
    let found = catalog.table(name).ok_or_else(unknown)?;
    let mut table = Table::new(["column", "type", "null", "range", "domain", "dictionary"]);
    for c in &found.columns {
        let dictionary = c.dictionary.as_ref().map(|d| d.join(", ")).unwrap_or_default();
        let null = if c.nullable { "yes" } else { "no" };
        let domain = c.domain.clone().unwrap_or_default();
        table.push([c.name.clone(), c.column_type.to_string(), null.into(), range(c), domain, dictionary]);
    }
    let mut text = table.render(format);
    if format == Format::Table {
        let owner = found.owner().map_or("everyone (public)".into(), |owner| format!("{owner} alone"));
        writeln!(text, "\nheld by {owner}; key: {}", if found.key.is_empty() { "none declared".into() } else { found.key.join(", ") }).ok();
    }
    Ok(text)
}

fn range(column: &Column) -> String {
    let Some(catalog::Range { min, max }) = column.range else { return String::new() };
    let show = |raw: i128| match column.column_type {
        ColumnType::Decimal(_, scale) => decimal(raw, scale),
        ColumnType::Date => text(raw, &DataType::Int32, &column.column_type.arrow()),
        ColumnType::Timestamp(_) => text(raw, &DataType::Int64, &column.column_type.arrow()).replacen('T', " ", 1),
        _ => raw.to_string(),
    };
    format!("{} to {}", show(min), show(max))
}

fn decimal(raw: i128, scale: i8) -> String {
    let scale = usize::from(scale.unsigned_abs());
    let digits = format!("{:0width$}", raw.unsigned_abs(), width = scale + 1);
    let (whole, behind) = digits.split_at(digits.len() - scale);
    let sign = if raw < 0 { "-" } else { "" };
    let behind = behind.trim_end_matches('0');
    if behind.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{behind}") }
}

/// A date or a timestamp, of the integer it is.
fn text(raw: i128, integer: &DataType, to: &DataType) -> String {
    let number = Int64Array::from(vec![i64::try_from(raw).unwrap_or_default()]);
    let array = cast(&number, integer).and_then(|number| cast(&number, to));
    array.and_then(|array| array_value_to_string(&array, 0)).unwrap_or_else(|_| raw.to_string())
}

/// Check everything a configuration needs, and say how to mend it
///
/// Files, key, clock, ports, data, and whether everyone can be reached.
#[derive(Debug, Args)]
#[command(after_long_help = DOCTOR_HELP)]
pub(super) struct DoctorArgs {
    /// Configurations of parties, coordinators or planners; if left out, the planner's
    configs: Vec<PathBuf>,
    #[command(flatten)]
    planner: PlannerArgs,
}

const DOCTOR_HELP: &str = "Examples:
  tacit doctor                                      the planner's own configuration
  tacit doctor transport/party.toml                 a party: also loads and checks its data
  tacit doctor coordinator/coordinator.toml
  tacit doctor city/*/*.toml                        everything of a city on one machine

Nothing is changed. Exit code 1 if any check fails; each finding says how to mend it.";

pub(super) fn doctor(args: DoctorArgs) -> Done {
    let configs = match args.configs.is_empty() {
        false => args.configs,
        true => vec![Config::find(args.planner.config.as_deref())?.file],
    };
    let mut broken = false;
    for (at, config) in configs.iter().enumerate() {
        let findings = runtime()?.block_on(doctor::examine(config))?;
        let title = if configs.len() > 1 { format!("{}{}\n\n", if at > 0 { "\n" } else { "" }, config.display()) } else { String::new() };
        print(&format!("{title}{}", doctor::report(&findings)))?;
        broken |= findings.iter().any(|f| f.outcome == Outcome::Broken);
    }
    if broken { Err(End::Quiet(1)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_read_as_sql_writes_them() {
        assert_eq!(decimal(12_345, 2), "123.45");
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(1000, 1), "100");
        assert_eq!(decimal(7, 0), "7");
        let of = |column_type, min, max| {
            let text = "version = 1\n[[table]]\nname = \"a.b\"\nmax_rows = 1\n[[table.column]]\nname = \"c\"\n";
            let catalog = Catalog::parse(&format!("{text}type = {column_type}\nmin = \"{min}\"\nmax = \"{max}\"\n")).expect("a catalogue");
            range(&catalog.table("a.b").expect("the table").columns[0])
        };
        assert_eq!(of("\"DATE\"", "1969-12-31", "2015-01-01"), "1969-12-31 to 2015-01-01");
        let moments = of("\"TIMESTAMP\"\nunit = \"ms\"", "1969-12-31 23:59:59.5", "2015-01-01 12:00:00");
        assert_eq!(moments, "1969-12-31 23:59:59.500 to 2015-01-01 12:00:00");
    }
}
