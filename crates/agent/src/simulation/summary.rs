//! What became of a simulated world, in numbers, kept as it goes.

use std::collections::BTreeMap;

use api::pb::wick::v1::SimulationFinal;
use jiff::Timestamp;
use sched::Exit;

/// Minutes whose starts are remembered at once; a clock that goes on moves older ones out.
const MINUTES: usize = 8;

#[derive(Default)]
pub(super) struct Summary {
    pub(super) told: SimulationFinal,
    /// Starts in the last minutes, by the wall clock.
    minutes: BTreeMap<i64, u64>,
}

impl Summary {
    pub(super) fn started(&mut self, restart: bool, running: usize, wall: Timestamp) {
        self.told.starts += 1;
        self.told.restarts += u64::from(restart);
        self.told.most_at_once = self.told.most_at_once.max(running as u64);
        let minute = wall.as_second().div_euclid(60);
        let starts = self.minutes.entry(minute).or_default();
        *starts += 1;
        if *starts > self.told.busiest_starts {
            self.told.busiest_starts = *starts;
            self.told.busiest_minute = Some(prost_types::Timestamp { seconds: minute * 60, nanos: 0 });
        }
        if self.minutes.len() > MINUTES {
            self.minutes.pop_first();
        }
    }

    pub(super) fn slot_started(&mut self, overlaps: bool) {
        self.told.slots += 1;
        self.told.slots_started += 1;
        self.told.overlaps += u64::from(overlaps);
    }

    pub(super) fn slots_missed(&mut self, count: u64, why: &str) {
        self.told.slots = self.told.slots.saturating_add(count);
        let missed = self.told.slots_missed.entry(why.to_owned()).or_default();
        *missed = missed.saturating_add(count);
    }

    pub(super) fn ended(&mut self, exit: &Exit) {
        if !exit.succeeded() {
            *self.told.failures.entry(exit.reason().to_owned()).or_default() += 1;
        }
    }

    pub(super) fn job_ended(&mut self, reason: &str, failed: bool) {
        if failed {
            *self.told.jobs_failed.entry(reason.to_owned()).or_default() += 1;
        } else {
            self.told.jobs_completed += 1;
        }
    }
}
