//! The measurements that are done on a real agent. Each starts one of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use crate::agent::{Agent, Attic};
use crate::client::{Asked, Client};
use crate::crun::Crun;
use crate::native::{self, Sleepers};
use crate::proc;
use crate::rows::{
    COLD, COLD_PUSH, COMPLETIONS, FIRST_P50, LARGE, LATENCY_P50, LATENCY_P99, POD_CPU, POD_KEPT, POD_WRITTEN,
    RECOVERY, RSS_IDLE, RSS_SLEEPER, RSS_SLEEPING, RSS_USED, SIMULATED, SIMULATED_RSS, SIZE_WICK, SIZE_WICKD,
    WAKE_UPS, Who,
};
use crate::stats::{median, percentile};
use crate::table::Record;

const PODS: i32 = 5_000;
const PARALLELISM: i32 = 32;
const CRUN_PODS: usize = 200;
const LARGE_PODS: i32 = 20_000;

/// A hundred thousand Pods of ten seconds each.
const SCENARIO: &str = r#"
node: {pods: 1000}
guests: [{run: 10s}]
objects:
- apiVersion: batch/v1
  kind: Job
  metadata: {name: large}
  spec:
    completionMode: Indexed
    completions: 100000
    parallelism: 500
    template: {spec: {restartPolicy: Never, containers: [{name: main, image: hello}]}}
"#;

const SINGLE_JOBS: usize = 200;
const CRUN_SINGLES: usize = 50;
/// Jobs before those that are timed.
const WARM_UP: usize = 20;

const FIRSTS: usize = 100;
const COLD_MODULES: usize = 5;

const SLEEPERS: u32 = 1_000;
/// After the last guest has begun, so that what beginning took is given back.
const REST: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(50);

/// Longer than idle threads of a pool live (10 s), so that their end is not counted.
const SETTLE: Duration = Duration::from_secs(12);
const IDLE: Duration = Duration::from_secs(30);

/// What there is to measure, and where.
pub(crate) struct Bench {
    pub(crate) wickd: PathBuf,
    pub(crate) wick: PathBuf,
    /// Modules and native programs of the same names.
    pub(crate) guests: PathBuf,
    pub(crate) natives: PathBuf,
    /// The directory that data is written below; on the disk that is to be measured.
    pub(crate) scratch: PathBuf,
    pub(crate) crun: Option<Crun>,
    pub(crate) attic: Attic,
}

impl Bench {
    pub(crate) fn guest(&self, name: &str) -> PathBuf {
        self.guests.join(format!("{name}.wasm"))
    }

    pub(crate) fn native(&self, name: &str) -> PathBuf {
        self.natives.join(name)
    }

    pub(crate) fn agent(&self) -> Result<Agent> {
        Agent::start(&self.wickd, &self.scratch, &self.attic)
    }

    /// An agent, somebody to ask it, and an image it knows under its name.
    pub(crate) async fn agent_with(&self, image: &str) -> Result<(Agent, Client)> {
        let agent = self.agent()?;
        let client = agent.client().await?;
        client.push(image, &read(&self.guest(image))?).await?;
        Ok((agent, client))
    }
}

