//! Looks at a store without touching it: a copy is opened, elsewhere.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::FlockOperation;

use super::data_dir::{DataDirError, look};
use super::opening::{self, Found};
use super::sled_store::for_each;
use super::{SledOptions, StoreError, Visit, durable};

/// A store's records, read from a copy of it. Nobody uses the original meanwhile.
pub struct StoreCopy {
    found: Found,
    /// Held until the copy goes.
    _lock: Option<File>,
}

/// Why a store cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The directory is not one, or in use.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The store is refused, or cannot be copied.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StoreCopy {
    /// Copies the store of the data directory `dir` below `scratch`, where nothing else may be, and reads all of the copy.
    /// `dir` is only read; it must not be in use.
    pub fn open(dir: &Path, scratch: &Path) -> Result<StoreCopy, LookError> {
        let path = look(dir)?;
        let lock = match File::open(path.join("lock")) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io("open", &path.join("lock"))(error).into()),
        };
        if let Some(lock) = &lock
            && rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive).is_err()
        {
            let pid = fs::read_to_string(path.join("lock")).ok().and_then(|pid| pid.trim().parse().ok());
            return Err(DataDirError::InUse { path, pid }.into());
        }
        let found = opening::open_copy(&path, &scratch.join("store"), &SledOptions::default())?;
        Ok(StoreCopy { found, _lock: lock })
    }

    /// Shows every record whose key starts with `prefix`, in key order, until `visit` breaks.
    pub fn load(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        for_each(&self.found.opened.tree, prefix, None, super::tree::CHUNK, visit)
    }

    /// The revision of the last commit.
    pub fn revision(&self) -> u64 {
        self.found.opened.revision
    }

    /// The revision the watermark vouches for; `None` if there is no watermark.
    pub fn watermark(&self) -> Option<u64> {
        self.found.watermark
    }

    /// Whether the store was stopped cleanly, and is as it was then.
    pub fn clean(&self) -> bool {
        self.found.clean
    }

    /// How many bytes the original takes on disk.
    pub fn bytes(&self) -> u64 {
        self.found.bytes
    }
}

/// Moves a store, and what lies in the data directory beside it and belongs to it (`beside`), to a directory of its own in
/// there, so that the next start begins empty. Says where. Done again, it goes on where it was cut short.
pub fn set_aside(
    data_dir: &super::DataDir,
    beside: &[&str],
) -> Result<Option<std::path::PathBuf>, StoreError> {
    let dir = data_dir.path();
    // The watermark last: while it is there and the store is not, no start takes the directory for an empty one.
    let stores = ["store", "store.old", "store.trial", "store.new"];
    let names = stores.iter().chain(beside).chain(&[super::watermark::NAME]);
    let there: Vec<&str> = names.copied().filter(|name| dir.join(name).exists()).collect();
    if !there.iter().any(|name| stores.contains(name) || *name == super::watermark::NAME) {
        return Ok(None);
    }
    let revision = match super::watermark::Watermark::read(&opening::watermark_path(dir)) {
        Ok(Some(watermark)) => format!("r{}", watermark.revision),
        Ok(None) | Err(_) => "r-unknown".to_owned(),
    };
    let mut aside = dir.join(format!("set-aside-{revision}"));
    let mut n = 2;
    while aside.exists() {
        aside = dir.join(format!("set-aside-{revision}-{n}"));
        n += 1;
    }
    durable::make_dir(&aside)?;
    // With it, what was set aside is a data directory that can be looked at.
    let format = dir.join(super::data_dir::FORMAT_NAME);
    let bytes = fs::read(&format).map_err(StoreError::io("read", &format))?;
    durable::replace_file(&aside.join(super::data_dir::FORMAT_NAME), &bytes)?;
    for name in there {
        let from = dir.join(name);
        fs::rename(&from, aside.join(name)).map_err(StoreError::io("move", &from))?;
        durable::sync_dir(&aside)?;
        durable::sync_dir(dir)?;
    }
    Ok(Some(aside))
}
