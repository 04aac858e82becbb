//! Manifests that are wrong: what `wick` says, the code a client gets, and that nothing changed.

use api::pb::wick::v1::{
    ApplyOutcome, EventServiceListRequest, ImageServiceListRequest, JobServiceListRequest,
    PodServiceListRequest,
};
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use tonic::Code;
use wick_tests::client::{Client, code_name};
use wick_tests::{Node, manifest};

/// A Job that is right.
const MANIFEST: &str = "\
apiVersion: batch/v1
kind: Job
metadata:
  name: hello
spec:
  parallelism: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: nothing
";

/// Everything there is to see of the state, and the revision it is of.
async fn state(client: &Client) -> impl PartialEq + std::fmt::Debug {
    let jobs = client.jobs().list(JobServiceListRequest::default()).await.unwrap().into_inner();
    let pods = client.pods().list(PodServiceListRequest::default()).await.unwrap().into_inner();
    let events = client.events().list(EventServiceListRequest::default()).await.unwrap().into_inner();
    let images = client.images().list(ImageServiceListRequest {}).await.unwrap().into_inner();
    (jobs, pods, events, images)
}

/// Applies a manifest both ways, and shows what each says; nothing may have changed by it.
async fn check_on(node: &Node, text: &str, wanted: Expect) {
    let client = node.client().await;
    let before = state(&client).await;
    let code = match client.apply(text).await {
        Err(refused) => refused.code(),
        Ok(results) => {
            let refused = results.iter().find(|result| result.outcome() == ApplyOutcome::Refused);
            Code::from(refused.unwrap_or_else(|| panic!("nothing was refused: {results:#?}")).code)
        }
    };
    let said = node.wick_with(&["apply", "-f", "-"], text);
    wanted.assert_eq(&format!("{}\n{said}", code_name(code)));
    assert_eq!(state(&client).await, before, "a refused manifest changed something");
}

async fn check(text: &str, wanted: Expect) {
    check_on(&Node::start(), text, wanted).await;
}

/// The same for several manifests on one node.
async fn check_all(manifests: impl IntoIterator<Item = (Value, Expect)>) {
    let node = Node::start();
    for (manifest, wanted) in manifests {
        check_on(&node, &manifest.to_string(), wanted).await;
    }
}

/// A Job with a change.
fn job(change: impl FnOnce(&mut Value)) -> Value {
    let mut job = manifest::job("hello", "nothing");
    job["spec"]["parallelism"] = 0.into();
    change(&mut job);
    job
}

