//! How an agent comes up, lives and goes down: what it tells the service manager, what SIGHUP and SIGTERM do, what a full
//! disk does, and what it says of all that.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::{JobServiceDeleteRequest, JobServiceGetRequest};
use expect_test::expect;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use wick_tests::client::Client;
use wick_tests::{Node, PATIENCE, manifest, programs};

use crate::tools::told_skipped;

/// Longer than any test: what waits for so long waits for something else.
const HOUR: &str = "3600";

/// A guest that ends when it is let.
struct Gate(PathBuf);

impl Gate {
    /// A Job of one, whose guest may take its time when the agent goes down.
    fn job(node: &Node, name: &str) -> (Gate, Value) {
        let dir = gates(node).join(name);
        fs::create_dir(&dir).unwrap();
        let mut job = manifest::job(name, programs::own_guest("waits"));
        manifest::pod(&mut job)["terminationGracePeriodSeconds"] = 3600.into();
        manifest::mount(&mut job, "gate", "/gate", json!({"hostPath": {"path": dir.to_str().unwrap()}}));
        (Gate(dir), job)
    }

    fn open(&self) {
        fs::write(self.0.join("open"), "").unwrap();
    }
}

fn gates(node: &Node) -> PathBuf {
    node.path().join("gates")
}

/// A node whose guests may wait at gates, and for an hour when it goes down.
fn patient() -> Node {
    let mut node = Node::off(&["--drain-seconds", HOUR]);
    fs::create_dir(gates(&node)).unwrap();
    let gates = gates(&node);
    node.add_flag("--allow-host-path", gates);
    node
}

/// An endless Job, with so much grace.
fn endless(name: &str, grace_seconds: u32) -> Value {
    let mut job = manifest::endless(name);
    manifest::pod(&mut job)["terminationGracePeriodSeconds"] = grace_seconds.into();
    manifest::pod(&mut job)["restartPolicy"] = "OnFailure".into();
    job["spec"]["backoffLimit"] = 6.into();
    job
}

async fn health(client: &Client) -> Streaming<HealthCheckResponse> {
    let request = HealthCheckRequest { service: "wick.v1.JobService".to_owned() };
    HealthClient::new(client.channel.clone()).watch(request).await.unwrap().into_inner()
}

/// Waits until the health of the agent is told to be this.
async fn until(health: &mut Streaming<HealthCheckResponse>, wanted: ServingStatus) {
    let told = async { while health.message().await.unwrap().unwrap().status() != wanted {} };
    timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("health was never {wanted:?}"));
}

async fn get(client: &Client, name: &str) -> Job {
    let request = JobServiceGetRequest { name: name.to_owned(), ..JobServiceGetRequest::default() };
    client.jobs().get(request).await.unwrap().into_inner().job.unwrap()
}

fn succeeded(job: &Job) -> i32 {
    job.status.as_ref().map_or(0, |status| status.succeeded)
}

#[test]
fn going_down_nothing_new_begins_and_guests_come_to_their_end() {
    let mut node = patient();
    node.boot();
    let (gate, job) = Gate::job(&node, "gated");
    node.apply(&job);
    node.running_pods("gated", 1);
    node.block_on(async {
        let client = node.client().await;
        let mut health = health(&client).await;
        until(&mut health, ServingStatus::Serving).await;
        node.signal(Signal::TERM);
        until(&mut health, ServingStatus::NotServing).await;
        let refused = client.create(manifest::message(&manifest::job("late", "nothing"))).await.unwrap_err();
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::Unavailable, "the agent is going down; ask again when it is back")
        );
        // Whoever asks is still answered.
        assert_eq!(get(&client, "gated").await.status.unwrap().active, 1);
    });
    gate.open();
    node.wait_for_end();
    assert!(!node.log().contains("guests still ran"), "{}", node.log());
    node.boot();
    assert_eq!(succeeded(&node.block_on(async { get(&node.client().await, "gated").await })), 1);
    let pod = node.pod("gated");
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0, "{pod:#}");
    assert_eq!(node.wick(&["get", "job", "late"]).code, 1);
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_guests_are_found_interrupted() {
    let mut node = patient();
    node.boot();
    node.apply(&endless("long", 3600));
    node.running_pods("long", 1);
    node.signal(Signal::TERM);
    node.wait_until_it_says("going down: nothing new begins, guests have their grace");
    node.signal(Signal::INT);
    node.wait_for_end();
    assert!(node.log().contains("stopping at once"), "{}", node.log());
    node.boot();
    let recovered = node.wait_until_it_says("recovered");
    let told = ["jobs", "pods", "interrupted", "clean"].map(|field| &recovered[field]);
    assert_eq!(told, [&json!(1), &json!(1), &json!(1), &json!(true)], "{recovered:#}");
    let pod = node.pod("long");
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 1, "{pod:#}");
}

