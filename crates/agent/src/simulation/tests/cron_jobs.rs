//! CronJobs: what their slots come to, told by the ledger.

use super::*;

/// What the ledger is told, what is turned down, and the sums.
fn check_ledger(scenario: &str, expected: Expect) {
    let (told, played) = play(scenario, false);
    let mut lines = String::new();
    for entry in &told {
        let t = entry.t_ms as f64 / 1000.0;
        match entry.what.as_ref().unwrap() {
            What::Ledger(_) | What::Refused(_) => {
                lines += &format!("{t:<8} {}\n", line(entry, &|_| true).unwrap());
            }
            What::Final(end) => {
                let missed: Vec<_> =
                    end.slots_missed.iter().map(|(why, count)| format!(" {why} {count}")).collect();
                lines += &format!(
                    "{t:<8} FINAL {} slots, {} started, missed{}; {} triggered, {} overlaps\n",
                    end.slots,
                    end.slots_started,
                    missed.concat(),
                    end.triggered,
                    end.overlaps
                );
            }
            _ => {}
        }
    }
    if let Err(trouble) = played {
        lines += &format!("{trouble}\n");
    }
    expected.assert_eq(&lines);
}

/// A CronJob, with what stands in its spec beside the template.
fn cron_job(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: {name}}}, spec: {{{spec}, jobTemplate: {{spec: {{template: \
         {{spec: {{restartPolicy: Never, containers: [{{name: c, image: i}}]}}}}}}}}}}}}"
    )
}

fn world(until: &str, object: &str, rest: &str) -> String {
    format!("start: 2026-03-08T06:00:00Z\nuntil: {until}\nobjects:\n- {object}\n{rest}\n")
}

