//! Finds out what is on disk, and whether it may be used.
//!
//! sled recovers in place, and answers what it did not foresee with an empty store. So after anything but a
//! clean stop it is shown a copy, and the copy takes the original's place only when it has proved itself: it
//! reads whole, and is not behind what was acknowledged. A copy that fails is thrown away, and the next start
//! does, and refuses, the same.
//!
//! ```text
//! format       what this directory is          lock        who has it
//! store/       sled                            watermark   how far it had come
//! store.new/   a store being made or rewritten; removed at start
//! store.trial/ a copy being recovered; removed at start
//! store.old/   the store that was just replaced; put back if `store` is missing, removed otherwise
//! ```

use std::error::Error;
use std::io::ErrorKind;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use super::contents::Contents;
use super::record::SEQUENCE_KEY;
use super::tree::{CHUNK, Tree};
use super::watermark::{self, Watermark};
use super::{SledOptions, StoreError, durable, room};

/// The store's name in the data directory.
pub(super) const STORE_NAME: &str = "store";

/// How many bytes are written before they are synced, when there is no commit to keep whole.
const GROUP_BYTES: usize = 128 << 10;

/// How many orphans are removed before that is synced.
const GROUP_ORPHANS: usize = 512;

/// How a store was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// It was stopped cleanly, and is as it was then; or there was none yet.
    pub clean: bool,
    /// How many bytes it takes on disk.
    pub bytes: u64,
}

/// A store that has proved itself.
pub(super) struct Opened {
    pub(super) tree: Tree,
    pub(super) contents: Contents,
    pub(super) revision: u64,
    pub(super) condition: Condition,
}

/// A copy that has proved itself, and how the original stands.
pub(super) struct Found {
    pub(super) opened: Opened,
    pub(super) watermark: Option<u64>,
    pub(super) clean: bool,
    pub(super) bytes: u64,
}

struct Opening<'a> {
    dir: &'a Path,
    options: &'a SledOptions,
}

/// Opens the store of a locked data directory, or makes one where none ever was.
pub(super) fn open(dir: &Path, options: &SledOptions) -> Result<Opened, StoreError> {
    let opening = Opening { dir, options };
    opening.settle()?;
    let watermark = Watermark::read(&opening.watermark())?;
    if !opening.store().exists() {
        let opened = opening.first(watermark)?;
        return Ok(Opened { condition: Condition { clean: true, ..opened.condition }, ..opened });
    }
    let clean = opening.is_clean(watermark.as_ref())?;
    let opened = opening.existing(watermark)?;
    Ok(Opened { condition: Condition { clean, ..opened.condition }, ..opened })
}

/// Opens a copy of the store of `dir`, made at `copy`; `dir` is only read.
pub(super) fn open_copy(dir: &Path, copy: &Path, options: &SledOptions) -> Result<Found, StoreError> {
    let opening = Opening { dir, options };
    let watermark = Watermark::read(&opening.watermark())?;
    // In the middle of a swap the store has its other name.
    let store = if opening.store().exists() { opening.store() } else { opening.old() };
    if !store.exists() {
        let why = match &watermark {
            Some(watermark) => {
                format!("it is missing, but revision {} was acknowledged", watermark.revision)
            }
            None => "it is missing".to_owned(),
        };
        let way_on = format!("delete `{}` to start empty", opening.watermark().display());
        return Err(StoreError::Refused { store: opening.store(), why, way_on, untouched: true });
    }
    let clean = opening.is_clean(watermark.as_ref())?;
    let bytes = durable::file_lengths(&store)?.iter().map(|(_, length)| length).sum();
    let scratch = copy.parent().unwrap_or(Path::new("."));
    room::check_free(scratch, "copy the store to (TMPDIR names another directory)", bytes)?;
    durable::copy_tree(&store, copy)?;
    let expected = watermark.as_ref().map_or(0, |watermark| watermark.revision);
    let opened = opening.prove(copy, expected, true)?;
    Ok(Found { opened, watermark: watermark.map(|watermark| watermark.revision), clean, bytes })
}

/// Where the watermark of a data directory is.
pub(super) fn watermark_path(dir: &Path) -> PathBuf {
    dir.join(watermark::NAME)
}

