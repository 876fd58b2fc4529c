//! What the files say that `tacit init` writes.

pub(super) const ROSTER: &str = "\
# Who takes part. The same file lies at every node and at every planner; its hash is pinned in every query.
# A party's id is its place among the parties; its name is also the SQL schema of its tables.

";

pub(super) const ZONES: &str = "zone,name\n1,North\n2,East\n3,South\n4,West\n";

/// Invented rows.
pub(super) const EXAMPLES: [&str; 3] =
    ["zone,amount\n1,10\n1,20\n2,5\n4,7\n", "zone,amount\n1,100\n3,50\n", "zone,amount\n2,3\n3,4\n4,5\n"];

pub(super) const CATALOGUE: &str = r#"# What may be asked of: tables, columns, types and widths; no data. Public, and the same file at every node.
# Where a table's files are is said by each party in its own party.toml.
version = 1

# What lies between the parties: by it the quickest of several ways is chosen (`tacit explain` shows which), at all nodes alike.
[network]
bandwidth_mbit = 1000           # what each party can send
round_trip_ms = 0.5             # there and back between two of them

# A table of the schema `public` lies at every node and every planner; its content is pinned by its hash
# (`sha256sum public/zones.csv`).
[[table]]
name = "public.zones"
rows = {rows}
sha256 = "{sha256}"
key = ["zone"]                  # unique, not null

[[table.column]]
name = "zone"
type = "INT"                    # INT | BIGINT | DECIMAL(p,s) | DATE | TIMESTAMP | BOOLEAN | STRING
nullable = false
min = 1                         # numbers and dates of private tables must have a range: it bounds how wide a share is
max = 4

[[table.column]]
name = "name"
type = "STRING"
nullable = false
max_bytes = 40                  # of a text without a dictionary: row by row, it is as wide as its longest value may be

# A domain is the public set of values that private columns draw from: what agencies' tables are joined and grouped by.
[[domain]]
name = "zones"
table = "public.zones"
column = "zone"
"#;

pub(super) const CATALOGUE_TABLE: &str = r#"
# Private: only the node `{party}` has its rows.
[[table]]
name = "{party}.example"
max_rows = 100000               # more rows than this are refused at load

[[table.column]]
name = "zone"
type = "INT"
domain = "zones"
min = 1
max = 4

[[table.column]]
name = "amount"
type = "INT"
min = 0
max = 1000
"#;

/// Where a party's tables begin.
pub(super) const TABLES: &str = "# One for each public table and";

pub(super) const PARTY: &str = r#"# An agency's node. Paths are relative to the folder of this file.
node = "{name}"                         # this node's name in the roster, and the SQL schema of its tables
identity = "{name}.key"                 # its private key, mode 0600; it never leaves this machine
roster = "{shared}/roster.toml"               # the same file at every node
catalogue = "{shared}/catalogue.toml"         # the same file at every node
contracts = "{shared}/contracts"              # folder, the same at every node: what the agencies allow; while it is empty, nothing may be asked
state = "state"                         # folder: which attempts have been used, how often contracts have
# listen = "0.0.0.0:7101"               # QUIC (UDP); if left out, what the roster says of this node
http = "{http}"                 # /healthz, /metrics, /ledger; remove the line to have no such listener
# profile = "wan"                       # many milliseconds between the nodes

# [limits]                              # all of these have defaults
# max_rows = 50000000                   # no table longer than this is loaded, whatever the catalogue allows
# memory_mb = 2048                      # for the tables, again for a job's local stage, and again for its shares
# joint_rows = 10000000                 # a plan that works on more rows together is refused
# wire_mb = 16384                       # a plan by which a party may send more is refused
# jobs = 2                              # jobs at a time; more are refused as busy
# job_deadline_s = 300                  # a job that has not ended by then is stopped
# peer_timeout_s = 120                  # how long a peer may keep a round waiting

# One for each public table and for each table of this node: CSV, CSV.gz, or Parquet (a file or a folder).
[[table]]
name = "public.zones"
path = "{shared}/public/zones.csv"

[[table]]
name = "{name}.example"
path = "data/example.csv"
"#;

pub(super) const COORDINATOR: &str = r#"# The coordinator: schedules jobs and keeps sealed results. It holds no data, no share and no key but its own.
# Paths are relative to the folder of this file.
node = "{name}"                     # its name in the roster
identity = "{name}.key"             # its private key, mode 0600
roster = "{shared}/roster.toml"               # the same file at every node
catalogue = "{shared}/catalogue.toml"         # the same file at every node
state = "state"                         # folder: the job queue and sealed results

# [limits]                              # all of these have defaults
# running = 1                           # jobs at a time; the rest wait
# queued = 256                          # jobs that may wait
# queued_per_planner = 16               # of these, by one planner
# keep_hours = 24                       # how long a finished job and its sealed results are kept
# joint_rows = 10000000                 # a plan that works on more rows together is refused
# wire_mb = 16384                       # a plan by which a party may send more is refused
# memory_mb = 2048                      # a plan with more shares at a party is refused
"#;

pub(super) const PLANNER: &str = r#"# A planner, who asks. Paths are relative to the folder of this file.
planner = "{name}"             # this planner's name in the roster
identity = "{name}.key"        # its private key, mode 0600: whoever has it can ask in this name
roster = "{shared}/roster.toml"               # the same file at every node
catalogue = "{shared}/catalogue.toml"         # the same file at every node
contracts = "{shared}/contracts"              # folder, the same at every node: what may be asked; if left out, `tacit explain` does not say
policy = "{shared}/city.policy"               # whom to believe of the city's log, the same file at every node; if left out, receipts are not checked
purpose = "{purpose}"   # what questions are for, if they do not say
# coordinator = "http://127.0.0.1:7180" # if left out, the `api` of the coordinator in the roster

# One for each public table; its content must have the catalogue's hash.
[[table]]
name = "public.zones"
path = "{shared}/public/zones.csv"
"#;
