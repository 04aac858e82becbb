//! What a CronJob asks for beyond Kubernetes, in annotations on itself.

use std::collections::BTreeMap;

use sched::Millis;
use sched::cron::Dst;
use sched::cron_job::CatchUp;

use crate::container::ALLOW_NET;
use crate::field_error::{FieldErrors, FieldPath};
use crate::pb::k8s::batch::v1::CronJob;
use crate::support::Warning;

/// Annotation: what happens to slots when clocks change, `Kubernetes` (the default) or `RunOnce`.
pub const DST: &str = "wick.dev/dst";
/// Annotation: what becomes of missed slots, `Last` (the default), `All` or `None`.
pub const CATCH_UP: &str = "wick.dev/catch-up";
/// Annotation: how many missed slots start their Jobs after all, with `All`.
pub const CATCH_UP_LIMIT: &str = "wick.dev/catch-up-limit";
/// Annotation: the time over which devices and CronJobs are spread, as in `30s`.
pub const JITTER: &str = "wick.dev/jitter";
/// All of them.
const KNOWN: [&str; 4] = [DST, CATCH_UP, CATCH_UP_LIMIT, JITTER];
/// What annotations of ours begin with.
pub(super) const OURS: &str = "wick.dev/";

/// So many missed slots start their Jobs after all, where only `All` is said.
pub const CATCH_UP_LIMIT_DEFAULT: u32 = 100;
/// The most that can be asked for.
pub const CATCH_UP_LIMIT_MAX: u32 = 1000;
/// The longest jitter: a day.
pub const JITTER_MAX: Millis = Millis::from_secs(24 * 60 * 60);

/// What the annotations say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extras {
    pub(super) dst: Dst,
    pub(super) catch_up: CatchUp,
    pub(super) jitter: Millis,
}

/// The time over which a CronJob's starts are spread; 0 if it asks for none.
pub fn jitter(cron_job: &CronJob) -> Millis {
    of(cron_job).jitter
}

/// What the annotations of a stored CronJob say; what cannot be read is as if it were not there.
pub(super) fn of(cron_job: &CronJob) -> Extras {
    let meta = cron_job.metadata.as_ref();
    meta.map_or_else(Extras::default, |meta| read(&meta.annotations, &mut FieldErrors::new()))
}

/// Reads what the annotations say, and tells what is wrong with it.
pub(super) fn read(annotations: &BTreeMap<String, String>, errors: &mut FieldErrors) -> Extras {
    let path = FieldPath::from("metadata").field("annotations");
    let given = |key: &str| annotations.get(key).map(String::as_str);
    let dst = match given(DST) {
        None | Some("Kubernetes") => Dst::Kubernetes,
        Some("RunOnce") => Dst::RunOnce,
        Some(other) => {
            errors.unsupported(path.key(DST), other, &["Kubernetes", "RunOnce"]);
            Dst::default()
        }
    };
    let limit = given(CATCH_UP_LIMIT).map(|text| match text.parse() {
        Ok(limit @ 1..=CATCH_UP_LIMIT_MAX) => limit,
        _ => {
            let must = format!("must be a number from 1 to {CATCH_UP_LIMIT_MAX}");
            errors.invalid(path.key(CATCH_UP_LIMIT), text, must);
            CATCH_UP_LIMIT_DEFAULT
        }
    });
    let catch_up = match given(CATCH_UP) {
        None | Some("Last") => CatchUp::Last,
        Some("All") => CatchUp::All { limit: limit.unwrap_or(CATCH_UP_LIMIT_DEFAULT) },
        Some("None") => CatchUp::None,
        Some(other) => {
            errors.unsupported(path.key(CATCH_UP), other, &["Last", "All", "None"]);
            CatchUp::default()
        }
    };
    if limit.is_some() && matches!(given(CATCH_UP), None | Some("Last" | "None")) {
        let detail = format!("is only for `{CATCH_UP}: All`; say that too, or leave it out");
        errors.forbidden(path.key(CATCH_UP_LIMIT), detail);
    }
    let jitter = given(JITTER).map_or(Millis::default(), |text| match millis(text) {
        Some(jitter) if jitter <= JITTER_MAX => jitter,
        Some(_) => {
            errors.invalid(path.key(JITTER), text, "is too long; the most is 24h");
            Millis::default()
        }
        None => {
            let must = "must be a duration such as `30s`, `5m` or `1h30m`, in units of h, m, s and ms";
            errors.invalid(path.key(JITTER), text, must);
            Millis::default()
        }
    });
    Extras { dst, catch_up, jitter }
}

/// A length of time in whole numbers of hours, minutes, seconds and milliseconds.
fn millis(text: &str) -> Option<Millis> {
    const UNITS: [(&str, i64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    // A zero alone needs no unit.
    if text == "0" {
        return Some(Millis(0));
    }
    let (mut total, mut rest) = (0_i64, text);
    while total == 0 || !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let length = digits.parse::<i64>().ok()?.checked_mul(*scale)?;
        total = total.checked_add(length)?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    Some(Millis(total))
}

/// Tells of annotations that look like ours, and mean nothing.
pub(super) fn warn(annotations: &BTreeMap<String, String>, warnings: &mut Vec<Warning>) {
    let path = FieldPath::from("metadata").field("annotations");
    for key in annotations.keys().filter(|key| key.starts_with(OURS) && !KNOWN.contains(&key.as_str())) {
        let text = if key == ALLOW_NET {
            "is not used here: it belongs in spec.jobTemplate.spec.template.metadata.annotations".to_owned()
        } else if let Some(similar) = similar(key) {
            format!("is not used; did you mean `{similar}`?")
        } else {
            format!("is not used; a CronJob can have {}", KNOWN.map(|known| format!("`{known}`")).join(", "))
        };
        warnings.push(Warning { path: path.key(key), text });
    }
}

/// The annotation that was probably meant.
fn similar(key: &str) -> Option<&'static str> {
    let folded = |text: &str| text.to_ascii_lowercase().replace(['-', '_', '.'], "");
    let distance = |known: &str| strsim::damerau_levenshtein(&folded(known), &folded(key));
    let nearest = KNOWN.into_iter().min_by_key(|known| distance(known))?;
    (distance(nearest) <= (nearest.len() - OURS.len()) / 3).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jitter_is_a_duration_in_whole_milliseconds() {
        for (text, expected) in [
            ("30s", Some(30_000)),
            ("1h30m", Some(5_400_000)),
            ("5m", Some(300_000)),
            ("250ms", Some(250)),
            ("1m500ms", Some(60_500)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("0h0m5s", Some(5_000)),
            ("", None),
            ("30", None),
            ("s", None),
            ("-5s", None),
            ("+5s", None),
            ("1.5s", None),
            ("1 h", None),
            ("1d", None),
            ("10us", None),
            ("1hm", None),
            ("30s5", None),
            ("99999999999999999999s", None),
            ("9223372036854775807h", None),
            ("٣s", None),
        ] {
            assert_eq!(millis(text), expected.map(Millis), "{text}");
        }
    }
}
