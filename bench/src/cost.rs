//! The cost gate.

use crate::report::say;
use anyhow::{Context, Result};
use protocols::gate::{Reference, SIZES, gate, uncovered};
use std::path::PathBuf;

/// What to compare with.
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Figures of the independent model
    #[arg(long, value_name = "FILE", default_value = "../shared/model/costs.json")]
    model: PathBuf,
}

/// Runs the gate; `false` if a figure differs.
pub fn run(args: &Args) -> Result<bool> {
    let reference: Option<Reference> = match std::fs::read_to_string(&args.model) {
        Ok(text) => Some(serde_json::from_str(&text).with_context(|| format!("{}: not the model's figures", args.model.display()))?),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(e).with_context(|| args.model.display().to_string()),
    };
    let lines = gate(&SIZES, reference.as_ref());
    let mut ok = true;
    for line in &lines {
        ok &= line.ok;
        if args.json {
            say(&serde_json::to_string(line)?);
        } else if !line.ok {
            say(&format!("DIFFERS  {line:?}"));
        }
    }
    for row in reference.iter().flat_map(|model| uncovered(&SIZES, model, &lines)) {
        ok = false;
        if !args.json {
            say(&format!("UNCOVERED  {row:?}"));
        }
    }
    if !args.json {
        let beside = match &reference {
            Some(_) => format!("and the model of {}", args.model.display()),
            None => format!("(no model at {}: not compared with it)", args.model.display()),
        };
        let verdict = if ok { "all equal" } else { "there are differences" };
        say(&format!("{} comparisons of metered cost with the formulas, the estimate {beside}: {verdict}", lines.len()));
    }
    Ok(ok)
}
