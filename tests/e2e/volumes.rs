//! Volumes: an emptyDir lives as long as its Pod, a hostPath is the device's own.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use wick_tests::{Node, PATIENCE, manifest, name_of, phase, programs};

/// Where the volumes of a Pod lie.
fn volumes(node: &Node, pod: &api::pb::k8s::core::v1::Pod) -> PathBuf {
    node.data().join("volumes").join(&pod.metadata.as_ref().unwrap().uid)
}

/// Waits until nothing is there any more: a thread of the agent's removes what is no longer needed, and tells nobody.
fn wait_until_gone(path: &std::path::Path) {
    let began = std::time::Instant::now();
    while path.exists() {
        assert!(began.elapsed() < PATIENCE, "{} is still there", path.display());
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}

/// `flaky`, counting its starts in an emptyDir.
fn flaky(name: &str, succeed_on_start: u32) -> serde_json::Value {
    let mut job = manifest::job(name, programs::guest("flaky"));
    job["spec"]["backoffLimit"] = 6.into();
    manifest::pod(&mut job)["restartPolicy"] = "OnFailure".into();
    manifest::set_env(&mut job, "SUCCEED_ON_START", &succeed_on_start.to_string());
    manifest::mount(&mut job, "state", "/state", json!({"emptyDir": {}}));
    job
}

#[test]
fn an_empty_dir_is_kept_over_restarts_and_goes_when_its_pod_has_ended() {
    let node = Node::start();
    // Its third start comes after 10 s: long enough to look at what lies between.
    node.apply(&flaky("counts", 3));
    let waits = |pod: &api::pb::k8s::core::v1::Pod| wick_tests::restarts(pod) == 1;
    let pods = node.pods_when("counts", |pods| pods.len() == 1 && waits(&pods[0]));
    let volumes = volumes(&node, &pods[0]);
    let starts = volumes.join("state/starts");
    assert!(starts.exists(), "{}", starts.display());
    node.complete("counts");
    assert_eq!(node.logs("counts"), "start 3 of 3: done\n");
    wait_until_gone(&volumes);
    let logs = node.of_pods();
    assert!(!logs.is_empty(), "the log stays as long as its Pod");
    node.done(&["delete", "job/counts"]);
    node.pods_when("counts", |pods| pods.is_empty());
    logs.iter().for_each(|log| wait_until_gone(log));
}

#[test]
fn each_pod_has_an_empty_dir_of_its_own() {
    let node = Node::start();
    let mut job = flaky("own", 2);
    manifest::pod(&mut job)["restartPolicy"] = "Never".into();
    job["spec"]["backoffLimit"] = 0.into();
    job["spec"]["completions"] = 2.into();
    job["spec"]["parallelism"] = 1.into();
    node.apply(&job);
    node.failed("own");
    assert_eq!(node.logs("own"), "start 1 of 2: failing\n");
}

#[test]
fn an_empty_dir_survives_a_kill_of_the_agent() {
    let mut node = Node::start();
    let mut job = manifest::endless("journals");
    manifest::pod(&mut job)["restartPolicy"] = "OnFailure".into();
    job["spec"]["backoffLimit"] = 6.into();
    manifest::mount(&mut job, "state", "/state", json!({"emptyDir": {}}));
    manifest::set_env(&mut job, "JOURNAL", "/state/journal");
    node.apply(&job);
    let pod = node.running_pods("journals", 1).remove(0);
    let journal = volumes(&node, &pod).join("state/journal");
    node.block_on(async { node.client().await.first_line(name_of(&pod)).await });
    node.kill();
    node.boot();
    node.pods_when("journals", |pods| {
        pods.iter().all(|pod| phase(pod) == "Running" && wick_tests::restarts(pod) == 1)
    });
    // Following comes to the second run's line only after it was written to the journal.
    node.block_on(async { node.client().await.first_line(name_of(&pod)).await });
    let lines = fs::read_to_string(&journal).unwrap();
    let start = format!("start {} ", name_of(&pod));
    assert_eq!(lines.lines().filter(|line| line.starts_with(&start)).count(), 2, "{lines}");
}

#[test]
fn a_host_path_is_the_devices_own_directory_and_may_be_read_only() {
    let mut node = Node::off(&[]);
    let shared = node.path().join("shared");
    fs::create_dir(&shared).unwrap();
    node.add_flag("--allow-host-path", &shared);
    node.boot();
    let with = |name: &str, read_only: bool| {
        let mut job = manifest::work(name, 0);
        manifest::mount(
            &mut job,
            "shared",
            "/shared",
            json!({"hostPath": {"path": shared.to_str().unwrap()}}),
        );
        manifest::container(&mut job)["volumeMounts"][0]["readOnly"] = read_only.into();
        manifest::set_env(&mut job, "JOURNAL", "/shared/journal");
        job
    };
    node.apply(&with("reads", true));
    node.failed("reads");
    assert!(!shared.join("journal").exists(), "a read-only volume was written to");
    node.apply(&with("writes", false));
    node.complete("writes");
    assert_eq!(fs::read_to_string(shared.join("journal")).unwrap(), node.logs("writes"));
    node.done(&["delete", "job/writes"]);
    assert!(shared.join("journal").exists(), "what is on the device stays there");
}

#[test]
fn a_guest_cannot_leave_its_volumes() {
    let mut node = Node::off(&[]);
    let shared = node.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(node.path().join("secret"), "mine").unwrap();
    std::os::unix::fs::symlink(node.path(), shared.join("out")).unwrap();
    node.add_flag("--allow-host-path", &shared);
    node.boot();
    for (name, path) in
        [("up", "/shared/../secret"), ("link", "/shared/out/secret"), ("root", "/etc/journal")]
    {
        let mut job = manifest::work(name, 0);
        manifest::mount(
            &mut job,
            "shared",
            "/shared",
            json!({"hostPath": {"path": shared.to_str().unwrap()}}),
        );
        manifest::set_env(&mut job, "JOURNAL", path);
        node.apply(&job);
        node.failed(name);
        assert!(node.logs(name).starts_with(path), "{name}: {}", node.logs(name));
    }
    assert_eq!(fs::read(node.path().join("secret")).unwrap(), b"mine");
}

#[test]
fn a_host_path_that_is_not_there_keeps_its_guest_from_starting() {
    let mut node = Node::off(&[]);
    let shared = node.path().join("shared");
    fs::create_dir(&shared).unwrap();
    node.add_flag("--allow-host-path", &shared);
    node.boot();
    let with = |name: &str, kind: &str| {
        let mut job = manifest::work(name, 0);
        let path = shared.join(name);
        let source = json!({"hostPath": {"path": path.to_str().unwrap(), "type": kind}});
        manifest::mount(&mut job, "shared", "/shared", source);
        job
    };
    node.apply(&with("made", "DirectoryOrCreate"));
    node.complete("made");
    assert!(shared.join("made").is_dir());
    node.apply(&with("missing", "Directory"));
    node.failed("missing");
    let pod = node.pod("missing");
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&ended["exitCode"], &ended["reason"]), (&128.into(), &"StartError".into()), "{pod:#}");
    let message = ended["message"].as_str().unwrap_or_default();
    assert!(message.contains(shared.join("missing").to_str().unwrap()), "{message}");
    assert!(!shared.join("missing").exists());
}
