//! What is recorded and where: the descriptors, the paths, the log.

use std::ffi::{CStr, CString, c_int, c_long};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::wire::{ANNOUNCE_VARIABLE, HEADER_BYTES, Kind, LOG_VARIABLE, ROOT_VARIABLE, SYNC_VARIABLE};

/// Descriptors below this number are ours to follow.
const DESCRIPTORS: usize = 4096;
/// The log's descriptor is at least this, out of the way of what the program would have without us.
const LOG_DESCRIPTOR: c_int = 900;

/// A raw system call, whose arguments all are 64 bits wide. The C library's function of that name would be ours.
macro_rules! call {
    ($number:expr $(, $argument:expr)*) => {{
        let arguments: &[std::ffi::c_long] = &[$($argument as std::ffi::c_long),*];
        $crate::recording::system_call($number, arguments)
    }};
}
pub(crate) use call;

/// What `call` makes. The arguments are those of the function we stand in for, or of our own making.
pub(crate) fn system_call(number: c_long, arguments: &[c_long]) -> c_long {
    let argument = |n: usize| arguments.get(n).copied().unwrap_or(0);
    // SAFETY: as the kernel reads no more of them than the call has, those that are missing are nothing to it.
    unsafe {
        libc::syscall(number, argument(0), argument(1), argument(2), argument(3), argument(4), argument(5))
    }
}

pub(crate) struct Recording {
    log: c_int,
    root: Vec<u8>,
    announce: Vec<u8>,
    sync_time: Duration,
    state: Mutex<State>,
}

/// The descriptors.
pub(crate) struct State {
    tracked: Vec<bool>,
    announcing: c_int,
    syncs: u64,
}

/// A path below the recorded directory.
pub(crate) struct Path {
    whole: CString,
    /// From the recorded directory; empty for itself.
    pub(crate) name: Vec<u8>,
    pub(crate) announces: bool,
}

/// The recording of this program, if it is recorded.
pub(crate) fn recording() -> Option<&'static Recording> {
    static RECORDING: OnceLock<Option<Recording>> = OnceLock::new();
    RECORDING.get_or_init(begin).as_ref()
}

fn begin() -> Option<Recording> {
    let root = variable(c"WICK_POWERCUT_ROOT", ROOT_VARIABLE)?;
    let log = CString::new(variable(c"WICK_POWERCUT_LOG", LOG_VARIABLE)?).ok()?;
    let announce = variable(c"WICK_POWERCUT_ANNOUNCE", ANNOUNCE_VARIABLE)?;
    let sync_time = variable(c"WICK_POWERCUT_SYNC_US", SYNC_VARIABLE)
        .and_then(|text| String::from_utf8(text).ok()?.parse().ok())
        .map_or(Duration::ZERO, Duration::from_micros);
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
    let low = call!(libc::SYS_openat, libc::AT_FDCWD, log.as_ptr(), flags, 0o600) as c_int;
    if low < 0 {
        give_up(b"the log cannot be opened\n");
    }
    let log = call!(libc::SYS_fcntl, low, libc::F_DUPFD_CLOEXEC, LOG_DESCRIPTOR) as c_int;
    if log < 0 {
        give_up(b"the log's descriptor cannot be moved\n");
    }
    call!(libc::SYS_close, low);
    let state = State { tracked: vec![false; DESCRIPTORS], announcing: -1, syncs: 0 };
    Some(Recording { log, root, announce, sync_time, state: Mutex::new(state) })
}

fn variable(name: &CStr, same: &str) -> Option<Vec<u8>> {
    debug_assert_eq!(name.to_str(), Ok(same));
    // SAFETY: a C string; what it answers lives as long as nobody changes the environment, which nobody does.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes().to_vec())
    }
}

/// Half a log would prove something else.
fn give_up(why: &[u8]) -> ! {
    call!(libc::SYS_write, 2, why.as_ptr(), why.len());
    // SAFETY: it needs nothing.
    unsafe { libc::abort() }
}

