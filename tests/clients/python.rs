//! `examples/clients/python`: stubs by grpcio-tools, and its script as its README runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use expect_test::expect;
use wick_tests::{Node, programs};

use crate::{hello, listening, told, tools};

#[test]
fn python_runs_a_module_as_a_job() {
    let Some((node, client)) = client() else { return };
    let (module, printed) = hello();
    let output = client.run(&node, &[&module]);
    assert_eq!(told(&output), format!("exit 0\n--- stdout\n{printed}--- stderr\nfrom-python: Complete\n"));
}

#[test]
fn python_is_told_which_field_is_wrong() {
    let Some((node, client)) = client() else { return };
    let output = client.run(&node, &["--name", "Not_A_Name", &hello().0]);
    expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: metadata.name: `Not_A_Name` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
    "#]]
    .assert_eq(&told(&output));
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
    fn run(&self, node: &Node, args: &[&str]) -> Output {
        self.command(&["--server", node.address()]).args(args).output().unwrap()
    }

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
