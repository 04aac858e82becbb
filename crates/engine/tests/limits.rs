//! What is large, many or at the same time: no commit outgrows the store, and nothing acknowledged is lost to it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod common;

use std::collections::{BTreeSet, VecDeque};

use api::pb::wick::v1::{Image, ImageRecord};
use common::{Node, manifest, new_job};
use engine::{
    Config, Effect, Event, Limits, ObjectKey, Page, Propagation, Rejected, Reply, Usage, WriteMode,
};
use sched::{Exit, Now};

fn node() -> Node {
    let mut node = Node::new();
    node.push_image("hello");
    node
}

fn image(name: &str, digest: u64) -> Event {
    let name = if name.is_empty() { String::new() } else { format!("{name}:latest") };
    let image = Image { name, digest: format!("sha256:{digest:064x}"), ..Image::default() };
    Event::ImageStored(ImageRecord { image: Some(image), ..ImageRecord::default() })
}

fn named(name: &str, annotation: &str, image: &str) -> Box<api::NewJob> {
    Box::new(new_job(&format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}, annotations: {{note: '{annotation}'}}}}, spec: \
         {{template: {{spec: {{restartPolicy: Never, containers: [{{name: main, image: {image}}}]}}}}}}}}"
    )))
}

#[test]
fn many_jobs_that_grow_at_once_take_several_commits() {
    let mut node = node();
    let apply = |note: &str| {
        let jobs = (0..200).map(|i| named(&format!("job{i}"), note, "absent"));
        jobs.map(|job| Event::CreateJob { job, mode: WriteMode::Apply, dry_run: false }).collect::<Vec<_>>()
    };
    node.apply(apply(""));
    let before = node.commits;
    let replies = node.apply(apply(&"x".repeat(2500)));
    assert_eq!(replies.iter().filter(|reply| reply.is_ok()).count(), 200);
    assert!(node.commits - before > 2);
}

#[test]
fn guests_that_end_with_long_messages_all_at_once_are_all_recorded() {
    for policy in ["Never", "OnFailure"] {
        let mut node = node();
        let spec = "parallelism: 300, completions: 300, backoffLimit: 100000";
        node.create(&manifest(spec, policy)).unwrap();
        let ended = node.end_all(&Exit::Trap { message: "m".repeat(100_000) });
        assert_eq!(ended, 300);
        let longest = node.pods().iter().map(prost::Message::encoded_len).max().unwrap();
        assert!(longest < 8 << 10, "{longest} bytes are recorded of one Pod");
    }
}

#[test]
fn labels_that_are_inherited_count_towards_the_limit() {
    let mut node = node();
    let labels: String = (0..11_000).map(|i| format!("k{i:058}: v{i:060}, ")).collect();
    let refused = node.create(&format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: job}}, spec: {{template: {{metadata: {{labels: {{{labels}}}}}, \
         spec: {{restartPolicy: Never, containers: [{{name: main, image: hello}}]}}}}}}}}"
    ));
    assert!(matches!(refused, Err(Rejected::Invalid(_))), "{refused:?}");
    assert_eq!(node.summary("job"), "gone");
}

#[test]
fn a_generated_name_is_never_given_twice() {
    let mut node = Node::new();
    let mut names = BTreeSet::new();
    for _ in 0..1500 {
        let reply = node.create(
            "{apiVersion: batch/v1, kind: Job, metadata: {generateName: a-}, spec: {parallelism: 0, completions: 1, \
             template: {spec: {restartPolicy: Never, containers: [{name: main, image: hello}]}}}}",
        );
        let Ok(Reply::Job { job, .. }) = reply else { panic!("{reply:?}") };
        assert!(names.insert(job.metadata.as_ref().unwrap().name.clone()));
    }
    assert_eq!(node.engine().reader().jobs("").0.len(), 1500);
}

#[test]
fn of_two_changes_to_the_same_version_the_second_is_refused() {
    let mut node = node();
    node.create(&manifest("parallelism: 1, completions: 9", "Never")).unwrap();
    let version = node.job("job").unwrap().metadata.unwrap().resource_version;
    let change = |parallelism: u32| {
        let text = manifest(&format!("parallelism: {parallelism}, completions: 9"), "Never");
        let text = text.replace("{name: job}", &format!("{{name: job, resourceVersion: '{version}'}}"));
        Event::CreateJob { job: Box::new(new_job(&text)), mode: WriteMode::Update, dry_run: false }
    };
    let replies = node.apply(vec![change(2), change(3)]);
    assert!(matches!(replies[..], [Ok(_), Err(Rejected::Conflict { .. })]), "{replies:?}");
    assert_eq!(node.running.len(), 2);
}

