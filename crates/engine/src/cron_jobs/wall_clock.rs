//! The wall clock, which slots go by: when CronJobs are due, what is told of a clock that was set, and what follows from zone
//! data that changed.

use jiff::Timestamp;
use sched::clock::ClockNews;
use sched::{Millis, Now, Steady};

use crate::effect::Milestone;
use crate::engine::Engine;
use crate::event::{ObjectKey, Reply};
use crate::transaction::{Transaction, reference};

impl Engine {
    /// The device's zone data is not what it was: zones are looked up again, each when its CronJob is looked at next.
    pub(crate) fn zones_changed(&mut self, tx: &mut Transaction) {
        if !self.cron_jobs.is_empty() {
            let message = "the device's zone data changed: slots go by it from now on";
            self.tell_of_node(false, "TimeZonesChanged", message.to_owned(), tx);
        }
        self.to_rezone.extend(self.cron_jobs.keys());
        self.dirty_cron_jobs.extend(self.cron_jobs.keys());
        tx.reply(Ok(Reply::Done));
    }

    /// Takes up what has become known of the device since the CronJob was last looked at.
    pub(super) fn take_up_news(&mut self, ordinal: u64, tx: &mut Transaction) {
        let Some(entry) = self.cron_jobs.get_mut(&ordinal) else { return };
        if let Some(up_since) = self.up_since.filter(|_| self.clock.is_plausible())
            && self.made_early.remove(&ordinal)
        {
            entry.state.due_since(up_since);
            tx.touch_cron_job(ordinal, entry.bytes());
        }
        if !self.to_rezone.remove(&ordinal) {
            return;
        }
        let spec = api::cron_job::spec(entry.current(), &*self.config.zones, &self.config.node_name);
        if spec.zone != entry.state.spec.zone {
            let closed = entry.state.rezone(spec.zone, self.clock.clock());
            tx.touch_cron_job(ordinal, entry.bytes());
            self.tell_missed(ordinal, closed, tx);
        }
    }

    /// Whether the clock says what it should, and what follows if it does not.
    pub(crate) fn look_at_clock(&mut self, tx: &mut Transaction) {
        for news in self.clock.look(tx.now) {
            tx.milestones.push(Milestone::Clock(news));
            let (warning, reason, message) = match news {
                ClockNews::Stepped { from, to } => {
                    (true, "ClockStepped", format!("the clock was set from {from} to {to}"))
                }
                ClockNews::Plausible { .. } => {
                    (false, "ClockPlausible", format!("the clock is set: it is {}", tx.now.wall))
                }
                ClockNews::Implausible => (
                    true,
                    "ClockNotPlausible",
                    format!("the clock says {}: no slot starts a Job", tx.now.wall),
                ),
            };
            self.tell_of_node(warning, reason, message, tx);
            if let ClockNews::Plausible { up_since } = news {
                self.date_early_ones(up_since);
                self.dirty_cron_jobs.extend(self.cron_jobs.keys());
            }
        }
    }

    /// CronJobs that were made before the clock was set are due from when that will have been.
    pub(crate) fn date_early_ones(&mut self, up_since: Timestamp) {
        let not_before = self.config.not_before;
        let early = self.cron_jobs.iter().filter(|(_, entry)| entry.state.since < not_before);
        self.made_early.extend(early.map(|(ordinal, _)| *ordinal));
        self.up_since = Some(up_since);
    }

    fn tell_of_node(&self, warning: bool, reason: &'static str, message: String, tx: &mut Transaction) {
        let key = ObjectKey::new("", self.config.node_name.clone());
        let node = reference("Node", "v1", &key, &self.config.node_name);
        tx.note(node, "wickd", warning, reason, message);
    }

    /// Has every CronJob looked at that is due. False if there is none.
    pub(crate) fn look_at_due_slots(&mut self, wall: Timestamp) -> bool {
        let mut any = false;
        while self.slots_are_due(wall)
            && let Some((_, ordinal)) = self.slots.pop_first()
        {
            any = true;
            if let Some(entry) = self.cron_jobs.get_mut(&ordinal) {
                entry.wake = None;
            }
            self.dirty_cron_jobs.insert(ordinal);
        }
        any
    }

    pub(crate) fn slots_are_due(&self, wall: Timestamp) -> bool {
        self.clock.is_plausible() && self.slots.first().is_some_and(|(at, _)| *at <= wall)
    }

    /// Whether a clock that was not believed is to be, once it is looked at.
    pub(crate) fn clock_is_due(&self, wall: Timestamp) -> bool {
        !self.cron_jobs.is_empty() && self.clock.plausible_from().is_some_and(|at| at <= wall)
    }

    /// When, on the steady axis, a CronJob is due or the clock is to be looked at, if nobody sets it before.
    pub(crate) fn next_slot_due(&self, now: Now) -> Option<Steady> {
        let at = match self.clock.plausible_from() {
            Some(at) if !self.cron_jobs.is_empty() => at,
            Some(_) => return None,
            None => self.slots.first()?.0,
        };
        // Not a moment too soon: a look before its time would be followed by another at once.
        let left = (at.as_nanosecond() - now.wall.as_nanosecond()).max(0);
        let finer_than_ms = now.wall.subsec_nanosecond() % 1_000_000 != 0;
        let left = i64::try_from(left / 1_000_000 + if finer_than_ms { 2 } else { 0 }).unwrap_or(i64::MAX);
        Some(now.steady + Millis(left))
    }
}
