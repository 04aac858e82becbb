//! NodeService.

use api::pb::wick::v1::node_service_server::NodeService;
use api::pb::wick::v1::{Node, NodeServiceGetRequest, NodeServiceGetResponse};
use jiff::Timestamp;
use sched::node::Room;
use tonic::{Request, Response, Status};

use super::Agent;
use crate::clock::Clock;

/// The version the workspace pins.
const WASMTIME: &str = "48.0.8";

/// What is known of this node and does not change while it runs.
pub(crate) struct Facts {
    pub(crate) clock: Clock,
    pub(crate) node_name: String,
    pub(crate) instance_id: String,
    pub(crate) started_at: Timestamp,
    pub(crate) allocatable: Room,
}

#[tonic::async_trait]
impl NodeService for Agent {
    async fn get(
        &self,
        _request: Request<NodeServiceGetRequest>,
    ) -> Result<Response<NodeServiceGetResponse>, Status> {
        let facts = &self.facts;
        let counts = self.reader.counts();
        let node = Node {
            name: facts.node_name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            runtime_version: format!("wasmtime {}", WASMTIME),
            instance_id: facts.instance_id.clone(),
            started_at: Some(api::time::seconds(facts.started_at)),
            revision: self.reader.revision(),
            guest_slots: facts.allocatable.guests,
            guests_running: counts.guests_running,
            pods_waiting: counts.pods_waiting,
            allocatable_cpu_millis: facts.allocatable.cpu_millis,
            allocatable_memory_bytes: facts.allocatable.memory_bytes,
            max_image_bytes: self.images.max_bytes(),
            architecture: std::env::consts::ARCH.to_owned(),
            time_zone: self.zones.local_name(),
            time_zone_source: self.zones.source(),
            time_zone_version: self.zones.version(),
            clock_plausible: counts.clock_plausible,
        };
        Ok(Response::new(NodeServiceGetResponse { node: Some(node) }))
    }
}

#[cfg(test)]
mod tests {
    use super::WASMTIME;

    #[test]
    fn the_version_told_is_the_version_pinned() {
        let workspace = include_str!("../../../../Cargo.toml");
        assert!(workspace.contains(&format!("\nwasmtime = {{ version = \"={WASMTIME}\"")));
    }
}
