//! What the measurements ask of an agent, through the generated client.
//!
//! In this process and on one thread, so that asking costs little beside what is measured.

use std::path::Path;

use anyhow::{Context, Result, bail};
use api::pb::k8s::batch::v1::{Job, JobSpec};
use api::pb::k8s::core::v1::{Container, EnvVar, Pod, PodSpec, PodTemplateSpec};
use api::pb::k8s::meta::v1::ObjectMeta;
use api::pb::wick::v1::image_service_client::ImageServiceClient;
use api::pb::wick::v1::image_service_push_request::Part;
use api::pb::wick::v1::job_service_client::JobServiceClient;
use api::pb::wick::v1::manifest_service_client::ManifestServiceClient;
use api::pb::wick::v1::node_service_client::NodeServiceClient;
use api::pb::wick::v1::pod_service_client::PodServiceClient;
use api::pb::wick::v1::simulation_entry::What;
use api::pb::wick::v1::simulation_service_client::SimulationServiceClient;
use api::pb::wick::v1::{
    ApplyOutcome, ImagePushHeader, ImageServicePushRequest, JobServiceCreateRequest, JobServiceWatchRequest,
    JobServiceWatchResponse, ManifestServiceApplyRequest, Node, NodeServiceGetRequest, ObjectFilter,
    PodServiceListRequest, PodServiceLogsRequest, PodServiceWatchRequest, SimulationFinal,
    SimulationServiceSimulateRequest, WatchEventType,
};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// Bytes of an image sent in one piece.
const PIECE: usize = 256 << 10;

/// A connection to an agent.
pub(crate) struct Client {
    channel: Channel,
}

/// A Job to ask for.
pub(crate) struct Asked<'a> {
    pub(crate) name: &'a str,
    pub(crate) image: &'a str,
    pub(crate) completions: i32,
    pub(crate) parallelism: i32,
    pub(crate) indexed: bool,
    pub(crate) env: &'a [(&'a str, &'a str)],
}

impl Asked<'_> {
    /// One Pod of `image`.
    pub(crate) fn single<'a>(name: &'a str, image: &'a str) -> Asked<'a> {
        Asked { name, image, completions: 1, parallelism: 1, indexed: false, env: &[] }
    }

    fn job(&self) -> Job {
        let env = self.env.iter().map(|(name, value)| EnvVar {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            ..EnvVar::default()
        });
        let container = Container {
            name: "main".to_owned(),
            image: self.image.to_owned(),
            env: env.collect(),
            ..Container::default()
        };
        let pod =
            PodSpec { restart_policy: "Never".to_owned(), containers: vec![container], ..PodSpec::default() };
        let spec = JobSpec {
            completions: Some(self.completions),
            parallelism: Some(self.parallelism),
            completion_mode: self.indexed.then(|| "Indexed".to_owned()),
            // Guests that are killed with the agent fail.
            backoff_limit: Some(if self.indexed { i32::MAX } else { 0 }),
            template: Some(PodTemplateSpec { metadata: None, spec: Some(pod.into()) }),
            ..JobSpec::default()
        };
        let metadata = ObjectMeta { name: self.name.to_owned(), ..ObjectMeta::default() };
        Job { metadata: Some(metadata), spec: Some(spec.into()), status: None }
    }
}

impl Client {
    pub(crate) async fn connect(socket: &Path) -> Result<Client> {
        let path = socket.to_owned();
        let connector = tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(&path).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://localhost").connect_with_connector(connector).await;
        let channel = channel.with_context(|| format!("{}: nobody answers", socket.display()))?;
        Ok(Client { channel })
    }

    /// Stores an image.
    pub(crate) async fn push(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let header =
            ImagePushHeader { name: name.to_owned(), size_bytes: bytes.len() as u64, digest: String::new() };
        let chunks = bytes.chunks(PIECE).map(|chunk| Part::Chunk(chunk.to_vec().into()));
        let parts: Vec<Part> = [Part::Header(header)].into_iter().chain(chunks).collect();
        let requests = parts.into_iter().map(|part| ImageServicePushRequest { part: Some(part) });
        let mut images = ImageServiceClient::new(self.channel.clone());
        images.push(tokio_stream::iter(requests)).await.context("the image was refused")?;
        Ok(())
    }

    pub(crate) async fn create(&self, asked: &Asked<'_>) -> Result<()> {
        let request = JobServiceCreateRequest { job: Some(asked.job()), dry_run: false };
        JobServiceClient::new(self.channel.clone()).create(request).await.context("the Job was refused")?;
        Ok(())
    }

    /// Applies a manifest, of which every document must be taken.
    pub(crate) async fn apply(&self, manifest: &str) -> Result<()> {
        let request = ManifestServiceApplyRequest {
            manifest: manifest.to_owned(),
            ..ManifestServiceApplyRequest::default()
        };
        let mut manifests = ManifestServiceClient::new(self.channel.clone());
        let results =
            manifests.apply(request).await.context("the manifest was refused")?.into_inner().results;
        match results.into_iter().find(|result| result.outcome() == ApplyOutcome::Refused) {
            Some(refused) => bail!("{}: {}", refused.name, refused.message),
            None => Ok(()),
        }
    }

