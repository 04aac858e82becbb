//! A store without a disk, for simulations and tests: what a crash leaves of it is what was committed.
//!
//! The [`MemoryDisk`] is what outlives a crash: drop the engine with its [`MemoryStore`], and open another on the same disk.
//! A commit is whole or not there, and a [`Fault`] decides which, where the power goes in the middle of one.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, History, Record, Store, StoreError, Visit};

/// What was committed. Cheap to clone: all clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Disk>>);

#[derive(Clone, Debug, Default)]
struct Disk {
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Of all keys and values.
    bytes: usize,
    revision: u64,
    commits: u64,
    room: DiskRoom,
    fault: Option<(u64, Fault)>,
    /// Which store may use it: the one opened last, until it is closed or fails.
    owner: u64,
}

/// What goes wrong with a commit. The store takes nothing more afterwards, as with any failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing of it is recorded.
    Lost,
    /// All of it is recorded, and nobody is told.
    Unanswered,
}

/// How much room the disk has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskRoom {
    /// Enough.
    #[default]
    Plenty,
    /// Too little for anything new; commits pass.
    Little,
    /// None for commits either, but for so many once the reserve was given up.
    Full {
        /// Commits for which the reserve makes room.
        reserve: u32,
    },
    /// The reserve was given up, and is enough for so many commits.
    Reserve(u32),
}

/// A store on a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryStore {
    disk: MemoryDisk,
    /// As which owner it was opened.
    owner: u64,
}

struct MemoryHistory {
    disk: MemoryDisk,
    owner: u64,
}

impl MemoryDisk {
    /// One with nothing on it.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// Another disk with the same on it: to see what one crash leaves and still go on without it.
    #[must_use]
    pub fn copy(&self) -> MemoryDisk {
        MemoryDisk(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// Lets the commit after `passing` others go wrong.
    pub fn fail_commit(&self, passing: u64, fault: Fault) {
        let mut disk = self.lock();
        disk.fault = Some((disk.commits + passing, fault));
    }

    /// From now on there is so much room.
    pub fn set_room(&self, room: DiskRoom) {
        self.lock().room = room;
    }

    /// How many commits it holds.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// Everything on it, in key order.
    pub fn records(&self) -> Vec<Record> {
        self.lock().records.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Those whose keys begin so, in key order.
    pub fn records_of(&self, prefix: &[u8]) -> Vec<Record> {
        let disk = self.lock();
        let from = disk.records.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
        from.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    // A commit changes the records in one go; whoever panicked while holding the lock was not half way through one.
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk, if `owner` may still use it.
    fn lock_as(&self, owner: u64) -> Result<MutexGuard<'_, Disk>, StoreError> {
        let disk = self.lock();
        if disk.owner == owner { Ok(disk) } else { Err(StoreError::Closed) }
    }
}

impl Disk {
    fn set(&mut self, key: &[u8], value: Option<&[u8]>) {
        let before = match value {
            Some(value) => {
                self.bytes += key.len() + value.len();
                self.records.insert(key.to_vec(), value.to_vec())
            }
            None => self.records.remove(key),
        };
        if let Some(before) = before {
            self.bytes -= key.len() + before.len();
        }
    }

    fn full(&self, doing: &'static str, needed: usize) -> StoreError {
        StoreError::Full { doing, path: PathBuf::from("memory"), free: 0, needed: needed as u64 }
    }
}

impl MemoryStore {
    /// Opens what is on a disk. A store that was opened on it before is closed by that.
    pub fn open(disk: &MemoryDisk) -> MemoryStore {
        let mut locked = disk.lock();
        locked.owner += 1;
        MemoryStore { disk: disk.clone(), owner: locked.owner }
    }

    fn disk(&self) -> Result<MutexGuard<'_, Disk>, StoreError> {
        self.disk.lock_as(self.owner)
    }
}

impl Store for MemoryStore {
    fn load(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let disk = self.disk()?;
        for (key, value) in
            disk.records.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix))
        {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut disk = self.disk()?;
        batch.check(disk.revision)?;
        match &mut disk.room {
            DiskRoom::Plenty | DiskRoom::Little => {}
            DiskRoom::Reserve(commits) if *commits > 0 => *commits -= 1,
            DiskRoom::Reserve(_) | DiskRoom::Full { .. } => return Err(disk.full("commit", batch.bytes())),
        }
        let fault = disk.fault.filter(|(at, _)| *at == disk.commits).map(|(_, fault)| fault);
        if fault != Some(Fault::Lost) {
            for (key, value) in batch.ops() {
                disk.set(key, value);
            }
            disk.revision = batch.revision;
            disk.commits += 1;
        }
        if fault.is_some() {
            disk.fault = None;
            disk.owner += 1;
            return Err(StoreError::Stopped(format!(
                "the power went while revision {} was committed",
                batch.revision
            )));
        }
        Ok(())
    }

    fn history(&self) -> Arc<dyn History> {
        Arc::new(MemoryHistory { disk: self.disk.clone(), owner: self.owner })
    }

    fn revision(&self) -> u64 {
        self.disk.lock().revision
    }

    fn room_for_more(&mut self, bytes: usize) -> Result<(), StoreError> {
        let disk = self.disk()?;
        if disk.room == DiskRoom::Plenty { Ok(()) } else { Err(disk.full("take in anything new", bytes)) }
    }

    fn release_reserve(&mut self) -> Result<bool, StoreError> {
        let mut disk = self.disk()?;
        let DiskRoom::Full { reserve } = disk.room else { return Ok(false) };
        disk.room = DiskRoom::Reserve(reserve);
        Ok(reserve > 0)
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.disk()?.owner += 1;
        Ok(())
    }
}

impl History for MemoryHistory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.disk.lock_as(self.owner)?.records.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Record>, StoreError> {
        let disk = self.disk.lock_as(self.owner)?;
        // What comes after a key before the prefix begins with the prefix.
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let range = disk.records.range::<[u8], _>((from, Bound::Unbounded));
        let found = range.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    fn batch(revision: u64, ops: &[(&str, Option<&str>)]) -> Batch {
        let mut batch = Batch::new(revision, 0);
        for (key, value) in ops {
            match value {
                Some(value) => batch.put(*key, *value),
                None => batch.delete(*key),
            }
        }
        batch
    }

