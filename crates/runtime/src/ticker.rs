//! Moves the epochs on, every 10 ms, while guests run, and not at all while none does.
//!
//! A guest runs while it is being polled. One that sleeps, waits for a file, or is parked for its CPU share needs
//! no ticks, so an idle device, and one with a thousand sleeping guests, is not woken by this thread.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

/// Between two epochs.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Counts who runs, and wakes the thread when somebody does.
#[derive(Default)]
struct Activity {
    entries: AtomicU64,
    exits: AtomicU64,
    parked: AtomicBool,
    stopped: AtomicBool,
    ticks: AtomicU64,
}

/// The thread. It lives until the last clone is dropped, and every guest's task has one: a guest that computes
/// could not be ended without epochs.
#[derive(Clone)]
pub(crate) struct Ticker {
    inner: Arc<Inner>,
}

struct Inner {
    activity: Arc<Activity>,
    thread: Thread,
}

impl Ticker {
    /// Starts the thread, parked. `tick` is called for each epoch.
    pub(crate) fn start(tick: impl Fn() + Send + 'static) -> io::Result<Ticker> {
        let activity = Arc::new(Activity::default());
        let join = thread::Builder::new().name("wick-ticker".to_owned()).stack_size(128 << 10).spawn({
            let activity = Arc::clone(&activity);
            move || run(&activity, tick)
        })?;
        Ok(Ticker { inner: Arc::new(Inner { activity, thread: join.thread().clone() }) })
    }

    /// A guest runs from here on, until what is returned is dropped.
    pub(crate) fn enter(&self) -> Running<'_> {
        let Inner { activity, thread } = &*self.inner;
        // In this order here, and the other way round in `run`: one of the two sees the other.
        activity.entries.fetch_add(1, Ordering::SeqCst);
        if activity.parked.load(Ordering::SeqCst) && activity.parked.swap(false, Ordering::SeqCst) {
            thread.unpark();
        }
        Running(activity)
    }

    /// Epochs since the start.
    pub(crate) fn ticks(&self) -> u64 {
        self.inner.activity.ticks.load(Ordering::Relaxed)
    }

    /// Whether it sleeps until a guest runs.
    pub(crate) fn is_parked(&self) -> bool {
        self.inner.activity.parked.load(Ordering::SeqCst)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.activity.stopped.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// A guest that is being polled.
pub(crate) struct Running<'a>(&'a Activity);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.exits.fetch_add(1, Ordering::SeqCst);
    }
}

fn run(activity: &Activity, tick: impl Fn()) {
    let mut seen = 0;
    while !activity.stopped.load(Ordering::SeqCst) {
        // A guest that enters between these two reads makes them differ, or is seen below.
        let exits = activity.exits.load(Ordering::SeqCst);
        let entries = activity.entries.load(Ordering::SeqCst);
        if exits == entries && entries == seen {
            // Nobody runs, and nobody has since the last tick.
            activity.parked.store(true, Ordering::SeqCst);
            if activity.entries.load(Ordering::SeqCst) == seen {
                while activity.parked.load(Ordering::SeqCst) && !activity.stopped.load(Ordering::SeqCst) {
                    thread::park();
                }
            }
            activity.parked.store(false, Ordering::SeqCst);
            continue;
        }
        seen = entries;
        thread::sleep(TICK);
        activity.ticks.fetch_add(1, Ordering::Relaxed);
        tick();
    }
}
