//! The process `wickd`: started, heard until it is ready, stopped or killed.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{PATIENCE, programs};

/// A process of `wickd`, or of what runs it. Dropped, it is killed.
pub struct Agent {
    child: Child,
    ready: Receiver<Ready>,
    /// Closed once it has said its last word.
    silent: Receiver<()>,
    log: Arc<Log>,
}

/// What an agent wrote to standard error.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    grown: Condvar,
}

/// What an agent says when it can be asked.
#[derive(Clone, Debug)]
pub struct Ready {
    /// `HOST:PORT`, if it listens on one.
    pub listen: Option<String>,
}

/// An agent that ended before it was ready.
#[derive(Debug)]
pub struct NotReady {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// All it wrote to standard error.
    pub stderr: String,
}

impl NotReady {
    /// What it said for people: all but its log.
    pub fn words(&self) -> String {
        let is_log = |line: &&str| serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object());
        self.stderr.lines().filter(|line| !is_log(line)).map(|line| format!("{line}\n")).collect()
    }
}

impl Agent {
    /// Starts one; `wrapper` are words to put before the program, such as `strace`.
    pub fn start<S: AsRef<OsStr>>(wrapper: &[&str], args: &[S]) -> Agent {
        let program = programs::wickd();
        let mut command = match wrapper {
            [] => Command::new(&program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(&program);
                command
            }
        };
        forget_environment(&mut command);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stderr = child.stderr.take().expect("it is piped");
        let log = Arc::new(Log::default());
        let (say_ready, ready) = mpsc::channel();
        let (say_silent, silent) = mpsc::channel();
        let kept = log.clone();
        thread::spawn(move || {
            listen(stderr, &kept, &say_ready);
            drop(say_silent);
        });
        Agent { child, ready, silent, log }
    }

    /// Waits until it can be asked, or has ended.
    pub fn wait_until_ready(&mut self) -> Result<Ready, NotReady> {
        match self.ready.recv_timeout(PATIENCE) {
            Ok(ready) => Ok(ready),
            Err(RecvTimeoutError::Disconnected) => {
                let code = self.wait().code();
                Err(NotReady { code, stderr: self.log() })
            }
            Err(RecvTimeoutError::Timeout) => {
                panic!("the agent is not ready after {PATIENCE:?}; it said:\n{}", self.log())
            }
        }
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All it has written to standard error so far.
    pub fn log(&self) -> String {
        self.log.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has logged a line with this message; the line.
    pub fn wait_until_it_says(&self, message: &str) -> Value {
        let text = self.log.text.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |text: &str| {
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.into_iter().find(|line| line["message"] == message)
        };
        let waited = self.log.grown.wait_timeout_while(text, PATIENCE, |text| find(text).is_none());
        let (text, _) = waited.unwrap_or_else(PoisonError::into_inner);
        find(&text).unwrap_or_else(|| panic!("the agent never said `{message}`, but:\n{text}"))
    }

    /// SIGKILL: it learns nothing of it. Returns when it is dead.
    pub fn kill(&mut self) {
        self.child.kill().expect("an own child can be killed");
        self.child.wait().expect("an own child can be waited for");
    }

    /// SIGTERM, and its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Any signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("an own child can be signalled");
    }

    /// Waits for its end. It is one when standard error is closed: there is no event for a child's end that has a time
    /// limit.
    pub fn wait(&mut self) -> ExitStatus {
        if let Err(RecvTimeoutError::Timeout) = self.silent.recv_timeout(PATIENCE) {
            panic!("the agent has not ended after {PATIENCE:?}; it said:\n{}", self.log());
        }
        self.child.wait().expect("an own child can be waited for")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Both fail where it has ended already, and that is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps every line, and passes on the one that says that it is ready.
fn listen(stderr: ChildStderr, log: &Log, ready: &mpsc::Sender<Ready>) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line);
        log.text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        log.grown.notify_all();
        if let Ok(said) = serde_json::from_str::<Value>(&text)
            && said["message"] == "ready"
        {
            // Whoever started it may not want to know.
            let _ = ready.send(Ready { listen: said["listen"].as_str().map(str::to_owned) });
        }
        line.clear();
    }
}

/// Whoever runs the tests may use Wick too; what they have set for it is not to be heard here.
pub(crate) fn forget_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy().starts_with("WICK_");
        if ours
            || ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "NO_COLOR", "CLICOLOR_FORCE"]
                .iter()
                .any(|known| name == *known)
        {
            command.env_remove(name);
        }
    }
}
