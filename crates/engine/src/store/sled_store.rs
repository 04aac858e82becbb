//! The store on sled 0.34.7, in the one form that survived every simulated power cut.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sled::IVec;

use super::opening::{self, Condition, Opened};
use super::record::{Head, Large, PIECE_BYTES, SEQUENCE_KEY, head_key, piece_key};
use super::room::Room;
use super::tree::{CHUNK, Tree};
use super::watermark::Watermark;
use super::{Batch, DataDir, History, Record, Store, StoreError, Visit, no_sync_file_range, synced_rename};

/// Pieces of large values are written and synced in groups of this many: 128 KiB, well below a log segment.
const GROUP_PIECES: usize = (128 << 10) / PIECE_BYTES;

/// How many pieces of values that are gone a commit removes beside its own work.
const PIECES_REMOVED_PER_COMMIT: usize = 64;

/// How far apart on the steady axis the watermark is written.
const WATERMARK_EVERY_MS: i64 = 1000;

/// What may be set. The defaults are what was tried.
#[derive(Clone, Debug)]
pub struct SledOptions {
    /// How much of its pages sled keeps in memory, in bytes. (sled's own default is 1 GiB.)
    pub cache_bytes: u64,
    /// How often sled's background thread cleans its log, in milliseconds. (sled's own default is 500, which would wake an
    /// idle device twice a second; nothing waits for it, because every commit flushes.)
    pub clean_every_ms: u64,
    /// Free bytes below which nothing more is recorded. When the reserve was given up, a quarter of it.
    pub keep_free_bytes: u64,
    /// A store of more bytes than this on disk is rewritten at start …
    pub rewrite_above_bytes: u64,
    /// … if fewer than this many percent of them are records.
    pub rewrite_below_percent: u64,
}

impl Default for SledOptions {
    fn default() -> SledOptions {
        SledOptions {
            cache_bytes: 16 << 20,
            clean_every_ms: 60_000,
            keep_free_bytes: 4 << 20,
            rewrite_above_bytes: 64 << 20,
            rewrite_below_percent: 25,
        }
    }
}

/// The records of a data directory, on sled.
///
/// Dropping it without [`Store::close`] is what a crash is: nothing acknowledged is lost, and the next start
/// looks at a copy first.
pub struct SledStore {
    shared: Arc<Shared>,
    data_dir: DataDir,
    condition: Condition,
    room: Room,
    revision: u64,
    /// The values in pieces, by their record's key, so that their pieces can be removed with it.
    large: BTreeMap<Vec<u8>, Large>,
    next_id: u64,
    /// Pieces that no record refers to any more.
    garbage: VecDeque<[u8; 13]>,
    /// When the watermark was last written, on the steady axis.
    watermark_at_ms: Option<i64>,
}

/// What the writer and its readers share. Whoever reads holds the lock for reading; a commit holds it for
/// writing from its first change until that is durable, so no reader ever sees what a power cut could take back.
struct Shared {
    state: RwLock<State>,
}

enum State {
    Open(Tree),
    Stopped(String),
    Closed,
}

impl SledStore {
    /// Opens the store of `data_dir`, or makes one where none ever was.
    pub fn open(data_dir: &DataDir, options: SledOptions) -> Result<SledStore, StoreError> {
        no_sync_file_range::check(data_dir.lock_file())?;
        synced_rename::check()?;
        let opened = match opening::open(data_dir.path(), &options) {
            // To start, and then to record how things ended, is what the reserve is for.
            Err(error) if error.is_full() && Room::give_up_reserve(data_dir.path())? => {
                opening::open(data_dir.path(), &options)?
            }
            result => result?,
        };
        let Opened { tree, contents, revision, condition } = opened;
        Ok(SledStore {
            condition,
            room: Room::open(data_dir.path(), options.keep_free_bytes)?,
            shared: Arc::new(Shared { state: RwLock::new(State::Open(tree)) }),
            data_dir: data_dir.clone(),
            revision,
            large: contents.large,
            next_id: contents.next_id,
            garbage: VecDeque::new(),
            watermark_at_ms: None,
        })
    }

