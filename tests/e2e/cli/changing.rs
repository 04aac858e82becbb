//! Changing: scaling, patching, labelling, letting rest and go on.

use expect_test::expect;
use wick_tests::{Node, manifest, phase, programs};

use super::{busy, check};

/// A node with a Job that makes no Pods, so that it stays as it is.
fn paused() -> Node {
    let node = Node::start();
    let mut job = manifest::job("slow", programs::own_guest("nothing"));
    job["spec"]["parallelism"] = 0.into();
    job["spec"]["completions"] = 9.into();
    job["metadata"]["labels"] = serde_json::json!({"tier": "edge"});
    node.apply(&job);
    node
}

#[test]
fn scaling_says_what_was_done_and_what_it_was_not() {
    check(
        &paused(),
        &[
            "scale job slow --replicas 0",
            "scale job/slow --replicas 0 --current-replicas 3",
            "scale job/slow --replicas 0 --resource-version 1",
            "scale job nobody --replicas 3",
            "scale job slow --replicas -1",
            "scale pod slow-x7k2p --replicas 1",
            "scale jobs --replicas 1",
            "scale jobs -l tier=core --replicas 1",
            "scale jobs -l tier=edge --replicas 4",
            "get jobs -o custom-columns=NAME:.metadata.name,REPLICAS:.spec.parallelism",
        ],
        expect![[r#"
            $ wick scale job slow --replicas 0
            job.batch/slow scaled (no change)

            $ wick scale job/slow --replicas 0 --current-replicas 3
            error: job.batch/slow: it is 0 now, not 3
            exit 1

            $ wick scale job/slow --replicas 0 --resource-version 1
            error: job.batch/slow: jobs.batch `slow` has been modified: its resourceVersion is VERSION, not 1; read it again and repeat the change
            exit 1

            $ wick scale job nobody --replicas 3
            error: no job named `nobody` in namespace default
            hint: jobs in namespace default: `slow`
            exit 1

            $ wick scale job slow --replicas -1
            error: invalid value '-1' for '--replicas <COUNT>': -1 is not in 0..=VERSION

            For more information, try '--help'.
            exit 2

            $ wick scale pod slow-x7k2p --replicas 1
            error: pods cannot be scaled
            hint: jobs can, for instance: job/hello
            exit 2

            $ wick scale jobs --replicas 1
            error: nothing is named
            hint: name it, or give -l, --field-selector or --all
            exit 2

            $ wick scale jobs -l tier=core --replicas 1
            error: no jobs to change in namespace default
            exit 1

            $ wick scale jobs -l tier=edge --replicas 4
            job.batch/slow scaled

            $ wick get jobs -o custom-columns=NAME:.metadata.name,REPLICAS:.spec.parallelism
            NAME  REPLICAS
            slow  4
        "#]],
    );
}

#[test]
fn a_finished_job_is_told_to_be_finished() {
    check(
        &busy(),
        &["scale job hello --replicas 3"],
        expect![[r#"
        $ wick scale job hello --replicas 3
        job.batch/hello scaled
        warning: job `hello` has finished; this starts and stops nothing
    "#]],
    );
}

#[test]
fn a_patch_says_what_it_changed_or_what_is_wrong_with_it() {
    let node = paused();
    check(
        &node,
        &[
            r#"patch job slow -p {"metadata":{"labels":{"zone":"a"}}}"#,
            r#"patch job slow -p {"metadata":{"labels":{"zone":"a"}}}"#,
            r#"patch job slow -p {"spec":{"backoffLimit":9}} --dry-run=server"#,
            r#"patch job slow -p {"spec":{"backoffLimit":9}} --dry-run=client -o jsonpath={.spec.backoffLimit}"#,
            r#"patch job slow --type=json -p [{"op":"replace","path":"/spec/backoffLimit","value":3}] -o name"#,
            "get job slow -o jsonpath={.spec.backoffLimit}",
            r#"patch job slow --type=json -p [{"op":"test","path":"/spec/backoffLimit","value":4}]"#,
            r#"patch job slow -p {"spec":{"paralelism":9,"backoffLimit":-1}}"#,
            r#"patch job slow -p {"spec":{"backoffLimit":-1}}"#,
            r#"patch job slow -p {"spec":{"completions":10}}"#,
            r#"patch job slow -p {"status":{"succeeded":9}}"#,
            "patch job slow -p {",
            "patch job slow --type merge -p []",
            "patch job nobody -p {}",
            "patch job slow",
            "patch node gate -p {}",
        ],
        expect![[r#"
            $ wick patch job slow -p {"metadata":{"labels":{"zone":"a"}}}
            job.batch/slow patched

            $ wick patch job slow -p {"metadata":{"labels":{"zone":"a"}}}
            job.batch/slow patched (no change)

            $ wick patch job slow -p {"spec":{"backoffLimit":9}} --dry-run=server
            job.batch/slow patched (server dry run)

            $ wick patch job slow -p {"spec":{"backoffLimit":9}} --dry-run=client -o jsonpath={.spec.backoffLimit}
            9

            $ wick patch job slow --type=json -p [{"op":"replace","path":"/spec/backoffLimit","value":3}] -o name
            job.batch/slow

            $ wick get job slow -o jsonpath={.spec.backoffLimit}
            3

            $ wick patch job slow --type=json -p [{"op":"test","path":"/spec/backoffLimit","value":4}]
            error: job.batch/slow: the patch is invalid
              patch[0].value: `/spec/backoffLimit` is 3, not 4
            exit 1

            $ wick patch job slow -p {"spec":{"paralelism":9,"backoffLimit":-1}}
            error: job.batch/slow: the patch is invalid
              spec.paralelism: unknown field; did you mean `parallelism`?
            exit 1

            $ wick patch job slow -p {"spec":{"backoffLimit":-1}}
            error: job.batch/slow: Job `slow` is invalid
              spec.backoffLimit: -1 is too few; the least is 0
            exit 1

            $ wick patch job slow -p {"spec":{"completions":10}}
            error: job.batch/slow: the change is invalid
              spec.completions: cannot change once the object exists; delete it and create it anew
            exit 1

            $ wick patch job slow -p {"status":{"succeeded":9}}
            job.batch/slow patched (no change)

            $ wick patch job slow -p {
            error: this is no patch
              patch: line 1, column 1: unclosed bracket '{'
            exit 2

            $ wick patch job slow --type merge -p []
            error: this is no patch
              patch: expected a map, got a list; a list of operations is a JSON patch
            exit 2

            $ wick patch job nobody -p {}
            error: no job named `nobody` in namespace default
            hint: jobs in namespace default: `slow`
            exit 1

            $ wick patch job slow
            error: the following required arguments were not provided:
              --patch <PATCH>

            Usage: wick patch --patch <PATCH> <KIND [NAME]>...

            For more information, try '--help'.
            exit 2

            $ wick patch node gate -p {}
            error: nodes cannot be patched
            hint: jobs and cronjobs can, for instance: job/hello
            exit 2
        "#]],
    );
    node.write("change.yaml", "metadata: {annotations: {note: from a file}}");
    assert_eq!(
        node.done(&["patch", "job", "slow", "--patch-file", "change.yaml"]),
        "job.batch/slow patched\n"
    );
    let said =
        node.wick_with(&["patch", "job", "slow", "--patch-file", "-"], "metadata: {annotations: null}");
    assert_eq!(said.to_string(), "job.batch/slow patched\n");
}

#[test]
fn labels_are_set_and_removed_but_not_lost_unasked() {
    check(
        &paused(),
        &[
            "label job slow a=b zone=",
            "label job slow tier=core",
            "label job slow tier=core --overwrite",
            "label jobs --all a- nothing-",
            "label job slow a_=b",
            "annotate job slow note=x",
            "annotate job/slow note=x",
            "get jobs --show-labels",
            "label job slow",
        ],
        expect![[r#"
            $ wick label job slow a=b zone=
            job.batch/slow labeled

            $ wick label job slow tier=core
            error: job.batch/slow: `tier` is `edge` already
            hint: --overwrite changes it
            exit 1

            $ wick label job slow tier=core --overwrite
            job.batch/slow labeled

            $ wick label jobs --all a- nothing-
            job.batch/slow labeled

            $ wick label job slow a_=b
            error: job.batch/slow: Job `slow` is invalid
              metadata.labels: `a_` must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
            exit 1

            $ wick annotate job slow note=x
            job.batch/slow annotated

            $ wick annotate job/slow note=x
            job.batch/slow annotated (no change)

            $ wick get jobs --show-labels
            NAME  STATUS  COMPLETIONS  DURATION  AGE  LABELS
            slow  Running  0/9  AGE  AGE  tier=core,zone=

            $ wick label job slow
            error: nothing to set or remove
            hint: KEY=VALUE sets, KEY- removes
            exit 2
        "#]],
    );
}

#[test]
fn a_job_rests_and_goes_on() {
    let node = paused();
    check(
        &node,
        &[
            "suspend job slow",
            "suspend job slow",
            "get jobs",
            "resume job/slow",
            "resume jobs --all",
            "get jobs",
            "get events --field-selector involvedObject.name=slow",
            "suspend job nobody",
            "suspend pods --all",
        ],
        expect![[r#"
            $ wick suspend job slow
            job.batch/slow suspended

            $ wick suspend job slow
            job.batch/slow suspended (no change)

            $ wick get jobs
            NAME  STATUS  COMPLETIONS  DURATION  AGE
            slow  Suspended  0/9  AGE

            $ wick resume job/slow
            job.batch/slow resumed

            $ wick resume jobs --all
            job.batch/slow resumed (no change)

            $ wick get jobs
            NAME  STATUS  COMPLETIONS  DURATION  AGE
            slow  Running  0/9  AGE  AGE

            $ wick get events --field-selector involvedObject.name=slow
            LAST SEEN  TYPE  REASON  OBJECT  MESSAGE
            AGE  Normal  Suspended  job/slow  Job suspended
            AGE  Normal  Resumed  job/slow  Job resumed

            $ wick suspend job nobody
            error: no job named `nobody` in namespace default
            hint: jobs in namespace default: `slow`
            exit 1

            $ wick suspend pods --all
            error: pods cannot be suspended
            hint: jobs and cronjobs can, for instance: job/hello
            exit 2
        "#]],
    );
}

#[test]
fn an_indexed_job_tells_its_indexes_and_how_it_is_scaled() {
    let node = Node::start();
    let mut job = manifest::job("slow", "not-there");
    let spec = &mut job["spec"];
    spec["completionMode"] = "Indexed".into();
    (spec["completions"], spec["parallelism"]) = (2.into(), 2.into());
    spec["backoffLimitPerIndex"] = 1.into();
    spec["podFailurePolicy"] = serde_json::json!({"rules": [
        {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [3]}},
    ]});
    node.apply(&job);
    node.pods_when("slow", |pods| pods.len() == 2 && pods.iter().all(|pod| phase(pod) == "Pending"));
    let described = super::said(&node, "describe job slow");
    let (asked, rest) = described.split_once("Pod Template:").unwrap();
    let pods = rest.split_once("Pods:").unwrap().1.split_once("Events:").unwrap().0;
    // The margin is `expect!`'s own.
    let pods: String = pods.lines().map(|line| line.trim_start().to_owned() + "\n").collect();
    expect![[r#"
        $ wick describe job slow
        Name:  slow
        Namespace:  default
        Selector:  batch.kubernetes.io/controller-uid=UID
        Labels:  batch.kubernetes.io/controller-uid=UID
                                  batch.kubernetes.io/job-name=slow
                                  controller-uid=UID
                                  job-name=slow
        Annotations:  <none>
        Parallelism:  2
        Completions:  2
        Completion Mode:  Indexed
        Suspend:  false
        Backoff Limit:  0
        Backoff Limit Per Index:  1
        Pod Replacement Policy:  Failed
        Pod Failure Policy:  FailIndex on exit code In 3
        Status:  Running
        Start Time:  TIME
        Duration:  AGE
        Pods Statuses:  2 Active (0 Ready) / 0 Succeeded / 0 Failed
        Completed Indexes:  <none>
    "#]]
    .assert_eq(asked);
    expect![[r#"

          Name  Index  Status  Restarts  Next Start  Last Exit  Waits For
          ----  -----  ------  --------  ----------  ---------  ---------
          slow-0-POD  0  ErrImagePull  0  -  -  image not-there is not on this node; push it: wick image push FILE not-there
          slow-1-POD  1  ErrImagePull  0  -  -  image not-there is not on this node; push it: wick image push FILE not-there
    "#]].assert_eq(&pods);
    check(
        &node,
        &[
            "scale job slow --replicas 1",
            r#"patch job slow -p {"spec":{"completions":3}}"#,
            r#"patch job slow -p {"spec":{"completions":3,"parallelism":3}}"#,
            "get jobs",
        ],
        expect![[r#"
            $ wick scale job slow --replicas 1
            job.batch/slow scaled
            hint: up to 1 of its 2 indexes run at once now; to change how many there are: wick patch job slow -p '{"spec":{"completions":1,"parallelism":1}}'

            $ wick patch job slow -p {"spec":{"completions":3}}
            error: job.batch/slow: the change is invalid
              spec.completions: 3 can change only in tandem with spec.parallelism: give both the same value
            exit 1

            $ wick patch job slow -p {"spec":{"completions":3,"parallelism":3}}
            job.batch/slow patched

            $ wick get jobs
            NAME  STATUS  COMPLETIONS  DURATION  AGE
            slow  Running  0/3  AGE  AGE
        "#]],
    );
}
