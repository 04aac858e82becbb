//! One guest, from its spec to its last word.
//!
//! A guest is one task on the runtime's threads. Whatever happens to the task, the caller hears of the guest's end
//! exactly once, after its instance, memory and files are gone. A store is never used for a second guest.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;
use wasmtime::{Engine, Store};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView, p1::WasiP1Ctx};

use crate::{
    Exit, Finished, GuestSpec, Refused, StopReason, Stream, Usage,
    engines::{LinkedEngine, Variant},
    exit,
    guest::Control,
    load::{Loaded, Loader, Program},
    memory::Account,
    meter::{Meter, Outcome},
    net::{self, Lookups, Reach},
    stdio::Pipe,
    ticker::Ticker,
};

/// What a guest's store holds.
pub(crate) struct State {
    pub(crate) wasi: WasiP1Ctx,
    pub(crate) lookups: Option<Arc<Lookups>>,
    account: Account,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.ctx()
    }
}

/// Bytes one host call may make the host copy for a guest; a larger write or argument list fails.
const HOST_CALL_BYTES: usize = 64 << 20;
/// Random bytes a guest may ask for at once.
const RANDOM_BYTES: u64 = 1 << 20;

/// What all guests share.
pub(crate) struct Shared {
    pub(crate) loader: Arc<Loader>,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) ticker: Ticker,
    pub(crate) memory_bytes: u64,
    pub(crate) open_handles: usize,
}

pub(crate) type Done = Box<dyn FnOnce(Finished) + Send>;

/// Says how the guest ended, however its task ends: also when the runtime drops it at a shutdown.
pub(crate) struct LastWord {
    done: Option<Done>,
    control: Arc<Control>,
    began: Option<Instant>,
    cpu: Duration,
    fuel: bool,
}

impl LastWord {
    pub(crate) fn new(done: Done, control: Arc<Control>, spec: &GuestSpec) -> LastWord {
        LastWord { done: Some(done), control, began: None, cpu: Duration::ZERO, fuel: spec.fuel.is_some() }
    }

    fn say(&mut self, exit: Exit) {
        let Some(done) = self.done.take() else { return };
        let usage = Usage {
            wall: self.began.map(|began| began.elapsed()).unwrap_or_default(),
            cpu: self.cpu,
            fuel: self.fuel.then(|| self.control.fuel_used.load(Ordering::Relaxed)),
            peak_memory_bytes: self.control.peak_memory_bytes.load(Ordering::Relaxed),
        };
        done(Finished { exit, usage });
    }
}

impl Drop for LastWord {
    fn drop(&mut self) {
        self.say(Exit::Stopped(StopReason::Shutdown));
    }
}

/// The task of one guest.
pub(crate) async fn guest(shared: Arc<Shared>, spec: GuestSpec, mut last: LastWord) {
    let exit = match run(&shared, spec, &mut last).await {
        Ok(exit) => exit,
        Err(refused) => Exit::Refused { why: refused.to_string() },
    };
    last.say(exit);
}

async fn run(shared: &Shared, spec: GuestSpec, last: &mut LastWord) -> Result<Exit, Refused> {
    let control = Arc::clone(&last.control);
    let variant = Variant::of(spec.fuel.is_some());
    let loaded = match unless_stopped(&control, shared.loader.get(&spec.image, variant)).await {
        Ok(loaded) => loaded?,
        Err(reason) => return Ok(Exit::Stopped(reason)),
    };
    let slots =
        match unless_stopped(&control, Arc::clone(&shared.slots).acquire_many_owned(loaded.slots)).await {
            Ok(Ok(slots)) => slots,
            Ok(Err(_)) => return Ok(Exit::Stopped(StopReason::Shutdown)), // Closed.
            Err(reason) => return Ok(Exit::Stopped(reason)),
        };
    let began = Instant::now();
    last.began = Some(began);
    let (fuel, deadline) = (spec.fuel, spec.deadline);
    let mut meter = Meter::new(Arc::clone(&control), shared.ticker.clone(), began, deadline, spec.cpu_millis);
    let engine = shared.loader.engines.get(variant);
    let outcome = {
        // Dropped with all it holds at the end of this block, before its slots are given back.
        let mut call = pin!(call(shared, engine, &loaded, spec, &control));
        poll_fn(|cx| meter.poll(cx, call.as_mut())).await
    };
    drop(slots);
    last.cpu = meter.cpu();
    Ok(match outcome {
        Outcome::Ended(Ok(())) => Exit::Code(0),
        Outcome::Ended(Err(Failed::Refused(refused))) => return Err(refused),
        Outcome::Ended(Err(Failed::Said(code))) => Exit::Code(code),
        Outcome::Ended(Err(Failed::Error(error))) => exit::of_error(&error, fuel),
        Outcome::Panicked(said) => {
            tracing::error!(said, "the host panicked under a guest");
            return Err(Refused::Host(format!("the runtime failed under it: {said}")));
        }
        Outcome::Deadline => Exit::Deadline { limit: deadline.unwrap_or_default() },
        Outcome::Stopped(reason) => Exit::Stopped(reason),
    })
}

