//! What each setting may be, the same for flags, the environment and the file. An error says what would be right.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::logging;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

pub(super) fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.replacen("localhost:", "127.0.0.1:", 1);
    let address: SocketAddr =
        address.parse().map_err(|_| "not an address and a port, such as 127.0.0.1:7180".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("plain text is for loopback only: use 127.0.0.1 or [::1], or the Unix socket".to_owned())
    }
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("must be an absolute path".to_owned()) }
}

pub(super) fn node_name(text: &str) -> Result<String, String> {
    match api::names::dns_subdomain(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(must) => Err(must.to_string()),
    }
}

/// Which zones there are depends on the device, but for those of the bundled copy.
pub(super) fn time_zone(text: &str) -> Result<String, String> {
    match zones::Zones::open(Some(text)) {
        Ok(_) => Ok(text.to_owned()),
        Err(unknown) => Err(format!("no time zone this device knows; {}", unknown.advice())),
    }
}

/// Which groups there are is seen when the agent starts.
pub(super) fn group(text: &str) -> Result<String, String> {
    let fine = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.$".contains(c));
    if fine { Ok(text.to_owned()) } else { Err("not the name of a group, nor its number".to_owned()) }
}

pub(super) fn log_level(text: &str) -> Result<String, String> {
    let known = text.split(',').all(|part| {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
        LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level))
    });
    if known && logging::directives(text).is_ok() {
        return Ok(text.to_owned());
    }
    let levels = LEVELS.join(", ");
    let hint = nearest(text, LEVELS).map_or(String::new(), |level| format!("; did you mean `{level}`?"));
    Err(format!("not one of {levels}, nor directives such as info,runtime=debug{hint}"))
}

pub(super) fn guests(text: &str) -> Result<u64, String> {
    number(text, 1..=10_000)
}

/// What a 32-bit memory can be grown to.
pub(super) const GUEST_MEMORY_MIB_MAX: u64 = 4096;

pub(super) fn guest_memory_mib(text: &str) -> Result<u64, String> {
    number(text, 1..=GUEST_MEMORY_MIB_MAX)
}

pub(super) fn max_image_mib(text: &str) -> Result<u64, String> {
    number(text, 1..=1024)
}

pub(super) fn log_kib(text: &str) -> Result<u64, String> {
    number(text, 64..=1_048_576)
}

pub(super) fn max_jobs(text: &str) -> Result<u64, String> {
    number(text, 1..=100_000)
}

pub(super) fn max_live_pods(text: &str) -> Result<u64, String> {
    number(text, 1..=100_000)
}

pub(super) fn max_objects_mib(text: &str) -> Result<u64, String> {
    number(text, 4..=4096)
}

pub(super) fn keep_pods(text: &str) -> Result<u64, String> {
    number(text, 0..=100_000)
}

pub(super) fn keep_pods_mib(text: &str) -> Result<u64, String> {
    number(text, 1..=1 << 20)
}

pub(super) fn ledger_days(text: &str) -> Result<u64, String> {
    number(text, 1..=3650)
}

pub(super) fn ledger_bytes(text: &str) -> Result<u64, String> {
    number(text, 16 << 10..=1 << 40)
}

pub(super) fn drain_seconds(text: &str) -> Result<u64, String> {
    number(text, 0..=3600)
}

fn number(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let (least, most) = (range.start(), range.end());
    let value: i128 = text.parse().map_err(|_| format!("must be a whole number from {least} to {most}"))?;
    match u64::try_from(value) {
        Ok(value) if range.contains(&value) => Ok(value),
        _ if value < i128::from(*least) => Err(format!("{value} is too few; the least is {least}")),
        _ => Err(format!("{value} is too many; the most is {most}")),
    }
}

/// The word that was probably meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|known| (strsim::jaro_winkler(word, known), known));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_for_loopback_only() {
        assert!(loopback("127.0.0.1:0").is_ok());
        assert!(loopback("[::1]:7180").is_ok());
        assert!(loopback("localhost:7180").is_ok());
        for refused in ["0.0.0.0:7180", "192.0.2.1:7180", "[::]:7180", "7180", "example.com:80"] {
            assert!(loopback(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_level_that_is_none_is_no_quiet_directive() {
        for fine in ["info", "WARN", "info,runtime=debug", "wickd=trace", "off"] {
            assert!(log_level(fine).is_ok(), "{fine}");
        }
        for wrong in ["", "inof", "info,runtime", "runtime=loud", "3"] {
            assert!(log_level(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_zone_that_is_none_is_told_which_was_meant() {
        assert_eq!(time_zone("Asia/Seoul"), Ok("Asia/Seoul".into()));
        let refused = Err("no time zone this device knows; did you mean `UTC`?".into());
        assert_eq!(time_zone("utc"), refused);
        assert!(time_zone("").is_err());
    }

    #[test]
    fn numbers_have_both_ends() {
        assert_eq!(number("1", 1..=3), Ok(1));
        assert_eq!(number("3", 1..=3), Ok(3));
        assert_eq!(number("0", 1..=3), Err("0 is too few; the least is 1".into()));
        assert_eq!(number("-7", 0..=3), Err("-7 is too few; the least is 0".into()));
        assert_eq!(number("4", 1..=3), Err("4 is too many; the most is 3".into()));
        assert_eq!(number("4 MiB", 1..=3), Err("must be a whole number from 1 to 3".into()));
    }
}
