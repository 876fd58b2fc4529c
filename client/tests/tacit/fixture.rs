//! A running city, and the command.

use client::city::{Allowed, City, Program};
use client::config::Config;
use client::{Client, demo};
use ledger::contract::{Contract, SignedContract};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// What a command said.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// The command, without anything of whoever runs the tests in its environment.
pub fn tacit(args: &[&str]) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(binary());
    command.args(args).env_remove("TACIT_CONFIG").env_remove("TACIT_LOG").env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

pub fn said(mut command: assert_cmd::Command) -> Said {
    let output = command.output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { code: output.status.code().expect("an exit code"), out: text(output.stdout), err: text(output.stderr) }
}

pub fn run(args: &[&str]) -> Said {
    said(tacit(args))
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Looks until there is something to see.
pub fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let looking = async {
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        loop {
            pause.tick().await;
            if let Some(seen) = look() {
                return seen;
            }
        }
    };
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), looking).await }).expect("it comes to pass")
}

fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_tacit").into()
}

/// A city on invented data, in a folder that goes when it does.
pub struct Town {
    // dropped first: its nodes write into the folder
    pub city: City,
    pub runtime: tokio::runtime::Runtime,
    pub folder: TempDir,
}

impl Town {
    /// The small invented city, nothing started yet.
    pub fn invented() -> Self {
        Self::invented_with(Program { executable: binary(), prefix: Vec::new() })
    }

    /// The same, of nodes that are this program's.
    pub fn invented_with(program: Program) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        scenarios::generate(&data, scenarios::DEMO_SEED).expect("generated");
        Self::made(folder, &data, program)
    }

    /// A city on a data folder, whose contracts allow everything.
    pub fn of(folder: TempDir, data: &Path) -> Self {
        Self::made(folder, data, Program { executable: binary(), prefix: Vec::new() })
    }

    fn made(folder: TempDir, data: &Path, program: Program) -> Self {
        let data = data.canonicalize().expect("the folder");
        let files = scenarios::City::open(&data, folder.path()).expect("a city's files");
        let city = demo::make(&folder, &files, Allowed::Everything, program).expect("made");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { city, runtime, folder }
    }

    /// Starts what does not run, and waits for it.
    pub fn up(&mut self) {
        self.city.start_all().expect("started");
        self.healthy();
        let Self { city, runtime, .. } = self;
        if let Err(e) = runtime.block_on(city.connected(Duration::from_secs(60))) {
            panic!("{e}");
        }
    }

    /// An agency's contract for a table with other terms, before its node starts.
    pub fn terms(&self, table: &str, change: impl FnOnce(&mut Contract)) {
        self.put_terms(table, None, change);
    }

    /// One contract more for a table, in a file of this name.
    pub fn more_terms(&self, table: &str, name: &str, change: impl FnOnce(&mut Contract)) {
        self.put_terms(table, Some(name), |contract| {
            contract.nonce = ledger::bytes::Hash::sha256(&[name.as_bytes()]);
            change(contract);
        });
    }

    fn put_terms(&self, table: &str, name: Option<&str>, change: impl FnOnce(&mut Contract)) {
        let agency = table.split_once('.').expect("a schema").0;
        let identity = self.city.identity(agency).expect("its key");
        let owner = party::contracts::signs(agency, &identity.public()).expect("a key");
        let files =
            std::fs::read_dir(self.city.folder().join("contracts")).expect("the contracts").map(|file| file.expect("a file").path());
        let signed = files.filter_map(|path| {
            let note = std::fs::read_to_string(&path).expect("a contract");
            Some((SignedContract::open(&note, &owner).ok()?.contract, path))
        });
        let (mut contract, path) = signed.into_iter().find(|(contract, _)| contract.dataset == table).expect("the contract");
        change(&mut contract);
        let path = name.map_or(path, |name| self.city.folder().join("contracts").join(name));
        std::fs::write(path, contract.sign(identity.signing_key()).expect("signed")).expect("written");
    }

    pub fn healthy(&mut self) {
        let Self { city, runtime, .. } = self;
        if let Err(e) = runtime.block_on(city.healthy(Duration::from_secs(120), |_| {})) {
            panic!("{e}");
        }
    }

    pub fn client(&self) -> Client {
        Client::open(Config::load(&self.city.planner_config()).expect("a configuration")).expect("a client")
    }

    /// Runs the command as the city's planner.
    pub fn run(&self, args: &[&str]) -> Said {
        said(self.command(args))
    }

    pub fn command(&self, args: &[&str]) -> assert_cmd::Command {
        let mut command = tacit(args);
        command.env("TACIT_CONFIG", self.city.planner_config());
        command
    }

    /// All logs, for a failure's text.
    pub fn logs(&self) -> String {
        self.city.node_names().map(|name| format!("{name}:\n{}\n", self.city.log_end(name))).collect()
    }
}

/// A question all three agencies have a part in, quick.
pub const QUICK: &str = "SELECT z.borough, COUNT(*) AS zones, SUM(c.covid_deaths) AS deaths FROM public.zones z \
    JOIN health.covid_modzcta c ON c.modzcta = z.modzcta GROUP BY z.borough ORDER BY z.borough";
