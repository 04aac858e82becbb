//! `examples/clients/python`: stubs by grpcio-tools, and its script as its README runs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use wick_tests::transcript::clone_to;
use wick_tests::{Node, programs};

use crate::{follow_readme, hello, listening, told, tools};

#[test]
fn python_does_what_its_readme_shows() {
    let Some(python) = tools::python() else { return };
    let clone = tempfile::tempdir().unwrap();
    clone_to(clone.path());
    let dir = clone.path().join("examples/clients/python");
    // bin/python, and above it the environment.
    std::os::unix::fs::symlink(python.ancestors().nth(2).unwrap(), dir.join("venv")).unwrap();
    // Installing takes the network; `cargo xtask tools` has done it, from the same requirements.
    follow_readme(&dir, &["python3 -m venv"], &[]);
}

#[test]
fn python_reaches_the_socket_too() {
    let Some((node, client)) = client() else { return };
    let (module, printed) = hello();
    let server = format!("unix:{}", node.socket().display());
    let output = client.command(&["--server", &server, "--name", "by-socket", &module]).output().unwrap();
    assert_eq!(told(&output), format!("exit 0\n--- stdout\n{printed}--- stderr\nby-socket: Complete\n"));
}

/// The script with its stubs.
struct Client {
    python: PathBuf,
    stubs: PathBuf,
}

/// A node, and the script with stubs generated beside the node's data; `None` where there is no such Python.
fn client() -> Option<(Node, Client)> {
    let python = tools::python()?;
    let node = listening();
    let stubs = node.path().join("stubs");
    std::fs::create_dir(&stubs).unwrap();
    let proto = programs::root().join("proto");
    let mut files = Vec::new();
    protos(&proto, &mut files);
    let mut command = Command::new(&python);
    command.args(["-m", "grpc_tools.protoc", "-I"]).arg(&proto);
    for flag in ["--python_out", "--grpc_python_out"] {
        command.arg(format!("{flag}={}", stubs.display()));
    }
    let output = command.args(&files).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    Some((node, Client { python, stubs }))
}

impl Client {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command.env("PYTHONPATH", &self.stubs).env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(programs::example("clients/python/client.py")).args(args);
        command
    }
}

fn protos(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            protos(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
}
