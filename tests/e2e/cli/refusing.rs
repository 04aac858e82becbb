//! Commands that cannot be done, or make no sense, or find no agent: what is said, and the exit code.

use expect_test::expect;
use wick_tests::{Node, manifest, phase};

use super::{busy, check};

#[test]
fn logs_that_cannot_be_read_are_told_why() {
    let node = busy();
    let mut waits = manifest::job("waits", "nobody-pushed-this");
    // Else it would be another reason after ten seconds.
    waits["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "Never".into();
    node.apply(&waits);
    node.pods_when("waits", |pods| pods.len() == 1 && phase(&pods[0]) == "Pending");
    check(
        &node,
        &[
            "logs job/hello",
            "logs job/bad --tail 0",
            "logs job/nobody",
            "logs nobody",
            "logs job/waits",
            "logs job/hello --previous",
            "logs job/hello -c other",
            "logs image/hello",
        ],
        expect![[r#"
            $ wick logs job/hello
            hello from a .wat by hand

            $ wick logs job/bad --tail 0

            $ wick logs job/nobody
            error: no job named `nobody` in namespace default
            hint: jobs in namespace default: `bad`, `hello`, `waits`
            exit 1

            $ wick logs nobody
            error: no pod named `nobody` in namespace default
            hint: pods in namespace default: `bad-POD`, `hello-POD`, `waits-POD`
            exit 1

            $ wick logs job/waits
            error: container main in pod waits-POD is waiting to start: ErrImageNeverPull
            exit 1

            $ wick logs job/hello --previous
            error: previous terminated container main in pod hello-POD not found
            exit 1

            $ wick logs job/hello -c other
            error: no container named `other` in pod `hello-POD`
            hint: containers of this Pod: `main`
            exit 1

            $ wick logs image/hello
            error: images write nothing
            hint: name a pod, job/NAME, or cronjob/NAME
            exit 2
        "#]],
    );
}

#[test]
fn a_command_that_makes_no_sense_is_exit_2() {
    let node = Node::start();
    check(
        &node,
        &[
            "get",
            "get jobz",
            "get jobs -o xml",
            "get jobs hello -l a=b",
            "wait job/hello",
            "wait --for=done job/hello",
            "wait --for=condition=complete image/hello",
            "delete job",
            "delete event a",
            "logs",
            "logs job/a --tail -2",
            "apply",
            "image push not-there.wasm",
        ],
        expect![[r#"
            $ wick get
            error: the following required arguments were not provided:
              <KIND [NAME]>...

            Usage: wick get <KIND [NAME]>...

            For more information, try '--help'.
            exit 2

            $ wick get jobz
            error: `jobz` is not a kind of thing
            hint: the kinds are: jobs, cronjobs, pods, events, images, nodes
            exit 2

            $ wick get jobs -o xml
            error: invalid value 'xml' for '--output <FORM>': it is none of wide, yaml, json, name, jsonpath=TEMPLATE and custom-columns=NAME:PATH,…

            For more information, try '--help'.
            exit 2

            $ wick get jobs hello -l a=b
            error: either names or a selector, not both
            exit 2

            $ wick wait job/hello
            error: the following required arguments were not provided:
              --for <WHAT>

            Usage: wick wait --for <WHAT> <KIND/NAME>...

            For more information, try '--help'.
            exit 2

            $ wick wait --for=done job/hello
            error: invalid value 'done' for '--for <WHAT>': `done` is not condition=TYPE, condition=TYPE=STATUS, jsonpath=PATH, create or delete

            For more information, try '--help'.
            exit 2

            $ wick wait --for=condition=complete image/hello
            error: images cannot be waited for
            hint: jobs, cronjobs and pods can: wick wait --for=condition=complete job/hello
            exit 2

            $ wick delete job
            error: nothing is named
            hint: name it, or give -l, --field-selector or --all
            exit 2

            $ wick delete event a
            error: events go by themselves, after an hour
            exit 2

            $ wick logs
            error: the following required arguments were not provided:
              <POD|KIND/NAME>

            Usage: wick logs <POD|KIND/NAME> [CONTAINER]

            For more information, try '--help'.
            exit 2

            $ wick logs job/a --tail -2
            error: --tail -2: the least is -1, for all lines
            exit 2

            $ wick apply
            error: the following required arguments were not provided:
              --filename <FILE>

            Usage: wick apply --filename <FILE>

            For more information, try '--help'.
            exit 2

            $ wick image push not-there.wasm
            error: not-there.wasm: no such file or directory
            exit 2
        "#]],
    );
    check(
        &node,
        &["get jobs -l a=(", "get jobs --field-selector status.phase=Running"],
        expect![[r#"
            $ wick get jobs -l a=(
            error: -l: selector `a=(`: expected `,` at `(`
            exit 1

            $ wick get jobs --field-selector status.phase=Running
            error: --field-selector: field label not supported: `status.phase`; there is metadata.name, metadata.namespace, status.successful
            exit 1
        "#]],
    );
}

#[test]
fn without_an_agent_nothing_can_be_asked() {
    let mut node = Node::start();
    let address = "127.0.0.1:1";
    node.stop();
    check(
        &node,
        &["get jobs", "apply -f not-there.yaml"],
        expect![[r#"
        $ wick get jobs
        error: no agent answers on DIR/wick.sock: no such file or directory
        hint: start the agent: wickd --data-dir DIR
        exit 2

        $ wick apply -f not-there.yaml
        error: not-there.yaml: no such file or directory
        exit 2
    "#]],
    );
    let said = node.wick(&["get", "jobs", "--server", address]);
    // The socket in the environment stands back: a flag is nearer.
    assert_eq!(said.code, 2, "{said}");
    assert!(said.stderr.starts_with("error: no agent answers on 127.0.0.1:1: "), "{said}");
}
