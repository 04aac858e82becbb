//! Waits for an agent that went away to come back: it was started anew, and nothing was lost.
//!
//! Only what watches does so; a request that was cut off is an error, for nobody knows whether it was done.

use std::error::Error;
use std::time::Duration;

use api::pb::wick::v1::NodeServiceGetRequest;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::client::Agent;
use crate::failure::{Failure, tell};
use crate::objects::Change;

/// How long it is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Whether a watch ended because the agent did.
pub(crate) fn went_away(told: &Result<Option<Change>, Status>) -> bool {
    match told {
        Ok(told) => told.is_none(),
        Err(status) => is_away(status),
    }
}

/// Whether there was no answer: the connection broke, or there is none.
fn is_away(status: &Status) -> bool {
    status.code() == Code::Unavailable || status.source().is_some()
}

/// Waits until the agent answers again.
pub(crate) async fn come_back(agent: &Agent) -> Result<(), Failure> {
    tell(&format!("the agent went away; waiting {}s for it to come back", PATIENCE.as_secs()));
    let end = Instant::now() + PATIENCE;
    loop {
        match agent.node().get(NodeServiceGetRequest {}).await {
            Ok(_) => {
                tell("the agent is back");
                return Ok(());
            }
            Err(status) if is_away(&status) && Instant::now() < end => sleep(PAUSE).await,
            Err(status) => return Err(status.into()),
        }
    }
}
