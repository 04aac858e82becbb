//! Where it was measured: a table says little without that.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::stats::median;

/// The machine, and how busy it was at the start.
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    kernel: String,
    memory_bytes: u64,
    file_system: String,
    /// How long a small write to it takes to be safe, in seconds: no record is made sooner.
    sync: Option<f64>,
    load: f64,
}

/// Writes timed for it, of a page each.
const SYNCS: usize = 50;

impl Machine {
    /// `scratch` is where data is written.
    pub(crate) fn here(scratch: &Path) -> Machine {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo
            .lines()
            .find(|line| line.starts_with("model name"))
            .and_then(|line| line.split_once(": "));
        let info = rustix::system::sysinfo();
        let uname = rustix::system::uname();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Machine {
            cpu: model
                .map_or_else(|| uname.machine().to_string_lossy().into_owned(), |(_, name)| name.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            kernel: uname.release().to_string_lossy().into_owned(),
            memory_bytes: info.totalram.saturating_mul(u64::from(info.mem_unit)),
            file_system: file_system(scratch),
            sync: sync(scratch).ok().flatten(),
            load: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }

    pub(crate) fn text(&self) -> String {
        let Machine { cpu, cores, kernel, memory_bytes, file_system, sync, load } = self;
        let memory = *memory_bytes as f64 / 1e9;
        let sync = sync.map_or_else(String::new, |sync| format!(" (fdatasync: {:.2} ms)", sync * 1e3));
        format!(
            "{cpu}, {cores} cores, {memory:.1} GB; Linux {kernel}; data on {file_system}{sync}; load {load:.2}"
        )
    }

    /// What is to be said if numbers from here are not worth much.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.load > self.cores as f64 * 0.25 {
            doubts.push(format!(
                "this machine was busy with other things (load {:.2}): these numbers are noise",
                self.load
            ));
        }
        if self.file_system == "tmpfs" {
            doubts.push(
                "data was written to memory, where syncing costs nothing: choose a disk with --dir"
                    .to_owned(),
            );
        }
        doubts
    }

    pub(crate) fn json(&self) -> Value {
        let Machine { cpu, cores, kernel, memory_bytes, file_system, sync, load } = self;
        json!({
            "cpu": cpu, "cores": cores, "kernel": kernel, "memory_bytes": memory_bytes,
            "file_system": file_system, "sync_seconds": sync, "load": load,
        })
    }
}

/// The median time of a small append that is synced.
fn sync(dir: &Path) -> io::Result<Option<f64>> {
    let mut file = tempfile::tempfile_in(dir)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64());
    }
    Ok(median(&times))
}

/// The kind of the file system `path` is on: of all mounts above it, the deepest.
fn file_system(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let above = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (mount, kind) = (fields.nth(1)?, fields.next()?);
        path.starts_with(mount).then_some((mount.len(), kind))
    });
    // Of two at the same place the later one is seen.
    above
        .max_by_key(|(depth, _)| *depth)
        .map_or_else(|| "an unknown file system".to_owned(), |(_, kind)| kind.to_owned())
}
