//! `cargo xtask bench`: builds everything as it is handed out, and has crates/bench measure it.
//!
//! What measures is a program of its own: it needs Wick's client and its runtime, and this crate is to compile in seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::programs::{self, Profile, Programs};
use crate::{guests, project};

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "bench",
    about: "Measures Wick beside fork and exec of the same programs",
    help: "
Builds wickd and wick in release form (minutes, the first time), the guests for WASI and for this
machine, and measures: medians of several rounds, and beside each the same program started by fork
and exec, and by `crun` where that is installed. Takes about ten minutes, half of it a year of
CronJobs.

  --rounds N    how often everything is measured (3)
  --only NAME   only hello, completions, large, simulated, next, fleet, due, year, latency, first,
                cold, memory, idle or sizes; may be repeated
  --json FILE   also write every sample
  --dir DIR     where data is written, on the disk to be measured (target/bench)

Measure on a machine that does nothing else: the table says so when it does. On ext4 wait five
minutes between two runs: so long it avoids the inodes of files that the last one has removed.",
    run: crate::Run::With(run),
};

/// What the bench runs that is no example: it tells the time at its first instruction.
const CLOCK: &str = "crates/bench/guests/clock.rs";
/// Programs of examples/ that are measured, as modules and as they are on this machine.
const EXAMPLES: [&str; 2] = ["hello", "work"];

/// What the bench takes from whoever calls; the rest of its flags are ours to give.
const FLAGS: [&str; 4] = ["--rounds", "--only", "--json", "--dir"];

fn run(args: &[&str]) -> Result<()> {
    // Before a build of minutes.
    for arg in args.iter().filter(|arg| arg.starts_with('-')) {
        let name = arg.split_once('=').map_or(*arg, |(name, _)| name);
        ensure!(FLAGS.contains(&name), "no flag `{name}`; there are {}", FLAGS.join(", "));
    }
    let dir = project::target("bench");
    let (modules, natives) = (dir.join("guests"), dir.join("natives"));
    for dir in [&modules, &natives] {
        fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    guests::build()?;
    let native = guests::build_native(&EXAMPLES)?;
    for name in EXAMPLES {
        copy(&guests::module(name), &modules.join(format!("{name}.wasm")))?;
        copy(&native.join(name), &natives.join(name))?;
    }
    compile(&["--target", guests::MODULE_TARGET], &modules.join("clock.wasm"))?;
    compile(&[], &natives.join("clock"))?;
    // One after the other: what a program is compiled with depends on what it is built together with.
    let Programs { wickd, wick } = Programs::build(Profile::Release)?;
    let built = programs::build(&["wick-bench"], Profile::Release)?;
    let bench = built.get("wick-bench").context("cargo built no `wick-bench`")?;

    let mut command = Command::new(bench);
    let own: [(&str, &Path); 4] =
        [("--wickd", &wickd), ("--wick", &wick), ("--guests", &modules), ("--natives", &natives)];
    for (flag, path) in own {
        command.arg(flag).arg(path);
    }
    if !args.iter().any(|arg| *arg == "--dir" || arg.starts_with("--dir=")) {
        command.arg("--dir").arg(&dir);
    }
    // What went wrong is said already, by whoever it went wrong for.
    let status = command.args(args).status().context("`wick-bench` could not be started")?;
    ensure!(status.success(), "not everything was measured");
    Ok(())
}

/// Compiles the clock, optimised as the examples are.
fn compile(target: &[&str], to: &Path) -> Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(project::root()).args(["--edition", "2024"]).args(target);
    rustc.args(["-C", "opt-level=s", "-C", "lto", "-C", "panic=abort", "-C", "strip=symbols", "-o"]);
    project::run(rustc.arg(to).arg(CLOCK))
}

fn copy(from: &Path, to: &PathBuf) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("{} to {}", from.display(), to.display()))?;
    Ok(())
}
