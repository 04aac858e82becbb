//! Looking: lists, single things, descriptions, logs.

use expect_test::expect;
use wick_tests::{Node, PATIENCE_FLAG, manifest, name_of, plain, programs};

use super::{busy, check};

#[test]
fn lists_are_tables() {
    check(
        &busy(),
        &[
            "get jobs",
            "get pods",
            "get images",
            "get jobs,pods -l tier=edge",
            "get jobs -o wide",
            "get pods -o wide",
            "get jobs --no-headers",
            "get jobs -A",
            "get job hello nobody",
            "get jobs -n elsewhere",
        ],
        expect![[r#"
            $ wick get jobs
            NAME  STATUS  COMPLETIONS  DURATION  AGE
            bad  Failed  0/1  AGE  AGE
            hello  Complete  1/1  AGE  AGE

            $ wick get pods
            NAME  READY  STATUS  RESTARTS  AGE
            bad-POD  0/1  Error  0  AGE
            hello-POD  0/1  Completed  0  AGE

            $ wick get images
            NAME  DIGEST  KIND  SIZE  AGE
            by-hand:latest  DIGEST  module  173B  AGE
            exit_3:latest  DIGEST  module  211B  AGE

            $ wick get jobs,pods -l tier=edge
            NAME  STATUS  COMPLETIONS  DURATION  AGE
            job.batch/bad  Failed  0/1  AGE  AGE

            $ wick get jobs -o wide
            NAME  STATUS  COMPLETIONS  DURATION  AGE  CONTAINERS  IMAGES  SELECTOR
            bad  Failed  0/1  AGE  AGE  main  exit_3@sha256:DIGEST  batch.kubernetes.io/controller-uid=UID
            hello  Complete  1/1  AGE  AGE  main  by-hand@sha256:DIGEST  batch.kubernetes.io/controller-uid=UID

            $ wick get pods -o wide
            NAME  READY  STATUS  RESTARTS  AGE  NODE  IMAGES
            bad-POD  0/1  Error  0  AGE  gate  exit_3@sha256:DIGEST
            hello-POD  0/1  Completed  0  AGE  gate  by-hand@sha256:DIGEST

            $ wick get jobs --no-headers
            bad  Failed  0/1  AGE  AGE
            hello  Complete  1/1  AGE  AGE

            $ wick get jobs -A
            NAMESPACE  NAME  STATUS  COMPLETIONS  DURATION  AGE
            default  bad  Failed  0/1  AGE  AGE
            default  hello  Complete  1/1  AGE  AGE

            $ wick get job hello nobody
            NAME  STATUS  COMPLETIONS  DURATION  AGE
            hello  Complete  1/1  AGE  AGE
            error: no job named `nobody` in namespace default
            hint: jobs in namespace default: `bad`, `hello`
            exit 1

            $ wick get jobs -n elsewhere
            No resources found in elsewhere namespace.
        "#]],
    );
}

#[test]
fn the_node_is_a_table_too() {
    let node = Node::start_with(&["--guests", "5"]);
    let shown = node.done(&["get", "nodes"]);
    let words: Vec<&str> = shown.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(words[..4], ["gate", "Ready", "0/5", "0"], "{shown}");
    assert_eq!(words.last(), Some(&env!("CARGO_PKG_VERSION")), "{shown}");
}

#[test]
fn events_are_told_in_order() {
    check(
        &busy(),
        &["get events --field-selector involvedObject.kind=Job", "get events -n elsewhere"],
        expect![[r#"
            $ wick get events --field-selector involvedObject.kind=Job
            LAST SEEN  TYPE  REASON  OBJECT  MESSAGE
            AGE  Normal  SuccessfulCreate  job/hello  Created pod: hello-POD
            AGE  Normal  Completed  job/hello  Job completed
            AGE  Normal  SuccessfulCreate  job/bad  Created pod: bad-POD
            AGE  Warning  BackoffLimitExceeded  job/bad  Job has reached the specified backoff limit

            $ wick get events -n elsewhere
            No resources found in elsewhere namespace.
        "#]],
    );
}

#[test]
fn names_yaml_and_json_are_for_programs() {
    let node = busy();
    check(
        &node,
        &["get jobs,pods -o name", "get job bad -o yaml"],
        expect![[r#"
        $ wick get jobs,pods -o name
        job.batch/bad
        job.batch/hello
        pod/bad-POD
        pod/hello-POD

        $ wick get job bad -o yaml
        apiVersion: batch/v1
        kind: Job
        metadata:
          name: bad
          namespace: default
          uid: UID
          resourceVersion: "VERSION"
          generation: 1
          creationTimestamp: "TIME"
          labels:
            tier: edge
        spec:
          parallelism: 1
          completions: 1
          backoffLimit: 0
          selector:
            matchLabels:
              batch.kubernetes.io/controller-uid: UID
          manualSelector: false
          template:
            metadata:
              labels:
                batch.kubernetes.io/controller-uid: UID
                batch.kubernetes.io/job-name: bad
                controller-uid: UID
                job-name: bad
            spec:
              containers:
              - name: main
                image: exit_3@sha256:DIGEST
                imagePullPolicy: IfNotPresent
              restartPolicy: Never
              terminationGracePeriodSeconds: 30
          completionMode: NonIndexed
          suspend: false
          podReplacementPolicy: TerminatingOrFailed
        status:
          conditions:
          - type: FailureTarget
            status: "True"
            lastProbeTime: "TIME"
            lastTransitionTime: "TIME"
            reason: BackoffLimitExceeded
            message: Job has reached the specified backoff limit
          - type: Failed
            status: "True"
            lastProbeTime: "TIME"
            lastTransitionTime: "TIME"
            reason: BackoffLimitExceeded
            message: Job has reached the specified backoff limit
          startTime: "TIME"
          failed: 1
          terminating: 0
          uncountedTerminatedPods: {}
          ready: 0
    "#]],
    );
    let list = node.json(&["get", "jobs"]);
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&"List".into(), 2));
    let one = node.json(&["get", "job", "hello"]);
    assert_eq!((&one["kind"], &one["apiVersion"]), (&"Job".into(), &"batch/v1".into()));
    // What it prints can be applied again.
    let yaml = node.done(&["get", "job", "hello", "-o", "yaml"]);
    assert_eq!(node.done_with(&["apply", "-f", "-"], &yaml), "job.batch/hello unchanged\n");
}

#[test]
fn descriptions_have_everything_about_a_thing() {
    check(
        &busy(),
        &["describe job bad", "describe pods -l job-name=bad", "describe image by-hand"],
        expect![[r#"
            $ wick describe job bad
            Name:  bad
            Namespace:  default
            Selector:  batch.kubernetes.io/controller-uid=UID
            Labels:  tier=edge
            Annotations:  <none>
            Parallelism:  1
            Completions:  1
            Completion Mode:  NonIndexed
            Suspend:  false
            Backoff Limit:  0
            Status:  Failed
            Start Time:  TIME
            Duration:  AGE
            Pods Statuses:  0 Active (0 Ready) / 0 Succeeded / 1 Failed
            Pod Template:
              Labels:  batch.kubernetes.io/controller-uid=UID
                               batch.kubernetes.io/job-name=bad
                               controller-uid=UID
                               job-name=bad
              Annotations:  <none>
              Containers:
                main:
                  Image:  exit_3@sha256:DIGEST
                  Environment:  <none>
                  Mounts:  <none>
              Volumes:  <none>
              Restart Policy:  Never
            Conditions:
              Type  Status  Since  Reason  Message
              ----  ------  -----  ------  -------
              FailureTarget  True  AGE  BackoffLimitExceeded  Job has reached the specified backoff limit
              Failed  True  AGE  BackoffLimitExceeded  Job has reached the specified backoff limit
            Pods:
              Name  Status  Restarts  Next Start  Last Exit
              ----  ------  --------  ----------  ---------
              bad-POD  Error  0  -  Error, exit code 3, AGE ago
            Events:
              Type  Reason  Age  From  Message
              ----  ------  ---  ----  -------
              Normal  SuccessfulCreate  AGE  job-controller, gate  Created pod: bad-POD
              Warning  BackoffLimitExceeded  AGE  job-controller, gate  Job has reached the specified backoff limit

            $ wick describe pods -l job-name=bad
            Name:  bad-POD
            Namespace:  default
            Node:  gate
            Start Time:  TIME
            Labels:  batch.kubernetes.io/controller-uid=UID
                             batch.kubernetes.io/job-name=bad
                             controller-uid=UID
                             job-name=bad
            Annotations:  <none>
            Status:  Failed
            Controlled By:  Job/bad
            Containers:
              main:
                Image:  exit_3@sha256:DIGEST
                Image ID:  sha256:DIGEST
                State:  Terminated
                  Reason:  Error
                  Exit Code:  3
                  Started:  TIME
                  Finished:  TIME
                Ready:  False
                Restart Count:  0
                Environment:  <none>
                Mounts:  <none>
            Conditions:
              Type  Status  Since  Reason  Message
              ----  ------  -----  ------  -------
              PodScheduled  True  AGE
              PodReadyToStartContainers  False  AGE
              Initialized  True  AGE
              ContainersReady  False  AGE  PodFailed
              Ready  False  AGE  PodFailed
            Volumes:  <none>
            Restart Policy:  Never
            Events:
              Type  Reason  Age  From  Message
              ----  ------  ---  ----  -------
              Normal  Scheduled  AGE  default-scheduler, gate  Successfully assigned default/bad-POD to gate
              Normal  Started  AGE  kubelet, gate  spec.containers{main}: Started container main

            $ wick describe image by-hand
            Name:  by-hand:latest
            Names:  by-hand:latest
            Digest:  sha256:DIGEST
            Kind:  module
            Size:  173B (173 bytes)
            Pushed:  TIME (AGE ago)
            Exports:
              memory
              _start
            Imports:
              wasi_snapshot_preview1.fd_write
        "#]],
    );
}

#[test]
fn log_lines_say_whose_they_are_and_when_they_were_written() {
    let node = busy();
    check(
        &node,
        &["logs job/hello --prefix --timestamps"],
        expect![[r#"
            $ wick logs job/hello --prefix --timestamps
            [pod/hello-POD] TIME hello from a .wat by hand
        "#]],
    );
}

#[test]
fn a_watch_prints_a_line_for_every_change() {
    let node = Node::start();
    node.apply(&manifest::job("hello", "later"));
    let pods = node.pods_when("hello", |pods| pods.len() == 1);
    let watch = node.wick_lines(&["get", "pods", "-w"]);
    assert!(watch.next_line().starts_with("NAME"));
    assert!(watch.next_line().starts_with(name_of(&pods[0])));
    let guest = programs::own_guest("nothing");
    node.done(&["image", "push", guest.to_str().unwrap(), "later"]);
    let mut line = String::new();
    while !line.contains("Completed") {
        line = watch.next_line();
        assert!(line.starts_with(name_of(&pods[0])), "{line}");
    }
}

#[test]
fn a_log_of_a_job_is_followed_to_its_end() {
    let node = Node::start();
    let mut job = manifest::job("countdown", programs::guest("countdown"));
    manifest::set_env(&mut job, "PAUSE_MS", "20");
    node.apply(&job);
    assert_eq!(node.done(&["logs", "-f", "job/countdown"]), "9\n8\n7\n6\n5\n4\n3\n2\n1\n");
}

#[test]
fn wick_asks_over_tcp_when_it_is_told_to() {
    let node = Node::start_with(&["--listen", "127.0.0.1:0"]);
    node.apply(&manifest::job("hello", "nothing"));
    assert_eq!(node.done(&["get", "jobs", "-o", "name", "--server", node.address()]), "job.batch/hello\n");
}

#[test]
fn a_watch_goes_on_when_the_agent_is_back() {
    let mut node = Node::start();
    let mut job = manifest::endless("slow");
    job["spec"]["backoffLimit"] = 6.into();
    manifest::pod(&mut job)["restartPolicy"] = "OnFailure".into();
    node.apply(&job);
    node.running_pods("slow", 1);
    let watch = node.wick_lines(&["get", "pods", "-w", "--no-headers"]);
    let next = || plain(&watch.next_line(), &["slow"]);
    assert_eq!(next(), "slow-POD  1/1  Running  0  AGE\n");
    node.kill();
    node.boot();
    while next() != "slow-POD  1/1  Running  1 (AGE ago)  AGE\n" {}
}

#[test]
fn waiting_goes_on_when_the_agent_was_stopped_and_is_back() {
    let mut node = Node::start();
    node.apply(&manifest::job("bad", "nobody-pushed-this"));
    node.apply(&manifest::job("waits", "nobody-pushed-this"));
    node.done(&["suspend", "job", "bad"]);
    let jobs = ["job/bad", "job/waits"];
    let wait = node.wick_lines(
        &[&["wait", "--for=condition=suspended", "--timeout", PATIENCE_FLAG], &jobs[..]].concat(),
    );
    assert_eq!(wait.next_line(), "job.batch/bad condition met");
    node.stop();
    node.boot();
    node.done(&["suspend", "job", "waits"]);
    assert_eq!(wait.next_line(), "job.batch/waits condition met");
}
