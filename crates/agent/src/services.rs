//! The gRPC services: each method parses, hands over, answers. Decisions about objects are elsewhere.

mod change;
mod cron_jobs;
mod events;
mod history;
mod images;
mod jobs;
mod manifests;
mod node;
mod page;
mod pods;
mod schedules;
mod select;
mod simulation;
pub(crate) mod status;
mod watch;

use std::sync::Arc;

use api::pb::wick::v1::cron_job_service_server::CronJobServiceServer;
use api::pb::wick::v1::event_service_server::EventServiceServer;
use api::pb::wick::v1::history_service_server::HistoryServiceServer;
use api::pb::wick::v1::image_service_server::ImageServiceServer;
use api::pb::wick::v1::job_service_server::JobServiceServer;
use api::pb::wick::v1::manifest_service_server::ManifestServiceServer;
use api::pb::wick::v1::node_service_server::NodeServiceServer;
use api::pb::wick::v1::pod_service_server::PodServiceServer;
use api::pb::wick::v1::schedule_service_server::ScheduleServiceServer;
use api::pb::wick::v1::simulation_service_server::SimulationServiceServer;
use engine::{ObjectKey, Reader};
use runtime::Runtime;
use tokio::sync::Semaphore;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use zones::Zones;

use crate::engine_thread::EngineHandle;
use crate::images::Images;
use crate::live::Live;
use crate::logs::Logs;
pub(crate) use node::Facts;
pub(crate) use simulation::AT_ONCE as SIMULATIONS_AT_ONCE;

/// The largest request, in bytes: a manifest of 4 MiB, or an object of 1.5 MiB, and what is around it.
const REQUEST_MAX: usize = 5 << 20;

/// What every service works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) engine: EngineHandle,
    pub(crate) reader: Reader,
    pub(crate) runtime: Runtime,
    pub(crate) images: Images,
    pub(crate) logs: Arc<Logs>,
    pub(crate) live: Arc<Live>,
    pub(crate) zones: Arc<Zones>,
    pub(crate) facts: Arc<Facts>,
    /// How many simulations may still begin.
    pub(crate) simulations: Arc<Semaphore>,
}

/// All services, with health and reflection, and what says how healthy they are.
pub(crate) async fn routes(agent: &Agent) -> anyhow::Result<(Routes, HealthReporter)> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(api::descriptor::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // What errors carry: clients that know only what is told here can then read the paths in it.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let mut routes = Routes::builder();
    routes
        .add_service(JobServiceServer::new(agent.clone()).max_decoding_message_size(REQUEST_MAX))
        .add_service(CronJobServiceServer::new(agent.clone()).max_decoding_message_size(REQUEST_MAX))
        .add_service(PodServiceServer::new(agent.clone()))
        .add_service(EventServiceServer::new(agent.clone()))
        .add_service(ImageServiceServer::new(agent.clone()).max_decoding_message_size(REQUEST_MAX))
        .add_service(ManifestServiceServer::new(agent.clone()).max_decoding_message_size(REQUEST_MAX))
        .add_service(HistoryServiceServer::new(agent.clone()))
        .add_service(ScheduleServiceServer::new(agent.clone()).max_decoding_message_size(REQUEST_MAX))
        .add_service(NodeServiceServer::new(agent.clone()))
        .add_service(SimulationServiceServer::new(agent.clone()).max_decoding_message_size(REQUEST_MAX))
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    for service in SERVICES {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
    Ok((routes.routes(), health))
}

/// As health checks name them; the empty name is the agent as a whole.
const SERVICES: &[&str] = &[
    "",
    "wick.v1.JobService",
    "wick.v1.CronJobService",
    "wick.v1.PodService",
    "wick.v1.EventService",
    "wick.v1.ImageService",
    "wick.v1.ManifestService",
    "wick.v1.HistoryService",
    "wick.v1.ScheduleService",
    "wick.v1.NodeService",
    "wick.v1.SimulationService",
];

/// Says that nothing is served any more.
pub(crate) async fn say_not_serving(health: &HealthReporter) {
    for service in SERVICES {
        health.set_service_status(service, ServingStatus::NotServing).await;
    }
}

/// The object meant by what a request names.
fn key(namespace: &str, name: &str) -> Result<ObjectKey, tonic::Status> {
    if name.is_empty() {
        return Err(status::field("name", "needed; say which one"));
    }
    Ok(ObjectKey::new(api::metadata::namespace(namespace), name))
}
