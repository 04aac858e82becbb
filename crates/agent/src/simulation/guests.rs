//! Guests that only pretend: how long each runs, how it ends, and what it does when it is asked to stop.

use std::collections::BTreeMap;

use api::pb::wick::v1::SimulationGuest;
use engine::GuestId;
use sched::Exit;

use super::scenario::{Rule, Stop};

/// What of a Pod and its Job rules can ask for.
#[derive(Clone, Debug, Default)]
pub(super) struct PodFacts {
    pub(super) job: String,
    pub(super) cron_job: Option<String>,
    /// Which Pod of its Job it is, from 1; 0 for one without a Job.
    pub(super) nth: u32,
    pub(super) index: Option<u32>,
}

/// A guest that has ended.
pub(super) struct Ended {
    pub(super) id: GuestId,
    pub(super) guest: SimulationGuest,
    pub(super) exit: Exit,
    /// How long it ran, in milliseconds.
    pub(super) ran: i64,
}

/// Those that run, and what is to come of them.
pub(super) struct Guests {
    rules: Vec<Rule>,
    running: BTreeMap<GuestId, Running>,
    /// By the time they end, and in the order in which that was settled.
    ends: BTreeMap<(i64, u64), GuestId>,
    settled: u64,
}

struct Running {
    guest: SimulationGuest,
    exit: Exit,
    since: i64,
    due: Option<(i64, u64)>,
    stop: Option<Stop>,
    /// It was asked to stop.
    asked: bool,
}

impl Guests {
    pub(super) fn new(mut rules: Vec<Rule>) -> Guests {
        // No probe and no hook runs a command of its own yet: such rules speak of none.
        rules.retain(|rule| !rule.hook);
        Guests { rules, running: BTreeMap::new(), ends: BTreeMap::new(), settled: 0 }
    }

    /// How many run.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// A guest starts at `t` (milliseconds, as every time here).
    pub(super) fn start(&mut self, id: GuestId, guest: SimulationGuest, facts: &PodFacts, t: i64) {
        let rule = self.rules.iter().find(|rule| matches(rule, &guest, facts));
        let (run, exit, stop) = match rule {
            Some(rule) => (rule.run, rule.exit.clone(), rule.stop.clone()),
            None => (Some(0), Exit::Code(0), None),
        };
        self.running.insert(id, Running { guest, exit, since: t, due: None, stop, asked: false });
        if let Some(run) = run {
            self.settle(id, t.saturating_add(run));
        }
    }

    /// A guest is asked to stop. How it then ends replaces how it would have ended. `None` if it was asked before, or has ended.
    pub(super) fn stop(&mut self, id: GuestId, t: i64) -> Option<SimulationGuest> {
        let running = self.running.get_mut(&id).filter(|running| !running.asked)?;
        running.asked = true;
        let guest = running.guest.clone();
        match running.stop.take() {
            None => self.kill(id, t),
            // Deaf to it: it goes on until it ends or is killed.
            Some(Stop { after: None, .. }) => {}
            Some(Stop { after: Some(after), exit }) => {
                running.exit = exit;
                self.settle(id, t.saturating_add(after));
            }
        }
        Some(guest)
    }

    /// A guest is killed.
    pub(super) fn kill(&mut self, id: GuestId, t: i64) {
        let Some(running) = self.running.get_mut(&id) else { return };
        // One whose end has come already had it first.
        if running.due.is_none_or(|(at, _)| at > t) {
            running.exit = Exit::Stopped;
            self.settle(id, t);
        }
    }

    /// When the next one ends.
    pub(super) fn next_end(&self) -> Option<i64> {
        self.ends.first_key_value().map(|((at, _), _)| *at)
    }

    /// Those that have ended by `t`, in order.
    pub(super) fn take_ended(&mut self, t: i64) -> Vec<Ended> {
        let mut ended = Vec::new();
        while let Some(first) = self.ends.first_entry().filter(|first| first.key().0 <= t) {
            let ((at, _), id) = first.remove_entry();
            if let Some(Running { guest, exit, since, .. }) = self.running.remove(&id) {
                ended.push(Ended { id, guest, exit, ran: at.saturating_sub(since) });
            }
        }
        ended
    }

    /// All of them are gone; says how many there were.
    pub(super) fn power_cut(&mut self) -> usize {
        self.ends.clear();
        std::mem::take(&mut self.running).len()
    }

    fn settle(&mut self, id: GuestId, at: i64) {
        let Some(running) = self.running.get_mut(&id) else { return };
        self.settled += 1;
        if let Some(before) = running.due.replace((at, self.settled)) {
            self.ends.remove(&before);
        }
        self.ends.insert((at, self.settled), id);
    }
}

fn matches(rule: &Rule, guest: &SimulationGuest, facts: &PodFacts) -> bool {
    let is = |asked: Option<u32>, value: Option<u32>| asked.is_none() || asked == value;
    rule.job.as_ref().is_none_or(|job| job.matches(&facts.job))
        && rule
            .cron_job
            .as_ref()
            .is_none_or(|cron_job| facts.cron_job.as_ref().is_some_and(|name| cron_job.matches(name)))
        && rule.container.as_ref().is_none_or(|container| *container == guest.container)
        && is(rule.index, facts.index)
        && is(rule.pod, Some(facts.nth))
        && is(rule.start, Some(guest.start))
}
