//! Keeps sled away from a full disk.
//!
//! sled that runs out of space while it writes is lost until the next start, and its cleaner writes whenever it
//! likes. So a commit that comes close to the end is refused before it reaches sled, and a reserve file is kept
//! that can be given up, so that exits and deletions can still be recorded when nothing else can.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use super::{StoreError, durable};

/// How large the reserve file is.
pub(super) const RESERVE_BYTES: u64 = 4 << 20;

/// How much must be free before the reserve is (again) taken out of it.
const ROOMY_BYTES: u64 = 4 * RESERVE_BYTES;

/// Beyond what must be free for a commit, what must be for something new: room for all that follows from what was taken in.
const MORE_BYTES: u64 = 4 << 20;

/// Of what is otherwise kept free, the part that is still kept when the reserve was given up.
const LAST_PART: u64 = 4;

/// sled writes a byte up to about three times: itself, then its page again, halves of pages when they split.
const AMPLIFICATION: u64 = 3;

pub(super) struct Room {
    dir: PathBuf,
    keep_free_bytes: u64,
    reserved: bool,
}

impl Room {
    pub(super) fn open(dir: &Path, keep_free_bytes: u64) -> Result<Room, StoreError> {
        let mut room = Room { dir: dir.to_owned(), keep_free_bytes, reserved: false };
        let reserve = room.reserve();
        room.reserved = fs::metadata(&reserve).is_ok_and(|reserve| reserve.len() == RESERVE_BYTES);
        if !room.reserved && has_room(dir) {
            room.take_reserve()?;
        }
        Ok(room)
    }

    /// Whether `bytes` more can be recorded.
    pub(super) fn check(&mut self, bytes: usize) -> Result<(), StoreError> {
        let needed = needed(self.keep_free_bytes, self.reserved, bytes as u64);
        check_free(&self.dir, "record", needed)?;
        if !self.reserved && has_room(&self.dir) {
            self.take_reserve()?;
        }
        Ok(())
    }

    /// Whether something new of `bytes` should be taken in. Never while the reserve is given up.
    pub(super) fn check_more(&mut self, bytes: usize) -> Result<(), StoreError> {
        if !self.reserved && has_room(&self.dir) {
            self.take_reserve()?;
        }
        let needed = if self.reserved {
            needed(self.keep_free_bytes, true, bytes as u64).saturating_add(MORE_BYTES)
        } else {
            ROOMY_BYTES
        };
        check_free(&self.dir, "take in anything new", needed)
    }

    /// Gives up the reserve of a store that is not open yet; false if there is none.
    pub(super) fn give_up_reserve(dir: &Path) -> Result<bool, StoreError> {
        Room { dir: dir.to_owned(), keep_free_bytes: 0, reserved: true }.release()
    }

    /// Gives up the reserve; false if it was given up already.
    pub(super) fn release(&mut self) -> Result<bool, StoreError> {
        let reserve = self.reserve();
        self.reserved = false;
        match fs::remove_file(&reserve) {
            // The space is free only when the removal is durable.
            Ok(()) => durable::sync_dir(&self.dir).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("remove", &reserve)(error)),
        }
    }

    fn take_reserve(&mut self) -> Result<(), StoreError> {
        let reserve = self.reserve();
        match allocate(&reserve) {
            Ok(()) => {
                self.reserved = true;
                durable::sync_dir(&self.dir)
            }
            // Somebody else took the space in between: we go on without.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                self.release().map(|_| ())
            }
            Err(error) => Err(StoreError::io("write", &reserve)(error)),
        }
    }

    fn reserve(&self) -> PathBuf {
        self.dir.join("reserve")
    }
}

/// Whether `needed` bytes are free below `dir`. A file system that does not say is written to until it says no.
pub(super) fn check_free(dir: &Path, doing: &'static str, needed: u64) -> Result<(), StoreError> {
    match free_bytes(dir) {
        Some(free) if free < needed => Err(StoreError::Full { doing, path: dir.to_owned(), free, needed }),
        _ => Ok(()),
    }
}

fn has_room(dir: &Path) -> bool {
    free_bytes(dir).is_none_or(|free| free >= ROOMY_BYTES)
}

/// Bytes that we may still write below `dir`, if its file system says.
fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn needed(keep_free_bytes: u64, reserved: bool, bytes: u64) -> u64 {
    let keep = if reserved { keep_free_bytes } else { keep_free_bytes / LAST_PART };
    keep.saturating_add(bytes.saturating_mul(AMPLIFICATION))
}

fn allocate(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
        Ok(()) => {}
        // Not every file system can; zeros take the same room, unless it compresses them.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let zeros = vec![0; 64 << 10];
            for _ in 0..RESERVE_BYTES / zeros.len() as u64 {
                file.write_all(&zeros)?;
            }
        }
        Err(error) => return Err(error.into()),
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_kept_free_before_the_reserve_is_given_up_than_after() {
        assert_eq!(needed(4 << 20, true, 1 << 20), 7 << 20);
        assert_eq!(needed(4 << 20, false, 1 << 20), 4 << 20);
        assert_eq!(needed(u64::MAX, true, u64::MAX), u64::MAX);
    }

    #[test]
    fn giving_up_the_reserve_makes_room_for_one_more_commit_of_any_size() {
        let most = u64::try_from(super::super::Batch::MAX_BYTES).unwrap();
        assert!(RESERVE_BYTES >= needed(4 << 20, false, most));
    }

    #[test]
    fn the_reserve_takes_its_space_and_gives_it_back_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut room = Room::open(dir.path(), 0).unwrap();
        let reserve = dir.path().join("reserve");
        assert_eq!(fs::metadata(&reserve).unwrap().len(), RESERVE_BYTES);
        assert!(room.release().unwrap());
        assert!(!reserve.exists());
        assert!(!room.release().unwrap());
        room.check(1).unwrap();
        assert_eq!(reserve.exists(), has_room(dir.path()), "with room, the reserve should be back");
    }
}