    fn all(store: &MemoryStore, prefix: &str) -> String {
        let mut all = Vec::new();
        let loaded = store.load(prefix.as_bytes(), &mut |key, value| {
            all.push(format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
            ControlFlow::Continue(())
        });
        loaded.map_or_else(|error| error.to_string(), |()| all.join(" "))
    }

    #[test]
    fn a_crash_leaves_what_was_committed() {
        let disk = MemoryDisk::new();
        let mut store = MemoryStore::open(&disk);
        store.commit(&batch(1, &[("a/1", Some("x")), ("b/1", Some("y"))])).unwrap();
        store.commit(&batch(2, &[("a/1", None), ("a/2", Some("z"))])).unwrap();
        drop(store);
        let store = MemoryStore::open(&disk);
        assert_eq!((all(&store, ""), store.revision()), ("a/2=z b/1=y".into(), 2));
        assert_eq!(all(&store, "a/"), "a/2=z");
    }

    #[test]
    fn a_commit_in_flight_is_whole_or_not_there() {
        for (fault, left) in [(Fault::Lost, "a=1"), (Fault::Unanswered, "a=2")] {
            let disk = MemoryDisk::new();
            let mut store = MemoryStore::open(&disk);
            disk.fail_commit(1, fault);
            store.commit(&batch(1, &[("a", Some("1"))])).unwrap();
            assert!(matches!(store.commit(&batch(2, &[("a", Some("2"))])), Err(StoreError::Stopped(_))));
            assert!(matches!(store.commit(&batch(3, &[])), Err(StoreError::Closed)));
            let mut store = MemoryStore::open(&disk);
            assert_eq!(all(&store, ""), left);
            store.commit(&batch(3, &[("a", Some("3"))])).unwrap();
        }
    }

    #[test]
    fn a_store_that_is_not_the_last_one_opened_is_closed() {
        let disk = MemoryDisk::new();
        let mut first = MemoryStore::open(&disk);
        let history = first.history();
        first.commit(&batch(1, &[("a", Some("1"))])).unwrap();
        assert_eq!(history.get(b"a").unwrap(), Some(b"1".to_vec()));
        let mut second = MemoryStore::open(&disk);
        assert!(matches!(first.commit(&batch(2, &[])), Err(StoreError::Closed)));
        assert!(matches!(history.get(b"a"), Err(StoreError::Closed)));
        second.close().unwrap();
        assert!(matches!(second.commit(&batch(2, &[])), Err(StoreError::Closed)));
    }

    #[test]
    fn a_full_disk_refuses_what_is_new_first() {
        let disk = MemoryDisk::new();
        let mut store = MemoryStore::open(&disk);
        store.room_for_more(1).unwrap();
        disk.set_room(DiskRoom::Little);
        assert!(store.room_for_more(1).unwrap_err().is_full());
        store.commit(&batch(1, &[])).unwrap();
        disk.set_room(DiskRoom::Full { reserve: 1 });
        assert!(store.commit(&batch(2, &[])).unwrap_err().is_full());
        assert!(store.release_reserve().unwrap());
        store.commit(&batch(2, &[])).unwrap();
        assert!(store.commit(&batch(3, &[])).unwrap_err().is_full());
        assert!(!store.release_reserve().unwrap());
    }

    #[test]
    fn pages_go_on_after_the_last_key() {
        let disk = MemoryDisk::new();
        let mut store = MemoryStore::open(&disk);
        let keys = ["p/a", "p/b", "p/c", "q"];
        store.commit(&batch(1, &keys.map(|key| (key, Some("v"))))).unwrap();
        let history = store.history();
        let page = |after: Option<&str>, limit| -> Vec<String> {
            let page = history.scan(b"p/", after.map(str::as_bytes), limit).unwrap();
            page.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
        };
        assert_eq!(page(None, 2), ["p/a", "p/b"]);
        assert_eq!(page(Some("p/b"), 2), ["p/c"]);
        assert_eq!(page(Some("a"), 9), ["p/a", "p/b", "p/c"]);
        assert_eq!(page(Some("q"), 9), Vec::<String>::new());
    }

    #[test]
    fn a_copy_is_a_disk_of_its_own() {
        let disk = MemoryDisk::new();
        let mut store = MemoryStore::open(&disk);
        store.commit(&batch(1, &[("a", Some("1"))])).unwrap();
        let copy = disk.copy();
        store.commit(&batch(2, &[("a", Some("2"))])).unwrap();
        assert_eq!(all(&MemoryStore::open(&copy), ""), "a=1");
        assert_eq!((disk.commits(), copy.commits(), copy.bytes()), (2, 1, 2));
    }
}
