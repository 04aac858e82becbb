//! Jobs as Kubernetes runs them, through the real thing.

use api::pb::k8s::batch::v1::Job;
use api::pb::k8s::core::v1::Pod;
use serde_json::{Value, json};
use wick_tests::{Node, PATIENCE_FLAG, manifest, name_of, phase, programs, restarts};

/// A Job whose guests exit 1 at once.
fn failing(name: &str, policy: &str) -> Value {
    let mut job = manifest::job(name, programs::guest("flaky"));
    manifest::pod(&mut job)["restartPolicy"] = policy.into();
    manifest::set_env(&mut job, "SUCCEED_ON_START", "1000");
    manifest::mount(&mut job, "state", "/state", json!({"emptyDir": {}}));
    job
}

fn condition<'a>(job: &'a Value, kind: &str) -> &'a Value {
    let conditions =
        job["status"]["conditions"].as_array().unwrap_or_else(|| panic!("no conditions: {job:#}"));
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
        .unwrap_or_else(|| panic!("no {kind}: {job:#}"))
}

fn active(job: &Job) -> i32 {
    job.status.as_ref().map_or(0, |status| status.active)
}

fn count_in(pods: &[Pod], wanted: &str) -> usize {
    pods.iter().filter(|pod| phase(pod) == wanted).count()
}

#[test]
fn a_job_that_may_not_fail_fails_with_its_first_pod() {
    let node = Node::start();
    node.apply(&manifest::job("never", programs::own_guest("exit_3")));
    node.failed("never");
    let job = node.json(&["get", "job", "never"]);
    assert_eq!(condition(&job, "Failed")["reason"], "BackoffLimitExceeded");
    assert_eq!(condition(&job, "Failed")["message"], "Job has reached the specified backoff limit");
    let pod = node.pod("never");
    assert_eq!(pod["status"]["phase"], "Failed");
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&ended["exitCode"], &ended["reason"]), (&3.into(), &"Error".into()));
    assert_eq!(node.logs("never"), "exiting 3\n");
}

#[test]
fn a_failed_pod_is_replaced_until_the_backoff_limit() {
    let node = Node::start();
    let mut job = manifest::job("twice", programs::own_guest("exit_3"));
    job["spec"]["backoffLimit"] = 1.into();
    node.apply(&job);
    node.failed("twice");
    let job = node.json(&["get", "job", "twice"]);
    assert_eq!(job["status"]["failed"], 2);
    let pods = node.pods("twice");
    assert_eq!(pods.len(), 2);
    // The delay after one failure is 10 s, recorded in whole seconds.
    let at = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut ended: Vec<String> = pods
        .iter()
        .map(|pod| at(&pod["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"]))
        .collect();
    let mut made: Vec<String> = pods.iter().map(|pod| at(&pod["metadata"]["creationTimestamp"])).collect();
    ended.sort();
    made.sort();
    assert!(made[1] > ended[0], "the second Pod was made at {}, the first ended at {}", made[1], ended[0]);
}

#[test]
fn a_container_starts_again_at_once_the_first_time_and_waits_after_that() {
    let node = Node::start();
    let mut job = failing("again", "OnFailure");
    job["spec"]["backoffLimit"] = 6.into();
    node.apply(&job);
    let waiting = |pod: &Pod| {
        let container = pod.status.as_ref()?.container_statuses.first()?;
        Some(container.state.as_ref()?.waiting.as_ref()?.reason.clone())
    };
    let pods = node.pods_when("again", |pods| {
        pods.iter().any(|pod| restarts(pod) == 1 && waiting(pod).as_deref() == Some("CrashLoopBackOff"))
    });
    assert_eq!((pods.len(), phase(&pods[0])), (1, "Running"), "a Pod that restarts its containers goes on");
    assert_eq!(node.logs("again"), "start 2 of 1000: failing\n");
    // While nothing runs, the previous run is the last one, as on a cluster.
    assert_eq!(node.done(&["logs", "--previous", "job/again"]), "start 2 of 1000: failing\n");
    let described = node.done(&["describe", "pod", name_of(&pods[0])]);
    assert!(described.contains("Next Start:"), "{described}");
}

