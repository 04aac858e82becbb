//! Times as messages carry them, from and to the types decisions are made in.

use jiff::Timestamp;
use prost_types::Timestamp as Message;

/// In whole seconds, as Kubernetes stores times; the fraction is dropped.
pub fn seconds(at: Timestamp) -> Message {
    Message { seconds: at.as_millisecond().div_euclid(1000), nanos: 0 }
}

/// With its fraction.
pub fn exact(at: Timestamp) -> Message {
    let nanos = at.as_nanosecond();
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
    Message { seconds, nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or(0) }
}

/// The instant a message tells of; what lies outside the calendar (years −9999 to 9999) becomes 1970.
pub fn instant(message: &Message) -> Timestamp {
    Timestamp::new(message.seconds, message.nanos).unwrap_or_default()
}
