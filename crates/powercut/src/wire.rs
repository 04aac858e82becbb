//! What the recorder writes and the rest reads: one event after the other, each a header and its bytes.
//!
//! ```text
//! kind u8 | file descriptor i32 | a u64 | b u64 | length of what follows u32 | bytes
//! ```
//! All little-endian. Paths are relative to the recorded directory.

/// How long a header is.
pub(crate) const HEADER_BYTES: usize = 25;

/// Names the recorded directory to the recorder: an absolute path without symbolic links.
pub(crate) const ROOT_VARIABLE: &str = "WICK_POWERCUT_ROOT";
/// Names the file the recorder writes to.
pub(crate) const LOG_VARIABLE: &str = "WICK_POWERCUT_LOG";
/// Names the file whose writes are announcements: they go to the log and not to the file.
pub(crate) const ANNOUNCE_VARIABLE: &str = "WICK_POWERCUT_ANNOUNCE";
/// How many microseconds a sync takes at least: what is recorded in memory should race with syncs as on a disk.
pub(crate) const SYNC_VARIABLE: &str = "WICK_POWERCUT_SYNC_US";

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(dead_code, reason = "the recorder makes them, the rest reads them")]
pub(crate) enum Kind {
    /// `a` are the flags, `b` is 1 if the file was there before; the bytes are its path.
    Open = 1,
    Close = 2,
    /// `a` is the new descriptor.
    Duplicate = 3,
    /// At `a`; the bytes are what was written.
    Write = 4,
    /// To `a` bytes.
    Truncate = 5,
    /// The file has at least `a` bytes now.
    Allocate = 6,
    /// The bytes are both paths with a zero between.
    Rename = 7,
    Unlink = 8,
    RemoveDir = 9,
    MakeDir = 10,
    /// As `Rename`.
    Link = 11,
    /// `a` numbers the sync, `b` is how long the file is.
    SyncBegin = 12,
    /// `a` is the number, `b` is 1 if it succeeded.
    SyncEnd = 13,
    /// Reached the kernel, that is.
    SyncRange = 14,
    /// The bytes are what was announced.
    Announce = 15,
    /// Something that the model does not know; the bytes say what.
    Unmodelled = 16,
}