    /// How the store was found.
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// Writes the values that are too long to lie with their keys, and says where they are. Nothing refers to
    /// them yet.
    fn write_large(&mut self, batch: &Batch) -> Result<BTreeMap<Vec<u8>, Large>, StoreError> {
        let mut large = BTreeMap::new();
        let mut pieces = Vec::new();
        for (key, value) in batch.ops() {
            let Some(value) = value.filter(|value| value.len() > Batch::MAX_INLINE_BYTES) else { continue };
            let written = Large::of(self.next_id, value);
            self.next_id += 1;
            pieces.extend(written.keys().zip(value.chunks(PIECE_BYTES)));
            large.insert(key.to_vec(), written);
        }
        let shared = self.shared.read();
        let tree = shared.tree()?;
        for group in pieces.chunks(GROUP_PIECES) {
            let mut writes = sled::Batch::default();
            for (key, piece) in group {
                writes.insert(key, *piece);
            }
            tree.write(writes, || format!("writing a value of revision {}", batch.revision))?;
        }
        Ok(large)
    }

    /// Applies the batch proper. Durable, and seen by readers, when it returns.
    fn write_heads(&mut self, batch: &Batch, large: &BTreeMap<Vec<u8>, Large>) -> Result<(), StoreError> {
        let mut writes = sled::Batch::default();
        for (key, value) in batch.ops() {
            match (value, large.get(key)) {
                (Some(_), Some(large)) => writes.insert(head_key(key), Head::Large(*large).encode()),
                (Some(value), None) => writes.insert(head_key(key), Head::Inline(value).encode()),
                (None, _) => writes.remove(head_key(key)),
            }
        }
        let removed = self.garbage.len().min(PIECES_REMOVED_PER_COMMIT);
        for key in self.garbage.range(..removed) {
            writes.remove(key);
        }
        writes.insert(SEQUENCE_KEY, &batch.revision.to_be_bytes());

        // For writing, so that no reader sees it before it is durable.
        let shared = self.shared.write();
        let tree = shared.tree()?;
        tree.write(writes, || format!("committing revision {}", batch.revision))?;
        if !large.is_empty() {
            tree.check_blobs()?;
        }
        self.garbage.drain(..removed);
        Ok(())
    }

    /// After it, the store only says what went wrong.
    fn stop(&self, error: StoreError) -> StoreError {
        let mut shared = self.shared.write();
        if let State::Open(_) = *shared {
            let why = match &error {
                StoreError::Failed { source, .. } => format!("{error}: {source}"),
                StoreError::Io { source, .. } => format!("{error}: {source}"),
                _ => error.to_string(),
            };
            if let State::Open(tree) = mem::replace(&mut *shared, State::Stopped(why)) {
                tree.abandon();
            }
        }
        error
    }

    /// Says outside sled how far we are. The commit is durable already; a watermark that is not written today
    /// only vouches for less.
    fn keep_watermark(&mut self, at_ms: i64) {
        let due = self.watermark_at_ms.is_none_or(|last| {
            // An axis that seems to go back is somebody else's trouble; it must not keep us from writing.
            at_ms < last || at_ms - last >= WATERMARK_EVERY_MS
        });
        if !due {
            return;
        }
        let path = opening::watermark_path(self.data_dir.path());
        match Watermark::running(self.revision).write(&path) {
            Ok(()) => self.watermark_at_ms = Some(at_ms),
            // Tried again with the next commit.
            Err(error) if error.is_full() => {}
            // The disk is failing: this commit stands, the next one is told.
            Err(error) => drop(self.stop(error)),
        }
    }
}

impl Store for SledStore {
    fn load(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let shared = self.shared.read();
        for_each(shared.tree()?, prefix, None, CHUNK, visit)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.shared.read().tree()?;
        batch.check(self.revision)?;
        self.room.check(batch.bytes() + batch.large_bytes())?;
        let written = self.write_large(batch).and_then(|large| {
            self.write_heads(batch, &large)?;
            Ok(large)
        });
        let mut large = match written {
            Ok(large) => large,
            Err(error) => return Err(self.stop(error)),
        };
        self.revision = batch.revision;
        if !self.large.is_empty() || !large.is_empty() {
            for (key, _) in batch.ops() {
                let gone = match large.remove_entry(key) {
                    Some((key, written)) => self.large.insert(key, written),
                    None => self.large.remove(key),
                };
                self.garbage.extend(gone.into_iter().flat_map(Large::keys));
            }
        }
        self.keep_watermark(batch.at_ms);
        Ok(())
    }

