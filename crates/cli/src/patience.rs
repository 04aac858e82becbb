//! Waits for an agent that went away to come back: it was started anew, and nothing was lost.
//!
//! Only what watches does so; a request that was cut off is an error, for nobody knows whether it was done.

use std::error::Error;
use std::time::Duration;

use api::pb::wick::v1::ObjectFilter;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::client::Agent;
use crate::failure::{Failure, tell};
use crate::kind::Kind;
use crate::objects::{Change, Watch};

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

/// Begins a watch with an agent that answered before, and may be going down by now.
pub(crate) async fn begin(agent: &Agent, kind: Kind, filter: &ObjectFilter) -> Result<Watch, Failure> {
    match Watch::begin(agent, kind, filter.clone()).await {
        Err(status) if is_away(&status) => begin_again(agent, kind, filter).await,
        begun => Ok(begun?),
    }
}

/// Begins a watch anew, once the agent is back.
///
/// One that is going down may still answer, and even begin a watch: it is back when a watch has told something.
pub(crate) async fn begin_again(agent: &Agent, kind: Kind, filter: &ObjectFilter) -> Result<Watch, Failure> {
    tell(&format!("the agent went away; waiting {}s for it to come back", PATIENCE.as_secs()));
    let end = Instant::now() + PATIENCE;
    loop {
        sleep(PAUSE).await;
        let away = match Watch::begin(agent, kind, filter.clone()).await {
            Ok(mut watch) => {
                if !went_away(watch.look().await) {
                    tell("the agent is back");
                    return Ok(watch);
                }
                Failure::not_asked("the agent is going down")
            }
            Err(status) if is_away(&status) => status.into(),
            Err(status) => return Err(status.into()),
        };
        if Instant::now() >= end {
            return Err(away);
        }
    }
}
