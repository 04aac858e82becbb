//! What a guest is given, and the handle on it while it runs.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use crate::{Image, NetGrant};

/// Everything one guest is given. It inherits nothing: what is not here, it does not have.
///
/// It always has stdout, stderr, clocks and randomness; its stdin is empty.
#[derive(Clone)]
pub struct GuestSpec {
    /// What to run.
    pub image: Image,
    /// Its arguments, the program's name first.
    pub args: Vec<String>,
    /// Its environment, whole.
    pub env: Vec<(String, String)>,
    /// The directory it starts in: told to components as `initial-cwd`. Preview 1 has no such notion; there,
    /// language runtimes read `PWD`, which is set to it unless `env` has one.
    pub cwd: Option<String>,
    /// The directories it sees.
    pub mounts: Vec<Mount>,
    /// Where its output goes.
    pub output: Arc<dyn Output>,
    /// Instructions it may execute, roughly one unit each; then it ends (`OutOfFuel`). Counting costs up to 40 %.
    pub fuel: Option<u64>,
    /// Bytes for all its memories and tables together; more ends it (`OutOfMemory`). Unset: the configuration's.
    /// Never more than [`Allocatable::memory_bytes`](crate::Allocatable::memory_bytes).
    pub memory_bytes: Option<u64>,
    /// Thousandths of one CPU, averaged over 100 ms: a guest over its share waits. A guest has one thread, so 1000
    /// and more is no limit; 0 counts as 1.
    pub cpu_millis: Option<u32>,
    /// How long it may run, counted from when it could first run; then it ends (`Deadline`).
    pub deadline: Option<Duration>,
    /// Where it may connect to; empty is nowhere.
    pub allow_net: Vec<NetGrant>,
}

impl GuestSpec {
    /// A guest of `image` with nothing but its output.
    pub fn new(image: Image, output: Arc<dyn Output>) -> GuestSpec {
        GuestSpec {
            image,
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            mounts: Vec::new(),
            output,
            fuel: None,
            memory_bytes: None,
            cpu_millis: None,
            deadline: None,
            allow_net: Vec::new(),
        }
    }
}

/// A directory of the host, seen by the guest under a name of its own. It cannot leave it, not by `..` nor by links.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The directory. It has to exist.
    pub host: PathBuf,
    /// What the guest calls it.
    pub guest: String,
    /// Nothing below it can be created, changed or removed.
    pub read_only: bool,
}

/// Takes what a guest writes.
///
/// It is called on a guest thread while the guest waits, with at most 64 KiB at once, as the guest wrote it: not
/// cut at lines. It should not block for long, and is never called again once the guest's end was reported.
pub trait Output: Send + Sync {
    /// `bytes` were written to `stream`.
    fn write(&self, stream: Stream, bytes: &[u8]);
}

/// The two streams of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Why a guest was stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody called [`Guest::stop`].
    Requested,
    /// The runtime shut down under it.
    Shutdown,
}

/// A guest that was started. Dropping this changes nothing for it.
#[derive(Clone, Debug)]
pub struct Guest {
    pub(crate) control: Arc<Control>,
}

impl Guest {
    /// Ends the guest `grace` from now; none or zero is at its next epoch (10 ms), or at once if it waits.
    ///
    /// WASI has no signals, so a guest cannot be told that its time has come: `grace` only gives it time to come
    /// to its end by itself. Asking again can shorten that time, never lengthen it. A guest that has ended
    /// already is left as it is.
    pub fn stop(&self, reason: StopReason, grace: Option<Duration>) {
        let now = Instant::now();
        // A grace beyond what the clock can count is no stop at all.
        let Some(at) = now.checked_add(grace.unwrap_or_default()) else { return };
        self.control.stop(Stop { at, reason });
    }
}

/// A stop that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    pub(crate) at: Instant,
    pub(crate) reason: StopReason,
}

/// What the handle, the guest's task and its limits share.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// Set once `inner.stop` is; a guest that nobody stops never takes the lock while it runs.
    asked: AtomicBool,
    inner: Mutex<Asked>,
    pub(crate) peak_memory_bytes: AtomicU64,
    pub(crate) fuel_used: AtomicU64,
}

#[derive(Debug, Default)]
struct Asked {
    stop: Option<Stop>,
    waker: Option<Waker>,
}

impl Control {
    fn stop(&self, stop: Stop) {
        let mut inner = self.lock();
        if inner.stop.is_some_and(|earlier| earlier.at <= stop.at) {
            return;
        }
        inner.stop = Some(stop);
        self.asked.store(true, Ordering::Release);
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The stop that was asked for, if any.
    pub(crate) fn asked(&self) -> Option<Stop> {
        if !self.asked.load(Ordering::Acquire) {
            return None;
        }
        self.lock().stop
    }

    /// Wakes `waker` when a stop is asked for. Gives the stop there is already; another one still wakes.
    pub(crate) fn listen(&self, waker: &Waker) -> Option<Stop> {
        let mut inner = self.lock();
        match &mut inner.waker {
            Some(known) => known.clone_from(waker), // Free where it is the same.
            none => *none = Some(waker.clone()),
        }
        inner.stop
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        // Nothing panics while it is held.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
