//! What every gRPC tool asks first: health, reflection, and what this node is.

use std::os::unix::fs::PermissionsExt;

use api::pb::wick::v1::NodeServiceGetRequest;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use wick_tests::client::Client;
use wick_tests::{Node, manifest};

const SERVICES: [&str; 10] = [
    "wick.v1.CronJobService",
    "wick.v1.EventService",
    "wick.v1.HistoryService",
    "wick.v1.ImageService",
    "wick.v1.JobService",
    "wick.v1.ManifestService",
    "wick.v1.NodeService",
    "wick.v1.PodService",
    "wick.v1.ScheduleService",
    "wick.v1.SimulationService",
];

#[tokio::test]
async fn health_says_serving_for_the_agent_and_each_service() {
    let node = Node::start_with(&["--listen", "127.0.0.1:0"]);
    for client in [node.client().await, Client::over_tcp(node.address()).await] {
        let mut health = HealthClient::new(client.channel.clone());
        for service in [""].into_iter().chain(SERVICES) {
            let request = HealthCheckRequest { service: service.to_owned() };
            let answer = health.check(request).await.unwrap().into_inner();
            assert_eq!(answer.status(), ServingStatus::Serving, "`{service}`");
        }
        let unknown = HealthCheckRequest { service: "wick.v1.Nobody".to_owned() };
        assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);
    }
}

#[tokio::test]
async fn reflection_lists_services_and_describes_them() {
    let node = Node::start();
    let client = node.client().await;
    for listed in [services_v1(&client.channel).await, services_v1alpha(&client.channel).await] {
        for service in SERVICES.into_iter().chain(["grpc.health.v1.Health"]) {
            assert!(listed.contains(&service.to_owned()), "{service} is not in {listed:?}");
        }
    }
    for file in [
        file_v1(&client.channel, "wick.v1.JobService").await,
        file_v1alpha(&client.channel, "wick.v1.JobService").await,
    ] {
        assert!(contains(&file, b"wick/v1/job_service.proto") && contains(&file, b"JobServiceCreateRequest"));
    }
    // What a client needs to print a Job: the messages of other files.
    // And what errors carry.
    for symbol in
        ["k8s.batch.v1.Job", "k8s.core.v1.PodSpec", "google.protobuf.Timestamp", "google.rpc.BadRequest"]
    {
        assert!(!file_v1(&client.channel, symbol).await.is_empty(), "{symbol}");
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The same questions to either version of the service, which differ in nothing but their package.
macro_rules! ask_reflection {
    ($version:ident, $services:ident, $file:ident) => {
        async fn $services(channel: &Channel) -> Vec<String> {
            use $version::server_reflection_request::MessageRequest;
            use $version::server_reflection_response::MessageResponse;
            let question = MessageRequest::ListServices(String::new());
            match $version::ask(channel, question).await {
                MessageResponse::ListServicesResponse(list) => {
                    list.service.into_iter().map(|service| service.name).collect()
                }
                other => panic!("not a list of services: {other:?}"),
            }
        }

        /// The file that defines `symbol`, as an encoded `FileDescriptorProto`.
        async fn $file(channel: &Channel, symbol: &str) -> Vec<u8> {
            use $version::server_reflection_request::MessageRequest;
            use $version::server_reflection_response::MessageResponse;
            let question = MessageRequest::FileContainingSymbol(symbol.to_owned());
            match $version::ask(channel, question).await {
                MessageResponse::FileDescriptorResponse(mut files) => files.file_descriptor_proto.remove(0),
                other => panic!("no file has {symbol}: {other:?}"),
            }
        }

        mod $version {
            pub(super) use tonic_reflection::pb::$version::{
                server_reflection_request, server_reflection_response,
            };

            use server_reflection_request::MessageRequest;
            use server_reflection_response::MessageResponse;
            use tonic::transport::Channel;
            use tonic_reflection::pb::$version::ServerReflectionRequest;
            use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;

            pub(super) async fn ask(channel: &Channel, question: MessageRequest) -> MessageResponse {
                let request = ServerReflectionRequest {
                    message_request: Some(question),
                    ..ServerReflectionRequest::default()
                };
                let mut client = ServerReflectionClient::new(channel.clone());
                let answers = client.server_reflection_info(tokio_stream::once(request)).await;
                let answer = answers.unwrap().into_inner().message().await.unwrap().unwrap();
                answer.message_response.unwrap()
            }
        }
    };
}

ask_reflection!(v1, services_v1, file_v1);
ask_reflection!(v1alpha, services_v1alpha, file_v1alpha);

#[tokio::test]
async fn the_node_says_what_it_is_and_does() {
    let node = Node::start_with(&["--guests", "7", "--max-image-mib", "3"]);
    let client = node.client().await;
    let get = async || client.node().get(NodeServiceGetRequest {}).await.unwrap().into_inner().node.unwrap();
    let idle = get().await;
    assert_eq!((idle.name.as_str(), idle.version.as_str()), ("gate", env!("CARGO_PKG_VERSION")));
    assert!(idle.runtime_version.starts_with("wasmtime 48."), "{}", idle.runtime_version);
    assert_eq!((idle.guest_slots, idle.max_image_bytes), (7, 3 << 20));
    assert_eq!((idle.guests_running, idle.pods_waiting), (0, 0));
    assert!(idle.allocatable_cpu_millis >= 1000 && idle.allocatable_memory_bytes > 0);

    let mut job = manifest::endless("many");
    job["spec"]["completions"] = 9.into();
    job["spec"]["parallelism"] = 9.into();
    node.apply(&job);
    client
        .pods_when("many", |pods| pods.iter().filter(|pod| wick_tests::phase(pod) == "Running").count() == 7)
        .await;
    let full = get().await;
    assert_eq!((full.guests_running, full.pods_waiting), (7, 2));
    assert!(full.revision > idle.revision);
    assert_eq!(full.instance_id, idle.instance_id);
}

#[tokio::test]
async fn a_node_keeps_its_identity_over_restarts() {
    let mut node = Node::start();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let client = node.client().await;
        let found = client.node().get(NodeServiceGetRequest {}).await.unwrap().into_inner().node.unwrap();
        ids.push(found.instance_id);
        node.kill();
        node.boot();
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[0].len(), 32, "{ids:?}");
}

#[tokio::test]
async fn the_socket_is_for_its_user_only() {
    let node = Node::start();
    let mode = std::fs::metadata(node.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
}

#[tokio::test]
async fn plain_text_on_loopback_is_not_for_pages_in_browsers() {
    let node = Node::start_with(&["--listen", "127.0.0.1:0"]);
    let client = Client::over_tcp(node.address()).await;
    let mut request = Request::new(NodeServiceGetRequest {});
    request.metadata_mut().insert("origin", "http://localhost:3000".parse().unwrap());
    assert_eq!(client.node().get(request).await.unwrap_err().code(), Code::PermissionDenied);
    client.node().get(NodeServiceGetRequest {}).await.unwrap();
}
