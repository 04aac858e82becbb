//! `cargo xtask demo`: a Job whose agent is killed in the middle.
//!
//! A story with real parts: the agent and `wick` as anyone would start them, and a kernel's SIGKILL. It checks
//! what it shows, so it fails where Wick does. It looks every tenth of a second rather than watching: what one
//! command prints at one moment is what the reader can check.

mod agent;
mod record;
mod wick;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::programs::{Profile, Programs};
use crate::screen::{Screen, seconds};
use crate::{guests, project};
use agent::{Agent, Setup};
use record::{Job, Record, SideBySide, Verdict, lost};
use wick::Wick;

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "demo",
    about: "Shows a Job that survives the agent's sudden death",
    help: "
Builds the guests, wickd and wick; starts an agent in a temporary directory; runs a Job of ten
Pods, four at a time; kills the agent with SIGKILL in the middle; starts it again on the same
data; and checks that all ten completed and that nothing acknowledged was lost. It leaves nothing
behind, unless it fails: then it says where the data is.",
    run: crate::Run::Alone(run),
};

const MANIFEST: &str = "examples/work/job.yaml";
/// As the manifest names it.
const JOB: &str = "work";
/// How many Pods shall have succeeded when the agent is killed.
const MIDDLE: u32 = 3;

const POLL: Duration = Duration::from_millis(100);
/// How long the agent may take to answer after it was started.
const BOOT: Duration = Duration::from_secs(30);
/// How long the Job may take, either side of the kill.
const WORK: Duration = Duration::from_secs(120);
/// Lines of the agent's log that are shown when the demo fails.
const TAIL: usize = 20;

pub(crate) fn run() -> Result<()> {
    let screen = Screen::stdout();
    screen.heading("Building the guests, wickd and wick");
    guests::build()?;
    let programs = Programs::build(Profile::Dev)?;

    let dir = tempfile::Builder::new().prefix("wick-demo-").tempdir().context("no temporary directory")?;
    let setup = Setup::new(&programs.wickd, dir.path());
    match play(&screen, &setup, &Wick::new(&programs.wick, &setup.socket)) {
        Ok(()) => {
            dir.close().context("the demo's directory could not be removed")?;
            try_next(&screen, &programs);
            Ok(())
        }
        Err(error) => {
            for line in tail(&setup.log) {
                eprintln!("wickd: {line}");
            }
            let dir = dir.keep();
            Err(error.context(format!("the demo failed; data and log are kept in {}", dir.display())))
        }
    }
}

fn play(screen: &Screen, setup: &Setup, wick: &Wick) -> Result<()> {
    screen.heading("Starting the agent");
    let agent = start(screen, setup, wick)?;

    screen.heading("A Job of ten Pods, four at a time");
    screen.command(&format!("wick apply -f {MANIFEST}"));
    let manifest = project::root().join(MANIFEST);
    screen.quote(&wick.ask(&["apply", "-f", &manifest.to_string_lossy()])?);
    let before = until_the_middle(screen, wick)?;

    screen.heading("Killing the agent in the middle");
    screen.command(&format!("kill -9 {}", agent.pid()));
    agent.kill()?;
    screen.line(&format!(
        "acknowledged by then: {} Pods, {} of them succeeded, {} running",
        before.pods.len(),
        before.in_phase("Succeeded"),
        before.in_phase("Running"),
    ));

    screen.heading("Starting it again on the same data");
    let agent = start(screen, setup, wick)?;
    let after = wick.record(JOB)?;
    screen.quote(&SideBySide(&before, &after).to_string());
    check_nothing_lost(&before, &after)?;
    screen.line("nothing that was acknowledged is missing; the guests that died with the agent run again");

    screen.heading("On to the end");
    until_complete(screen, wick)?;
    let end = wick.record(JOB)?;
    check_nothing_lost(&before, &end)?;
    check_complete(&end)?;
    screen.command(&format!("wick get job {JOB}"));
    screen.quote(&wick.ask(&["get", "job", JOB])?);
    screen.line(&format!(
        "{} of {} completed, after {} restarts; nothing was lost",
        end.job.succeeded,
        end.job.completions,
        end.restarts(),
    ));
    agent.stop()
}

