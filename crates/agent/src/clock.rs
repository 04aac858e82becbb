//! The only reader of clocks: the wall clock for people, and the steady axis for deadlines and delays.
//!
//! The steady axis goes on where the last commit left it, plus the time the agent was off where the wall clock is
//! plausible, and from then on with the kernel's boot-time clock, which counts suspend and knows no steps.

use engine::StoredTime;
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use sched::{Now, Steady};

/// No release of Wick is older: a wall clock before this (2026-01-01) is that of a device without a battery.
const NOT_BEFORE_MS: i64 = 1_767_225_600_000;

/// Tells the time, on both axes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The steady axis where the boot-time clock was zero.
    origin_ms: i64,
}

impl Clock {
    /// Goes on from the time of the last commit.
    pub(crate) fn resume(stored: Option<StoredTime>) -> Clock {
        Clock { origin_ms: resume_at(stored, wall().as_millisecond()) - boot_ms() }
    }

    /// Now.
    pub(crate) fn now(&self) -> Now {
        Now { wall: wall(), steady: Steady(self.origin_ms + boot_ms()) }
    }

    /// Now, for people only.
    pub(crate) fn wall(&self) -> Timestamp {
        wall()
    }
}

/// A wall clock that says less was never set.
pub(crate) fn not_before() -> Timestamp {
    Timestamp::from_millisecond(NOT_BEFORE_MS).unwrap_or_default()
}

/// Where the steady axis goes on at `wall_ms`.
pub(crate) fn resume_at(stored: Option<StoredTime>, wall_ms: i64) -> i64 {
    let Some(stored) = stored else { return 0 };
    let plausible = wall_ms >= NOT_BEFORE_MS && stored.wall_ms >= NOT_BEFORE_MS && wall_ms >= stored.wall_ms;
    let off = if plausible { wall_ms - stored.wall_ms } else { 0 };
    stored.steady_ms.saturating_add(off)
}

fn wall() -> Timestamp {
    Timestamp::now()
}

fn boot_ms() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_axis_counts_time_off_only_by_a_plausible_clock() {
        let at = NOT_BEFORE_MS + 1_000_000;
        let stored = Some(StoredTime { wall_ms: at, steady_ms: 5_000 });
        assert_eq!(resume_at(None, at), 0);
        assert_eq!(resume_at(stored, at + 7_000), 12_000);
        assert_eq!(resume_at(stored, at - 7_000), 5_000, "the wall clock went back");
        assert_eq!(resume_at(stored, 3_000), 5_000, "a device that booted in 1970");
        let stored_in_1970 = Some(StoredTime { wall_ms: 3_000, steady_ms: 5_000 });
        assert_eq!(resume_at(stored_in_1970, at), 5_000, "the clock was set since");
    }
}
