//! Writes one run's output, and begins a new file when the last one is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use runtime::{Output, Stream};
use tokio::sync::Notify;

use super::{FILES, Logs, Run, line, rotated};
use crate::data;

/// Takes what one guest writes.
pub(crate) struct LogWriter {
    logs: Arc<Logs>,
    run: Run,
    path: PathBuf,
    open: Mutex<Open>,
    growth: Arc<Notify>,
}

#[derive(Default)]
struct Open {
    /// Nothing is opened before something is written: most short guests write little or nothing.
    file: Option<File>,
    bytes: u64,
    /// A write failed, and that was told once.
    failed: bool,
}

impl LogWriter {
    pub(super) fn new(logs: Arc<Logs>, run: Run, path: PathBuf) -> LogWriter {
        LogWriter { logs, run, path, open: Mutex::default(), growth: Arc::default() }
    }

    pub(super) fn growth(&self) -> Arc<Notify> {
        self.growth.clone()
    }

    fn append(&self, open: &mut Open, bytes: &[u8]) -> io::Result<()> {
        if open.file.is_some() && open.bytes + bytes.len() as u64 > self.logs.file_bytes() {
            open.file = None;
            for age in (0..FILES - 1).rev() {
                match fs::rename(rotated(&self.path, age), rotated(&self.path, age + 1)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        let file = match &mut open.file {
            Some(file) => file,
            none => {
                if let Some(dir) = self.path.parent() {
                    data::private_dir(dir)?;
                }
                self.forget_old_runs();
                let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
                open.bytes = file.metadata()?.len();
                none.insert(file)
            }
        };
        file.write_all(bytes)?;
        open.bytes += bytes.len() as u64;
        Ok(())
    }

    /// This run and the one before it can be asked for; those before go, as the kubelet does it.
    fn forget_old_runs(&self) {
        let (_, _, restarts) = &self.run;
        let Some(oldest) = restarts.checked_sub(1).filter(|oldest| *oldest > 0) else { return };
        let Some(files) = self.path.parent().and_then(|dir| fs::read_dir(dir).ok()) else { return };
        for file in files.flatten() {
            let name = file.file_name();
            let run = name.to_str().and_then(|name| name.split('.').next()?.parse::<u32>().ok());
            if run.is_some_and(|run| run < oldest) {
                // What cannot be removed goes with the Pod.
                let _ = fs::remove_file(file.path());
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
                tracing::warn!(path = %self.path.display(), %error, "output of a guest is lost");
            }
        }
        drop(open);
        self.growth.notify_waiters();
    }
}

impl Drop for LogWriter {
    /// The guest has ended: whoever follows reads what is left, and is done.
    fn drop(&mut self) {
        self.logs.ended(&self.run);
        self.growth.notify_waiters();
    }
}
