//! SPU: installed with pip into a virtual environment, and started as three parties that speak the words of our own.

use crate::micro::Parties;
use crate::report::moment;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What is installed.
const PACKAGE: &str = "spu==0.9.5";
/// The versions of Python its wheels are for.
const PYTHONS: [&str; 2] = ["3.11", "3.10"];
const PARTY: &str = include_str!("spu_party.py");

/// An environment with SPU in it.
pub struct Spu {
    python: PathBuf,
    /// The party's program and the parties' logs; with it goes an environment that is not to be kept.
    folder: tempfile::TempDir,
}

/// What a party of it is told first.
#[derive(Serialize)]
struct Setup {
    party: u8,
    addresses: Vec<SocketAddr>,
    log: PathBuf,
}

impl Spu {
    /// Installs it, unless the environment has it.
    pub fn install(python: Option<&Path>, venv: Option<&Path>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tacit-spu-").tempdir()?;
        std::fs::write(folder.path().join("spu_party.py"), PARTY)?;
        let venv = venv.map_or_else(|| folder.path().join("venv"), Path::to_owned);
        let spu = Spu { python: venv.join("bin").join("python"), folder };
        if !has_spu(&spu.python) {
            let python = match python {
                Some(python) => python.to_owned(),
                None => find_python()?,
            };
            moment(&format!("installing {PACKAGE} into {}", venv.display()));
            succeed(Command::new(&python).args(["-m", "venv"]).arg(&venv)).context("no virtual environment could be made")?;
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1", PACKAGE];
            succeed(Command::new(&spu.python).args(pip)).with_context(|| format!("`pip install {PACKAGE}` failed"))?;
        }
        Ok(spu)
    }

    /// Three parties of it.
    pub fn parties(&self) -> Result<Parties> {
        let addresses = (0..3).map(|_| free_address()).collect::<Result<Vec<_>>>()?;
        let log = tempfile::Builder::new().prefix("logs-").tempdir_in(self.folder.path())?.keep();
        let parties = (0..3).map(|party| {
            let mut command = Command::new(&self.python);
            command.arg(self.folder.path().join("spu_party.py")).current_dir(self.folder.path());
            (command, Setup { party, addresses: addresses.clone(), log: log.join(format!("party{party}")) })
        });
        Parties::of(addresses.clone(), parties)
    }
}

fn has_spu(python: &Path) -> bool {
    let version = Command::new(python).args(["-c", "import importlib.metadata as m; print('spu==' + m.version('spu'))"]).output();
    version.is_ok_and(|output| output.status.success() && String::from_utf8_lossy(&output.stdout).trim() == PACKAGE)
}

fn find_python() -> Result<PathBuf> {
    let version = |python: &str| {
        let output = Command::new(python).args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    for python in ["python3.11", "python3.10", "python3", "python"] {
        if version(python).is_some_and(|v| PYTHONS.contains(&v.as_str())) {
            return Ok(python.into());
        }
    }
    bail!("there is no Python {} in PATH; name one with --python", PYTHONS.join(" or "))
}

/// Runs a command whose output matters only when it fails.
fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output { status, stdout, stderr } = command.output().with_context(|| format!("{program} did not start"))?;
    if status.success() {
        return Ok(());
    }
    let said = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).trim().to_owned());
    let last = said.iter().rev().flat_map(|text| text.lines().next_back()).next().unwrap_or_default();
    bail!("{program} ended with {status}: {last}")
}

fn free_address() -> Result<SocketAddr> {
    // free now; that another program takes it in the next moment is unlikely and shows at once
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