/// The watermark of a store that was closed at `revision`.
pub(super) fn stopped(dir: &Path, revision: u64) -> Result<Watermark, StoreError> {
    Ok(Watermark { revision, stopped: Some(durable::file_lengths(&dir.join(STORE_NAME))?) })
}

impl Opening<'_> {
    /// Ends what an earlier start began. At every moment of a swap one of the two names is a whole store.
    fn settle(&self) -> Result<(), StoreError> {
        if !self.store().exists() && self.old().exists() {
            durable::rename(&self.old(), &self.store())?;
        }
        for leftover in [self.old(), self.trial(), self.fresh()] {
            durable::remove_tree(&leftover)?;
        }
        Ok(())
    }

    fn first(&self, watermark: Option<Watermark>) -> Result<Opened, StoreError> {
        if let Some(watermark) = watermark {
            let why = format!("it is missing, but revision {} was acknowledged", watermark.revision);
            let way_on = format!("delete `{}` to start empty", self.watermark().display());
            return Err(StoreError::Refused { store: self.store(), why, way_on, untouched: true });
        }
        // sled does not sync what it makes, so it is made beside, and is there whole or not at all.
        let tree = Tree::open(&self.fresh(), self.options)?;
        let mut batch = sled::Batch::default();
        batch.insert(SEQUENCE_KEY, &0_u64.to_be_bytes());
        tree.write(batch, || "making a store".into())?;
        tree.close()?;
        durable::rename(&self.fresh(), &self.store())?;
        self.in_place(0)
    }

    fn existing(&self, watermark: Option<Watermark>) -> Result<Opened, StoreError> {
        // No watermark: the very first start was cut short, or somebody deleted it to go on with what there is.
        let expected = watermark.as_ref().map_or(0, |watermark| watermark.revision);
        let files = durable::file_lengths(&self.store())?;
        if self.is_clean(watermark.as_ref())? {
            let opened = self.in_place(expected)?;
            if !self.wasteful(&opened)? {
                return Ok(opened);
            }
            self.rewrite(&opened.tree)?;
            opened.tree.close()?;
            return self.swap(&self.fresh(), opened.revision);
        }

        let bytes = files.iter().map(|(_, length)| length).sum();
        let copied = room::check_free(self.dir, "copy the store, which did not stop cleanly,", bytes)
            .and_then(|()| durable::copy_tree(&self.store(), &self.trial()));
        let proved = copied.and_then(|()| self.prove(&self.trial(), expected, true));
        let opened = match proved {
            Ok(opened) => opened,
            Err(error) => {
                durable::remove_tree(&self.trial())?;
                return Err(error);
            }
        };
        let candidate = if self.wasteful(&opened)? {
            self.rewrite(&opened.tree)?;
            self.fresh()
        } else {
            self.trial()
        };
        opened.tree.close()?;
        self.swap(&candidate, opened.revision)
    }

    /// Whether the store's files are as a clean stop left them.
    fn is_clean(&self, watermark: Option<&Watermark>) -> Result<bool, StoreError> {
        let Some(stopped) = watermark.and_then(|watermark| watermark.stopped.as_ref()) else {
            return Ok(false);
        };
        Ok(self.store().exists() && *stopped == durable::file_lengths(&self.store())?)
    }

    /// Opens a store whose files are as a clean stop left them. From here on it is not stopped any more.
    fn in_place(&self, expected: u64) -> Result<Opened, StoreError> {
        Watermark::running(expected).write(&self.watermark())?;
        self.prove(&self.store(), expected, false)
    }

    /// Opens what is at `path`, reads all of it, and clears away what no commit refers to.
    fn prove(&self, path: &Path, expected: u64, untouched: bool) -> Result<Opened, StoreError> {
        let tree = Tree::open(path, self.options).map_err(|error| self.judge(error, untouched))?;
        let contents = match Contents::read(&tree) {
            Ok(contents) => contents,
            Err(error) => {
                tree.abandon();
                return Err(self.judge(error, untouched));
            }
        };
        let (found, way_on) = match contents.sequence {
            Some(revision) if revision >= expected => {
                remove_orphans(&tree, &contents.orphans)?;
                let condition = Condition { clean: false, bytes: tree.disk_bytes()? };
                return Ok(Opened { tree, contents, revision, condition });
            }
            Some(revision) => (
                format!("at revision {revision}"),
                format!("delete `{}` to go on from revision {revision}", self.watermark().display()),
            ),
            None => ("without its own record".into(), self.start_empty()),
        };
        // What is wrong is known; how closing went would only hide it.
        let _ = tree.close();
        let why = format!("it opens {found}, but revision {expected} was acknowledged");
        Err(StoreError::Refused { store: self.store(), why, way_on, untouched })
    }

    /// Puts a closed, proven store in the place of the present one, and opens it there.
    fn swap(&self, candidate: &Path, revision: u64) -> Result<Opened, StoreError> {
        durable::rename(&self.store(), &self.old())?;
        durable::rename(candidate, &self.store())?;
        durable::remove_tree(&self.old())?;
        durable::remove_tree(&self.trial())?;
        self.in_place(revision)
    }

    /// sled never gives space back while it is open. What that costs is paid at a start, when it is worth it.
    fn wasteful(&self, opened: &Opened) -> Result<bool, StoreError> {
        let disk_bytes = opened.tree.disk_bytes()?;
        let live_bytes = opened.contents.live_bytes;
        Ok(disk_bytes > self.options.rewrite_above_bytes
            && live_bytes.saturating_mul(100) / disk_bytes < self.options.rewrite_below_percent
            // Without room to write it again, wasted space is better than no start.
            && room::check_free(self.dir, "rewrite the store", live_bytes.saturating_mul(4)).is_ok())
    }

    /// Writes what is in `tree` to a fresh store beside.
    fn rewrite(&self, tree: &Tree) -> Result<(), StoreError> {
        let fresh = Tree::open(&self.fresh(), self.options)?;
        copy_records(tree, &fresh)?;
        fresh.close()
    }

    /// Tells a store that is not what it was from a disk that does not do what it should today.
    fn judge(&self, error: StoreError, untouched: bool) -> StoreError {
        match &error {
            StoreError::Failed { doing, source } if is_damage(source.as_ref()) => StoreError::Refused {
                store: self.store(),
                why: format!("it failed {doing}: {source}"),
                way_on: self.start_empty(),
                untouched,
            },
            _ => error,
        }
    }

    fn start_empty(&self) -> String {
        let [store, watermark] = [self.store(), self.watermark()];
        format!("move `{}` and `{}` away to start empty", store.display(), watermark.display())
    }

    fn store(&self) -> PathBuf {
        self.dir.join(STORE_NAME)
    }

    fn fresh(&self) -> PathBuf {
        self.dir.join("store.new")
    }

    fn trial(&self) -> PathBuf {
        self.dir.join("store.trial")
    }

    fn old(&self) -> PathBuf {
        self.dir.join("store.old")
    }

    fn watermark(&self) -> PathBuf {
        watermark_path(self.dir)
    }
}

