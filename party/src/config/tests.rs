use super::*;

const SAMPLE: &str = r#"node = "transport"
identity = "transport.key"
roster = "/etc/tacit/roster.toml"
catalogue = "catalogue.toml"
contracts = "contracts"
state = "state"
listen = "127.0.0.1:7101"

[limits]
jobs = 3

[[table]]
name = "public.zones"
path = "keys/zones.csv"

[[table]]
name = "transport.trips"
path = "transport/trips.CSV.gz"
null = "NA"
undeclared_columns = "refuse"

[[table]]
name = "transport.days"
path = "days"
format = "parquet"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/srv/tacit/party.toml"))
}

fn refused(from: &str, to: &str, line: usize, what: &str) {
    assert!(SAMPLE.contains(from), "{from}");
    let error = parse(&SAMPLE.replacen(from, to, 1)).expect_err(to);
    assert_eq!(error.line, Some(line), "{error}");
    let text = error.to_string();
    assert!(text.starts_with(&format!("/srv/tacit/party.toml, line {line}: ")), "{text}");
    assert!(text.contains(what), "{text}");
}

#[test]
fn a_configuration_is_read_and_written_back() {
    let config = parse(SAMPLE).expect("a configuration");
    assert_eq!(config.node, "transport");
    assert_eq!(config.identity, Path::new("/srv/tacit/transport.key"));
    assert_eq!(config.roster, Path::new("/etc/tacit/roster.toml"));
    assert_eq!(config.listen, Some("127.0.0.1:7101".parse().expect("an address")));
    assert_eq!((config.http, config.profile), (None, Profile::Lan));
    assert_eq!(config.limits, Limits { jobs: 3, ..Limits::default() });
    let formats: Vec<Format> = config.tables.iter().map(|t| t.format).collect();
    assert_eq!(formats, [Format::Csv, Format::CsvGz, Format::Parquet]);
    assert_eq!(config.tables[1].shown, "transport/trips.CSV.gz");
    assert_eq!(config.tables[1].path, Path::new("/srv/tacit/transport/trips.CSV.gz"));
    assert_eq!(config.tables[1].undeclared_columns, Undeclared::Refuse);
    let mut again = Config::parse(&config.to_toml(), Path::new("elsewhere.toml")).expect("written back");
    again.tables.iter_mut().zip(&config.tables).for_each(|(a, b)| a.shown.clone_from(&b.shown));
    assert_eq!(again, config);
}

#[test]
fn the_log_is_below_the_state_folder_unless_said_otherwise() {
    assert_eq!(parse(SAMPLE).expect("a configuration").ledger, None);
    let section = "[ledger]\npolicy = \"../city.policy\"\nwitness = \"witness.key\"\nvalidated = \"validated.key\"\n";
    let with = |more: &str| parse(&SAMPLE.replacen("[limits]", &format!("{section}{more}\n[limits]"), 1));
    let config = with("").expect("a configuration");
    let ledger = config.ledger.as_ref().expect("a log");
    assert_eq!(
        (ledger.policy.as_path(), ledger.folder.as_path()),
        (Path::new("/srv/tacit/../city.policy"), Path::new("/srv/tacit/state/ledger"))
    );
    let again = Config::parse(&config.to_toml(), Path::new("elsewhere.toml")).expect("written back");
    assert_eq!(again.ledger, config.ledger);
    let second = with("handover = \"second.handover\"\nafter = [\"first\"]").expect("a configuration");
    let before = second.ledger.as_ref().and_then(|ledger| ledger.before.as_ref()).expect("it goes on");
    assert_eq!((before.handover.as_path(), before.after.len()), (Path::new("/srv/tacit/second.handover"), 1));
    assert_eq!(Config::parse(&second.to_toml(), Path::new("elsewhere.toml")).expect("written back").ledger, second.ledger);
    assert!(with("handover = \"second.handover\"").expect_err("no log before").to_string().contains("belong together"));
    let elsewhere = with("folder = \"/log\"").expect("a configuration").ledger.expect("a log");
    assert_eq!(elsewhere.folder, Path::new("/log"));
    assert!(with("folder = \"\"").expect_err("no folder").to_string().contains("`folder` is empty"));
}

#[test]
fn errors_name_the_line_and_what_to_do() {
    refused("state = \"state\"", "stat = \"state\"", 6, "unknown field `stat`");
    refused("jobs = 3", "jobs = 0", 9, "jobs = 0 must be from 1 to 256");
    refused("jobs = 3", "job = 3", 10, "unknown field `job`");
    refused("jobs = 3", "jobs = \"many\"", 10, "invalid type");
    refused("127.0.0.1:7101", "localhost", 7, "`listen` is not an address and a port");
    refused("\"public.zones\"", "\"zones\"", 13, "not `schema.table`");
    refused("\"public.zones\"", "\"health.zones\"", 13, "this node holds `public` and its own, `transport`");
    refused("\"public.zones\"", "\"transport.trips\"", 17, "given twice");
    refused("zones.csv", "zones.txt", 14, "add format =");
    refused("format = \"parquet\"", "format = \"xlsx\"", 25, "unknown variant `xlsx`");
    refused("format = \"parquet\"", "format = \"parquet\"\nnull = \"NA\"", 26, "`null` is for CSV");
    refused("\"catalogue.toml\"", "\"\"", 4, "`catalogue` is empty");
    refused("node = \"transport\"", "node = transport", 1, "");
    let missing = parse(&SAMPLE.replace("roster = \"/etc/tacit/roster.toml\"", "")).expect_err("no roster");
    assert!(missing.to_string().contains("missing field `roster`"), "{missing}");
    let missing = parse(&SAMPLE.replace("contracts = \"contracts\"", "")).expect_err("no folder of contracts");
    assert!(missing.to_string().contains("missing field `contracts`"), "{missing}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load("/nonexistent/party.toml").expect_err("no such file").to_string();
    assert!(error.starts_with("/nonexistent/party.toml: "), "{error}");
}
