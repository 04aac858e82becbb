//! ImageService, asked by a generated client.

use std::fs;
use std::time::Duration;

use api::pb::wick::v1::image_service_push_request::Part;
use api::pb::wick::v1::{
    ImageKind, ImagePushHeader, ImageServiceDeleteRequest, ImageServiceInspectRequest,
    ImageServiceListRequest, ImageServicePushRequest,
};
use expect_test::{Expect, expect};
use sha2::{Digest, Sha256};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use wick_tests::client::Client;
use wick_tests::{Node, PATIENCE, manifest, phase, plain, programs};

use crate::grpc_jobs::refusal;

/// A module that does nothing, with a data segment that makes it unlike others.
pub(crate) fn tiny(mark: &str) -> Vec<u8> {
    format!(
        "(module (memory (export \"memory\") 1) (data (i32.const 0) \"{mark}\") (func (export \"_start\")))"
    )
    .into_bytes()
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

async fn names(client: &Client) -> Vec<String> {
    let images = client.images().list(ImageServiceListRequest {}).await.unwrap().into_inner().images;
    images.into_iter().map(|image| image.name).collect()
}

fn inspect(name: &str) -> ImageServiceInspectRequest {
    ImageServiceInspectRequest { name: name.to_owned() }
}

fn delete(name: &str) -> ImageServiceDeleteRequest {
    ImageServiceDeleteRequest { name: name.to_owned() }
}

fn check_refused<T: std::fmt::Debug>(answer: Result<T, Status>, wanted: Expect) {
    wanted.assert_eq(&plain(&refusal(&answer.unwrap_err()), &["slow"]));
}

#[tokio::test]
async fn an_image_is_pushed_listed_inspected_and_deleted() {
    let node = Node::start();
    let client = node.client().await;
    let bytes = fs::read(programs::guest("hello")).unwrap();
    let digest = digest(&bytes);
    let header = ImagePushHeader {
        name: "team/hello:1.2".to_owned(),
        size_bytes: bytes.len() as u64,
        digest: digest.clone(),
    };
    let pushed = client.push_as(header.clone(), &bytes).await.unwrap();
    assert!(pushed.created);
    let image = pushed.image.unwrap();
    assert_eq!((image.name.as_str(), image.digest.as_str()), ("team/hello:1.2", digest.as_str()));
    assert_eq!((image.size_bytes, image.kind()), (bytes.len() as u64, ImageKind::Module));

    let again = client.push_as(ImagePushHeader { name: "other".to_owned(), ..header }, &bytes).await.unwrap();
    assert!(!again.created, "the same bytes are stored once");
    assert_eq!(names(&client).await, ["other:latest", "team/hello:1.2"]);
    assert_eq!(fs::read_dir(node.data().join("images")).unwrap().count(), 1);

    for name in ["team/hello:1.2", "other", &digest] {
        let found = client.images().inspect(inspect(name)).await.unwrap().into_inner();
        assert_eq!(found.names, ["other:latest", "team/hello:1.2"]);
        assert!(found.exports.contains(&"_start".to_owned()), "{:?}", found.exports);
        assert!(found.imports.contains(&"wasi_snapshot_preview1.fd_write".to_owned()), "{:?}", found.imports);
    }

    let gone = client.images().delete(delete("other")).await.unwrap().into_inner();
    assert_eq!((gone.names, gone.bytes_removed), (vec!["other:latest".to_owned()], false));
    let gone = client.images().delete(delete(&digest)).await.unwrap().into_inner();
    assert_eq!((gone.names, gone.bytes_removed), (vec!["team/hello:1.2".to_owned()], true));
    assert_eq!(names(&client).await, Vec::<String>::new());
    assert_eq!(fs::read_dir(node.data().join("images")).unwrap().count(), 0);
    check_refused(
        client.images().inspect(inspect("other")).await,
        expect![[r#"
        NOT_FOUND: image `other` not found
    "#]],
    );
    check_refused(
        client.images().delete(delete("other")).await,
        expect![[r#"
        NOT_FOUND: image `other:latest` not found
    "#]],
    );
    check_refused(
        client.images().inspect(inspect("Not A Name")).await,
        expect![[r#"
        INVALID_ARGUMENT: name: `Not A Name` must be a name such as `hello`, `hello:1.2` or `example.com/team/hello` in lower-case letters, digits, `.`, `_` and `-`, or `sha256:` and 64 hexadecimal digits; a path to a file is pushed by `wick apply`, or by `wick image push FILE NAME`
          name | `Not A Name` must be a name such as `hello`, `hello:1.2` or `example.com/team/hello` in lower-case letters, digits, `.`, `_` and `-`, or `sha256:` and 64 hexadecimal digits; a path to a file is pushed by `wick apply`, or by `wick image push FILE NAME`
    "#]],
    );
}

#[tokio::test]
async fn a_component_is_told_from_a_module() {
    let node = Node::start();
    let client = node.client().await;
    let path = programs::example("target/wasm32-wasip2/release/hello-component.wasm");
    let pushed = client.push("component", &fs::read(path).unwrap()).await.unwrap();
    assert_eq!(pushed.image.unwrap().kind(), ImageKind::Component);
    let found = client.images().inspect(inspect("component")).await.unwrap().into_inner();
    assert!(found.exports.iter().any(|name| name.starts_with("wasi:cli/run@0.2")), "{:?}", found.exports);
    assert!(found.imports.iter().any(|name| name.starts_with("wasi:io/streams@0.2")), "{:?}", found.imports);
}

#[tokio::test]
async fn an_image_without_a_name_answers_to_its_digest() {
    let node = Node::start();
    let client = node.client().await;
    let image = client.push("", &tiny("a")).await.unwrap().image.unwrap();
    assert_eq!(image.name, "");
    node.apply(&manifest::job("by-digest", &image.digest));
    node.complete("by-digest");
}

#[tokio::test]
async fn bytes_that_are_not_what_was_announced_are_not_kept() {
    let node = Node::start();
    let client = node.client().await;
    let header = ImagePushHeader { name: "a".to_owned(), digest: digest(b"something else"), size_bytes: 0 };
    check_refused(
        client.push_as(header, &tiny("a")).await,
        expect![[r#"
        INVALID_ARGUMENT: the bytes have digest sha256:DIGEST, not sha256:DIGEST: they were damaged on the way, or are not what was meant
    "#]],
    );
    let chunk_first = ImageServicePushRequest { part: Some(Part::Chunk(tiny("a").into())) };
    check_refused(
        client.images().push(tokio_stream::iter([chunk_first])).await,
        expect![[r#"
        INVALID_ARGUMENT: header: needed first; then send the image's bytes as chunks
          header | needed first; then send the image's bytes as chunks
    "#]],
    );
    check_refused(
        client.images().push(tokio_stream::iter([])).await,
        expect![[r#"
        INVALID_ARGUMENT: header: needed first; then send the image's bytes as chunks
          header | needed first; then send the image's bytes as chunks
    "#]],
    );
    let empty = client.push("a", b"").await;
    assert_eq!(empty.as_ref().map_err(Status::code).unwrap_err(), Code::InvalidArgument, "{empty:?}");
    let named_by_digest = format!("a@{}", digest(b"a"));
    check_refused(
        client.push(&named_by_digest, &tiny("a")).await,
        expect![[r#"
        INVALID_ARGUMENT: header.name: `a@sha256:DIGEST` must be a name without a digest: the digest follows from the bytes
          header.name | `a@sha256:DIGEST` must be a name without a digest: the digest follows from the bytes
    "#]],
    );
    assert_eq!(names(&client).await, Vec::<String>::new());
    assert_eq!(fs::read_dir(node.data().join("images")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_push_that_breaks_off_leaves_nothing() {
    let node = Node::start();
    let client = node.client().await;
    let (pieces, requests) = tokio::sync::mpsc::channel(1);
    let mut images = client.images();
    let push = tokio::spawn(async move { images.push(ReceiverStream::new(requests)).await });
    let header = ImagePushHeader { name: "half".to_owned(), size_bytes: 1 << 20, digest: String::new() };
    let parts =
        [Part::Header(header)].into_iter().chain((0..4).map(|_| Part::Chunk(vec![0; 16 << 10].into())));
    for part in parts {
        pieces.send(ImageServicePushRequest { part: Some(part) }).await.unwrap();
    }
    let files = || fs::read_dir(node.data().join("images")).unwrap().count();
    // Half of it has arrived; then the client is gone.
    wait_until(|| files() == 1, "the agent receives the image").await;
    push.abort();
    drop((pieces, client));
    wait_until(|| files() == 0, "what was received is gone").await;
    assert_eq!(names(&node.client().await).await, Vec::<String>::new());
}

/// Looks again and again: the file system tells nobody.
async fn wait_until(mut holds: impl FnMut() -> bool, what: &str) {
    let looking = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, looking).await.is_ok(), "not true after {PATIENCE:?}: {what}");
}

#[tokio::test]
async fn an_image_that_a_pod_uses_is_kept() {
    let node = Node::start();
    let client = node.client().await;
    node.apply(&manifest::endless("slow"));
    client.pods_when("slow", |pods| pods.len() == 1 && phase(&pods[0]) == "Running").await;
    let image = client.images().inspect(inspect("work")).await.unwrap().into_inner().image.unwrap();
    check_refused(
        client.images().delete(delete("work")).await,
        expect![[r#"
        FAILED_PRECONDITION: image `work:latest` is used by Pod `slow-POD`; delete its Job first
    "#]],
    );
    check_refused(
        client.images().delete(delete(&image.digest)).await,
        expect![[r#"
        FAILED_PRECONDITION: image `sha256:DIGEST` is used by Pod `slow-POD`; delete its Job first
    "#]],
    );
    assert_eq!(names(&client).await, ["work:latest"]);
    node.done(&["delete", "job/slow"]);
    client.pods_when("slow", |pods| pods.is_empty()).await;
    client.images().delete(delete("work")).await.unwrap();
}

#[tokio::test]
async fn a_name_that_means_other_bytes_now_leaves_the_old_ones_to_those_pinned_to_them() {
    let node = Node::start();
    let client = node.client().await;
    let first = client.push("moving", &tiny("first")).await.unwrap().image.unwrap();
    let second = client.push("moving", &tiny("second")).await.unwrap().image.unwrap();
    assert_ne!(first.digest, second.digest);
    let now = client.images().inspect(inspect("moving")).await.unwrap().into_inner().image.unwrap();
    assert_eq!(now.digest, second.digest);
    node.apply(&manifest::job("pinned", format!("moving@{}", first.digest)));
    node.complete("pinned");
    let ran = node.pod("pinned");
    assert_eq!(ran["status"]["containerStatuses"][0]["imageID"], first.digest.as_str());
}
