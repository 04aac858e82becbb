//! What happened in worlds, counted.

use std::collections::BTreeMap;
use std::fmt;

/// What happened in a world, counted; and its story, if that was wanted.
#[derive(Default)]
pub(crate) struct Lived {
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) story: Vec<String>,
}

/// What happened in many worlds.
#[derive(Default)]
pub(crate) struct Sum {
    pub(crate) worlds: u64,
    counts: BTreeMap<&'static str, u64>,
}

/// What must have happened in enough worlds, or they were not worlds.
const KINDS: [&str; 34] = [
    "commits",
    "guests started",
    "guests ended",
    "power cuts",
    "power cuts in a commit",
    "clean stops",
    "clock steps",
    "boots in 1970",
    "disk full",
    "jobs created",
    "jobs changed",
    "jobs deleted",
    "refused",
    "repeated",
    "Pods ended",
    "Pods deleted",
    "images deleted",
    "CronJobs created",
    "CronJobs changed",
    "CronJobs deleted",
    "Jobs triggered",
    "zones changed",
    "sleeps",
    "slots started",
    "next slots after all was mended",
    "missed: Suspended",
    "missed: Forbidden",
    "missed: TooLate",
    "missed: AgentDown",
    "missed: ClockNotPlausible",
    "missed: JumpedOver",
    "missed: UnknownTimeZone",
    "missed: JobExists",
    "missed: FailedCreate",
];

impl Sum {
    pub(crate) fn add(&mut self, lived: &Lived) {
        self.worlds += 1;
        for (what, count) in &lived.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }

    /// Kinds of happenings that there were none of.
    pub(crate) fn misses(&self) -> Vec<&'static str> {
        KINDS.into_iter().filter(|kind| !self.counts.contains_key(kind)).collect()
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} worlds, no promise broken", self.worlds)?;
        for (what, count) in &self.counts {
            write!(f, "; {count} {what}")?;
        }
        Ok(())
    }
}
