//! `fork` and `exec`: what Wick stands beside. It is std's `Command`, which is `posix_spawn` where that will do.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::proc;

/// What runs of a program have cost.
pub(crate) struct Cost {
    pub(crate) runs: usize,
    pub(crate) wall: Duration,
    /// In seconds, ours and theirs.
    pub(crate) cpu: f64,
}

/// A command to be run again and again, with a name for each run.
pub(crate) type Make<'a> = &'a (dyn Fn(usize) -> Command + Sync);

/// The program alone.
pub(crate) fn program(path: &Path) -> impl Fn(usize) -> Command + Sync {
    move |_| Command::new(path)
}

/// Runs it once, its output going nowhere.
fn run(mut command: Command) -> Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().with_context(|| format!("{command:?} could not be started"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// Runs it `runs` times, one after the other; how long each took, in seconds.
pub(crate) fn one_at_a_time(make: Make<'_>, runs: usize) -> Result<Vec<f64>> {
    let timed = (0..runs).map(|at| {
        let began = Instant::now();
        run(make(at))?;
        Ok(began.elapsed().as_secs_f64())
    });
    timed.collect()
}

/// Runs it `runs` times, `parallelism` at once.
pub(crate) fn many_at_once(make: Make<'_>, runs: usize, parallelism: usize) -> Result<Cost> {
    let next = AtomicUsize::new(0);
    let cpu = proc::own_and_childrens_cpu()?;
    let began = Instant::now();
    thread::scope(|scope| -> Result<()> {
        let work = || -> Result<()> {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= runs {
                    return Ok(());
                }
                run(make(at))?;
            }
        };
        let workers: Vec<_> = (0..parallelism).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Ok(())))
    })?;
    let wall = began.elapsed();
    Ok(Cost { runs, wall, cpu: proc::own_and_childrens_cpu()? - cpu })
}

/// Runs it once; what it wrote.
pub(crate) fn output(mut command: Command) -> Result<String> {
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().with_context(|| format!("{command:?} could not be started"))?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Processes that go when this does.
#[derive(Default)]
pub(crate) struct Sleepers(Vec<Child>);

impl Sleepers {
    /// Starts `count` of them, and waits until each has written something: then it is there as a whole.
    pub(crate) fn start(count: usize, make: Make<'_>) -> Result<Sleepers> {
        let mut sleepers = Sleepers::default();
        for at in 0..count {
            let mut command = make(at);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
            let child = command.spawn().with_context(|| format!("{command:?} could not be started"))?;
            sleepers.0.push(child);
        }
        for child in &mut sleepers.0 {
            let stdout = child.stdout.as_mut().context("its standard output is not piped")?;
            stdout.read_exact(&mut [0]).context("a process ended instead of sleeping")?;
        }
        Ok(sleepers)
    }

    /// Memory of all of them together in bytes; what they share counts once.
    pub(crate) fn memory(&self) -> Result<f64> {
        self.0.iter().map(|child| proc::pss(child.id())).sum()
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}
