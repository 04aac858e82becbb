//! How long ago, in the few characters Kubernetes' tables have for it.
//!
//! The rules are kubectl's, to the character: people compare the two. Reading the clock is left to [`crate::clock`].

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// The time from `then` to `now`, or `<unknown>` without a `then`.
pub(crate) fn age(then: Option<Timestamp>, now: Timestamp) -> String {
    match then {
        Some(then) => between(then, now),
        None => "<unknown>".to_owned(),
    }
}

/// The time from `start` to `end`.
pub(crate) fn between(start: Timestamp, end: Timestamp) -> String {
    human(end.duration_since(start).as_secs())
}

/// A number of whole seconds. Clocks of two programs differ a little, so what began a second from now began now.
fn human(seconds: i64) -> String {
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds, MINUTE, "m", 1, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds, HOUR, "h", MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds, DAY, "d", HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(seconds, YEAR, "y", DAY, "d"),
        252_288_000.. => format!("{}y", seconds / YEAR),
    }
}

/// A large unit, and a small one unless it is zero.
fn two(seconds: i64, large: i64, large_name: &str, small: i64, small_name: &str) -> String {
    match seconds % large / small {
        0 => format!("{}{large_name}", seconds / large),
        rest => format!("{}{large_name}{rest}{small_name}", seconds / large),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn below_two_minutes_are_seconds() {
        check(&[0, 1, 59, 60, 119], expect!["0s 1s 59s 60s 119s"]);
    }

    #[test]
    fn below_ten_minutes_are_minutes_and_seconds() {
        check(&[120, 121, 180, 599], expect!["2m 2m1s 3m 9m59s"]);
    }

    #[test]
    fn below_three_hours_are_minutes() {
        check(&[600, 659, 10_799], expect!["10m 10m 179m"]);
    }

    #[test]
    fn below_eight_hours_are_hours_and_minutes() {
        check(&[10_800, 10_859, 10_860, 28_799], expect!["3h 3h 3h1m 7h59m"]);
    }

    #[test]
    fn below_two_days_are_hours() {
        check(&[28_800, 172_799], expect!["8h 47h"]);
    }

    #[test]
    fn below_eight_days_are_days_and_hours() {
        check(&[172_800, 2 * DAY + HOUR, 8 * DAY - 1], expect!["2d 2d1h 7d23h"]);
    }

    #[test]
    fn below_two_years_are_days() {
        check(&[8 * DAY, 2 * YEAR - 1], expect!["8d 729d"]);
    }

    #[test]
    fn below_eight_years_are_years_and_days_and_beyond_are_years() {
        check(
            &[2 * YEAR, 2 * YEAR + DAY, 8 * YEAR - 1, 8 * YEAR, 100 * YEAR],
            expect!["2y 2y1d 7y364d 8y 100y"],
        );
    }

    #[test]
    fn what_is_to_come_is_invalid_beyond_a_second() {
        check(&[-1, -2, i64::MIN], expect!["0s <invalid> <invalid>"]);
    }

    #[test]
    fn what_never_was_is_unknown() {
        assert_eq!(age(None, Timestamp::UNIX_EPOCH), "<unknown>");
    }

    fn check(seconds: &[i64], wanted: Expect) {
        let said: Vec<String> = seconds.iter().map(|seconds| human(*seconds)).collect();
        wanted.assert_eq(&said.join(" "));
    }
}