/// Starts an agent and waits until it answers.
fn start(screen: &Screen, setup: &Setup, wick: &Wick) -> Result<Agent> {
    let (data_dir, socket) = (setup.data_dir.display(), setup.socket.display());
    screen.command(&format!("wickd --data-dir {data_dir} --socket {socket} --drain-seconds 0"));
    let began = Instant::now();
    let mut agent = setup.start()?;
    while !wick.answers()? {
        if let Some(status) = agent.ended()? {
            bail!("the agent ended before it answered: {status}");
        }
        ensure!(began.elapsed() < BOOT, "the agent did not answer within {} s", BOOT.as_secs());
        thread::sleep(POLL / 5);
    }
    screen.line(&format!("process {}, answering after {}", agent.pid(), seconds(began.elapsed())));
    Ok(agent)
}

/// Shows the Job at work until some Pods have succeeded and others are running; what is on record then.
fn until_the_middle(screen: &Screen, wick: &Wick) -> Result<Record> {
    let began = Instant::now();
    loop {
        let record = wick.record(JOB)?;
        show(screen, &record.job, began);
        if let Some(verdict) = &record.job.verdict {
            bail!("the Job ended before the agent could be killed: {verdict:?}");
        }
        if record.job.succeeded >= MIDDLE && record.in_phase("Running") > 0 {
            return Ok(record);
        }
        wait(began)?;
    }
}

fn until_complete(screen: &Screen, wick: &Wick) -> Result<()> {
    let began = Instant::now();
    loop {
        let job = wick.job(JOB)?;
        show(screen, &job, began);
        match job.verdict {
            Some(Verdict::Complete) => return Ok(()),
            Some(Verdict::Failed { reason, message }) => bail!("the Job failed: {reason}: {message}"),
            None => wait(began)?,
        }
    }
}

fn wait(began: Instant) -> Result<()> {
    ensure!(began.elapsed() < WORK, "the Job did not get there within {} s", WORK.as_secs());
    thread::sleep(POLL);
    Ok(())
}

fn show(screen: &Screen, job: &Job, began: Instant) {
    let Job { completions, succeeded, active, .. } = *job;
    let done: String = (0..completions).map(|at| if at < succeeded { '#' } else { '.' }).collect();
    let text = format!("[{done}] {succeeded} of {completions} succeeded, {active} active");
    screen.progress(&text, &format!(", {}", seconds(began.elapsed())));
}

fn check_nothing_lost(before: &Record, after: &Record) -> Result<()> {
    let lost = lost(before, after);
    ensure!(lost.is_empty(), "something acknowledged was lost: {}", lost.join("; "));
    Ok(())
}

fn check_complete(end: &Record) -> Result<()> {
    let Job { completions, succeeded, active, .. } = end.job;
    ensure!(completions > 0 && succeeded == completions, "{succeeded} of {completions} Pods succeeded");
    ensure!(active == 0, "{active} Pods are active after the Job's end");
    let pods = end.in_phase("Succeeded");
    ensure!(Ok(completions) == u32::try_from(pods), "{pods} Pods are Succeeded, {completions} were counted");
    Ok(())
}

fn try_next(screen: &Screen, programs: &Programs) {
    let (wickd, wick) = (project::shown(&programs.wickd), project::shown(&programs.wick));
    let examples = project::shown(&project::examples());
    screen.heading("What to try next");
    screen.line("An agent of your own, in one terminal:");
    screen.command(&format!("{wickd} --data-dir /tmp/wick --socket /tmp/wick.sock"));
    screen.line("And in another:");
    for command in [
        "export WICK_SOCKET=/tmp/wick.sock".into(),
        format!("{wick} apply -f {examples}/hello/job.yaml"),
        format!("{wick} wait --for=condition=complete job/hello --timeout 30s"),
        format!("{wick} logs job/hello"),
        format!("{wick} apply -f {examples}/countdown/job.yaml && {wick} logs -f job/countdown"),
        format!("{wick} apply -f {examples}/flaky/job.yaml && {wick} get pods -w"),
        format!("{wick} describe job flaky"),
    ] {
        screen.command(&command);
    }
    screen.line(&format!("Each directory in {examples} has a README.md that says what it shows."));
}

/// The last lines of the agent's log; none if it cannot be read, for the error at hand matters more.
fn tail(log: &Path) -> Vec<String> {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].iter().map(|line| (*line).to_owned()).collect()
}
