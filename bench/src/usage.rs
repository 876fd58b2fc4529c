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
