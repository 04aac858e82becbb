//! `wick suspend` and `wick resume`: a Job or a CronJob rests, and goes on.

use api::pb::wick::v1::PatchType;
use clap::Args;
use serde_json::json;

use crate::change::{self, CHANGEABLE, Subjects, each, say, warn_if_finished};
use crate::failure::Failure;
use crate::objects::Object;
use crate::session::Global;

const SUSPEND_EXAMPLES: &str = "\
Examples:
  wick suspend job hello
  wick suspend jobs -l tier=batch
  wick suspend cronjob nightly

A Job's Pods are stopped, and none are started until it is resumed. What has
succeeded stays so; time limits begin anew when it goes on.
A CronJob's schedule rests; Jobs that it has started go on.";

const RESUME_EXAMPLES: &str = "\
Examples:
  wick resume job hello
  wick resume jobs --all
  wick resume cronjob nightly

A CronJob that has missed slots meanwhile starts a Job for the latest at once,
unless that is too late by its startingDeadlineSeconds or wick.dev/catch-up.";

/// Lets jobs rest (their pods are stopped) and cronjobs (they start no jobs)
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = SUSPEND_EXAMPLES)]
pub(crate) struct Suspend {
    #[command(flatten)]
    subjects: Subjects,
}

/// Lets suspended jobs and cronjobs go on
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = RESUME_EXAMPLES)]
pub(crate) struct Resume {
    #[command(flatten)]
    subjects: Subjects,
}

impl Suspend {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        set(&self.subjects, global, true, "suspended").await
    }
}

impl Resume {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        set(&self.subjects, global, false, "resumed").await
    }
}

async fn set(subjects: &Subjects, global: &Global, suspend: bool, word: &str) -> Result<(), Failure> {
    let (session, found) = subjects.find(global, &CHANGEABLE, word).await?;
    let text = json!({"spec": {"suspend": suspend}}).to_string();
    let change = async |named: &_| {
        let patched = change::patch(&session, named, PatchType::Merge, text.clone(), false).await?;
        say(named, word, patched.changed)?;
        if let (true, Object::Job(job)) = (patched.changed, &patched.object) {
            warn_if_finished(job);
        }
        Ok(())
    };
    each(&found, change).await
}
