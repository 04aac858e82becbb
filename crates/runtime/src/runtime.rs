//! The runtime: its configuration, its threads, and what can be asked of it.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::{
    CompileLimits, Compiler, Digest, Finished, Guest, GuestSpec, Image, Refused,
    cache::Cache,
    engines::{Engines, Variant},
    guest::Control,
    load::Loader,
    run::{self, LastWord, Shared},
    ticker::Ticker,
};

/// What a runtime is made with. [`Config::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Guests alive at once, running or waiting; more wait for their turn to start. Lowered where
    /// `vm.max_map_count` or the address space is small; [`Runtime::allocatable`] says to what.
    pub live_guests: u32,
    /// Where compiled code is kept. A directory of the runtime's own, created if it is missing, made private.
    pub cache_dir: PathBuf,
    /// Threads guests run on. At least 1.
    pub threads: usize,
    /// How the compiler child is started.
    pub compiler: Compiler,
    /// What one compilation may use.
    pub compile: CompileLimits,
    /// Bytes for all memories and tables of a guest that has no limit of its own.
    pub default_memory_bytes: u64,
    /// Bytes of each memory that stay resident in a slot when its guest has ended. Less is slower, more costs
    /// memory: up to this much for as many slots as were ever in use at once.
    pub keep_resident_bytes: usize,
    /// Images kept loaded, ready to start.
    pub loaded_images: usize,
    /// Files, directories and sockets one guest may have open at once, besides its mounts. A file costs a
    /// descriptor of this process.
    pub open_handles: usize,
}

impl Config {
    /// The defaults: 1,000 guests, one thread a core, 64 images loaded, 2 MiB resident a slot, 256 handles, no
    /// memory limit but the slot's size, and this very program's `compile` subcommand as the compiler.
    pub fn new(cache_dir: impl Into<PathBuf>) -> Config {
        Config {
            live_guests: 1000,
            cache_dir: cache_dir.into(),
            threads: thread::available_parallelism().map_or(1, |threads| threads.get()),
            compiler: Compiler::this_program("compile"),
            compile: CompileLimits::default(),
            default_memory_bytes: u64::MAX,
            keep_resident_bytes: 2 << 20,
            loaded_images: 64,
            open_handles: 256,
        }
    }
}

/// What this node can give to guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocatable {
    /// Guests alive at once (an image with several memories counts for several).
    pub guests: u32,
    /// The most one guest can have: the address space that is reserved for it. Not memory that is there.
    pub memory_bytes: u64,
}

/// What the runtime is doing, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Slots taken by guests that have begun.
    pub live_guests: u32,
    /// Epochs since the start; it stands still while no guest computes.
    pub ticks: u64,
    /// Whether nothing wakes the ticker.
    pub idle: bool,
    /// Images compiled since the start.
    pub compiled: u64,
}

/// Why there is no runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The directory for compiled code, or its key.
    #[error("{}: the cache of compiled code cannot be opened", path.display())]
    Cache {
        /// What could not be read or written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Wasmtime.
    #[error("the WebAssembly engine cannot be set up: {0:#}")]
    Engine(wasmtime::Error),
    /// The threads.
    #[error("the guest threads cannot be started")]
    Threads(#[source] io::Error),
}

/// Runs guests. Cheap to clone; the last clone takes the threads, and every guest, with it.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    handle: tokio::runtime::Handle,
    /// Until it is shut down.
    tokio: Mutex<Option<tokio::runtime::Runtime>>,
}

/// How long a shutdown waits for guest threads. An epoch is 10 ms; the rest is for what blocks in the kernel.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);
/// Threads that wait for files and compilations on behalf of guests. They end when idle.
const BLOCKING_THREADS: usize = 16;
/// Polls between two looks at timers and sockets when every thread is busy. A poll is at most an epoch, so a
/// guest's sleep ends at most this many epochs late. Tokio's own 61 would be 0.6 s.
const EVENT_INTERVAL: u32 = 4;
/// Kernel mappings a guest may cost: six while it lives, in one of two pools, each of which keeps some.
const MAPPINGS_PER_GUEST: u32 = 12;