#[test]
fn restarts_count_towards_the_backoff_limit() {
    let node = Node::start();
    let mut job = failing("restarts", "OnFailure");
    job["spec"]["backoffLimit"] = 1.into();
    node.apply(&job);
    node.failed("restarts");
    let job = node.json(&["get", "job", "restarts"]);
    assert_eq!(condition(&job, "Failed")["reason"], "BackoffLimitExceeded");
    // As on a cluster, the Pod that restarted too often is taken down with its Job.
    node.pods_when("restarts", |pods| pods.is_empty());
}

#[test]
fn a_job_ends_at_its_deadline_with_all_its_pods() {
    let node = Node::start();
    let mut job = manifest::endless("late");
    job["spec"]["activeDeadlineSeconds"] = 1.into();
    job["spec"]["parallelism"] = 2.into();
    job["spec"]["completions"] = 2.into();
    node.apply(&job);
    node.failed("late");
    let job = node.json(&["get", "job", "late"]);
    assert_eq!(condition(&job, "Failed")["reason"], "DeadlineExceeded");
    assert_eq!(condition(&job, "FailureTarget")["reason"], "DeadlineExceeded");
    assert_eq!((&job["status"]["failed"], &job["status"]["active"]), (&2.into(), &Value::Null));
    node.pods_when("late", |pods| pods.is_empty());
}

#[test]
fn a_pod_ends_at_its_own_deadline_and_stays() {
    let node = Node::start();
    let mut job = manifest::endless("slow");
    manifest::pod(&mut job)["activeDeadlineSeconds"] = 1.into();
    node.apply(&job);
    node.failed("slow");
    let pod = node.pod("slow");
    assert_eq!(
        (&pod["status"]["phase"], &pod["status"]["reason"]),
        (&"Failed".into(), &"DeadlineExceeded".into())
    );
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&ended["exitCode"], &ended["reason"]), (&137.into(), &"DeadlineExceeded".into()));
}

#[test]
fn deleting_a_running_job_stops_its_guests_and_leaves_nothing() {
    let mut node = Node::off(&[]);
    let shared = node.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    node.add_flag("--allow-host-path", &shared);
    node.boot();
    let mut job = manifest::endless("doomed");
    job["spec"]["parallelism"] = 2.into();
    job["spec"]["completions"] = 2.into();
    manifest::mount(&mut job, "state", "/state", json!({"emptyDir": {}}));
    node.apply(&job);
    let pods = node.running_pods("doomed", 2);
    for pod in &pods {
        node.block_on(async { node.client().await.first_line(name_of(pod)).await });
    }
    assert_eq!(node.done(&["delete", "job", "doomed"]), "job.batch \"doomed\" deleted\n");
    node.pods_when("doomed", |pods| pods.is_empty());
    assert_eq!(node.wick(&["get", "job", "doomed"]).code, 1);
    let guests = node.block_on(async {
        let answer = node.client().await.node().get(api::pb::wick::v1::NodeServiceGetRequest {}).await;
        answer.unwrap().into_inner().node.unwrap().guests_running
    });
    assert_eq!(guests, 0);
    // The next start finds nothing of them, whether or not the removal was done.
    node.stop();
    node.boot();
    assert_eq!(node.of_pods(), Vec::<std::path::PathBuf>::new());
    // The name is free.
    node.apply(&manifest::job("doomed", programs::own_guest("nothing")));
    node.complete("doomed");
}

