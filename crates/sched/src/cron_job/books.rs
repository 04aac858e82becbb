//! The account of slots: each that comes due starts its Job, is held back, or joins a run of those that were missed.

use jiff::Timestamp;

use super::{CatchUp, Clock, Concurrency, CronJob, Held, Missed, ON_TIME, Reason, Spec};
use crate::Millis;
use crate::cron::Schedule;

const SECOND: Millis = Millis::from_secs(1);

/// The slots of a CronJob whose schedule can be read and whose zone is known.
pub(super) struct Slots<'a> {
    schedule: &'a Schedule,
    zone: &'a jiff::tz::TimeZone,
    dst: crate::cron::Dst,
    /// Where `@every` counts from.
    anchor: Timestamp,
}

impl<'a> Slots<'a> {
    pub(super) fn of(spec: &'a Spec, anchor: Timestamp) -> Option<Slots<'a>> {
        let schedule = spec.schedule.as_ref().ok()?;
        Some(Slots { schedule, zone: spec.zone.as_ref()?, dst: spec.dst, anchor })
    }

    /// The last instant not after this one from which the schedule gives the right slots: for `@every` one in its rhythm.
    fn phase(&self, at: Timestamp) -> Timestamp {
        let Some(period) = self.schedule.period().map(|period| period.as_secs()) else { return at };
        let past = at.as_second().saturating_sub(self.anchor.as_second());
        let past = past - past.rem_euclid(period);
        Timestamp::from_second(self.anchor.as_second().saturating_add(past)).unwrap_or(at)
    }

    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.schedule.next_after(self.phase(after), self.zone, self.dst)
    }

    pub(super) fn latest(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let latest = self.schedule.latest(self.phase(after), until, self.zone, self.dst)?;
        (latest > after).then_some(latest)
    }

    pub(super) fn count(&self, after: Timestamp, until: Timestamp) -> u64 {
        if until <= after {
            return 0;
        }
        self.schedule.count(self.phase(after), until, self.zone, self.dst)
    }

    /// The first of the latest so many slots.
    fn nth_last(&self, after: Timestamp, until: Timestamp, n: u32) -> Option<Timestamp> {
        self.schedule.nth_last(self.phase(after), until, u64::from(n), self.zone, self.dst)
    }

    /// All slots of a stretch as one run.
    pub(super) fn run(&self, after: Timestamp, until: Timestamp, why: Reason) -> Option<Missed> {
        if until <= after {
            return None;
        }
        let first = self.next(after).filter(|first| *first <= until)?;
        let last = self.latest(after, until)?;
        Some(Missed { first, last, count: self.count(after, until), why })
    }
}

impl CronJob {
    /// Takes up what came due until `by`, as far as it will not start any more; `closed` gets the runs that are at their end.
    /// The latest slot is held: what becomes of it is to be decided. With [`CatchUp::All`] so are the latest so many, which
    /// are then left unsettled.
    pub(super) fn take_up(&mut self, clock: Clock<'_>, by: Timestamp, closed: &mut Vec<Missed>) {
        let spec = self.spec.clone();
        let Some(slots) = Slots::of(&spec, self.anchor()) else {
            return self.take_up_next(by, closed);
        };
        if let Some(waiting) = self.waiting
            && slots.run(self.settled, waiting.last, waiting.why) != self.waiting
        {
            // The zone's data is not what it was; by what it is, there are other slots.
            self.miss_waiting(closed);
        }
        if let CatchUp::All { limit } = spec.catch_up {
            self.drop_held(closed);
            let late = spec.starting_deadline.and_then(|deadline| minus(by, deadline));
            if let Some(late) = late {
                self.miss_until(&slots, clock, late, by, closed);
            }
            if slots.count(self.settled, by) > u64::from(limit)
                && let Some(kept) = slots.nth_last(self.settled, by, limit)
                && let Some(until) = minus(kept, SECOND)
            {
                self.miss_until(&slots, clock, until, by, closed);
            }
            return;
        }
        let Some(last) = slots.latest(self.settled, by) else { return };
        self.drop_held(closed);
        if let Some(before) = minus(last, SECOND) {
            self.miss_until(&slots, clock, before, by, closed);
        }
        self.held = Some(Held { slot: last, why: self.why(clock, last, by) });
        self.settled = last;
    }

    /// While the zone is not known nobody can say which slots come due; but the one that was due next was known.
    fn take_up_next(&mut self, by: Timestamp, closed: &mut Vec<Missed>) {
        let Some(slot) = self.next.filter(|next| *next > self.settled && *next <= by) else { return };
        let why = Reason::UnknownTimeZone;
        self.next = None;
        match (self.spec.catch_up, self.waiting) {
            (CatchUp::All { .. }, Some(waiting)) if waiting.last < slot => {
                let count = waiting.count.saturating_add(1);
                self.waiting = Some(Missed { last: slot, count, ..waiting });
            }
            (CatchUp::All { .. }, Some(_)) => {}
            (CatchUp::All { .. }, None) => {
                self.waiting = Some(Missed { first: slot, last: slot, count: 1, why });
            }
            (CatchUp::Last | CatchUp::None, _) => {
                self.miss_waiting(closed);
                self.drop_held(closed);
                self.settled = slot;
                self.held = Some(Held { slot, why });
            }
        }
    }

