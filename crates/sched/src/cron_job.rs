//! What a CronJob does: which slots start a Job, which are missed and why, which finished Jobs go.
//!
//! Kubernetes' controller (v2), to the second, with three additions that are off unless asked for: what happens to slots when
//! clocks change ([`Dst`]), what becomes of missed ones ([`CatchUp`]), and a splay. And with one that is not: every slot that
//! comes due is accounted for, once. It starts a Job, or it is in a run of missed slots with a reason ([`Missed`]).
//!
//! Zones arrive resolved. Deliberately absent: how Jobs are made and deleted, and where the ledger lies (the engine).

mod books;
mod plan;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod stories;

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::Millis;
use crate::cron::{Dst, Schedule};

pub use plan::{CronJobPlan, Note, Start, reconcile};

/// Finds zones. Names must match in case, as they must for Kubernetes.
pub trait Zones: std::fmt::Debug + Send + Sync {
    /// The zone of this name, `Europe/Berlin`; `None` if it is not known (now; zone data may change).
    fn find(&self, name: &str) -> Option<TimeZone>;
    /// The zone a CronJob means that names none.
    fn local(&self) -> TimeZone;
    /// A zone whose name may have been meant by one that is not known.
    fn suggest(&self, _name: &str) -> Option<String> {
        None
    }
}

/// No zone but UTC.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnlyUtc;

impl Zones for OnlyUtc {
    fn find(&self, name: &str) -> Option<TimeZone> {
        matches!(name, "UTC" | "Etc/UTC").then_some(TimeZone::UTC)
    }

    fn local(&self) -> TimeZone {
        TimeZone::UTC
    }
}

/// A CronJob, as far as decisions need it.
#[derive(Clone, Debug, PartialEq)]
pub struct CronJob {
    /// What is asked for.
    pub spec: Arc<Spec>,
    /// Since when it is due: when it was made or, if the clock was not set then, when that will have been.
    pub since: Timestamp,
    /// The slot (not the time) of the last Job it started.
    pub last_schedule: Option<Timestamp>,
    /// When a Job of its last succeeded.
    pub last_successful: Option<Timestamp>,
    /// The Jobs it started that were not seen finished yet, in order.
    pub active: Vec<JobRef>,
    /// What became of every slot up to here is on record, in `open`, or in `held`.
    pub settled: Timestamp,
    /// With [`CatchUp::All`], the slots behind that which came due and wait to start; the reason is what the first will have
    /// been missed for if they never do. While the zone is not known, nobody could say any more which they are.
    pub waiting: Option<Missed>,
    /// No slot up to here starts any more: the latest that was missed for good. After another schedule one may start that lies
    /// before the change, but none that may have been told of.
    pub told: Option<Timestamp>,
    /// Missed slots that are not in the ledger yet, because more may follow.
    pub open: Option<Missed>,
    /// The latest slot if it did not start, but still may.
    pub held: Option<Held>,
    /// The slot that is due next, as it was last worked out.
    pub next: Option<Timestamp>,
    /// It is being deleted.
    pub deleting: bool,
}

/// What is asked of a CronJob.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// When it is due. One that cannot be read was stored by somebody else; what is wrong with it.
    pub schedule: Result<Schedule, String>,
    /// The zone it is meant in; `None` while it is not known.
    pub zone: Option<TimeZone>,
    /// The zone's name, if the spec has one.
    pub zone_name: Option<String>,
    /// How late a slot may still start its Job.
    pub starting_deadline: Option<Millis>,
    /// What a slot does while an earlier Job runs.
    pub concurrency: Concurrency,
    /// No slot starts a Job.
    pub suspend: bool,
    /// So many finished Jobs that succeeded are kept.
    pub successful_limit: Option<u32>,
    /// So many that failed.
    pub failed_limit: Option<u32>,
    /// What happens to slots when clocks change.
    pub dst: Dst,
    /// What becomes of missed slots.
    pub catch_up: CatchUp,
    /// Its Jobs start so long after their slots: its share of the jitter.
    pub splay: Millis,
}

/// What a slot does while an earlier Job runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concurrency {
    /// It starts its Job all the same.
    #[default]
    Allow,
    /// It waits until that Job has finished; if another slot comes due meanwhile, that one waits instead.
    Forbid,
    /// It stops that Job first.
    Replace,
}

/// What becomes of slots that were missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUp {
    /// The latest starts its Job, as on Kubernetes.
    #[default]
    Last,
    /// All do, the oldest first, but no more than the latest so many.
    All {
        /// At most so many.
        limit: u32,
    },
    /// None does: what cannot start within [`ON_TIME`] is missed.
    None,
}

/// Without catch-up a slot starts its Job at most so long after it: what is noticed later was missed.
pub const ON_TIME: Millis = Millis::from_secs(10);

/// The time as decisions about slots need it.
#[derive(Clone, Copy, Debug)]
pub struct Clock<'a> {
    /// What the wall clock says.
    pub wall: Timestamp,
    /// Whether that is believed. While it is not, no slot is looked at.
    pub plausible: bool,
    /// When slots could not be noticed as they came due, in order.
    pub gaps: &'a [Gap],
}

/// A stretch of time whose slots could not be noticed when they came due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Slots after this …
    pub from: Timestamp,
    /// … and until this, itself included, were missed …
    pub until: Timestamp,
    /// … for this.
    pub why: Reason,
}

/// A Job of a CronJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRef {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// A Job whose controller is the CronJob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Which.
    pub job: JobRef,
    /// Its `status.startTime`.
    pub started: Option<Timestamp>,
    /// How it ended, if it has.
    pub ended: Option<Ended>,
    /// It is being deleted already.
    pub deleting: bool,
}

/// How a Job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is Complete, since then.
    Complete(Timestamp),
    /// It has Failed.
    Failed,
}

/// Slots that were missed one after the other, for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// The first.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
    /// How many there were from the first to the last, both counted.
    pub count: u64,
    /// Why.
    pub why: Reason,
}

/// A slot that did not start its Job, but still may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub slot: Timestamp,
    /// What it will have been missed for.
    pub why: Reason,
}

/// Why a slot did not start a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The CronJob was suspended.
    Suspended,
    /// An earlier Job was still running, and the policy is Forbid.
    Forbidden,
    /// It was noticed past its startingDeadlineSeconds.
    TooLate,
    /// The agent was not running, or the device slept.
    AgentDown,
    /// The clock was not set yet.
    ClockNotPlausible,
    /// The clock was put forward past it.
    JumpedOver,
    /// The device does not know the zone.
    UnknownTimeZone,
    /// A Job of its name is there that it did not start.
    JobExists,
    /// The Job could not be taken in, or what its template says is not valid.
    FailedCreate,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 9] = [
        Reason::Suspended,
        Reason::Forbidden,
        Reason::TooLate,
        Reason::AgentDown,
        Reason::ClockNotPlausible,
        Reason::JumpedOver,
        Reason::UnknownTimeZone,
        Reason::JobExists,
        Reason::FailedCreate,
    ];

    /// One word for it, as the ledger has it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Suspended => "Suspended",
            Reason::Forbidden => "Forbidden",
            Reason::TooLate => "TooLate",
            Reason::AgentDown => "AgentDown",
            Reason::ClockNotPlausible => "ClockNotPlausible",
            Reason::JumpedOver => "JumpedOver",
            Reason::UnknownTimeZone => "UnknownTimeZone",
            Reason::JobExists => "JobExists",
            Reason::FailedCreate => "FailedCreate",
        }
    }

    /// The reason of this name.
    pub fn named(name: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.name() == name)
    }
}
