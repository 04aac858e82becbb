//! The directory that is ours alone: made if missing, locked, of a format we know.
//!
//! What lies in it beside the store (images, logs) is the agent's business; that two agents never use it at
//! once, and that an old one never touches what a newer one wrote, is decided here, before anything else looks.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;

use super::{StoreError, durable, opening, watermark};

/// The format of a data directory that this program reads and writes.
pub const FORMAT: u32 = 1;

pub(super) const FORMAT_NAME: &str = "format";
const FORMAT_TITLE: &str = "wick data directory, format ";

/// A data directory, locked for as long as this value or a clone of it lives.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
    lock: Arc<File>,
}

/// Why a directory cannot be the data directory. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another agent has it.
    #[error("data directory `{}` is in use by another wickd{}", path.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process that has it, if it said so.
        pid: Option<u32>,
    },
    /// It was written by a newer program.
    #[error("data directory `{}` has format {found}; this wickd reads {FORMAT}: use the newer wickd", path.display())]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It does not say what it is.
    #[error("data directory `{}` {what}: put back the file `{FORMAT_NAME}` from the backup the rest is from, or name an empty directory", path.display())]
    Unknown {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// There is nothing in it.
    #[error("`{}` is no data directory: name the one that wickd was given", path.display())]
    None {
        /// The path.
        path: PathBuf,
    },
    /// It is a file or a device.
    #[error("data directory `{}` is not a directory: name one, or a path where one can be made", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// It cannot be used: no permission, a read-only file system, a failing disk.
    #[error("cannot use data directory `{}`: the user wickd runs as must be able to {doing}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
}

impl DataDir {
    /// Takes the directory at `path`, which is made (for this user only) if nothing is there.
    pub fn lock(path: &Path) -> Result<DataDir, DataDirError> {
        let unusable = |doing| move |source| DataDirError::Unusable { path: path.to_owned(), doing, source };
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(DataDirError::NotADirectory { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(DataDirError::NotADirectory { path: path.to_owned() });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable("create it"))?;
            }
            Err(error) => return Err(unusable("reach it")(error)),
        }
        let path = &fs::canonicalize(path).map_err(unusable("reach it"))?;
        // Before the lock, which would already write to a directory that is not ours to write to.
        check_format(path)?;

        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(unusable("write in it"))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // What it says is for the message only: without it the message is shorter.
                let _ = lock.read_to_string(&mut pid);
                return Err(DataDirError::InUse { path: path.clone(), pid: pid.trim().parse().ok() });
            }
            Err(error) => return Err(unusable("lock files in it")(error.into())),
        }
        // Again: somebody may have made it theirs before we had the lock.
        if !check_format(path)? {
            // One rename makes the directory ours; until then it is as we found it.
            durable::replace_file(&path.join(FORMAT_NAME), format!("{FORMAT_TITLE}{FORMAT}\n").as_bytes())
                .map_err(|error| unusable("write in it")(into_io(error)))?;
            if let Some(parent) = path.parent() {
                // So that the directory itself is still there; a parent we may not read is synced by others.
                let _ = durable::sync_dir(parent);
            }
        }
        let write_pid = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        // A full disk must not keep the agent from starting: the pid is only for a message.
        let _ = write_pid(&mut lock);
        Ok(DataDir { path: path.clone(), lock: Arc::new(lock) })
    }

    /// Where it is, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file on the disk that the store is on.
    pub(super) fn lock_file(&self) -> &File {
        &self.lock
    }
}

/// Whether `path` is a data directory that can be looked at; where it is, without symbolic links.
pub(super) fn look(path: &Path) -> Result<PathBuf, DataDirError> {
    let none = || DataDirError::None { path: path.to_owned() };
    let path = &fs::canonicalize(path).map_err(|_| none())?;
    if !path.is_dir() {
        return Err(DataDirError::NotADirectory { path: path.clone() });
    }
    if check_format(path)? { Ok(path.clone()) } else { Err(none()) }
}

