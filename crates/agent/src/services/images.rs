//! ImageService.

use api::ImageRef;
use api::pb::wick::v1::image_service_push_request::Part;
use api::pb::wick::v1::image_service_server::ImageService;
use api::pb::wick::v1::{
    Image, ImageKind, ImagePushHeader, ImageRecord, ImageServiceDeleteRequest, ImageServiceDeleteResponse,
    ImageServiceInspectRequest, ImageServiceInspectResponse, ImageServiceListRequest,
    ImageServiceListResponse, ImageServicePushRequest, ImageServicePushResponse,
};
use engine::{Event, Reply};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

use super::{Agent, status};
use crate::images::{Incoming, PushError, Received};

const KIND: &str = "image";
/// Names of exports, and of imports, that are recorded with an image, in bytes together.
const NAMES_BYTES: usize = 32 << 10;
/// An image is in memory while it is checked and compiled, so one is at a time.
static CHECKS: Semaphore = Semaphore::const_new(1);

#[tonic::async_trait]
impl ImageService for Agent {
    async fn push(
        &self,
        request: Request<Streaming<ImageServicePushRequest>>,
    ) -> Result<Response<ImageServicePushResponse>, Status> {
        let mut stream = request.into_inner();
        let Some(ImageServicePushRequest { part: Some(Part::Header(header)) }) = stream.message().await?
        else {
            return Err(status::field("header", "needed first; then send the image's bytes as chunks"));
        };
        let ImagePushHeader { name, size_bytes, digest } = header;
        let name = if name.is_empty() { name } else { full_name(&name)? };
        if size_bytes > self.images.max_bytes() {
            return Err(push_error(PushError::TooLarge { max_bytes: self.images.max_bytes() }));
        }
        let mut incoming = self.images.receive().map_err(|error| status::io("store the image", &error))?;
        while let Some(ImageServicePushRequest { part }) = stream.message().await? {
            match part {
                Some(Part::Chunk(chunk)) => incoming.write(&chunk).map_err(push_error)?,
                Some(Part::Header(_)) | None => {
                    return Err(status::field("chunk", "needed: after the header come the image's bytes"));
                }
            }
        }
        self.keep(incoming, name, digest).await.map(Response::new)
    }

    async fn list(
        &self,
        _request: Request<ImageServiceListRequest>,
    ) -> Result<Response<ImageServiceListResponse>, Status> {
        let images = self.reader.images().iter().filter_map(|record| record.image.clone()).collect();
        Ok(Response::new(ImageServiceListResponse { images }))
    }

    async fn inspect(
        &self,
        request: Request<ImageServiceInspectRequest>,
    ) -> Result<Response<ImageServiceInspectResponse>, Status> {
        let name = request.into_inner().name;
        let record = self.reader.image(&lookup(&name)?).ok_or_else(|| status::not_found(KIND, &name))?;
        let record = ImageRecord::clone(&record);
        let digest = record.image.as_ref().map_or("", |image| &image.digest);
        let same = self.reader.images();
        let names = same.iter().filter_map(|record| record.image.as_ref());
        let names = names.filter(|image| image.digest == digest && !image.name.is_empty());
        Ok(Response::new(ImageServiceInspectResponse {
            names: names.map(|image| image.name.clone()).collect(),
            image: record.image,
            exports: record.exports,
            imports: record.imports,
        }))
    }

    async fn delete(
        &self,
        request: Request<ImageServiceDeleteRequest>,
    ) -> Result<Response<ImageServiceDeleteResponse>, Status> {
        let reference = lookup(&request.into_inner().name)?;
        match self.engine.send(Event::DeleteImage { reference }).answer().await? {
            Reply::ImageDeleted { names, bytes_removed } => {
                Ok(Response::new(ImageServiceDeleteResponse { names, bytes_removed }))
            }
            Reply::Done | Reply::Job { .. } | Reply::CronJob { .. } | Reply::Pod(_) => {
                Err(Status::internal("the engine answered about something else"))
            }
        }
    }
}

impl Agent {
    /// Checks, compiles and records what was received.
    async fn keep(
        &self,
        incoming: Incoming,
        name: String,
        digest: String,
    ) -> Result<ImageServicePushResponse, Status> {
        let agent = self.clone();
        // A task of its own: a client that leaves now does not leave half a push behind.
        let push = tokio::spawn(async move {
            let _turn =
                CHECKS.acquire().await.map_err(|_| Status::internal("images are not checked any more"))?;
            let images = agent.images.clone();
            let received = blocking(move || images.finish(incoming, &digest)).await?.map_err(push_error)?;
            let (runtime, image) = (agent.runtime.clone(), received.image.clone());
            // Compiled now, so that what cannot be compiled is refused here, and the first Pod starts at once.
            let prepared = blocking(move || runtime.prepare(&image, false)).await?;
            let record = agent.record(&received, name);
            let image = record.image.clone();
            let recorded = match prepared {
                Ok(()) => agent.engine.send(Event::ImageStored(record)).answer().await.map(drop),
                Err(refused) => Err(push_error(PushError::Refused(refused))),
            };
            if let Err(refused) = recorded {
                let digest = received.image.digest.to_string();
                agent.images.discard(received, || agent.reader.image(&digest).is_some());
                return Err(refused);
            }
            Ok(ImageServicePushResponse { image, created: received.created })
        });
        push.await.map_err(|error| Status::internal(format!("cannot check the image: {error}")))?
    }

    fn record(&self, received: &Received, name: String) -> ImageRecord {
        let now = Some(api::time::seconds(self.facts.clock.wall()));
        let kind = match received.info.kind {
            runtime::ImageKind::Module => ImageKind::Module,
            runtime::ImageKind::Component => ImageKind::Component,
        };
        ImageRecord {
            image: Some(Image {
                name,
                digest: received.image.digest.to_string(),
                size_bytes: received.bytes,
                kind: kind.into(),
                pushed_at: now,
            }),
            exports: some(&received.info.exports),
            imports: some(&received.info.imports),
            stored_at: now,
            displaced: false,
        }
    }
}

/// As many names as are kept with an image; then an ellipsis.
fn some(names: &[String]) -> Vec<String> {
    let mut bytes = 0;
    let mut kept: Vec<String> = names
        .iter()
        .take_while(|name| {
            bytes += name.len();
            bytes <= NAMES_BYTES
        })
        .cloned()
        .collect();
    if kept.len() < names.len() {
        kept.push("…".to_owned());
    }
    kept
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Status::internal(format!("cannot check the image: {error}")))
}

/// The name an image is given, in full form.
fn full_name(name: &str) -> Result<String, Status> {
    let invalid = |must: &str| status::field("header.name", &format!("`{name}` {must}"));
    let reference = ImageRef::parse(name).map_err(invalid)?;
    if reference.digest().is_some() {
        return Err(invalid("must be a name without a digest: the digest follows from the bytes"));
    }
    Ok(reference.full_name())
}

/// What the engine finds an image by.
fn lookup(name: &str) -> Result<String, Status> {
    let reference =
        ImageRef::parse(name).map_err(|must| status::field("name", &format!("`{name}` {must}")))?;
    Ok(reference.digest().map_or_else(|| reference.full_name(), str::to_owned))
}

fn push_error(error: PushError) -> Status {
    match error {
        PushError::TooLarge { .. } | PushError::Digest { .. } | PushError::Refused(_) => {
            Status::invalid_argument(error.to_string())
        }
        PushError::Io(error) => status::io("store the image", &error),
    }
}
