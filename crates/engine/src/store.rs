//! Keeps records so that what was acknowledged survives a power cut.
//!
//! [`Store`] is the whole of what the engine may ask of a disk: load everything at start, commit one change at
//! a time, read what is durable from other threads. [`SledStore`] is the real one, [`MemoryStore`] the simulator's. sled 0.34.7 as it ships
//! loses acknowledged data in most simulated power cuts, so every rule that makes it safe lives in this module
//! and nowhere else: sled is not named outside.
//!
//! Deliberately absent: what a record means, clocks (`Batch::at_ms` is handed in), retries, and any way to go
//! on after a failed write. A store that failed says so for ever; the next start recovers.

use std::error::Error;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod batch;
mod contents;
mod copy;
mod data_dir;
mod durable;
mod memory;
mod no_sync_file_range;
mod opening;
mod record;
mod room;
mod sled_store;
mod synced_rename;
mod tree;
mod watermark;

pub use batch::Batch;
pub use copy::{LookError, StoreCopy, set_aside};
pub use data_dir::{DataDir, DataDirError, FORMAT};
pub use memory::{DiskRoom, Fault, MemoryDisk, MemoryStore};
pub use opening::Condition;
pub use sled_store::{SledOptions, SledStore};

/// A key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

/// What is shown each record's key and value, until it breaks.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Where the engine's records are, by key. There is one writer, and it is the owner.
pub trait Store: Send {
    /// Shows every record whose key starts with `prefix`, in key order, until `visit` breaks.
    fn load(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Makes all of `batch` durable, or nothing of it. Durable when it returns.
    ///
    /// [`StoreError::Full`], [`StoreError::TooLarge`] and [`StoreError::Backwards`] mean that nothing was
    /// written and the store goes on. After any other error it takes nothing more: whether the batch was
    /// recorded is then known after the next start only.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;

    /// Reads for other threads.
    fn history(&self) -> Arc<dyn History>;

    /// The revision of the last commit.
    fn revision(&self) -> u64;

    /// Whether something new of `bytes` should be taken in: [`StoreError::Full`] if not. It says so well before commits are
    /// refused, so that what was taken in can still come to its end.
    fn room_for_more(&mut self, bytes: usize) -> Result<(), StoreError> {
        let _ = bytes;
        Ok(())
    }

    /// Gives up the space kept back for a full disk, so that the next commits may pass where one was
    /// refused with [`StoreError::Full`]. False if there was none to give. It is taken back by itself when
    /// there is room again.
    fn release_reserve(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// A clean stop: the next start need not recover anything. Afterwards every call answers
    /// [`StoreError::Closed`], through every [`History`] too.
    fn close(&mut self) -> Result<(), StoreError>;
}

/// Reads, from any thread, of what is durable: nothing seen here can be taken back by a power cut.
pub trait History: Send + Sync {
    /// The value at exactly `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Up to `limit` records whose keys start with `prefix`, in key order, from the first key greater than
    /// `after`. Whoever asks bounds the memory: values are whole.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, StoreError>;
}

/// Why a store does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is (almost) full. Nothing was written; the same batch may be tried again.
    #[error("no room to {doing} in `{}`: {free} bytes are free, {needed} must be", path.display())]
    Full {
        /// What there is no room for, as a verb.
        doing: &'static str,
        /// Where room is missing.
        path: PathBuf,
        /// Bytes free there.
        free: u64,
        /// Bytes that must be free there before anything is written.
        needed: u64,
    },
    /// A batch, key or value over its limit. Nothing was written.
    #[error("{what} of {bytes} bytes is too large to record; the most is {most}")]
    TooLarge {
        /// `a batch`, `a key`, …
        what: &'static str,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        most: usize,
    },
    /// The batch is older than what is stored. Nothing was written.
    #[error("revision {asked} cannot follow revision {stored}, which is recorded already")]
    Backwards {
        /// The batch's revision.
        asked: u64,
        /// The store's.
        stored: u64,
    },
    /// This program, or what it found, would lose data in a power cut.
    #[error("cannot keep data safely: {0}")]
    Unsafe(String),
    /// What is on disk is not what was acknowledged. Nothing was written over; the next start refuses again.
    #[error(
        "store `{}` is refused: {why}; {}; put a backup of the whole data directory in place, or {way_on}",
        store.display(),
        if *untouched { "nothing was changed" } else { "it was opened in place, after a clean stop" }
    )]
    Refused {
        /// The store's directory.
        store: PathBuf,
        /// What was found, and what was expected.
        why: String,
        /// How to go on without a backup, and what with.
        way_on: String,
        /// Whether all is byte for byte as it was found. It is not after a clean stop, which needs no copy: sled
        /// then recovered in place.
        untouched: bool,
    },
    /// The file system said no.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The store failed while doing something. It takes nothing more.
    #[error("the store failed {doing}")]
    Failed {
        /// What it was doing: `committing revision 7`.
        doing: String,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store failed earlier, for the reason given, and takes nothing more.
    #[error("the store takes nothing more until the next start: {0}")]
    Stopped(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the cause is a full disk, before or during writing.
    pub fn is_full(&self) -> bool {
        let kind = match self {
            StoreError::Full { .. } => return true,
            StoreError::Io { source, .. } => source.kind(),
            StoreError::Failed { source, .. } => match source.downcast_ref::<sled::Error>() {
                Some(sled::Error::Io(error)) => error.kind(),
                _ => return false,
            },
            _ => return false,
        };
        matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// For `map_err`: the file system's answer, with what was tried.
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io { doing, path, source }
    }
}
