//! What the kernel knows about a process.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

/// A tick of the times in `/proc/PID/stat`, in seconds: 10 ms on every Linux we run on.
const TICK: f64 = 0.01;

/// CPU time of a process and all its threads, past ones included, in seconds.
pub(crate) fn cpu(pid: u32) -> Result<f64> {
    times(&read(pid, "stat")?).map(|times| (times[0] + times[1]) * TICK)
}

/// CPU time of this process and of the children it has waited for, in seconds.
pub(crate) fn own_and_childrens_cpu() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
    times(&stat).map(|times| times.iter().sum::<f64>() * TICK)
}

/// Resident memory in bytes.
pub(crate) fn rss(pid: u32) -> Result<f64> {
    kilobytes(&read(pid, "status")?, "VmRSS:")
}

/// The most memory that was resident so far, in bytes.
pub(crate) fn rss_peak(pid: u32) -> Result<f64> {
    kilobytes(&read(pid, "status")?, "VmHWM:")
}

/// What resident memory is made of, in bytes: pages of its own, and pages of files (its program, above all).
pub(crate) fn rss_parts(pid: u32) -> Result<(f64, f64)> {
    let status = read(pid, "status")?;
    Ok((kilobytes(&status, "RssAnon:")?, kilobytes(&status, "RssFile:")?))
}

/// Resident memory in bytes, where what several processes share counts once for all of them.
pub(crate) fn pss(pid: u32) -> Result<f64> {
    kilobytes(&read(pid, "smaps_rollup")?, "Pss:")
}

/// Bytes that the process has caused to be written to disk.
pub(crate) fn written(pid: u32) -> Result<f64> {
    field(&read(pid, "io")?, "write_bytes:")
}

/// How often each thread has gone to sleep, which is how often it was woken: by thread, with its name.
pub(crate) fn sleeps(pid: u32) -> Result<BTreeMap<u32, (String, u64)>> {
    let dir = format!("/proc/{pid}/task");
    let mut sleeps = BTreeMap::new();
    for entry in fs::read_dir(&dir).with_context(|| dir.clone())? {
        let entry = entry?;
        let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A thread that has just ended wakes nobody.
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
        let name = status.lines().find_map(|line| line.strip_prefix("Name:")).unwrap_or_default().trim();
        let count = field(&status, "voluntary_ctxt_switches:")?;
        sleeps.insert(thread, (name.to_owned(), count as u64));
    }
    Ok(sleeps)
}

/// Bytes that everything below `dir` takes on disk.
pub(crate) fn disk_usage(dir: &Path) -> Result<f64> {
    let mut bytes = 0.0;
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        // What goes away meanwhile takes nothing.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        bytes += metadata.blocks() as f64 * 512.0;
        if metadata.is_dir() {
            let Ok(entries) = fs::read_dir(&path) else { continue };
            left.extend(entries.flatten().map(|entry| entry.path()));
        }
    }
    Ok(bytes)
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).context(path)
}

/// User and system time, own then of children waited for, in ticks.
fn times(stat: &str) -> Result<[f64; 4]> {
    // The name, in parentheses, may hold anything; the fields after it do not.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |at: usize| fields.get(at).and_then(|field| field.parse().ok()).context("/proc/PID/stat");
    Ok([field(11)?, field(12)?, field(13)?, field(14)?])
}

fn kilobytes(text: &str, name: &str) -> Result<f64> {
    Ok(field(text, name)? * 1024.0)
}

fn field(text: &str, name: &str) -> Result<f64> {
    let value =
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("no `{name}` there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_shifts_nothing() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 11 22 33 44 20 0 1 0 500 1000 200";
        assert_eq!(times(stat).unwrap(), [11.0, 22.0, 33.0, 44.0]);
        assert!(times("7 (a) S 1").is_err());
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status = "Name:\twickd\nVmRSS:\t   14200 kB\nnonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t5\n";
        assert_eq!(kilobytes(status, "VmRSS:").unwrap(), 14_200.0 * 1024.0);
        assert_eq!(field(status, "voluntary_ctxt_switches:").unwrap(), 5.0);
        assert!(field(status, "VmSwap:").is_err());
    }

    #[test]
    fn this_process_can_be_asked_about() {
        let pid = std::process::id();
        assert!(rss(pid).unwrap() > 0.0);
        assert!(cpu(pid).unwrap() >= 0.0);
        assert!(!sleeps(pid).unwrap().is_empty());
    }
}
