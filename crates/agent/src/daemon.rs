//! Puts the parts together, runs until told to stop, and takes them apart in the right order.

use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::{Context, bail};
use api::Grants;
use engine::store::{DataDir, SledOptions, SledStore};
use engine::{Config as EngineConfig, Engine, Limits, stored_time};
use runtime::Runtime;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sched::node::Room;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::service::Routes;
use tonic::transport::Server;
use tracing_subscriber::EnvFilter;

use crate::clock::Clock;
use crate::config::Config;
use crate::data::Data;
use crate::engine_thread;
use crate::guests::Guests;
use crate::images::Images;
use crate::listen::{self, Socket};
use crate::logs::Logs;
use crate::services::{self, Agent, Facts};

/// For people on a terminal, JSON for whatever else reads standard error. `WICK_LOG` chooses the levels.
pub(crate) fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("WICK_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if std::io::stderr().is_terminal() {
        lines.compact().init();
    } else {
        lines.json().flatten_event(true).init();
    }
}

/// Runs the agent until a signal ends it.
pub(crate) fn run(config: Config) -> anyhow::Result<()> {
    raise_file_limit();
    let data_dir = DataDir::lock(&config.data_dir)?;
    let store = SledStore::open(&data_dir, SledOptions::default())?;
    let clock = Clock::resume(stored_time(&store)?);
    let data = Data::at(data_dir.path()).context("cannot use the data directory")?;
    // Few threads: the control plane only parses and answers. Guests have threads of their own.
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the control plane's threads")?;
    // After the locks and before anything runs: who cannot be asked should not begin.
    let socket = {
        let _tokio = tokio.enter();
        Socket::bind(&config.socket)?
    };

    let runtime = Runtime::new(runtime::Config {
        live_guests: config.guests,
        ..runtime::Config::new(data.compiled())
    })?;
    let allocatable = allocatable(&runtime);
    let node_name = config.node_name.clone().unwrap_or_else(host_name);
    let engine_config = EngineConfig {
        node_name: node_name.clone(),
        fresh_instance_id: fresh_instance_id()?,
        allocatable,
        limits: Limits::default(),
    };
    let now = clock.now();
    let (engine, first) = Engine::open(Box::new(store), engine_config, now)?;
    data.sweep(&engine.pod_uids(), &engine.image_digests()).context("cannot tidy the data directory")?;

    let (handle, inbox) = engine_thread::channel();
    let images = Images::new(data.clone(), config.max_image_mib << 20);
    let logs = Arc::new(Logs::new(data.clone(), clock, config.log_kib << 10));
    let agent = Agent {
        engine: handle.clone(),
        reader: engine.reader(),
        runtime: runtime.clone(),
        images: images.clone(),
        logs: logs.clone(),
        grants: Arc::new(Grants { host_paths: config.allow_host_paths.clone() }),
        facts: Arc::new(Facts {
            clock,
            node_name,
            instance_id: engine.instance_id().to_owned(),
            started_at: now.wall,
            allocatable,
        }),
    };
    let guests = Guests::new(runtime, data, images, logs, handle).context("cannot start a thread")?;
    tokio.block_on(serve(config, agent, socket, |done| {
        engine_thread::spawn(engine, first, inbox, guests, clock, done)
    }))
}

/// Answers until a signal comes or the engine fails.
async fn serve(
    config: Config,
    agent: Agent,
    mut socket: Socket,
    start_engine: impl FnOnce(oneshot::Sender<anyhow::Result<()>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let (routes, health) = services::routes(&agent).await?;
    let loopback = match config.listen {
        Some(address) => Some(listen::bind_loopback(address).await?),
        None => None,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

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
        data = %config.data_dir.display(),
        socket = %config.socket.display(),
        listen = listening.map(|address| address.to_string()),
        "ready"
    );

    let ended = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = &mut engine_done => Some(ended),
        Some(ended) = servers.join_next() => bail!("a listener ended: {ended:?}"),
    };
    services::say_not_serving(&health).await;
    let ended = match ended {
        Some(ended) => ended,
        None => {
            tracing::info!("stopping");
            agent.engine.close();
            engine_done.await
        }
    };
    // The engine has recorded what there was; nobody can be told anything new. Streams end with the process.
    let _ = stop.send(true);
    servers.abort_all();
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
fn allocatable(runtime: &Runtime) -> Room {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let info = rustix::system::sysinfo();
    let memory = u64::from(info.totalram).saturating_mul(u64::from(info.mem_unit));
    Room { guests: runtime.allocatable().guests, cpu_millis: cores * 1000, memory_bytes: memory / 10 * 9 }
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    if api::names::dns_subdomain(&name).is_ok() { name } else { "localhost".to_owned() }
}

fn fresh_instance_id() -> anyhow::Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).context("the kernel gives no random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
