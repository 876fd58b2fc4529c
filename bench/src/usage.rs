//! What this process has used, from `/proc`.

use anyhow::{Context, Result};
use std::time::Duration;

/// CPU time of all threads that live, user and system together, exact to the nanosecond. (What threads that have ended used is not in it: ours live
/// as long as the process.)
pub fn cpu() -> Result<Duration> {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task").context("CPU time is read from /proc, so the benchmarks need Linux")? {
        let path = task?.path().join("schedstat");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let on_cpu = text.split_whitespace().next().and_then(|t| t.parse::<u64>().ok());
        total += on_cpu.with_context(|| format!("{}: not a schedstat", path.display()))?;
    }
    Ok(Duration::from_nanos(total))
}

/// The most memory this process has had resident, in bytes.
pub fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("/proc/self/status has no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib << 10)
}

/// CPU time of all threads, those that have ended too, exact to a hundredth of a second.
pub fn cpu_of_all() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("CPU time is read from /proc, so the benchmarks need Linux")?;
    // the program's name, in brackets, may hold spaces
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2)).context("/proc/self/stat has no times")?;
    let ticks = fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(10 * ticks))
}
