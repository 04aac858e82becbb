//! Images that cannot run, or are too large: refused when they are pushed, by name of what is wrong; nothing is kept.

use std::fs;

use api::pb::wick::v1::{ImagePushHeader, ImageServiceListRequest};
use expect_test::{Expect, expect};
use tonic::Code;
use wick_tests::{Node, manifest};

/// Pushes both ways, and shows what each says; nothing may be there afterwards.
async fn check(bytes: &[u8], wanted: Expect) {
    check_on(&Node::start(), bytes, wanted).await;
}

async fn check_on(node: &Node, bytes: &[u8], wanted: Expect) {
    let client = node.client().await;
    let refused = client.push("bad", bytes).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let path = node.write("bad.wasm", bytes);
    let pushed = node.wick(&["image", "push", "bad.wasm"]);
    let applied = node.wick_with(&["apply", "-f", "-"], &manifest::job("bad", &path).to_string());
    let text = format!("{}\n$ wick image push bad.wasm\n{pushed}$ wick apply\n{applied}", refused.message());
    wanted.assert_eq(&text.replace(node.path().to_str().unwrap(), "DIR"));
    assert_eq!(client.images().list(ImageServiceListRequest {}).await.unwrap().into_inner().images, []);
    assert_eq!(node.json(&["get", "jobs"])["items"], serde_json::json!([]));
    let left: Vec<_> = fs::read_dir(node.data().join("images")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_module_without_a_start_is_no_command() {
    check(
        b"(module (func (export \"run\")))",
        expect![[r#"
        not a WASI command (it exports no `_start`)
        $ wick image push bad.wasm
        error: bad.wasm: not a WASI command (it exports no `_start`)
        exit 1
        $ wick apply
        error: DIR/bad.wasm: not a WASI command (it exports no `_start`)
        exit 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_component_without_run_is_no_command() {
    check(
        b"(component)",
        expect![[r#"
        not a WASI command (it exports no `wasi:cli/run@0.2`)
        $ wick image push bad.wasm
        error: bad.wasm: not a WASI command (it exports no `wasi:cli/run@0.2`)
        exit 1
        $ wick apply
        error: DIR/bad.wasm: not a WASI command (it exports no `wasi:cli/run@0.2`)
        exit 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_module_that_imports_what_it_is_not_granted_is_told_which() {
    let module = br#"(module
        (import "env" "system" (func (param i32) (result i32)))
        (import "wasi_snapshot_preview1" "sock_open" (func (param i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start")))"#;
    check(module, expect![[r#"
        imports `env.system`; a module may import from `wasi_snapshot_preview1` only; imports `wasi_snapshot_preview1.sock_open`, which WASI preview 1 does not have
        $ wick image push bad.wasm
        error: bad.wasm: imports `env.system`; a module may import from `wasi_snapshot_preview1` only; imports `wasi_snapshot_preview1.sock_open`, which WASI preview 1 does not have
        exit 1
        $ wick apply
        error: DIR/bad.wasm: imports `env.system`; a module may import from `wasi_snapshot_preview1` only; imports `wasi_snapshot_preview1.sock_open`, which WASI preview 1 does not have
        exit 1
    "#]]).await;
}

#[tokio::test]
async fn preview_0_is_not_linked() {
    let module = br#"(module
        (import "wasi_unstable" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start")))"#;
    check(module, expect![[r#"
        imports `wasi_unstable` (WASI preview 0), which is not linked; build it for wasm32-wasip1 or later
        $ wick image push bad.wasm
        error: bad.wasm: imports `wasi_unstable` (WASI preview 0), which is not linked; build it for wasm32-wasip1 or later
        exit 1
        $ wick apply
        error: DIR/bad.wasm: imports `wasi_unstable` (WASI preview 0), which is not linked; build it for wasm32-wasip1 or later
        exit 1
    "#]]).await;
}

#[tokio::test]
async fn a_text_that_is_no_module_is_told_with_line_and_column() {
    check(
        b"(module\n  (func (export \"_start\") (i32.add)\n",
        expect![[r#"
        not the text format: line 3, column 1: expected `)`
        $ wick image push bad.wasm
        error: bad.wasm: not the text format: line 3, column 1: expected `)`
        exit 1
        $ wick apply
        error: DIR/bad.wasm: not the text format: line 3, column 1: expected `)`
        exit 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn bytes_that_are_no_webassembly_are_told() {
    let node = Node::start();
    check_on(&node, b"\x7fELF\x02\x01\x01\xff\xfe", expect![[r#"
        not WebAssembly; an image is a wasm32-wasip1 module, a wasm32-wasip2 component, or either as .wat text
        $ wick image push bad.wasm
        error: bad.wasm: not WebAssembly; an image is a wasm32-wasip1 module, a wasm32-wasip2 component, or either as .wat text
        exit 1
        $ wick apply
        error: DIR/bad.wasm: not WebAssembly; an image is a wasm32-wasip1 module, a wasm32-wasip2 component, or either as .wat text
        exit 1
    "#]]).await;
    check_on(
        &node,
        b"\0asm\x01\0\0\0\x07",
        expect![[r#"
        not valid WebAssembly: unexpected end-of-file (at byte 9)
        $ wick image push bad.wasm
        error: bad.wasm: not valid WebAssembly: unexpected end-of-file (at byte 9)
        exit 1
        $ wick apply
        error: DIR/bad.wasm: not valid WebAssembly: unexpected end-of-file (at byte 9)
        exit 1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_module_over_the_limit_is_refused() {
    let node = Node::start_with(&["--max-image-mib", "1"]);
    let mut large = b"(module (memory (export \"memory\") 1) (func (export \"_start\")))".to_vec();
    large.resize((1 << 20) + 1, b' ');
    check_on(&node, &large, expect![[r#"
        the image is larger than 1048576 bytes, the most this agent takes (wickd --max-image-mib)
        $ wick image push bad.wasm
        error: bad.wasm: the image is larger than 1048576 bytes, the most this agent takes (wickd --max-image-mib)
        exit 1
        $ wick apply
        error: DIR/bad.wasm: the image is larger than 1048576 bytes, the most this agent takes (wickd --max-image-mib)
        exit 1
    "#]]).await;
}

#[tokio::test]
async fn a_module_of_a_gigabyte_is_refused_before_it_is_sent() {
    let node = Node::start();
    let client = node.client().await;
    let header = ImagePushHeader { name: "huge".to_owned(), size_bytes: 1 << 30, digest: String::new() };
    let refused = client.push_as(header, b"").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    expect!["the image is larger than 67108864 bytes, the most this agent takes (wickd --max-image-mib)"]
        .assert_eq(refused.message());
    // A file with nothing in it but its length.
    let sparse = fs::File::create(node.path().join("huge.wasm")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    let said = node.wick(&["image", "push", "huge.wasm"]);
    assert_eq!(said.code, 1, "{said}");
    expect![[r#"
        error: huge.wasm: 1.0GiB is too large for an image
        hint: the most this agent takes is 64MiB (wickd --max-image-mib)
    "#]]
    .assert_eq(&said.stderr);
    assert_eq!(client.images().list(ImageServiceListRequest {}).await.unwrap().into_inner().images, []);
    assert_eq!(fs::read_dir(node.data().join("images")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_image_that_is_not_there_yet_is_waited_for() {
    let node = Node::start();
    node.apply(&manifest::job("waits", "later"));
    let client = node.client().await;
    let waiting = |pod: &api::pb::k8s::core::v1::Pod| {
        let container = pod.status.as_ref()?.container_statuses.first()?;
        Some(container.state.as_ref()?.waiting.as_ref()?.reason.clone())
    };
    let pods = client.pods_when("waits", |pods| pods.iter().any(|pod| waiting(pod).is_some())).await;
    assert_eq!(waiting(&pods[0]).as_deref(), Some("ErrImagePull"));
    assert_eq!(wick_tests::phase(&pods[0]), "Pending");
    client.push("later", b"(module (func (export \"_start\")))").await.unwrap();
    node.complete("waits");
}
