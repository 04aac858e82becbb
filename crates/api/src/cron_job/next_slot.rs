//! When a CronJob is due next, as services tell it.

use jiff::Timestamp;
use sched::cron_job::{CronJob as State, Zones};

use super::new_state;
use crate::kind::Object;
use crate::pb::k8s::batch::v1::CronJob;
use crate::pb::wick::v1::NextSlot;
use crate::time;

/// No [`NextSlot`] takes more bytes, with what is around it in a list.
pub const NEXT_SLOT_MAX: usize = 40;

/// When a CronJob is due next, at `wall` on this device; or why it never is. A slot that came due already, and waits, is
/// none that will come.
pub fn next_slot(cron_job: &CronJob, zones: &dyn Zones, device: &str, wall: Timestamp) -> NextSlot {
    let status = cron_job.status.as_ref();
    let state = State {
        // `@every` counts from there.
        last_schedule: status.and_then(|status| status.last_schedule_time.as_ref()).map(time::instant),
        deleting: cron_job.metadata().is_some_and(|meta| meta.deletion_timestamp.is_some()),
        ..new_state(cron_job, zones, device)
    };
    match state.next_start(wall) {
        Some((slot, start)) => NextSlot {
            slot: Some(time::seconds(slot)),
            start: Some(time::exact(start)),
            none_because: String::new(),
        },
        None => NextSlot { none_because: none_because(&state).to_owned(), ..NextSlot::default() },
    }
}

fn none_because(state: &State) -> &'static str {
    if state.deleting {
        "Deleting"
    } else if state.spec.suspend {
        "Suspended"
    } else if state.spec.zone.is_none() {
        "UnknownTimeZone"
    } else {
        "Never"
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use prost::Message;
    use sched::cron_job::OnlyUtc;

    use super::*;
    use crate::json;

    /// At 2026-07-01T10:00:30Z, of a CronJob that was made at 09:00:05.
    fn check(cron_job: &str, expected: Expect) {
        let mut cron_job: CronJob = json::from_node(&serde_json::from_str(cron_job).unwrap())
            .unwrap_or_else(|errors| panic!("{errors}"));
        let created = "2026-07-01T09:00:05Z".parse().unwrap();
        cron_job.metadata_mut().creation_timestamp = Some(time::seconds(created));
        let next = next_slot(&cron_job, &OnlyUtc, "gate", "2026-07-01T10:00:30Z".parse().unwrap());
        assert!(next.encoded_len() + 2 <= NEXT_SLOT_MAX);
        let shown = |at: Option<_>| at.map_or("none".to_owned(), |at| time::instant(&at).to_string());
        expected.assert_eq(&format!(
            "slot {}, start {} {}",
            shown(next.slot),
            shown(next.start),
            next.none_because
        ));
    }

    #[test]
    fn tells_the_slot_and_when_its_job_starts() {
        check(
            r#"{"spec": {"schedule": "*/5 * * * *"}}"#,
            expect!["slot 2026-07-01T10:05:00Z, start 2026-07-01T10:05:00Z "],
        );
        // Its splay: the slot has come, and its Job has not started yet.
        check(
            r#"{"metadata": {"name": "a", "annotations": {"wick.dev/jitter": "1h"}}, "spec": {"schedule": "0 * * * *"}}"#,
            expect!["slot 2026-07-01T10:00:00Z, start 2026-07-01T10:53:11.265Z "],
        );
    }

    #[test]
    fn an_interval_counts_from_the_last_start() {
        check(
            r#"{"spec": {"schedule": "@every 17m"}}"#,
            expect!["slot 2026-07-01T10:08:05Z, start 2026-07-01T10:08:05Z "],
        );
        check(
            r#"{"spec": {"schedule": "@every 17m"}, "status": {"lastScheduleTime": "2026-07-01T09:59:00Z"}}"#,
            expect!["slot 2026-07-01T10:16:00Z, start 2026-07-01T10:16:00Z "],
        );
    }

    #[test]
    fn tells_why_there_is_none() {
        for (cron_job, expected) in [
            (
                r#"{"spec": {"schedule": "* * * * *", "suspend": true}}"#,
                expect!["slot none, start none Suspended"],
            ),
            (
                r#"{"spec": {"schedule": "* * * * *", "timeZone": "Mars/Olympus"}}"#,
                expect!["slot none, start none UnknownTimeZone"],
            ),
            (r#"{"spec": {"schedule": "0 0 30 2 *"}}"#, expect!["slot none, start none Never"]),
            (r#"{"spec": {"schedule": "soon"}}"#, expect!["slot none, start none Never"]),
            (
                r#"{"metadata": {"deletionTimestamp": "2026-07-01T10:00:00Z"}, "spec": {"schedule": "* * * * *", "suspend": true}}"#,
                expect!["slot none, start none Deleting"],
            ),
        ] {
            check(cron_job, expected);
        }
    }
}
