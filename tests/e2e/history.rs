//! The history: what became of Jobs, kept when they are gone.

use std::process::Command;

use serde_json::{Value, json};
use wick_tests::{Node, manifest, programs};

/// A Job whose guest's instructions are counted.
fn counted(name: &str) -> Value {
    let mut job = manifest::job(name, programs::guest("hello"));
    manifest::container(&mut job)["resources"] = json!({"limits": {"wick.dev/fuel": "1G", "memory": "64Mi"}});
    job
}

fn entries(node: &Node, args: &[&str]) -> Vec<Value> {
    let mut all = vec!["history"];
    all.extend(args);
    node.json(&all)["entries"].as_array().unwrap().clone()
}

#[test]
fn a_job_leaves_its_runs_with_what_they_used_through_deletion_and_power_cut() {
    let mut node = Node::start();
    node.apply(&counted("counted"));
    node.complete("counted");
    let pod = node.pod("counted");
    let told = entries(&node, &["job", "counted"]);
    let [entry] = told.as_slice() else { panic!("one Job, one end: {told:#?}") };
    for (field, wanted) in [
        ("type", json!("Finished")),
        ("namespace", json!("default")),
        ("job", json!("counted")),
        ("jobUid", pod["metadata"]["ownerReferences"][0]["uid"].clone()),
        ("reason", json!("Completed")),
        ("podsSucceeded", json!(1)),
        ("cronJob", Value::Null),
        ("moreAttempts", Value::Null),
    ] {
        assert_eq!(entry[field], wanted, "{field} of {entry:#}");
    }
    let [run] = entry["attempts"].as_array().unwrap().as_slice() else { panic!("{entry:#}") };
    for (field, wanted) in [
        ("pod", pod["metadata"]["name"].clone()),
        ("container", json!("main")),
        ("start", json!(1)),
        ("exitCode", json!(0)),
        ("reason", json!("Completed")),
    ] {
        assert_eq!(run[field], wanted, "{field} of {run:#}");
    }
    for used in ["wallUs", "cpuUs", "fuel", "peakMemoryBytes"] {
        assert!(run[used].as_u64().is_some_and(|used| used > 0), "{used} of {run:#}");
    }
    assert!(run["fuel"].as_u64().unwrap() < 1_000_000_000, "{run:#}");

    let shown = node.done(&["history", "job", "counted"]);
    assert!(shown.contains("counted succeeded"), "{shown}");
    assert!(shown.contains(pod["metadata"]["name"].as_str().unwrap()), "{shown}");
    let columns = "custom-columns=JOB:.job,WHY:.reason,EXITS:.attempts[*].exitCode";
    assert_eq!(
        node.done(&["history", "-o", columns]),
        "JOB       WHY         EXITS\ncounted   Completed   0\n"
    );

    node.done(&["delete", "job", "counted"]);
    node.gone("job/counted");
    assert_eq!(entries(&node, &[]), told);
    node.kill();
    node.boot();
    assert_eq!(entries(&node, &["-A"]), told);
    assert!(entries(&node, &["-n", "other"]).is_empty());
    assert!(entries(&node, &["--missed"]).is_empty());
    assert!(entries(&node, &["--since", "2999-01-01"]).is_empty());
    let nothing = node.wick(&["history", "job", "nobody"]);
    assert_eq!((nothing.code, nothing.stderr.as_str()), (0, "No history found in default namespace.\n"));
}

#[test]
fn a_job_that_goes_on_tells_its_runs_so_far() {
    let mut node = Node::start();
    let mut job = manifest::endless("long");
    manifest::pod(&mut job)["restartPolicy"] = json!("OnFailure");
    job["spec"]["backoffLimit"] = 6.into();
    node.apply(&job);
    node.running_pods("long", 1);
    node.kill();
    node.boot();
    node.running_pods("long", 1);
    let told = entries(&node, &["job", "long"]);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(
        (&told[0]["type"], &told[0]["attempts"][0]["reason"]),
        (&json!("Ran"), &json!("ContainerStatusUnknown"))
    );
    // Nobody asked about this Job: what it does on its way is not in the way.
    let all = node.wick(&["history"]);
    assert_eq!(all.stderr, "No history found in default namespace.\n", "{all}");

    node.done(&["delete", "job", "long", "--cascade=foreground"]);
    let told = entries(&node, &["job", "long"]);
    let [entry] = told.as_slice() else { panic!("what ran is in the end: {told:#?}") };
    assert_eq!((&entry["type"], &entry["reason"]), (&json!("Finished"), &json!("Deleted")));
    let reasons: Vec<&str> =
        entry["attempts"].as_array().unwrap().iter().filter_map(|run| run["reason"].as_str()).collect();
    assert_eq!(reasons, ["ContainerStatusUnknown", "Stopped"]);
}

