//! A warm hello in the runtime alone: no agent, no record, its output going nowhere.
//!
//! It runs in a child process, so that the process's CPU time is the runtime's and nothing else's.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use runtime::{Config, Digest, Exit, GuestSpec, Image, Output, Runtime, Stream};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::measures::Bench;
use crate::native;
use crate::rows::{HELLO_CPU, HELLO_RATE, HELLO_WALL, Who};
use crate::table::Record;

/// The hidden subcommand that measures, and the runtime's that compiles.
pub(crate) const SUBCOMMAND: &str = "hello";
pub(crate) const COMPILE: &str = "compile";

/// Guests run all together: about a second of CPU.
const STARTS: u32 = 60_000;
const WARM_UP: u32 = 5_000;
const IN_FLIGHT: u32 = 64;
const ALONE: u32 = 5_000;
/// Processes started, one at a time and then many at once.
const NATIVE_ALONE: usize = 300;
const NATIVE_STARTS: usize = 2_000;
const CRUN_ALONE: usize = 20;
const CRUN_STARTS: usize = 100;
/// How long one guest may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn measure(bench: &Bench, record: &mut Record) -> Result<()> {
    let this = std::env::current_exe().context("this program cannot be found")?;
    let mut command = Command::new(this);
    command.arg(SUBCOMMAND).arg(bench.guest("hello")).arg(&bench.scratch);
    let said: Value = serde_json::from_str(&native::output(command)?).context("the runtime alone")?;
    for (row, key) in [(&HELLO_CPU, "cpu"), (&HELLO_WALL, "wall"), (&HELLO_RATE, "rate")] {
        record.add(row, Who::Wick, said[key].as_f64().with_context(|| format!("no `{key}` in {said}"))?);
    }

    let hello = bench.native("hello");
    beside(record, Who::ForkExec, &native::program(&hello), NATIVE_ALONE, NATIVE_STARTS)?;
    if let Some(crun) = &bench.crun {
        beside(record, Who::Crun, &|at| crun.command(&format!("hello-{at}")), CRUN_ALONE, CRUN_STARTS)?;
    }
    Ok(())
}

fn beside(record: &mut Record, who: Who, make: native::Make<'_>, alone: usize, starts: usize) -> Result<()> {
    let times = native::one_at_a_time(make, alone)?;
    record.add(&HELLO_WALL, who, times.iter().sum::<f64>() / alone as f64);
    let cost = native::many_at_once(make, starts, IN_FLIGHT as usize)?;
    record.add(&HELLO_CPU, who, cost.cpu / cost.runs as f64);
    record.add(&HELLO_RATE, who, cost.runs as f64 / cost.wall.as_secs_f64());
    Ok(())
}

struct Nowhere;

impl Output for Nowhere {
    fn write(&self, _: Stream, _: &[u8]) {}
}

/// The child: prints what a hello costs as JSON.
pub(crate) fn child(args: &[impl AsRef<OsStr>]) -> Result<()> {
    let [module, scratch] = args else { bail!("needs a module and a directory") };
    let dir = tempfile::Builder::new().prefix("code-").tempdir_in(Path::new(scratch))?;
    let path = PathBuf::from(module);
    let wasm = fs::read(&path).with_context(|| path.display().to_string())?;
    let image = Image { digest: Digest::of(&wasm), path };
    let runtime = Runtime::new(Config::new(dir.path()))?;
    run(&runtime, &image, WARM_UP, IN_FLIGHT)?;

    let (began, cpu) = (Instant::now(), own_cpu());
    run(&runtime, &image, STARTS, IN_FLIGHT)?;
    let (wall, cpu) = (began.elapsed(), own_cpu() - cpu);
    let began = Instant::now();
    run(&runtime, &image, ALONE, 1)?;
    let alone = began.elapsed();
    println!(
        "{}",
        json!({
            "cpu": cpu / f64::from(STARTS),
            "rate": f64::from(STARTS) / wall.as_secs_f64(),
            "wall": alone.as_secs_f64() / f64::from(ALONE),
        })
    );
    runtime.shutdown();
    Ok(())
}

fn run(runtime: &Runtime, image: &Image, starts: u32, in_flight: u32) -> Result<()> {
    let (done, finished) = mpsc::channel();
    let output: Arc<dyn Output> = Arc::new(Nowhere);
    let start = || {
        let mut spec = GuestSpec::new(image.clone(), Arc::clone(&output));
        spec.args = vec!["hello".to_owned()];
        let done = done.clone();
        runtime.start(spec, move |finished| drop(done.send(finished.exit)));
    };
    (0..starts.min(in_flight)).for_each(|_| start());
    for at in 0..starts {
        let exit = finished.recv_timeout(PATIENCE).context("a guest does not end")?;
        ensure!(exit == Exit::Code(0), "a guest ended with {exit:?}");
        if at + in_flight < starts {
            start();
        }
    }
    Ok(())
}

/// CPU time of this process, in seconds.
fn own_cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
