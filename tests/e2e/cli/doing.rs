//! Doing: applying, waiting, deleting.

use expect_test::expect;
use wick_tests::{Node, manifest, programs};

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
            error: a pod goes with its job
            hint: wick delete job NAME
            exit 2

            $ wick delete image nobody
            error: no image named `nobody`
            hint: images: `exit_3:latest`
            exit 1
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
