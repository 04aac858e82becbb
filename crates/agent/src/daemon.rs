//! Puts the parts together, runs until told to stop, and takes them apart in the right order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use engine::store::{DataDir, SledOptions, SledStore};
use engine::{Config as EngineConfig, Engine, Limits, Recovered, stored_time};
use runtime::Runtime;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sched::Millis;
use sched::node::Room;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::service::Routes;
use tonic::transport::Server;
use zones::Zones;

use crate::clock::Clock;
use crate::config::{Config, Resolved, Told};
use crate::data::Data;
use crate::device;
use crate::engine_thread;
use crate::guests::Guests;
use crate::images::Images;
use crate::listen::{self, Socket};
use crate::live::Live;
use crate::logging::{self, LogLevel};
use crate::logs::Logs;
use crate::notify::Notify;
use crate::services::{self, Agent, Facts};

/// After the last guest, at most so long until the process is gone: guests' threads get five seconds, open answers two.
const WIND_UP: Duration = Duration::from_secs(10);
/// How long answers that are under way may take to end once the engine has.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Runs the agent until a signal ends it.
pub(crate) fn run(told: &Told, resolved: Resolved) -> anyhow::Result<()> {
    let Resolved { config, file, .. } = resolved;
    let level = logging::start(&config.log_level);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = file.map(|file| file.display().to_string()),
        data = %config.data_dir.display(),
        "starting"
    );
    let notify = Notify::from_env();
    raise_file_limit();
    let began = Instant::now();
    let data_dir = DataDir::lock(&config.data_dir)?;
    let store = SledStore::open(&data_dir, SledOptions::default())?;
    let condition = store.condition();
    let clock = Clock::resume(stored_time(&store)?);
    let data = Data::at(data_dir.path()).context("cannot use the data directory")?;
    // Few threads: the control plane only parses and answers. Guests have threads of their own.
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the control plane's threads")?;
    // After the locks and before anything is recorded: who cannot be asked should not begin, and a start that fails must
    // not count as one for the guests that were interrupted.
    let socket = {
        let _tokio = tokio.enter();
        Socket::bind(&config.socket, config.socket_group.as_deref())?
    };
    let loopback = match config.listen {
        Some(address) => Some(tokio.block_on(listen::bind_loopback(address))?),
        None => None,
    };

    let runtime = Runtime::new(runtime::Config {
        live_guests: u32::try_from(config.guests).unwrap_or(u32::MAX),
        ..runtime::Config::new(data.compiled())
    })?;
    let allocatable = allocatable(&runtime);
    let zones = Arc::new(Zones::open(config.time_zone.as_deref()).context("cannot use `time_zone`")?);
    tracing::info!(
        time_zone = zones.local_name(),
        source = zones.source(),
        version = zones.version(),
        "zones"
    );
    let node_name = config.node_name.clone().unwrap_or_else(device::host_name);
    let engine_config = EngineConfig {
        node_name: node_name.clone(),
        fresh_instance_id: fresh_instance_id()?,
        node_labels: device::labels(&node_name),
        allocatable,
        limits: limits(&config),
        zones: zones.clone(),
        not_before: crate::clock::not_before(),
    };
    let now = clock.now();
    let (engine, first) = Engine::open(Box::new(store), engine_config, now)?;
    data.sweep(&engine.pod_uids(), &engine.image_digests()).context("cannot tidy the data directory")?;

    let Recovered { jobs, cron_jobs, pods, images, interrupted } = engine.recovered();
    tracing::info!(
        jobs,
        cron_jobs,
        pods,
        images,
        interrupted,
        store_bytes = condition.bytes,
        clean = condition.clean,
        ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        "recovered"
    );

    let (handle, inbox) = engine_thread::channel();
    let live = Arc::new(Live::new(&config));
    let images = Images::new(data.clone(), live.clone());
    let logs = Arc::new(Logs::new(data.clone(), clock, live.clone()));
    let guests = Guests::new(
        runtime.clone(),
        data.clone(),
        images.clone(),
        logs.clone(),
        handle.clone(),
        live.clone(),
    )
    .context("cannot start a thread")?;
    let agent = Agent {
        engine: handle,
        reader: engine.reader(),
        runtime,
        images,
        logs,
        live,
        zones,
        simulations: Arc::new(Semaphore::new(services::SIMULATIONS_AT_ONCE)),
        facts: Arc::new(Facts {
            clock,
            node_name,
            instance_id: engine.instance_id().to_owned(),
            started_at: now.wall,
            allocatable,
        }),
    };
    let settings = Settings { told, config, level };
    let zones = agent.zones.clone();
    tokio.block_on(serve(settings, &notify, agent, socket, loopback, |done| {
        engine_thread::spawn(engine, first, inbox, guests, clock, zones, done)
    }))
}