#[test]
fn a_run_by_hand_is_told_with_what_was_different() {
    let node = Node::start();
    let template = counted("unused")["spec"].clone();
    let cron_job = json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly"},
        "spec": {"schedule": "0 2 29 2 *", "suspend": true, "jobTemplate": {"spec": template}},
    });
    node.apply(&cron_job);
    let create =
        ["create", "job", "by-hand", "--from=cronjob/nightly", "--env", "MODE=full", "--fuel", "2000000000"];
    node.done(&create);
    node.complete("by-hand");
    // A Job of nobody's is not the CronJob's.
    node.apply(&counted("other"));
    node.complete("other");

    let told = entries(&node, &["cronjob", "nightly"]);
    let types: Vec<&Value> = told.iter().map(|entry| &entry["type"]).collect();
    assert_eq!(types, ["Triggered", "Finished"], "{told:#?}");
    for entry in &told {
        let seen = ["cronJob", "job", "manual", "slot"].map(|field| &entry[field]);
        assert_eq!(seen, [&json!("nightly"), &json!("by-hand"), &json!(true), &Value::Null], "{entry:#}");
        assert_eq!(entry["overrides"]["env"]["MODE"], "full", "{entry:#}");
        assert_eq!(entry["overrides"]["fuel"], 2_000_000_000, "{entry:#}");
    }
    let shown = node.done(&["history", "cj/nightly", "-o", "wide"]);
    assert!(
        shown.contains("started by-hand by hand") && shown.contains("MODE=full, fuel 2000000000"),
        "{shown}"
    );

    node.done(&["delete", "cronjob", "nightly"]);
    node.gone("job/by-hand");
    assert_eq!(entries(&node, &["cronjob", "nightly"]), told);
}

#[test]
fn the_oldest_goes_when_there_is_too_much() {
    let mut node = Node::start_with(&["--ledger-bytes", "16384"]);
    let jobs: usize = 120;
    let image = programs::own_guest("nothing");
    let all: Vec<String> =
        (0..jobs).map(|n| manifest::job(&format!("job-{n}"), &image).to_string()).collect();
    node.done_with(&["apply", "-f", "-"], &all.join("\n---\n"));
    node.done(&["wait", "--for=condition=complete", "jobs", "--all", "--timeout", "60s"]);
    let kept = entries(&node, &[]);
    let ids: Vec<u64> = kept.iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
    // Numbers between them are runs that one commit recorded, and the next their Job's end.
    assert!(ids.is_sorted_by(|one, next| one < next) && ids.last() >= Some(&(jobs as u64)), "{ids:?}");
    assert!((20..100).contains(&ids.len()), "{} entries are kept", ids.len());
    let newest_five = entries(&node, &["--limit", "5"]);
    assert_eq!(newest_five, kept[kept.len() - 5..]);
    node.stop();
    node.boot();
    assert_eq!(entries(&node, &[]), kept);
}

#[test]
fn an_export_takes_the_history_along() {
    let mut node = Node::start();
    node.apply(&counted("counted"));
    node.complete("counted");
    let told = entries(&node, &[]);
    node.stop();
    let (export, copy) = (node.path().join("export"), node.path().join("copy"));
    let store = |command: &str, args: &[&std::path::Path]| {
        let output = Command::new(programs::wickd()).args(["store", command]).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    store("export", &[&node.data(), &export]);
    store("import", &[&copy, &export]);
    let checked = store("check", &[&node.data()]);
    assert!(checked.contains("entries     1\n"), "{checked}");
    node.use_data(copy);
    node.boot();
    assert_eq!(entries(&node, &[]), told);
}