#[tokio::test]
async fn a_text_that_is_no_yaml_is_told_with_line_and_column() {
    let node = Node::start();
    check_on(
        &node,
        &MANIFEST.replace("metadata:\n", "metadata: {\n"),
        expect![[r#"
        INVALID_ARGUMENT
        error: stdin: line 5, column 5: while parsing a flow mapping, did not find expected ',' or '}'
        exit 1
    "#]],
    )
    .await;
    check_on(
        &node,
        &MANIFEST.replace("  parallelism", "\tparallelism"),
        expect![[r#"
        INVALID_ARGUMENT
        error: stdin: line 6, column 2: tabs disallowed within this context (block indentation)
        exit 1
    "#]],
    )
    .await;
    check_on(
        &node,
        &MANIFEST.replace("kind: Job", "kind: Job\nkind: Job"),
        expect![[r#"
        INVALID_ARGUMENT
        error: stdin: line 3, column 1: the key `kind` is given twice; keep one of them
        exit 1
    "#]],
    )
    .await;
    check_on(
        &node,
        r#"{"apiVersion": "batch/v1", "kind": "Job""#,
        expect![[r#"
        INVALID_ARGUMENT
        error: stdin: line 1, column 40: EOF while parsing an object
        exit 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn what_is_no_object_is_told() {
    let node = Node::start();
    check_on(
        &node,
        "hello\n",
        expect![[r#"
        INVALID_ARGUMENT
        error: stdin: object at line 1 was refused
          expected a map with `apiVersion`, `kind` and `metadata`, got the string "hello"
        exit 1
    "#]],
    )
    .await;
    check_on(
        &node,
        "apiVersion: batch/v1\nmetadata: {name: hello}\n",
        expect![[r#"
        INVALID_ARGUMENT
        error: stdin: object/hello was refused
          kind: needed; Wick serves `Job` and `CronJob` (batch/v1)
        exit 1
    "#]],
    )
    .await;
    check_on(
        &node,
        &MANIFEST.replace("kind: Job", "kind: Jub"),
        expect![[r#"
        INVALID_ARGUMENT
        error: stdin: jub/hello was refused
          kind: `Jub` is not served; did you mean `Job`?
        exit 1
    "#]],
    )
    .await;
    check_on(
        &node,
        &MANIFEST.replace("kind: Job", "kind: Deployment"),
        expect![[r#"
        INVALID_ARGUMENT
        error: stdin: deployment/hello was refused
          kind: `Deployment` is not served; Wick serves `Job` and `CronJob` (batch/v1)
        exit 1
    "#]],
    )
    .await;
    check_on(
        &node,
        &MANIFEST.replace("batch/v1", "batch/v2"),
        expect![[r#"
        INVALID_ARGUMENT
        error: stdin: job.batch/hello was refused
          apiVersion: `batch/v2` is not served for a `Job`; did you mean `batch/v1`?
        exit 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn every_unknown_field_is_told_with_its_path_and_what_was_meant() {
    let text = MANIFEST
        .replace("image: nothing", "imagee: nothing\n          image: nothing")
        .replace("parallelism", "paralelism")
        .replace("restartPolicy", "restart_policy")
        .replace("  name: hello", "  name: hello\n  colour: red");
    check(
        &text,
        expect![[r#"
        INVALID_ARGUMENT
        error: stdin: job.batch/hello was refused
          metadata.colour: unknown field
          spec.paralelism: unknown field; did you mean `parallelism`?
          spec.template.spec.restart_policy: unknown field; did you mean `restartPolicy`?
          spec.template.spec.containers[0].imagee: unknown field; did you mean `image`?
        exit 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_type_is_told_with_its_path() {
    let text = MANIFEST
        .replace("parallelism: 0", "parallelism: two\n  backoffLimit: [1]")
        .replace("name: main", "name: 7");
    check(
        &text,
        expect![[r#"
        INVALID_ARGUMENT
        error: stdin: job.batch/hello was refused
          spec.parallelism: expected a whole number, got the string "two"
          spec.backoffLimit: expected a whole number, got a list
          spec.template.spec.containers[0].name: expected a string, got the number 7; put it in quotes
        exit 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn what_is_missing_is_told() {
    check_all([
        (job(|job| job["metadata"] = json!({})), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch at line 1 was refused
              metadata.name: needed; give the object a name (or a generateName)
            exit 1
        "#]]),
        (job(|job| job["spec"] = json!({})), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/hello was refused
              spec.template: needed; say what the Job's Pods are to run
            exit 1
        "#]]),
        (job(|job| manifest::pod(job)["containers"] = json!([])), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/hello was refused
              spec.template.spec.containers: needed; give at least one container
            exit 1
        "#]]),
        (job(|job| manifest::container(job)["image"] = Value::Null), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/hello was refused
              spec.template.spec.containers[0].image: needed; name an image (wick image ls), or give a path to `wick apply`
            exit 1
        "#]]),
    ])
    .await;
}

#[tokio::test]
async fn a_value_that_cannot_be_is_told_with_what_would_be_right() {
    check_all([
        (job(|job| manifest::container(job)["image"] = "Hello World".into()), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/hello was refused
              spec.template.spec.containers[0].image: `Hello World` must be a name such as `hello`, `hello:1.2` or `example.com/team/hello` in lower-case letters, digits, `.`, `_` and `-`, or `sha256:` and 64 hexadecimal digits; a path to a file is pushed by `wick apply`, or by `wick image push FILE NAME`
            exit 1
        "#]]),
        (job(|job| manifest::container(job)["image"] = "hello@sha256:123".into()), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/hello was refused
              spec.template.spec.containers[0].image: `hello@sha256:123` must have `sha256:` and 64 hexadecimal digits after its `@`
            exit 1
        "#]]),
        (job(|job| job["metadata"]["name"] = "Hello_World".into()), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/Hello_World was refused
              metadata.name: `Hello_World` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
            exit 1
        "#]]),
        (job(|job| job["metadata"]["name"] = "x".repeat(64).into()), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx was refused
              metadata.name: 64 bytes are too many; the most is 63
            exit 1
        "#]]),
        (job(|job| manifest::pod(job)["restartPolicy"] = "Always".into()), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/hello was refused
              spec.template.spec.restartPolicy: `Always` is not for Jobs; give `Never` or `OnFailure`
            exit 1
        "#]]),
        (job(|job| job["spec"]["parallelism"] = (-1).into()), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/hello was refused
              spec.parallelism: -1 is too few; the least is 0
            exit 1
        "#]]),
        (
            job(|job| manifest::container(job)["resources"] = json!({"limits": {"memory": "32 MB"}})),
            expect![[r#"
                INVALID_ARGUMENT
                error: stdin: job.batch/hello was refused
                  spec.template.spec.containers[0].resources.limits[memory]: "32 MB" is no quantity; write a number and perhaps a suffix, as in `500m`, `2`, `128Mi` or `1e3`
                exit 1
            "#]],
        ),
        (job(|job| job["metadata"]["labels"] = json!({"a b": "c d"})), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/hello was refused
              metadata.labels: `a b` must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
              metadata.labels[a b]: `c d` must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends
            exit 1
        "#]]),
    ])
    .await;
}

#[tokio::test]
async fn what_cannot_be_given_is_refused_with_why() {
    let host_path = json!({"hostPath": {"path": "/etc"}});
    let secret = json!({"secret": {"secretName": "keys"}});
    check_all([
        (job(|job| manifest::pod(job)["hostNetwork"] = true.into()), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/hello was refused
              spec.template.spec.hostNetwork: guests never get the host's network; grant addresses with the annotation `wick.dev/allow-net`
            exit 1
        "#]]),
        (
            job(|job| {
                manifest::container(job)["securityContext"] = json!({"privileged": true, "runAsUser": 0})
            }),
            expect![[r#"
                INVALID_ARGUMENT
                error: stdin: job.batch/hello was refused
                  spec.template.spec.containers[0].securityContext.privileged: guests never get the host's privileges; remove it
                  spec.template.spec.containers[0].securityContext.runAsUser: guests have no user; remove it
                exit 1
            "#]],
        ),
        (job(|job| manifest::mount(job, "etc", "/etc", host_path)), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/hello was refused
              spec.template.spec.volumes[0].hostPath.path: `/etc` is not granted to guests; granted is no directory (wickd --allow-host-path DIR)
            exit 1
        "#]]),
        (job(|job| manifest::mount(job, "keys", "/keys", secret)), expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/hello was refused
              spec.template.spec.volumes[0].secret: not supported yet; use emptyDir
            exit 1
        "#]]),
        (
            job(|job| manifest::container(job)["workingDir"] = "/data".into()),
            expect![[r#"
                INVALID_ARGUMENT
                error: stdin: job.batch/hello was refused
                  spec.template.spec.containers[0].workingDir: not supported yet; a guest starts in `/`, so use absolute paths
                exit 1
            "#]],
        ),
    ])
    .await;
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let wrong = job(|job| {
        job["metadata"]["name"] = "Hello".into();
        job["spec"]["completions"] = (-3).into();
        manifest::pod(job)["restartPolicy"] = "Always".into();
        manifest::pod(job)["hostPID"] = true.into();
        manifest::container(job)["image"] = "A B".into();
        manifest::container(job)["env"] = json!([{"name": "A=B"}]);
        manifest::container(job)["volumeMounts"] = json!([{"name": "none", "mountPath": "here"}]);
    });
    check(&wrong.to_string(), expect![[r#"
        INVALID_ARGUMENT
        error: stdin: job.batch/Hello was refused
          metadata.name: `Hello` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
          spec.template.spec.restartPolicy: `Always` is not for Jobs; give `Never` or `OnFailure`
          spec.template.spec.containers[0].image: `A B` must be a name such as `hello`, `hello:1.2` or `example.com/team/hello` in lower-case letters, digits, `.`, `_` and `-`, or `sha256:` and 64 hexadecimal digits; a path to a file is pushed by `wick apply`, or by `wick image push FILE NAME`
          spec.template.spec.containers[0].env[0].name: `A=B` must be printable ASCII without `=`
          spec.template.spec.containers[0].volumeMounts[0].name: `none` does not exist; the Pod has no volumes
          spec.template.spec.containers[0].volumeMounts[0].mountPath: `here` must be an absolute path
          spec.template.spec.hostPID: guests cannot see processes; remove it
          spec.completions: -3 is too few; the least is 0
        exit 1
    "#]]).await;
}

#[tokio::test]
async fn what_cannot_be_read_does_not_hide_what_cannot_be() {
    let text = MANIFEST
        .replace("parallelism: 0", "paralelism: 0\n  backoffLimit: -1")
        .replace("restartPolicy: Never", "restartPolicy: Always\n      hostIPC: true")
        .replace("name: main", "name: 7\n          env: [{value: x}]");
    check(
        &text,
        expect![[r#"
        INVALID_ARGUMENT
        error: stdin: job.batch/hello was refused
          spec.paralelism: unknown field; did you mean `parallelism`?
          spec.backoffLimit: -1 is too few; the least is 0
          spec.template.spec.restartPolicy: `Always` is not for Jobs; give `Never` or `OnFailure`
          spec.template.spec.hostIPC: guests cannot share memory with the host; remove it
          spec.template.spec.containers[0].name: expected a string, got the number 7; put it in quotes
          spec.template.spec.containers[0].env[0].name: needed; give the variable a name
        exit 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn what_means_nothing_here_is_accepted_with_a_warning() {
    let node = Node::start();
    let odd = job(|job| {
        manifest::pod(job)["tolerations"] = json!([{"key": "edge", "operator": "Exists"}]);
        manifest::pod(job)["dnsPolicy"] = "None".into();
        manifest::pod(job)["schedulerName"] = "mine".into();
    });
    let said = node.wick_with(&["apply", "-f", "-"], &odd.to_string());
    expect![[r#"
        job.batch/hello created
        warning: spec.template.spec.dnsPolicy: has no effect: names are looked up by the device's resolver
        warning: spec.template.spec.schedulerName: has no effect: there is one node, so nothing is scheduled
        warning: spec.template.spec.tolerations: has no effect: the node has no taints
    "#]]
    .assert_eq(&said.to_string());
}

#[tokio::test]
async fn a_name_that_exists_is_refused_to_create_and_the_template_to_apply() {
    let node = Node::start();
    let client = node.client().await;
    node.apply(&job(|_| {}));
    let refused = client.create(manifest::message(&job(|_| {}))).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert_eq!(refused.message(), "jobs.batch `hello` already exists");
    let other = job(|job| manifest::container(job)["image"] = "other".into());
    check_on(
        &node,
        &other.to_string(),
        expect![[r#"
            INVALID_ARGUMENT
            error: stdin: job.batch/hello was refused
              spec.template: `spec.containers[0].image` cannot change once the object exists; delete it and create it anew
            exit 1
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_directory_of_the_device_is_for_guests_once_it_is_granted() {
    let mut node = Node::off(&[]);
    let granted = node.path().join("granted");
    std::fs::create_dir(&granted).unwrap();
    node.add_flag("--allow-host-path", &granted);
    node.boot();
    let with = |path: &std::path::Path| {
        job(|job| {
            manifest::mount(job, "host", "/host", json!({"hostPath": {"path": path.to_str().unwrap()}}))
        })
    };
    node.apply(&with(&granted));
    for path in [node.path().to_owned(), granted.join("../data"), node.path().join("granted-not")] {
        let mut refused = with(&path);
        refused["metadata"]["name"] = "other".into();
        let said = node.wick_with(&["apply", "-f", "-"], &refused.to_string());
        assert_eq!(said.code, 1, "{said}");
        assert!(said.stderr.contains("spec.template.spec.volumes[0].hostPath.path: "), "{said}");
    }
    assert_eq!(node.done(&["get", "jobs", "-o", "name"]), "job.batch/hello\n");
}