#[test]
fn a_pod_that_met_its_own_deadline_goes_with_its_job() {
    let mut node = node();
    node.create(
        "{apiVersion: batch/v1, kind: Job, metadata: {name: job}, spec: {backoffLimit: 0, template: {spec: \
         {activeDeadlineSeconds: 5, restartPolicy: Never, containers: [{name: main, image: hello}]}}}}",
    )
    .unwrap();
    node.wait(5000);
    node.stop_asked();
    assert_eq!(node.phases(), [("Failed".to_owned(), 1)].into());
    let key = ObjectKey::new("default", "job");
    node.apply(vec![Event::DeleteJob { key, uid: String::new(), propagation: Propagation::Background }]);
    assert_eq!(node.phases(), [].into());
}

#[test]
fn nothing_of_a_deleted_job_starts_any_more() {
    let mut node = node();
    node.create(&manifest("completions: 3000, parallelism: 3000", "Never")).unwrap();
    assert_eq!(node.running.len(), 1000);
    let key = ObjectKey::new("default", "job");
    let mut events: VecDeque<_> =
        [Event::DeleteJob { key, uid: String::new(), propagation: Propagation::Background }].into();
    loop {
        let now = Now::at(node.now);
        let applied = node.engine().apply(&mut events, now).unwrap();
        for effect in applied.effects {
            match effect {
                Effect::Start(start) => panic!("{} was started after its Job was deleted", start.pod),
                Effect::Stop(guest) => events.push_back(Event::GuestEnded {
                    guest,
                    exit: Exit::Stopped,
                    usage: Usage::default(),
                }),
                _ => {}
            }
        }
        if !applied.more && events.is_empty() {
            break;
        }
    }
    assert_eq!(node.phases(), [].into());
}

#[test]
fn a_crash_in_the_middle_of_a_deletion_starts_nothing() {
    let mut node = node();
    node.create(&manifest("completions: 400, parallelism: 400, backoffLimit: 1000", "OnFailure")).unwrap();
    let key = ObjectKey::new("default", "job");
    let mut events =
        [Event::DeleteJob { key, uid: String::new(), propagation: Propagation::Background }].into();
    let now = Now::at(node.now);
    assert!(node.engine().apply(&mut events, now).unwrap().more);
    node.crash();
    node.boot();
    assert!(node.running.is_empty());
    assert_eq!(node.phases(), [].into());
}

#[test]
fn a_missing_image_takes_no_place_from_others() {
    let mut node = node();
    let typo = manifest("parallelism: 1000, completions: 1000", "Never").replace("name: job", "name: typo");
    node.create(&typo.replace("image: hello", "image: typo")).unwrap();
    node.create(&manifest("", "Never")).unwrap();
    assert_eq!(node.running.len(), 1);
    node.apply(vec![image("typo", 7)]);
    assert_eq!(node.running.len(), 1001, "what waited for its image starts when it comes");
}

#[test]
fn a_name_pushed_again_and_again_keeps_only_what_is_pinned() {
    let mut node = node();
    node.apply(vec![image("app", 1000)]);
    let pinned = format!("app@sha256:{:064x}", 1000);
    let job = named("job", "", &pinned);
    node.apply(vec![Event::CreateJob { job, mode: WriteMode::Create, dry_run: false }]);
    for digest in 1001..1050 {
        node.apply(vec![image("app", digest)]).remove(0).unwrap();
    }
    // `hello`, `app`, what it meant just before, and what the Job is pinned to.
    assert_eq!(node.engine().reader().images().len(), 4);
    node.crash();
    node.boot();
    node.end_all(&Exit::Code(1));
    node.wait(10_000);
    assert_eq!(node.running.len(), 1, "the pinned bytes are there for the next Pod");
}