fn is_damage(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref::<sled::Error>() {
        Some(sled::Error::Io(error)) => {
            matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::NotFound)
        }
        // A panic, or our own word that a record cannot be decoded, is damage as well.
        _ => true,
    }
}

fn remove_orphans(tree: &Tree, orphans: &[Vec<u8>]) -> Result<(), StoreError> {
    for group in orphans.chunks(GROUP_ORPHANS) {
        let mut batch = sled::Batch::default();
        for key in group {
            batch.remove(key.as_slice());
        }
        tree.write(batch, || "removing what no record refers to".into())?;
    }
    Ok(())
}

/// Copies every record, the sequence record last, because its key is: a copy cut short proves nothing.
fn copy_records(from: &Tree, to: &Tree) -> Result<(), StoreError> {
    let mut after = Bound::Unbounded;
    let (mut batch, mut bytes) = (sled::Batch::default(), 0);
    loop {
        let chunk = from.chunk(after.as_ref().map(Vec::as_slice), Bound::Unbounded, CHUNK)?;
        let Some((last, _)) = chunk.last() else { break };
        after = Bound::Excluded(last.to_vec());
        for (key, value) in chunk {
            bytes += key.len() + value.len();
            batch.insert(key, value);
            if bytes >= GROUP_BYTES {
                to.write(std::mem::take(&mut batch), || "rewriting the store".into())?;
                bytes = 0;
            }
        }
    }
    to.write(batch, || "rewriting the store".into())
}
