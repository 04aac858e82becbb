//! One look at a CronJob, in Kubernetes' order.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::books::{Slots, minus, plus};
use super::{
    CatchUp, Child, Clock, Concurrency, CronJob, Ended, Gap, Held, JobRef, Missed, ON_TIME, Reason, Spec,
};
use crate::{Millis, names};

/// More missed slots than this are worth a warning (Kubernetes').
const MANY: u64 = 100;

/// What to do about a CronJob.
#[derive(Clone, Debug, PartialEq)]
pub struct CronJobPlan {
    /// The CronJob afterwards, as if all that follows were done.
    pub next: CronJob,
    /// It is not as it was.
    pub changed: bool,
    /// Jobs that are to go, in the background, before any is started.
    pub delete: Vec<JobRef>,
    /// Runs of missed slots that are at their end, in order: for the ledger.
    pub missed: Vec<Missed>,
    /// Jobs that are to be started, in order. Their uids in `next.active` are empty: whoever makes them fills them in.
    pub start: Vec<Start>,
    /// What to tell people, in order.
    pub notes: Vec<Note>,
    /// Ask again then, by the wall clock, if nothing happens before.
    pub wake: Option<Timestamp>,
    /// A slot could start its Job but for room: ask again when there is some.
    pub starved: bool,
    /// There is more to start: apply this and ask again.
    pub more: bool,
}

/// A Job to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// For this slot.
    pub slot: Timestamp,
    /// Under this name.
    pub name: String,
}

/// Something worth an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A Job that was deleted, because there are too many or because another replaces it.
    Deleted(String),
    /// A Job that the CronJob did not start, or has forgotten, runs.
    UnexpectedJob(String),
    /// A Job has finished; whether it is Complete.
    SawCompleted(String, bool),
    /// A Job that ran is not there any more.
    MissingJob(String),
    /// The device does not know the zone.
    UnknownTimeZone,
    /// The schedule cannot be read.
    UnparseableSchedule(String),
    /// No slot will ever come.
    InvalidSchedule,
    /// So many slots were missed.
    TooManyMissed(u64),
    /// A slot waits for a Job that runs.
    JobAlreadyActive,
    /// A Job of that name is there, and belongs to somebody else.
    JobExists(String),
}

/// What to do about a CronJob of this name, whose Jobs these are. `taken` says whether a Job of a name exists, whoever owns
/// it; at most `starts` Jobs may be started now.
///
/// Applying the plan and asking again, at the same time, starts, deletes and misses nothing, unless it said there is more.
pub fn reconcile(
    cron: &CronJob,
    name: &str,
    children: &[Child],
    taken: &dyn Fn(&str) -> bool,
    starts: usize,
    clock: Clock<'_>,
) -> CronJobPlan {
    let mut plan = CronJobPlan {
        next: cron.clone(),
        changed: false,
        delete: Vec::new(),
        missed: Vec::new(),
        start: Vec::new(),
        notes: Vec::new(),
        wake: None,
        starved: false,
        more: false,
    };
    plan.clean_up(children);
    plan.look_at_jobs(children);
    if plan.next.deleting {
        let closed = plan.next.close_books(clock);
        plan.missed.extend(closed);
    } else if clock.plausible {
        plan.look_at_slots(name, children, taken, starts, clock);
        plan.next.note_waiting(clock, plan.next.due_by(clock.wall));
        // Whatever becomes of the slot that is held, the run before it does not go on.
        if let (Some(open), Some(held)) = (plan.next.open, plan.next.held)
            && open.why != held.why
        {
            plan.missed.extend(plan.next.open.take());
        }
    }
    plan.changed = plan.next.progress() != cron.progress();
    plan
}