    /// Takes note of what came due and is not settled.
    pub(super) fn note_waiting(&mut self, clock: Clock<'_>, by: Timestamp) {
        let waiting = match (self.spec.catch_up, Slots::of(&self.spec, self.anchor())) {
            // What was known is known on.
            (_, None) => return,
            (CatchUp::Last | CatchUp::None, _) => None,
            (CatchUp::All { .. }, Some(slots)) => {
                // A clock that was put back makes nothing undone.
                let until = self.waiting.map_or(by, |waiting| waiting.last.max(by));
                slots.run(self.settled, until, Reason::AgentDown)
            }
        };
        self.waiting = waiting.map(|run| {
            // Why it waits is what it was when that was first seen.
            let known = self.waiting.filter(|known| known.first <= run.first && run.first <= known.last);
            Missed { why: known.map_or_else(|| self.why(clock, run.first, by), |known| known.why), ..run }
        });
    }

    /// What is known to wait is missed.
    pub(super) fn miss_waiting(&mut self, closed: &mut Vec<Missed>) {
        if let Some(run) = self.waiting.take().filter(|run| run.first > self.settled) {
            self.drop_held(closed);
            self.settled = run.last;
            self.join(run, closed);
        }
    }

    /// What waits to be caught up with is missed.
    pub(super) fn miss_all(&mut self, clock: Clock<'_>, by: Timestamp, closed: &mut Vec<Missed>) {
        let spec = self.spec.clone();
        if let (CatchUp::All { .. }, Some(slots)) = (spec.catch_up, Slots::of(&spec, self.anchor())) {
            self.miss_until(&slots, clock, by, by, closed);
            // A clock that was put back says less than what has come due.
            let waiting = self.waiting.take();
            self.waiting = waiting.and_then(|waiting| slots.run(self.settled, waiting.last, waiting.why));
        }
        self.miss_waiting(closed);
    }

    /// Every slot until then is missed.
    pub(super) fn miss_until(
        &mut self,
        slots: &Slots<'_>,
        clock: Clock<'_>,
        until: Timestamp,
        by: Timestamp,
        closed: &mut Vec<Missed>,
    ) {
        let mut at = self.settled;
        while at < until {
            // To where the reason changes.
            let starts = clock.gaps.iter().flat_map(|gap| [gap.from, gap.until]);
            let on_time = minus(by, ON_TIME).and_then(|on_time| minus(on_time, Millis(1)));
            let borders = starts.chain(on_time).filter(|border| *border > at && *border < until);
            let border = borders.min().unwrap_or(until);
            if let Some(first) = slots.next(at).filter(|first| *first <= border)
                && let Some(run) = slots.run(at, border, self.why(clock, first, by))
            {
                self.settled = run.last;
                self.join(run, closed);
            }
            at = border;
        }
    }

    /// Why a slot that came due does not start at once.
    fn why(&self, clock: Clock<'_>, slot: Timestamp, by: Timestamp) -> Reason {
        if self.spec.suspend {
            return Reason::Suspended;
        }
        let blocked = self.spec.concurrency == Concurrency::Forbid && !self.active.is_empty();
        if minus(by, ON_TIME).is_none_or(|limit| slot >= limit) {
            return if blocked { Reason::Forbidden } else { Reason::TooLate };
        }
        let gap = clock.gaps.iter().find(|gap| gap.from < slot && slot <= gap.until);
        match (gap, blocked) {
            (Some(gap), _) => gap.why,
            (None, true) => Reason::Forbidden,
            // Nothing else explains it: the device slept.
            (None, false) => Reason::AgentDown,
        }
    }

    /// The slot that was held back will not start any more.
    pub(super) fn drop_held(&mut self, closed: &mut Vec<Missed>) {
        if let Some(Held { slot, why }) = self.held.take() {
            self.join(Missed { first: slot, last: slot, count: 1, why }, closed);
        }
    }

    /// Its slots are others from now on: a run of missed ones has slots of one schedule only.
    pub(super) fn close_runs(&mut self, closed: &mut Vec<Missed>) {
        self.drop_held(closed);
        closed.extend(self.open.take());
    }

    /// A run goes on, or another begins.
    pub(super) fn join(&mut self, run: Missed, closed: &mut Vec<Missed>) {
        self.told = self.told.max(Some(run.last));
        match &mut self.open {
            Some(open) if open.why == run.why && open.last < run.first => {
                open.last = run.last;
                open.count = open.count.saturating_add(run.count);
            }
            _ => closed.extend(self.open.replace(run)),
        }
    }

    /// What `@every` counts from.
    pub(super) fn anchor(&self) -> Timestamp {
        self.last_schedule.unwrap_or(self.since)
    }

    /// Until when slots have come due whose Jobs are to start now.
    pub(super) fn due_by(&self, wall: Timestamp) -> Timestamp {
        minus(wall, self.spec.splay).unwrap_or(wall)
    }
}

/// So much earlier.
pub(super) fn minus(at: Timestamp, length: Millis) -> Option<Timestamp> {
    Timestamp::from_millisecond(at.as_millisecond().checked_sub(length.0)?).ok()
}

/// So much later.
pub(super) fn plus(at: Timestamp, length: Millis) -> Timestamp {
    let later = at.as_millisecond().saturating_add(length.0);
    Timestamp::from_millisecond(later).unwrap_or(Timestamp::MAX)
}
