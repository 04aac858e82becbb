//! What is often thought to be wrong, and is not; what is filled in; and what is told as a warning.

use super::{changed, container, pod, row, stored, told};
use expect_test::{Expect, expect};

#[test]
fn what_kubernetes_takes_is_taken() {
    for change in [
        "spec: {completionMode: Indexed, completions: 3, backoffLimitPerIndex: 1, template: {spec: {restartPolicy: OnFailure}}}",
        "spec: {completions: 2, parallelism: 5}",
        "spec: {completionMode: Indexed, completions: 2, parallelism: 5}",
        "spec: {activeDeadlineSeconds: 0}",
        "spec: {completionMode: Indexed, completions: 3, successPolicy: {rules: [{succeededCount: 0}]}}",
        "spec: {completionMode: Indexed, completions: 3, successPolicy: {rules: [{succeededIndexes: ''}]}}",
        "spec: {completionMode: Indexed, completions: 0}",
        "spec: {completions: 0}",
        "spec: {parallelism: 0}",
        "spec: {backoffLimit: 0}",
        "spec: {ttlSecondsAfterFinished: 0}",
        "spec: {podFailurePolicy: {rules: []}}",
        "spec: {podFailurePolicy: {rules: [{action: Ignore, onExitCodes: {operator: NotIn, values: [-5, 0, 3]}}]}}",
        "spec: {manualSelector: false}",
        "spec: {selector: {}}",
        "spec: {managedBy: kubernetes.io/job-controller}",
        "spec: {managedBy: example.com/runner-1/x}",
        "spec: {template: {spec: {containers: [{name: main, image: ' hello '}]}}}",
        "spec: {template: {spec: {containers: [{name: main, image: hello, env: [{name: 'a.b-c d', value: x}]}]}}}",
    ] {
        assert_eq!(told(&changed(&[change])), "", "{change}");
    }
}

/// The spec as it is stored.
fn filled(changes: &[&str], expected: Expect) {
    let mut job = crate::json::to_json(&stored(changes));
    for field in ["template", "selector"] {
        job["spec"].as_object_mut().unwrap().remove(field);
    }
    expected.assert_eq(&format!("{}\n", job["spec"]));
}