/// Whether the directory is ours already; an error if it is somebody else's.
fn check_format(path: &Path) -> Result<bool, DataDirError> {
    let file = path.join(FORMAT_NAME);
    let text = match fs::read(&file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let ours = [opening::STORE_NAME, watermark::NAME];
            if ours.iter().any(|name| path.join(name).exists()) {
                return Err(DataDirError::Unknown {
                    path: path.to_owned(),
                    what: "has a store in it but does not say of which format",
                });
            }
            return Ok(false);
        }
        Err(source) => {
            return Err(DataDirError::Unusable { path: path.to_owned(), doing: "read its files", source });
        }
    };
    match text.strip_prefix(FORMAT_TITLE).and_then(|rest| rest.trim_end().parse::<u32>().ok()) {
        Some(FORMAT) => Ok(true),
        Some(found) if found > FORMAT => Err(DataDirError::Newer { path: path.to_owned(), found }),
        _ => Err(DataDirError::Unknown { path: path.to_owned(), what: "says a format nobody ever wrote" }),
    }
}

fn into_io(error: StoreError) -> io::Error {
    match error {
        StoreError::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use expect_test::{Expect, expect};

    use super::*;

    fn check(prepare: impl FnOnce(&Path), name: &str, expected: Expect) {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let before = durable::file_lengths(dir.path()).unwrap();
        let path = if name.is_empty() { dir.path().to_owned() } else { dir.path().join(name) };
        let error = DataDir::lock(&path).unwrap_err();
        let root = fs::canonicalize(dir.path()).unwrap();
        let pid = std::process::id().to_string();
        expected.assert_eq(&error.to_string().replace(root.to_str().unwrap(), "…").replace(&pid, "PID"));
        assert_eq!(durable::file_lengths(dir.path()).unwrap(), before, "a refused directory was changed");
    }

    #[test]
    fn a_missing_directory_is_made_for_this_user_only() {
        let dir = tempfile::tempdir().unwrap();
        let locked = DataDir::lock(&dir.path().join("a/b")).unwrap();
        assert_eq!(fs::metadata(locked.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(
            fs::read_to_string(locked.path().join("format")).unwrap(),
            "wick data directory, format 1\n"
        );
    }

    #[test]
    fn a_second_lock_is_refused_until_the_first_and_its_clones_are_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::lock(dir.path()).unwrap();
        let clone = first.clone();
        drop(first);
        let error = DataDir::lock(dir.path()).unwrap_err().to_string();
        assert!(
            error.ends_with(&format!("is in use by another wickd (pid {})", std::process::id())),
            "{error}"
        );
        drop(clone);
        DataDir::lock(dir.path()).unwrap();
    }

    #[test]
    fn a_newer_format_is_refused_and_not_even_locked() {
        check(
            |dir| fs::write(dir.join("format"), "wick data directory, format 7\n").unwrap(),
            "",
            expect!["data directory `…` has format 7; this wickd reads 1: use the newer wickd"],
        );
    }

    #[test]
    fn a_format_that_is_none_is_refused() {
        check(
            |dir| fs::write(dir.join("format"), "ext4\n").unwrap(),
            "",
            expect![
                "data directory `…` says a format nobody ever wrote: put back the file `format` from the backup the rest is from, or name an empty directory"
            ],
        );
    }

    #[test]
    fn a_store_without_a_format_is_refused() {
        check(
            |dir| fs::create_dir(dir.join("store")).unwrap(),
            "",
            expect![
                "data directory `…` has a store in it but does not say of which format: put back the file `format` from the backup the rest is from, or name an empty directory"
            ],
        );
    }

    #[test]
    fn a_file_is_not_a_data_directory() {
        check(
            |dir| fs::write(dir.join("f"), "").unwrap(),
            "f",
            expect!["data directory `…/f` is not a directory: name one, or a path where one can be made"],
        );
        check(
            |dir| fs::write(dir.join("f"), "").unwrap(),
            "f/below",
            expect![
                "data directory `…/f/below` is not a directory: name one, or a path where one can be made"
            ],
        );
    }

    #[test]
    fn a_directory_without_a_usable_lock_file_is_refused() {
        check(
            |dir| fs::create_dir(dir.join("lock")).unwrap(),
            "",
            expect!["cannot use data directory `…`: the user wickd runs as must be able to write in it"],
        );
    }
}
