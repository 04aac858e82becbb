//! Keeps a timeline readable: where slots come by the thousand, what CronJobs do is counted and told now and then.

use std::collections::BTreeMap;

use engine::ObjectKey;
use sched::cron_job::Missed;

use super::World;
use crate::simulation::Trouble;

/// So many slots are told one by one; of more, sums.
const ONE_BY_ONE: u64 = 300;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// A world that lasts longer is told by the day …
const BY_THE_HOUR_MS: i64 = 3 * DAY_MS;
/// … and one that lasts longer than this by the month.
const BY_THE_DAY_MS: i64 = 62 * DAY_MS;

/// A stretch of time that is told in one line.
#[derive(Clone, Copy)]
enum Stretch {
    Hour,
    Day,
    Month,
}

/// What CronJobs and their Jobs have done since it was last told.
#[derive(Default)]
pub(super) struct Digest {
    /// How many slots are to be expected in all.
    expected: u64,
    /// The hour, day or month that is counted, by the wall clock; `None` while all is told one by one.
    counted: Option<i64>,
    started: u64,
    missed: BTreeMap<&'static str, u64>,
    completed: u64,
    failed: BTreeMap<String, u64>,
}

impl Digest {
    /// Whether what CronJobs do is counted, and not told one by one.
    pub(super) fn counts(&self) -> bool {
        self.counted.is_some()
    }

    pub(super) fn slot_started(&mut self) {
        self.started += 1;
    }

    pub(super) fn slots_missed(&mut self, missed: &Missed) {
        *self.missed.entry(missed.why.name()).or_default() += missed.count;
    }

    pub(super) fn job_ended(&mut self, reason: &str, failed: bool) {
        if failed {
            *self.failed.entry(reason.to_owned()).or_default() += 1;
        } else {
            self.completed += 1;
        }
    }

    /// What was counted, in words, if anything was; it begins anew.
    fn take(&mut self) -> Option<(String, bool)> {
        let Digest { started, missed, completed, failed, .. } = std::mem::replace(
            self,
            Digest { expected: self.expected, counted: self.counted, ..Digest::default() },
        );
        let of = |counts: BTreeMap<String, u64>| {
            let each = counts.iter().map(|(why, count)| format!("{why} {count}"));
            each.collect::<Vec<_>>().join(", ")
        };
        let mut text = format!("{started} slots started");
        let missed: BTreeMap<String, u64> =
            missed.into_iter().map(|(why, count)| (why.to_owned(), count)).collect();
        let went_wrong = !failed.is_empty();
        if started == 0 && completed == 0 && missed.is_empty() && !went_wrong {
            return None;
        }
        if !missed.is_empty() {
            text += &format!(", {} missed ({})", missed.values().sum::<u64>(), of(missed));
        }
        text += &format!("; {completed} Jobs completed");
        if went_wrong {
            text += &format!(", {} failed ({})", failed.values().sum::<u64>(), of(failed));
        }
        Some((text, went_wrong))
    }
}

impl World<'_> {
    /// A CronJob is new: its slots may be too many to be told one by one.
    pub(super) fn expect_slots(&mut self, key: &ObjectKey) {
        let Some(until) = self.until.filter(|_| self.brief) else { return };
        let found = self.reader.as_ref().and_then(|reader| reader.cron_job(key));
        let Some(cron_job) = found else { return };
        let spec = api::cron_job::spec(&cron_job, &*self.zones, &self.config.node_name);
        let (Ok(schedule), Some(zone)) = (&spec.schedule, &spec.zone) else { return };
        let end = self.wall().as_millisecond().saturating_add(until.saturating_sub(self.t));
        let Ok(end) = jiff::Timestamp::from_millisecond(end) else { return };
        let slots = schedule.count(self.wall(), end, zone, spec.dst);
        self.digest.expected = self.digest.expected.saturating_add(slots);
        if self.digest.expected > ONE_BY_ONE && !self.digest.counts() {
            self.digest.counted = Some(self.stretch());
        }
    }

    /// Which hour, day or month it is.
    fn stretch(&self) -> i64 {
        let ms = self.wall().as_millisecond();
        match self.stretches() {
            Stretch::Hour => ms.div_euclid(HOUR_MS),
            Stretch::Day => ms.div_euclid(DAY_MS),
            Stretch::Month => {
                let date = self.wall().to_zoned(jiff::tz::TimeZone::UTC).date();
                i64::from(date.year()) * 12 + i64::from(date.month())
            }
        }
    }

    fn stretches(&self) -> Stretch {
        match self.until {
            Some(until) if until > BY_THE_DAY_MS => Stretch::Month,
            Some(until) if until > BY_THE_HOUR_MS => Stretch::Day,
            Some(_) | None => Stretch::Hour,
        }
    }

    /// Tells what was counted, if its time is over, or all is.
    pub(super) fn tell_digest(&mut self, over: bool) -> Result<(), Trouble> {
        let now = self.stretch();
        if self.digest.counted.is_none_or(|counted| counted == now && !over) {
            return Ok(());
        }
        self.digest.counted = Some(now);
        let Some((text, went_wrong)) = self.digest.take() else { return Ok(()) };
        let stretch = match self.stretches() {
            _ if over => "at last",
            Stretch::Hour => "the hour before",
            Stretch::Day => "the day before",
            Stretch::Month => "the month before",
        };
        self.note("cronjobs", format!("{stretch}: {text}"), went_wrong)
    }

    /// Whether a Job is a CronJob's.
    pub(super) fn is_of_cron_job(&self, key: &ObjectKey) -> bool {
        let facts = self.job_uids.get(key).and_then(|uid| self.jobs.get(uid));
        facts.is_some_and(|facts| facts.cron_job.is_some())
    }
}