#[test]
fn a_guest_goes_on_for_its_pods_grace_and_no_longer_than_the_agent_waits() {
    for (grace, drain) in [(1, HOUR), (3600, "1")] {
        let mut node = Node::start_with(&["--drain-seconds", drain]);
        node.apply(&endless("long", grace));
        node.running_pods("long", 1);
        // It ends in a second, or the test does not.
        node.stop();
        assert!(node.log().contains("guests still ran"), "{}", node.log());
    }
}

#[test]
fn a_start_tells_what_it_found() {
    let mut node = Node::start();
    node.apply_file(&programs::example("hello/job.yaml"));
    node.complete("hello");
    node.apply(&endless("long", 30));
    node.running_pods("long", 1);
    node.kill();
    node.boot();
    let recovered = node.wait_until_it_says("recovered");
    let told = ["jobs", "pods", "images", "interrupted", "clean"].map(|field| &recovered[field]);
    assert_eq!(told, [&json!(2), &json!(2), &json!(2), &json!(1), &json!(false)], "{recovered:#}");
    assert!(recovered["store_bytes"].as_u64() > Some(0), "{recovered:#}");
}

#[test]
fn sighup_changes_what_can_be_changed_and_a_wrong_file_changes_nothing() {
    let node = Node::start();
    let image = node.path().join("large.wat");
    let data = "x".repeat(2 << 20);
    fs::write(&image, format!("(module (memory (export \"memory\") 40) (func (export \"_start\")) (data (i32.const 0) \"{data}\"))"))
        .unwrap();
    let push = |name: &str| node.wick(&["image", "push", image.to_str().unwrap(), name]);
    assert_eq!(push("before").code, 0);

    node.write("wickd.toml", "max_image_mib = 1\nguests = 7\n");
    node.signal(Signal::HUP);
    node.wait_until_it_says("configuration reloaded");
    let refused = push("after");
    assert_eq!(refused.code, 1, "{refused}");
    let changed = node.wait_until_it_says("changed");
    assert_eq!(
        (&changed["setting"], &changed["after"]),
        (&json!("max_image_mib"), &json!("1")),
        "{changed:#}"
    );
    let waits = node.wait_until_it_says("changes at the next start only");
    assert_eq!((&waits["setting"], &waits["after"]), (&json!("guests"), &json!("7")), "{waits:#}");

    node.write("wickd.toml", "max_image_mib = 64\nguest = 7\n");
    node.signal(Signal::HUP);
    let told = node.wait_until_it_says("configuration not reloaded; it stays as it was");
    expect!["DIR/wickd.toml:2:1: guest: no such setting; did you mean `guests`?"]
        .assert_eq(&told["error"].as_str().unwrap().replace(node.path().to_str().unwrap(), "DIR"));
    assert_eq!(push("after").code, 1, "nothing of a wrong file counts");
}