impl CronJob {
    /// What of it is recorded, beside its spec.
    fn progress(&self) -> impl PartialEq + '_ {
        let known = [self.last_schedule, self.last_successful, self.told];
        (&self.active, known, self.settled, [self.waiting, self.open], self.held)
    }

    /// Asks for something else. What came due before is taken up as it was asked for until now; the runs of missed slots that
    /// are at their end by it are returned.
    pub fn revise(&mut self, spec: Spec, clock: Clock<'_>) -> Vec<Missed> {
        let by = self.due_by(clock.wall);
        let mut closed = Vec::new();
        let same = |spec: &Spec| (spec.schedule.clone(), spec.zone_name.clone(), spec.dst);
        if same(&spec) == same(&self.spec) {
            // What is known of its zone may have changed, and that was not noticed yet.
            closed.extend(self.rezone(spec.zone.clone(), clock));
            if clock.plausible {
                self.take_up(clock, by, &mut closed);
                self.note_waiting(clock, by);
            }
            self.spec = spec.into();
            return closed;
        }
        if clock.plausible {
            self.take_up(clock, by, &mut closed);
            self.miss_all(clock, by, &mut closed);
        }
        // What waits will not start; slots of the new schedule are missed from now on.
        self.miss_waiting(&mut closed);
        // One that is held may still start if it is the latest of the new schedule too.
        let held = self.held.take_if(|held| {
            let latest = |slots: Slots<'_>| slots.latest(minus(held.slot, Millis(1))?, by);
            Slots::of(&spec, self.last_schedule.unwrap_or(self.since)).and_then(latest) == Some(held.slot)
        });
        self.close_runs(&mut closed);
        self.held = held;
        self.spec = spec.into();
        if clock.plausible {
            // Its splay may be another, too.
            self.settled = self.settled.max(by).max(self.due_by(clock.wall));
        }
        self.next = None;
        self.foresee(clock);
        closed
    }

    /// Its slots may be others than they were: of the one that is due next no more is known, if its zone is not.
    fn foresee(&mut self, clock: Clock<'_>) {
        if self.spec.zone.is_some() {
            let after = self.due_by(clock.wall).max(self.settled);
            self.next = Slots::of(&self.spec, self.anchor()).and_then(|slots| slots.next(after));
        }
    }

    /// What is known of its zone has changed. Slots that come due by it in the past are not made up for.
    pub fn rezone(&mut self, zone: Option<TimeZone>, clock: Clock<'_>) -> Vec<Missed> {
        let mut closed = Vec::new();
        if zone == self.spec.zone {
            return closed;
        }
        let by = self.due_by(clock.wall);
        if clock.plausible {
            self.take_up(clock, by, &mut closed);
            self.note_waiting(clock, by);
        }
        let rhythm = self.spec.schedule.as_ref().is_ok_and(|schedule| schedule.period().is_some());
        let was_known = self.spec.zone.is_some();
        let is_known = zone.is_some();
        if was_known && is_known && !rhythm {
            if clock.plausible {
                self.miss_all(clock, by, &mut closed);
                self.settled = self.settled.max(by);
                self.told = self.told.max(Some(by));
            }
            self.miss_waiting(&mut closed);
            self.close_runs(&mut closed);
        }
        Arc::make_mut(&mut self.spec).zone = zone;
        if !was_known && is_known && clock.plausible {
            // What came due meanwhile is known only now.
            let unknown = Gap { from: self.settled, until: by, why: Reason::UnknownTimeZone };
            let gaps = [unknown];
            self.take_up(Clock { gaps: &gaps, ..clock }, by, &mut closed);
            self.note_waiting(Clock { gaps: &gaps, ..clock }, by);
        }
        self.foresee(clock);
        closed
    }

    /// It is going: what became of its slots is all that will ever be known.
    pub fn close_books(&mut self, clock: Clock<'_>) -> Vec<Missed> {
        let mut closed = Vec::new();
        if clock.plausible {
            let by = self.due_by(clock.wall);
            self.take_up(clock, by, &mut closed);
            self.miss_all(clock, by, &mut closed);
        }
        self.miss_waiting(&mut closed);
        self.close_runs(&mut closed);
        closed
    }

    /// The Job of a slot that was to start could not be made after all, nor were those after it. `last` is the slot that
    /// started before.
    pub fn could_not_start(&mut self, slot: Timestamp, last: Option<Timestamp>) {
        self.last_schedule = last;
        self.active.retain(|active| !active.uid.is_empty());
        match self.spec.catch_up {
            CatchUp::All { .. } => {
                let until = self.waiting.map_or(self.settled, |waiting| waiting.last);
                self.settled = minus(slot, Millis::from_secs(1)).unwrap_or(slot);
                let slots = Slots::of(&self.spec, self.anchor());
                self.waiting = slots.and_then(|slots| slots.run(self.settled, until, Reason::FailedCreate));
            }
            CatchUp::Last | CatchUp::None => self.held = Some(Held { slot, why: Reason::FailedCreate }),
        }
    }

    /// It was made before the clock was set: slots before this are none of its.
    pub fn due_since(&mut self, at: Timestamp) {
        self.since = at;
        self.settled = self.settled.max(at);
    }

    /// When it is due next, and when its Job is started then.
    pub fn next_start(&self, wall: Timestamp) -> Option<(Timestamp, Timestamp)> {
        if self.spec.suspend || self.deleting {
            return None;
        }
        let slots = Slots::of(&self.spec, self.anchor())?;
        let slot = slots.next(self.due_by(wall).max(self.since))?;
        Some((slot, plus(slot, self.spec.splay)))
    }

    /// Missed slots that no entry of the ledger has yet, the one that is held back among them.
    pub fn unrecorded(&self) -> Option<Missed> {
        let held = self.held.map(|Held { slot, why }| Missed { first: slot, last: slot, count: 1, why });
        match (self.open, held) {
            (Some(open), Some(held)) if open.why == held.why => {
                Some(Missed { last: held.last, count: open.count.saturating_add(1), ..open })
            }
            (open, held) => held.or(open),
        }
    }
}

