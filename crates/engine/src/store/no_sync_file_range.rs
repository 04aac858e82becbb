//! Takes `sync_file_range` away from sled.
//!
//! sled 0.34.7 calls a log write stable after `sync_file_range`, which flushes no device and commits no file
//! length: half of the simulated power cuts lost acknowledged work. Answered with ENOSYS, it falls back to
//! `fsync`. So this program brings its own `sync_file_range`, which always answers that. A definition in the
//! executable comes before the C library's; if a linker ever thinks otherwise nothing would be seen to be
//! wrong, so [`check`] proves it at every start.

use std::ffi::{c_int, c_uint};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};

use super::StoreError;

#[cfg(not(target_os = "linux"))]
compile_error!(
    "the store is made safe for Linux only: elsewhere sled syncs in other ways, which nobody has tried"
);

/// How often our `sync_file_range` was called, to tell it from a kernel that has none.
static CALLS: AtomicU64 = AtomicU64::new(0);

#[expect(unsafe_code, reason = "a C symbol can only be defined, and errno only be set, this way")]
#[unsafe(no_mangle)]
extern "C" fn sync_file_range(_: c_int, _: libc::off64_t, _: libc::off64_t, _: c_uint) -> c_int {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: errno's address is valid for the calling thread as long as it lives.
    unsafe { *libc::__errno_location() = libc::ENOSYS };
    -1
}

/// Proves, with the call that sled makes, that sled will sync. Harmless to `file` either way.
pub(super) fn check(file: &File) -> Result<(), StoreError> {
    judge(&probe(file))
}

/// What a call of `sync_file_range` did.
struct Probe {
    answer: c_int,
    errno: Option<c_int>,
    calls: u64,
}

#[expect(
    unsafe_code,
    reason = "the raw symbol is what is tried; a safe wrapper would make a system call instead"
)]
fn probe(file: &File) -> Probe {
    let before = CALLS.load(Ordering::Relaxed);
    // SAFETY: an open file's descriptor and three integers; it has no memory to write to.
    let answer = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    let errno = io::Error::last_os_error().raw_os_error();
    Probe { answer, errno, calls: CALLS.load(Ordering::Relaxed) - before }
}

fn judge(probe: &Probe) -> Result<(), StoreError> {
    if probe.answer == -1 && probe.errno == Some(libc::ENOSYS) && probe.calls > 0 {
        return Ok(());
    }
    Err(StoreError::Unsafe(format!(
        "this program was linked so that sled would not sync what it writes (`sync_file_range` answered {}, \
         errno {}, {} times from our own); build it with the linker that `cargo` uses by default",
        probe.answer,
        probe.errno.unwrap_or(0),
        probe.calls
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: c_int, errno: c_int, calls: u64, safe: bool) {
        assert_eq!(judge(&Probe { answer, errno: Some(errno), calls }).is_ok(), safe);
    }

    #[test]
    fn the_override_is_linked_into_this_program() {
        let file = tempfile::tempfile().unwrap();
        super::check(&file).unwrap();
    }

    #[test]
    fn only_our_own_enosys_is_safe() {
        check(-1, libc::ENOSYS, 1, true);
        check(0, 0, 0, false); // The C library's, on a file system that has it.
        check(-1, libc::ENOSYS, 0, false); // A kernel without it: true today, not after a move.
        check(-1, libc::EBADF, 1, false);
        check(0, libc::ENOSYS, 1, false);
    }
}
