//! What may become of a CronJob that is stored, and what only such a one may have.

use super::cron_jobs::{changed, examined, new, stored};
use super::{lines, merge, value};
use crate::pb::k8s::batch::v1::CronJob;
use expect_test::{Expect, expect};

/// What is told when a CronJob, made from `before`, is to become what `after` makes of it. What no new one may have is
/// written into the stored one by hand.
fn revised(before: &str, by_hand: impl FnOnce(&mut CronJob), after: &str, expected: Expect) {
    let mut old = stored(&[before]);
    by_hand(&mut old);
    let mut manifest = changed(&[before]);
    merge(&mut manifest, value(after));
    let (new, errors) = examined(&manifest);
    let became = match errors.into_result(new).and_then(|new| new.revise(&old)) {
        Ok(None) => "unchanged\n".to_owned(),
        Ok(Some(new)) => format!("generation {}\n", new.metadata.unwrap().generation),
        Err(errors) => lines(&errors),
    };
    expected.assert_eq(&became);
}

#[test]
fn everything_may_change() {
    let as_it_was = |_: &mut CronJob| {};
    revised(
        "{}",
        as_it_was,
        "{}",
        expect![[r#"
        unchanged
    "#]],
    );
    revised(
        "{}",
        as_it_was,
        "metadata: {labels: {a: b}, annotations: {wick.dev/jitter: 5s}}",
        expect![[r#"
        generation 1
    "#]],
    );
    revised(
        "{}",
        as_it_was,
        "spec: {schedule: '@hourly', timeZone: UTC, suspend: true}",
        expect![[r#"
        generation 2
    "#]],
    );
    revised(
        "{}",
        as_it_was,
        "spec: {jobTemplate: {spec: {completionMode: Indexed, completions: 3, template: {metadata: {labels: {a: b}}}}}}",
        expect![[r#"
            generation 2
        "#]],
    );
}

#[test]
fn what_was_stored_long_ago_may_stay() {
    let vanished =
        |old: &mut CronJob| old.spec.as_mut().unwrap().make_mut().time_zone = Some("Mars/Olympus".to_owned());
    revised(
        "{}",
        vanished,
        "spec: {timeZone: Mars/Olympus}",
        expect![[r#"
        unchanged
    "#]],
    );
    revised(
        "{}",
        vanished,
        "spec: {timeZone: Mars/Olympus, suspend: true}",
        expect![[r#"
        generation 2
    "#]],
    );
    revised(
        "{}",
        vanished,
        "spec: {timeZone: Mars/Phobos}",
        expect![[r#"
        spec.timeZone: Invalid value: "Mars/Phobos": is no time zone this device knows; names are as in `Europe/Berlin` or `UTC`
    "#]],
    );
    let within =
        |old: &mut CronJob| old.spec.as_mut().unwrap().make_mut().schedule = "TZ=UTC 0 3 * * *".to_owned();
    revised(
        "{}",
        within,
        "spec: {schedule: TZ=UTC 0 4 * * *}",
        expect![[r#"
        generation 2
    "#]],
    );
    revised(
        "{}",
        within,
        "spec: {schedule: TZ=UTC 0 3 * * *, timeZone: UTC}",
        expect![[r#"
        spec.schedule: Invalid value: "TZ=UTC 0 3 * * *": has a zone within, and timeZone is given too; keep timeZone alone
    "#]],
    );
    revised(
        "{}",
        |_| {},
        "spec: {schedule: TZ=UTC 0 3 * * *}",
        expect![[r#"
        spec.schedule: Invalid value: "TZ=UTC 0 3 * * *": a zone is not taken within a schedule; give `0 3 * * *` and timeZone `UTC`
    "#]],
    );
    let long = |old: &mut CronJob| old.metadata.as_mut().unwrap().name = "x".repeat(60);
    revised(
        "{}",
        long,
        &format!("{{metadata: {{name: {}}}, spec: {{suspend: true}}}}", "x".repeat(60)),
        expect![[r#"
        generation 2
    "#]],
    );
}

#[test]
fn what_is_only_warned_of_when_it_stays() {
    let new = new(&changed(&["spec: {schedule: TZ=UTC 0 3 * * *}"]));
    expect!["spec.schedule: has a zone within, which no new CronJob may; give it as timeZone"]
        .assert_eq(&new.warnings().join("\n"));
}
