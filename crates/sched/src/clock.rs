//! What the wall clock is worth: whether it can be believed, whether it was stepped, and since when slots went unnoticed.
//!
//! Slots are instants of the wall clock, and the wall clock may be anything: a device without a battery boots in 1970, NTP
//! sets it hours later, somebody sets it back. What passes on the steady axis tells a step from time.

use jiff::Timestamp;

use crate::cron_job::{Clock, Gap, Reason};
use crate::{Millis, Now};

/// A difference between the axes that is a step and not NTP's slewing, which is at most one in two thousand.
const STEP: Millis = Millis::from_secs(1);
const SLEW: i64 = 1000;
/// So many stretches are remembered.
const GAPS: usize = 16;

/// Keeps an eye on the clock, from the moment the agent is up.
#[derive(Clone, Debug)]
pub struct ClockWatch {
    opened: Now,
    last: Now,
    /// No clock that is right says less.
    not_before: Timestamp,
    /// The last time on record when the agent went up.
    recorded: Option<Timestamp>,
    plausible: bool,
    gaps: Vec<Gap>,
}

/// What became of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockNews {
    /// It was set to another time.
    Stepped {
        /// What it would have said.
        from: Timestamp,
        /// What it says.
        to: Timestamp,
    },
    /// From now on it is believed. The agent went up at this time by it.
    Plausible {
        /// What the clock would have said when the agent went up.
        up_since: Timestamp,
    },
    /// It is not believed any more.
    Implausible,
}

impl ClockWatch {
    /// The agent is up. `recorded` is the last time on record.
    pub fn new(now: Now, not_before: Timestamp, recorded: Option<Timestamp>) -> ClockWatch {
        let mut watch =
            ClockWatch { opened: now, last: now, not_before, recorded, plausible: false, gaps: Vec::new() };
        watch.plausible = watch.is_late_enough(now.wall);
        if watch.plausible {
            watch.remember(Timestamp::MIN, now.wall, Reason::AgentDown);
        }
        watch
    }

    /// Looks at the clock, which is to be done at least once a minute while anything depends on it.
    pub fn look(&mut self, now: Now) -> Vec<ClockNews> {
        let mut news = Vec::new();
        let passed = now.steady - self.last.steady;
        let expected = later(self.last.wall, passed);
        let off = now.wall.as_millisecond().saturating_sub(expected.as_millisecond());
        self.last = now;
        let stepped = off.unsigned_abs() >= STEP.0.saturating_add(passed.0.max(0) / SLEW).unsigned_abs();
        if stepped {
            news.push(ClockNews::Stepped { from: expected, to: now.wall });
        }
        if self.plausible {
            if now.wall < self.not_before {
                self.plausible = false;
                // Whatever it says next was set by somebody.
                self.recorded = None;
                self.opened = now;
                news.push(ClockNews::Implausible);
            } else if stepped && off > 0 {
                self.remember(expected, now.wall, Reason::JumpedOver);
            }
        } else if self.is_late_enough(now.wall) || stepped && now.wall >= self.not_before {
            self.plausible = true;
            let up_since = later(now.wall, self.opened.steady - now.steady);
            self.remember(Timestamp::MIN, up_since, Reason::AgentDown);
            self.remember(up_since, now.wall, Reason::ClockNotPlausible);
            news.push(ClockNews::Plausible { up_since });
        }
        news
    }

    /// The time, for decisions about slots.
    pub fn clock(&self) -> Clock<'_> {
        Clock { wall: self.last.wall, plausible: self.plausible, gaps: &self.gaps }
    }

    /// Whether the clock is believed.
    pub fn is_plausible(&self) -> bool {
        self.plausible
    }

    /// When a clock that is not believed will be, if nobody sets it.
    pub fn plausible_from(&self) -> Option<Timestamp> {
        (!self.plausible).then(|| self.recorded.map_or(self.not_before, |at| at.max(self.not_before)))
    }

    fn is_late_enough(&self, wall: Timestamp) -> bool {
        wall >= self.not_before && self.recorded.is_none_or(|recorded| wall >= recorded)
    }

    fn remember(&mut self, from: Timestamp, until: Timestamp, why: Reason) {
        if self.gaps.len() == GAPS {
            self.gaps.remove(0);
        }
        self.gaps.push(Gap { from, until, why });
    }
}

