//! A `wickd` of our own, on a data directory of its own, gone when it is dropped.

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;

/// How long it may take until it answers, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(30);
/// Lines of what it said that are shown when it did not do as it should.
const TAIL: usize = 5;

/// Data of agents that are gone, kept until everything is measured.
///
/// ext4 avoids inodes that were freed in the last minutes, and looks at each of them again whenever it needs one: who
/// removes thousands of files makes the next measurement slow.
#[derive(Clone, Default)]
pub(crate) struct Attic(Rc<RefCell<Vec<TempDir>>>);

pub(crate) struct Agent {
    child: Child,
    /// Holds the data; on the disk that is measured. It is here as long as the agent is.
    data: Option<TempDir>,
    attic: Attic,
    /// Holds the socket; its path must be short.
    run: TempDir,
}

impl Agent {
    /// Starts one on an empty directory below `scratch`, and waits until it is ready. Its data ends in `attic`.
    pub(crate) fn start(wickd: &Path, scratch: &Path, attic: &Attic) -> Result<Agent> {
        let data = tempfile::Builder::new().prefix("run-").tempdir_in(scratch);
        let data = data.with_context(|| format!("{}: no directory can be made there", scratch.display()))?;
        Agent::start_on(data, wickd, attic)
    }

    /// Kills it, and starts another on its data: how long it takes until that one is ready, in seconds.
    pub(crate) fn kill_and_start(mut self, wickd: &Path) -> Result<(Agent, f64)> {
        self.child.kill().context("the agent cannot be killed")?;
        self.child.wait().context("the agent cannot be waited for")?;
        let data = self.data.take().context("its data is gone")?;
        let began = Instant::now();
        let agent = Agent::start_on(data, wickd, &self.attic)?;
        Ok((agent, began.elapsed().as_secs_f64()))
    }

    fn start_on(data: TempDir, wickd: &Path, attic: &Attic) -> Result<Agent> {
        let run =
            tempfile::Builder::new().prefix("wick-bench-").tempdir().context("no temporary directory")?;
        let mut command = Command::new(wickd);
        // Whoever measures may use Wick too.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WICK_")) {
            command.env_remove(name);
        }
        command.arg("--data-dir").arg(data.path()).arg("--socket").arg(run.path().join("wick.sock"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("{} could not be started", wickd.display()))?;
        let mut agent = Agent { child, data: Some(data), attic: attic.clone(), run };
        agent.wait_until_ready()?;
        Ok(agent)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let stderr = self.child.stderr.take().context("its standard error is not piped")?;
        let (say, said) = mpsc::channel();
        thread::spawn(move || listen(stderr, &say));
        let deadline = Instant::now() + PATIENCE;
        let mut lines: Vec<String> = Vec::new();
        loop {
            match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if is_ready(&line) => return Ok(()),
                Ok(line) => lines.push(line),
                Err(why) => {
                    let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
                    match why {
                        RecvTimeoutError::Timeout => {
                            bail!("the agent is not ready after {PATIENCE:?}: {tail}")
                        }
                        RecvTimeoutError::Disconnected => {
                            bail!("the agent ended before it was ready: {tail}")
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The data directory.
    pub(crate) fn data(&self) -> Option<&Path> {
        self.data.as_ref().map(TempDir::path)
    }

    pub(crate) async fn client(&self) -> Result<Client> {
        let socket: PathBuf = self.run.path().join("wick.sock");
        Client::connect(&socket).await
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("the agent cannot be signalled")?;
        let asked = Instant::now();
        while self.child.try_wait().context("the agent cannot be waited for")?.is_none() {
            ensure!(
                asked.elapsed() < PATIENCE,
                "the agent has not stopped {PATIENCE:?} after it was asked to"
            );
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Both fail where it has ended already, and that is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.attic.0.borrow_mut().extend(self.data.take());
    }
}

/// Passes on every line as long as somebody wants them, and goes on reading: a full pipe would stop the agent.
fn listen(stderr: ChildStderr, say: &mpsc::Sender<String>) {
    for line in BufReader::new(stderr).lines() {
        let Ok(line) = line else { break };
        let _ = say.send(line);
    }
}

fn is_ready(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|said| said["message"] == "ready")
}
