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
use tonic::{Request, Response, Status, Streaming};

use super::{Agent, status};
use crate::images::{Incoming, PushError, Received};

const KIND: &str = "image";

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
        if size_bytes > self.images.max_bytes {
            return Err(push_error(PushError::TooLarge { max_bytes: self.images.max_bytes }));
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
            Reply::Done | Reply::Job { .. } => {
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
        let (images, runtime) = (self.images.clone(), self.runtime.clone());
        let received = tokio::task::spawn_blocking(move || {
            let received = images.finish(incoming, &digest)?;
            // Compiled now, so that what cannot be compiled is refused here, and the first Pod starts at once.
            match runtime.prepare(&received.image, false) {
                Ok(()) => Ok(received),
                Err(refused) => {
                    images.discard(received);
                    Err(PushError::Refused(refused))
                }
            }
        });
        let received =
            received.await.map_err(|error| Status::internal(format!("cannot check the image: {error}")))?;
        let received = received.map_err(push_error)?;
        let record = self.record(&received, name);
        let image = record.image.clone();
        if let Err(refused) = self.engine.send(Event::ImageStored(record)).answer().await {
            if self.reader.image(&received.image.digest.to_string()).is_none() {
                self.images.discard(received);
            }
            return Err(refused);
        }
        Ok(ImageServicePushResponse { image, created: received.created })
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
            exports: received.info.exports.clone(),
            imports: received.info.imports.clone(),
            stored_at: now,
        }
    }
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
