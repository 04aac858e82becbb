//! Durations as Go writes them, for `@every`.

/// Nanoseconds of each unit; the micro sign and the Greek letter both stand for micro.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The whole seconds of a duration such as `1h30m10.5s`, at least 1: less than a second, zero and below zero are one second,
/// as in Kubernetes. `None` if it is no duration, or longer than 2⁶³ nanoseconds.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let (negative, magnitude) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    // A zero alone needs no unit.
    if magnitude == "0" {
        return Some(1);
    }
    let nanos = nanoseconds(magnitude)?;
    // One more is allowed below zero.
    if nanos > i64::MAX.unsigned_abs() + u64::from(negative) {
        return None;
    }
    let seconds = if negative { 1 } else { (nanos / 1_000_000_000).max(1) };
    i64::try_from(seconds).ok()
}

fn nanoseconds(mut text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !text.is_empty() {
        let (whole, rest) = digits(text);
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => digits(rest),
            None => ("", rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(end);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let nanos = whole.checked_mul(*scale)?.checked_add(part(fraction, *scale))?;
        total = total.checked_add(nanos).filter(|total| *total <= 1 << 63)?;
        text = rest;
    }
    Some(total)
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// `0.fraction` of a unit; digits beyond what a u64 holds do not matter.
fn part(fraction: &str, scale: u64) -> u64 {
    let fraction = &fraction[..fraction.len().min(18)];
    let Ok(value) = fraction.parse::<u128>() else { return 0 };
    let places = u32::try_from(fraction.len()).unwrap_or(18);
    u64::try_from(value * u128::from(scale) / 10u128.pow(places)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn reads_what_go_reads() {
        for (text, expected) in [
            ("1h30m", 5400),
            ("1m1h", 3660),
            ("1h30m10.25s", 5410),
            ("2s999ms", 2),
            (".5h", 1800),
            ("90s", 90),
            ("1000000µs", 1),
            ("3000000μs", 3),
            ("0", 1),
            ("+0", 1),
            ("-1h", 1),
            ("1ns", 1),
            ("2540400h", 2_540_400 * 3600),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "", "1", "90", "1d", "1 h", "1h 30m", "1hour", "-", "+", ".s", "1..5s", "1h;", "1h-30m", "0x1s",
            "2562048h", "٣s",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
