//! `buf`: it lints the schema, and `buf curl` knows of it only what reflection tells.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::{Deserializer, Value, json};
use wick_tests::{Node, PATIENCE, manifest, programs};

use crate::{hello, listening, told, tools};

#[test]
fn buf_lint_passes() {
    let Some(buf) = tools::buf() else { return };
    let output = Command::new(buf).arg("lint").current_dir(programs::root()).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn reflection_lists_every_service() {
    let Some(curl) = Curl::new() else { return };
    let listed = curl.command(&["--list-services", &curl.url("")]).output().unwrap();
    let services = String::from_utf8_lossy(&listed.stdout).into_owned();
    for service in
        ["EventService", "ImageService", "JobService", "ManifestService", "NodeService", "PodService"]
    {
        assert!(services.lines().any(|line| line == format!("wick.v1.{service}")), "{}", told(&listed));
    }
    assert!(services.lines().any(|line| line == "grpc.health.v1.Health"), "{}", told(&listed));
}

#[test]
fn the_agent_says_that_it_is_healthy() {
    let Some(curl) = Curl::new() else { return };
    assert_eq!(curl.ask("grpc.health.v1.Health/Check", &json!({})), json!({"status": "SERVING"}));
}

#[test]
fn a_job_is_pushed_created_watched_and_read() {
    let Some(curl) = Curl::new() else { return };
    let (module, printed) = hello();
    let module = std::fs::read(module).unwrap();
    let header = json!({"header": {"name": "hello", "sizeBytes": module.len().to_string()}});
    let parts = [header, json!({"chunk": base64(&module)})];
    let pushed = curl.ask_with("wick.v1.ImageService/Push", &parts);
    let digest = pushed["image"]["digest"].as_str().unwrap();

    let mut job = manifest::job("hello", digest);
    for only_in_manifests in ["apiVersion", "kind"] {
        job.as_object_mut().unwrap().remove(only_in_manifests);
    }
    let created = curl.ask("wick.v1.JobService/Create", &json!({"job": job}));
    assert_eq!(created["job"]["spec"]["completions"], 1, "defaults are filled in: {created:#}");

    let last = curl.watch("wick.v1.JobService/Watch", &json!({"filter": {"name": "hello"}}), |change| {
        let conditions = change["job"]["status"]["conditions"].as_array();
        conditions
            .is_some_and(|all| all.iter().any(|one| one["type"] == "Complete" && one["status"] == "True"))
    });
    assert_eq!(last["job"]["status"]["succeeded"], 1, "{last:#}");

    let pods = curl.ask("wick.v1.PodService/List", &json!({"filter": {"labelSelector": "job-name=hello"}}));
    let pod = &pods["pods"][0];
    assert_eq!(pod["status"]["phase"], "Succeeded", "{pods:#}");
    let log = curl.ask("wick.v1.PodService/Logs", &json!({"name": pod["metadata"]["name"]}));
    assert_eq!(log["lines"][0]["text"], base64(printed.trim_end().as_bytes()), "{log:#}");
}

#[test]
fn a_manifest_is_sent_as_it_is_written() {
    let Some(curl) = Curl::new() else { return };
    let text = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: later}\nspec:\n  parallelism: 0\n  template:\n    \
                spec:\n      restartPolicy: Never\n      containers: [{name: main, image: hello}]\n";
    let request = json!({"manifest": text});
    let answer = curl.ask("wick.v1.ManifestService/Apply", &request);
    let result = &answer["results"][0];
    assert_eq!(
        (&result["name"], &result["outcome"]),
        (&"later".into(), &"APPLY_OUTCOME_CREATED".into()),
        "{answer:#}"
    );
    let again = curl.ask("wick.v1.ManifestService/Apply", &request);
    assert_eq!(again["results"][0]["outcome"], "APPLY_OUTCOME_UNCHANGED", "{again:#}");
}

#[test]
fn a_refused_job_is_told_with_every_path() {
    let Some(curl) = Curl::new() else { return };
    let job = json!({
        "metadata": {"name": "Not_A_Name"},
        "spec": {"parallelism": -1, "template": {"spec": {"restartPolicy": "Always"}}},
    });
    let refused = curl.refused("wick.v1.JobService/Create", &json!({"job": job}));
    assert_eq!(refused["code"], "invalid_argument", "{refused:#}");
    assert_eq!(refused["details"][0]["type"], "google.rpc.BadRequest", "{refused:#}");
    let message = refused["message"].as_str().unwrap();
    for path in ["metadata.name: ", "spec.parallelism: ", "spec.template.spec.restartPolicy: "] {
        assert!(message.contains(path), "{path}: {message}");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let Some(curl) = Curl::new() else { return };
    let refused = curl.refused("wick.v1.JobService/Get", &json!({"name": "nobody"}));
    assert_eq!(refused["code"], "not_found", "{refused:#}");
    assert!(refused["message"].as_str().unwrap().contains("`nobody`"), "{refused:#}");
}

/// `buf curl`, and a node that it asks.
struct Curl {
    buf: std::path::PathBuf,
    node: Node,
}

impl Curl {
    /// `None` where there is no `buf`.
    fn new() -> Option<Curl> {
        Some(Curl { buf: tools::buf()?, node: listening() })
    }

    fn url(&self, method: &str) -> String {
        format!("http://{}/{method}", self.node.address())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.buf);
        command.args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"]).args(args);
        command.current_dir(self.node.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    fn output(&self, method: &str, requests: &[Value]) -> Output {
        let mut command = self.command(&["--data", "@-", &self.url(method)]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let text: String = requests.iter().map(|request| format!("{request}\n")).collect();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// The answer to one request.
    fn ask(&self, method: &str, request: &Value) -> Value {
        self.ask_with(method, std::slice::from_ref(request))
    }

    /// The answer to a stream of requests.
    fn ask_with(&self, method: &str, requests: &[Value]) -> Value {
        let output = self.output(method, requests);
        assert!(output.status.success(), "{method}: {}", told(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{method}: {}", told(&output)))
    }

    /// The error that one request is answered with.
    fn refused(&self, method: &str, request: &Value) -> Value {
        let output = self.output(method, std::slice::from_ref(request));
        assert!(!output.status.success(), "{method} is not refused: {}", told(&output));
        serde_json::from_slice(&output.stderr).unwrap_or_else(|_| panic!("{method}: {}", told(&output)))
    }

    /// The first answer of a stream that is as `wanted`; then the stream is left.
    fn watch(&self, method: &str, request: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut command = self.command(&["--data", &request.to_string(), &self.url(method)]);
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (say, said) = mpsc::channel();
        thread::spawn(move || {
            for answer in Deserializer::from_reader(stdout).into_iter::<Value>() {
                // The last one may be cut off, and nobody may be listening any more.
                let Ok(answer) = answer else { break };
                if say.send(answer).is_err() {
                    break;
                }
            }
        });
        let found = loop {
            match said.recv_timeout(PATIENCE) {
                Ok(answer) if wanted(&answer) => break Ok(answer),
                Ok(_) => {}
                Err(why) => break Err(why),
            }
        };
        child.kill().unwrap();
        child.wait().unwrap();
        found.unwrap_or_else(|why| panic!("{method}: no answer was as it should be: {why}"))
    }
}

/// Bytes as proto's JSON has them.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at)) as usize % 64];
            text.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}