impl CronJobPlan {
    /// Finished Jobs beyond the limits go, those that began first.
    fn clean_up(&mut self, children: &[Child]) {
        let limits = [(true, self.next.spec.successful_limit), (false, self.next.spec.failed_limit)];
        for (succeeded, limit) in limits {
            let Some(limit) = limit else { continue };
            let finished = children.iter().filter(|child| !child.deleting);
            let mut finished: Vec<&Child> = finished
                .filter(|child| match child.ended {
                    None => false,
                    Some(Ended::Complete(_)) => succeeded,
                    Some(Ended::Failed) => !succeeded,
                })
                .collect();
            finished.sort_by_key(|child| (child.started.is_none(), child.started, &child.job.name));
            let beyond = finished.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
            for child in finished.into_iter().take(beyond) {
                self.delete(child.job.clone());
            }
        }
    }

    fn delete(&mut self, job: JobRef) {
        self.next.active.retain(|active| *active != job);
        self.notes.push(Note::Deleted(job.name.clone()));
        self.delete.push(job);
    }

    fn look_at_jobs(&mut self, children: &[Child]) {
        for child in children {
            let is_active = self.next.active.contains(&child.job);
            match child.ended {
                None if !is_active => self.notes.push(Note::UnexpectedJob(child.job.name.clone())),
                None => {}
                Some(ended) => {
                    if is_active {
                        self.next.active.retain(|active| *active != child.job);
                        let complete = matches!(ended, Ended::Complete(_));
                        self.notes.push(Note::SawCompleted(child.job.name.clone(), complete));
                    }
                    if let Ended::Complete(at) = ended {
                        let last = &mut self.next.last_successful;
                        *last = Some(last.map_or(at, |last| last.max(at)));
                    }
                }
            }
        }
        let missing: Vec<JobRef> = self
            .next
            .active
            .iter()
            .filter(|active| !children.iter().any(|child| child.job == **active))
            .cloned()
            .collect();
        for job in missing {
            self.next.active.retain(|active| *active != job);
            self.notes.push(Note::MissingJob(job.name));
        }
    }

    fn look_at_slots(
        &mut self,
        name: &str,
        children: &[Child],
        taken: &dyn Fn(&str) -> bool,
        starts: usize,
        clock: Clock<'_>,
    ) {
        let by = self.next.due_by(clock.wall);
        let spec = self.next.spec.clone();
        if spec.zone.is_none() {
            return self.without_zone(clock, by);
        }
        self.next.take_up(clock, by, &mut self.missed);
        if spec.suspend {
            return;
        }
        if let Err(why) = &spec.schedule {
            return self.notes.push(Note::UnparseableSchedule(why.clone()));
        }
        let from = self.from(by);
        let anchor = self.next.anchor();
        let Some(slots) = Slots::of(&spec, anchor) else { return };
        let Some(next) = slots.next(by) else {
            return self.notes.push(Note::InvalidSchedule);
        };
        self.next.next = Some(next);
        self.wake = Some(plus(next, spec.splay));
        if slots.latest(from, by).is_some() {
            let missed = slots.count(from, by);
            if missed > MANY {
                self.notes.push(Note::TooManyMissed(missed));
            }
        }
        let mut job = Maker { name, children, taken, left: starts };
        match spec.catch_up {
            CatchUp::All { .. } => self.start_all(&slots, &mut job, clock, by),
            CatchUp::Last | CatchUp::None => self.start_latest(&slots, &mut job, from, by),
        }
    }

    /// Slots before this, itself included, are not looked for.
    fn from(&self, by: Timestamp) -> Timestamp {
        let cron = &self.next;
        let begin = cron.anchor().max(cron.since);
        let late = [
            cron.spec.starting_deadline,
            (cron.spec.catch_up == CatchUp::None).then_some(Millis(ON_TIME.0 + 1)),
        ];
        late.into_iter().flatten().filter_map(|late| minus(by, late)).fold(begin, Timestamp::max)
    }

