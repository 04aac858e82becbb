//! Preloaded into a program (`LD_PRELOAD`), records what it does to the files below one directory, in the order of
//! effect.
//!
//! Each function here stands in for the C library's of the same name, makes the system call itself, and writes down
//! what came of it. A lock is held over both, so that the log has the order in which things happened; only syncs are
//! not made under it, and are written down as begin and end: a write that races with a sync is not covered by it. A
//! log that cannot be written ends the program, because half a log would prove something else.
//!
//! What bypasses the C library is not seen. Of the store that is only `fallocate`, which shows in the length that is
//! written down with each sync; whoever reads the log compares what it tells with what is on disk, byte for byte.
//!
//! `sync_file_range` here is called only where the program does not bring its own: a definition in the executable
//! comes before a preloaded one.

#![expect(
    unsafe_code,
    reason = "stands in for functions of the C library: symbols of its names, its pointers, and raw system calls"
)]
#![deny(unsafe_op_in_unsafe_fn)]
#![allow(clippy::missing_safety_doc, reason = "the contracts are those of the C library")]

mod recording;
mod wire;

use std::ffi::{c_char, c_int, c_long, c_uint, c_void};

use libc::{AT_FDCWD, iovec, mode_t, off_t, size_t, ssize_t};

use recording::{Path, Recording, call, recording};
use wire::Kind;

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_env = "gnu")))]
compile_error!("the recorder knows the calls of 64-bit Linux with glibc only");

// `open` and `fcntl` take a variable number of arguments. On 64-bit machines a callee that names one argument more
// looks into the register where it would be; where none was given, the kernel does not look at what we pass on.

