//! Writes one run's output, and begins a new file when the last one is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, PoisonError};

use runtime::{Output, Stream};
use tokio::sync::Notify;

use super::{FILES, Logs, line};
use crate::data::{self, LogName};

/// Takes what one guest writes.
pub(crate) struct LogWriter {
    logs: Arc<Logs>,
    name: LogName,
    open: Mutex<Open>,
    growth: Arc<Notify>,
}

#[derive(Default)]
struct Open {
    /// Nothing is opened before something is written: most short guests write little or nothing.
    file: Option<File>,
    bytes: u64,
    /// In this file and those before it.
    kept: u64,
    /// A write failed, and that was told once.
    failed: bool,
}

impl LogWriter {
    pub(super) fn new(logs: Arc<Logs>, name: LogName) -> LogWriter {
        LogWriter { logs, name, open: Mutex::default(), growth: Arc::default() }
    }

    pub(super) fn growth(&self) -> Arc<Notify> {
        self.growth.clone()
    }

    /// What is kept of the run takes so much of the disk, in bytes.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).kept
    }

    fn append(&self, open: &mut Open, bytes: &[u8]) -> io::Result<()> {
        let data = &self.logs.data;
        if open.file.is_some() && open.bytes + bytes.len() as u64 > self.logs.file_bytes() {
            open.file = None;
            for age in (0..FILES - 1).rev() {
                data.log_begins(&self.name, age + 1);
                match fs::rename(data.log(&self.name, age), data.log(&self.name, age + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        let file = match &mut open.file {
            Some(file) => file,
            none => {
                self.forget_old_runs();
                data.log_begins(&self.name, 0);
                let path = data.log(&self.name, 0);
                let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
                open.bytes = file.metadata()?.len();
                none.insert(file)
            }
        };
        file.write_all(bytes)?;
        open.bytes += bytes.len() as u64;
        open.kept = (open.kept + bytes.len() as u64).min(self.logs.file_bytes() * FILES);
        Ok(())
    }

    /// This run and the one before it can be asked for; those before go, as the kubelet does it.
    fn forget_old_runs(&self) {
        for path in self.logs.data.take_old_logs(&self.name) {
            if let Err(error) = data::remove(&path) {
                // What stays behind goes with the Pod at the next start.
                tracing::warn!(path = %path.display(), %error, "cannot remove");
            }
        }
    }
}

impl Output for LogWriter {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        let at = self.logs.clock.wall();
        let mut lines = Vec::with_capacity(bytes.len() + 64);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let mut rest = text;
            while rest.len() > line::PIECE_MAX {
                let (head, tail) = rest.split_at(line::PIECE_MAX);
                line::write(&mut lines, at, stream, true, head);
                rest = tail;
            }
            line::write(&mut lines, at, stream, !ended, rest);
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.append(&mut open, &lines) {
            // The guest goes on: its output is the lesser loss.
            if !std::mem::replace(&mut open.failed, true) {
                tracing::warn!(path = %self.logs.data.log(&self.name, 0).display(), %error, "output of a guest is lost");
            }
        }
        drop(open);
        self.growth.notify_waiters();
    }
}

impl Drop for LogWriter {
    /// The guest has ended: whoever follows reads what is left, and is done.
    fn drop(&mut self) {
        self.logs.ended(&self.name);
        self.growth.notify_waiters();
    }
}