/// Waits for `future`, or for the moment the guest is to stop.
async fn unless_stopped<F: Future>(control: &Control, future: F) -> Result<F::Output, StopReason> {
    let mut future = pin!(future);
    let mut grace: Option<Pin<Box<tokio::time::Sleep>>> = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        let Some(stop) = control.listen(cx.waker()) else { return Poll::Pending };
        let at = tokio::time::Instant::from_std(stop.at);
        let grace = grace.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if grace.deadline() != at {
            grace.as_mut().reset(at);
        }
        grace.as_mut().poll(cx).map(|()| Err(stop.reason))
    })
    .await
}

/// How a call into a guest fails.
enum Failed {
    Refused(Refused),
    Said(u8),
    Error(wasmtime::Error),
}

impl From<wasmtime::Error> for Failed {
    fn from(error: wasmtime::Error) -> Failed {
        Failed::Error(error)
    }
}

async fn call(
    shared: &Shared,
    engine: &LinkedEngine,
    loaded: &Loaded,
    spec: GuestSpec,
    control: &Arc<Control>,
) -> Result<(), Failed> {
    let fuel = spec.fuel;
    let state = state(shared, spec, control).map_err(Failed::Refused)?;
    let mut held = Held::new(&engine.engine, state, fuel, Arc::clone(control))?;
    let store = &mut held.store;
    match &loaded.program {
        Program::Module { pre, start } => {
            let instance = pre.instantiate_async(&mut *store).await.map_err(instantiating)?;
            let start = instance.get_module_export(&mut *store, start).and_then(|start| start.into_func());
            let start =
                start.ok_or_else(|| Failed::Refused(Refused::Image("it exports no `_start`".to_owned())))?;
            start.typed::<(), ()>(&*store)?.call_async(&mut *store, ()).await?;
            Ok(())
        }
        Program::Component { pre } => {
            let command = pre.instantiate_async(&mut *store).await.map_err(instantiating)?;
            match command.wasi_cli_run().call_run(&mut *store).await? {
                Ok(()) => Ok(()),
                Err(()) => Err(Failed::Said(1)),
            }
        }
    }
}

/// A guest that could not even begin: its own fault if it trapped or wanted too much, else it is refused.
fn instantiating(error: wasmtime::Error) -> Failed {
    let own_fault = error.is::<wasmtime::Trap>()
        || error.is::<crate::memory::OverMemory>()
        || error.is::<wasmtime_wasi::I32Exit>();
    if own_fault {
        return Failed::Error(error);
    }
    Failed::Refused(Refused::Host(format!("it cannot be instantiated: {error:#}")))
}

fn state(shared: &Shared, spec: GuestSpec, control: &Arc<Control>) -> Result<State, Refused> {
    let GuestSpec { args, env, cwd, mounts, output, memory_bytes, allow_net, .. } = spec;
    let mut wasi = WasiCtx::builder();
    wasi.max_random_size(RANDOM_BYTES);
    wasi.stdout(Pipe { output: Arc::clone(&output), stream: Stream::Stdout });
    wasi.stderr(Pipe { output, stream: Stream::Stderr });
    wasi.args(&args);
    wasi.envs(&env);
    if let Some(cwd) = cwd {
        if !env.iter().any(|(name, _)| name == "PWD") {
            wasi.env("PWD", &cwd);
        }
        wasi.initial_cwd(cwd);
    }
    for mount in &mounts {
        let perms = if mount.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
        wasi.preopened_dir(&mount.host, &mount.guest, perms).map_err(|error| {
            Refused::Spec(format!(
                "`{}` cannot be mounted at `{}`: {error:#}",
                mount.host.display(),
                mount.guest
            ))
        })?;
    }
    let lookups = if allow_net.is_empty() {
        None
    } else {
        let reach = Arc::new(Reach::new(allow_net));
        net::grant(&mut wasi, &reach);
        Some(Arc::new(Lookups::new(reach)))
    };
    let mut wasi = wasi.build_p1();
    wasi.ctx().table.set_max_capacity(shared.open_handles.saturating_add(mounts.len()));
    let slot_bytes = shared.loader.engines.layout.reservation.0;
    let limit_bytes = memory_bytes.unwrap_or(shared.memory_bytes).min(slot_bytes);
    let account = Account::new(limit_bytes, Arc::clone(control));
    Ok(State { wasi, lookups, account })
}

/// A store that leaves behind what its fuel came to, also when the guest is cut off in the middle of a call.
struct Held {
    store: Store<State>,
    fuel: Option<u64>,
    control: Arc<Control>,
}

impl Held {
    fn new(
        engine: &Engine,
        state: State,
        fuel: Option<u64>,
        control: Arc<Control>,
    ) -> wasmtime::Result<Held> {
        let mut store = Store::try_new(engine, state)?;
        store.limiter(|state| &mut state.account);
        store.set_hostcall_fuel(HOST_CALL_BYTES);
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        if let Some(fuel) = fuel {
            store.set_fuel(fuel)?;
        }
        Ok(Held { store, fuel, control })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let (Some(fuel), Ok(left)) = (self.fuel, self.store.get_fuel()) {
            self.control.fuel_used.store(fuel.saturating_sub(left), Ordering::Relaxed);
        }
    }
}
