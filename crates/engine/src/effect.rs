//! What goes out: to be done, or told, once it is recorded.

use jiff::Timestamp;
use sched::clock::ClockNews;
use sched::cron_job::Missed;

use crate::event::ObjectKey;

/// One run of a container. Never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestId {
    /// The Pod's number, over all objects.
    pub pod: u64,
    /// The container's position.
    pub container: u32,
    /// How often it was started before.
    pub restarts: u32,
}

/// Something people may want to read of in the agent's log. Nothing is done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// A Job is new.
    JobCreated {
        /// Which.
        key: ObjectKey,
        /// Its uid.
        uid: String,
    },
    /// A Job came to its end.
    JobFinished {
        /// Which.
        key: ObjectKey,
        /// Its verdict, as the Event about it has it: `Completed`, `BackoffLimitExceeded`, …
        reason: &'static str,
        /// Whether it failed.
        failed: bool,
    },
    /// A Job is gone.
    JobDeleted {
        /// Which.
        key: ObjectKey,
    },
    /// A CronJob is new.
    CronJobCreated {
        /// Which.
        key: ObjectKey,
        /// Its uid.
        uid: String,
    },
    /// A CronJob is gone.
    CronJobDeleted {
        /// Which.
        key: ObjectKey,
    },
    /// A slot started a Job.
    SlotStarted {
        /// Of which CronJob.
        key: ObjectKey,
        /// The slot.
        slot: Timestamp,
        /// The Job's name.
        job: String,
        /// Another of its Jobs has not finished.
        overlaps: bool,
    },
    /// Slots did not start a Job.
    SlotsMissed {
        /// Of which CronJob.
        key: ObjectKey,
        /// Which, and why.
        missed: Missed,
    },
    /// What the wall clock says is not what it was.
    Clock(ClockNews),
    /// A name stands for an image's bytes.
    ImageStored {
        /// The name; empty for bytes without one.
        name: String,
        /// The bytes' digest.
        digest: String,
        /// How many they are.
        size_bytes: u64,
    },
    /// Names of an image are gone.
    ImageDeleted {
        /// The names.
        names: Vec<String>,
        /// The bytes' digest.
        digest: String,
    },
}

/// Something to do outside, once what led to it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start a guest; its end comes back as [`crate::Event::GuestEnded`].
    Start(Box<StartGuest>),
    /// Ask a guest to stop.
    Stop(GuestId),
    /// End a guest now: its grace is over.
    Kill(GuestId),
    /// The Pod is over: its volumes go, its logs stay.
    RemoveVolumes {
        /// The Pod's uid.
        pod_uid: String,
    },
    /// The Pod is gone, and with it all it had on disk.
    RemovePod {
        /// Its uid.
        pod_uid: String,
    },
    /// No name refers to these bytes any more.
    RemoveImage {
        /// Their digest.
        digest: String,
    },
}

/// All a guest needs to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartGuest {
    /// Which run this is.
    pub guest: GuestId,
    /// Namespace of its Pod.
    pub namespace: String,
    /// Name of its Pod.
    pub pod: String,
    /// Uid of its Pod: where its volumes and logs are.
    pub pod_uid: String,
    /// Name of the container.
    pub container: String,
    /// Digest of the image.
    pub digest: String,
    /// What it is to do, and within which limits.
    pub plan: api::ContainerPlan,
}