#[test]
fn all_names_of_an_image_are_deleted_together() {
    let mut node = Node::new();
    for name in 0..400 {
        node.apply(vec![image(&format!("{name:0240}"), 1000)]).remove(0).unwrap();
    }
    let reference = format!("sha256:{:064x}", 1000);
    let reply = node.apply(vec![Event::DeleteImage { reference }]).remove(0);
    assert!(
        matches!(reply, Ok(Reply::ImageDeleted { ref names, bytes_removed: true }) if names.len() == 400)
    );
}

fn with_limits(limits: Limits) -> Node {
    let mut node = Node::with(Config { limits, ..common::default_config() });
    node.push_image("hello");
    node
}

#[test]
fn what_is_in_memory_has_a_limit_in_bytes() {
    let mut node = with_limits(Limits { live_bytes: 80_000, ..Limits::default() });
    let big = |name: &str| Event::CreateJob {
        job: named(name, &"x".repeat(60_000), "hello"),
        mode: WriteMode::Create,
        dry_run: false,
    };
    node.apply(vec![big("one")]).remove(0).unwrap();
    let refused = node.apply(vec![big("two")]).remove(0);
    let Err(Rejected::Limit(message)) = refused else { panic!("{refused:?}") };
    assert!(message.contains("80000"), "{message}");
    node.create(&manifest("completions: 500, parallelism: 500", "Never")).unwrap();
    let running = node.running.len();
    assert!((3..32).contains(&running), "{running} Pods are what fits");
    let (events, _) = node.engine().reader().events("");
    let told = events.iter().find(|event| event.reason == "FailedCreate").unwrap();
    assert!(told.message.contains("80000"), "{}", told.message);
    for _ in 0..200 {
        node.end_all(&Exit::Code(0));
    }
    assert!(node.summary("job").contains("succeeded 500"), "{}", node.summary("job"));
    let key = ObjectKey::new("default", "one");
    node.apply(vec![Event::DeleteJob { key, uid: String::new(), propagation: Propagation::Background }]);
    node.apply(vec![big("two")]).remove(0).unwrap();
}

#[test]
fn finished_pods_are_collected_by_what_they_take_of_the_disk() {
    let mut node = with_limits(Limits { terminated_bytes: 20 << 20, ..Limits::default() });
    node.create(&manifest("completions: 40, parallelism: 1", "Never")).unwrap();
    for _ in 0..40 {
        let guest = *node.running.keys().next().unwrap();
        node.apply(vec![Event::GuestWrote { guest, log_bytes: 1 << 20 }]);
        node.end(guest, Exit::Code(0));
    }
    assert_eq!(node.phases(), [("Succeeded".to_owned(), 19)].into(), "the oldest went");
    node.crash();
    node.boot();
    node.config.limits.terminated_bytes = 10 << 20;
    node.crash();
    node.boot();
    assert_eq!(node.phases(), [("Succeeded".to_owned(), 9)].into(), "what they take is recorded");
}

#[test]
fn a_list_in_parts_has_every_pod_once() {
    let mut node = node();
    for name in ["a", "b-1"] {
        let text = manifest("completions: 600, parallelism: 300", "Never");
        let metadata = format!("name: job, namespace: {name}");
        node.create(&text.replace("name: job", &metadata)).unwrap();
        node.end_all(&Exit::Code(0));
    }
    let reader = node.engine().reader();
    let names = |pods: Vec<std::sync::Arc<api::pb::k8s::core::v1::Pod>>| {
        let metas = pods.iter().map(|pod| pod.metadata.clone().unwrap());
        metas.map(|meta| ObjectKey::new(meta.namespace, meta.name)).collect::<Vec<_>>()
    };
    for namespace in ["", "a", "b-1", "none"] {
        let whole = names(reader.pods(namespace, |_| true).unwrap().0);
        for (most, bytes) in [(1000, usize::MAX), (97, usize::MAX), (usize::MAX, 50_000), (1000, 1)] {
            if bytes == 1 && namespace != "a" {
                continue;
            }
            let mut page = Page { most, bytes, after: None };
            let mut parts = Vec::new();
            loop {
                let (part, _, next) = reader.pods_page(namespace, &page, |_| true).unwrap();
                assert!(part.len() <= most && (!part.is_empty() || whole.is_empty()));
                parts.extend(names(part));
                page.after = next;
                if page.after.is_none() {
                    break;
                }
            }
            assert_eq!(parts, whole, "{namespace} {most} {bytes}");
        }
    }
}