    fn without_zone(&mut self, clock: Clock<'_>, by: Timestamp) {
        self.notes.push(Note::UnknownTimeZone);
        self.next.take_up(clock, by, &mut self.missed);
        let next = self.next.next.filter(|next| *next > self.next.settled);
        self.wake = next.map(|slot| plus(slot, self.next.spec.splay));
    }

    /// The latest slot starts its Job, if it still may.
    fn start_latest(&mut self, slots: &Slots<'_>, job: &mut Maker<'_>, from: Timestamp, by: Timestamp) {
        if by < self.next.settled {
            // The clock was put back: what became of slots until then is known already.
            return;
        }
        // Of another schedule it may lie before what is settled, but not among slots that were told as missed.
        let held = self.next.held.map(|held| held.slot);
        let slot = slots.latest(from, by).filter(|slot| self.next.told < Some(*slot) || held == Some(*slot));
        // One that is too late is held all the same, until another takes its place: its deadline may yet be changed.
        let Some(slot) = slot else { return };
        if held.is_some_and(|held| held != slot) {
            self.next.drop_held(&mut self.missed);
        }
        if self.is_blocked() {
            self.notes.push(Note::JobAlreadyActive);
            return self.hold(slot, Reason::Forbidden);
        }
        match self.make(slot, job) {
            Ok(()) => self.next.held = None,
            Err(why) => self.hold(slot, why),
        }
    }

    fn hold(&mut self, slot: Timestamp, why: Reason) {
        // What it is held back for first is what it was missed for.
        if self.next.held.is_none_or(|held| held.slot != slot || held.why == Reason::TooLate) {
            self.next.held = Some(Held { slot, why });
        }
    }

    /// All slots that were not settled start their Jobs, the oldest first.
    fn start_all(&mut self, slots: &Slots<'_>, job: &mut Maker<'_>, clock: Clock<'_>, by: Timestamp) {
        if self.next.spec.concurrency == Concurrency::Replace
            && let Some(last) = slots.latest(self.next.settled, by)
            && let Some(before) = minus(last, Millis::from_secs(1))
        {
            // Each would stop the one before it.
            self.next.miss_until(slots, clock, before, by, &mut self.missed);
        }
        while let Some(slot) = slots.next(self.next.settled).filter(|slot| *slot <= by) {
            if self.is_blocked() {
                return self.notes.push(Note::JobAlreadyActive);
            }
            match self.make(slot, job) {
                Ok(()) => {}
                Err(Reason::FailedCreate) => {
                    self.more = !self.start.is_empty();
                    self.starved = !self.more;
                    return;
                }
                Err(why) => {
                    let run = Missed { first: slot, last: slot, count: 1, why };
                    self.next.join(run, &mut self.missed);
                }
            }
            self.next.settled = slot;
        }
    }

    fn is_blocked(&self) -> bool {
        self.next.spec.concurrency == Concurrency::Forbid && !self.next.active.is_empty()
    }

    /// Has a slot start its Job; or says why not.
    fn make(&mut self, slot: Timestamp, job: &mut Maker<'_>) -> Result<(), Reason> {
        let name = names::scheduled(job.name, slot);
        if self.next.active.iter().any(|active| active.name == name) {
            return Err(Reason::JobExists);
        }
        if let Some(own) = job.children.iter().find(|child| child.job.name == name && !child.deleting) {
            // As on a cluster it counts as the slot's. It has another slot of the same minute, or somebody made it.
            let run = Missed { first: slot, last: slot, count: 1, why: Reason::JobExists };
            self.next.join(run, &mut self.missed);
            self.next.last_schedule = Some(slot);
            if own.ended.is_none() {
                self.next.active.push(own.job.clone());
            }
            return Ok(());
        }
        if (job.taken)(&name) {
            self.notes.push(Note::JobExists(name));
            return Err(Reason::JobExists);
        }
        if job.left == 0 {
            self.starved = true;
            return Err(Reason::FailedCreate);
        }
        job.left -= 1;
        if self.next.spec.concurrency == Concurrency::Replace {
            for active in std::mem::take(&mut self.next.active) {
                self.delete(active);
            }
        }
        self.missed.extend(self.next.open.take());
        self.next.last_schedule = Some(slot);
        self.next.active.push(JobRef { name: name.clone(), uid: String::new() });
        self.start.push(Start { slot, name });
        Ok(())
    }
}

/// What is needed to know which Jobs can be made.
struct Maker<'a> {
    name: &'a str,
    children: &'a [Child],
    taken: &'a dyn Fn(&str) -> bool,
    left: usize,
}
