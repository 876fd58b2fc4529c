//! How soon a revocation is felt: from `tacit contract revoke`, which writes the note into the folder of its owner's node alone, until a question is refused by that node, and until one is refused by
//! another's, which has it from the log. A planner's client asks one question after another, of a coordinator and three agencies, each a process of its own; every agency has its own folder of contracts.

use crate::demo::tacit;
use anyhow::{Context, Result, anyhow, ensure};
use client::city::{Allowed, City, PLANNER, Program};
use client::config::Config;
use client::error::Error;
use client::{Ask, Client, demo};
use ledger::contract::{Contract, everything};
use ledger::entry::{Body, Entry};
use ledger::store::Store;
use party::contracts::signs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

/// Whose contract is revoked, for which table, and who hears of it by the log alone.
const OWNER: &str = "health";
const TABLE: &str = "health.covid_modzcta";
const OTHER: &str = "energy";
/// A question that is answered quickly: what is measured is no shorter than it takes.
const SQL: &str = "SELECT z.borough, COUNT(*) AS zones, SUM(c.covid_deaths) AS deaths FROM public.zones z \
    JOIN health.covid_modzcta c ON c.modzcta = z.modzcta GROUP BY z.borough";
const WITHIN: Duration = Duration::from_secs(120);

/// How long it took until the owner's node refused a question, and until another's did, revocation by revocation; and what all nodes' processors worked meanwhile for one.
pub struct Measured {
    pub there: Vec<Duration>,
    pub elsewhere: Vec<Duration>,
    pub cpu: Duration,
}

/// Revokes so many contracts, one after the other.
pub fn measure(folder: &Path, revocations: u32) -> Result<Measured> {
    let mut town = Town::start(folder)?;
    let (mut there, mut elsewhere, mut cpu) = (Vec::new(), Vec::new(), 0.0);
    for nth in 0..revocations {
        // The first is the one with which the city begins: while the log has another that is not revoked, that would be asked under.
        let contract = if nth == 0 { town.contract()? } else { town.put_contract(nth)? };
        town.answered()?;
        let before = town.cpu();
        let (at_owner, at_other) = town.revoke(&contract)?;
        cpu += town.cpu() - before;
        there.push(at_owner);
        elsewhere.push(at_other);
    }
    town.city.stop();
    Ok(Measured { there, elsewhere, cpu: Duration::from_secs_f64(cpu.max(0.0) / f64::from(revocations)) })
}

struct Town {
    city: City,
    client: Client,
    runtime: Runtime,
    executable: PathBuf,
}

impl Town {
    fn start(folder: &Path) -> Result<Self> {
        let (data, place) = (folder.join("data"), tempfile::tempdir_in(folder)?);
        scenarios::generate(&data, scenarios::DEMO_SEED)?;
        let files = scenarios::City::open(&data, place.path())?;
        let executable = tacit()?;
        let mut city = demo::make(&place, &files, Allowed::Everything, Program { executable: executable.clone(), prefix: Vec::new() })?;
        // with the folder that all this is in
        let _ = place.keep();
        own_folders(&city)?;
        city.start_all()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        runtime.block_on(city.healthy(WITHIN, |_| {}))?;
        runtime.block_on(city.connected(WITHIN))?;
        let client = Client::open(Config::load(&city.planner_config())?)?;
        Ok(Self { city, client, runtime, executable })
    }

    fn ask(&self) -> Result<(), Error> {
        self.runtime.block_on(self.client.ask(SQL, &Ask::default(), |_| {})).map(drop)
    }

    fn cpu(&self) -> f64 {
        self.city.node_names().filter_map(|name| self.city.cpu_seconds(name)).sum()
    }

    /// Asks until there is an answer.
    fn answered(&self) -> Result<()> {
        let since = Instant::now();
        while let Err(error) = self.ask() {
            ensure!(since.elapsed() < WITHIN, "the question is not answered: {error}");
        }
        Ok(())
    }

    /// The contract for the table that the owner's node has.
    fn contract(&self) -> Result<PathBuf> {
        of_table(&home(&self.city, OWNER))?.pop().context("there is no contract for the table")
    }

