//! What may change of a Job that is stored.

use crate::json;
use crate::pb::k8s::batch::v1::{Job, JobCondition, JobStatus};
use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;
use expect_test::{Expect, expect};

use super::{changed, lines, merge, new, stored, value};

const INDEXED: &str = "spec: {completionMode: Indexed, completions: 3, parallelism: 3}";

/// What is told when a Job, made from `before`, is to become what `after` makes of it.
fn check(before: &[&str], status: impl FnOnce(&mut JobStatus), after: &str, expected: Expect) {
    let mut job = stored(before);
    status(job.status.get_or_insert_default());
    let mut manifest = changed(before);
    merge(&mut manifest, value(after));
    let became = match new(&manifest).revise(&job) {
        Ok(None) => "unchanged\n".to_owned(),
        Ok(Some(new)) => format!("generation {}\n", new.metadata.unwrap().generation),
        Err(errors) => lines(&errors),
    };
    expected.assert_eq(&became);
}

fn running(status: &mut JobStatus) {
    status.start_time = Some(crate::time::seconds(super::now()));
    status.active = 1;
}

#[test]
fn what_led_on_may_change() {
    check(
        &[],
        running,
        "metadata: {labels: {a: b}}",
        expect![[r#"
        generation 1
    "#]],
    );
    check(
        &[],
        running,
        "spec: {parallelism: 3, backoffLimit: 0, activeDeadlineSeconds: 9}",
        expect![[r#"
            generation 2
        "#]],
    );
    check(
        &[],
        running,
        "spec: {ttlSecondsAfterFinished: 5, suspend: true}",
        expect![[r#"
        generation 2
    "#]],
    );
    check(
        &[],
        running,
        "spec: {podReplacementPolicy: Failed}",
        expect![[r#"
        generation 2
    "#]],
    );
    let each = "spec: {backoffLimitPerIndex: 1}";
    check(
        &[INDEXED, each],
        running,
        "spec: {maxFailedIndexes: 2}",
        expect![[r#"
        generation 2
    "#]],
    );
    check(
        &[],
        running,
        "{}",
        expect![[r#"
        unchanged
    "#]],
    );
}

#[test]
fn what_was_fixed_may_not() {
    check(
        &[],
        running,
        "spec: {completions: 2}",
        expect![[r#"
        spec.completions: Invalid value: "": field is immutable
    "#]],
    );
    check(
        &[],
        running,
        INDEXED,
        expect![[r#"
        spec.completions: Invalid value: "": field is immutable
        spec.completionMode: Invalid value: "": field is immutable
    "#]],
    );
    check(
        &[INDEXED],
        running,
        "spec:
           backoffLimitPerIndex: 1
           managedBy: example.com/x
           successPolicy: {rules: [{succeededCount: 1}]}
           podFailurePolicy: {rules: []}
           template: {metadata: {labels: {a: b}}, spec: {priorityClassName: system-node-critical}}",
        expect![[r#"
            spec.podFailurePolicy: Invalid value: "": field is immutable
            spec.successPolicy: Invalid value: "": field is immutable
            spec.backoffLimitPerIndex: Invalid value: "": field is immutable
            spec.managedBy: Invalid value: "": field is immutable
            spec.template: Invalid value: "": field is immutable
        "#]],
    );
    let manual = "spec: {manualSelector: true, selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a, b: c}}}}";
    check(
        &[manual],
        running,
        "spec: {selector: {matchLabels: {b: c}}}",
        expect![[r#"
        spec.selector: Invalid value: "": field is immutable
    "#]],
    );
    check(
        &[manual],
        running,
        "spec: {parallelism: 2}",
        expect![[r#"
            generation 2
        "#]],
    );
}

#[test]
fn indexes_change_in_tandem_with_parallelism() {
    check(
        &[INDEXED],
        running,
        "spec: {completions: 5, parallelism: 5}",
        expect![[r#"
        generation 2
    "#]],
    );
    check(
        &[INDEXED],
        running,
        "spec: {completions: 2, parallelism: 2}",
        expect![[r#"
        generation 2
    "#]],
    );
    check(
        &[INDEXED],
        running,
        "spec: {completions: 5}",
        expect![[r#"
        spec.completions: Invalid value: 5: can change only in tandem with spec.parallelism: give both the same value
    "#]],
    );
}

const SUSPENDED: &str = "spec: {suspend: true, template: {metadata: {labels: {a: b}}}}";
const DIRECTIVES: &str = "
spec:
  template:
    metadata: {labels: {a: c}, annotations: {d: e}}
    spec:
      nodeSelector: {a: b}
      tolerations: [{operator: Exists}]
      affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}
      schedulingGates: [{name: a}]
      containers: [{name: main, image: hello, resources: {limits: {cpu: 1}}}]
";

fn rests(status: &mut JobStatus) {
    status.start_time = Some(crate::time::seconds(super::now()));
    let (r#type, status_text) = ("Suspended".to_owned(), "True".to_owned());
    status.conditions.push(JobCondition { r#type, status: status_text, ..JobCondition::default() });
}

#[test]
fn where_pods_go_may_change_while_a_job_rests() {
    check(
        &[SUSPENDED],
        |_| {},
        DIRECTIVES,
        expect![[r#"
        generation 2
    "#]],
    );
    check(
        &[SUSPENDED],
        rests,
        DIRECTIVES,
        expect![[r#"
        generation 2
    "#]],
    );
    // It was just told to rest, or its Pods have not stopped.
    check(
        &[SUSPENDED],
        |status| status.start_time = Some(crate::time::seconds(super::now())),
        DIRECTIVES,
        expect![[r#"
            spec.template: Invalid value: "": field is immutable
        "#]],
    );
    check(
        &[SUSPENDED],
        |status| status.active = 1,
        DIRECTIVES,
        expect![[r#"
        spec.template: Invalid value: "": field is immutable
    "#]],
    );
    // It is told to go on at the same time, which is how queues start Jobs.
    let mut go_on = value(DIRECTIVES);
    merge(&mut go_on, value("spec: {suspend: false}"));
    check(
        &[SUSPENDED],
        rests,
        &go_on.to_string(),
        expect![[r#"
        generation 2
    "#]],
    );
    check(
        &[SUSPENDED],
        rests,
        "spec: {template: {spec: {containers: [{name: main, image: other}]}}}",
        expect![[r#"
            spec.template: Invalid value: "": field is immutable
        "#]],
    );
    check(
        &[SUSPENDED],
        rests,
        "spec: {template: {spec: {affinity: {podAffinity: {}}}}}",
        expect![[r#"
        spec.template: Invalid value: "": field is immutable
    "#]],
    );
}

#[test]
fn owners_are_kept_by_those_who_do_not_speak_of_them() {
    let owned = "metadata: {ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: a, uid: b, controller: true}]}";
    let job = stored(&[owned]);
    let owners = |job: &Job| job.metadata.as_ref().unwrap().owner_references.len();
    assert_eq!(owners(&job), 1);
    let revised = new(&changed(&["spec: {parallelism: 2}"])).revise(&job).unwrap().unwrap();
    assert_eq!(owners(&revised), 1);
    let whole = new(&changed(&[])).replacing();
    assert_eq!(owners(&whole.revise(&job).unwrap().unwrap()), 0);
}

#[test]
fn a_work_queue_is_asked_for_by_those_who_say_all() {
    let parallel = new(&changed(&["spec: {parallelism: 2}"]));
    let job = stored(&[]);
    let applied = parallel.clone().revise(&job).unwrap().unwrap();
    assert_eq!(applied.spec.unwrap().completions, Some(1), "as it was");
    let errors = parallel.replacing().revise(&job).unwrap_err();
    expect![[r#"
        spec.completions: Invalid value: "": field is immutable
    "#]]
    .assert_eq(&lines(&errors));
}

#[test]
fn what_was_stored_can_be_applied_again() {
    let job = stored(&["spec: {template: {metadata: {labels: {a: b}}}}"]);
    let document = json::to_json(&job);
    assert_eq!(new(&document).revise(&job).unwrap(), None);
    let copy = new(&document).stamp("copy".to_owned(), "f0000000-0000-4000-8000-000000000002", super::now());
    assert!(!json::to_json(&copy).to_string().contains("000000000001"));
}

#[test]
fn a_checked_job_is_stored_and_read_and_applied_again_without_a_change() {
    arbtest(|u| {
        let mut manifest = changed(&[]);
        for change in CHANGES {
            if u.ratio(1, 4)? {
                merge(&mut manifest, value(change));
            }
        }
        numbers(&mut manifest, u)?;
        let (new, errors) = super::examined(&super::document(&manifest));
        if !errors.is_empty() {
            return Ok(());
        }
        let job = new.clone().stamp("hello".to_owned(), "f0000000-0000-4000-8000-000000000001", super::now());
        let bytes = prost::Message::encode_to_vec(&job);
        let read: Job = prost::Message::decode(&bytes[..]).unwrap();
        assert_eq!(read, job, "{manifest}");
        assert_eq!(new.revise(&job).unwrap(), None, "{manifest}");
        for text in [json::to_json(&job).to_string(), json::to_yaml(&job)] {
            let (again, errors) = super::examined(&crate::manifest::parse(&text).unwrap().remove(0));
            assert!(errors.is_empty(), "{errors}");
            assert_eq!(again.revise(&job).unwrap(), None, "{text}");
        }
        Ok(())
    })
    .budget_ms(1_000);
}

fn numbers(manifest: &mut serde_json::Value, u: &mut Unstructured<'_>) -> Result<()> {
    for field in ["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds"] {
        if u.ratio(1, 3)? {
            manifest["spec"][field] = u.int_in_range(-1..=5)?.into();
        }
    }
    Ok(())
}

/// Changes that may stand together. None of them is refused for ever.
const CHANGES: [&str; 14] = [
    "metadata: {labels: {team: a}, annotations: {b: c}}",
    "metadata: {ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: a, uid: b}]}",
    "spec: {completionMode: Indexed, completions: 4}",
    "spec: {backoffLimitPerIndex: 1, maxFailedIndexes: 2}",
    "spec: {podFailurePolicy: {rules: [{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}]}}",
    "spec: {successPolicy: {rules: [{succeededIndexes: '0,2-3', succeededCount: 1}]}}",
    "spec: {suspend: true, ttlSecondsAfterFinished: 5}",
    "spec: {podReplacementPolicy: Failed}",
    "spec: {manualSelector: true, selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}}}",
    "spec: {template: {metadata: {labels: {b: c}, annotations: {d: e}}}}",
    "spec: {template: {spec: {restartPolicy: OnFailure, activeDeadlineSeconds: 3}}}",
    "spec: {template: {spec: {volumes: [{name: v}, {name: host, hostPath: {path: /data}}]}}}",
    "spec: {template: {spec: {initContainers: [{name: init, image: hello, restartPolicy: Always}]}}}",
    "spec: {template: {spec: {containers: [{name: main, image: 'hello:1', resources: {limits: {memory: 1.5Gi}}}]}}}",
];
