//! A CronJob in full: what was asked for, when it is due, and what it has started.
//!
//! kubectl's page and order. What is ours stands where one looks for it: how clock changes, missed slots and jitter are
//! taken below the schedule, the next slots above the active Jobs, all Jobs there are below them.

use api::cron_job::{CATCH_UP, CATCH_UP_LIMIT, CATCH_UP_LIMIT_DEFAULT, DST, JITTER};
use api::pb::k8s::batch::v1::{CronJob, CronJobSpec, Job, JobSpec};
use api::pb::k8s::core::v1::Event;
use api::pb::k8s::meta::v1::ObjectMeta;
use api::pb::wick::v1::{NextSlot, PreviewedSlot};
use jiff::Timestamp;

use super::parts::{self, UNSET, number};
use super::sheet::Sheet;
use crate::age::{age, between};
use crate::clock::{Clock, time};
use crate::columns::{NONE, or_none, selector};
use crate::status::{self, truth, until};
use crate::table::Table;

/// How many slots to come are shown.
pub(super) const SLOTS: u32 = 3;

/// How many of its Jobs are shown, the newest ones.
const JOBS: usize = 10;

/// When a CronJob is due.
pub(super) struct Due<'a> {
    /// Next.
    pub(super) next: &'a NextSlot,
    /// Next and after that; empty if that is not known.
    pub(super) slots: &'a [PreviewedSlot],
}

/// The page about `cron_job`, whose Jobs are `jobs`, oldest first.
pub(super) fn page(
    cron_job: &CronJob,
    due: &Due<'_>,
    jobs: &[Job],
    events: &[Event],
    clock: &Clock,
) -> Sheet {
    let mut sheet = Sheet::default();
    let meta = cron_job.metadata.clone().unwrap_or_default();
    let nothing = CronJobSpec::default();
    let spec = cron_job.spec.as_deref().unwrap_or(&nothing);
    let no_job = JobSpec::default();
    let job = spec.job_template.as_ref().and_then(|template| template.spec.as_deref()).unwrap_or(&no_job);
    let now = cron_job.status.clone().unwrap_or_default();

    parts::name(&mut sheet, &meta);
    parts::labels(&mut sheet, 0, &meta);
    sheet.pair(0, "Schedule", &spec.schedule);
    sheet.pair(0, "Concurrency Policy", &spec.concurrency_policy);
    sheet.pair(0, "Suspend", truth(spec.suspend.unwrap_or_default()));
    sheet.pair(0, "Time Zone", spec.time_zone.as_deref().unwrap_or("<unset> (the device's)"));
    ours(&mut sheet, &meta, due);
    sheet.pair(0, "Successful Job History Limit", number(spec.successful_jobs_history_limit));
    sheet.pair(0, "Failed Job History Limit", number(spec.failed_jobs_history_limit));
    let deadline = spec.starting_deadline_seconds;
    let deadline = deadline.map_or_else(|| UNSET.to_owned(), |seconds| format!("{seconds}s"));
    sheet.pair(0, "Starting Deadline Seconds", deadline);
    let selector = job.selector.as_ref().map_or_else(|| UNSET.to_owned(), |_| selector(Some(job)));
    sheet.pair(0, "Selector", selector);
    sheet.pair(0, "Parallelism", number(job.parallelism));
    sheet.pair(0, "Completions", number(job.completions));
    let deadline = job.active_deadline_seconds;
    sheet.some(0, "Active Deadline Seconds", deadline.map(|seconds| format!("{seconds}s")));
    sheet.head(0, "Pod Template");
    parts::template(&mut sheet, job.template.as_ref());
    let date = |at: Option<Timestamp>| at.map_or_else(|| NONE.to_owned(), |at| dated(at, clock));
    sheet.pair(0, "Last Schedule Time", date(time(now.last_schedule_time.as_ref())));
    sheet.pair(0, "Last Successful Time", date(time(now.last_successful_time.as_ref())));
    sheet.pair(0, "Next", next(due, spec, clock).join("\n"));
    let active: Vec<&str> = now.active.iter().map(|job| job.name.as_str()).collect();
    sheet.pair(0, "Active Jobs", or_none(active.join(", ")));
    jobs_table(&mut sheet, jobs, clock);
    parts::events(&mut sheet, events, clock);
    sheet
}

