use std::ops::{Add, Sub};

use jiff::Timestamp;

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub i64);

impl Millis {
    /// So many seconds; saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }
}

/// A point on the steady axis, in milliseconds: it moves with real time, also across restarts, and never with steps of the
/// wall clock. Deadlines, delays and grace are measured on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Steady(pub i64);

impl Add<Millis> for Steady {
    type Output = Steady;

    fn add(self, length: Millis) -> Steady {
        Steady(self.0.saturating_add(length.0))
    }
}

impl Sub for Steady {
    type Output = Millis;

    fn sub(self, earlier: Steady) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

/// The time, on both axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What people see, and what schedules mean. It may jump.
    pub wall: Timestamp,
    /// What deadlines and delays are measured on. It does not.
    pub steady: Steady,
}

/// For tests here and elsewhere: so many milliseconds after 1970 on both axes.
impl Now {
    /// Both axes at the same number of milliseconds.
    pub fn at(ms: i64) -> Self {
        Self { wall: Timestamp::from_millisecond(ms).unwrap_or_default(), steady: Steady(ms) }
    }
}
