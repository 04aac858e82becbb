//! When CronJobs are due next: `wick next` with and without an agent, ScheduleService, and the device's own zone.

use api::pb::wick::v1::schedule_service_client::ScheduleServiceClient;
use api::pb::wick::v1::schedule_service_next_request::Of;
use api::pb::wick::v1::{ScheduleServiceNextRequest, ScheduleText};
use expect_test::{Expect, expect};
use serde_json::json;
use tonic::Code;
use wick_tests::{Node, manifest, programs};

fn check(node: &Node, lines: &[&[&str]], wanted: Expect) {
    let said = lines.iter().map(|line| format!("$ wick {}\n{}", line.join(" "), node.wick(line)));
    wanted.assert_eq(&said.collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_schedule_needs_no_agent_and_clock_changes_are_noted() {
    let node = Node::off(&[]);
    let from = |schedule, zone, from, count| ["next", schedule, "--tz", zone, "--from", from, "-n", count];
    let moved = from("30 2 * * *", "America/New_York", "2026-03-07T00:00:00Z", "2");
    check(
        &node,
        &[
            &moved,
            &[&moved[..], &["--dst", "RunOnce"]].concat(),
            &from("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", "2"),
            &from("0 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2"),
            &from("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", "2"),
            &from("0 * * * *", "America/New_York", "2026-03-08T05:30:00Z", "3"),
            &from("0 0 * * *", "Africa/Cairo", "2026-04-22T12:00:00Z", "2"),
            &from("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2"),
        ],
        expect![[r#"
            $ wick next 30 2 * * * --tz America/New_York --from 2026-03-07T00:00:00Z -n 2
            LOCAL TIME (America/New_York)     UTC                    NOTE
            Sat, 07 Mar 2026 02:30:00 -0500   2026-03-07T07:30:00Z
            Sun, 08 Mar 2026 02:30:00         <none>                 dropped: clocks go forward by 1h: 02:30 does not exist on this day
            Mon, 09 Mar 2026 02:30:00 -0400   2026-03-09T06:30:00Z

            $ wick next 30 2 * * * --tz America/New_York --from 2026-03-07T00:00:00Z -n 2 --dst RunOnce
            LOCAL TIME (America/New_York)     UTC                    NOTE
            Sat, 07 Mar 2026 02:30:00 -0500   2026-03-07T07:30:00Z
            Sun, 08 Mar 2026 03:00:00 -0400   2026-03-08T07:00:00Z   moved: clocks go forward by 1h: 02:30 does not exist on this day; it comes at 03:00

            $ wick next 30 1 * * * --tz America/New_York --from 2026-10-31T12:00:00Z -n 2
            LOCAL TIME (America/New_York)     UTC                    NOTE
            Sun, 01 Nov 2026 01:30:00 -0400   2026-11-01T05:30:00Z   clocks go back by 1h: 01:30 comes twice; this is the first
            Sun, 01 Nov 2026 01:30:00 -0500   2026-11-01T06:30:00Z   clocks go back by 1h: 01:30 comes twice; this is the second

            $ wick next 0 2 * * * --tz Europe/Berlin --from 2026-10-24T12:00:00Z -n 2
            LOCAL TIME (Europe/Berlin)        UTC                    NOTE
            Sun, 25 Oct 2026 02:00:00 +0200   2026-10-25T00:00:00Z   clocks go back by 1h: 02:00 comes twice; this is the first
            Sun, 25 Oct 2026 02:00:00 +0100   2026-10-25T01:00:00Z   clocks go back by 1h: 02:00 comes twice; this is the second

            $ wick next 30 2 * * * --tz Europe/Berlin --from 2026-03-27T12:00:00Z -n 2
            LOCAL TIME (Europe/Berlin)        UTC                    NOTE
            Sat, 28 Mar 2026 02:30:00 +0100   2026-03-28T01:30:00Z
            Sun, 29 Mar 2026 02:30:00         <none>                 dropped: clocks go forward by 1h: 02:30 does not exist on this day
            Mon, 30 Mar 2026 02:30:00 +0200   2026-03-30T00:30:00Z

            $ wick next 0 * * * * --tz America/New_York --from 2026-03-08T05:30:00Z -n 3
            LOCAL TIME (America/New_York)     UTC                    NOTE
            Sun, 08 Mar 2026 01:00:00 -0500   2026-03-08T06:00:00Z
            Sun, 08 Mar 2026 03:00:00 -0400   2026-03-08T07:00:00Z
            Sun, 08 Mar 2026 04:00:00 -0400   2026-03-08T08:00:00Z

            $ wick next 0 0 * * * --tz Africa/Cairo --from 2026-04-22T12:00:00Z -n 2
            LOCAL TIME (Africa/Cairo)         UTC                    NOTE
            Thu, 23 Apr 2026 00:00:00 +0200   2026-04-22T22:00:00Z
            Fri, 24 Apr 2026 00:00:00         <none>                 dropped: clocks go forward by 1h: 00:00 does not exist on this day
            Sat, 25 Apr 2026 00:00:00 +0300   2026-04-24T21:00:00Z

            $ wick next 45 1 * * * --tz Australia/Lord_Howe --from 2026-04-04T00:00:00Z -n 2
            LOCAL TIME (Australia/Lord_Howe)   UTC                    NOTE
            Sun, 05 Apr 2026 01:45:00 +1100    2026-04-04T14:45:00Z   clocks go back by 30m: 01:45 comes twice; this is the first
            Sun, 05 Apr 2026 01:45:00 +1030    2026-04-04T15:15:00Z   clocks go back by 30m: 01:45 comes twice; this is the second
        "#]],
    );
    let json =
        [&from("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", "2")[..], &["-o", "json"]].concat();
    let printed = node.done(&json);
    assert_eq!(printed, "{\"next\":[\"2026-03-28T01:30:00Z\",\"2026-03-30T00:30:00Z\"]}\n");
}

#[test]
fn a_schedule_or_a_zone_that_is_refused_is_told_why() {
    let node = Node::off(&[]);
    check(
        &node,
        &[
            &["next", "* * * * * *", "-o", "json"],
            &["next", "0 22-6 * * *"],
            &["next", "@daily", "--tz", "utc"],
            &["next", "TZ=Asia/Seoul 0 3 * * *"],
            &["next", "0 0 30 2 *", "--from", "2026-01-01T00:00:00Z", "-o", "json"],
            &["next"],
            &["next", "cronjob/nightly", "--tz", "UTC"],
        ],
        expect![[r#"
            $ wick next * * * * * * -o json
            error: schedule: 6 fields; Kubernetes cron has 5 (minute hour day month weekday)
            exit 1

            $ wick next 0 22-6 * * *
            error: schedule: hour: `22-6` goes backwards; give it as two, as in `22-23,0-6`
            exit 1

            $ wick next @daily --tz utc
            error: timeZone: `utc` is no time zone this device knows; did you mean `UTC`?
            exit 1

            $ wick next TZ=Asia/Seoul 0 3 * * *
            error: schedule: `TZ=Asia/Seoul` is not taken within a schedule; give the zone as timeZone
            exit 1

            $ wick next 0 0 30 2 * --from 2026-01-01T00:00:00Z -o json
            {"next":[]}

            $ wick next
            error: nothing is given that could be due
            hint: for instance: wick next '30 2 * * *' --tz Europe/Berlin, or wick next cronjob/NAME
            exit 2

            $ wick next cronjob/nightly --tz UTC
            error: a CronJob has its own zone and clock changes
            hint: --tz and --dst go with a schedule
            exit 2
        "#]],
    );
    let said = node.wick(&["next", "cronjob/nightly"]);
    assert!(said.code == 2 && said.stderr.contains("no agent answers"), "{said}");
}

#[tokio::test]
async fn a_cron_job_without_a_zone_means_the_devices() {
    let node = Node::start_with(&["--time-zone", "America/New_York"]);
    let about = node.json(&["get", "node"]);
    let told = if about["items"].is_array() { &about["items"][0] } else { &about };
    assert_eq!(told["timeZone"], "America/New_York", "{about:#}");
    assert_eq!(told["clockPlausible"], true, "{about:#}");
    assert!(told["timeZoneSource"].as_str().is_some_and(|source| !source.is_empty()), "{about:#}");

    let job = manifest::job("nightly", programs::example("wat/by-hand.wat"));
    let mut cron_job = manifest::cron_job("nightly", "30 2 * * *", &job);
    cron_job["spec"]["suspend"] = json!(true);
    node.apply(&cron_job);
    let from = ["--from", "2026-03-07T12:00:00Z", "-n", "1"];
    let stored = [&["next", "cronjob/nightly"][..], &from].concat();
    cron_job["metadata"]["annotations"] = json!({"wick.dev/dst": "RunOnce"});
    node.write("unsaved.yaml", cron_job.to_string());
    let unsaved = [&["next", "-f", "unsaved.yaml"][..], &from].concat();
    check(
        &node,
        &[&stored, &unsaved, &["next", "cronjob/other"]],
        expect![[r#"
            $ wick next cronjob/nightly --from 2026-03-07T12:00:00Z -n 1
            LOCAL TIME (America/New_York)     UTC                    NOTE
            Sun, 08 Mar 2026 02:30:00         <none>                 dropped: clocks go forward by 1h: 02:30 does not exist on this day
            Mon, 09 Mar 2026 02:30:00 -0400   2026-03-09T06:30:00Z
            note: the CronJob is suspended: no slot starts a Job

            $ wick next -f unsaved.yaml --from 2026-03-07T12:00:00Z -n 1
            LOCAL TIME (UTC)                  UTC                    NOTE
            Sun, 08 Mar 2026 02:30:00 +0000   2026-03-08T02:30:00Z
            note: the CronJob is suspended: no slot starts a Job

            $ wick next cronjob/other
            error: no cronjob named `other` in namespace default
            hint: cronjobs in namespace default: `nightly`
            exit 1
        "#]],
    );

    let mut schedules = ScheduleServiceClient::new(node.client().await.channel);
    let mut ask = async |schedule: &str, time_zone: &str, count| {
        let text =
            ScheduleText { schedule: schedule.into(), time_zone: time_zone.into(), dst: String::new() };
        let of = Some(Of::Schedule(text));
        schedules.next(ScheduleServiceNextRequest { of, from: None, count }).await
    };
    let next = ask("@every 1h", "", 0).await.unwrap().into_inner();
    assert_eq!((next.slots.len(), next.time_zone.as_str()), (10, "UTC"));
    assert_eq!(ask("* * * * *", "", 1000).await.unwrap().into_inner().slots.len(), 1000);
    for (schedule, time_zone, count) in [("* * * *", "", 1), ("* * * * *", "utc", 1), ("* * * * *", "", 1001)]
    {
        assert_eq!(ask(schedule, time_zone, count).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let nothing = ScheduleServiceNextRequest::default();
    assert_eq!(schedules.next(nothing).await.unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn an_agent_is_not_started_with_a_zone_that_is_none() {
    let mut node = Node::off(&["--time-zone", "europe/berlin"]);
    let refused = node.try_boot().unwrap_err();
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("did you mean `Europe/Berlin`?"), "{}", refused.stderr);
}
