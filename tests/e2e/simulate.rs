//! `wick simulate`: the scenarios in examples/ bring what stands beside them, and the JSON lines keep their format.

use std::fs;
use std::process::Command;

use expect_test::{ExpectFile, expect, expect_file};
use serde_json::Value;
use wick_tests::{Node, programs};

fn check(name: &str, expected: ExpectFile) {
    let node = Node::start();
    let scenario = programs::example(&format!("scenarios/{name}.yaml"));
    expected.assert_eq(&node.done(&["simulate", scenario.to_str().unwrap()]));
}

macro_rules! scenarios {
    ($($test:ident: $name:literal,)*) => {$(
        #[test]
        fn $test() {
            check($name, expect_file![concat!("../../examples/scenarios/", $name, ".txt")]);
        }
    )*};
}

scenarios! {
    pods_that_fail_are_replaced_later_and_later: "retries",
    restarts_count_towards_the_limit_too: "restarts",
    an_index_that_fails_for_good_fails_the_job_last: "per-index",
    a_work_queue_is_done_with_its_last_worker: "work-queue",
    a_deadline_ends_what_does_not_listen_after_its_grace: "deadline",
    a_resumed_job_has_its_whole_time_again: "suspend",
    a_power_cut_is_no_failure_where_a_policy_says_so: "power-cut",
    an_image_that_is_missing_is_waited_for: "no-image",
    a_year_of_a_fleet_has_two_clock_changes_and_an_outage: "year",
    a_clock_change_drops_a_slot_unless_told_otherwise: "dst",
    jobs_that_take_too_long_overlap_wait_or_are_replaced: "overlaps",
    slots_of_a_power_cut_are_caught_up_with_as_told: "catch-up",
    a_device_that_boots_in_1970_waits_for_its_clock: "first-boot",
}

#[test]
fn every_scenario_in_examples_is_tested() {
    let here = fs::read_to_string(programs::root().join("tests/e2e/simulate.rs")).unwrap();
    for file in fs::read_dir(programs::example("scenarios")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix(".yaml") {
            assert!(here.contains(&format!(": \"{name}\",")), "{name} is not");
        }
    }
}

const SCENARIO: &str = "
start: 2026-03-08T06:00:00Z
objects:
- apiVersion: batch/v1
  kind: Job
  metadata: {name: a}
  spec:
    completionMode: Indexed
    completions: 1
    template:
      spec:
        restartPolicy: Never
        containers: [{name: c, image: busybox, args: [x], env: [{name: A, value: b}]}]
guests: [{run: 1500ms}]
actions: [{at: 2s, trigger: {cronJob: c, name: m}}]
";

#[test]
fn lines_have_the_keys_of_the_format_in_its_order() {
    let node = Node::start();
    let said = node.done_with(&["simulate", "-", "-o", "json"], SCENARIO);
    let shown: String = said
        .lines()
        .map(|line| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            // Whole objects are compared elsewhere.
            if let Some(object) = value.get("object") {
                value["object"] = object["kind"].clone();
            }
            if let Some(entry) = value.get("entry") {
                value["entry"] = entry["type"].clone();
            }
            if let Some(objects) = value.get("objects").and_then(Value::as_array) {
                value["objects"] = objects.iter().map(|object| object["kind"].clone()).collect();
            }
            format!("{value}\n")
        })
        .collect();
    expect![[r#"
        {"t":0.0,"time":"2026-03-08T06:00:00Z","type":"ADDED","kind":"Job","namespace":"default","name":"a","object":"Job"}
        {"t":0.0,"time":"2026-03-08T06:00:00Z","type":"ADDED","kind":"Pod","namespace":"default","name":"a-0-65jf9","object":"Pod"}
        {"t":0.0,"time":"2026-03-08T06:00:00Z","type":"ADDED","kind":"Event","namespace":"default","name":"a.0000000000100004","object":"Event"}
        {"t":0.0,"time":"2026-03-08T06:00:00Z","type":"ADDED","kind":"Event","namespace":"default","name":"a-0-65jf9.0000000000100005","object":"Event"}
        {"t":0.0,"time":"2026-03-08T06:00:00Z","type":"ADDED","kind":"Event","namespace":"default","name":"a-0-65jf9.0000000000100006","object":"Event"}
        {"t":0.0,"type":"START","pod":"a-0-65jf9","container":"c","start":1,"index":0,"args":["busybox","x"],"env":{"A":"b","HOSTNAME":"a-0","JOB_COMPLETION_INDEX":"0"}}
        {"t":1.5,"type":"EXIT","pod":"a-0-65jf9","container":"c","start":1,"index":0,"exit":0,"reason":"Completed"}
        {"t":1.5,"time":"2026-03-08T06:00:01Z","type":"MODIFIED","kind":"Job","namespace":"default","name":"a","object":"Job"}
        {"t":1.5,"time":"2026-03-08T06:00:01Z","type":"MODIFIED","kind":"Pod","namespace":"default","name":"a-0-65jf9","object":"Pod"}
        {"t":1.5,"time":"2026-03-08T06:00:01Z","type":"ADDED","kind":"Event","namespace":"default","name":"a.0000000000100009","object":"Event"}
        {"t":1.5,"type":"LEDGER","entry":"Finished"}
        {"t":2.0,"type":"REFUSED","action":1,"error":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"cronjobs.batch \"c\" not found","reason":"NotFound","details":{"name":"c","group":"batch","kind":"cronjobs"},"code":404}}
        {"type":"FINAL","t":2.0,"objects":["Job","Pod","Event","Event","Event","Event"]}
    "#]].assert_eq(&shown);
}

