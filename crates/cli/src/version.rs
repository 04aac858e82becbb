//! `wick version`: this program's, and the agent's.

use api::pb::wick::v1::NodeServiceGetRequest;
use clap::Args;

use crate::failure::Failure;
use crate::output::print;
use crate::session::Global;

/// Says which versions this program and the agent have
#[derive(Args, Debug)]
#[group(skip)]
pub(crate) struct Version {
    /// This program's only; no agent is asked
    #[arg(long)]
    client: bool,
}

impl Version {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        print(&format!("Client Version: {}\n", env!("CARGO_PKG_VERSION")))?;
        if self.client {
            return Ok(());
        }
        let session = global.connect().await?;
        let node =
            session.agent.node().get(NodeServiceGetRequest {}).await?.into_inner().node.unwrap_or_default();
        print(&format!("Server Version: {}\nRuntime Version: {}\n", node.version, node.runtime_version))
    }
}
