//! Runs a WASI module as a Job: pushes it, creates the Job, watches it, prints what it wrote.
//!
//! `wick-client [--server HOST:PORT] [--name NAME] MODULE`

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use k8s::batch::v1::{Job, JobSpec};
use k8s::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s::meta::v1::ObjectMeta;
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt;
use wick::v1::image_service_client::ImageServiceClient;
use wick::v1::image_service_push_request::Part;
use wick::v1::job_service_client::JobServiceClient;
use wick::v1::pod_service_client::PodServiceClient;
use wick::v1::{
    ImagePushHeader, ImageServicePushRequest, JobServiceCreateRequest, JobServiceWatchRequest, ObjectFilter,
    PodServiceListRequest, PodServiceLogsRequest,
};

tonic::include_proto!("packages");

/// Bytes of a module sent at once.
const PIECE: usize = 256 << 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            for reason in reasons(&*error) {
                eprintln!("error: {reason}");
            }
            ExitCode::FAILURE
        }
    }
}

/// True if the Job is complete.
async fn run() -> Result<bool, Box<dyn Error>> {
    let mut server = std::env::var("WICK_SERVER").unwrap_or_else(|_| "127.0.0.1:7180".to_owned());
    let (mut name, mut module) = ("from-rust".to_owned(), None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--server" => server = args.next().ok_or("--server needs HOST:PORT")?,
            "--name" => name = args.next().ok_or("--name needs a name")?,
            _ => module = Some(arg),
        }
    }
    let module = PathBuf::from(module.ok_or("which module?")?);
    let image = module.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let channel = Channel::from_shared(format!("http://{server}"))?.connect().await?;
    let digest = push(&channel, image, std::fs::read(&module)?).await?;
    create(&channel, &name, digest).await?;
    let complete = watch(&channel, &name).await?;
    print_logs(&channel, &name).await?;
    Ok(complete)
}

/// Stores the module; the digest it is found by.
async fn push(channel: &Channel, name: &str, module: Vec<u8>) -> Result<String, Box<dyn Error>> {
    let header =
        ImagePushHeader { name: name.to_owned(), size_bytes: module.len() as u64, ..Default::default() };
    let chunks = module.chunks(PIECE).map(|chunk| Part::Chunk(chunk.to_vec()));
    let parts: Vec<Part> = [Part::Header(header)].into_iter().chain(chunks).collect();
    let requests = parts.into_iter().map(|part| ImageServicePushRequest { part: Some(part) });
    let answer = ImageServiceClient::new(channel.clone()).push(tokio_stream::iter(requests)).await?;
    Ok(answer.into_inner().image.ok_or("no image in the answer")?.digest)
}

/// Creates a Job of one Pod that is not tried again.
async fn create(channel: &Channel, name: &str, image: String) -> Result<(), Status> {
    let container = Container { name: "main".to_owned(), image, ..Default::default() };
    let pod =
        PodSpec { restart_policy: "Never".to_owned(), containers: vec![container], ..Default::default() };
    let template = PodTemplateSpec { spec: Some(pod), ..Default::default() };
    let spec = JobSpec { backoff_limit: Some(0), template: Some(template), ..Default::default() };
    let metadata = ObjectMeta { name: name.to_owned(), ..Default::default() };
    let job = Job { metadata: Some(metadata), spec: Some(spec), ..Default::default() };
    let request = JobServiceCreateRequest { job: Some(job), dry_run: false };
    JobServiceClient::new(channel.clone()).create(request).await?;
    Ok(())
}

/// Waits for the Job's end; true if it is complete.
async fn watch(channel: &Channel, name: &str) -> Result<bool, Box<dyn Error>> {
    let filter = ObjectFilter { name: name.to_owned(), ..Default::default() };
    let request = JobServiceWatchRequest { filter: Some(filter), since_revision: None };
    let mut changes = JobServiceClient::new(channel.clone()).watch(request).await?.into_inner();
    while let Some(change) = changes.message().await? {
        let status = change.job.and_then(|job| job.status).unwrap_or_default();
        for condition in status.conditions {
            if condition.status == "True" && ["Complete", "Failed"].contains(&condition.r#type.as_str()) {
                eprintln!("{name}: {}", condition.r#type);
                return Ok(condition.r#type == "Complete");
            }
        }
    }
    Err("the watch ended before the Job did".into())
}

/// Prints what the Job's Pods wrote.
async fn print_logs(channel: &Channel, name: &str) -> Result<(), Box<dyn Error>> {
    let filter = ObjectFilter { label_selector: format!("job-name={name}"), ..Default::default() };
    let mut pods = PodServiceClient::new(channel.clone());
    let list = pods
        .list(PodServiceListRequest { filter: Some(filter), ..PodServiceListRequest::default() })
        .await?
        .into_inner();
    let mut out = std::io::stdout().lock();
    for pod in list.pods {
        let name = pod.metadata.unwrap_or_default().name;
        let mut log = pods.logs(PodServiceLogsRequest { name, ..Default::default() }).await?.into_inner();
        while let Some(part) = log.message().await? {
            for line in part.lines {
                out.write_all(&line.text)?;
                out.write_all(if line.partial { b"" } else { b"\n" })?;
            }
        }
    }
    Ok(())
}

/// Every field that was refused and why, or the message of any other error.
fn reasons(error: &(dyn Error + 'static)) -> Vec<String> {
    let Some(status) = error.downcast_ref::<Status>() else { return vec![error.to_string()] };
    match status.get_details_bad_request() {
        Some(bad) => {
            let reason = |violation: tonic_types::FieldViolation| {
                format!("{}: {}", violation.field, violation.description)
            };
            bad.field_violations.into_iter().map(reason).collect()
        }
        None => vec![format!("{:?}: {}", status.code(), status.message())],
    }
}
