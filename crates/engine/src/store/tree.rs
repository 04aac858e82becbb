//! One open sled directory, with sled's own traps closed.
//!
//! Nothing else calls sled. Its errors and panics end here as [`StoreError`]; what it leaves unsynced is synced
//! here; what its recovery stumbles over is cleared away here.

use std::any::Any;
use std::fs::{self, File};
use std::num::NonZeroU64;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::thread::{current_timer_slack, set_current_timer_slack};
use sled::IVec;

use super::{SledOptions, StoreError, durable};

/// How many records are read in one go where all are wanted.
pub(super) const CHUNK: usize = 256;

/// How late the timers of sled's own threads may be, if its log is not to be cleaned more often.
const IDLE_SLACK: Duration = Duration::from_secs(60);

/// How often we look whether an earlier sled in this process has let go of its file: every millisecond, for
/// ten seconds, before we call it stuck.
const UNLOCK_TRIES: u32 = 10_000;
const UNLOCK_PAUSE: Duration = Duration::from_millis(1);

pub(super) struct Tree {
    db: sled::Db,
    dir: PathBuf,
    /// Our own descriptor of sled's log, to sync it by.
    log: File,
}

impl Tree {
    /// Opens `dir`, or makes a sled there. Everything sled wrote on the way is durable when this returns.
    pub(super) fn open(dir: &Path, options: &SledOptions) -> Result<Tree, StoreError> {
        if dir.exists() {
            check_blobs(dir)?;
            remove_unfinished_snapshots(dir)?;
            wait_until_unlocked(dir)?;
        }
        let SledOptions { cache_bytes, clean_every_ms, .. } = *options;
        let config =
            sled::Config::new().path(dir).cache_capacity(cache_bytes).flush_every_ms(Some(clean_every_ms));
        let slack = IDLE_SLACK.min(Duration::from_millis(clean_every_ms));
        let db = guarded(|| format!("opening `{}`", dir.display()), || patiently(slack, || config.open()))?;
        let path = dir.join("db");
        let opened = durable::sync_tree(dir)
            .and_then(|()| check_blobs(dir))
            .and_then(|()| File::open(&path).map_err(StoreError::io("open", &path)));
        Ok(Tree { db, dir: dir.to_owned(), log: opened? })
    }

    /// Applies `batch` whole. Durable when it returns.
    pub(super) fn write(&self, batch: sled::Batch, doing: impl Fn() -> String) -> Result<(), StoreError> {
        guarded(&doing, || {
            self.db.apply_batch(batch)?;
            self.db.flush()
        })?;
        // `flush` has synced all it wrote, now that it cannot do less; the cleaner's writes may still be on their way.
        self.log
            .sync_data()
            .map_err(|error| StoreError::Failed { doing: doing(), source: sled::Error::Io(error).into() })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        guarded(|| "reading".into(), || self.db.get(key))
    }

    /// The next records between `from` and `to`, at most `most` of them; none at the end.
    pub(super) fn chunk(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        most: usize,
    ) -> Result<Vec<(IVec, IVec)>, StoreError> {
        guarded(|| "reading".into(), || self.db.range::<&[u8], _>((from, to)).take(most).collect())
    }

    /// Whether sled made a blob after all. It never syncs those.
    pub(super) fn check_blobs(&self) -> Result<(), StoreError> {
        check_blobs(&self.dir)
    }

    /// How many bytes it takes on disk.
    pub(super) fn disk_bytes(&self) -> Result<u64, StoreError> {
        Ok(durable::file_lengths(&self.dir)?.into_iter().map(|(_, length)| length).sum())
    }

    /// Stops sled, makes all of its files durable and returns when nobody writes to them any more.
    pub(super) fn close(self) -> Result<(), StoreError> {
        let Tree { db, dir, log } = self;
        guarded(
            || format!("closing `{}`", dir.display()),
            || {
                db.flush()?;
                drop(db);
                Ok(())
            },
        )?;
        drop(log);
        wait_until_unlocked(&dir)?;
        durable::sync_tree(&dir)
    }

    /// Lets a sled that failed be. Dropping it would flush, and wait for threads that may never answer.
    pub(super) fn abandon(self) {
        std::mem::forget(self.db);
    }
}

/// Runs a call of sled's. It panics on what it finds corrupt, and must not take the agent's thread along without
/// a word. (Where panics abort, the process ends and the next start recovers: the same outcome, later.)
fn guarded<T>(doing: impl Fn() -> String, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    // Nothing of ours is changed inside, and a store that failed is not used again.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(StoreError::Failed { doing: doing(), source: error.into() }),
        Err(panic) => Err(StoreError::Failed { doing: doing(), source: panic_text(&*panic).into() }),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    format!("sled panicked: {}", text.unwrap_or("it did not say why"))
}

