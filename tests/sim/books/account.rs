//! The slots of one CronJob: which there were, by what was asked for at the time, and what became of each.
//!
//! Up to a change its slots are those of the schedule and zone it had, from there on those of the ones it has. Where the
//! change is, its record says: that is what was settled then.

use std::collections::BTreeMap;

use api::pb::k8s::batch::v1::CronJob;
use api::pb::wick::v1::CronJobRecord;

use super::{Checked, last_schedule, runs_once, schedule_is_rhythm};
use crate::device::{DEVICE, NOT_BEFORE_S};
use crate::walk::{Walk, plain};
use crate::zones::WorldZones;

#[derive(Default)]
pub(super) struct Account {
    pub(super) name: String,
    /// Slots after this are its own.
    pub(super) since: Option<i64>,
    /// Nobody knows by when its slots were others.
    pub(super) lost: bool,
    /// It was asked to keep fewer Jobs, together with another schedule: that counts from its next look on, as on a cluster.
    pub(super) keeps_more: bool,
    pub(super) items: Vec<Item>,
    /// The Job of each slot.
    pub(super) jobs: BTreeMap<i64, String>,
    /// The device has looked its zone up again, or will when it looks at it next.
    pub(super) looked_up: bool,
    pub(super) to_look_up: bool,
    /// Its Jobs start so many milliseconds after their slots.
    pub(super) splay: i64,
    /// What it is due by, and whose data its zone had when the device last looked it up, if it knew it.
    when: When,
    data: &'static str,
    known: bool,
    walk: Option<Walk>,
    /// Its slots up to an instant.
    slots: Vec<i64>,
    reached: i64,
    /// At each change, the latest slot before it by what is asked for since: it may start, as on a cluster.
    late: Vec<i64>,
    last: Seen,
}

/// What decides when it is due: schedule, zone, and what happens when clocks change.
type When = (String, Option<String>, bool);

/// What its record said last.
#[derive(Clone, Copy, Default)]
struct Seen {
    settled: i64,
    waiting: i64,
    next: Option<i64>,
    started: Option<i64>,
}

impl Seen {
    fn of(record: &CronJobRecord) -> Seen {
        Seen {
            settled: record.settled_seconds,
            waiting: record.waiting.as_ref().map_or(i64::MIN, |run| run.last_seconds),
            next: record.next_seconds,
            started: record.cron_job.as_ref().and_then(last_schedule),
        }
    }
}

impl Seen {
    /// Until when its slots were known: one that was due next, also without its zone.
    fn known_by(&self, look: Look) -> i64 {
        let due_by = if let Look::Commit { due_by } = look { due_by } else { i64::MIN };
        let next = self.next.filter(|next| *next <= due_by).unwrap_or(i64::MIN);
        self.settled.max(self.waiting).max(next)
    }
}

/// Slots one after the other, with one fate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) count: u64,
    pub(super) what: &'static str,
}

/// How a record came to be looked at.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// A commit was made, and this was due by then.
    Commit { due_by: i64 },
    /// The device starts.
    Start,
}

impl Account {
    /// A CronJob was seen for the first time; `latest` is what the clock had said at the latest.
    pub(super) fn open(&mut self, cron_job: &CronJob, zones: &WorldZones, latest: i64) {
        let meta = cron_job.metadata.clone().unwrap_or_default();
        let created = meta.creation_timestamp.map_or(0, |at| at.seconds);
        self.name = meta.name;
        // By a clock that is behind, nobody knows when that was.
        self.lost |= (NOT_BEFORE_S..latest).contains(&created);
        self.since = (created >= NOT_BEFORE_S).then_some(created);
        self.take(cron_job, zones);
        self.known = zones.knows(self.when.1.as_deref());
        self.begin(zones);
    }

    /// When it is due, if that was not known when it was made.
    pub(super) fn date(&mut self, record: &CronJobRecord, cron_job: &CronJob, zones: &WorldZones) {
        if self.since.is_none() {
            self.since = record.since_seconds.filter(|since| *since >= NOT_BEFORE_S);
            // The device may not have noticed that its zone has other data by now.
            self.lost |= self.since.is_some() && zones.whose(self.when.1.as_deref()) != self.data;
            self.take(cron_job, zones);
            self.begin(zones);
        }
    }

    fn take(&mut self, cron_job: &CronJob, zones: &WorldZones) {
        self.when = when(cron_job);
        self.data = zones.whose(self.when.1.as_deref());
    }

    fn begin(&mut self, zones: &WorldZones) {
        if let Some(since) = self.since {
            self.walk = self.walk_from(since, zones);
            self.reached = since;
        }
    }

    fn walk_from(&self, anchor: i64, zones: &WorldZones) -> Option<Walk> {
        let (schedule, zone, once) = &self.when;
        Walk::new(schedule, zones.data(zone.as_deref())?, *once, anchor)
    }