/// Many Pods of one Job.
pub(crate) async fn completions(bench: &Bench, record: &mut Record) -> Result<()> {
    let (agent, client) = bench.agent_with("hello").await?;
    let mut watch = client.watch().await?;
    warm_up(&client, &mut watch, "hello").await?;

    let disk_usage = || agent.data().map_or(Ok(0.0), proc::disk_usage);
    let data = disk_usage()?;
    let (cpu, written) = (proc::cpu(agent.pid())?, proc::written(agent.pid())?);
    let own = proc::own_and_childrens_cpu()?;
    let began = Instant::now();
    let job = Asked { completions: PODS, parallelism: PARALLELISM, ..Asked::single("many", "hello") };
    client.create(&job).await?;
    watch.complete("many").await?;
    let wall = began.elapsed().as_secs_f64();
    let pods = f64::from(PODS);
    record.add(&COMPLETIONS, Who::Wick, pods / wall);
    record.add(&POD_CPU, Who::Wick, (proc::cpu(agent.pid())? - cpu) / pods);
    record.add(&POD_WRITTEN, Who::Wick, (proc::written(agent.pid())? - written) / pods);
    record.add(&POD_KEPT, Who::Wick, (disk_usage()? - data).max(0.0) / pods);
    record.add(&RSS_USED, Who::Wick, proc::rss(agent.pid())?);
    let own = (proc::own_and_childrens_cpu()? - own) / wall * 100.0;
    if own > 20.0 {
        record.note(format!("the client that watched the completions took {own:.0} % of a core itself"));
    }
    agent.stop()?;

    let hello = bench.native("hello");
    let cost = native::many_at_once(&native::program(&hello), PODS as usize, PARALLELISM as usize)?;
    record.add(&COMPLETIONS, Who::ForkExec, cost.runs as f64 / cost.wall.as_secs_f64());
    record.add(&POD_CPU, Who::ForkExec, cost.cpu / cost.runs as f64);
    if let Some(crun) = &bench.crun {
        let make = |at: usize| crun.command(&format!("many-{at}"));
        let cost = native::many_at_once(&make, CRUN_PODS, PARALLELISM as usize)?;
        record.add(&COMPLETIONS, Who::Crun, cost.runs as f64 / cost.wall.as_secs_f64());
        record.add(&POD_CPU, Who::Crun, cost.cpu / cost.runs as f64);
    }
    Ok(())
}

/// One large Job, and what a crash in the middle of it costs.
pub(crate) async fn large(bench: &Bench, record: &mut Record) -> Result<()> {
    let job = |name| Asked {
        completions: LARGE_PODS,
        parallelism: PARALLELISM,
        indexed: true,
        ..Asked::single(name, "hello")
    };
    let (agent, client) = bench.agent_with("hello").await?;
    let mut watch = client.watch().await?;
    warm_up(&client, &mut watch, "hello").await?;
    let began = Instant::now();
    client.create(&job("large")).await?;
    watch.complete("large").await?;
    record.add(&LARGE, Who::Wick, f64::from(LARGE_PODS) / began.elapsed().as_secs_f64());

    client.create(&job("cut-short")).await?;
    watch.succeeded("cut-short", LARGE_PODS / 2).await?;
    drop((client, watch));
    let (agent, ready_after) = agent.kill_and_start(&bench.wickd)?;
    record.add(&RECOVERY, Who::Wick, ready_after);
    drop(agent); // Not stopped: the rest of the Job is nothing to wait for here.
    Ok(())
}

/// A Job larger than this device would run, on a clock of its own.
pub(crate) async fn simulated(bench: &Bench, record: &mut Record) -> Result<()> {
    let agent = bench.agent()?;
    let client = agent.client().await?;
    let (cpu, rss) = (proc::cpu(agent.pid())?, proc::rss(agent.pid())?);
    let end = client.simulate(SCENARIO).await?;
    ensure!(end.jobs_completed == 1, "the simulated Job did not complete: {end:?}");
    record.add(&SIMULATED, Who::Wick, proc::cpu(agent.pid())? - cpu);
    record.add(&SIMULATED_RSS, Who::Wick, (proc::rss_peak(agent.pid())? - rss).max(0.0));
    agent.stop()
}

/// Jobs of one Pod, one after the other.
pub(crate) async fn latency(bench: &Bench, record: &mut Record) -> Result<()> {
    let (agent, client) = bench.agent_with("hello").await?;
    let mut watch = client.watch().await?;
    warm_up(&client, &mut watch, "hello").await?;
    let mut times = Vec::with_capacity(SINGLE_JOBS);
    for at in 0..SINGLE_JOBS {
        let name = format!("single-{at}");
        let began = Instant::now();
        client.create(&Asked::single(&name, "hello")).await?;
        watch.complete(&name).await?;
        times.push(began.elapsed().as_secs_f64());
    }
    agent.stop()?;
    add_latency(record, Who::Wick, &times);

    let hello = bench.native("hello");
    let times = native::one_at_a_time(&native::program(&hello), SINGLE_JOBS)?;
    add_latency(record, Who::ForkExec, &times);
    if let Some(crun) = &bench.crun {
        let make = |at: usize| crun.command(&format!("single-{at}"));
        add_latency(record, Who::Crun, &native::one_at_a_time(&make, CRUN_SINGLES)?);
    }
    Ok(())
}

