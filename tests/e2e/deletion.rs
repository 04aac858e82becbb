//! What goes and what stays when Jobs and Pods are deleted, and lists that are too long for one answer.

use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::{
    DeletionPropagation, JobServiceDeleteRequest, JobServiceListRequest, PodServiceDeleteRequest,
};
use tonic::Code;
use wick_tests::{Node, manifest};

#[tokio::test]
async fn orphaned_pods_run_on_until_somebody_deletes_them() {
    let node = Node::start();
    let client = node.client().await;
    node.apply(&manifest::endless("slow"));
    let running = |pods: &[_]| pods.len() == 1 && wick_tests::phase(&pods[0]) == "Running";
    let pod = client.pods_when("slow", running).await.remove(0).metadata.unwrap();
    let request = JobServiceDeleteRequest {
        name: "slow".to_owned(),
        propagation: DeletionPropagation::Orphan.into(),
        ..JobServiceDeleteRequest::default()
    };
    client.jobs().delete(request).await.unwrap();
    node.gone("job/slow");
    let free = client.pods_when("slow", running).await.remove(0).metadata.unwrap();
    assert_eq!((free.uid, free.owner_references), (pod.uid.clone(), vec![]));

    let delete = |uid: &str, grace| PodServiceDeleteRequest {
        name: pod.name.clone(),
        uid: uid.to_owned(),
        grace_period_seconds: grace,
        ..PodServiceDeleteRequest::default()
    };
    let refused = client.pods().delete(delete("another", None)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    client.pods().delete(delete(&pod.uid, Some(0))).await.unwrap();
    let gone = client.pods().delete(delete(&pod.uid, None)).await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound, "without grace it is gone with the answer");
}

#[tokio::test]
async fn a_pod_that_is_deleted_has_failed_for_its_job() {
    let node = Node::start();
    let client = node.client().await;
    node.apply(&manifest::endless("slow"));
    let running = |pods: &[_]| pods.len() == 1 && wick_tests::phase(&pods[0]) == "Running";
    let pod = client.pods_when("slow", running).await.remove(0).metadata.unwrap();
    let request = PodServiceDeleteRequest { name: pod.name, ..PodServiceDeleteRequest::default() };
    let answered = client.pods().delete(request).await.unwrap().into_inner().pod.unwrap();
    assert!(answered.metadata.unwrap().deletion_timestamp.is_some());
    node.failed("slow");
    assert_eq!(client.pods_when("slow", |pods| pods.is_empty()).await, []);
}

#[tokio::test]
async fn a_long_list_comes_in_parts_that_every_client_can_take() {
    let node = Node::start();
    let client = node.client().await;
    for number in 0..20 {
        let mut job = manifest::job(&format!("big-{number:02}"), "nothing");
        job["spec"]["parallelism"] = 0.into();
        job["metadata"]["annotations"] = serde_json::json!({ "note": "x".repeat(250 << 10) });
        client.create(manifest::message(&job)).await.unwrap();
    }
    let (mut request, mut names, mut parts) = (JobServiceListRequest::default(), Vec::new(), 0);
    loop {
        let part = client.jobs().list(request.clone()).await.unwrap().into_inner();
        names.extend(part.jobs.into_iter().map(|job: Job| job.metadata.unwrap().name));
        parts += 1;
        if part.continue_token.is_empty() {
            break;
        }
        request.continue_token = part.continue_token;
    }
    assert_eq!(parts, 2);
    assert_eq!(names, (0..20).map(|number| format!("big-{number:02}")).collect::<Vec<_>>());
    assert_eq!(node.done(&["get", "jobs", "-o", "name"]).lines().count(), 20, "wick asks for all of it");

    let few = JobServiceListRequest { limit: 3, ..JobServiceListRequest::default() };
    let few = client.jobs().list(few).await.unwrap().into_inner();
    assert_eq!((few.jobs.len(), few.continue_token.as_str()), (3, "default/big-02"));
    let wrong = JobServiceListRequest { continue_token: "x".into(), ..JobServiceListRequest::default() };
    assert_eq!(client.jobs().list(wrong).await.unwrap_err().code(), Code::InvalidArgument);
}
