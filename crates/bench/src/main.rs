//! `wick-bench`: what Wick costs, beside `fork` and `exec` of the same programs, measured in the same run.
//!
//! `cargo xtask bench` builds everything in release form and runs this. It drives the real `wickd` over its socket with the
//! generated client; only the first rows are of the runtime alone. Rounds go over all measurements in turn, so that a
//! machine that changes its mind changes it for all of them. It judges nothing: a goal that is missed is marked, and the
//! exit code is 0 as long as everything could be measured.

mod agent;
mod client;
mod cron;
mod crun;
mod hello;
mod machine;
mod measures;
mod native;
mod proc;
mod rows;
mod stats;
mod table;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Parser, ValueEnum};

use crate::agent::Attic;
use crate::crun::Crun;
use crate::machine::Machine;
use crate::measures::Bench;
use crate::table::Record;

/// How long one measurement may take; many times what it does.
const LIMIT: Duration = Duration::from_secs(120);
/// The same of a year on a virtual clock: minutes, on a slow machine.
const LONG_LIMIT: Duration = Duration::from_secs(1200);

/// Measures Wick beside fork and exec of the same programs.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", max_term_width = 100)]
struct Args {
    /// How often everything is measured; medians are shown (a year, idleness and sizes are measured once)
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Measure only this; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<Measure>,
    /// Also write everything, each sample included, to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where data is written: a directory on the disk that is to be measured
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The agent that is measured
    #[arg(long, value_name = "FILE")]
    wickd: PathBuf,
    /// The command line whose size is told
    #[arg(long, value_name = "FILE")]
    wick: PathBuf,
    /// A directory with hello.wasm, work.wasm and clock.wasm
    #[arg(long, value_name = "DIR")]
    guests: PathBuf,
    /// A directory with the same programs for this machine
    #[arg(long, value_name = "DIR")]
    natives: PathBuf,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// A warm hello in the runtime alone
    Hello,
    /// Durable completions of one Job
    Completions,
    /// A large Job, and a crash in the middle of it
    Large,
    /// A large Job on a virtual clock
    Simulated,
    /// A schedule's next slot
    Next,
    /// Many CronJobs in an agent
    Fleet,
    /// Many CronJobs at the same second
    Due,
    /// A year of CronJobs on a virtual clock
    Year,
    /// Submit to Complete of single Jobs
    Latency,
    /// Submit to the first guest instruction
    First,
    /// A module that was never seen
    Cold,
    /// Sleeping guests
    Memory,
    /// An agent with nothing to do
    Idle,
    /// The programs' sizes
    Sizes,
}

impl Measure {
    fn once(self) -> bool {
        matches!(self, Measure::Year | Measure::Idle | Measure::Sizes)
    }

    fn limit(self) -> Duration {
        if self == Measure::Year { LONG_LIMIT } else { LIMIT }
    }

    async fn run(self, bench: &Bench, record: &mut Record) -> Result<()> {
        match self {
            Measure::Hello => hello::measure(bench, record).await,
            Measure::Completions => measures::completions(bench, record).await,
            Measure::Large => measures::large(bench, record).await,
            Measure::Simulated => measures::simulated(bench, record).await,
            Measure::Next => cron::next(record),
            Measure::Fleet => cron::fleet(bench, record).await,
            Measure::Due => cron::due(bench, record).await,
            Measure::Year => cron::year(bench, record).await,
            Measure::Latency => measures::latency(bench, record).await,
            Measure::First => measures::first_instruction(bench, record).await,
            Measure::Cold => measures::cold(bench, record).await,
            Measure::Memory => measures::memory(bench, record).await,
            Measure::Idle => measures::idle(bench, record).await,
            Measure::Sizes => measures::sizes(bench, record).await,
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let done = match args.split_first() {
        Some((first, rest)) if first == hello::COMPILE => {
            return runtime::compile::child_main(rest.iter().cloned());
        }
        Some((first, rest)) if first == hello::SUBCOMMAND => hello::child(rest).map(|()| true),
        _ => run(&Args::parse()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and prints; false if something could not be measured.
fn run(args: &Args) -> Result<bool> {
    fs::create_dir_all(&args.dir).with_context(|| format!("{} cannot be made", args.dir.display()))?;
    let machine = Machine::here(&args.dir);
    let mut record = Record::default();
    let bench = bench(args, &mut record);
    // One thread: asking is to cost little beside what is measured.
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio.block_on(async {
        tokio::select! {
            () = measure(args, &bench, &mut record) => Ok(()),
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    })?;
    for doubt in machine.doubts() {
        record.note(doubt);
    }
    println!("{}\n\n{}", machine.text(), record.table().trim_end());
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&record.json(&machine.json()))?;
        fs::write(path, text + "\n").with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(!record.has_failures())
}

fn bench(args: &Args, record: &mut Record) -> Bench {
    let crun = Crun::find(&args.natives.join("hello"), &args.dir).unwrap_or_else(|error| {
        // The table is as good without it.
        record.note(format!("{error:#}"));
        None
    });
    Bench {
        wickd: args.wickd.clone(),
        wick: args.wick.clone(),
        guests: args.guests.clone(),
        natives: args.natives.clone(),
        scratch: absolute(&args.dir),
        crun,
        attic: Attic::default(),
    }
}

fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

async fn measure(args: &Args, bench: &Bench, record: &mut Record) {
    let wanted = |measure: &Measure| args.only.is_empty() || args.only.contains(measure);
    for round in 0..args.rounds {
        for measure in Measure::value_variants().iter().filter(|measure| wanted(measure)) {
            if measure.once() && round > 0 {
                continue;
            }
            let name = measure.name();
            let rounds = if measure.once() { 1 } else { args.rounds };
            let began = Instant::now();
            let done = tokio::time::timeout(measure.limit(), measure.run(bench, record)).await;
            let done =
                done.unwrap_or_else(|_| Err(anyhow!("not done after {} s", measure.limit().as_secs())));
            let time = began.elapsed().as_secs_f64();
            match done {
                Ok(()) => eprintln!("{name:<12} round {}/{rounds}  {time:.1} s", round + 1),
                Err(error) => {
                    eprintln!("{name:<12} round {}/{rounds}  failed: {error:#}", round + 1);
                    record.failed(&name, &error);
                }
            }
        }
    }
}
