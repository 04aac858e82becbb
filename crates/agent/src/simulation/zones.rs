//! The zones that a simulated device knows: those of the copy within the program, but for the ones a scenario takes away.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use jiff::tz::TimeZone;
use sched::cron_job::Zones;

/// The same on every device, so that a scenario plays the same everywhere.
#[derive(Debug)]
pub(super) struct WorldZones {
    all: zones::Zones,
    local: TimeZone,
    removed: RwLock<BTreeSet<String>>,
}

impl WorldZones {
    /// All there are. CronJobs that name no zone mean this one; `None` if there is none of this name.
    pub(super) fn new(local: &str) -> Option<WorldZones> {
        let all = zones::Zones::bundled();
        let local = all.find(local)?;
        Some(WorldZones { all, local, removed: RwLock::default() })
    }

    /// From now on the device does not know this zone.
    pub(super) fn remove(&self, name: &str) {
        self.removed.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }
}

impl Zones for WorldZones {
    fn find(&self, name: &str) -> Option<TimeZone> {
        let removed = self.removed.read().unwrap_or_else(PoisonError::into_inner);
        if removed.contains(name) { None } else { self.all.find(name) }
    }

    fn local(&self) -> TimeZone {
        self.local.clone()
    }

    fn suggest(&self, name: &str) -> Option<String> {
        self.all.suggest(name).filter(|name| self.find(name).is_some())
    }
}