/// # Safety
/// As the C library's; so is it for all below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    let open = || call!(libc::SYS_openat, dir, path, flags, mode) as c_int;
    // SAFETY: the caller's path.
    let Some((recording, path)) = (unsafe { below(dir, path) }) else {
        let fd = open();
        if let Some(recording) = recording() {
            recording.lock().forget(fd);
        }
        return fd;
    };
    let mut state = recording.lock();
    if path.announces {
        let fd = open();
        state.announce_to(fd);
        return fd;
    }
    let existed = path.exists();
    let fd = open();
    if fd >= 0 {
        let unknown = libc::O_TMPFILE & !libc::O_DIRECTORY | libc::O_DIRECT | libc::O_DSYNC | libc::O_PATH;
        if flags & unknown != 0 {
            recording.event(Kind::Unmodelled, fd, flags as u64, 0, &[b"flags of open"]);
        }
        state.track(fd);
        recording.event(Kind::Open, fd, flags as u64, existed.into(), &[&path.name]);
    }
    fd
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments, on.
    unsafe { openat(dir, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments, on.
    unsafe { openat(AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments, on.
    unsafe { openat(AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn creat(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's arguments, on.
    unsafe { openat(AT_FDCWD, path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close(fd: c_int) -> c_int {
    let close = || call!(libc::SYS_close, fd) as c_int;
    let Some(recording) = recording() else { return close() };
    let mut state = recording.lock();
    let answer = close();
    if state.forget(fd) {
        recording.event(Kind::Close, fd, 0, 0, &[]);
    }
    answer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn closedir(dir: *mut libc::DIR) -> c_int {
    type CloseDir = unsafe extern "C" fn(*mut libc::DIR) -> c_int;
    // The C library closes the descriptor by itself then.
    // SAFETY: the symbol is the C library's own, of that type; `dir` is the caller's.
    unsafe {
        let real = libc::dlsym(libc::RTLD_NEXT, c"closedir".as_ptr());
        let real = std::mem::transmute::<*mut c_void, Option<CloseDir>>(real);
        let Some(real) = real else { libc::abort() };
        let Some(recording) = recording() else { return real(dir) };
        let mut state = recording.lock();
        let fd = libc::dirfd(dir);
        if state.forget(fd) {
            recording.event(Kind::Close, fd, 0, 0, &[]);
        }
        drop(state);
        real(dir)
    }
}

fn duplicate(fd: c_int, duplicate: impl FnOnce() -> c_int) -> c_int {
    let Some(recording) = recording() else { return duplicate() };
    let mut state = recording.lock();
    let new = duplicate();
    if new >= 0 && new != fd {
        state.forget(new);
        if state.tracks(fd) {
            state.track(new);
            recording.event(Kind::Duplicate, fd, new as u64, 0, &[]);
        }
    }
    new
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dup(fd: c_int) -> c_int {
    duplicate(fd, || call!(libc::SYS_dup, fd) as c_int)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dup2(fd: c_int, new: c_int) -> c_int {
    if fd == new {
        return if call!(libc::SYS_fcntl, fd, libc::F_GETFD) < 0 { -1 } else { fd };
    }
    duplicate(fd, || call!(libc::SYS_dup3, fd, new, 0) as c_int)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dup3(fd: c_int, new: c_int, flags: c_int) -> c_int {
    duplicate(fd, || call!(libc::SYS_dup3, fd, new, flags) as c_int)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl(fd: c_int, command: c_int, argument: c_long) -> c_int {
    let fcntl = || call!(libc::SYS_fcntl, fd, command, argument) as c_int;
    match command {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => duplicate(fd, fcntl),
        _ => fcntl(),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl64(fd: c_int, command: c_int, argument: c_long) -> c_int {
    // SAFETY: the caller's arguments, on.
    unsafe { fcntl(fd, command, argument) }
}

/// A write at `at`, or where the descriptor stands.
///
/// # Safety
/// The pieces are memory that can be read.
unsafe fn written(
    fd: c_int,
    at: Option<off_t>,
    pieces: &[iovec],
    write: impl FnOnce() -> ssize_t,
) -> ssize_t {
    let Some(recording) = recording() else { return write() };
    let state = recording.lock();
    let announces = state.announces(fd);
    if !announces && !state.tracks(fd) {
        drop(state); // A pipe may take its time.
        return write();
    }
    let total: usize = pieces.iter().map(|piece| piece.iov_len).sum();
    let count = if announces { total as ssize_t } else { write() };
    if count <= 0 {
        return count;
    }
    let mut left = count as usize;
    let mut bytes: Vec<&[u8]> = Vec::new();
    for piece in pieces {
        let length = piece.iov_len.min(left);
        if length > 0 {
            // SAFETY: the caller's memory, of at least this length.
            bytes.push(unsafe { std::slice::from_raw_parts(piece.iov_base.cast(), length) });
        }
        left -= length;
    }
    if announces {
        recording.event(Kind::Announce, fd, 0, 0, &bytes);
    } else {
        let at = at.unwrap_or_else(|| position(fd) - count as off_t);
        recording.event(Kind::Write, fd, at as u64, 0, &bytes);
    }
    count
}

/// Where the descriptor stands.
fn position(fd: c_int) -> off_t {
    call!(libc::SYS_lseek, fd, 0, libc::SEEK_CUR)
}

fn one(bytes: *const c_void, length: size_t) -> [iovec; 1] {
    [iovec { iov_base: bytes.cast_mut(), iov_len: length }]
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, length: size_t) -> ssize_t {
    // SAFETY: the caller's memory.
    unsafe { written(fd, None, &one(bytes, length), || call!(libc::SYS_write, fd, bytes, length) as ssize_t) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, length: size_t, at: off_t) -> ssize_t {
    let write = || call!(libc::SYS_pwrite64, fd, bytes, length, at) as ssize_t;
    // SAFETY: the caller's memory.
    unsafe { written(fd, Some(at), &one(bytes, length), write) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(fd: c_int, bytes: *const c_void, length: size_t, at: off_t) -> ssize_t {
    // SAFETY: the caller's arguments, on.
    unsafe { pwrite64(fd, bytes, length, at) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    let write = || call!(libc::SYS_writev, fd, pieces, count) as ssize_t;
    // SAFETY: the caller's memory.
    unsafe { written(fd, None, vector(pieces, count), write) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev64(fd: c_int, pieces: *const iovec, count: c_int, at: off_t) -> ssize_t {
    // The kernel takes the position in two halves; the second is empty with 64 bits.
    let write = || call!(libc::SYS_pwritev, fd, pieces, count, at, 0) as ssize_t;
    // SAFETY: the caller's memory.
    unsafe { written(fd, Some(at), vector(pieces, count), write) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev(fd: c_int, pieces: *const iovec, count: c_int, at: off_t) -> ssize_t {
    // SAFETY: the caller's arguments, on.
    unsafe { pwritev64(fd, pieces, count, at) }
}

/// # Safety
/// As `writev` asks for it; a count that is none is empty.
unsafe fn vector<'a>(pieces: *const iovec, count: c_int) -> &'a [iovec] {
    match usize::try_from(count) {
        // SAFETY: the caller's array of that length.
        Ok(count) if count > 0 && !pieces.is_null() => unsafe { std::slice::from_raw_parts(pieces, count) },
        _ => &[],
    }
}

/// Bytes that the kernel moves from one file to another: what was moved is read again where it came from.
fn moved(
    from: c_int,
    from_at: Option<off_t>,
    to: c_int,
    to_at: Option<off_t>,
    go: impl FnOnce() -> ssize_t,
) -> ssize_t {
    let Some(recording) = recording() else { return go() };
    let state = recording.lock();
    if !state.tracks(to) {
        drop(state);
        return go();
    }
    let from_at = from_at.unwrap_or_else(|| position(from));
    let count = go();
    if count <= 0 {
        return count;
    }
    let to_at = to_at.unwrap_or_else(|| position(to) - count as off_t);
    let mut bytes = vec![0_u8; count as usize];
    let mut done = 0;
    while done < bytes.len() {
        let left = &mut bytes[done..];
        let read = call!(libc::SYS_pread64, from, left.as_mut_ptr(), left.len(), from_at + done as off_t);
        match usize::try_from(read) {
            Ok(read) if read > 0 => done += read,
            _ => {
                recording.event(Kind::Unmodelled, to, 0, 0, &[b"a copy that cannot be read again"]);
                return count;
            }
        }
    }
    recording.event(Kind::Write, to, to_at as u64, 0, &[&bytes]);
    count
}

#[unsafe(no_mangle)]
unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_at: *mut off_t,
    to: c_int,
    to_at: *mut off_t,
    length: size_t,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: null, or the caller's numbers.
    let at = unsafe { (from_at.as_ref().copied(), to_at.as_ref().copied()) };
    let go = || call!(libc::SYS_copy_file_range, from, from_at, to, to_at, length, flags) as ssize_t;
    moved(from, at.0, to, at.1, go)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile64(to: c_int, from: c_int, from_at: *mut off_t, length: size_t) -> ssize_t {
    // SAFETY: null, or the caller's number.
    let at = unsafe { from_at.as_ref().copied() };
    moved(from, at, to, None, || call!(libc::SYS_sendfile, to, from, from_at, length) as ssize_t)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile(to: c_int, from: c_int, from_at: *mut off_t, length: size_t) -> ssize_t {
    // SAFETY: the caller's arguments, on.
    unsafe { sendfile64(to, from, from_at, length) }
}

/// What succeeds is written down, if it is about a file of ours.
fn noted(fd: c_int, kind: Kind, a: u64, go: impl FnOnce() -> c_int) -> c_int {
    let Some(recording) = recording() else { return go() };
    let state = recording.lock();
    let answer = go();
    if answer == 0 && state.tracks(fd) {
        recording.event(kind, fd, a, 0, &[]);
    }
    answer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, length: off_t) -> c_int {
    noted(fd, Kind::Truncate, length as u64, || call!(libc::SYS_ftruncate, fd, length) as c_int)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(fd: c_int, length: off_t) -> c_int {
    // SAFETY: the caller's arguments, on.
    unsafe { ftruncate64(fd, length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate64(fd: c_int, mode: c_int, at: off_t, length: off_t) -> c_int {
    let kind = if mode == 0 { Kind::Allocate } else { Kind::Unmodelled };
    noted(fd, kind, (at + length) as u64, || call!(libc::SYS_fallocate, fd, mode, at, length) as c_int)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate(fd: c_int, mode: c_int, at: off_t, length: off_t) -> c_int {
    // SAFETY: the caller's arguments, on.
    unsafe { fallocate64(fd, mode, at, length) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_fallocate64(fd: c_int, at: off_t, length: off_t) -> c_int {
    // SAFETY: the caller's arguments, on; errno is this thread's. It answers the error itself.
    unsafe { if fallocate64(fd, 0, at, length) == 0 { 0 } else { *libc::__errno_location() } }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_fallocate(fd: c_int, at: off_t, length: off_t) -> c_int {
    // SAFETY: the caller's arguments, on.
    unsafe { posix_fallocate64(fd, at, length) }
}

/// A change of one name.
///
/// # Safety
/// The path is the caller's.
unsafe fn renamed(dir: c_int, path: *const c_char, kind: Kind, go: impl FnOnce() -> c_int) -> c_int {
    // SAFETY: the caller's path.
    let Some((recording, path)) = (unsafe { below(dir, path) }) else { return go() };
    let _state = recording.lock();
    let answer = go();
    if answer == 0 {
        recording.event(kind, -1, 0, 0, &[&path.name]);
    }
    answer
}

/// A change of two names.
///
/// # Safety
/// Both paths are the caller's.
unsafe fn named_anew(
    from: (c_int, *const c_char),
    to: (c_int, *const c_char),
    kind: Kind,
    go: impl FnOnce() -> c_int,
) -> c_int {
    // SAFETY: the caller's paths.
    let paths = unsafe { (below(from.0, from.1), below(to.0, to.1)) };
    let recording = match &paths {
        (None, None) => return go(),
        (Some((recording, _)), _) | (_, Some((recording, _))) => *recording,
    };
    let _state = recording.lock();
    let answer = go();
    if answer == 0 {
        match &paths {
            (Some((_, from)), Some((_, to))) => {
                recording.event(kind, -1, 0, 0, &[&from.name, b"\0", &to.name]);
            }
            _ => recording.event(Kind::Unmodelled, -1, 0, 0, &[b"a name moved in or out"]),
        }
    }
    answer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller's paths.
    unsafe { renameat(AT_FDCWD, from, AT_FDCWD, to) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn renameat(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
) -> c_int {
    // SAFETY: the caller's paths.
    unsafe { renameat2(from_dir, from, to_dir, to, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn renameat2(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_uint,
) -> c_int {
    let go = || call!(libc::SYS_renameat2, from_dir, from, to_dir, to, flags) as c_int;
    // One that must not replace anything, and has not, is like any other.
    let kind = if flags & !libc::RENAME_NOREPLACE == 0 { Kind::Rename } else { Kind::Unmodelled };
    // SAFETY: the caller's paths.
    unsafe { named_anew((from_dir, from), (to_dir, to), kind, go) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller's paths.
    unsafe { linkat(AT_FDCWD, from, AT_FDCWD, to, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn linkat(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_int,
) -> c_int {
    let go = || call!(libc::SYS_linkat, from_dir, from, to_dir, to, flags) as c_int;
    // SAFETY: the caller's paths.
    unsafe { named_anew((from_dir, from), (to_dir, to), Kind::Link, go) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn symlink(target: *const c_char, path: *const c_char) -> c_int {
    let go = || call!(libc::SYS_symlinkat, target, AT_FDCWD, path) as c_int;
    // SAFETY: the caller's path.
    unsafe { renamed(AT_FDCWD, path, Kind::Unmodelled, go) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller's path.
    unsafe { unlinkat(AT_FDCWD, path, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: the caller's path.
    unsafe { unlinkat(AT_FDCWD, path, libc::AT_REMOVEDIR) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    let kind = if flags & libc::AT_REMOVEDIR == 0 { Kind::Unlink } else { Kind::RemoveDir };
    // SAFETY: the caller's path.
    unsafe { renamed(dir, path, kind, || call!(libc::SYS_unlinkat, dir, path, flags) as c_int) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's path.
    unsafe { mkdirat(AT_FDCWD, path, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's path.
    unsafe { renamed(dir, path, Kind::MakeDir, || call!(libc::SYS_mkdirat, dir, path, mode) as c_int) }
}

fn synced(fd: c_int, sync: impl FnOnce() -> c_int) -> c_int {
    let Some(recording) = recording() else { return sync() };
    let mut state = recording.lock();
    if !state.tracks(fd) {
        drop(state);
        return sync();
    }
    let number = state.next_sync();
    recording.event(Kind::SyncBegin, fd, number, recording::length(fd), &[]);
    drop(state);
    recording.take_time();
    let answer = sync();
    let _state = recording.lock();
    recording.event(Kind::SyncEnd, fd, number, u64::from(answer == 0), &[]);
    answer
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    synced(fd, || call!(libc::SYS_fsync, fd) as c_int)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    synced(fd, || call!(libc::SYS_fdatasync, fd) as c_int)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sync_file_range(fd: c_int, at: off_t, length: off_t, flags: c_uint) -> c_int {
    noted(fd, Kind::SyncRange, at as u64, || call!(libc::SYS_sync_file_range, fd, at, length, flags) as c_int)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn syncfs(fd: c_int) -> c_int {
    noted(fd, Kind::Unmodelled, 0, || call!(libc::SYS_syncfs, fd) as c_int)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(
    address: *mut c_void,
    length: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    at: off_t,
) -> *mut c_void {
    let shared = flags & (libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE) != 0;
    if fd >= 0
        && shared
        && protection & libc::PROT_WRITE != 0
        && let Some(recording) = recording()
        && recording.lock().tracks(fd)
    {
        recording.event(Kind::Unmodelled, fd, 0, 0, &[b"a shared writable mapping"]);
    }
    call!(libc::SYS_mmap, address, length, protection, flags, fd, at) as *mut c_void
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    address: *mut c_void,
    length: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    at: off_t,
) -> *mut c_void {
    // SAFETY: the caller's arguments, on.
    unsafe { mmap64(address, length, protection, flags, fd, at) }
}

/// A path below the recorded directory.
///
/// # Safety
/// `path` is null or a C string.
unsafe fn below(dir: c_int, path: *const c_char) -> Option<(&'static Recording, Path)> {
    let recording = recording()?;
    if path.is_null() {
        return None;
    }
    // SAFETY: the caller's string.
    let path = unsafe { std::ffi::CStr::from_ptr(path) };
    Some((recording, recording.below(dir, path)?))
}
