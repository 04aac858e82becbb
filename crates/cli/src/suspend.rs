//! `wick suspend` and `wick resume`: a Job rests, and goes on.

use api::pb::wick::v1::PatchType;
use clap::Args;
use serde_json::json;

use crate::change::{self, Jobs, each, say, warn_if_finished};
use crate::failure::Failure;
use crate::session::Global;

const SUSPEND_EXAMPLES: &str = "\
Examples:
  wick suspend job hello
  wick suspend jobs -l tier=batch

Its Pods are stopped, and none are started until it is resumed. What has
succeeded stays so; time limits begin anew when it goes on.";

const RESUME_EXAMPLES: &str = "\
Examples:
  wick resume job hello
  wick resume jobs --all";

/// Lets jobs rest: their pods are stopped, and none are started
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = SUSPEND_EXAMPLES)]
pub(crate) struct Suspend {
    #[command(flatten)]
    jobs: Jobs,
}

/// Lets suspended jobs go on
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = RESUME_EXAMPLES)]
pub(crate) struct Resume {
    #[command(flatten)]
    jobs: Jobs,
}

impl Suspend {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        set(&self.jobs, global, true, "suspended").await
    }
}

impl Resume {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        set(&self.jobs, global, false, "resumed").await
    }
}

async fn set(jobs: &Jobs, global: &Global, suspend: bool, word: &str) -> Result<(), Failure> {
    let (session, jobs) = jobs.find(global).await?;
    let text = json!({"spec": {"suspend": suspend}}).to_string();
    let change = async |job: &_| {
        let patched = change::patch(&session, job, PatchType::Merge, text.clone(), false).await?;
        say(job, word, patched.changed)?;
        if patched.changed {
            warn_if_finished(&patched.job);
        }
        Ok(())
    };
    each(&jobs, change).await
}