impl Recording {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an event. The lock is held, which is what puts it in order.
    pub(crate) fn event(&self, kind: Kind, fd: c_int, a: u64, b: u64, bytes: &[&[u8]]) {
        let length: usize = bytes.iter().map(|piece| piece.len()).sum();
        let Ok(length) = u32::try_from(length) else { give_up(b"an event of over 4 GiB\n") };
        let mut event = Vec::with_capacity(HEADER_BYTES + length as usize);
        event.push(kind as u8);
        event.extend_from_slice(&fd.to_le_bytes());
        event.extend_from_slice(&a.to_le_bytes());
        event.extend_from_slice(&b.to_le_bytes());
        event.extend_from_slice(&length.to_le_bytes());
        for piece in bytes {
            event.extend_from_slice(piece);
        }
        let mut left = event.as_slice();
        while !left.is_empty() {
            let written = call!(libc::SYS_write, self.log, left.as_ptr(), left.len());
            match usize::try_from(written) {
                Ok(written) if written > 0 => left = &left[written..],
                _ => give_up(b"the log cannot be written\n"),
            }
        }
    }

    /// Lets other threads get in between, as a disk does. Not by a sleep: sled's threads are started so that a timer may
    /// wake them a minute late.
    pub(crate) fn take_time(&self) {
        let begin = Instant::now();
        while begin.elapsed() < self.sync_time {
            call!(libc::SYS_sched_yield);
        }
    }

    /// `path` as the recording has it, if it is below its directory (or is what announcements are written to).
    pub(crate) fn below(&self, dir: c_int, path: &CStr) -> Option<Path> {
        let bytes = path.to_bytes();
        let mut whole = Vec::new();
        if !bytes.starts_with(b"/") {
            let link = match dir {
                libc::AT_FDCWD => c"/proc/self/cwd".to_owned(),
                dir => CString::new(format!("/proc/self/fd/{dir}")).ok()?,
            };
            let mut target = vec![0_u8; libc::PATH_MAX as usize];
            let length =
                call!(libc::SYS_readlinkat, libc::AT_FDCWD, link.as_ptr(), target.as_mut_ptr(), target.len());
            target.truncate(usize::try_from(length).ok()?);
            whole = target;
        }
        for part in bytes.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    let parent = whole.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                    whole.truncate(parent);
                }
                part => {
                    whole.push(b'/');
                    whole.extend_from_slice(part);
                }
            }
        }
        let announces = whole == self.announce;
        let name = match whole.strip_prefix(self.root.as_slice()) {
            Some([]) => Vec::new(),
            Some([b'/', name @ ..]) => name.to_vec(),
            _ if announces => Vec::new(),
            _ => return None,
        };
        Some(Path { whole: CString::new(whole).ok()?, name, announces })
    }
}

impl State {
    pub(crate) fn track(&mut self, fd: c_int) {
        match usize::try_from(fd).ok().and_then(|fd| self.tracked.get_mut(fd)) {
            Some(tracked) => *tracked = true,
            None => give_up(b"more descriptors than the recorder follows\n"),
        }
    }

    pub(crate) fn tracks(&self, fd: c_int) -> bool {
        usize::try_from(fd).ok().and_then(|fd| self.tracked.get(fd)).is_some_and(|tracked| *tracked)
    }

    /// Whether it was tracked.
    pub(crate) fn forget(&mut self, fd: c_int) -> bool {
        if fd >= 0 && fd == self.announcing {
            self.announcing = -1;
        }
        let tracked = usize::try_from(fd).ok().and_then(|fd| self.tracked.get_mut(fd));
        tracked.is_some_and(std::mem::take)
    }

    pub(crate) fn announce_to(&mut self, fd: c_int) {
        self.forget(fd);
        self.announcing = fd;
    }

    pub(crate) fn announces(&self, fd: c_int) -> bool {
        fd >= 0 && fd == self.announcing
    }

    pub(crate) fn next_sync(&mut self) -> u64 {
        self.syncs += 1;
        self.syncs
    }
}

impl Path {
    pub(crate) fn exists(&self) -> bool {
        let path = self.whole.as_ptr();
        call!(libc::SYS_faccessat, libc::AT_FDCWD, path, libc::F_OK) == 0
    }
}

/// How long an open file is.
pub(crate) fn length(fd: c_int) -> u64 {
    // SAFETY: all zeros are a `stat`; the call fills in ours.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        if libc::syscall(libc::SYS_fstat, fd, &raw mut stat) == 0 { stat.st_size as u64 } else { u64::MAX }
    }
}