#[test]
fn no_more_pods_run_at_once_than_parallelism_allows() {
    let mut node = Node::off(&[]);
    let shared = node.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    node.add_flag("--allow-host-path", &shared);
    node.boot();
    let mut job = manifest::work("three", 30);
    job["spec"]["completions"] = 20.into();
    job["spec"]["parallelism"] = 3.into();
    manifest::mount(&mut job, "shared", "/shared", json!({"hostPath": {"path": shared.to_str().unwrap()}}));
    manifest::set_env(&mut job, "JOURNAL", "/shared/journal");
    node.apply(&job);
    node.complete("three");
    let journal = std::fs::read_to_string(shared.join("journal")).unwrap();
    let mut alive = 0_i32;
    let mut most = 0;
    for line in journal.lines() {
        alive += if line.starts_with("start ") { 1 } else { -1 };
        most = most.max(alive);
    }
    assert_eq!((alive, most), (0, 3), "{journal}");
    assert_eq!(node.json(&["get", "job", "three"])["status"]["succeeded"], 20);
    assert_eq!(node.pods("three").len(), 20);
}

#[test]
fn parallelism_can_be_raised_and_lowered_while_a_job_runs() {
    let node = Node::start();
    let mut job = manifest::endless("scaled");
    job["spec"]["completions"] = 10.into();
    job["spec"]["parallelism"] = 1.into();
    node.apply(&job);
    let first = name_of(&node.running_pods("scaled", 1)[0]).to_owned();
    for parallelism in [4, 2, 0, 1] {
        job["spec"]["parallelism"] = parallelism.into();
        assert_eq!(node.apply(&job), "job.batch/scaled configured\n");
        let pods = node.running_pods("scaled", parallelism);
        if parallelism == 2 {
            assert!(
                pods.iter().any(|pod| name_of(pod) == first),
                "those that have come least far are stopped first"
            );
        }
        node.job_when("scaled", |job| active(job) == i32::try_from(parallelism).unwrap());
    }
    // What was stopped by a change of mind failed nobody.
    assert_eq!(node.json(&["get", "job", "scaled"])["status"]["failed"], Value::Null);
}

#[test]
fn a_work_queue_ends_with_its_first_success_once_all_others_have_ended() {
    let node = Node::start();
    let mut job = manifest::work("queue", 20);
    job["spec"]["completions"] = Value::Null;
    job["spec"]["parallelism"] = 3.into();
    node.apply(&job);
    node.complete("queue");
    let job = node.json(&["get", "job", "queue"]);
    assert_eq!(job["spec"]["completions"], Value::Null);
    // Nothing is made after the first success: at most one for each place that was free before it.
    let pods = node.pods("queue");
    let succeeded = pods.iter().filter(|pod| pod["status"]["phase"] == "Succeeded").count();
    assert_eq!((succeeded, pods.len()), (3, 3), "{pods:#?}");
    assert_eq!(job["status"]["succeeded"], 3);
}

#[test]
fn a_job_of_no_completions_is_complete() {
    let node = Node::start();
    let mut job = manifest::job("none", programs::own_guest("nothing"));
    job["spec"]["completions"] = 0.into();
    node.apply(&job);
    node.complete("none");
    assert_eq!(node.pods("none"), Vec::<Value>::new());
}

#[test]
fn pods_wait_for_their_image_and_run_when_it_is_pushed() {
    let node = Node::start();
    let mut job = manifest::job("waits", "later:1");
    job["spec"]["completions"] = 2.into();
    job["spec"]["parallelism"] = 2.into();
    node.apply(&job);
    node.pods_when("waits", |pods| pods.len() == 2 && count_in(pods, "Pending") == 2);
    let shown = node.done(&["get", "pods"]);
    assert!(shown.contains("ErrImagePull"), "{shown}");
    let guest = programs::own_guest("nothing");
    node.done(&["image", "push", guest.to_str().unwrap(), "later:1"]);
    node.complete("waits");
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let node = Node::start();
    let job = manifest::job("same", programs::own_guest("nothing"));
    assert_eq!(node.apply(&job), "job.batch/same created\n");
    node.complete("same");
    let before = node.json(&["get", "job", "same"]);
    assert_eq!(node.apply(&job), "job.batch/same unchanged\n");
    assert_eq!(node.json(&["get", "job", "same"]), before);
}

