//! A `wickd` of our own: a child process that does not outlive the demo.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a clean stop may take.
const STOP: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// What an agent is started with. Two agents from one `Setup`, one after the other, are the same node.
pub(crate) struct Setup {
    pub(crate) wickd: PathBuf,
    pub(crate) data_dir: PathBuf,
    pub(crate) socket: PathBuf,
    /// Everything it prints, one start after another.
    pub(crate) log: PathBuf,
}

impl Setup {
    pub(crate) fn new(wickd: &Path, dir: &Path) -> Setup {
        let wickd = wickd.to_owned();
        Setup { wickd, data_dir: dir.join("data"), socket: dir.join("wick.sock"), log: dir.join("wickd.log") }
    }

    pub(crate) fn start(&self) -> Result<Agent> {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("{} could not be opened", self.log.display()))?;
        let mut command = Command::new(&self.wickd);
        command.arg("--data-dir").arg(&self.data_dir).arg("--socket").arg(&self.socket);
        // What is stopped here is to be gone, whatever still runs.
        command.args(["--drain-seconds", "0"]);
        command.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child =
            command.spawn().with_context(|| format!("`{}` could not be started", self.wickd.display()))?;
        Ok(Agent { child })
    }
}

/// A running agent. Dropped, it is killed.
pub(crate) struct Agent {
    child: Child,
}

impl Agent {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("the agent could not be waited for")
    }

    /// SIGKILL: the agent learns nothing of it.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill().context("the agent could not be killed")?;
        self.child.wait().context("the agent could not be waited for")?;
        Ok(())
    }

    /// SIGTERM, and its end. An agent that was asked to stop ends with 0.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .context("the agent could not be signalled")?;
        let asked = Instant::now();
        loop {
            match self.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the agent did not stop cleanly: {status}"),
                None if asked.elapsed() > STOP => bail!("the agent did not stop within {} s", STOP.as_secs()),
                None => thread::sleep(POLL),
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Fails where it has ended already, and that is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