#[test]
fn completions_and_parallelism_depend_on_each_other() {
    filled(
        &[],
        expect![[r#"
        {"parallelism":1,"completions":1,"backoffLimit":6,"suspend":false,"manualSelector":false,"podReplacementPolicy":"TerminatingOrFailed","completionMode":"NonIndexed"}
    "#]],
    );
    filled(
        &["spec: {parallelism: 3}"],
        expect![[r#"
        {"parallelism":3,"backoffLimit":6,"suspend":false,"manualSelector":false,"podReplacementPolicy":"TerminatingOrFailed","completionMode":"NonIndexed"}
    "#]],
    );
    filled(
        &["spec: {completions: 3}"],
        expect![[r#"
        {"parallelism":1,"completions":3,"backoffLimit":6,"suspend":false,"manualSelector":false,"podReplacementPolicy":"TerminatingOrFailed","completionMode":"NonIndexed"}
    "#]],
    );
    filled(
        &["spec: {parallelism: 0, completions: 0}"],
        expect![[r#"
        {"parallelism":0,"completions":0,"backoffLimit":6,"suspend":false,"manualSelector":false,"podReplacementPolicy":"TerminatingOrFailed","completionMode":"NonIndexed"}
    "#]],
    );
}

#[test]
fn a_template_is_filled_in() {
    let job = stored(&["
spec:
  template:
    spec:
      volumes: [{name: v}]
      containers:
      - {name: latest, image: hello}
      - {name: tagged, image: 'hello:1'}
"]);
    let pod = &crate::json::to_json(&job)["spec"]["template"]["spec"];
    expect![[r#"
        {
          "volumes": [
            {
              "name": "v",
              "emptyDir": {}
            }
          ],
          "containers": [
            {
              "name": "latest",
              "image": "hello",
              "imagePullPolicy": "Always"
            },
            {
              "name": "tagged",
              "image": "hello:1",
              "imagePullPolicy": "IfNotPresent"
            }
          ],
          "restartPolicy": "Never",
          "terminationGracePeriodSeconds": 30
        }
    "#]]
    .assert_eq(&format!("{pod:#}\n"));
}

/// Metadata as it is stored, and the template's labels.
fn labels(changes: &[&str], expected: Expect) {
    let job = crate::json::to_json(&stored(changes));
    let (of_job, of_pods) = (&job["metadata"]["labels"], &job["spec"]["template"]["metadata"]["labels"]);
    expected.assert_eq(&format!("Job {of_job}\nPods {of_pods}\nselector {}\n", job["spec"]["selector"]));
}

#[test]
fn a_job_without_labels_has_those_of_its_template() {
    labels(
        &["spec: {template: {metadata: {labels: {app: hello}}}}"],
        expect![[r#"
        Job {"app":"hello","batch.kubernetes.io/controller-uid":"f0000000-0000-4000-8000-000000000001","batch.kubernetes.io/job-name":"hello","controller-uid":"f0000000-0000-4000-8000-000000000001","job-name":"hello"}
        Pods {"app":"hello","batch.kubernetes.io/controller-uid":"f0000000-0000-4000-8000-000000000001","batch.kubernetes.io/job-name":"hello","controller-uid":"f0000000-0000-4000-8000-000000000001","job-name":"hello"}
        selector {"matchLabels":{"batch.kubernetes.io/controller-uid":"f0000000-0000-4000-8000-000000000001"}}
    "#]],
    );
    labels(
        &["metadata: {labels: {team: a}}", "spec: {template: {metadata: {labels: {app: hello}}}}"],
        expect![[r#"
            Job {"team":"a"}
            Pods {"app":"hello","batch.kubernetes.io/controller-uid":"f0000000-0000-4000-8000-000000000001","batch.kubernetes.io/job-name":"hello","controller-uid":"f0000000-0000-4000-8000-000000000001","job-name":"hello"}
            selector {"matchLabels":{"batch.kubernetes.io/controller-uid":"f0000000-0000-4000-8000-000000000001"}}
        "#]],
    );
}

#[test]
fn what_was_made_for_another_job_is_left_out() {
    let uid = "f0000000-0000-4000-8000-000000000009";
    for (uid_label, name_label) in [
        ("controller-uid", "job-name"),
        ("batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"),
    ] {
        let copied = format!(
            "spec: {{selector: {{matchLabels: {{{uid_label}: {uid}}}}},
                     template: {{metadata: {{labels: {{{uid_label}: {uid}, {name_label}: other}}}}}}}}"
        );
        assert_eq!(told(&changed(&[&copied])), "");
        let labels = stored(&[&copied]).spec.unwrap().template.clone().unwrap().metadata.unwrap().labels;
        assert!(labels.values().all(|value| value != uid && value != "other"), "{labels:?}");
    }
}

#[test]
fn what_may_not_be_meant_is_told() {
    row(
        &["metadata: {name: a.b}"],
        expect![[r#"
        warning: metadata.name: `a.b` is no DNS label; Pods are better named without dots
    "#]],
    );
    row(&["metadata: {name: null, generateName: a.b-}"], expect![""]);
    row(
        &["spec: {completionMode: Indexed, completions: 100001, parallelism: 10001}"],
        expect![[r#"
        warning: spec.parallelism: 10001 at once is much for more than 100000 completions; up to 10000 is better
    "#]],
    );
    row(
        &["spec: {template: {metadata: {name: pi, namespace: other}}}"],
        expect![[r#"
            warning: spec.template.metadata.name: is not used: Pods are named after their Job, in its namespace
            warning: spec.template.metadata.namespace: is not used: Pods are named after their Job, in its namespace
        "#]],
    );
    container(
        "env: [{name: A, value: a}, {name: A, value: b}, {name: B, value: a}, {name: B, value: 'b$(B)'}]",
        expect![[r#"
            warning: spec.template.spec.containers[0].env[1].name: `A` hides the variable of that name above
        "#]],
    );
    container(
        "env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]",
        expect![[r#"
        warning: spec.template.spec.containers[0].env[0].valueFrom.fieldRef: is empty: Pods have no addresses
    "#]],
    );
    container(
        "resources: {limits: {memory: 128m, cpu: 100m}}",
        expect![[r#"
        warning: spec.template.spec.containers[0].resources.limits[memory]: `128m` is a fraction of a byte; it is rounded up
    "#]],
    );
    pod(
        "terminationGracePeriodSeconds: -5",
        expect![[r#"
        warning: spec.template.spec.terminationGracePeriodSeconds: -5 is taken for 1; the least is 0
    "#]],
    );
}