    /// Changes of all Jobs, from now on.
    pub(crate) async fn watch(&self) -> Result<Watch> {
        let request = JobServiceWatchRequest::default();
        let mut jobs = JobServiceClient::new(self.channel.clone());
        let mut changes = jobs.watch(request).await.context("the watch was refused")?.into_inner();
        loop {
            let change = changes.message().await?.context("the watch ended")?;
            if change.r#type() == WatchEventType::Bookmark {
                return Ok(Watch { changes });
            }
        }
    }

    /// The first line that the only Pod of the Job `job` writes; the Job may be created later.
    pub(crate) async fn first_line(&self, job: &str) -> Result<String> {
        let mut pods = PodServiceClient::new(self.channel.clone());
        let request = PodServiceWatchRequest { filter: Some(pods_of(job)), since_revision: None };
        let mut changes = pods.watch(request).await.context("the watch was refused")?.into_inner();
        let name = loop {
            if let Some(pod) = changes.message().await?.context("the watch ended")?.pod {
                break name(&pod);
            }
        };
        self.line(name, true).await
    }

    /// The first line that the only Pod of the Job `job` wrote; the Job has finished.
    pub(crate) async fn finished_line(&self, job: &str) -> Result<String> {
        let request =
            PodServiceListRequest { filter: Some(pods_of(job)), ..PodServiceListRequest::default() };
        let list = PodServiceClient::new(self.channel.clone()).list(request).await?.into_inner();
        let pod = list.pods.first().with_context(|| format!("job `{job}` has no Pod"))?;
        self.line(name(pod), false).await
    }

    async fn line(&self, pod: String, follow: bool) -> Result<String> {
        let request = PodServiceLogsRequest { name: pod, follow, ..PodServiceLogsRequest::default() };
        let mut log = PodServiceClient::new(self.channel.clone()).logs(request).await?.into_inner();
        let part = log.message().await?.context("the guest wrote nothing")?;
        let line = part.lines.first().context("a part of a log without a line")?;
        Ok(String::from_utf8_lossy(&line.text).into_owned())
    }

    /// Plays a scenario to its end.
    pub(crate) async fn simulate(&self, scenario: &str) -> Result<SimulationFinal> {
        let request = SimulationServiceSimulateRequest {
            scenario: scenario.to_owned(),
            brief: true,
            ..SimulationServiceSimulateRequest::default()
        };
        let mut simulations = SimulationServiceClient::new(self.channel.clone());
        let mut told = simulations.simulate(request).await.context("the scenario was refused")?.into_inner();
        let mut end = None;
        while let Some(part) = told.message().await? {
            for entry in part.entries {
                if let Some(What::Final(last)) = entry.what {
                    end = Some(last);
                }
            }
        }
        end.context("the simulation has no end")
    }

    pub(crate) async fn node(&self) -> Result<Node> {
        let answer = NodeServiceClient::new(self.channel.clone()).get(NodeServiceGetRequest {}).await?;
        answer.into_inner().node.context("an answer without a node")
    }
}

/// Changes of Jobs.
pub(crate) struct Watch {
    changes: Streaming<JobServiceWatchResponse>,
}

impl Watch {
    /// Waits until there is another Job.
    pub(crate) async fn added(&mut self) -> Result<()> {
        loop {
            let change = self.changes.message().await?.context("the watch ended")?;
            if change.r#type() == WatchEventType::Added {
                return Ok(());
            }
        }
    }

    /// Waits until so many Pods of the Job of this name have succeeded.
    pub(crate) async fn succeeded(&mut self, job: &str, count: i32) -> Result<()> {
        loop {
            let change = self.changes.message().await?.context("the watch ended")?;
            let Some(changed) = change.job else { continue };
            let is_it = changed.metadata.is_some_and(|metadata| metadata.name == job);
            if is_it && changed.status.is_some_and(|status| status.succeeded >= count) {
                return Ok(());
            }
        }
    }

    /// Waits until the Job of this name is complete; an error if it fails.
    pub(crate) async fn complete(&mut self, job: &str) -> Result<()> {
        loop {
            let change = self.changes.message().await?.context("the watch ended")?;
            let Some(changed) = change.job else { continue };
            if changed.metadata.is_none_or(|metadata| metadata.name != job) {
                continue;
            }
            for condition in changed.status.map(|status| status.conditions).unwrap_or_default() {
                match (condition.r#type.as_str(), condition.status.as_str()) {
                    ("Complete", "True") => return Ok(()),
                    ("Failed", "True") => bail!("job `{job}` failed: {}", condition.message),
                    _ => {}
                }
            }
        }
    }
}

fn pods_of(job: &str) -> ObjectFilter {
    ObjectFilter { label_selector: format!("job-name={job}"), ..ObjectFilter::default() }
}

fn name(pod: &Pod) -> String {
    pod.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default()
}
