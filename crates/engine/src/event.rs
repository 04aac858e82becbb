//! What comes in: facts and requests, and how each is answered.

use std::sync::Arc;

use api::pb::k8s::batch::v1::{CronJob, Job};
use api::pb::k8s::core::v1::Pod;
use api::pb::wick::v1::ImageRecord;
use api::{FieldErrors, NewCronJob, NewJob};
use sched::Exit;
use sched::pod::SetCondition;

use crate::effect::GuestId;

/// Something that happened outside, or is asked for. A batch of them is recorded in one commit.
#[derive(Debug)]
pub enum Event {
    /// A guest came to its end.
    GuestEnded {
        /// Which.
        guest: GuestId,
        /// How.
        exit: Exit,
        /// What it used.
        usage: Usage,
    },
    /// What is kept of a guest's output takes this much of the disk. Told before its end, and only of output that takes
    /// more than a block ([`crate::LOG_BLOCK`]): nearly none does.
    GuestWrote {
        /// Which.
        guest: GuestId,
        /// So many bytes.
        log_bytes: u64,
    },
    /// Store this Job.
    CreateJob {
        /// Checked and with its defaults.
        job: Box<NewJob>,
        /// What if one of that name exists.
        mode: WriteMode<Job>,
        /// Answer what would be stored, and store nothing.
        dry_run: bool,
    },
    /// Store this CronJob.
    WriteCronJob {
        /// Checked and with its defaults.
        cron_job: Box<NewCronJob>,
        /// What if one of that name exists.
        mode: WriteMode<CronJob>,
        /// Answer what would be stored, and store nothing.
        dry_run: bool,
    },
    /// Delete a CronJob.
    DeleteCronJob {
        /// Which.
        key: ObjectKey,
        /// Only if this is its uid; empty for whichever has the name.
        uid: String,
        /// What becomes of its Jobs.
        propagation: Propagation,
    },
    /// The device's zone data is not what it was.
    ZonesChanged,
    /// Delete a Job.
    DeleteJob {
        /// Which.
        key: ObjectKey,
        /// Only if this is its uid; empty for whichever has the name.
        uid: String,
        /// What becomes of what it owns.
        propagation: Propagation,
    },
    /// Stop a Pod and take it away.
    DeletePod {
        /// Which.
        key: ObjectKey,
        /// Only if this is its uid; empty for whichever has the name.
        uid: String,
        /// How long it may take to stop, in seconds: 0 for not at all, less counts as 1, `None` for what its spec says.
        grace_seconds: Option<i64>,
    },
    /// Say something about a Pod; it is recorded with it, and policies of its Job may ask for it.
    SetPodCondition {
        /// Which Pod.
        key: ObjectKey,
        /// What.
        condition: SetCondition,
    },
    /// An image's bytes are stored; from now on it has this name.
    ImageStored(ImageRecord),
    /// Forget a name of an image (or, given a digest, all of its names).
    DeleteImage {
        /// A name in full form, or `sha256:…`.
        reference: String,
    },
}

/// What a guest used, as far as it was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// From its first instruction to its end, in microseconds.
    pub wall_us: u64,
    /// Time on a processor, in microseconds.
    pub cpu_us: u64,
    /// Instructions; `None` if they were not counted.
    pub fuel: Option<u64>,
    /// The most memory it had at once.
    pub peak_memory_bytes: u64,
}

/// What becomes of what a deleted object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The object goes at once, what it owns after it.
    Background,
    /// What it owns goes first; until then the object stays, being deleted.
    Foreground,
    /// What it owns stays, without an owner.
    Orphan,
}

/// What a write expects to find.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteMode<T> {
    /// Nothing of that name.
    Create,
    /// An object of that name.
    Update,
    /// Either.
    Apply,
    /// This object, whose labels, annotations and spec nobody has changed meanwhile. Its status may have moved on: that of
    /// a busy Job changes in every commit, and would let no change of its spec through.
    Revise(Arc<T>),
}

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Namespace.
    pub namespace: String,
    /// Name, unique for a kind in its namespace.
    pub name: String,
}

impl ObjectKey {
    /// Of these two.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The answer to an event, given once it is recorded.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Noted; nothing to say.
    Done,
    /// A Job as it is now, or would be.
    Job {
        /// The Job.
        job: Arc<Job>,
        /// What became of it.
        outcome: Outcome,
    },
    /// A CronJob as it is now, or would be.
    CronJob {
        /// The CronJob.
        cron_job: Arc<CronJob>,
        /// What became of it.
        outcome: Outcome,
    },
    /// A Pod as it is now, or as it last was.
    Pod(Arc<Pod>),
    /// Names of an image that are gone.
    ImageDeleted {
        /// The names.
        names: Vec<String>,
        /// No name is left; the bytes go too.
        bytes_removed: bool,
    },
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The object is new.
    Created,
    /// It changed.
    Configured,
    /// It was just so already.
    Unchanged,
    /// It is gone, or going.
    Deleted,
}

/// Asked for something we will not do. Data, not trouble: the rest of the batch goes on, and nothing changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejected {
    /// An object of that name exists.
    #[error("{kind} `{name}` already exists")]
    Exists {
        /// `jobs.batch`, `cronjobs.batch`, `image`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// No object has that name.
    #[error("{kind} `{name}` not found")]
    NotFound {
        /// `jobs.batch`, `image`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The object has another uid, or is in use.
    #[error("{0}")]
    Precondition(String),
    /// The object changed since it was read.
    #[error(
        "{kind} `{name}` has been modified: its resourceVersion is {current}, not {given}; read it again and repeat the change"
    )]
    Conflict {
        /// `jobs.batch`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What it is.
        current: String,
        /// What was given.
        given: String,
    },
    /// The change is not allowed; every reason with its path.
    #[error("{0}")]
    Invalid(FieldErrors),
    /// A limit of this agent, or of its disk.
    #[error("{0}")]
    Limit(String),
    /// Nothing new is begun any more.
    #[error("the agent is going down; ask again when it is back")]
    GoingDown,
}
