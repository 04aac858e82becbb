//! Stores made to be broken: what finds nothing wrong with those that are wrong proves nothing.
//!
//! A toy keeps a log of batches, each with its length and checksum, in files of a few batches each.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::store::{Batch, History, Record, Store, StoreError, Visit};

/// After so many batches another file is begun.
const BATCHES_PER_FILE: usize = 20;
/// The toy that acknowledges too early syncs only after so many batches.
const EARLY: usize = 8;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Flaw {
    /// Nothing.
    None,
    /// Most batches are acknowledged before they are synced.
    AcknowledgesEarly,
    /// The directory is not synced when a file is begun.
    NoDirectorySync,
    /// What is read is not compared with its checksum.
    NoChecksum,
}

pub(crate) struct Toy {
    dir: PathBuf,
    flaw: Flaw,
    log: File,
    number: usize,
    batches: usize,
    revision: u64,
    records: Arc<Records>,
}

#[derive(Default)]
struct Records(Mutex<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Toy {
    pub(crate) fn open(dir: &Path, flaw: Flaw) -> Result<Toy, StoreError> {
        Toy::try_open(dir, flaw).map_err(failed("opening"))
    }

    fn try_open(dir: &Path, flaw: Flaw) -> io::Result<Toy> {
        if !dir.exists() {
            fs::create_dir(dir)?;
            File::open(dir.parent().unwrap_or(dir))?.sync_all()?;
        }
        let records = Arc::new(Records::default());
        let (mut revision, mut number, mut kept) = (0, 0, 0);
        while let Ok(bytes) = fs::read(log_path(dir, number)) {
            let mut rest = bytes.as_slice();
            kept = 0;
            while let Some(length) = take(&mut rest, flaw, &mut revision, &mut records.lock()) {
                kept += length;
            }
            number += 1;
        }
        let number = number.saturating_sub(1);
        let path = log_path(dir, number);
        let log = OpenOptions::new().append(true).create(true).open(&path)?;
        log.set_len(kept as u64)?;
        log.sync_all()?;
        File::open(dir)?.sync_all()?;
        Ok(Toy { dir: dir.to_owned(), flaw, log, number, batches: 0, revision, records })
    }

    fn append(&mut self, batch: &Batch) -> io::Result<()> {
        if self.batches > 0 && self.batches.is_multiple_of(BATCHES_PER_FILE) {
            self.log.sync_data()?;
            self.number += 1;
            self.log = OpenOptions::new().append(true).create(true).open(log_path(&self.dir, self.number))?;
            if self.flaw != Flaw::NoDirectorySync {
                File::open(&self.dir)?.sync_all()?;
            }
        }
        self.batches += 1;
        self.log.write_all(&encode(batch))?;
        if self.flaw != Flaw::AcknowledgesEarly || self.batches.is_multiple_of(EARLY) {
            self.log.sync_data()?;
        }
        Ok(())
    }
}

fn failed(doing: &'static str) -> impl Fn(io::Error) -> StoreError {
    move |error| StoreError::Failed { doing: doing.into(), source: error.into() }
}

fn log_path(dir: &Path, number: usize) -> PathBuf {
    dir.join(format!("log.{number}"))
}

/// `length, checksum, revision, operations`; an operation is `key length, key, value length or -1, value`.
fn encode(batch: &Batch) -> Vec<u8> {
    let mut body = batch.revision.to_le_bytes().to_vec();
    for (key, value) in batch.ops() {
        body.extend_from_slice(&(key.len() as u32).to_le_bytes());
        body.extend_from_slice(key);
        body.extend_from_slice(&value.map_or(u32::MAX, |value| value.len() as u32).to_le_bytes());
        body.extend_from_slice(value.unwrap_or_default());
    }
    let mut record = (body.len() as u32).to_le_bytes().to_vec();
    record.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    record.extend_from_slice(&body);
    record
}

/// Reads the next batch, and does what it says; how long it was, or none at the end of what can be read.
fn take(
    rest: &mut &[u8],
    flaw: Flaw,
    revision: &mut u64,
    records: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) -> Option<usize> {
    let before = rest.len();
    let length = number(rest)? as usize;
    let crc = number(rest)?;
    let (mut body, after) = rest.split_at_checked(length)?;
    if length < 8 || flaw != Flaw::NoChecksum && crc32fast::hash(body) != crc {
        return None;
    }
    *rest = after;
    let (first, ops) = body.split_first_chunk()?;
    *revision = u64::from_le_bytes(*first);
    body = ops;
    while let Some(key) = number(&mut body) {
        let (key, others) = body.split_at_checked(key as usize)?;
        body = others;
        match number(&mut body)? {
            u32::MAX => drop(records.remove(key)),
            value => {
                let (value, others) = body.split_at_checked(value as usize)?;
                records.insert(key.to_vec(), value.to_vec());
                body = others;
            }
        }
    }
    Some(before - rest.len())
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*number))
}

impl Records {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Toy {
    fn load(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        for (key, value) in self.records.lock().iter().filter(|(key, _)| key.starts_with(prefix)) {
            if let ControlFlow::Break(()) = visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.append(batch).map_err(failed("committing"))?;
        self.revision = batch.revision;
        let mut records = self.records.lock();
        for (key, value) in batch.ops() {
            match value {
                Some(value) => records.insert(key.to_vec(), value.to_vec()),
                None => records.remove(key),
            };
        }
        Ok(())
    }

    fn history(&self) -> Arc<dyn History> {
        self.records.clone()
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.log.sync_all().map_err(failed("closing"))
    }
}

impl History for Records {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.lock().get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, StoreError> {
        let records = self.lock();
        let found = records
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_slice() > after));
        Ok(found.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