impl Runtime {
    /// Starts the threads and reserves the address space. `O(live_guests)`, some milliseconds.
    pub fn new(config: Config) -> Result<Runtime, RuntimeError> {
        let live_guests = config.live_guests.clamp(1, mappable_guests());
        if live_guests < config.live_guests {
            tracing::warn!(
                live_guests,
                wanted = config.live_guests,
                "fewer guests at once: `vm.max_map_count` is small"
            );
        }
        let engines = Engines::new(live_guests, config.keep_resident_bytes)?;
        let cache = Cache::open(&config.cache_dir, &[engines.epoch.stamp, engines.fuel.stamp])?;
        let ticker = Ticker::start({
            let engines = [engines.epoch.engine.clone(), engines.fuel.engine.clone()];
            move || engines.iter().for_each(|engine| engine.increment_epoch())
        })
        .map_err(RuntimeError::Threads)?;
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .max_blocking_threads(BLOCKING_THREADS)
            .event_interval(EVENT_INTERVAL)
            .thread_name("wick-guest")
            .enable_all()
            .build()
            .map_err(RuntimeError::Threads)?;
        let slots = Arc::new(Semaphore::new(engines.layout.live_guests as usize));
        let loader = Loader::new(engines, cache, config.compiler, config.compile, config.loaded_images);
        let shared = Shared {
            loader: Arc::new(loader),
            slots,
            ticker,
            memory_bytes: config.default_memory_bytes,
            open_handles: config.open_handles,
        };
        let handle = tokio.handle().clone();
        let inner = Inner { shared: Arc::new(shared), handle, tokio: Mutex::new(Some(tokio)) };
        Ok(Runtime { inner: Arc::new(inner) })
    }

    /// Makes sure that `image` can start: compiled, in the cache, its imports there. Blocks while it compiles.
    /// `fuel` prepares the other compilation, which guests with a fuel limit run.
    pub fn prepare(&self, image: &Image, fuel: bool) -> Result<(), Refused> {
        let (loader, image) = (Arc::clone(&self.inner.shared.loader), image.clone());
        let (answer, answered) = mpsc::sync_channel(1);
        drop(self.inner.handle.spawn(async move {
            // Whoever asked waits below; there is nobody else to tell.
            let _ = answer.send(loader.get(&image, Variant::of(fuel)).await.map(drop));
        }));
        // A shutdown drops the task, and the sender with it.
        answered.recv().unwrap_or_else(|_| Err(Refused::Host("the runtime was shut down".to_owned())))
    }

    /// Starts a guest and returns at once.
    ///
    /// It waits for its code to be compiled, if it is not, and for a slot, if all are taken; in the order of
    /// `start` among those that wait for the same. `done` is called exactly once, on one of the runtime's threads,
    /// when the guest and all it held are gone; it should hand over and return. (After a shutdown it is called by
    /// `start` itself.)
    pub fn start(&self, spec: GuestSpec, done: impl FnOnce(Finished) + Send + 'static) -> Guest {
        let control = Arc::new(Control::default());
        let last = LastWord::new(Box::new(done), Arc::clone(&control), &spec);
        // After a shutdown the task is dropped unrun, and says so as it goes.
        drop(self.inner.handle.spawn(run::guest(Arc::clone(&self.inner.shared), spec, last)));
        Guest { control }
    }

    /// Drops the code of an image that was deleted. Guests of it that run are left alone.
    pub fn forget(&self, digest: &Digest) -> io::Result<()> {
        self.inner.shared.loader.forget(digest)
    }

    /// What this node can give to guests.
    pub fn allocatable(&self) -> Allocatable {
        self.inner.shared.loader.engines.allocatable()
    }

    /// What the runtime is doing.
    pub fn activity(&self) -> Activity {
        let all = self.allocatable().guests;
        let free = u32::try_from(self.inner.shared.slots.available_permits()).unwrap_or(u32::MAX);
        Activity {
            live_guests: all.saturating_sub(free),
            ticks: self.inner.shared.ticker.ticks(),
            idle: self.inner.shared.ticker.is_parked(),
            compiled: self.inner.shared.loader.compiled(),
        }
    }

    /// Ends every guest (`Stopped`, [`Shutdown`](crate::StopReason::Shutdown)) and the threads. Blocks until that is done, at most five
    /// seconds; not to be called from async code or from a guest's `done`. What is started later is stopped at once.
    pub fn shutdown(&self) {
        if let Some(tokio) = self.inner.take() {
            tokio.shutdown_timeout(SHUTDOWN_PATIENCE);
        }
    }
}

impl Inner {
    fn take(&self) -> Option<tokio::runtime::Runtime> {
        self.tokio.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Wherever the last clone is dropped, nothing may block there.
        if let Some(tokio) = self.take() {
            tokio.shutdown_background();
        }
    }
}

fn mappable_guests() -> u32 {
    let read = std::fs::read_to_string("/proc/sys/vm/max_map_count");
    let count = read.ok().and_then(|count| count.trim().parse::<u32>().ok()).unwrap_or(65_530);
    // A quarter is for everything else in the process.
    (count / 4 * 3 / MAPPINGS_PER_GUEST).max(1)
}
