//! The generated client, as somebody else's program would use it.

use std::path::Path;

use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::cron_job_service_client::CronJobServiceClient;
use api::pb::wick::v1::event_service_client::EventServiceClient;
use api::pb::wick::v1::history_service_client::HistoryServiceClient;
use api::pb::wick::v1::image_service_client::ImageServiceClient;
use api::pb::wick::v1::image_service_push_request::Part;
use api::pb::wick::v1::job_service_client::JobServiceClient;
use api::pb::wick::v1::manifest_service_client::ManifestServiceClient;
use api::pb::wick::v1::node_service_client::NodeServiceClient;
use api::pb::wick::v1::pod_service_client::PodServiceClient;
use api::pb::wick::v1::{
    ApplyResult, ImagePushHeader, ImageServicePushRequest, ImageServicePushResponse, JobServiceCreateRequest,
    ManifestServiceApplyRequest, ObjectFilter, PodServiceLogsRequest, PodServiceLogsResponse,
};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use crate::PATIENCE;

/// Bytes sent in one piece of an image.
const PIECE: usize = 16 << 10;

/// A connection to an agent.
#[derive(Clone)]
pub struct Client {
    /// For services that have no method here.
    pub channel: Channel,
}

impl Client {
    /// Over the Unix socket at `path`.
    pub async fn over_socket(path: &Path) -> Client {
        let socket = path.to_owned();
        let connector = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(&socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        let channel = endpoint.connect_with_connector(connector).await;
        Client { channel: channel.unwrap_or_else(|error| panic!("{}: {error:?}", path.display())) }
    }

    /// Over TCP, to `HOST:PORT`.
    pub async fn over_tcp(address: &str) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = endpoint.connect().await;
        Client { channel: channel.unwrap_or_else(|error| panic!("{address}: {error:?}")) }
    }

    /// Jobs.
    pub fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone())
    }

    /// CronJobs.
    pub fn cron_jobs(&self) -> CronJobServiceClient<Channel> {
        CronJobServiceClient::new(self.channel.clone())
    }

    /// The ledger.
    pub fn history(&self) -> HistoryServiceClient<Channel> {
        HistoryServiceClient::new(self.channel.clone())
    }

    /// Pods.
    pub fn pods(&self) -> PodServiceClient<Channel> {
        PodServiceClient::new(self.channel.clone())
    }

    /// Events.
    pub fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel.clone())
    }

    /// Images.
    pub fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone())
    }

    /// Manifests.
    pub fn manifests(&self) -> ManifestServiceClient<Channel> {
        ManifestServiceClient::new(self.channel.clone())
    }

    /// The node.
    pub fn node(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel.clone())
    }

    /// Creates a Job; as it was stored.
    pub async fn create(&self, job: Job) -> Result<Job, Status> {
        let request = JobServiceCreateRequest { job: Some(job), dry_run: false };
        Ok(self.jobs().create(request).await?.into_inner().job.expect("an answer has its Job"))
    }

    /// Applies a manifest; a result for each document.
    pub async fn apply(&self, manifest: &str) -> Result<Vec<ApplyResult>, Status> {
        let request = ManifestServiceApplyRequest {
            manifest: manifest.to_owned(),
            ..ManifestServiceApplyRequest::default()
        };
        Ok(self.manifests().apply(request).await?.into_inner().results)
    }

    /// What a Pod's only container writes, from the beginning and as long as it runs.
    pub async fn follow(&self, pod: &str) -> Result<Streaming<PodServiceLogsResponse>, Status> {
        let request =
            PodServiceLogsRequest { name: pod.to_owned(), follow: true, ..PodServiceLogsRequest::default() };
        Ok(self.pods().logs(request).await?.into_inner())
    }

    /// The first line a Pod's only container writes, once it has.
    pub async fn first_line(&self, pod: &str) -> String {
        let mut log = self.follow(pod).await.expect("a log");
        let first = timeout(PATIENCE, log.message()).await;
        let part = first.unwrap_or_else(|_| panic!("`{pod}` has written nothing after {PATIENCE:?}"));
        let part = part.expect("a part of a log").expect("a log with something in it");
        String::from_utf8_lossy(&part.lines[0].text).into_owned()
    }

    /// Pushes `bytes` under `name`.
    pub async fn push(&self, name: &str, bytes: &[u8]) -> Result<ImageServicePushResponse, Status> {
        let header =
            ImagePushHeader { name: name.to_owned(), size_bytes: bytes.len() as u64, ..Default::default() };
        self.push_as(header, bytes).await
    }

    /// Pushes `bytes`, announced by any header.
    pub async fn push_as(
        &self,
        header: ImagePushHeader,
        bytes: &[u8],
    ) -> Result<ImageServicePushResponse, Status> {
        let chunks = bytes.chunks(PIECE).map(|chunk| Part::Chunk(chunk.to_vec().into()));
        let parts: Vec<_> = [Part::Header(header)].into_iter().chain(chunks).collect();
        let requests = parts.into_iter().map(|part| ImageServicePushRequest { part: Some(part) });
        Ok(self.images().push(tokio_stream::iter(requests)).await?.into_inner())
    }
}

/// The Pods of a Job.
pub fn pods_of(job: &str) -> ObjectFilter {
    ObjectFilter { label_selector: format!("job-name={job}"), ..ObjectFilter::default() }
}

/// The object of this name.
pub fn named(name: &str) -> ObjectFilter {
    ObjectFilter { name: name.to_owned(), ..ObjectFilter::default() }
}

/// A code by the name it has in gRPC.
pub fn code_name(code: Code) -> String {
    let name = format!("{code:?}");
    let mut words = String::new();
    for char in name.chars() {
        if char.is_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.extend(char.to_uppercase());
    }
    words
}
