//! Makes sled's snapshots durable under their names before sled goes on.
//!
//! When it is opened, sled 0.34.7 writes a snapshot of its log, renames it into place, removes the one before, and then
//! empties and cuts off the parts of the log that only the old one needed; it syncs those, and never the directory. On
//! a file system that does not make names durable with the next sync of anything (ext4 does), a power cut could leave
//! the old snapshot and a log that has no more to go with it, or no snapshot at all; such a store is refused for ever.
//! Nothing of ours runs between sled's steps. So this program brings its own `rename`, which syncs the directory when
//! what is renamed becomes a snapshot, and is the C library's otherwise. As with `sync_file_range`, [`check`] proves at
//! every start that it is the one that is called.

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::StoreError;

/// How the names of sled's snapshots begin.
const SNAPSHOT: &[u8] = b"snap.";

/// How often our `rename` was called.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// How many snapshots were synced.
static SYNCED: AtomicU64 = AtomicU64::new(0);

#[expect(unsafe_code, reason = "a C symbol can only be defined, and C strings only be read, this way")]
#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the caller's strings, as `rename` asks for them; `renameat` is another symbol, and the C library's.
    let (renamed, to) = unsafe {
        let renamed = libc::renameat(libc::AT_FDCWD, from, libc::AT_FDCWD, to);
        (renamed, CStr::from_ptr(to))
    };
    if renamed == 0 && sync_snapshot(Path::new(OsStr::from_bytes(to.to_bytes()))).is_err() {
        // SAFETY: errno's address is valid for the calling thread as long as it lives.
        unsafe { *libc::__errno_location() = libc::EIO };
        return -1;
    }
    renamed
}

/// Syncs the directory of a snapshot that has got its name.
fn sync_snapshot(path: &Path) -> std::io::Result<()> {
    match (path.file_name(), path.parent()) {
        (Some(name), Some(dir)) if name.as_bytes().starts_with(SNAPSHOT) => {
            File::open(dir)?.sync_all()?;
            SYNCED.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Proves, with the call that sled makes, that a rename is ours.
pub(super) fn check() -> Result<(), StoreError> {
    let before = CALLS.load(Ordering::Relaxed);
    // Nothing has no name: it fails, and what counts is who was asked.
    let _ = fs::rename("", "");
    judge(CALLS.load(Ordering::Relaxed) - before)
}

fn judge(calls: u64) -> Result<(), StoreError> {
    if calls > 0 {
        return Ok(());
    }
    Err(StoreError::Unsafe(
        "this program was linked so that sled's snapshots would not be synced (`rename` is not our own); build it with the \
         linker that `cargo` uses by default"
            .into(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_override_is_linked_into_this_program() {
        super::check().unwrap();
        assert!(matches!(judge(0), Err(StoreError::Unsafe(_))));
    }

    #[test]
    fn sled_renames_its_snapshots_through_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sled");
        let db = sled::open(&path).unwrap();
        db.insert("key", "value").unwrap();
        db.flush().unwrap();
        drop(db);
        let before = SYNCED.load(Ordering::Relaxed);
        // What was written since the last snapshot makes a new one when it is opened; its lock outlives it for a moment.
        while sled::open(&path).is_err() {
            std::thread::yield_now();
        }
        assert!(SYNCED.load(Ordering::Relaxed) > before);
    }

    #[test]
    fn whatever_is_renamed_is_renamed() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, snapshot] = ["a", "b", "snap.7"].map(|name| dir.path().join(name));
        fs::write(&a, "text").unwrap();
        fs::rename(&a, &b).unwrap();
        fs::rename(&b, &snapshot).unwrap();
        assert_eq!(fs::read_to_string(&snapshot).unwrap(), "text");
        assert_eq!(fs::rename(&a, &b).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }
}
