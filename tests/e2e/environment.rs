//! What a guest finds when it starts: its arguments and its variables.

use expect_test::{Expect, expect};
use serde_json::json;
use wick_tests::{Node, manifest, plain, programs};

/// Runs a guest that prints what it was given.
fn check(change: impl FnOnce(&mut serde_json::Value), wanted: Expect) {
    let node = Node::start();
    let mut job = manifest::job("env", programs::own_guest("environment"));
    change(&mut job);
    node.apply(&job);
    node.complete("env");
    wanted.assert_eq(&plain(&node.logs("env"), &["env"]));
}

#[test]
fn a_guest_has_nothing_of_the_agents_environment() {
    check(
        |_| {},
        expect![[r#"
        environment@sha256:DIGEST
        HOSTNAME=env-POD
    "#]],
    );
}

#[test]
fn variables_come_in_order_and_refer_to_those_before_them() {
    check(
        |job| {
            manifest::container(job)["env"] = json!([
                {"name": "HOST", "value": "gate.example"},
                {"name": "URL", "value": "mqtt://$(HOST):1883/$(LATER)"},
                {"name": "LATER", "value": "too late"},
                {"name": "PRICE", "value": "$$(HOST) is $5"},
                {"name": "EMPTY"},
                {"name": "HOST", "value": "other.example"},
            ]);
        },
        expect![[r#"
            environment@sha256:DIGEST
            HOSTNAME=env-POD
            HOST=other.example
            URL=mqtt://gate.example:1883/$(LATER)
            LATER=too late
            PRICE=$(HOST) is $5
            EMPTY=
        "#]],
    );
}

#[test]
fn variables_tell_a_guest_about_its_pod() {
    check(
        |job| {
            let of = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
            job["spec"]["template"]["metadata"] =
                json!({"labels": {"tier": "edge"}, "annotations": {"site": "north 7"}});
            manifest::container(job)["env"] = json!([
                of("NAME", "metadata.name"),
                of("NAMESPACE", "metadata.namespace"),
                of("UID_OF_POD", "metadata.uid"),
                of("NODE", "spec.nodeName"),
                of("TIER", "metadata.labels['tier']"),
                of("JOB", "metadata.labels['batch.kubernetes.io/job-name']"),
                of("SITE", "metadata.annotations['site']"),
                of("NONE", "metadata.labels['none']"),
                {"name": "BOTH", "value": "$(NAMESPACE)/$(JOB)"},
            ]);
        },
        expect![[r#"
            environment@sha256:DIGEST
            HOSTNAME=env-POD
            NAME=env-POD
            NAMESPACE=default
            UID_OF_POD=UID
            NODE=gate
            TIER=edge
            JOB=env
            SITE=north 7
            NONE=
            BOTH=default/env
        "#]],
    );
}

#[test]
fn command_and_args_are_the_guests_arguments() {
    check(
        |job| {
            let container = manifest::container(job);
            container["env"] = json!([{"name": "WHO", "value": "world"}]);
            container["command"] = json!(["greet"]);
            container["args"] = json!(["--name", "$(WHO)", "$(NOBODY)", "$$(WHO)"]);
        },
        expect![[r#"
            greet
            --name
            world
            $(NOBODY)
            $(WHO)
            HOSTNAME=env-POD
            WHO=world
        "#]],
    );
    check(
        |job| manifest::container(job)["args"] = json!(["--quick"]),
        expect![[r#"
        environment@sha256:DIGEST
        --quick
        HOSTNAME=env-POD
    "#]],
    );
}