/// A snapshot that was being written when the power went is taken for the newest one and refused, for ever. The
/// one before it is still there.
fn remove_unfinished_snapshots(dir: &Path) -> Result<(), StoreError> {
    for path in durable::entries(dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
        }
    }
    durable::sync_dir(dir)
}

fn check_blobs(dir: &Path) -> Result<(), StoreError> {
    let blobs = dir.join("blobs");
    if !blobs.exists() || durable::entries(&blobs)?.is_empty() {
        return Ok(());
    }
    Err(StoreError::Unsafe(format!(
        "`{}` should be empty, because sled never syncs what is in there: put a backup of the data directory in place",
        blobs.display()
    )))
}

/// sled's threads hold its file, and the lock on it, for a moment longer than the last handle lives.
///
/// The data directory is locked, so the only holder can be an earlier store of this very process. Nothing tells
/// when it lets go, and waiting for the lock itself could wait for ever: we look again, a bounded number of times.
fn wait_until_unlocked(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join("db");
    if !path.exists() {
        return Ok(());
    }
    let log = File::open(&path).map_err(StoreError::io("open", &path))?;
    for _ in 0..UNLOCK_TRIES {
        match rustix::fs::flock(&log, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                return rustix::fs::flock(&log, FlockOperation::Unlock)
                    .map_err(|error| StoreError::io("unlock", &path)(error.into()));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(UNLOCK_PAUSE),
            Err(error) => return Err(StoreError::io("lock", &path)(error.into())),
        }
    }
    Err(StoreError::io("lock", &path)(rustix::io::Errno::WOULDBLOCK.into()))
}

/// Runs `open` so that the threads it starts may be woken up to `slack` late by their timers.
///
/// sled keeps seven threads that look for work every second, although whoever has work wakes them: 420 wake-ups a minute
/// on an idle device. Threads inherit the timer slack of the one that starts them (`PR_SET_TIMERSLACK`), and slack delays
/// timers only. Where the kernel has no such thing, the device wakes as sled would have it.
fn patiently<T>(slack: Duration, open: impl FnOnce() -> T) -> T {
    let before = current_timer_slack().ok().and_then(NonZeroU64::new);
    let nanoseconds = u64::try_from(slack.as_nanos()).ok().and_then(NonZeroU64::new);
    // Not essential: what cannot be set stays as it is.
    let _ = set_current_timer_slack(nanoseconds);
    let opened = open();
    let _ = set_current_timer_slack(before);
    opened
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Result<Tree, StoreError> {
        Tree::open(dir, &SledOptions::default())
    }

    fn put(tree: &Tree, key: &str) {
        let mut batch = sled::Batch::default();
        batch.insert(key, key);
        tree.write(batch, || "writing".into()).unwrap();
    }

    #[test]
    fn opens_again_as_soon_as_it_was_closed_or_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tree");
        for round in 0..20 {
            let tree = open(&dir).unwrap();
            put(&tree, &round.to_string());
            if round % 2 == 0 {
                tree.close().unwrap();
            }
        }
    }

    #[test]
    fn a_snapshot_cut_short_does_not_block_the_next_open() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tree");
        let tree = open(&dir).unwrap();
        put(&tree, "a");
        tree.close().unwrap();
        let leftover = dir.join("snap.FFFFFFFFFFFFFFFF.generating");
        fs::write(&leftover, "").unwrap();

        let tree = open(&dir).unwrap();
        assert_eq!(tree.get(b"a").unwrap().unwrap(), "a");
        assert!(!leftover.exists());
    }

    #[test]
    fn a_blob_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tree");
        open(&dir).unwrap().close().unwrap();
        fs::write(dir.join("blobs/77"), "").unwrap();
        assert!(matches!(open(&dir), Err(StoreError::Unsafe(_))));
    }

    #[test]
    fn a_panic_of_sled_is_an_error() {
        let failed =
            guarded(|| "committing revision 7".into(), || -> sled::Result<()> { panic!("cannot find pid") });
        let Err(StoreError::Failed { doing, source }) = failed else { panic!("not a failure") };
        assert_eq!(
            format!("{doing}: {source}"),
            "committing revision 7: sled panicked: it did not say why"
                .replace("it did not say why", "cannot find pid")
        );
    }
}
