//! A command that goes on and on, heard line by line.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::PATIENCE;

/// What a command prints. Dropped, it is killed.
pub struct Lines {
    child: Child,
    lines: Receiver<String>,
    command: String,
}

impl Lines {
    pub(crate) fn of(mut command: Command) -> Lines {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Lines { child, lines, command: format!("{command:?}") }
    }

    /// The next line, once it is there.
    pub fn next_line(&self) -> String {
        let next = self.lines.recv_timeout(PATIENCE);
        next.unwrap_or_else(|error| panic!("{}: no line after {PATIENCE:?}: {error}", self.command))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // Both fail where it has ended already, and that is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