    fn history(&self) -> Arc<dyn History> {
        self.shared.clone()
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn room_for_more(&mut self, bytes: usize) -> Result<(), StoreError> {
        self.room.check_more(bytes)
    }

    fn release_reserve(&mut self) -> Result<bool, StoreError> {
        self.room.release()
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.shared.read().tree()?;
        if let State::Open(tree) = mem::replace(&mut *self.shared.write(), State::Closed) {
            tree.close()?;
        }
        let dir = self.data_dir.path();
        opening::stopped(dir, self.revision)?.write(&opening::watermark_path(dir))
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // Readers may live on; sled, and its lock on its file, must not live on with them.
        let state = mem::replace(&mut *self.shared.write(), State::Closed);
        if let State::Open(tree) = state {
            // Nobody is left to tell, and nothing acknowledged depends on it.
            let _ = tree.close();
        }
    }
}

impl History for Shared {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let shared = self.read();
        let tree = shared.tree()?;
        tree.get(&head_key(key))?.map(|head| value(tree, &head)).transpose()
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, StoreError> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        let shared = self.read();
        for_each(shared.tree()?, prefix, after, limit.min(CHUNK), &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(found)
    }
}

impl Shared {
    // A poisoned lock only means that a reader's thread ended: the state under it is whole at any moment.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tree(&self) -> Result<&Tree, StoreError> {
        match self {
            State::Open(tree) => Ok(tree),
            State::Stopped(why) => Err(StoreError::Stopped(why.clone())),
            State::Closed => Err(StoreError::Closed),
        }
    }
}

/// Shows every record whose key starts with `prefix` and is greater than `after`, in key order. They are
/// read `at_once` at a time.
pub(super) fn for_each(
    tree: &Tree,
    prefix: &[u8],
    after: Option<&[u8]>,
    at_once: usize,
    visit: &mut Visit<'_>,
) -> Result<(), StoreError> {
    let first = head_key(prefix);
    let end = end_of_prefix(&first);
    let mut from = match after.map(head_key) {
        Some(after) if after >= first => Bound::Excluded(after),
        _ => Bound::Included(first),
    };
    loop {
        // Whoever asks for what comes after the prefix asks for nothing.
        if matches!(&from, Bound::Excluded(from) if *from >= end) {
            return Ok(());
        }
        let chunk = tree.chunk(from.as_ref().map(Vec::as_slice), Bound::Excluded(&end), at_once)?;
        let Some((last, _)) = chunk.last() else { return Ok(()) };
        from = Bound::Excluded(last.to_vec());
        for (key, head) in chunk {
            if visit(&key[1..], &value(tree, &head)?).is_break() {
                return Ok(());
            }
        }
    }
}

/// The least key greater than all that start with `prefix`, which is a head's and so not all 0xff.
fn end_of_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while end.pop_if(|last| *last == u8::MAX).is_some() {}
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

/// A record's value, put together from its pieces if it lies in pieces.
fn value(tree: &Tree, head: &IVec) -> Result<Vec<u8>, StoreError> {
    let damaged = |what: String| StoreError::Failed { doing: "reading".into(), source: what.into() };
    match Head::decode(head) {
        Some(Head::Inline(value)) => Ok(value.to_vec()),
        Some(Head::Large(large)) => {
            let mut value = Vec::with_capacity(large.len as usize);
            for n in 0..large.pieces() {
                let piece = tree.get(&piece_key(large.id, n))?;
                let piece =
                    piece.ok_or_else(|| damaged(format!("piece {n} of value {} is missing", large.id)))?;
                value.extend_from_slice(&piece);
            }
            if Large::of(large.id, &value) != large {
                return Err(damaged(format!("value {} is not what was written", large.id)));
            }
            Ok(value)
        }
        None => Err(damaged("a record cannot be decoded".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_past_all_that_start_with_it() {
        assert_eq!(end_of_prefix(b"h"), b"i");
        assert_eq!(end_of_prefix(b"hjob/"), b"hjob0");
        assert_eq!(end_of_prefix(b"ha\xff\xff"), b"hb");
        assert_eq!(end_of_prefix(b"h\xff"), b"i");
    }
}