#[test]
fn one_seed_gives_the_same_output_and_another_one_other_names() {
    let node = Node::start();
    let play =
        |seed: &str| node.done_with(&["simulate", "-", "-o", "json"], &format!("seed: {seed}\n{SCENARIO}"));
    assert_eq!(play("1"), play("1"));
    assert_ne!(play("1"), play("2"));
}

#[test]
fn a_scenario_that_is_wrong_is_refused_with_every_place() {
    let node = Node::start();
    let said = node.wick_with(
        &["simulate", "-"],
        "objects: [{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {backoffLimit: -1, template: {}}}]\n",
    );
    expect![[r#"
        error: stdin: the scenario is invalid
          objects[0].spec.backoffLimit: -1 is too few; the least is 0
          objects[0].spec.template.spec.containers: needed; give at least one container
          objects[0].spec.template.spec.restartPolicy: needed; a Job takes `Never` or `OnFailure`
        exit 1
    "#]]
    .assert_eq(&said.to_string());
    let said = node.wick_with(&["simulate", "-"], "untill: 5s\nguests: [{run: 5x}]\n");
    expect![[r#"
        error: stdin: the scenario is invalid
          untill: unknown field; did you mean `until`?
          guests[0].run: `5x` must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
        exit 1
    "#]].assert_eq(&said.to_string());
    let said = node.wick(&["simulate", "/nonexistent.yaml"]);
    expect![[r#"
        error: /nonexistent.yaml: no such file or directory
        exit 2
    "#]]
    .assert_eq(&said.to_string());
}

#[test]
fn the_agents_own_jobs_can_be_what_it_begins_with() {
    let node = Node::start();
    // Its image is not there: it waits.
    let job = "{apiVersion: batch/v1, kind: Job, metadata: {name: slow}, spec: {template: {spec: {restartPolicy: Never, \
               containers: [{name: c, image: nobody}]}}}}";
    node.done_with(&["apply", "-f", "-"], job);
    let scenario = "{guests: [{run: 5s}], objects: [{kind: Ignored}]}";
    let said = node.done_with(&["simulate", "-", "-o", "json", "--from", "current"], scenario);
    let exits: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["type"] == "EXIT")
        .collect();
    assert_eq!((exits.len(), exits[0]["t"].as_f64()), (1, Some(5.0)));
    // Nothing of it happened.
    assert_eq!(node.json(&["get", "job", "slow"])["status"]["active"], 1);
}

#[test]
fn the_agents_own_cron_jobs_can_be_what_it_begins_with() {
    let node = Node::start();
    let cron_job = "{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly, annotations: {wick.dev/dst: RunOnce}}, \
                    spec: {schedule: '30 2 * * *', timeZone: Europe/Berlin, jobTemplate: {spec: {template: {spec: \
                    {restartPolicy: Never, containers: [{name: c, image: nobody}]}}}}}}";
    node.done_with(&["apply", "-f", "-"], cron_job);
    node.done(&["create", "job", "by-hand", "--from=cronjob/nightly"]);
    let said = node.wick_with(&["simulate", "-", "--from", "current"], "{}");
    expect![[r#"
        error: stdin: the scenario is invalid
          until: needed where there is a CronJob: it never ends by itself
        exit 1
    "#]]
    .assert_eq(&said.to_string());
    // Over the night that has no half past two.
    let scenario = "{start: '2027-03-27T12:00:00Z', until: 2d, guests: [{run: 5s}]}";
    let said = node.done_with(&["simulate", "-", "--from", "current"], scenario);
    expect![[r#"
        Sat 2027-03-27 (UTC)
        12:00:00        0s  cronjob/nightly          created
        12:00:00        0s  job/by-hand              created
        12:00:00        0s  pod/by-hand-75wrj        c started
        12:00:05        5s  pod/by-hand-75wrj        c exited 0 (Completed)
        12:00:05        5s  job/by-hand              completed
        Sun 2027-03-28 (UTC)
        01:00:00       13h  cronjob/nightly          slot started: nightly-30103260, due 2027-03-28T01:00:00Z
        01:00:00       13h  pod/nightly-30103260-csrxz c started
        01:00:05     13h5s  pod/nightly-30103260-csrxz c exited 0 (Completed)
        01:00:05     13h5s  job/nightly-30103260     completed
        Mon 2027-03-29 (UTC)
        00:30:00  1d12h30m  cronjob/nightly          slot started: nightly-30104670, due 2027-03-29T00:30:00Z
        00:30:00  1d12h30m  pod/nightly-30104670-4xd7d c started
        00:30:05 1d12h30m5s  pod/nightly-30104670-4xd7d c exited 0 (Completed)
        00:30:05 1d12h30m5s  job/nightly-30104670     completed

        Simulated   2d from 2027-03-27 12:00:00 UTC, 9 commits
        Slots       2 due, 2 started, 0 missed; 0 overlapped; 0 Jobs started by hand
        Jobs        3 created, 3 completed, 0 failed
        Pods        3 created
        Containers  3 started, 0 of them again; 0 failed; at most 1 at once
        Busiest     2027-03-27 12:00, 1 starts in that minute
    "#]]
    .assert_eq(&said.to_string());
    // Nothing of it happened.
    assert_eq!(node.json(&["get", "cronjob", "nightly"])["status"]["lastScheduleTime"], Value::Null);
}

#[test]
fn a_simulation_needs_no_running_agent_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let scenario = place.path().join("scenario.yaml");
    fs::write(&scenario, SCENARIO).unwrap();
    let temporary = place.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let output = Command::new(programs::wick())
        .env_clear()
        .env("TMPDIR", &temporary)
        .arg("simulate")
        .arg(&scenario)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("job/a                    completed"));
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}