/// What annotations say about how slots are taken, in words.
fn ours(sheet: &mut Sheet, meta: &ObjectMeta, due: &Due<'_>) {
    let said = |key: &str| meta.annotations.get(key).map(String::as_str);
    sheet.some(
        0,
        "Clock Changes",
        said(DST).map(|policy| match policy {
            "Kubernetes" => {
                "Kubernetes (a slot that is left out is skipped, one that comes twice starts two Jobs)"
            }
            "RunOnce" => {
                "RunOnce (a slot that is left out is made up for, one that comes twice starts one Job)"
            }
            other => other,
        }),
    );
    let limit = said(CATCH_UP_LIMIT).map_or_else(|| CATCH_UP_LIMIT_DEFAULT.to_string(), str::to_owned);
    sheet.some(
        0,
        "Missed Slots",
        said(CATCH_UP).map(|policy| match policy {
            "Last" => "Last (the latest starts a Job)".to_owned(),
            "All" => format!("All (each starts a Job, the latest {limit} at most)"),
            "None" => "None (none starts a Job)".to_owned(),
            other => other.to_owned(),
        }),
    );
    sheet.some(0, "Jitter", said(JITTER).map(|jitter| with_share(jitter, due)));
}

/// The window of the jitter, and how much of it is this CronJob's.
fn with_share(jitter: &str, due: &Due<'_>) -> String {
    let pairs = due.slots.iter().map(|slot| (&slot.slot, &slot.start));
    let mut pairs = std::iter::once((&due.next.slot, &due.next.start)).chain(pairs);
    let share = pairs.find_map(|(slot, start)| Some((time(slot.as_ref())?, time(start.as_ref())?)));
    match share {
        Some((slot, start)) => {
            format!("{jitter} (its Jobs start {} after their slots)", between(slot, start))
        }
        None => jitter.to_owned(),
    }
}

/// The slots to come, a line each; or why there are none.
fn next(due: &Due<'_>, spec: &CronJobSpec, clock: &Clock) -> Vec<String> {
    let none = |why: &str| vec![format!("{NONE} ({why})")];
    match due.next.none_because.as_str() {
        "" => {}
        "Suspended" => return none("it is suspended"),
        "Deleting" => return none("it is being deleted"),
        "Never" => return none("its schedule does not match within five years"),
        "UnknownTimeZone" => {
            let zone = spec.time_zone.as_deref().unwrap_or_default();
            return none(&format!("the device does not know the zone `{zone}`"));
        }
        other => return none(other),
    }
    if due.slots.is_empty() {
        let slot = time(due.next.slot.as_ref());
        let start = due.next.start.as_ref();
        let line = slot.map(|slot| format!("{} ({})", clock.date(slot), starting(slot, start, clock)));
        return vec![line.unwrap_or_else(|| "<unknown>".to_owned())];
    }
    due.slots.iter().map(|slot| line(slot, clock)).collect()
}

/// A slot in its own zone's time: `Sat, 21 Nov 2026 02:30:00 +0100 (in 4m)`, and what a clock change does to it.
fn line(slot: &PreviewedSlot, clock: &Clock) -> String {
    let local = crate::clock::local(&slot.local);
    let when = time(slot.slot.as_ref());
    let when = when.map_or_else(|| "left out".to_owned(), |at| starting(at, slot.start.as_ref(), clock));
    match slot.note.as_str() {
        "" => format!("{local} ({when})"),
        note => format!("{local} ({when}): {note}"),
    }
}

/// How long until a slot; of one that is due, until its Job starts.
fn starting(slot: Timestamp, start: Option<&prost_types::Timestamp>, clock: &Clock) -> String {
    match time(start) {
        Some(start) if slot <= clock.now && start > clock.now => {
            format!("now; its Job starts {}", until(start, clock.now))
        }
        Some(_) | None => until(slot, clock.now),
    }
}

