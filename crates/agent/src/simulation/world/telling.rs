//! What is told of a world: objects as commits leave them, notes for a timeline, refusals, and what is left at the end.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use api::pb::k8s::core::v1::Event as KubernetesEvent;
use api::pb::k8s::meta::v1::{ObjectMeta, Status};
use api::pb::wick::v1::simulation_entry::What;
use api::pb::wick::v1::simulation_object::Object as SimulatedObject;
use api::pb::wick::v1::{
    LedgerEntry, SimulationChange, SimulationEntry, SimulationNote, SimulationObject, SimulationRefusal,
    WatchEventType,
};
use engine::store::{MemoryStore, Store};
use engine::{Change, Milestone, Object, ObjectKey, StoredRecord};
use sched::clock::ClockNews;
use sched::cron_job::{Clock, Gap, Missed, Reason};

use super::World;
use crate::simulation::Trouble;

impl World<'_> {
    pub(super) fn tell_changes(&mut self, changes: Vec<Change>) -> Result<(), Trouble> {
        // The same Event may be counted twice in a commit; it is told once, as it is afterwards.
        let mut events: BTreeMap<ObjectKey, usize> = BTreeMap::new();
        let mut told: Vec<Change> = Vec::with_capacity(changes.len());
        for change in changes {
            if let Some(Object::Event(event)) = change.after.as_ref().or(change.before.as_ref()) {
                let key = key(event.metadata.as_ref());
                if let Some(earlier) = events.get(&key).and_then(|index| told.get_mut(*index)) {
                    earlier.after = change.after;
                    continue;
                }
                events.insert(key, told.len());
            }
            told.push(change);
        }
        for Change { before, after, .. } in told {
            let kind = match (&before, &after) {
                (None, None) => continue,
                (None, Some(_)) => WatchEventType::Added,
                (Some(_), Some(_)) => WatchEventType::Modified,
                (Some(_), None) => WatchEventType::Deleted,
            };
            let Some(object) = after.or(before) else { continue };
            self.remember(&object, kind);
            if !self.brief {
                let object = Some(simulated(object.clone()));
                self.say(What::Change(SimulationChange { r#type: kind.into(), object }))?;
            }
            if let Object::Event(event) = object {
                self.note_event(&event, kind)?;
            }
        }
        Ok(())
    }

    pub(super) fn tell_milestone(&mut self, milestone: Milestone) -> Result<(), Trouble> {
        match milestone {
            Milestone::JobCreated { key, .. } => {
                self.summary.told.jobs_created += 1;
                // Of one that a slot started the slot tells.
                let job = self.reader.as_ref().and_then(|reader| reader.job(&key));
                if job.is_some_and(|job| api::cron_job::scheduled_slot(&job).is_some()) {
                    return Ok(());
                }
                self.note(&format!("job/{}", key.name), "created".to_owned(), false)
            }
            Milestone::JobFinished { key, reason, failed } => {
                self.summary.job_ended(reason, failed);
                if self.digest.counts() && self.is_of_cron_job(&key) {
                    self.digest.job_ended(reason, failed);
                    return Ok(());
                }
                let text = if failed { format!("failed: {reason}") } else { "completed".to_owned() };
                self.note(&format!("job/{}", key.name), text, failed)
            }
            // That old Jobs of a CronJob go is as it should be.
            Milestone::JobDeleted { key } if self.is_of_cron_job(&key) => Ok(()),
            Milestone::JobDeleted { key } => {
                self.note(&format!("job/{}", key.name), "deleted".to_owned(), false)
            }
            Milestone::CronJobCreated { key, .. } => {
                self.expect_slots(&key);
                self.note(&format!("cronjob/{}", key.name), "created".to_owned(), false)
            }
            Milestone::CronJobDeleted { key } => {
                self.note(&format!("cronjob/{}", key.name), "deleted".to_owned(), false)
            }
            Milestone::SlotStarted { key, slot, job, overlaps } => {
                self.summary.slot_started(overlaps);
                if self.digest.counts() {
                    self.digest.slot_started();
                    return Ok(());
                }
                let beside = if overlaps { ", beside an earlier one" } else { "" };
                let text = format!("slot started: {job}, due {slot}{beside}");
                self.note(&format!("cronjob/{}", key.name), text, false)
            }
            Milestone::SlotsMissed { key, missed } => {
                self.summary.slots_missed(missed.count, missed.why.name());
                let of_device = matches!(
                    missed.why,
                    Reason::AgentDown
                        | Reason::ClockNotPlausible
                        | Reason::JumpedOver
                        | Reason::UnknownTimeZone
                );
                if self.digest.counts() {
                    self.digest.slots_missed(&missed);
                    if !of_device {
                        return Ok(());
                    }
                }
                let Missed { first, last, count, why } = missed;
                let slots = if count == 1 {
                    format!("slot {first}")
                } else {
                    format!("{count} slots, {first} to {last}")
                };
                self.note(&format!("cronjob/{}", key.name), format!("missed {}: {slots}", why.name()), true)
            }
            Milestone::Clock(ClockNews::Plausible { .. }) => {
                self.note("", "the clock is set: slots start Jobs".to_owned(), false)
            }
            Milestone::Clock(ClockNews::Implausible) => {
                self.note("", "the clock is not set: no slot starts a Job".to_owned(), true)
            }
            Milestone::Clock(ClockNews::Stepped { .. })
            | Milestone::ImageStored { .. }
            | Milestone::ImageDeleted { .. } => Ok(()),
        }
    }

    /// Events that nothing else in a timeline tells of.
    fn note_event(&mut self, event: &KubernetesEvent, kind: WatchEventType) -> Result<(), Trouble> {
        let about = event.involved_object.clone().unwrap_or_default();
        let of_pod = about.kind == "Pod" && event.r#type == "Warning";
        if kind == WatchEventType::Deleted
            || !(of_pod || ["FailedCreate", "Suspended", "Resumed"].contains(&event.reason.as_str()))
        {
            return Ok(());
        }
        let about = format!("{}/{}", about.kind.to_lowercase(), about.name);
        self.note(&about, format!("{}: {}", event.reason, event.message), event.r#type == "Warning")
    }

    pub(in crate::simulation) fn note(
        &mut self,
        about: &str,
        text: String,
        warning: bool,
    ) -> Result<(), Trouble> {
        self.say(What::Note(SimulationNote { about: about.to_owned(), text, warning }))
    }

    /// An action was turned down.
    pub(in crate::simulation) fn refuse(&mut self, action: u32, error: Status) -> Result<(), Trouble> {
        self.summary.told.refused += 1;
        self.say(What::Refused(SimulationRefusal { action, error: Some(error) }))
    }

    /// Of slots that came due and did not start a Job, those of which the ledger has nothing yet.
    fn tell_unrecorded(&mut self) -> Result<(), Trouble> {
        let Some(reader) = &self.reader else { return Ok(()) };
        let records = reader.cron_job_records()?;
        let down = self.down_since.map(|from| Gap { from, until: self.wall(), why: Reason::AgentDown });
        let gaps: Vec<Gap> = down.into_iter().collect();
        let plausible = self.wall() >= self.config.not_before;
        for record in records {
            let clock = Clock { wall: self.wall(), plausible, gaps: &gaps };
            let mut runs: Vec<LedgerEntry> = Vec::new();
            for mut run in engine::unrecorded(&record, &*self.zones, &self.config.node_name, clock) {
                // The last moments are no different where nobody was there to notice.
                let first = run.first.as_ref().map_or(i64::MIN, |first| first.seconds);
                let unseen = self.down_since.is_some_and(|down| first > down.as_second());
                if unseen && run.reason == Reason::TooLate.name() {
                    Reason::AgentDown.name().clone_into(&mut run.reason);
                    if let Some(before) = runs.last_mut().filter(|before| before.reason == run.reason) {
                        before.last = run.last;
                        before.count += run.count;
                        continue;
                    }
                }
                runs.push(run);
            }
            for run in runs {
                self.summary.slots_missed(run.count, &run.reason);
                if !self.brief {
                    self.say(What::Ledger(run))?;
                }
            }
        }
        Ok(())
    }

    /// The end: what still exists, and the sums.
    pub(in crate::simulation) fn finish(&mut self) -> Result<(), Trouble> {
        self.tell_unrecorded()?;
        if !self.brief {
            let events = match (&self.engine, &self.reader) {
                (Some(_), Some(reader)) => reader.events("").0,
                // Events are gone with the power.
                _ => Vec::new(),
            };
            self.engine = None;
            let mut trouble = None;
            let store = MemoryStore::open(&self.disk);
            store.load(b"", &mut |key, bytes| {
                let told = match StoredRecord::decode(key, bytes) {
                    Ok(StoredRecord::Job(record)) => record.job.map(SimulatedObject::Job),
                    Ok(StoredRecord::CronJob(record)) => record.cron_job.map(SimulatedObject::CronJob),
                    Ok(StoredRecord::Pod(record)) => record.pod.map(SimulatedObject::Pod),
                    Ok(StoredRecord::Meta(_) | StoredRecord::Image(_) | StoredRecord::Ledger(_)) => None,
                    Err(error) => {
                        trouble = Some(Trouble::from(error));
                        return ControlFlow::Break(());
                    }
                };
                let Some(object) = told else { return ControlFlow::Continue(()) };
                match self.say(What::Remains(SimulationObject { object: Some(object) })) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(gone) => {
                        trouble = Some(gone);
                        ControlFlow::Break(())
                    }
                }
            })?;
            if let Some(trouble) = trouble {
                return Err(trouble);
            }
            for event in events {
                self.say(What::Remains(simulated(Object::Event(event))))?;
            }
        }
        self.summary.told.commits = self.disk.commits();
        self.say(What::Final(self.summary.told.clone()))
    }

    pub(super) fn say(&mut self, what: What) -> Result<(), Trouble> {
        let time = prost_types::Timestamp { seconds: self.wall().as_second(), nanos: 0 };
        let entry = SimulationEntry { t_ms: self.t, time: Some(time), what: Some(what) };
        match &mut self.kept_back {
            Some(kept) => {
                kept.push(entry);
                Ok(())
            }
            None => self.tell_entry(entry),
        }
    }

    pub(super) fn tell_entry(&mut self, entry: SimulationEntry) -> Result<(), Trouble> {
        match (self.tell)(entry) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Trouble::Gone),
        }
    }
}

pub(super) fn key(meta: Option<&ObjectMeta>) -> ObjectKey {
    meta.map_or_else(|| ObjectKey::new("", ""), |meta| ObjectKey::new(&meta.namespace, &meta.name))
}

fn simulated(object: Object) -> SimulationObject {
    SimulationObject {
        object: Some(match object {
            Object::Job(job) => SimulatedObject::Job(Arc::unwrap_or_clone(job)),
            Object::CronJob(cron_job) => SimulatedObject::CronJob(Arc::unwrap_or_clone(cron_job)),
            Object::Pod(pod) => SimulatedObject::Pod(Arc::unwrap_or_clone(pod)),
            Object::Event(event) => SimulatedObject::Event(Arc::unwrap_or_clone(event)),
        }),
    }
}
