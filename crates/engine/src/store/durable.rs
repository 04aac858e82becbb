//! Changes to files and directories that have happened when the function returns, power cut or not.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    // A directory opened for reading can be synced, which is the only way there is.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(StoreError::io("sync", dir))
}

/// Makes every file and every name below `dir` durable, and `dir` itself.
pub(super) fn sync_tree(dir: &Path) -> Result<(), StoreError> {
    for entry in entries(dir)? {
        if entry.is_dir() {
            sync_tree(&entry)?;
        } else {
            File::open(&entry).and_then(|file| file.sync_all()).map_err(StoreError::io("sync", &entry))?;
        }
    }
    sync_dir(dir)
}

/// Puts a file with these bytes at `path`: the old one or the new one is there at any moment, never a part.
pub(super) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let beside = with_suffix(path, ".new");
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(StoreError::io("write", &beside))?;
    rename(&beside, path)
}

/// Renames within one directory.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(StoreError::io("rename", from))?;
    sync_dir(parent(to))
}

/// Makes a directory for this user only.
pub(super) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new().mode(0o700).create(dir).map_err(StoreError::io("create", dir))?;
    sync_dir(parent(dir))
}

/// Copies a directory to a name where nothing is. Cheap where the file system can share blocks.
pub(super) fn copy_tree(from: &Path, to: &Path) -> Result<(), StoreError> {
    DirBuilder::new().mode(0o700).create(to).map_err(StoreError::io("create", to))?;
    for entry in entries(from)? {
        let Some(name) = entry.file_name() else { continue };
        let target = to.join(name);
        if entry.is_dir() {
            copy_tree(&entry, &target)?;
        } else {
            fs::copy(&entry, &target).map_err(StoreError::io("copy", &entry))?;
        }
    }
    sync_tree(to)
}

/// Removes a directory and all below it, if it is there.
pub(super) fn remove_tree(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Ok(()) => sync_dir(parent(dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("remove", dir)(error)),
    }
}

/// Every file below `dir` by its path from there, with its length, in order.
pub(super) fn file_lengths(dir: &Path) -> Result<Vec<(String, u64)>, StoreError> {
    let mut lengths = Vec::new();
    let mut pending = vec![(dir.to_owned(), String::new())];
    while let Some((dir, prefix)) = pending.pop() {
        for entry in entries(&dir)? {
            let name = format!("{prefix}{}", entry.file_name().unwrap_or_default().to_string_lossy());
            if entry.is_dir() {
                pending.push((entry, format!("{name}/")));
            } else {
                let length = entry.metadata().map_err(StoreError::io("read", &entry))?.len();
                lengths.push((name, length));
            }
        }
    }
    lengths.sort();
    Ok(lengths)
}

/// The paths in a directory, in order.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>())
        .map_err(StoreError::io("read", dir))?;
    paths.sort();
    Ok(paths)
}

/// `path` with more at the end of its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
