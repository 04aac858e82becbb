//! Everything at once: what cannot be read, what cannot be, and what Wick cannot do, in the order of the document.

use super::{Bundled, changed, document, grants, told};
use crate::manifest::New;
use expect_test::{Expect, expect};

fn check(yaml: &str, expected: Expect) {
    let documents = crate::manifest::parse(yaml).unwrap();
    let lines = documents.iter().flat_map(|document| {
        match document.check("default", &grants(), &Bundled).and_then(New::unless_stored) {
            Ok(new) => {
                new.warnings().iter().map(|warning| format!("warning: {warning}\n")).collect::<Vec<_>>()
            }
            Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
        }
    });
    expected.assert_eq(&lines.collect::<String>());
}

#[test]
fn mistakes_come_in_the_order_of_the_document() {
    check(
        "
apiVersion: batch/v1
kind: Job
spec:
  template:
    spec:
      hostPID: true
      containers:
      - image: A B
        name: 7
        env: {}
        volumeMounts: [{name: none, mountPath: here}]
      restart_policy: Always
  paralelism: 3
  completions: -3
metadata:
  colour: red
  name: Hello
",
        expect![[r#"
            spec.template.spec.hostPID: guests cannot see processes; remove it
            spec.template.spec.containers[0].image: `A B` must be a name such as `hello`, `hello:1.2` or `example.com/team/hello` in lower-case letters, digits, `.`, `_` and `-`, or `sha256:` and 64 hexadecimal digits; a path to a file is pushed by `wick apply`, or by `wick image push FILE NAME`
            spec.template.spec.containers[0].name: expected a string, got the number 7; put it in quotes
            spec.template.spec.containers[0].env: expected a list, got a map; put a `-` before it
            spec.template.spec.containers[0].volumeMounts[0].mountPath: `here` must be an absolute path
            spec.template.spec.restart_policy: unknown field; did you mean `restartPolicy`?
            spec.paralelism: unknown field; did you mean `parallelism`?
            spec.completions: -3 is too few; the least is 0
            metadata.colour: unknown field
            metadata.name: `Hello` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
        "#]],
    );
}

#[test]
fn what_is_only_misspelt_is_not_told_as_missing() {
    check(
        "
apiVersion: batch/v1
kind: Job
metadata: {nam: hello}
spec:
  template:
    containers: [{imagee: hello, name: main}, just text]
    spec: {restart_policy: Never}
",
        expect![[r#"
            metadata.nam: unknown field; did you mean `name`?
            spec.template.containers: unknown field; `containers` belongs in `spec.template.spec`
            spec.template.spec.restart_policy: unknown field; did you mean `restartPolicy`?
        "#]],
    );
    check(
        "{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {tempalte: {}}}",
        expect![[r#"
        spec.tempalte: unknown field; did you mean `template`?
    "#]],
    );
    check(
        "{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: []}",
        expect![[r#"
        spec: expected a map, got a list
    "#]],
    );
    check(
        "{apiVersion: batch/v2, kind: Job, metadata: {name: a}, spec: {parallelism: -1}}",
        expect![[r#"
        apiVersion: `batch/v2` is not served for a `Job`; did you mean `batch/v1`?
        spec.template: needed; say what the Job's Pods are to run
        spec.parallelism: -1 is too few; the least is 0
    "#]],
    );
}

#[test]
fn an_element_that_cannot_be_read_does_not_move_the_others() {
    check(
        "
apiVersion: batch/v1
kind: Job
metadata: {name: hello}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - just text
      - {name: B, image: hello}
",
        expect![[r#"
            spec.template.spec.containers[0]: expected a map, got the string "just text"
            spec.template.spec.containers[1].name: `B` must be up to 63 lower-case letters, digits and `-`, with a letter or digit at both ends
        "#]],
    );
}

#[test]
fn items_of_a_list_have_their_place() {
    check(
        "
apiVersion: v1
kind: List
items:
- {apiVersion: batch/v1, kind: Job, metadata: {name: A}, spec: {parallelism: -1, x: 1}}
- {apiVersion: batch/v1, kind: CronJob, metadata: {name: b}, spec: {timeZone: utc, x: 1}}
- apiVersion: batch/v1
  kind: CronJob
  metadata: {name: b}
  spec:
    schedule: '@daily'
    timeZone: Local
    jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}
",
        expect![[r#"
            items[0].metadata.name: `A` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
            items[0].spec.template: needed; say what the Job's Pods are to run
            items[0].spec.parallelism: -1 is too few; the least is 0
            items[0].spec.x: unknown field
            items[1].spec.schedule: needed; give five fields (minute hour day month weekday), as in `0 3 * * *`
            items[1].spec.jobTemplate: needed; say which Job is to be started
            items[1].spec.timeZone: `utc` is no time zone this device knows; did you mean `UTC`?
            items[1].spec.x: unknown field
            items[2].spec.timeZone: `Local` is no name of a zone; leave it out for the device's
        "#]],
    );
}

#[test]
fn no_more_is_told_than_anybody_reads() {
    let env: Vec<_> = (0..2000).map(|_| serde_json::json!({"name": "A=B"})).collect();
    let mut job = changed(&[]);
    job["spec"]["template"]["spec"]["containers"][0]["env"] = env.into();
    let errors = document(&job).check("default", &grants(), &Bundled).unwrap_err();
    assert_eq!(errors.len(), crate::field_error::ERRORS_MAX + 1);
    assert!(told(&job).ends_with("and there are more mistakes than these\n"));
}
