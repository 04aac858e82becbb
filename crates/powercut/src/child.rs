//! Programs of our own that are run: recorded, or watched so that none runs for ever.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::disk::Image;
use crate::story::Story;
use crate::wire::{ANNOUNCE_VARIABLE, LOG_VARIABLE, ROOT_VARIABLE, SYNC_VARIABLE};
use crate::work::{Tuning, Workload};

/// A store that has not answered by then hangs. None takes a tenth of it.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// How long a sync takes in a recorded program, in microseconds, so that other threads write meanwhile.
const SYNC_US: u32 = 150;

/// How a program ended.
pub(crate) enum Ended {
    Exited { status: ExitStatus, out: String, err: String },
    Hung,
}

/// What a recorded program is asked to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) workload: Workload,
    pub(crate) tuning: Tuning,
    pub(crate) toy: Option<crate::toy::Flaw>,
    pub(crate) steps: usize,
    pub(crate) seed: u64,
}

/// What came of it.
pub(crate) enum Recorded {
    Story(Box<Story>),
    /// The program failed, and said this.
    Failed(String),
}

/// The directory of a chain: where it writes, and nobody else.
pub(crate) struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new(below: &Path) -> Result<Scratch> {
        let dir = tempfile::Builder::new().prefix("wick-powercut-").tempdir_in(below);
        let dir = dir.with_context(|| below.display().to_string())?;
        Ok(Scratch { dir })
    }

    /// Does the work on a disk that looks like `start`, recorded.
    pub(crate) fn record(&self, start: &Image, job: &Job) -> Result<Recorded> {
        let dir = fs::canonicalize(self.dir.path())?;
        let [root, log, announce] = ["disk", "log", "announcements"].map(|name| dir.join(name));
        clear(&root)?;
        start.write(&root)?;
        File::create(&log)?;
        File::create(&announce)?;
        let mut command = subject("work", &root, job.tuning, job.toy)?;
        command.arg("--workload").arg(value_name(&job.workload));
        command.arg("--announce").arg(&announce);
        command.args(["--seed", &job.seed.to_string(), "--steps", &job.steps.to_string()]);
        command.env("LD_PRELOAD", recorder()?).env(SYNC_VARIABLE, SYNC_US.to_string());
        command.env(ROOT_VARIABLE, &root).env(LOG_VARIABLE, &log).env(ANNOUNCE_VARIABLE, &announce);
        let ended = watch(&mut command)?;
        let log = fs::read(&log)?;
        ensure!(!log.is_empty(), "the recorder was not loaded: {}", ended.describe());
        if !matches!(&ended, Ended::Exited { status, .. } if status.success()) {
            return Ok(Recorded::Failed(ended.describe()));
        }
        let story = Story::read(start, log).context("the log of the recorder")?;
        if let Some(difference) = story.end().difference(&Image::read(&root)?) {
            anyhow::bail!("the recorder missed something: of log and disk, {difference}");
        }
        clear(&root)?;
        Ok(Recorded::Story(Box::new(story)))
    }

    /// Has a store in this state opened and read.
    pub(crate) fn check(
        &self,
        image: &Image,
        tuning: Tuning,
        toy: Option<crate::toy::Flaw>,
        go_on: Option<u64>,
    ) -> Result<Ended> {
        let root = self.dir.path().join("state");
        clear(&root)?;
        image.write(&root)?;
        let mut command = subject("check", &root, tuning, toy)?;
        if let Some(seed) = go_on {
            command.args(["--go-on", &seed.to_string()]);
        }
        let ended = watch(&mut command)?;
        clear(&root)?;
        Ok(ended)
    }
}

impl Ended {
    /// In a line, with what it said last.
    pub(crate) fn describe(&self) -> String {
        match self {
            Ended::Hung => format!("it was still at it after {} s", TIME_LIMIT.as_secs()),
            Ended::Exited { status, err, .. } => {
                let last: Vec<&str> = err.lines().rev().take(4).collect();
                format!("{status}: {}", last.into_iter().rev().collect::<Vec<_>>().join(" | "))
            }
        }
    }
}

/// Ourselves, with another command.
fn subject(command: &str, root: &Path, tuning: Tuning, toy: Option<crate::toy::Flaw>) -> Result<Command> {
    let mut subject = Command::new(std::env::current_exe()?);
    subject.arg(command).arg("--dir").arg(root).arg("--tuning").arg(value_name(&tuning));
    if let Some(flaw) = toy {
        subject.arg("--toy").arg(value_name(&flaw));
    }
    Ok(subject)
}

fn value_name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Cargo puts it beside the program.
fn recorder() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("libpowercut_recorder.so");
    ensure!(path.exists(), "`{}` is missing: build the package with `cargo build`", path.display());
    Ok(path)
}

fn clear(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| dir.display().to_string())
        }
        _ => Ok(()),
    }
}

/// Runs it to its end, or to the end of our patience.
fn watch(command: &mut Command) -> Result<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).env("RUST_BACKTRACE", "0");
    let mut child = command.spawn().context("this program could not be started again")?;
    let (done, ended) = mpsc::channel();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let err = scope.spawn(move || read(err));
        let reader = scope.spawn(move || {
            let text = read(out);
            // Whoever waits may have given up.
            let _ = done.send(());
            text
        });
        let hung = ended.recv_timeout(TIME_LIMIT).is_err();
        if hung {
            child.kill()?;
        }
        let status = child.wait()?;
        let (Ok(out), Ok(err)) = (reader.join(), err.join()) else { anyhow::bail!("a reader ended early") };
        // Killed by us, or not: what it said last counts.
        Ok(if hung && status.signal() == Some(libc::SIGKILL) {
            Ended::Hung
        } else {
            Ended::Exited { status, out, err }
        })
    })
}

fn read(from: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    // What is missing shows: an answer that ends early is none.
    let _ = from.map(|mut from| from.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
