//! The ledger of a real engine, on the simulator's disk.

use std::collections::VecDeque;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use sched::node::Room;

use super::*;
use crate::engine::Config;
use crate::event::ObjectKey;
use crate::store::{DiskRoom, MemoryDisk, MemoryStore};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

struct Device {
    disk: MemoryDisk,
    engine: Engine,
    limits: Limits,
    /// The wall clock, in milliseconds since 1970.
    wall: i64,
    steady: i64,
}

impl Device {
    fn new(limits: Limits) -> Device {
        let disk = MemoryDisk::new();
        let (wall, steady) = (1_800_000_000_000, 0);
        let engine = open(&disk, limits, now(wall, steady));
        Device { disk, engine, limits, wall, steady }
    }

    fn now(&self) -> Now {
        now(self.wall, self.steady)
    }

    fn pass(&mut self, ms: i64) {
        self.wall += ms;
        self.steady += ms;
    }

    fn restart(&mut self) {
        self.engine = open(&self.disk, self.limits, self.now());
    }

    /// So many entries, each in a commit of its own.
    fn tell(&mut self, entries: impl IntoIterator<Item = LedgerEntry>) {
        for entry in entries {
            let mut tx = Transaction::new(self.now());
            self.engine.tell_ledger(entry, &mut tx);
            self.engine.commit(tx).unwrap();
            self.settle();
        }
    }

    fn settle(&mut self) {
        let now = self.now();
        while self.engine.apply(&mut VecDeque::new(), now).unwrap().more {}
    }

    fn ids(&self, filter: &LedgerFilter) -> Vec<u64> {
        let (entries, next) = self.engine.reader().ledger(filter, &LedgerPage::default()).unwrap();
        assert_eq!(next, None);
        entries.iter().map(|entry| entry.id).collect()
    }

    fn all(&self) -> Vec<u64> {
        self.ids(&LedgerFilter::default())
    }
}

fn now(wall: i64, steady: i64) -> Now {
    Now { wall: Timestamp::from_millisecond(wall).unwrap(), steady: Steady(steady) }
}

fn open(disk: &MemoryDisk, limits: Limits, now: Now) -> Engine {
    let config = Config {
        node_name: "edge-1".into(),
        fresh_instance_id: "0123456789abcdef0123456789abcdef".into(),
        node_labels: Default::default(),
        allocatable: Room { pods: 10, guests: 10, cpu_millis: 1000, memory_bytes: 1 << 30 },
        limits,
        zones: std::sync::Arc::new(sched::cron_job::OnlyUtc),
        not_before: Timestamp::UNIX_EPOCH,
    };
    let (mut engine, applied) = Engine::open(Box::new(MemoryStore::open(disk)), config, now).unwrap();
    let mut more = applied.more;
    while more {
        more = engine.apply(&mut VecDeque::new(), now).unwrap().more;
    }
    engine
}

fn entry(kind: &str, cron_job: &str, job: &str) -> LedgerEntry {
    LedgerEntry {
        r#type: kind.into(),
        namespace: "default".into(),
        cron_job: cron_job.into(),
        job: job.into(),
        ..LedgerEntry::default()
    }
}

fn limited(bytes: u64) -> Limits {
    Limits { ledger_bytes: bytes, ..Limits::default() }
}

/// A few entries of two CronJobs and a Job, an hour apart.
fn some() -> Device {
    let mut device = Device::new(Limits::default());
    for told in [
        entry("Started", "backup", "backup-1"),
        entry("Finished", "backup", "backup-1"),
        entry("Missed", "backup", ""),
        entry("Started", "report", "report-1"),
        entry("Finished", "", "hello"),
    ] {
        device.tell([told]);
        device.pass(HOUR);
    }
    device
}

#[track_caller]
fn check(device: &Device, filter: &LedgerFilter, expected: Expect) {
    expected.assert_eq(&format!("{:?}", device.ids(filter)));
}

#[test]
fn entries_are_found_by_what_they_are_about() {
    let device = some();
    let by = |filter: LedgerFilter, expected: Expect| check(&device, &filter, expected);
    let all = LedgerFilter::default;
    by(all(), expect!["[1, 2, 3, 4, 5]"]);
    by(LedgerFilter { namespace: "default".into(), ..all() }, expect!["[1, 2, 3, 4, 5]"]);
    by(LedgerFilter { namespace: "other".into(), ..all() }, expect!["[]"]);
    by(LedgerFilter { cron_job: "backup".into(), ..all() }, expect!["[1, 2, 3]"]);
    by(LedgerFilter { job: "hello".into(), ..all() }, expect!["[5]"]);
    by(LedgerFilter { missed_only: true, ..all() }, expect!["[3]"]);
    let since = Timestamp::from_millisecond(1_800_000_000_000 + 3 * HOUR).unwrap();
    by(LedgerFilter { since: Some(since), ..all() }, expect!["[4, 5]"]);
}