#[test]
fn the_service_manager_is_told_how_it_stands() {
    let mut node = Node::off(&[]);
    let path = node.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // `env` becomes the agent, so it keeps its process id.
    let notify = format!("NOTIFY_SOCKET={}", path.display());
    node.wrap(&["env", &notify, "WATCHDOG_USEC=200000"]);
    let next = || {
        let mut bytes = [0; 200];
        let length = socket.recv(&mut bytes).expect("the agent never told it");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let next_but_alive = || loop {
        let told = next();
        if told != "WATCHDOG=1" {
            return told;
        }
    };
    node.boot();
    assert_eq!(next(), "READY=1");
    assert_eq!([next(), next()], ["WATCHDOG=1", "WATCHDOG=1"], "twice in the time that is allowed");
    node.signal(Signal::HUP);
    assert!(next_but_alive().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(next_but_alive(), "READY=1");
    node.stop();
    assert_eq!(next_but_alive(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=10000000");
}

/// A small file system of its own. Dropped, it is gone.
struct Disk(PathBuf);

impl Disk {
    /// `None` where this user may not mount one.
    fn mount(at: &Path, size: &str) -> Option<Disk> {
        fs::create_dir(at).unwrap();
        let options = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(at).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Disk(at.to_owned()))
    }

    /// Writes until there is no room for a byte.
    fn fill(&self) {
        let mut file = fs::File::options().create(true).append(true).open(self.filler()).unwrap();
        let mut piece = vec![0; 64 << 10];
        while !piece.is_empty() {
            if file.write_all(&piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, so that it goes even if something is still open there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Asks for something to be recorded until that is refused: one that came before the disk was found full waits.
async fn refused(client: &Client, name: &str) -> Status {
    for _ in 0..10 {
        let request = JobServiceDeleteRequest { name: name.to_owned(), ..JobServiceDeleteRequest::default() };
        let asked = timeout(Duration::from_secs(5), async { client.jobs().delete(request).await });
        if let Ok(answer) = asked.await {
            return answer.expect_err("what cannot be recorded is not answered");
        }
    }
    panic!("nobody is told that the disk is full");
}

#[test]
fn a_full_disk_holds_what_happened_and_refuses_what_is_asked() {
    let mut node = patient();
    let disk = node.path().join("disk");
    let Some(disk) = Disk::mount(&disk, "40m") else {
        return told_skipped("this user may not mount a small file system");
    };
    node.use_data(disk.0.join("data"));
    node.boot();
    let (first_gate, first) = Gate::job(&node, "first");
    let (second_gate, second) = Gate::job(&node, "second");
    node.apply(&first);
    node.apply(&second);
    node.running_pods("first", 1);
    node.running_pods("second", 1);

    disk.fill();
    node.block_on(async {
        let client = node.client().await;
        let new = client.create(manifest::message(&manifest::job("new", "nothing"))).await.unwrap_err();
        assert_eq!(new.code(), Code::ResourceExhausted, "{new:?}");
        assert!(new.message().contains(disk.0.to_str().unwrap()), "{new:?}");
    });
    // What runs goes on, and is recorded: the reserve makes room.
    first_gate.open();
    node.complete("first");
    assert!(!node.data().join("reserve").exists());

    // Now there is no room for anything.
    disk.fill();
    second_gate.open();
    node.block_on(async {
        let client = node.client().await;
        let why = refused(&client, "first").await;
        assert_eq!(why.code(), Code::ResourceExhausted, "{why:?}");
        assert!(why.message().contains(disk.0.to_str().unwrap()), "{why:?}");
        assert_eq!(succeeded(&get(&client, "second").await), 0, "what is not on disk is not shown");
    });

    disk.make_room();
    node.complete("second");
    node.wait_until_it_says("the disk has room again");
    node.apply(&manifest::job("new", programs::own_guest("nothing")));
    node.complete("new");
    node.stop();
    node.boot();
    for name in ["second", "new"] {
        assert_eq!(succeeded(&node.block_on(async { get(&node.client().await, name).await })), 1, "{name}");
    }
    // Before its disk.
    drop(node);
}
