//! A CronJob as decisions see it, as its record has it, and as its status tells of it.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sched::Millis;
use sched::cron::{self, Schedule};
use sched::cron_job::{Concurrency, CronJob as State, Held, JobRef, Missed, Reason, Spec, Zones};

use super::annotations;
use crate::kind::{JOB, Object};
use crate::pb::k8s::batch::v1::{CronJob, CronJobSpec, CronJobStatus};
use crate::pb::k8s::core::v1::ObjectReference;
use crate::pb::wick::v1::{CronJobRecord, MissedSlots};
use crate::time;

/// What is asked of a CronJob, for decisions. `device` names the device: its share of a jitter depends on it.
///
/// Also of one that would be refused today: a schedule with a zone within runs in that zone.
pub fn spec(cron_job: &CronJob, zones: &dyn Zones, device: &str) -> Spec {
    match &cron_job.spec {
        Some(spec) => spec.glance(|spec| of(spec, cron_job, zones, device)),
        None => of(&CronJobSpec::default(), cron_job, zones, device),
    }
}

fn of(spec: &CronJobSpec, cron_job: &CronJob, zones: &dyn Zones, device: &str) -> Spec {
    let (schedule, zone) = match cron::split_zone(&spec.schedule) {
        Some(Ok((within, schedule))) => (Schedule::parse(schedule), find_within(within, zones)),
        Some(Err(error)) => (Err(error), None),
        None => {
            let named = spec.time_zone.as_ref();
            (
                Schedule::parse(&spec.schedule),
                named.map_or_else(|| Some(zones.local()), |name| zones.find(name)),
            )
        }
    };
    let count = |limit: i32| u32::try_from(limit).unwrap_or(0);
    let extras = annotations::of(cron_job);
    let (namespace, name) =
        cron_job.metadata.as_ref().map_or(("", ""), |meta| (&meta.namespace[..], &meta.name[..]));
    Spec {
        schedule: schedule.map_err(|error| error.to_string()),
        zone,
        zone_name: spec.time_zone.clone(),
        starting_deadline: spec.starting_deadline_seconds.map(Millis::from_secs),
        concurrency: match spec.concurrency_policy.as_str() {
            "Forbid" => Concurrency::Forbid,
            "Replace" => Concurrency::Replace,
            _ => Concurrency::Allow,
        },
        suspend: spec.suspend == Some(true),
        successful_limit: spec.successful_jobs_history_limit.map(count),
        failed_limit: spec.failed_jobs_history_limit.map(count),
        dst: extras.dst,
        catch_up: extras.catch_up,
        splay: cron::splay(device, namespace, name, extras.jitter),
    }
}

/// The zone of a `TZ=…` within a schedule.
fn find_within(name: &str, zones: &dyn Zones) -> Option<TimeZone> {
    match name {
        "" => Some(TimeZone::UTC),
        "Local" => Some(zones.local()),
        name => zones.find(name),
    }
}

/// A CronJob at its beginning.
pub fn new_state(cron_job: &CronJob, zones: &dyn Zones, device: &str) -> State {
    let created = cron_job.metadata.as_ref().and_then(|meta| meta.creation_timestamp.as_ref());
    let created = created.map(time::instant).unwrap_or_default();
    State {
        spec: spec(cron_job, zones, device).into(),
        since: created,
        last_schedule: None,
        last_successful: None,
        active: Vec::new(),
        settled: created,
        told: None,
        waiting: None,
        open: None,
        held: None,
        next: None,
        deleting: false,
    }
}

/// A CronJob as its record has it.
pub fn state(record: &CronJobRecord, zones: &dyn Zones, device: &str) -> State {
    let empty = CronJob::default();
    let cron_job = record.cron_job.as_ref().unwrap_or(&empty);
    let no_status = CronJobStatus::default();
    let status = cron_job.status.as_ref().unwrap_or(&no_status);
    let new = new_state(cron_job, zones, device);
    State {
        since: record.since_seconds.map_or(new.since, second),
        last_schedule: status.last_schedule_time.as_ref().map(time::instant),
        last_successful: status.last_successful_time.as_ref().map(time::instant),
        active: status
            .active
            .iter()
            .map(|job| JobRef { name: job.name.clone(), uid: job.uid.clone() })
            .collect(),
        settled: second(record.settled_seconds),
        told: record.told_seconds.map(second),
        waiting: record.waiting.as_ref().map(missed),
        open: record.open.as_ref().map(missed),
        held: record.held_seconds.map(|slot| Held { slot: second(slot), why: reason(&record.held_reason) }),
        next: record.next_seconds.map(second),
        deleting: cron_job.metadata().is_some_and(|meta| meta.deletion_timestamp.is_some()),
        ..new
    }
}

/// What is stored of a CronJob.
pub fn record(cron_job: CronJob, state: &State, ordinal: u64) -> CronJobRecord {
    CronJobRecord {
        cron_job: Some(cron_job),
        ordinal,
        settled_seconds: state.settled.as_second(),
        open: state.open.as_ref().map(missed_slots),
        held_seconds: state.held.map(|held| held.slot.as_second()),
        held_reason: state.held.map_or_else(String::new, |held| held.why.name().to_owned()),
        next_seconds: state.next.map(Timestamp::as_second),
        since_seconds: Some(state.since.as_second()),
        told_seconds: state.told.map(Timestamp::as_second),
        waiting: state.waiting.as_ref().map(missed_slots),
    }
}

/// Missed slots as decisions see them.
pub fn missed(slots: &MissedSlots) -> Missed {
    Missed {
        first: second(slots.first_seconds),
        last: second(slots.last_seconds),
        count: slots.count,
        why: reason(&slots.reason),
    }
}

/// Missed slots as they are stored.
pub fn missed_slots(missed: &Missed) -> MissedSlots {
    MissedSlots {
        first_seconds: missed.first.as_second(),
        last_seconds: missed.last.as_second(),
        count: missed.count,
        reason: missed.why.name().to_owned(),
    }
}

/// What lies outside the calendar becomes 1970.
fn second(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or_default()
}

/// A word this agent does not know was written by a later one; that the slot was missed is what counts.
fn reason(name: &str) -> Reason {
    Reason::named(name).unwrap_or(Reason::AgentDown)
}

/// Marks a CronJob as being deleted in the foreground.
pub fn begin_deletion(cron_job: &mut CronJob, now: Timestamp) {
    crate::metadata::begin_deletion(cron_job.metadata_mut(), now);
}

/// Writes what is known of a CronJob into its status.
pub fn write_status(cron_job: &mut CronJob, state: &State) {
    let namespace = cron_job.metadata_mut().namespace.clone();
    let active = state.active.iter().map(|job| ObjectReference {
        kind: JOB.kind.to_owned(),
        namespace: namespace.clone(),
        name: job.name.clone(),
        uid: job.uid.clone(),
        api_version: JOB.api_version(),
        ..ObjectReference::default()
    });
    let status = cron_job.status.get_or_insert_default();
    status.active = active.collect();
    status.last_schedule_time = state.last_schedule.map(time::seconds);
    status.last_successful_time = state.last_successful.map(time::seconds);
}