#[test]
fn all_containers_of_a_pod_run_together_and_one_that_fails_fails_it() {
    let node = Node::start();
    let mut job = manifest::work("pair", 20);
    let failing = json!({"name": "second", "image": programs::own_guest("exit_3").to_str().unwrap()});
    manifest::pod(&mut job)["containers"].as_array_mut().unwrap().push(failing);
    node.apply(&job);
    node.failed("pair");
    let pod = node.pod("pair");
    let name = pod["metadata"]["name"].as_str().unwrap();
    let codes: Vec<&Value> = pod["status"]["containerStatuses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|status| &status["state"]["terminated"]["exitCode"])
        .collect();
    assert_eq!(codes, [0, 3]);
    assert_eq!(node.done(&["logs", name, "-c", "second"]), "exiting 3\n");
    assert_eq!(node.done(&["logs", name, "--all-containers"]).lines().count(), 3);
}

#[test]
fn a_guest_has_no_network_unless_it_is_granted() {
    let node = Node::start();
    node.apply(&manifest::job("net", programs::own_guest("accepts")));
    node.failed("net");
    let pod = node.pod("net");
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    // It exits with what `sock_accept` said: there is no socket to accept on.
    assert_eq!(ended["exitCode"], 8, "{ended:#}");
}

#[test]
fn pods_beyond_the_nodes_places_wait_for_others_to_end() {
    let node = Node::start_with(&["--guests", "2"]);
    let mut job = manifest::work("crowd", 20);
    job["spec"]["completions"] = 6.into();
    job["spec"]["parallelism"] = 6.into();
    node.apply(&job);
    node.complete("crowd");
    assert_eq!(node.json(&["get", "job", "crowd"])["status"]["succeeded"], 6);
}

#[test]
fn many_jobs_at_once_all_complete() {
    let node = Node::start();
    let guest = programs::own_guest("nothing");
    node.done(&["image", "push", guest.to_str().unwrap(), "nothing"]);
    let mut job = manifest::job("x", "nothing");
    job["spec"]["completions"] = 3.into();
    job["spec"]["parallelism"] = 2.into();
    let manifests: Vec<String> = (0..200)
        .map(|number| {
            job["metadata"] = json!({"name": format!("job-{number}"), "labels": {"app": "many"}});
            job.to_string()
        })
        .collect();
    let said = node.done_with(&["apply", "-f", "-"], &manifests.join("\n---\n"));
    assert_eq!(said.lines().filter(|line| line.ends_with(" created")).count(), 200, "{said}");
    node.done(&["wait", "--for=condition=complete", "jobs", "-l", "app=many", "--timeout", PATIENCE_FLAG]);
    let jobs = node.json(&["get", "jobs"]);
    assert!(jobs["items"].as_array().unwrap().iter().all(|job| job["status"]["succeeded"] == 3), "{jobs:#}");
    let pods = node.json(&["get", "pods"]);
    let pods = pods["items"].as_array().unwrap();
    assert_eq!(pods.len(), 600);
    assert!(pods.iter().all(|pod| pod["status"]["phase"] == "Succeeded"));
    node.done(&["delete", "jobs", "-l", "app=many"]);
    node.gone("job/job-199");
}

#[test]
fn output_beyond_what_is_kept_loses_its_oldest_lines() {
    let node = Node::start_with(&["--log-kib", "64"]);
    node.apply(&manifest::job("flood", programs::own_guest("flood")));
    node.complete("flood");
    let log = node.logs("flood");
    // 20,000 lines of 16 bytes were written.
    let kept = log.lines().count();
    assert!(kept > 100 && kept < 20_000, "{kept} lines are kept");
    assert!(log.lines().all(|line| line == "a line of flood"));
    let bytes: u64 = node.of_pods().iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes <= 64 << 10, "{bytes} bytes on disk");
}