fn add_latency(record: &mut Record, who: Who, times: &[f64]) {
    for (row, percent) in [(&LATENCY_P50, 50), (&LATENCY_P99, 99)] {
        if let Some(time) = percentile(times, percent) {
            record.add(row, who, time);
        }
    }
}

/// How soon a guest has begun that says what time it is.
pub(crate) async fn first_instruction(bench: &Bench, record: &mut Record) -> Result<()> {
    let (agent, client) = bench.agent_with("clock").await?;
    let mut watch = client.watch().await?;
    warm_up(&client, &mut watch, "clock").await?;
    let mut times = Vec::with_capacity(FIRSTS);
    for at in 0..FIRSTS {
        let name = format!("first-{at}");
        let asked = SystemTime::now();
        client.create(&Asked::single(&name, "clock")).await?;
        watch.complete(&name).await?;
        times.push(since(asked, &client.finished_line(&name).await?)?);
    }
    agent.stop()?;
    record.add(&FIRST_P50, Who::Wick, median(&times).context("no samples")?);

    let clock = bench.native("clock");
    let times = (0..FIRSTS).map(|_| {
        let asked = SystemTime::now();
        since(asked, &native::output(Command::new(&clock))?)
    });
    let times: Vec<f64> = times.collect::<Result<_>>()?;
    record.add(&FIRST_P50, Who::ForkExec, median(&times).context("no samples")?);
    Ok(())
}

/// Seconds from `asked` to the nanoseconds since 1970 that `said` has.
fn since(asked: SystemTime, said: &str) -> Result<f64> {
    let nanos: u64 = said.trim().parse().with_context(|| format!("`{}` is no time", said.trim()))?;
    let time = UNIX_EPOCH + Duration::from_nanos(nanos);
    Ok(time.duration_since(asked).context("the clock went back")?.as_secs_f64())
}

/// A module nobody has seen: pushed, compiled, run, heard.
pub(crate) async fn cold(bench: &Bench, record: &mut Record) -> Result<()> {
    let (agent, client) = bench.agent_with("hello").await?;
    let mut watch = client.watch().await?;
    warm_up(&client, &mut watch, "hello").await?;
    let hello = read(&bench.guest("hello"))?;
    let (mut times, mut pushes) = (Vec::new(), Vec::new());
    for at in 0..COLD_MODULES {
        let name = format!("cold-{at}");
        let module = unlike_any_other(&hello, &name);
        let began = Instant::now();
        client.push(&name, &module).await?;
        pushes.push(began.elapsed().as_secs_f64());
        client.create(&Asked::single(&name, &name)).await?;
        client.first_line(&name).await?;
        times.push(began.elapsed().as_secs_f64());
        watch.complete(&name).await?;
    }
    agent.stop()?;
    record.add(&COLD, Who::Wick, median(&times).context("no samples")?);
    record.add(&COLD_PUSH, Who::Wick, median(&pushes).context("no samples")?);

    let hello = bench.native("hello");
    let mut times = Vec::new();
    for at in 0..COLD_MODULES {
        let copy = tempfile::Builder::new().prefix("cold-").tempdir_in(&bench.scratch)?;
        let copy = copy.path().join(format!("hello-{at}"));
        let began = Instant::now();
        fs::copy(&hello, &copy).with_context(|| copy.display().to_string())?;
        native::output(Command::new(&copy))?;
        times.push(began.elapsed().as_secs_f64());
    }
    record.add(&COLD, Who::ForkExec, median(&times).context("no samples")?);
    Ok(())
}

/// The same module with a custom section that no engine reads, so that its digest is another one.
fn unlike_any_other(module: &[u8], text: &str) -> Vec<u8> {
    let mut section = vec![4];
    section.extend(b"cold");
    section.extend(text.bytes().take(64)); // So that the length is one byte of LEB128.
    let mut other = module.to_vec();
    other.extend([0, u8::try_from(section.len()).unwrap_or(0x7f)]);
    other.extend(section);
    other
}

