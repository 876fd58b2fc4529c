//! One party's process.
#![allow(clippy::print_stdout, reason = "answers go to the parent over a pipe")]

use super::delay::Delayed;
use super::work::Prepared;
use super::{Answer, Done, Job, Order, Path, Setup};
use crate::{relational, usage};
use anyhow::{Context, Result, bail};
use mpc_core::establish::{ENGINE_VERSION, Terms, establish};
use mpc_core::identity::Identity;
use mpc_core::roster::Roster;
use mpc_core::{Meter, PartyId};
use mpc_quic::{Mesh, Through};
use protocols::Rep3;
use std::io::{BufRead, Write};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const JOB: [u8; 32] = [0xbe; 32];
const WAIT: Duration = Duration::from_secs(60);

/// Runs until told to stop.
pub fn run() -> Result<()> {
    let mut lines = std::io::stdin().lock().lines();
    let setup: Setup = serde_json::from_str(&lines.next().context("no setup")??)?;
    let identity = Arc::new(Identity::from_seed(&setup.seed));
    let roster = Arc::new(Roster::parse(&setup.roster)?);
    let me = PartyId(setup.party);
    let socket = UdpSocket::bind(roster.party(me).context("not a party")?.resolve()?)?;
    let Path { profile, delay_ms } = setup.path;
    let through: Through = Box::new(move |socket| match delay_ms {
        0 => socket,
        ms => Arc::new(Delayed::new(socket, Duration::from_millis(ms))),
    });
    let mesh = Mesh::start_through(identity.clone(), roster.clone(), socket, profile.parse()?, through)?;
    let link = mesh.link(JOB, 1, WAIT)?;
    let terms = Terms {
        qid: JOB,
        plan_hash: [0; 32],
        roster_hash: roster.hash(),
        catalog_hash: [0; 32],
        contracts: [0; 32],
        log: [0; 32],
        attempt: 1,
        engine_version: ENGINE_VERSION,
        params: [0; 32],
        data: [0; 32],
    };
    let mut engine = Rep3::new(establish(&identity, &roster, me, &terms, Box::new(link))?);
    let mut prepared: Option<Ready> = None;
    let mut before = (Duration::ZERO, Meter::default());
    for line in lines {
        let answer = match serde_json::from_str(&line?)? {
            Order::Prepare(job) => {
                prepared = Some(Ready::new(&job, &mut engine)?);
                Answer::Ready
            }
            Order::Run { at } => {
                let prepared = prepared.as_ref().context("nothing is prepared")?;
                let start = UNIX_EPOCH + Duration::from_nanos(at);
                before = (usage::cpu()?, engine.meter());
                if let Ok(left) = start.duration_since(SystemTime::now()) {
                    std::thread::sleep(left);
                }
                prepared.run(&mut engine)?;
                Answer::Ended { wall_ns: u64::try_from(start.elapsed()?.as_nanos())? }
            }
            Order::Report => {
                let (cpu, meter) = (usage::cpu()? - before.0, engine.meter() - before.1);
                Answer::Cost(Done {
                    cpu_ns: u64::try_from(cpu.as_nanos())?,
                    bytes: Some(meter.bytes),
                    rounds: Some(meter.rounds),
                    peak_memory: usage::peak_memory()?,
                })
            }
            Order::Stop => {
                drop(engine);
                mesh.shutdown();
                return Ok(());
            }
        };
        println!("{}", serde_json::to_string(&answer)?);
        std::io::stdout().flush()?;
    }
    bail!("the parent has gone")
}

/// A job with its inputs shared and its result checked once.
enum Ready {
    Micro(Box<Prepared>),
    Relational(Box<relational::Prepared>),
}

impl Ready {
    fn new(job: &Job, engine: &mut Rep3) -> Result<Self> {
        Ok(match job {
            Job::Micro(work) => Ready::Micro(Box::new(Prepared::new(*work, engine)?)),
            Job::Relational(work) => Ready::Relational(Box::new(relational::Prepared::new(*work, engine)?)),
        })
    }

    fn run(&self, engine: &mut Rep3) -> Result<()> {
        match self {
            Ready::Micro(prepared) => prepared.run(engine).map(drop),
            Ready::Relational(prepared) => prepared.run(engine),
        }
    }
}
