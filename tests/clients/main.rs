//! Clients nobody here wrote, against the real `wickd`: `buf curl` through reflection, Python stubs by grpcio-tools, and a
//! Rust crate that has nothing of ours but the `.proto` files.
//!
//! What they need is installed by `cargo xtask tools` below target/tools. Where it is not there, a test says that it was
//! skipped and why; in CI that is a failure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy.toml allows them in tests, but not in their helpers"
)]

mod buf;
mod python;
mod rust;
mod tools;

use std::path::Path;
use std::process::Output;

use wick_tests::transcript::{Shell, What, steps};
use wick_tests::{Node, programs};

/// A node that answers on a port of its own.
fn listening() -> Node {
    Node::start_with(&["--listen", "127.0.0.1:0"])
}

/// The guest that the clients' READMEs run, and what it prints.
fn hello() -> (String, String) {
    let module = programs::example("wat/by-hand.wat");
    let printed = std::fs::read_to_string(programs::example("wat/expected.txt")).unwrap();
    (module.to_str().expect("a path in UTF-8").to_owned(), printed)
}

/// Does in `dir`, against a node of its own, what the README there tells its reader to type; what begins with one of
/// `left_out` was done before.
fn follow_readme(dir: &Path, left_out: &[&str], before: &[&str]) {
    let node = listening();
    let mut shell = Shell::start(dir, node.path());
    let server = format!("export WICK_SERVER={}", node.address());
    for command in before.iter().copied().chain([server.as_str()]) {
        assert_eq!(shell.run(command).0, 0, "{command}");
    }
    let page = std::fs::read_to_string(dir.join("README.md")).unwrap();
    for step in steps(&page) {
        match &step.what {
            What::Command { text, .. } if left_out.iter().any(|begins| text.starts_with(begins)) => {}
            _ => shell.follow(&step, &[]),
        }
    }
}

/// What a client said: its exit code, then its standard output and standard error.
fn told(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let code = output.status.code().map_or_else(|| output.status.to_string(), |code| code.to_string());
    format!("exit {code}\n--- stdout\n{stdout}--- stderr\n{stderr}")
}
