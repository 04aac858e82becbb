//! SimulationService.
//!
//! A simulation has a thread of its own, and what it tells waits for the client to take it: one that is slow, or leaves, makes
//! the simulation slow, or ends it. Commits, bytes and simulations at once are limited, so that the agent goes on beside it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;

use api::pb::wick::v1::simulation_service_server::SimulationService;
use api::pb::wick::v1::{
    SimulationEntry, SimulationServiceSimulateRequest, SimulationServiceSimulateResponse,
};
use prost::Message;
use sched::node::Room;
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Agent, status};
use crate::device;
use crate::simulation::{self, Bounds, Current, NodeSpec, Simulation, Trouble};

/// Simulations that may go on at the same time.
pub(crate) const AT_ONCE: usize = 2;
/// An answer is sent when its entries take so many bytes. One object may be larger.
const ANSWER_BYTES: usize = 64 << 10;
/// Answers that wait for the client.
const WAITING: usize = 4;

type Answer = Result<SimulationServiceSimulateResponse, Status>;

#[tonic::async_trait]
impl SimulationService for Agent {
    type SimulateStream = ReceiverStream<Answer>;

    async fn simulate(
        &self,
        request: Request<SimulationServiceSimulateRequest>,
    ) -> Result<Response<Self::SimulateStream>, Status> {
        let SimulationServiceSimulateRequest { scenario, namespace, from_current, brief } =
            request.into_inner();
        let permit = self.simulations.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!(
                "{AT_ONCE} simulations go on already; ask again when one has ended"
            ))
        })?;
        let simulation = Simulation {
            scenario,
            now: self.facts.clock.wall(),
            namespace: api::metadata::namespace(&namespace).to_owned(),
            current: from_current.then(|| self.current()),
            grants: self.live.grants(),
            brief,
            bounds: Bounds::default(),
        };
        let (sender, receiver) = mpsc::channel(WAITING);
        let work = move || {
            play(simulation, &sender);
            drop(permit);
        };
        thread::Builder::new()
            .name("simulation".into())
            .spawn(work)
            .map_err(|error| status::io("start a thread for the simulation", &error))?;
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

impl Agent {
    /// What the agent has: its CronJobs, its Jobs that have not finished, and the device.
    fn current(&self) -> Current {
        let ((cron_jobs, _), (jobs, _)) = (self.reader.cron_jobs(""), self.reader.jobs(""));
        let unfinished = jobs.into_iter().filter(|job| !api::job::is_finished(job));
        let Room { pods, cpu_millis, memory_bytes, .. } = self.facts.allocatable;
        let name = self.facts.node_name.clone();
        let time_zone = self.zones.local_name();
        let node =
            NodeSpec { labels: device::labels(&name), name, cpu_millis, memory_bytes, pods, time_zone };
        Current::new(
            cron_jobs.into_iter().map(Arc::unwrap_or_clone).collect(),
            unfinished.map(Arc::unwrap_or_clone).collect(),
            node,
        )
    }
}

/// Plays a simulation, and sends what it tells in portions.
fn play(simulation: Simulation, sender: &Sender<Answer>) {
    let mut entries: Vec<SimulationEntry> = Vec::new();
    let mut bytes = 0;
    let played = simulation::run(simulation, &mut |entry| {
        bytes += entry.encoded_len();
        entries.push(entry);
        if bytes < ANSWER_BYTES {
            return ControlFlow::Continue(());
        }
        bytes = 0;
        let entries = std::mem::take(&mut entries);
        match sender.blocking_send(Ok(SimulationServiceSimulateResponse { entries })) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()), // The client has gone.
        }
    });
    if !entries.is_empty() {
        let _ = sender.blocking_send(Ok(SimulationServiceSimulateResponse { entries }));
    }
    let status = match played {
        Ok(()) | Err(Trouble::Gone) => return,
        Err(Trouble::Scenario(errors)) => status::invalid("the scenario", &errors),
        Err(Trouble::Limit(why)) => Status::resource_exhausted(why),
        Err(Trouble::Engine(error)) => {
            tracing::error!(%error, "a simulation failed");
            Status::internal(format!("the simulation failed: {error}"))
        }
    };
    let _ = sender.blocking_send(Err(status));
}
