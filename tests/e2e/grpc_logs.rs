//! PodService.Logs, asked by a generated client.

use api::pb::wick::v1::{LogLine, LogStream, PodServiceGetRequest, PodServiceLogsRequest};
use expect_test::{Expect, expect};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};
use wick_tests::client::Client;
use wick_tests::{Node, PATIENCE, manifest, name_of, phase, programs};

fn logs(pod: &str) -> PodServiceLogsRequest {
    PodServiceLogsRequest { name: pod.to_owned(), ..PodServiceLogsRequest::default() }
}

/// Every line of an answer, as soon as it ends.
async fn lines(client: &Client, request: PodServiceLogsRequest) -> Result<Vec<LogLine>, Status> {
    let mut stream: Streaming<_> = client.pods().logs(request).await?.into_inner();
    let mut lines = Vec::new();
    while let Some(part) = timeout(PATIENCE, stream.message()).await.expect("the log ends in time")? {
        lines.extend(part.lines);
    }
    Ok(lines)
}

async fn text(client: &Client, request: PodServiceLogsRequest) -> String {
    let lines = lines(client, request).await.unwrap();
    let text: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
    text.join("|")
}

/// The name of a Job's only Pod, once there is one.
async fn pod_of(client: &Client, job: &str) -> String {
    name_of(&client.pods_when(job, |pods| pods.len() == 1).await[0]).to_owned()
}

#[tokio::test]
async fn a_log_is_followed_over_the_whole_life_of_a_guest() {
    let node = Node::start();
    let client = node.client().await;
    let mut job = manifest::job("countdown", programs::guest("countdown"));
    manifest::set_env(&mut job, "PAUSE_MS", "50");
    node.apply(&job);
    let pod = pod_of(&client, "countdown").await;
    // Asked for before the guest has begun, or after: the stream waits for it, and ends with it.
    let followed = PodServiceLogsRequest { follow: true, ..logs(&pod) };
    assert_eq!(text(&client, followed).await, "9|8|7|6|5|4|3|2|1");
    node.complete("countdown");
}

#[tokio::test]
async fn a_follower_sees_a_line_while_the_guest_runs() {
    let node = Node::start();
    let client = node.client().await;
    node.apply(&manifest::endless("slow"));
    let pod = pod_of(&client, "slow").await;
    let line = client.first_line(&pod).await;
    assert!(line.starts_with(&format!("start {pod} ")), "{line}");
    let read = client.pods().get(PodServiceGetRequest { name: pod.clone(), ..Default::default() }).await;
    assert_eq!(phase(&read.unwrap().into_inner().pod.unwrap()), "Running");
    // Without `follow` the same line is the whole answer, although the guest goes on.
    assert_eq!(text(&client, logs(&pod)).await, line);
}

#[tokio::test]
async fn a_part_of_a_log_can_be_asked_for() {
    let node = Node::start();
    let client = node.client().await;
    let mut job = manifest::job("countdown", programs::guest("countdown"));
    manifest::set_env(&mut job, "PAUSE_MS", "0");
    node.apply(&job);
    node.complete("countdown");
    let pod = pod_of(&client, "countdown").await;
    let tail = |lines| PodServiceLogsRequest { tail_lines: Some(lines), ..logs(&pod) };
    assert_eq!(text(&client, tail(3)).await, "3|2|1");
    assert_eq!(text(&client, tail(0)).await, "");
    assert_eq!(text(&client, tail(100)).await, "9|8|7|6|5|4|3|2|1");
    // A line's end counts as a byte.
    let limited = PodServiceLogsRequest { limit_bytes: Some(5), ..logs(&pod) };
    assert_eq!(text(&client, limited).await, "9|8|7");
    let all = lines(&client, logs(&pod)).await.unwrap();
    let since = PodServiceLogsRequest { since_time: all[4].time, ..logs(&pod) };
    assert!(text(&client, since).await.ends_with("5|4|3|2|1"));
    let at = |line: &LogLine| line.time.map(|time| (time.seconds, time.nanos)).unwrap();
    assert!(all.windows(2).all(|pair| at(&pair[0]) <= at(&pair[1])), "{all:#?}");
}

#[tokio::test]
async fn standard_error_is_told_from_standard_output() {
    let node = Node::start();
    let client = node.client().await;
    node.apply(&manifest::job("exit", programs::own_guest("exit_3")));
    node.failed("exit");
    let pod = pod_of(&client, "exit").await;
    let lines = lines(&client, logs(&pod)).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].stream(), lines[0].text.as_ref()), (LogStream::Stderr, b"exiting 3".as_slice()));
}

#[tokio::test]
async fn the_run_before_the_last_restart_has_a_log_of_its_own() {
    let node = Node::start();
    let client = node.client().await;
    node.apply_file(&programs::example("flaky/job.yaml"));
    node.complete("flaky");
    let pod = pod_of(&client, "flaky").await;
    assert_eq!(text(&client, logs(&pod)).await, "start 2 of 2: done");
    let previous = PodServiceLogsRequest { previous: true, ..logs(&pod) };
    assert_eq!(text(&client, previous).await, "start 1 of 2: failing");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let node = Node::start();
    let client = node.client().await;
    node.apply(&manifest::job("waits", "nobody-pushed-this"));
    node.apply_file(&programs::example("hello/job.yaml"));
    node.complete("hello");
    let (waits, hello) = (pod_of(&client, "waits").await, pod_of(&client, "hello").await);
    let check = async |request: PodServiceLogsRequest, code: Code, wanted: Expect| {
        let refused = lines(&client, request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused:?}");
        wanted.assert_eq(&refused.message().replace(&waits, "waits-POD").replace(&hello, "hello-POD"));
    };
    check(logs("nobody"), Code::NotFound, expect!["pods `nobody` not found"]).await;
    check(logs(""), Code::InvalidArgument, expect!["name: needed; say which one"]).await;
    check(
        logs(&waits),
        Code::FailedPrecondition,
        expect!["container main in pod waits-POD is waiting to start: ErrImagePull"],
    )
    .await;
    let other = PodServiceLogsRequest { container: "other".to_owned(), ..logs(&hello) };
    check(
        other,
        Code::InvalidArgument,
        expect!["container: container other is not valid for pod hello-POD; there is [hello]"],
    )
    .await;
    let previous = PodServiceLogsRequest { previous: true, ..logs(&hello) };
    check(
        previous,
        Code::FailedPrecondition,
        expect!["previous terminated container hello in pod hello-POD not found"],
    )
    .await;
}
