//! Performs effects: starts and stops guests, and removes what is no longer needed from the disk.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use api::{ContainerPlan, Mount, MountSource};
use engine::{Effect, Event, GuestId, LOG_BLOCK, StartGuest, Usage};
use runtime::{Guest, GuestSpec, Runtime, StopReason};
use sched::Exit;

use crate::data::{self, Data};
use crate::engine_thread::{EngineHandle, exit, usage};
use crate::host_path;
use crate::images::Images;
use crate::live::Live;
use crate::logs::{LogWriter, Logs};

/// The guests that run, and the disk they use. Belongs to the engine's thread.
pub(crate) struct Guests {
    runtime: Runtime,
    data: Data,
    images: Images,
    logs: Arc<Logs>,
    engine: EngineHandle,
    live: Arc<Live>,
    running: BTreeMap<GuestId, Guest>,
    /// Removing trees takes time that the engine's thread does not have.
    broom: Sender<PathBuf>,
}

impl Guests {
    pub(crate) fn new(
        runtime: Runtime,
        data: Data,
        images: Images,
        logs: Arc<Logs>,
        engine: EngineHandle,
        live: Arc<Live>,
    ) -> std::io::Result<Guests> {
        let (broom, paths) = mpsc::channel::<PathBuf>();
        thread::Builder::new().name("broom".into()).spawn(move || {
            for path in paths {
                if let Err(error) = data::remove(&path) {
                    // What stays behind is swept at the next start.
                    tracing::warn!(path = %path.display(), %error, "cannot remove");
                }
            }
        })?;
        Ok(Guests { runtime, data, images, logs, engine, live, running: BTreeMap::new(), broom })
    }

    pub(crate) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Start(start) => self.start(*start),
            // WASI has no signals: a guest cannot be told that its time has come, so asking it is ending it.
            Effect::Stop(guest) | Effect::Kill(guest) => {
                if let Some(running) = self.running.get(&guest) {
                    running.stop(StopReason::Requested, None);
                }
            }
            Effect::RemoveVolumes { pod_uid } => self.sweep(self.data.take_volumes(&pod_uid)),
            Effect::RemovePod { pod_uid } => {
                self.sweep(self.data.take_volumes(&pod_uid));
                self.sweep(self.data.take_logs(&pod_uid));
            }
            Effect::RemoveImage { digest } => self.images.remove(&digest, &self.runtime),
        }
    }

    /// Ends a guest; its handle is no longer needed. False if it has ended already.
    pub(crate) fn abandon(&mut self, guest: GuestId) -> bool {
        let running = self.running.remove(&guest);
        if let Some(running) = &running {
            running.stop(StopReason::Shutdown, None);
        }
        running.is_some()
    }

    /// How many run.
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// A guest has ended; its handle is no longer needed.
    pub(crate) fn forget(&mut self, guest: GuestId) {
        self.running.remove(&guest);
    }

    /// Ends all guests, for good.
    pub(crate) fn shutdown(&mut self) {
        self.runtime.shutdown();
    }

    fn sweep(&self, paths: impl IntoIterator<Item = PathBuf>) {
        for path in paths {
            let _ = self.broom.send(path);
        }
    }

    fn start(&mut self, start: StartGuest) {
        let id = start.guest;
        // For the log alone, and only if somebody reads it.
        let told = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| (format!("{}/{}", start.namespace, start.pod), start.container.clone()));
        if let Some((pod, container)) = &told {
            tracing::debug!(pod, container, restarts = id.restarts, image = start.digest, "guest starts");
        }
        let output = self.logs.writer(&start.pod_uid, &start.container, id.restarts);
        let (spec, held) = match self.spec(start, output.clone()) {
            Ok(spec) => spec,
            Err(why) => {
                return self.engine.tell(Event::GuestEnded {
                    guest: id,
                    exit: Exit::Refused { why },
                    usage: Usage::default(),
                });
            }
        };
        let engine = self.engine.clone();
        let guest = self.runtime.start(spec, move |finished| {
            drop(held); // What the guest saw of the device was named by these.
            if let Some((pod, container)) = &told {
                let code = exit(finished.exit.clone()).code();
                tracing::debug!(pod, container, restarts = id.restarts, code, "guest ended");
            }
            let log_bytes = output.kept_bytes();
            if log_bytes > LOG_BLOCK {
                engine.tell(Event::GuestWrote { guest: id, log_bytes });
            }
            engine.tell(Event::GuestEnded {
                guest: id,
                exit: exit(finished.exit),
                usage: usage(finished.usage),
            });
        });
        self.running.insert(id, guest);
    }

    /// What the runtime is given, and what must stay open as long as the guest runs.
    fn spec(&self, start: StartGuest, output: Arc<LogWriter>) -> Result<(GuestSpec, Vec<OwnedFd>), String> {
        let StartGuest { pod_uid, digest, plan, .. } = start;
        let ContainerPlan { args, env, mounts, fuel, memory_bytes, cpu_millis, allow_net } = plan;
        let image = self.images.find(&digest)?;
        let mut held = Vec::new();
        let mounts = mounts
            .into_iter()
            .map(|mount| self.mount(mount, &pod_uid, &mut held))
            .collect::<Result<_, _>>()?;
        let grants = allow_net.iter().map(|grant| grant.parse().map_err(|error| format!("{error}")));
        let spec = GuestSpec {
            args,
            env,
            mounts,
            fuel,
            // One that asks for nothing must not be able to take it all.
            memory_bytes: memory_bytes.or_else(|| Some(self.live.guest_memory_bytes())),
            cpu_millis: cpu_millis.map(|millis| u32::try_from(millis).unwrap_or(u32::MAX)),
            allow_net: grants.collect::<Result<_, _>>()?,
            ..GuestSpec::new(image, output)
        };
        Ok((spec, held))
    }

    fn mount(&self, mount: Mount, pod_uid: &str, held: &mut Vec<OwnedFd>) -> Result<runtime::Mount, String> {
        let host = match mount.source {
            MountSource::EmptyDir { volume } => {
                let made = self.data.volume(pod_uid, &volume);
                made.map_err(|error| format!("the volume's directory {error}"))?
            }
            MountSource::HostPath { path, create } => {
                // Asked at every start: a grant may have been taken back since the Job was taken in.
                let dir = host_path::open(Path::new(&path), create, &self.live.grants().host_paths)?;
                let named = host_path::named(&dir);
                held.push(dir);
                named
            }
        };
        Ok(runtime::Mount { host, guest: mount.path, read_only: mount.read_only })
    }
}