#[test]
fn a_restart_goes_on_with_the_numbers() {
    let mut device = some();
    device.restart();
    device.tell([entry("Finished", "", "hello")]);
    assert_eq!(device.all(), [1, 2, 3, 4, 5, 6]);
    // Also when the last of them have gone.
    device.limits = limited(0);
    device.restart();
    assert!(device.all().is_empty());
    device.limits = Limits::default();
    device.restart();
    device.tell([entry("Finished", "", "hello")]);
    assert_eq!(device.all(), [7]);
}

#[test]
fn pages_are_as_long_as_asked_for_and_together_are_everything() {
    let mut device = Device::new(Limits::default());
    device.tell((0..700).map(|n| entry("Finished", "", if n % 3 == 0 { "a" } else { "b" })));
    let open = |name: &str| (ObjectKey::new("default", name), Some(entry("Missed", name, "")));
    let revision = device.engine.reader().revision();
    device.engine.reader().publish(News {
        revision,
        open_runs: ["x", "y", "z"].map(open).into(),
        ..News::default()
    });
    for (job, most, bytes) in [("", 256, usize::MAX), ("a", 7, usize::MAX), ("", usize::MAX, 500), ("", 1, 1)]
    {
        let filter = LedgerFilter { job: job.into(), ..LedgerFilter::default() };
        let (whole, next) = device.engine.reader().ledger(&filter, &LedgerPage::default()).unwrap();
        assert_eq!(next, None);
        let mut pieces = Vec::new();
        let mut page = LedgerPage { most, bytes, ..LedgerPage::default() };
        loop {
            let (mut piece, next) = device.engine.reader().ledger(&filter, &page).unwrap();
            assert!((1..=most).contains(&piece.len()) || next.is_none());
            pieces.append(&mut piece);
            let Some(next) = next else { break };
            page.after = next;
        }
        assert_eq!(pieces, whole);
        assert_eq!(whole.len(), if job == "a" { 234 } else { 703 });
    }
}

#[test]
fn the_oldest_go_so_that_the_rest_fits() {
    let mut device = Device::new(limited(10_000));
    device.tell((0..1000).map(|_| entry("Finished", "backup", "backup-28394820")));
    let ids = device.all();
    assert_eq!(ids.last(), Some(&1000));
    assert_eq!(ids, (ids[0]..=1000).collect::<Vec<_>>());
    let bytes: usize = device
        .disk
        .records()
        .iter()
        .filter(|(key, _)| key.starts_with(b"l/"))
        .map(|(k, v)| k.len() + v.len())
        .sum();
    assert!((8_700..=10_000).contains(&bytes), "{bytes} bytes are kept");
    // The next start counts the same.
    device.restart();
    assert_eq!(device.all(), ids);
}

#[test]
fn the_oldest_go_by_their_age_and_no_step_of_the_clock_makes_them_older() {
    let mut device = Device::new(Limits::default());
    for _ in 0..60 {
        device.tell([entry("Finished", "", "hello")]);
        device.pass(DAY);
    }
    let kept = device.all();
    assert!((30..=32).contains(&kept.len()), "{kept:?}");
    device.wall += 400 * DAY;
    device.tell([entry("Finished", "", "hello")]);
    device.restart();
    assert!(device.all().len() >= kept.len());
    // Switched off for so long, it finds them too old when it starts.
    device.steady += 31 * DAY;
    device.restart();
    assert!(device.all().is_empty());
}

#[test]
fn what_is_too_much_goes_in_portions() {
    let mut device = Device::new(Limits::default());
    device.tell((0..2000).map(|_| entry("Finished", "", "hello")));
    let before = device.disk.commits();
    device.limits = limited(0);
    device.restart();
    assert!(device.all().is_empty());
    assert!(device.disk.commits() - before >= 4, "{} commits", device.disk.commits() - before);
}