/// What holds, and where it can be asked for again.
struct Settings<'a> {
    told: &'a Told,
    config: Config,
    level: LogLevel,
}

impl Settings<'_> {
    /// Reads the file again. With one that is wrong everything stays as it is.
    fn reload(&mut self, live: &Live) {
        match self.told.resolve() {
            Ok(resolved) => {
                live.reload(&mut self.config, resolved.config, &self.level);
                tracing::info!("configuration reloaded");
            }
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::error!(error, "configuration not reloaded; it stays as it was");
            }
        }
    }
}

/// Answers until a signal comes or the engine fails.
async fn serve(
    mut settings: Settings<'_>,
    notify: &Notify,
    agent: Agent,
    mut socket: Socket,
    loopback: Option<TcpListener>,
    start_engine: impl FnOnce(oneshot::Sender<anyhow::Result<()>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let (routes, health) = services::routes(&agent).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let (done, mut engine_done) = oneshot::channel();
    start_engine(done)?;
    let mut servers = tokio::task::JoinSet::new();
    if let Some(listener) = socket.listener.take() {
        let (routes, mut stopped) = (routes.clone(), stopped.clone());
        servers.spawn(async move {
            let gone = async move { drop(stopped.wait_for(|stop| *stop).await) };
            let incoming = UnixListenerStream::new(listener);
            Server::builder().add_routes(routes).serve_with_incoming_shutdown(incoming, gone).await
        });
    }
    let listening = loopback.as_ref().map(TcpListener::local_addr).transpose()?;
    if let Some(listener) = loopback {
        servers.spawn(serve_loopback(listener, routes, stopped));
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node = agent.facts.node_name,
        data = %settings.config.data_dir.display(),
        socket = %settings.config.socket.display(),
        listen = listening.map(|address| address.to_string()),
        "ready"
    );
    notify.ready();

    let mut draining = false;
    let ended = {
        let keep_alive = notify.keep_alive(&agent.engine);
        tokio::pin!(keep_alive);
        let mut beats = true;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {
                    notify.reloading();
                    settings.reload(&agent.live);
                    notify.ready();
                    continue;
                }
                () = &mut keep_alive, if beats => {
                    beats = false;
                    continue;
                }
                ended = &mut engine_done => break ended,
                Some(ended) = servers.join_next() => bail!("a listener ended: {ended:?}"),
            }
            // A signal to end; the second one is in a hurry.
            let seconds = if draining { 0 } else { agent.live.drain_seconds() };
            notify.stopping(Duration::from_secs(seconds) + WIND_UP);
            if draining {
                tracing::info!("stopping at once");
                agent.engine.close();
            } else {
                draining = true;
                tracing::info!(seconds, "going down: nothing new begins, guests have their grace");
                // In this order: who hears of it finds it so.
                agent.engine.drain(Millis::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)));
                services::say_not_serving(&health).await;
            }
        }
    };
    services::say_not_serving(&health).await;
    // The engine has recorded what there was, and streams have been told. What does not end by itself now is cut off.
    let _ = stop.send(true);
    drop((agent, health));
    let all_ended = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_ANSWERS, all_ended).await.is_err() {
        servers.abort_all();
    }
    match ended {
        Ok(result) => result.inspect(|()| tracing::info!("stopped")),
        Err(_) => bail!("the engine's thread ended without a word; its panic is above"),
    }
}

async fn serve_loopback(
    listener: TcpListener,
    routes: Routes,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), tonic::transport::Error> {
    let gone = async move { drop(stopped.wait_for(|stop| *stop).await) };
    Server::builder()
        .layer(tower::filter::FilterLayer::new(listen::guard))
        .add_routes(routes)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), gone)
        .await
}

/// Guests' files are descriptors of this process; the soft limit is for programs that still use `select`.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit on open files");
    }
}

/// What Pods' requests may share: all cores, and nine tenths of the memory.
fn limits(config: &Config) -> Limits {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Limits {
        jobs: count(config.max_jobs),
        live_pods: count(config.max_live_pods),
        live_bytes: config.max_objects_mib << 20,
        terminated_pods: count(config.keep_pods),
        terminated_bytes: config.keep_pods_mib << 20,
        ledger_age: Millis::from_secs(
            i64::try_from(config.ledger_days).unwrap_or(i64::MAX).saturating_mul(86_400),
        ),
        ledger_bytes: config.ledger_bytes,
        ..Limits::default()
    }
}

fn allocatable(runtime: &Runtime) -> Room {
    let guests = runtime.allocatable().guests;
    // As many as there are guests: the device has no other limit on Pods.
    Room {
        pods: guests,
        guests,
        cpu_millis: device::cores() * 1000,
        memory_bytes: device::memory_bytes() / 10 * 9,
    }
}

fn fresh_instance_id() -> anyhow::Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).context("the kernel gives no random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
