//! Doing: applying, waiting, deleting.

use expect_test::expect;
use wick_tests::{Node, manifest, name_of, programs};

use super::{busy, check};

#[test]
fn waiting_ends_with_what_is_waited_for_or_with_why_it_cannot_come() {
    let node = busy();
    node.apply(&manifest::endless("slow"));
    node.running_pods("slow", 1);
    check(
        &node,
        &[
            "wait --for=condition=complete job/hello",
            "wait --for=condition=failed job/bad",
            "wait --for=condition=complete job/bad",
            "wait --for=condition=complete job/slow --timeout 100ms",
            "wait --for=condition=complete job/slow --timeout 0",
            "wait --for=condition=complete job/nobody",
            "wait --for=delete job/nobody",
            "wait --for=delete job/slow --timeout 100ms",
            "wait --for=condition=complete jobs -l tier=core",
        ],
        expect![[r#"
            $ wick wait --for=condition=complete job/hello
            job.batch/hello condition met

            $ wick wait --for=condition=failed job/bad
            job.batch/bad condition met

            $ wick wait --for=condition=complete job/bad
            error: job `bad` has failed: BackoffLimitExceeded: Job has reached the specified backoff limit
            hint: wick describe job bad
            exit 1

            $ wick wait --for=condition=complete job/slow --timeout 100ms
            error: timed out waiting for the condition on jobs/slow
            exit 1

            $ wick wait --for=condition=complete job/slow --timeout 0
            error: timed out waiting for the condition on jobs/slow
            exit 1

            $ wick wait --for=condition=complete job/nobody
            error: no job named `nobody` in namespace default
            hint: jobs in namespace default: `bad`, `slow`, `hello`
            exit 1

            $ wick wait --for=delete job/nobody
            job.batch/nobody condition met

            $ wick wait --for=delete job/slow --timeout 100ms
            error: timed out waiting for the condition on jobs/slow
            exit 1

            $ wick wait --for=condition=complete jobs -l tier=core
            error: no matching resources found
            exit 1
        "#]],
    );
}

#[test]
fn deleting_says_what_is_gone() {
    let node = busy();
    check(
        &node,
        &[
            "delete image by-hand",
            "delete job hello bad",
            "get jobs",
            "delete job hello",
            "delete job hello --ignore-not-found",
            "delete jobs --all",
            "delete pod hello-x7k2p",
            "delete image nobody",
        ],
        expect![[r#"
            $ wick delete image by-hand
            image "by-hand:latest" deleted

            $ wick delete job hello bad
            job.batch "hello" deleted
            job.batch "bad" deleted

            $ wick get jobs
            No resources found in default namespace.

            $ wick delete job hello
            error: no job named `hello` in namespace default
            hint: there are no jobs in namespace default
            exit 1

            $ wick delete job hello --ignore-not-found

            $ wick delete jobs --all
            No resources found

            $ wick delete pod hello-x7k2p
            error: no pod named `hello-POD` in namespace default
            hint: there are no pods in namespace default
            exit 1

            $ wick delete image nobody
            error: no image named `nobody`
            hint: images: `exit_3:latest`
            exit 1
        "#]],
    );
}

#[test]
fn jobs_that_are_done_are_deleted_by_a_field() {
    check(
        &busy(),
        &[
            "delete jobs --field-selector status.successful=1",
            "get jobs",
            "delete jobs --field-selector status.failed=1",
            "delete jobs,images -l a=b",
            "delete job bad -l tier=edge",
            "delete jobs --all",
        ],
        expect![[r#"
            $ wick delete jobs --field-selector status.successful=1
            job.batch "hello" deleted

            $ wick get jobs
            NAME  STATUS  COMPLETIONS  DURATION  AGE
            bad  Failed  0/1  AGE  AGE

            $ wick delete jobs --field-selector status.failed=1
            error: --field-selector: field label not supported: `status.failed`; there is metadata.name, metadata.namespace, status.successful
            exit 1

            $ wick delete jobs,images -l a=b
            error: images have no labels and fields to select by
            exit 2

            $ wick delete job bad -l tier=edge
            error: either names or a selector, not both
            exit 2

            $ wick delete jobs --all
            job.batch "bad" deleted
        "#]],
    );
}

#[test]
fn pods_stay_when_their_job_is_deleted_as_orphan_and_are_deleted_by_themselves() {
    let node = Node::start();
    node.apply(&manifest::endless("slow"));
    node.running_pods("slow", 1);
    check(
        &node,
        &[
            "delete job slow --cascade=orphan",
            "get jobs",
            "get pods",
            "delete pods --all --now",
            "get pods",
            "delete job slow --now --force",
            "delete job slow --grace-period 3 --force",
            "delete job slow --cascade=sideways",
        ],
        expect![[r#"
            $ wick delete job slow --cascade=orphan
            job.batch "slow" deleted

            $ wick get jobs
            No resources found in default namespace.

            $ wick get pods
            NAME  READY  STATUS  RESTARTS  AGE
            slow-POD  1/1  Running  0  AGE

            $ wick delete pods --all --now
            pod "slow-POD" deleted

            $ wick get pods
            No resources found in default namespace.

            $ wick delete job slow --now --force
            error: the argument '--now' cannot be used with '--force'

            Usage: wick delete --now <KIND [NAME]>...

            For more information, try '--help'.
            exit 2

            $ wick delete job slow --grace-period 3 --force
            error: --force leaves no grace period; give one of them
            exit 2

            $ wick delete job slow --cascade=sideways
            error: invalid value 'sideways' for '--cascade <HOW>'
              [possible values: background, foreground, orphan]

            For more information, try '--help'.
            exit 2
        "#]],
    );
}

#[test]
fn a_pod_is_ended_at_once_and_a_job_in_the_foreground_goes_after_its_pods() {
    let node = Node::start();
    node.apply(&manifest::endless("slow"));
    let pod = name_of(&node.running_pods("slow", 1)[0]).to_owned();
    assert_eq!(node.done(&["delete", "pod", &pod, "--force"]), format!("pod \"{pod}\" force deleted\n"));
    check(
        &node,
        &["delete job slow --cascade foreground --grace-period=1", "get jobs,pods"],
        expect![[r#"
        $ wick delete job slow --cascade foreground --grace-period=1
        job.batch "slow" deleted
        warning: a grace period is for Pods that are named; a Job's Pods have what its template says

        $ wick get jobs,pods
        No resources found in default namespace.
    "#]],
    );
}

#[test]
fn a_job_is_deleted_by_its_manifest() {
    let node = Node::start();
    let manifest = programs::example("hello/job.yaml");
    node.apply_file(&manifest);
    let path = manifest.to_str().unwrap();
    assert_eq!(node.done(&["delete", "-f", path]), "job.batch \"hello\" deleted\n");
    let again = node.wick(&["delete", "-f", path]);
    assert_eq!(again.code, 1, "{again}");
}

#[test]
fn applying_says_what_became_of_each_document() {
    let node = Node::start();
    let both =
        format!("{}\n---\n{}", manifest::job("a", programs::own_guest("nothing")), manifest::job("B", "x"));
    let apply = |args: &[&str], text: &str| {
        let said = node.wick_with(args, text);
        said.to_string().replace(programs::root().to_str().unwrap(), "ROOT")
    };
    let line = ["apply", "-f", "-"];
    let mut text = apply(&["apply", "-f", "-", "--dry-run=server"], &both);
    text += &apply(&line, &both);
    text += &apply(&line, &both);
    text += &apply(&line, "");
    text += &apply(&line, &manifest::job("c", "./not-there.wasm").to_string());
    text += &apply(&["apply", "-f", "not-there.yaml"], "");
    text += &apply(&["apply", "-f", "."], "");
    expect![[r#"
        job.batch/a created (server dry run)
        error: stdin: job.batch/B was refused
          metadata.name: `B` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
        exit 1
        job.batch/a created
        error: stdin: job.batch/B was refused
          metadata.name: `B` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
        exit 1
        job.batch/a unchanged
        error: stdin: job.batch/B was refused
          metadata.name: `B` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
        exit 1
        error: stdin: nothing in it
        exit 1
        error: stdin: line 1: job.batch/c was refused: an image is a file that cannot be read
          spec.template.spec.containers[0].image: `./not-there.wasm`: ./not-there.wasm: no such file or directory
        exit 1
        error: not-there.yaml: no such file or directory
        exit 2
        error: .: no .yaml, .yml or .json file in it
        hint: -R looks into the directories in it too
        exit 2
    "#]].assert_eq(&text.replace(node.path().to_str().unwrap(), "DIR"));
}

#[test]
fn a_directory_of_manifests_is_applied_in_order_of_names() {
    let node = Node::start();
    node.write("2.json", manifest::job("second", "nothing").to_string());
    node.write("1.yaml", manifest::job("first", "nothing").to_string());
    node.write("notes.txt", "not a manifest");
    assert_eq!(node.done(&["apply", "-f", "."]), "job.batch/first created\njob.batch/second created\n");
}