#[test]
fn nobody_reads_what_waits_for_room_on_the_disk() {
    let mut device = some();
    device.disk.set_room(DiskRoom::Full { reserve: 0 });
    let mut tx = Transaction::new(device.now());
    device.engine.tell_ledger(entry("Finished", "", "late"), &mut tx);
    let applied = device.engine.commit(tx).unwrap();
    assert!(device.engine.holds() && applied.ledger.is_empty());
    assert_eq!(device.all(), [1, 2, 3, 4, 5]);
    device.disk.set_room(DiskRoom::Plenty);
    let applied = device.engine.apply(&mut VecDeque::new(), device.now()).unwrap();
    assert_eq!(applied.ledger.iter().map(|entry| entry.id).collect::<Vec<_>>(), [6]);
    assert_eq!(device.all(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_damaged_entry_is_named() {
    let device = some();
    let mut batch = Batch::new(u64::MAX, 0);
    batch.put(keys::ledger(3), vec![0xff]);
    let mut store = MemoryStore::open(&device.disk);
    crate::store::Store::commit(&mut store, &batch).unwrap();
    let config = device.engine.config.clone();
    let refused = Engine::open(Box::new(store), config, device.now()).err().unwrap().to_string();
    expect!["record `l/3` cannot be read: failed to decode Protobuf message: invalid varint; this data directory was damaged or written by something else"].assert_eq(&refused);
}

fn limits(days: i64, bytes: u64) -> Limits {
    Limits { ledger_age: Millis(days * DAY), ledger_bytes: bytes, ..Limits::default() }
}

fn retired(ledger: &mut Ledger, now: i64, limits: &Limits) -> Vec<(u64, u64)> {
    std::iter::from_fn(|| ledger.retire(Steady(now), limits))
        .map(|segment| (segment.first, segment.last))
        .collect()
}

#[test]
fn the_oldest_go_when_all_take_too_much() {
    let limits = limits(30, 1600);
    let mut ledger = Ledger::default();
    for id in 1..=20 {
        ledger.add(id, 100 - keys::LEDGER_KEY_BYTES, Steady(0), 0, &limits);
    }
    assert_eq!(retired(&mut ledger, 0, &limits), [(1, 2), (3, 4)]);
    assert_eq!(ledger.bytes, 1600);
}

#[test]
fn what_is_too_old_goes_within_a_thirtieth_of_that_age() {
    let limits = limits(30, 1 << 20);
    let mut ledger = Ledger::default();
    for id in 0..100 {
        ledger.add(id + 1, 50, Steady(i64::try_from(id).unwrap() * DAY / 4), 0, &limits);
    }
    assert!(retired(&mut ledger, 30 * DAY, &limits).is_empty());
    assert_eq!(retired(&mut ledger, 31 * DAY, &limits), [(1, 5)]);
    assert_eq!(retired(&mut ledger, 40 * DAY, &limits).last(), Some(&(36, 40)));
}

#[test]
fn nothing_is_kept_in_no_bytes_and_for_no_time() {
    for limits in [limits(30, 0), limits(0, 1 << 20)] {
        let mut ledger = Ledger::default();
        for id in 1..=3 {
            ledger.add(id, 50, Steady(7), 0, &limits);
        }
        assert_eq!(retired(&mut ledger, 7, &limits).last().unwrap().1, 3, "{limits:?}");
    }
}

#[test]
fn a_full_ledger_is_known_by_few_segments() {
    let limits = Limits::default();
    let mut ledger = Ledger::default();
    let mut id = 1;
    while ledger.bytes < limits.ledger_bytes {
        ledger.add(id, 240, Steady(0), 0, &limits);
        id += 1;
    }
    let (entries, segments) = (id, ledger.segments.len());
    assert!(entries > 250_000 && segments < 3000, "{entries} entries in {segments} segments");
    assert!(std::mem::size_of::<Segment>() <= 48);
}

#[test]
fn a_glance_sees_when_it_was_written() {
    let entry = LedgerEntry {
        id: 7,
        r#type: "Missed".into(),
        recorded_at: Some(api::time::seconds(Now::at(1_800_000_000_000).wall)),
        count: 12,
        ..LedgerEntry::default()
    };
    let record = LedgerRecord { entry: Some(entry), steady_ms: 5, previous_id: 3 };
    let mut ledger = Ledger::default();
    ledger.found(7, &record.encode_to_vec(), &Limits::default()).unwrap();
    let segment = ledger.segments[0];
    assert_eq!((segment.newest, segment.latest_seconds, ledger.next_id), (Steady(5), 1_800_000_000, 8));
    assert!(ledger.found(8, &[0xff], &Limits::default()).is_err());
}