fn later(at: Timestamp, by: Millis) -> Timestamp {
    let ms = at.as_millisecond().saturating_add(by.0);
    let nearest = if by.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(ms).unwrap_or(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Steady;

    fn now(wall: &str, steady_seconds: i64) -> Now {
        Now { wall: wall.parse().unwrap(), steady: Steady(steady_seconds * 1000) }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn time_off_is_a_gap_and_slewing_is_no_step() {
        let recorded = Some(at("2026-05-01T10:00:00Z"));
        let mut watch = ClockWatch::new(now("2026-05-01T12:00:00Z", 0), at("2026-01-01T00:00:00Z"), recorded);
        assert!(watch.is_plausible());
        assert_eq!(watch.look(now("2026-05-01T13:00:01.5Z", 3600)), []);
        let clock = watch.clock();
        assert_eq!(clock.gaps.len(), 1);
        assert_eq!((clock.gaps[0].until, clock.gaps[0].why), (at("2026-05-01T12:00:00Z"), Reason::AgentDown));
    }

    #[test]
    fn a_step_forward_is_a_gap_and_one_back_is_none() {
        let mut watch = ClockWatch::new(now("2026-05-01T12:00:00Z", 0), at("2026-01-01T00:00:00Z"), None);
        let news = watch.look(now("2026-05-01T15:00:10Z", 10));
        let (from, to) = (at("2026-05-01T12:00:10Z"), at("2026-05-01T15:00:10Z"));
        assert_eq!(news, [ClockNews::Stepped { from, to }]);
        assert_eq!(watch.clock().gaps[1], Gap { from, until: to, why: Reason::JumpedOver });
        watch.look(now("2026-05-01T12:00:20Z", 20));
        assert_eq!(watch.clock().gaps.len(), 2);
        assert!(watch.is_plausible());
    }

    #[test]
    fn a_clock_that_was_never_set_is_believed_once_it_is() {
        let recorded = Some(at("2026-05-01T10:00:00Z"));
        let mut watch = ClockWatch::new(now("1970-01-01T00:00:05Z", 0), at("2026-01-01T00:00:00Z"), recorded);
        assert!(!watch.is_plausible());
        assert_eq!(watch.look(now("1970-01-01T00:10:05Z", 600)), []);
        let news = watch.look(now("2026-05-02T08:00:00Z", 900));
        let up_since = at("2026-05-02T07:45:00Z");
        assert_eq!(news.last(), Some(&ClockNews::Plausible { up_since }));
        let gaps = watch.clock().gaps;
        assert_eq!(gaps[0], Gap { from: Timestamp::MIN, until: up_since, why: Reason::AgentDown });
        assert_eq!(gaps[1].why, Reason::ClockNotPlausible);
    }

    #[test]
    fn a_clock_behind_the_record_is_believed_when_it_is_set_or_gets_there() {
        let recorded = Some(at("2026-05-01T10:00:00Z"));
        let behind = || ClockWatch::new(now("2026-05-01T09:00:00Z", 0), at("2026-01-01T00:00:00Z"), recorded);
        let mut waits = behind();
        assert_eq!(waits.plausible_from(), recorded);
        assert_eq!(waits.look(now("2026-05-01T09:59:59Z", 3599)), []);
        assert!(matches!(waits.look(now("2026-05-01T10:00:00Z", 3600))[..], [ClockNews::Plausible { .. }]));
        let mut set_back = behind();
        let news = set_back.look(now("2026-05-01T08:00:00Z", 60));
        assert!(matches!(news[..], [ClockNews::Stepped { .. }, ClockNews::Plausible { .. }]));
    }
}