    /// Takes note of what its record says.
    pub(super) fn follow(&mut self, record: &CronJobRecord, zones: &WorldZones, look: Look) {
        let Some(cron_job) = &record.cron_job else { return };
        self.date(record, cron_job, zones);
        let before = std::mem::replace(&mut self.last, Seen::of(record));
        let looked_up = std::mem::take(&mut self.looked_up) || matches!(look, Look::Start);
        let now = when(cron_job);
        let data = zones.whose(now.1.as_deref());
        let knows = zones.knows(now.1.as_deref());
        if now != self.when {
            // Which came due while the zone was not known nobody will ever know.
            let told = match look {
                Look::Commit { due_by } if self.known => due_by.max(before.known_by(look)),
                _ => before.known_by(look),
            };
            let told = told.min(self.last.settled);
            self.turn(cron_job, told, self.last.settled, before.started, zones);
        } else if looked_up && knows && data != self.data && !schedule_is_rhythm(&now.0) {
            // By a clock that is not set, after a start, or if the zone was not known meanwhile, nobody can say from the
            // records which slots were of which data.
            self.lost |=
                !self.known || !matches!(look, Look::Commit { due_by } if due_by <= self.last.settled);
            let at = self.last.settled;
            self.turn(cron_job, at, at, before.started, zones);
        }
        if looked_up {
            self.known = knows;
        }
        self.splay = api::cron_job::spec(cron_job, zones, DEVICE).splay.0;
    }

    /// Whether it is asked for something else than it was.
    pub(super) fn is_to_change(&self, cron_job: &CronJob) -> bool {
        when(cron_job) != self.when
    }

    /// Its slots are known until one instant, and others from another on. It had started this one last.
    fn turn(&mut self, cron_job: &CronJob, told: i64, at: i64, started: Option<i64>, zones: &WorldZones) {
        self.reach(told);
        self.slots.truncate(self.slots.partition_point(|slot| *slot <= told));
        self.take(cron_job, zones);
        let Some(since) = self.since else { return };
        self.walk = self.walk_from(started.unwrap_or(since), zones);
        self.reached = at;
        if let Some(walk) = &mut self.walk {
            self.late.extend(walk.until(at).iter().rfind(|slot| **slot <= at));
        }
    }

    /// Walks until then.
    fn reach(&mut self, until: i64) {
        let Some(walk) = self.walk.as_mut().filter(|_| self.reached < until) else { return };
        let slots = walk.until(until);
        let new =
            slots.partition_point(|slot| *slot <= self.reached)..slots.partition_point(|slot| *slot <= until);
        self.slots.extend(&slots[new]);
        self.reached = until;
    }

    /// The first slot after one instant and not after another, if the device knows what it needs to know.
    pub(super) fn first(&mut self, after: i64, until: i64, zones: &WorldZones) -> Option<i64> {
        let unnoticed = zones.whose(self.when.1.as_deref()) != self.data;
        if self.lost || !self.known || unnoticed || self.walk.is_none() {
            return None;
        }
        self.reach(until);
        self.slots
            .get(self.slots.partition_point(|slot| *slot <= after))
            .copied()
            .filter(|slot| *slot <= until)
    }

    /// It is gone: what became of its slots is all that will ever be known, and no less than was known before.
    pub(super) fn close(&mut self) -> Checked {
        let known = self.last.settled.max(self.last.waiting);
        self.tile(&[], known)
    }

    /// Every slot until then is covered once: by what was entered and what is still open.
    pub(super) fn tile(&mut self, open: &[Item], settled: i64) -> Checked {
        let mut items: Vec<Item> = self.items.iter().chain(open).copied().collect();
        let until = items.iter().map(|item| item.last).max().unwrap_or(settled).max(settled);
        if self.lost || self.walk.is_none() {
            return Ok(());
        }
        self.reach(until);
        let slots = &self.slots;
        let place = |item: &Item| {
            let begin = slots.partition_point(|slot| *slot < item.first);
            let end = slots.partition_point(|slot| *slot <= item.last);
            let are =
                (slots.get(begin), end.checked_sub(1).and_then(|last| slots.get(last)), (end - begin) as u64);
            (begin, end, are)
        };
        let mut late = Vec::new();
        for item in &mut items {
            let (_, _, are) = place(item);
            if are == (Some(&item.first), Some(&item.last), item.count) || !self.late.contains(&item.first) {
                continue;
            }
            late.push(item.first);
            item.count -= 1;
            let rest = slots.partition_point(|slot| *slot <= item.first);
            let rest =
                slots[rest..].iter().find(|slot| place(&Item { first: **slot, ..*item }).2.2 == item.count);
            item.first = rest.copied().unwrap_or(item.first);
        }
        items.retain(|item| item.count > 0);
        items.sort_by_key(|item| item.first);
        late.sort_unstable();
        if let Some(twice) = late.windows(2).find(|two| two[0] == two[1]) {
            return Err(format!("slot {} from before a change is covered twice", twice[0]));
        }
        let mut at = 0;
        for item in &items {
            let (begin, end, are) = place(item);
            if are != (Some(&item.first), Some(&item.last), item.count) {
                return Err(format!("{item:?} is not what there is: {are:?}"));
            }
            if begin < at {
                return Err(format!("{item:?} is covered twice, {}", item.what));
            }
            if begin > at {
                return Err(format!("slot {} is covered by nothing, and {item:?} is", slots[at]));
            }
            at = end;
        }
        match slots.get(at).filter(|slot| **slot <= settled) {
            Some(slot) => {
                Err(format!("slot {slot} is covered by nothing, and all is settled until {settled}"))
            }
            None => Ok(()),
        }
    }
}

/// What decides when it is due.
pub(super) fn when(cron_job: &CronJob) -> When {
    let spec = cron_job.spec.clone().unwrap_or_default();
    (plain(&spec.schedule).to_owned(), spec.time_zone.clone(), runs_once(cron_job))
}