    /// Another contract for it in the place of the revoked one, at all agencies and the planner.
    fn put_contract(&self, nth: u32) -> Result<PathBuf> {
        let identity = self.city.identity(OWNER)?;
        let key = |name: &str| {
            let listed = self.city.roster().node(name).map(|node| node.key).or_else(|| self.city.roster().planner(name).map(|p| p.key));
            listed.and_then(|key| signs(name, &key)).with_context(|| format!("`{name}` has no key"))
        };
        let columns = self.client.catalog().table(TABLE).context("the catalogue has no such table")?;
        let columns = everything(columns.columns.iter().map(|column| column.name.as_str()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let contract = Contract::new(TABLE, key(OWNER)?, vec![key(PLANNER)?], columns, now).map_err(|e| anyhow!("no randomness: {e}"))?;
        let note = contract.sign(identity.signing_key())?;
        let folders = folders(&self.city).chain([self.city.folder().join("contracts")]);
        for folder in folders {
            of_table(&folder)?.into_iter().try_for_each(std::fs::remove_file)?;
            std::fs::write(folder.join(format!("{nth}.contract")), &note)?;
        }
        self.contract()
    }

    /// Asks on while its owner revokes a contract, until its node has refused, and another's has.
    fn revoke(&self, contract: &Path) -> Result<(Duration, Duration)> {
        let key = self.city.folder().join(OWNER).join(format!("{OWNER}.key"));
        let start = Instant::now();
        let revoked = Command::new(&self.executable).args(["contract", "revoke"]).arg(contract).arg("--identity").arg(key).output()?;
        ensure!(revoked.status.success(), "`tacit contract revoke` failed: {}", String::from_utf8_lossy(&revoked.stderr));
        let mut there = None;
        loop {
            ensure!(start.elapsed() < WITHIN, "the question is not refused");
            let refusals = match self.ask() {
                Err(Error::Refused(refusals)) => refusals.0,
                Err(Error::Job(_)) | Ok(()) => continue,
                Err(error) => return Err(anyhow!("{error}")),
            };
            let by = |name: &str| refusals.iter().any(|declined| declined.refusal.party.as_deref() == Some(name));
            if by(OWNER) {
                there.get_or_insert(start.elapsed());
            }
            if let (Some(there), true) = (there, by(OTHER)) {
                let elsewhere = start.elapsed();
                ensure!(self.has_heard()?, "`{OTHER}` refuses the question, and its mirror of the log has no revocation");
                return Ok((there, elsewhere));
            }
        }
    }

    /// Whether the last contract on the log is revoked there, as the other agency has it.
    fn has_heard(&self) -> Result<bool> {
        let store = Store::read(&self.city.folder().join(OTHER).join("state/ledger"))?;
        let mut last = None;
        for at in 0..store.size() {
            let entry = store.entry(at)?;
            match Entry::parse(&entry)?.body {
                Body::Contract(contract) if contract.dataset == TABLE => last = Some(false),
                Body::Revoke(_) => last = Some(true),
                _ => {}
            }
        }
        Ok(last == Some(true))
    }
}

/// The contracts for the table in a folder.
fn of_table(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let file = file?.path();
        if std::fs::read_to_string(&file)?.contains(&format!("\"{TABLE}\"")) {
            found.push(file);
        }
    }
    Ok(found)
}

/// Where an agency has its contracts.
fn home(city: &City, agency: &str) -> PathBuf {
    city.folder().join(agency).join("contracts")
}

fn folders(city: &City) -> impl Iterator<Item = PathBuf> {
    city.roster().parties().map(|party| home(city, &party.name))
}

/// Gives each agency a folder of contracts of its own, in the place of the one that all share.
fn own_folders(city: &City) -> Result<()> {
    for party in city.roster().parties() {
        let folder = home(city, &party.name);
        std::fs::create_dir(&folder)?;
        for file in std::fs::read_dir(city.folder().join("contracts"))? {
            let file = file?;
            std::fs::copy(file.path(), folder.join(file.file_name()))?;
        }
        let config = city.node_config(&party.name).with_context(|| format!("`{}` has no configuration", party.name))?;
        let (text, shared) = (std::fs::read_to_string(config)?, "contracts = \"../contracts\"");
        ensure!(text.contains(shared), "{}: it has other contracts", config.display());
        std::fs::write(config, text.replace(shared, "contracts = \"contracts\""))?;
    }
    Ok(())
}
