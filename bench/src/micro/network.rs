//! What a network does to a session. Two works 40 ms of round trip apart, under the LAN profile and the WAN profile; and a thousand rounds on
//! loopback while a stranger floods the parties' sockets.

use super::{Job, Parties, Path, Work, judge};
use crate::report::{self, Beside};
use anyhow::{Context, Result};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How to run them.
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    /// Repetitions; the median counts
    #[arg(short = 'n', long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
}

/// Half a round trip.
const DELAY_MS: u64 = 20;
/// What a stranger sends, to all parties together.
const FLOOD_BYTES_S: f64 = 50e6;

/// Runs them; `false` if a limit is exceeded.
pub fn run(args: &Args) -> Result<bool> {
    if !args.json {
        report::header();
    }
    let mut ok = true;
    for work in [Work::FarMul, Work::FarRounds] {
        let far = |profile: &str| {
            let mut parties = Parties::start(&Path { profile: profile.into(), delay_ms: DELAY_MS })?;
            let runs = parties.measure(&Job::Micro(work), args.repetitions)?;
            parties.stop()?;
            Ok::<_, anyhow::Error>(judge(&Job::Micro(work), &runs))
        };
        let (lan, mut row) = (far("lan")?, far("wan")?);
        row.line.beside = Some(beside("LAN profile", lan.line.wall_s, row.line.wall_s));
        ok &= row.line.ok;
        row.print(args.json);
    }
    let mut parties = Parties::start(&Path::default())?;
    let flooded_rounds = Job::Micro(Work::FloodedRounds);
    let quiet = judge(&flooded_rounds, &parties.measure(&flooded_rounds, args.repetitions)?);
    let flood = Flood::start(parties.addresses().to_vec());
    let flooded = parties.measure(&flooded_rounds, args.repetitions);
    flood.stop()?;
    let mut row = judge(&flooded_rounds, &flooded?);
    parties.stop()?;
    row.line.beside = Some(beside("without the flood", quiet.line.wall_s, row.line.wall_s));
    ok &= row.line.ok;
    row.print(args.json);
    Ok(ok)
}

fn beside(what: &'static str, beside_s: f64, itself_s: f64) -> Beside {
    Beside { beside: what, beside_s, ratio: beside_s / itself_s, cpu_ratio: None, bytes_ratio: None }
}

/// A stranger who sends junk.
struct Flood {
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<()>>,
}

impl Flood {
    fn start(victims: Vec<SocketAddr>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = over.clone();
        let thread = std::thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").context("no port to flood from")?;
            let (mut junk, began, mut sent) = ([0x55u8; 1200], Instant::now(), 0.0);
            for at in 0usize.. {
                if until.load(Ordering::Relaxed) {
                    break;
                }
                // short and long heads in turn, never twice the same
                junk[0] = if at % 2 == 0 { 0x40 } else { 0xc0 };
                junk[5..13].copy_from_slice(&at.to_le_bytes());
                // a full buffer is the stranger's loss
                let _ = socket.send_to(&junk, victims[at % victims.len()]);
                sent += junk.len() as f64;
                let ahead = sent / FLOOD_BYTES_S - began.elapsed().as_secs_f64();
                if ahead > 0.001 {
                    std::thread::sleep(Duration::from_secs_f64(ahead));
                }
            }
            Ok(())
        });
        Flood { over, thread }
    }

    fn stop(self) -> Result<()> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the flood panicked"))?
    }
}
