//! What a Job must be.

use super::row;
use expect_test::expect;

#[test]
fn a_name_is_a_dns_subdomain() {
    row(
        &["metadata: {name: Hello_World}"],
        expect![[r#"
        metadata.name: Invalid value: "Hello_World": must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
    "#]],
    );
    row(
        &["metadata: {name: a..b}"],
        expect![[r#"
        metadata.name: Invalid value: "a..b": must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
    "#]],
    );
    row(
        &["metadata: {name: xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxxx5xxxxxxxxx6xxxx}"],
        expect![[r#"
        metadata.name: Too long: may not be more than 63 bytes
    "#]],
    );
    row(
        &["metadata: {name: null}"],
        expect![[r#"
        metadata.name: Required value: needed; give the object a name (or a generateName)
    "#]],
    );
    row(
        &["metadata: {name: null, generateName: Hello-}"],
        expect![[r#"
        metadata.generateName: Invalid value: "Hello-": must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
    "#]],
    );
    row(
        &["metadata: {namespace: a.b}"],
        expect![[r#"
        metadata.namespace: Invalid value: "a.b": must be up to 63 lower-case letters, digits and `-`, with a letter or digit at both ends
    "#]],
    );
}

#[test]
fn the_pods_of_an_indexed_job_have_host_names() {
    let indexed = "spec: {completionMode: Indexed, completions: 10}";
    row(
        &[indexed, "metadata: {name: a.b}"],
        expect![[r#"
        metadata.name: Invalid value: "a.b": makes the last Pod's host name `a.b-9`, which must be up to 63 lower-case letters, digits and `-`, with a letter or digit at both ends
    "#]],
    );
    // 61 characters and `-9`.
    row(
        &[indexed, "metadata: {name: xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxxx5xxxxxxxxx6x}"],
        expect![""],
    );
    // 62 are too many.
    row(
        &[indexed, "metadata: {name: xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxxx5xxxxxxxxx6xx}"],
        expect![[r#"
            metadata.name: Invalid value: "xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxxx5xxxxxxxxx6xx": makes the last Pod's host name `xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxxx5xxxxxxxxx6xx-9`, which must be up to 63 lower-case letters, digits and `-`, with a letter or digit at both ends
        "#]],
    );
    // A generated name is as long as a name may be if what it begins with is.
    row(
        &[
            indexed,
            "metadata: {name: null, generateName: xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxxx5xxxxxxxx-}",
        ],
        expect![[r#"
            metadata.generateName: Invalid value: "xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxxx5xxxxxxxx-": makes the last Pod's host name `xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxxx5xxxxxxxxbktcq-9`, which must be up to 63 lower-case letters, digits and `-`, with a letter or digit at both ends
        "#]],
    );
}

#[test]
fn numbers_are_not_negative() {
    row(
        &["spec:
             parallelism: -1
             completions: -2
             activeDeadlineSeconds: -3
             backoffLimit: -4
             ttlSecondsAfterFinished: -5
             completionMode: Indexed
             backoffLimitPerIndex: -6
             maxFailedIndexes: -7"],
        expect![[r#"
            spec.parallelism: Invalid value: -1: is too few; the least is 0
            spec.completions: Invalid value: -2: is too few; the least is 0
            spec.activeDeadlineSeconds: Invalid value: -3: is too few; the least is 0
            spec.backoffLimit: Invalid value: -4: is too few; the least is 0
            spec.ttlSecondsAfterFinished: Invalid value: -5: is too few; the least is 0
            spec.backoffLimitPerIndex: Invalid value: -6: is too few; the least is 0
            spec.maxFailedIndexes: Invalid value: -7: is too few; the least is 0
        "#]],
    );
}

#[test]
fn an_indexed_job_has_completions() {
    row(
        &["spec: {completionMode: Indexed, parallelism: 2}"],
        expect![[r#"
        spec.completions: Required value: needed; an Indexed Job has an index for each completion
    "#]],
    );
}

#[test]
fn there_are_two_completion_modes() {
    row(
        &["spec: {completionMode: indexed}"],
        expect![[r#"
        spec.completionMode: Unsupported value: "indexed": supported values: "NonIndexed", "Indexed"
    "#]],
    );
    row(
        &["spec: {completionMode: ''}"],
        expect![[r#"
        spec.completionMode: Unsupported value: "": supported values: "NonIndexed", "Indexed"
    "#]],
    );
}

#[test]
fn an_indexed_job_has_limits() {
    let indexed = "spec: {completionMode: Indexed, completions: 100001}";
    row(
        &[indexed, "spec: {parallelism: 100001}"],
        expect![[r#"
        spec.parallelism: Invalid value: 100001: is too many for an Indexed Job; the most is 100000
    "#]],
    );
    let each = "spec: {backoffLimitPerIndex: 1}";
    row(
        &[indexed, each, "spec: {parallelism: 10001, maxFailedIndexes: 1}"],
        expect![[r#"
        spec.parallelism: Invalid value: 10001: is too many with backoffLimitPerIndex and more than 100000 completions; the most is 10000
    "#]],
    );
    row(
        &[indexed, each],
        expect![[r#"
        spec.maxFailedIndexes: Required value: needed with backoffLimitPerIndex and more than 100000 completions; the most is 10000
    "#]],
    );
    row(
        &[indexed, each, "spec: {maxFailedIndexes: 10001}"],
        expect![[r#"
        spec.maxFailedIndexes: Invalid value: 10001: is too many with backoffLimitPerIndex and more than 100000 completions; the most is 10000
    "#]],
    );
    row(
        &["spec: {completionMode: Indexed, completions: 5, backoffLimitPerIndex: 1, maxFailedIndexes: 6}"],
        expect![[r#"
            spec.maxFailedIndexes: Invalid value: 6: is more than the completions, 5
        "#]],
    );
    row(
        &[
            "spec: {completionMode: Indexed, completions: 100000, backoffLimitPerIndex: 1, maxFailedIndexes: 100001}",
        ],
        expect![[r#"
            spec.maxFailedIndexes: Invalid value: 100001: is more than the completions, 100000
            spec.maxFailedIndexes: Invalid value: 100001: is too many; the most is 100000
        "#]],
    );
}

#[test]
fn failures_of_each_index_need_indexes() {
    row(
        &["spec: {backoffLimitPerIndex: 1}"],
        expect![[r#"
        spec.backoffLimitPerIndex: Invalid value: 1: is for `completionMode: Indexed` only
    "#]],
    );
    row(
        &["spec: {maxFailedIndexes: 1}"],
        expect![[r#"
        spec.backoffLimitPerIndex: Required value: needed with maxFailedIndexes; say how often each index may fail
        spec.maxFailedIndexes: Invalid value: 1: is for `completionMode: Indexed` only
    "#]],
    );
    row(
        &["spec: {completionMode: Indexed, completions: 3, maxFailedIndexes: 1}"],
        expect![[r#"
        spec.backoffLimitPerIndex: Required value: needed with maxFailedIndexes; say how often each index may fail
    "#]],
    );
}

#[test]
fn a_manager_is_a_domain_and_a_path() {
    for manager in ["acme", "/acme", "acme/", "Acme.io/x", "a b/c", "acme.io/ü"] {
        let errors = super::told(&super::changed(&[&format!("spec: {{managedBy: '{manager}'}}")]));
        assert!(errors.starts_with("spec.managedBy: Invalid value: "), "{manager}: {errors}");
    }
    row(
        &["spec: {managedBy: acme}"],
        expect![[r#"
        spec.managedBy: Invalid value: "acme": must be a domain and a path, as in `example.com/runner` or `kubernetes.io/job-controller`
    "#]],
    );
    row(
        &["spec: {managedBy: example.com/xxxxxxxxx1xxxxxxxxx2xxxxxxxxx3xxxxxxxxx4xxxxxxxxx5xx}"],
        expect![[r#"
            spec.managedBy: Too long: may not be more than 63 bytes
        "#]],
    );
}

#[test]
fn a_replacement_policy_fits_the_failure_policy() {
    row(
        &["spec: {podReplacementPolicy: Sometimes}"],
        expect![[r#"
        spec.podReplacementPolicy: Unsupported value: "Sometimes": supported values: "Failed", "TerminatingOrFailed"
    "#]],
    );
    row(
        &["spec: {podReplacementPolicy: ''}"],
        expect![[r#"
        spec.podReplacementPolicy: Unsupported value: "": supported values: "Failed", "TerminatingOrFailed"
    "#]],
    );
    row(
        &["spec: {podFailurePolicy: {rules: []}, podReplacementPolicy: TerminatingOrFailed}"],
        expect![[r#"
        spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"
    "#]],
    );
}

#[test]
fn a_template_must_say_when_containers_start_again() {
    row(
        &["spec: {template: {spec: {restartPolicy: null}}}"],
        expect![[r#"
        spec.template.spec.restartPolicy: Required value: needed; a Job takes `Never` or `OnFailure`
    "#]],
    );
    row(
        &["spec: {template: {spec: {restartPolicy: Always}}}"],
        expect![[r#"
        spec.template.spec.restartPolicy: Required value: `Always` is not for Jobs; give `Never` or `OnFailure`
    "#]],
    );
    row(
        &["spec: {template: {spec: {restartPolicy: Sometimes}}}"],
        expect![[r#"
        spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Never", "OnFailure"
    "#]],
    );
    row(
        &["spec: {podFailurePolicy: {rules: []}, template: {spec: {restartPolicy: OnFailure}}}"],
        expect![[r#"
            spec.template.spec.restartPolicy: Invalid value: "OnFailure": must be `Never` with a podFailurePolicy, which looks at Pods that have failed
        "#]],
    );
    row(
        &["spec: {podFailurePolicy: {rules: []}, template: {spec: {restartPolicy: Always}}}"],
        expect![[r#"
        spec.template.spec.restartPolicy: Invalid value: "Always": must be `Never` with a podFailurePolicy, which looks at Pods that have failed
        spec.template.spec.restartPolicy: Required value: `Always` is not for Jobs; give `Never` or `OnFailure`
    "#]],
    );
}

#[test]
fn a_selector_is_made_or_it_is_the_owners() {
    row(
        &["spec: {selector: {matchLabels: {app: hello}}}"],
        expect![[r#"
        spec.selector: Invalid value: "": is made for each Job; leave it out, or set manualSelector to true
    "#]],
    );
    row(
        &["spec: {manualSelector: true}"],
        expect![[r#"
        spec.selector: Required value: needed; manualSelector is true, so say which Pods are the Job's
    "#]],
    );
    let manual = "spec: {manualSelector: true, selector: {matchLabels: {app: hello}}}";
    row(
        &[manual],
        expect![[r#"
        spec.template.metadata.labels: Invalid value: "": must have the labels that spec.selector asks for, else the Job would not know its Pods
    "#]],
    );
    row(&[manual, "spec: {template: {metadata: {labels: {app: hello}}}}"], expect![""]);
    row(
        &["spec:
             manualSelector: true
             selector:
               matchLabels: {'a b': 'c d'}
               matchExpressions:
               - {key: app, operator: In}
               - {key: app, operator: Exists, values: [x]}
               - {key: 'x y', operator: Like}
               - {key: app}"],
        expect![[r#"
            spec.selector.matchLabels: Invalid value: "a b": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
            spec.selector.matchLabels[a b]: Invalid value: "c d": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends
            spec.selector.matchExpressions[0].values: Required value: needed; give the values to look for
            spec.selector.matchExpressions[1].values: Forbidden: must be left out: Exists looks at the key alone
            spec.selector.matchExpressions[2].key: Invalid value: "x y": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
            spec.selector.matchExpressions[2].operator: Unsupported value: "Like": supported values: "In", "NotIn", "Exists", "DoesNotExist"
            spec.selector.matchExpressions[3].operator: Required value: needed; give In, NotIn, Exists or DoesNotExist
        "#]],
    );
}

#[test]
fn labels_of_another_job_are_told() {
    for label in ["batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid"] {
        let errors = super::told(&super::changed(&[&format!(
            "spec: {{template: {{metadata: {{labels: {{{label}: x}}}}}}}}"
        )]));
        assert!(
            errors.starts_with(&format!("spec.template.metadata.labels[{label}]: Invalid value: ")),
            "{errors}"
        );
    }
    row(
        &["spec: {template: {metadata: {labels: {job-name: other}}}}"],
        expect![[r#"
        spec.template.metadata.labels[job-name]: Invalid value: "other": is not the Job's own; leave it out, it is filled in
    "#]],
    );
    row(&["spec: {template: {metadata: {labels: {job-name: hello}}}}"], expect![""]);
}

#[test]
fn owners_and_finalizers_have_names() {
    row(
        &["metadata:
             ownerReferences:
             - {apiVersion: '', kind: '', name: '', uid: ''}
             - {apiVersion: v1, kind: Event, name: a, uid: b}"],
        expect![[r#"
            metadata.ownerReferences[0].apiVersion: Invalid value: "": must not be empty; say which object is the owner
            metadata.ownerReferences[0].kind: Invalid value: "": must not be empty; say which object is the owner
            metadata.ownerReferences[0].name: Invalid value: "": must not be empty; say which object is the owner
            metadata.ownerReferences[0].uid: Invalid value: "": must not be empty; say which object is the owner
            metadata.ownerReferences[1].kind: Invalid value: "Event": must be of another kind: Events go by themselves
        "#]],
    );
    row(
        &["metadata:
             ownerReferences:
             - {apiVersion: batch/v1, kind: CronJob, name: a, uid: b, controller: true}
             - {apiVersion: batch/v1, kind: CronJob, name: c, uid: d, controller: true}"],
        expect![[r#"
            metadata.ownerReferences: Invalid value: "": must have at most one with `controller: true`, and has 2
        "#]],
    );
    row(
        &["metadata: {finalizers: [cleanup]}"],
        expect![[r#"
        metadata.finalizers[0]: Invalid value: "cleanup": must be a name with a prefix, as in `example.com/cleanup`
    "#]],
    );
}

#[test]
fn labels_and_annotations_have_an_alphabet_and_an_end() {
    row(
        &[
            "metadata: {labels: {'a b': 'c d', ok: '-'}, annotations: {'a b': 'c d', Example.COM/x: anything goes}}",
        ],
        expect![[r#"
            metadata.labels: Invalid value: "a b": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
            metadata.labels[a b]: Invalid value: "c d": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends
            metadata.labels[ok]: Invalid value: "-": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends
            metadata.annotations: Invalid value: "a b": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
        "#]],
    );
    let long = "x".repeat(256 << 10);
    row(
        &[&format!("metadata: {{annotations: {{long: {long}}}}}")],
        expect![[r#"
        metadata.annotations: Too long: may not be more than 262144 bytes
    "#]],
    );
}