#[test]
fn every_slot_starts_a_job_at_its_second() {
    let scenario =
        world("30m", &cron_job("a", "schedule: '*/10 * * * *', successfulJobsHistoryLimit: 1"), "");
    check(
        &scenario,
        expect![[r#"
        0.0    ADDED cronjob a
        600.0  MODIFIED cronjob a
        600.0  ADDED job a-29549170: active 1 terminating 0 succeeded 0 failed 0
        600.0  ADDED pod a-29549170: Running (running x0)
        600.0  LEDGER Started a: 08 06:10 a-29549170
        600.0  START a-29549170 c #1
        600.0  EXIT a-29549170 c #1 0 Completed
        600.0  MODIFIED cronjob a
        600.0  MODIFIED job a-29549170: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
        600.0  MODIFIED pod a-29549170: Succeeded (0 Completed x0)
        600.0  LEDGER Finished a: 08 06:10 a-29549170 Completed
        1200.0 MODIFIED cronjob a
        1200.0 ADDED job a-29549180: active 1 terminating 0 succeeded 0 failed 0
        1200.0 ADDED pod a-29549180: Running (running x0)
        1200.0 LEDGER Started a: 08 06:20 a-29549180
        1200.0 START a-29549180 c #1
        1200.0 EXIT a-29549180 c #1 0 Completed
        1200.0 DELETED job a-29549170: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
        1200.0 DELETED pod a-29549170: Succeeded (0 Completed x0)
        1200.0 MODIFIED cronjob a
        1200.0 MODIFIED job a-29549180: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
        1200.0 MODIFIED pod a-29549180: Succeeded (0 Completed x0)
        1200.0 LEDGER Finished a: 08 06:20 a-29549180 Completed
        1800.0 MODIFIED cronjob a
        1800.0 ADDED job a-29549190: active 1 terminating 0 succeeded 0 failed 0
        1800.0 ADDED pod a-29549190: Running (running x0)
        1800.0 LEDGER Started a: 08 06:30 a-29549190
        1800.0 START a-29549190 c #1
        1800.0 EXIT a-29549190 c #1 0 Completed
        1800.0 DELETED job a-29549180: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
        1800.0 DELETED pod a-29549180: Succeeded (0 Completed x0)
        1800.0 MODIFIED cronjob a
        1800.0 MODIFIED job a-29549190: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
        1800.0 MODIFIED pod a-29549190: Succeeded (0 Completed x0)
        1800.0 LEDGER Finished a: 08 06:30 a-29549190 Completed
        1800.0 still cronjob a
        1800.0 still job a-29549190: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
        1800.0 still pod a-29549190: Succeeded (0 Completed x0)
        1800.0 FINAL 3 jobs, 3 completed, {} failed, 3 pods, 3 starts, 0 restarts, {}
    "#]],
    );
}

#[test]
fn a_world_with_a_cron_job_has_an_end() {
    let object = cron_job("a", "schedule: '* * * * *'");
    check_ledger(
        &format!("objects: [{object}]"),
        expect![[r#"
        the scenario is wrong: until: needed where there is a CronJob: it never ends by itself
    "#]],
    );
    check_ledger(
        &format!("actions: [{{at: 1s, apply: {object}}}]"),
        expect![[r#"
        the scenario is wrong: until: needed where there is a CronJob: it never ends by itself
    "#]],
    );
    // With nothing but one that is suspended, too.
    let suspended = cron_job("a", "schedule: '*/10 * * * *', suspend: true");
    check_ledger(
        &world("1h", &suspended, ""),
        expect![[r#"
        3600     LEDGER Missed a: 6 from 08 06:10 to 08 07:00 Suspended
        3600     FINAL 6 slots, 0 started, missed Suspended 6; 0 triggered, 0 overlaps
    "#]],
    );
    // And without one it is over when nothing more can happen.
    let deleted = world("1h", &suspended, "actions: [{at: 15m, delete: {kind: CronJob, name: a}}]");
    check_ledger(
        &deleted,
        expect![[r#"
        900      LEDGER Missed a: 1 from 08 06:10 to 08 06:10 Suspended
        900      FINAL 1 slots, 0 started, missed Suspended 1; 0 triggered, 0 overlaps
    "#]],
    );
}

#[test]
fn a_forbidden_slot_is_held_until_another_takes_its_place() {
    let object = cron_job("a", "schedule: '*/10 * * * *', concurrencyPolicy: Forbid");
    let rest = "guests: [{match: {cronJob: a}, run: 25m}]";
    check_ledger(
        &world("1h", &object, rest),
        expect![[r#"
            600      LEDGER Started a: 08 06:10 a-29549170
            2100     LEDGER Finished a: 08 06:10 a-29549170 Completed
            2100     LEDGER Missed a: 1 from 08 06:20 to 08 06:20 Forbidden
            2100     LEDGER Started a: 08 06:30 a-29549190
            3600     LEDGER Finished a: 08 06:30 a-29549190 Completed
            3600     LEDGER Missed a: 2 from 08 06:40 to 08 06:50 Forbidden
            3600     LEDGER Started a: 08 07:00 a-29549220
            3600     FINAL 6 slots, 3 started, missed Forbidden 3; 0 triggered, 0 overlaps
        "#]],
    );
}

#[test]
fn a_job_may_be_started_by_hand_once() {
    let object = cron_job("a", "schedule: '0 0 1 1 *'");
    let rest = "actions:
- {at: 10s, trigger: {cronJob: a, name: m}}
- {at: 20s, trigger: {cronJob: a, name: m}}
- {at: 30s, trigger: {cronJob: b, name: nn}}
- {at: 40s, patch: {kind: CronJob, name: a, merge: {spec: {schedule: '61 * * * *'}}}}
- {at: 50s, apply: {apiVersion: batch/v1, kind: Job, metadata: {name: owned}, spec: {template: {spec: {restartPolicy: Never, \
                containers: [{name: c, image: i}]}}}}, ownedBy: {kind: CronJob, name: a}}
- {at: 60s, delete: {kind: CronJob, name: a}}
- {at: 70s, delete: {kind: CronJob, name: a}}";
    check_ledger(
        &world("1h", &object, rest),
        expect![[r#"
            10       LEDGER Triggered a: m
            10       LEDGER Finished a: m Completed
            20       REFUSED 2 409 AlreadyExists: jobs.batch "m" already exists
            30       REFUSED 3 404 NotFound: cronjobs.batch "b" not found
            40       REFUSED 4 422 Invalid: CronJob.batch "a" is invalid: spec.schedule: minute: `61` is above 59; it must be from 0 to 59 spec.schedule=FieldValueInvalid
            50       LEDGER Finished: owned Completed
            70       REFUSED 7 404 NotFound: cronjobs.batch "a" not found
            70       FINAL 0 slots, 0 started, missed; 1 triggered, 0 overlaps
        "#]],
    );
}

#[test]
fn slots_of_a_power_cut_were_missed_and_the_last_starts_at_boot() {
    let object = cron_job("a", "schedule: '*/10 * * * *'");
    check_ledger(
        &world("1h", &object, "actions: [{at: 11m, crash: {for: 34m}}]"),
        expect![[r#"
        600      LEDGER Started a: 08 06:10 a-29549170
        600      LEDGER Finished a: 08 06:10 a-29549170 Completed
        2700     LEDGER Missed a: 2 from 08 06:20 to 08 06:30 AgentDown
        2700     LEDGER Started a: 08 06:40 a-29549200
        2700     LEDGER Finished a: 08 06:40 a-29549200 Completed
        3000     LEDGER Started a: 08 06:50 a-29549210
        3000     LEDGER Finished a: 08 06:50 a-29549210 Completed
        3600     LEDGER Started a: 08 07:00 a-29549220
        3600     LEDGER Finished a: 08 07:00 a-29549220 Completed
        3600     FINAL 6 slots, 4 started, missed AgentDown 2; 0 triggered, 0 overlaps
    "#]],
    );
    // Nobody is there to notice the end.
    check_ledger(
        &world("1h", &object, "actions: [{at: 11m, crash: {for: 10h}}]"),
        expect![[r#"
            600      LEDGER Started a: 08 06:10 a-29549170
            600      LEDGER Finished a: 08 06:10 a-29549170 Completed
            3600     LEDGER Missed a: 5 from 08 06:20 to 08 07:00 AgentDown
            3600     FINAL 6 slots, 1 started, missed AgentDown 5; 0 triggered, 0 overlaps
        "#]],
    );
}

#[test]
fn a_clock_that_jumps_misses_slots_and_repeats_none() {
    let object = cron_job("a", "schedule: '*/10 * * * *'");
    let rest = "actions: [{at: 15m, clock: {step: 1h}}, {at: 25m, clock: {step: -1h}}]";
    check_ledger(
        &world("2h", &object, rest),
        expect![[r#"
        600      LEDGER Started a: 08 06:10 a-29549170
        600      LEDGER Finished a: 08 06:10 a-29549170 Completed
        900      LEDGER Missed a: 5 from 08 06:20 to 08 07:00 JumpedOver
        900      LEDGER Started a: 08 07:10 a-29549230
        900      LEDGER Finished a: 08 07:10 a-29549230 Completed
        1200     LEDGER Started a: 08 07:20 a-29549240
        1200     LEDGER Finished a: 08 07:20 a-29549240 Completed
        5400     LEDGER Started a: 08 07:30 a-29549250
        5400     LEDGER Finished a: 08 07:30 a-29549250 Completed
        6000     LEDGER Started a: 08 07:40 a-29549260
        6000     LEDGER Finished a: 08 07:40 a-29549260 Completed
        6600     LEDGER Started a: 08 07:50 a-29549270
        6600     LEDGER Finished a: 08 07:50 a-29549270 Completed
        7200     LEDGER Started a: 08 08:00 a-29549280
        7200     LEDGER Finished a: 08 08:00 a-29549280 Completed
        7200     FINAL 12 slots, 7 started, missed JumpedOver 5; 0 triggered, 0 overlaps
    "#]],
    );
}

#[test]
fn a_device_that_boots_in_1970_starts_nothing_until_its_clock_is_set() {
    let object = cron_job("a", "schedule: '*/10 * * * *'");
    let rest = "actions: [{at: 5m, clock: {step: -20520d}}, {at: 6m, crash: {for: 1m}}, {at: 45m, clock: {step: 20520d}}]";
    check_ledger(
        &world("1h", &object, rest),
        expect![[r#"
        2700     LEDGER Missed a: 3 from 08 06:10 to 08 06:30 ClockNotPlausible
        2700     LEDGER Started a: 08 06:40 a-29549200
        2700     LEDGER Finished a: 08 06:40 a-29549200 Completed
        3000     LEDGER Started a: 08 06:50 a-29549210
        3000     LEDGER Finished a: 08 06:50 a-29549210 Completed
        3600     LEDGER Started a: 08 07:00 a-29549220
        3600     LEDGER Finished a: 08 07:00 a-29549220 Completed
        3600     FINAL 6 slots, 3 started, missed ClockNotPlausible 3; 0 triggered, 0 overlaps
    "#]],
    );
}

#[test]
fn a_zone_may_vanish_under_a_cron_job() {
    let object = cron_job("a", "schedule: '*/10 * * * *', timeZone: Europe/Berlin");
    let rest = format!(
        "actions:\n- {{at: 15m, remove-zone: Europe/Berlin}}\n- {{at: 30m, apply: {}}}",
        cron_job("b", "schedule: '*/10 * * * *', timeZone: Europe/Berlin")
    );
    check_ledger(
        &world("1h", &object, &rest),
        expect![[r#"
        600      LEDGER Started a: 08 06:10 a-29549170
        600      LEDGER Finished a: 08 06:10 a-29549170 Completed
        1800     REFUSED 2 422 Invalid: CronJob.batch "b" is invalid: spec.timeZone: `Europe/Berlin` is no time zone this device knows; names are as in `Europe/Berlin` or `UTC` spec.timeZone=FieldValueInvalid
        3600     LEDGER Missed a: 1 from 08 06:20 to 08 06:20 UnknownTimeZone
        3600     FINAL 2 slots, 1 started, missed UnknownTimeZone 1; 0 triggered, 0 overlaps
    "#]],
    );
}

#[test]
fn the_nodes_zone_is_that_of_cron_jobs_without_one() {
    let object = cron_job("a", "schedule: '30 2 * * *'");
    let scenario = |zone: &str| world("2d", &object, &format!("node: {{timeZone: {zone}}}"));
    check_ledger(
        &scenario("America/New_York"),
        expect![[r#"
        88200    LEDGER Started a: 09 06:30 a-29550630
        88200    LEDGER Finished a: 09 06:30 a-29550630 Completed
        172800   FINAL 1 slots, 1 started, missed; 0 triggered, 0 overlaps
    "#]],
    );
    check_ledger(
        &scenario("UTC"),
        expect![[r#"
        73800    LEDGER Started a: 09 02:30 a-29550390
        73800    LEDGER Finished a: 09 02:30 a-29550390 Completed
        160200   LEDGER Started a: 10 02:30 a-29551830
        160200   LEDGER Finished a: 10 02:30 a-29551830 Completed
        172800   FINAL 2 slots, 2 started, missed; 0 triggered, 0 overlaps
    "#]],
    );
    check_ledger(
        &scenario("Europe/Nowhere"),
        expect![[r#"
        the scenario is wrong: node.timeZone: `Europe/Nowhere` does not exist; no time zone of this name is known; names are as in `Europe/Berlin`
    "#]],
    );
}

/// The timeline of a scenario, and whether it came to its end.
fn timeline(scenario: &str, bounds: Bounds) -> (Vec<String>, Result<(), Trouble>) {
    let simulation = Simulation {
        scenario: scenario.to_owned(),
        now: jiff::Timestamp::UNIX_EPOCH,
        namespace: "default".into(),
        current: None,
        grants: Arc::default(),
        brief: true,
        bounds,
    };
    let mut lines = Vec::new();
    let played = run(simulation, &mut |entry| {
        if let Some(What::Note(note)) = &entry.what {
            lines.push(format!("{} {}: {}", entry.t_ms / 60_000, note.about, note.text));
        }
        ControlFlow::Continue(())
    });
    (lines, played)
}

#[test]
fn slots_by_the_thousand_are_counted() {
    let object = cron_job("a", "schedule: '*/5 * * * *', concurrencyPolicy: Forbid");
    let rest = "guests: [{match: {cronJob: a}, run: 6m}]\nactions: [{at: 30h, crash: {for: 12h}}]";
    let (lines, played) = timeline(&world("4d", &object, rest), Bounds::default());
    played.unwrap();
    expect![[r#"
        0 cronjob/a: created
        1080 cronjobs: the day before: 180 slots started, 35 missed (Forbidden 35); 179 Jobs completed
        1800 : the power goes for 12h
        2520 cronjobs: the day before: 120 slots started, 24 missed (Forbidden 24); 120 Jobs completed
        2520 cronjob/a: missed AgentDown: 143 slots, 2026-03-09T12:05:00Z to 2026-03-09T23:55:00Z
        2520 pod/a-29550955-drxj4: Interrupted: The agent or the device went down while it ran
        3960 cronjobs: the day before: 239 slots started, 192 missed (AgentDown 143, Forbidden 49); 239 Jobs completed
        5400 cronjobs: the day before: 240 slots started, 48 missed (Forbidden 48); 240 Jobs completed
        5760 cronjobs: at last: 61 slots started, 13 missed (Forbidden 13); 61 Jobs completed
    "#]].assert_eq(&(lines.join("\n") + "\n"));
}

#[test]
fn a_world_goes_so_far_and_no_further() {
    let object = cron_job("a", "schedule: '* * * * *'");
    let scenario = world("1h", &object, "");
    let (_, played) = timeline(&scenario, Bounds { steps: 50, ..Bounds::default() });
    expect![[r#"
        the scenario goes on after 50 commits, the most a simulation may take; `until` ends it earlier
    "#]]
    .assert_eq(&format!("{}\n", played.unwrap_err()));
    let (_, played) = timeline(&scenario, Bounds { bytes: 5_000, ..Bounds::default() });
    expect![[r#"
        the scenario's objects take more than 5000 bytes, the most a simulation may store
    "#]]
    .assert_eq(&format!("{}\n", played.unwrap_err()));
}

#[test]
fn a_world_that_nobody_watches_ends() {
    let simulation = Simulation {
        scenario: world("36500d", &cron_job("a", "schedule: '* * * * *'"), ""),
        now: jiff::Timestamp::UNIX_EPOCH,
        namespace: "default".into(),
        current: None,
        grants: Arc::default(),
        brief: false,
        bounds: Bounds::default(),
    };
    let mut left = 100;
    let played = run(simulation, &mut |_| {
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(played, Err(Trouble::Gone)));
}
