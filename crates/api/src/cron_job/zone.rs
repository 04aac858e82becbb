//! The zone that a schedule is meant in, by name.

use sched::cron_job::Zones;

/// The longest part of a zone's name, in bytes.
const PART_MAX: usize = 14;

/// What is wrong with the name of a zone, to be put behind it.
pub(super) fn check(name: &str, zones: &dyn Zones) -> Result<(), String> {
    if name.is_empty() {
        return Err(
            "must not be empty; name a zone such as `Europe/Berlin`, or leave it out for the device's".into(),
        );
    }
    if name.eq_ignore_ascii_case("local") {
        return Err("is no name of a zone; leave it out for the device's".into());
    }
    if !name.split('/').all(is_part) {
        return Err("must be the name of a zone, as in `Europe/Berlin`".into());
    }
    if zones.find(name).is_some() {
        return Ok(());
    }
    let meant = candidates(name).into_iter().find(|candidate| zones.find(candidate).is_some());
    match meant.or_else(|| zones.suggest(name)) {
        Some(meant) => Err(format!("is no time zone this device knows; did you mean `{meant}`?")),
        None => Err("is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`".into()),
    }
}

fn is_part(part: &str) -> bool {
    let right = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte);
    !matches!(part, "" | "." | "..")
        && !part.starts_with('-')
        && part.len() <= PART_MAX
        && part.bytes().all(right)
}

/// The same letters in the cases that names of zones have: `America/Port-au-Prince`, `US/Eastern`, `Etc/GMT+5`, `EST5EDT`.
fn candidates(name: &str) -> Vec<String> {
    let upper = name.to_ascii_uppercase();
    let titled: Vec<String> = name.split('/').map(title).collect();
    let mut candidates = vec![upper.clone(), titled.join("/")];
    if let Some((first, rest)) = titled.split_first() {
        candidates.push([&[upper.split('/').next().unwrap_or_default().to_owned()], rest].concat().join("/"));
        let last = upper.rsplit('/').next().unwrap_or_default();
        candidates.push(format!("{first}/{last}"));
    }
    candidates
}

/// Each word with a capital, but for those within a name that have none.
fn title(part: &str) -> String {
    let lower = part.to_ascii_lowercase();
    let mut titled = String::with_capacity(lower.len());
    for word in lower.split_inclusive(['_', '-']) {
        let small = matches!(word.trim_end_matches(['_', '-']), "of" | "es" | "au" | "da");
        let capital = if small && !titled.is_empty() { 0 } else { 1.min(word.len()) };
        titled.push_str(&word[..capital].to_ascii_uppercase());
        titled.push_str(&word[capital..]);
    }
    titled
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::rules::Bundled;

    fn told(names: &[&str], expected: Expect) {
        let lines = names.iter().map(|name| match check(name, &Bundled) {
            Ok(()) => format!("{name}\n"),
            Err(must) => format!("`{name}` {must}\n"),
        });
        expected.assert_eq(&lines.collect::<String>());
    }

    #[test]
    fn a_zone_is_known_by_its_exact_name() {
        told(
            &["UTC", "Etc/GMT+5", "EST5EDT", "Asia/Seoul", "America/Argentina/ComodRivadavia"],
            expect![[r#"
            UTC
            Etc/GMT+5
            EST5EDT
            Asia/Seoul
            America/Argentina/ComodRivadavia
        "#]],
        );
    }

    #[test]
    fn names_that_differ_in_case_only_are_suggested() {
        told(
            &[
                "utc",
                "america/new_york",
                "EUROPE/BERLIN",
                "us/eastern",
                "etc/gmt+5",
                "est5edt",
                "america/port-au-prince",
                "africa/dar_es_salaam",
                "gmt",
                "america/argentina/buenos_aires",
            ],
            expect![[r#"
                `utc` is no time zone this device knows; did you mean `UTC`?
                `america/new_york` is no time zone this device knows; did you mean `America/New_York`?
                `EUROPE/BERLIN` is no time zone this device knows; did you mean `Europe/Berlin`?
                `us/eastern` is no time zone this device knows; did you mean `US/Eastern`?
                `etc/gmt+5` is no time zone this device knows; did you mean `Etc/GMT+5`?
                `est5edt` is no time zone this device knows; did you mean `EST5EDT`?
                `america/port-au-prince` is no time zone this device knows; did you mean `America/Port-au-Prince`?
                `africa/dar_es_salaam` is no time zone this device knows; did you mean `Africa/Dar_es_Salaam`?
                `gmt` is no time zone this device knows; did you mean `GMT`?
                `america/argentina/buenos_aires` is no time zone this device knows; did you mean `America/Argentina/Buenos_Aires`?
            "#]],
        );
    }

    #[test]
    fn what_is_no_name_is_refused() {
        told(
            &[
                "",
                "local",
                "Local",
                "Europe/../UTC",
                "./UTC",
                "-UTC",
                "Europe/Überlingen",
                "Mars/Olympus",
                "Europe/Berlin/",
                "/etc/passwd",
                "Europe/Abcdefghijklmno",
            ],
            expect![[r#"
                `` must not be empty; name a zone such as `Europe/Berlin`, or leave it out for the device's
                `local` is no name of a zone; leave it out for the device's
                `Local` is no name of a zone; leave it out for the device's
                `Europe/../UTC` must be the name of a zone, as in `Europe/Berlin`
                `./UTC` must be the name of a zone, as in `Europe/Berlin`
                `-UTC` must be the name of a zone, as in `Europe/Berlin`
                `Europe/Überlingen` must be the name of a zone, as in `Europe/Berlin`
                `Mars/Olympus` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
                `Europe/Berlin/` must be the name of a zone, as in `Europe/Berlin`
                `/etc/passwd` must be the name of a zone, as in `Europe/Berlin`
                `Europe/Abcdefghijklmno` must be the name of a zone, as in `Europe/Berlin`
            "#]],
        );
    }
}
