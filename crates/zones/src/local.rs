//! The device's own zone: as configured or, if it is not, as its system says.

use std::path::Path;

use jiff::tz::TimeZone;

use crate::device::{self, Stamp};
use crate::{Places, names};

/// What a zone is called that has rules but no name.
const UNNAMED: &str = "Local";

/// What changes when the device is given another zone.
pub(crate) fn stamps(etc: &Path) -> Vec<Stamp> {
    ["localtime", "timezone"].map(|file| Stamp::of(&etc.join(file))).into()
}

/// The device's own zone and its name.
pub(crate) fn find(
    places: &Places,
    configured: Option<&str>,
    find: impl Fn(&str) -> Option<TimeZone>,
) -> (String, TimeZone) {
    let named = |name: &str| find(name).map(|zone| (name.to_owned(), zone));
    configured
        .and_then(named)
        .or_else(|| from_variable(places.tz.as_deref()?, named))
        .or_else(|| from_files(places.etc.as_deref()?, named))
        .unwrap_or(("UTC".to_owned(), TimeZone::UTC))
}

/// As `TZ` has it: a name, a path to a zone's file, or rules as POSIX writes them; a colon may come first.
fn from_variable(
    text: &str,
    named: impl Fn(&str) -> Option<(String, TimeZone)>,
) -> Option<(String, TimeZone)> {
    let text = text.strip_prefix(':').unwrap_or(text);
    let utc = || ("UTC".to_owned(), TimeZone::UTC);
    if text.is_empty() {
        return Some(utc());
    }
    let by_name = named(text).or_else(|| named(name_in(Path::new(text))?));
    let by_path = || Path::new(text).is_absolute().then(|| unnamed(Path::new(text))).flatten();
    let by_rules = || TimeZone::posix(text).ok().map(|zone| (text.to_owned(), zone));
    // One that means nothing is UTC, as in every C library.
    Some(by_name.or_else(by_path).or_else(by_rules).unwrap_or_else(utc))
}

/// As `/etc` has it: where `localtime` leads to, what `timezone` says, or what is in `localtime`.
fn from_files(etc: &Path, named: impl Fn(&str) -> Option<(String, TimeZone)>) -> Option<(String, TimeZone)> {
    let localtime = etc.join("localtime");
    let link = std::fs::read_link(&localtime).ok();
    let by_link = link.as_deref().and_then(name_in).and_then(&named);
    let by_text = || {
        let text = device::read(&etc.join("timezone"))?;
        named(std::str::from_utf8(&text).ok()?.lines().next()?.trim())
    };
    by_link.or_else(by_text).or_else(|| unnamed(&localtime))
}

fn unnamed(path: &Path) -> Option<(String, TimeZone)> {
    let zone = TimeZone::tzif(UNNAMED, &device::read(path)?).ok()?;
    Some((UNNAMED.to_owned(), zone))
}

/// The zone's name in a path such as `/usr/share/zoneinfo/Europe/Berlin`.
fn name_in(path: &Path) -> Option<&str> {
    let (_, name) = path.to_str()?.rsplit_once("/zoneinfo/")?;
    let name = name.strip_prefix("posix/").or_else(|| name.strip_prefix("right/")).unwrap_or(name);
    Some(name).filter(|name| names::is_name(name))
}