/// Many guests that sleep.
pub(crate) async fn memory(bench: &Bench, record: &mut Record) -> Result<()> {
    let (agent, client) = bench.agent_with("work").await?;
    let count = SLEEPERS.min(client.node().await?.guest_slots);
    if count < SLEEPERS {
        record.note(format!("this node has room for {count} sleeping guests, so there were no more"));
    }
    let before = proc::rss(agent.pid())?;
    let many = i32::try_from(count).context("too many")?;
    let env = [("WORK_MS", "600000")];
    let job = Asked { completions: many, parallelism: many, env: &env, ..Asked::single("sleepers", "work") };
    client.create(&job).await?;
    while client.node().await?.guests_running < count {
        tokio::time::sleep(POLL).await;
    }
    tokio::time::sleep(REST).await;
    let after = proc::rss(agent.pid())?;
    record.add(&RSS_SLEEPING, Who::Wick, after);
    record.add(&RSS_SLEEPER, Who::Wick, (after - before).max(0.0) / f64::from(count));
    drop(agent); // Not stopped: a thousand ends are nothing to wait for here.

    let work = bench.native("work");
    let make = |_| {
        let mut command = Command::new(&work);
        command.env("WORK_MS", "600000");
        command
    };
    let sleepers = Sleepers::start(count as usize, &make)?;
    let memory = sleepers.memory()?;
    record.add(&RSS_SLEEPING, Who::ForkExec, memory);
    record.add(&RSS_SLEEPER, Who::ForkExec, memory / f64::from(count));
    Ok(())
}

/// An agent that has just begun, and later one that has done a little and has nothing to do.
pub(crate) async fn idle(bench: &Bench, record: &mut Record) -> Result<()> {
    let agent = bench.agent()?;
    tokio::time::sleep(REST).await;
    record.add(&RSS_IDLE, Who::Wick, proc::rss(agent.pid())?);
    let (own, files) = proc::rss_parts(agent.pid())?;
    record.note(format!(
        "idle RSS: {:.1} MB of its own, {:.1} MB of files, which can be dropped",
        own / 1e6,
        files / 1e6
    ));
    {
        let client = agent.client().await?;
        client.push("hello", &read(&bench.guest("hello"))?).await?;
        let mut watch = client.watch().await?;
        client.create(&Asked::single("one", "hello")).await?;
        watch.complete("one").await?;
    }
    tokio::time::sleep(SETTLE).await;
    let before = proc::sleeps(agent.pid())?;
    tokio::time::sleep(IDLE).await;
    let after = proc::sleeps(agent.pid())?;
    let mut total = 0;
    let mut by_thread = Vec::new();
    for (thread, (name, count)) in after {
        let woken = count - before.get(&thread).map_or(0, |(_, before)| *before).min(count);
        total += woken;
        if woken > 0 {
            by_thread.push(format!("`{name}` {woken}"));
        }
    }
    record.add(&WAKE_UPS, Who::Wick, total as f64 * 60.0 / IDLE.as_secs_f64());
    if !by_thread.is_empty() {
        record.note(format!("woken in {} s of idleness: {}", IDLE.as_secs(), by_thread.join(", ")));
    }
    agent.stop()
}

/// How large the programs are.
pub(crate) async fn sizes(bench: &Bench, record: &mut Record) -> Result<()> {
    for (row, path) in [(&SIZE_WICKD, &bench.wickd), (&SIZE_WICK, &bench.wick)] {
        let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
        record.add(row, Who::Wick, metadata.len() as f64);
    }
    Ok(())
}

async fn warm_up(client: &Client, watch: &mut crate::client::Watch, image: &str) -> Result<()> {
    for at in 0..WARM_UP {
        let name = format!("warm-up-{at}");
        client.create(&Asked::single(&name, image)).await?;
        watch.complete(&name).await?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    ensure!(!bytes.is_empty(), "{} is empty", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_custom_section_makes_another_module() {
        let module = b"\0asm\x01\0\0\0";
        assert_eq!(unlike_any_other(module, "ab"), b"\0asm\x01\0\0\0\0\x07\x04coldab");
        assert_ne!(unlike_any_other(module, "cold-1"), unlike_any_other(module, "cold-2"));
    }
}