/// A time, and how long ago it was.
fn dated(at: Timestamp, clock: &Clock) -> String {
    format!("{} ({} ago)", clock.date(at), between(at, clock.now))
}

fn jobs_table(sheet: &mut Sheet, jobs: &[Job], clock: &Clock) {
    let mut table = Table::new(&["Name", "Status", "Completions", "Duration", "Age"]);
    let hidden = jobs.len().saturating_sub(JOBS);
    for job in &jobs[hidden..] {
        let meta = job.metadata.clone().unwrap_or_default();
        table.rows.push(vec![
            meta.name,
            status::job(job).to_owned(),
            status::completions(job),
            status::duration(job, clock.now),
            age(time(meta.creation_timestamp.as_ref()), clock.now),
        ]);
    }
    let label =
        if hidden > 0 { format!("Jobs (the last {JOBS} of {})", jobs.len()) } else { "Jobs".to_owned() };
    sheet.table(0, &label, &table);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ago, noon};
    use crate::samples;
    use crate::screen::Screen;
    use api::pb::k8s::core::v1::ObjectReference;
    use expect_test::{Expect, expect};

    #[test]
    fn a_cronjob_says_when_it_is_due_and_what_it_started() {
        let mut scheduled = samples::cron_job("nightly", "30 2 * * *");
        let meta = scheduled.cron_job.metadata.as_mut().unwrap();
        meta.annotations = [
            (DST.to_owned(), "RunOnce".to_owned()),
            (CATCH_UP.to_owned(), "All".to_owned()),
            (CATCH_UP_LIMIT.to_owned(), "10".to_owned()),
            (JITTER.to_owned(), "30s".to_owned()),
        ]
        .into();
        let status = scheduled.cron_job.status.as_mut().unwrap();
        status.active = ["nightly-29919270", "nightly-29919271"]
            .map(|name| ObjectReference { name: name.to_owned(), ..ObjectReference::default() })
            .to_vec();
        scheduled.next.start = ago(-252);
        let slots = [
            slot("2026-11-20T16:00:00+01:00", 0, ""),
            slot("2026-11-20T16:04:00+01:00", -240, ""),
            slot("2027-03-27T02:30:00+01:00", -10_923_000, ""),
            PreviewedSlot {
                local: "2027-03-28T02:30:00".to_owned(),
                note: "clocks go forward by 1h: 02:30 does not exist on this day".to_owned(),
                ..PreviewedSlot::default()
            },
        ];
        let mut complete = samples::job("nightly-29919268");
        samples::add_condition(&mut complete, "Complete", "True", "", "");
        let jobs = [complete, samples::job("nightly-29919270")];
        let mut event = samples::event("Normal", "SuccessfulCreate", "Created job nightly-29919270", 1);
        event.source.as_mut().unwrap().component = "cronjob-controller".to_owned();
        let due = Due { next: &scheduled.next, slots: &slots };
        expect![[r#"
            Name:                          nightly
            Namespace:                     default
            Labels:                        <none>
            Annotations:                   wick.dev/catch-up: All
                                           wick.dev/catch-up-limit: 10
                                           wick.dev/dst: RunOnce
                                           wick.dev/jitter: 30s
            Schedule:                      30 2 * * *
            Concurrency Policy:            Allow
            Suspend:                       False
            Time Zone:                     Europe/Berlin
            Clock Changes:                 RunOnce (a slot that is left out is made up for, one that comes twice starts one Job)
            Missed Slots:                  All (each starts a Job, the latest 10 at most)
            Jitter:                        30s (its Jobs start 12s after their slots)
            Successful Job History Limit:  3
            Failed Job History Limit:      1
            Starting Deadline Seconds:     <unset>
            Selector:                      <unset>
            Parallelism:                   2
            Completions:                   5
            Pod Template:
              Labels:          job-name=nightly
              Annotations:     <none>
              Containers:
                nightly:
                  Image:        nightly:1
                  Args:
                    --quick
                    two words
                  Environment:  <none>
                  Mounts:       <none>
              Volumes:         <none>
              Restart Policy:  OnFailure
            Last Schedule Time:            Thu, 19 Nov 2026 15:04:00 +0000 (23h ago)
            Last Successful Time:          Thu, 19 Nov 2026 15:05:00 +0000 (23h ago)
            Next:                          Fri, 20 Nov 2026 16:00:00 +0100 (now; its Job starts in 12s)
                                           Fri, 20 Nov 2026 16:04:00 +0100 (in 4m)
                                           Sat, 27 Mar 2027 02:30:00 +0100 (in 126d)
                                           Sun, 28 Mar 2027 02:30:00 (left out): clocks go forward by 1h: 02:30 does not exist on this day
            Active Jobs:                   nightly-29919270, nightly-29919271
            Jobs:
              Name              Status    Completions  Duration  Age
              ----              ------    -----------  --------  ---
              nightly-29919268  Complete  0/5          100s      2m
              nightly-29919270  Running   0/5          100s      2m
            Events:
              Type    Reason            Age  From                Message
              ----    ------            ---  ----                -------
              Normal  SuccessfulCreate  3s   cronjob-controller  Created job nightly-29919270
        "#]]
            .assert_eq(&page(&scheduled.cron_job, &due, &jobs, &[event], &noon()).page(Screen::PLAIN));
    }

    #[test]
    fn an_empty_cronjob_has_a_page_too() {
        let due = Due { next: &NextSlot::default(), slots: &[] };
        expect![[r#"
            Name:
            Namespace:
            Labels:                        <none>
            Annotations:                   <none>
            Schedule:
            Concurrency Policy:
            Suspend:                       False
            Time Zone:                     <unset> (the device's)
            Successful Job History Limit:  <unset>
            Failed Job History Limit:      <unset>
            Starting Deadline Seconds:     <unset>
            Selector:                      <unset>
            Parallelism:                   <unset>
            Completions:                   <unset>
            Pod Template:
              Labels:       <none>
              Annotations:  <none>
              Volumes:      <none>
            Last Schedule Time:            <none>
            Last Successful Time:          <none>
            Next:                          <unknown>
            Active Jobs:                   <none>
            Jobs:                          <none>
            Events:                        <none>
        "#]]
        .assert_eq(&page(&CronJob::default(), &due, &[], &[], &noon()).page(Screen::PLAIN));
    }

    #[test]
    fn where_no_slot_comes_it_says_why() {
        check_none("Suspended", expect!["<none> (it is suspended)"]);
        check_none("UnknownTimeZone", expect!["<none> (the device does not know the zone `Mars/Olympus`)"]);
        check_none("Never", expect!["<none> (its schedule does not match within five years)"]);
        check_none("Deleting", expect!["<none> (it is being deleted)"]);
        check_none("", expect!["<unknown>"]);
    }

    #[test]
    fn without_a_preview_there_is_the_next_slot() {
        let next_slot = NextSlot { slot: ago(-60), start: ago(-72), ..NextSlot::default() };
        let due = Due { next: &next_slot, slots: &[] };
        expect!["Fri, 20 Nov 2026 15:01:00 +0000 (in 60s)"]
            .assert_eq(&next(&due, &CronJobSpec::default(), &noon()).join("\n"));
    }

    fn check_none(reason: &str, wanted: Expect) {
        let next_slot = NextSlot { none_because: reason.to_owned(), ..NextSlot::default() };
        let spec = CronJobSpec { time_zone: Some("Mars/Olympus".to_owned()), ..CronJobSpec::default() };
        wanted.assert_eq(&next(&Due { next: &next_slot, slots: &[] }, &spec, &noon()).join("\n"));
    }

    fn slot(local: &str, seconds_ago: i64, note: &str) -> PreviewedSlot {
        PreviewedSlot {
            slot: ago(seconds_ago),
            local: local.to_owned(),
            start: ago(seconds_ago - 12),
            note: note.to_owned(),
            ..PreviewedSlot::default()
        }
    }
}
