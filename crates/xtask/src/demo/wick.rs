//! Asks the agent through the real `wick`, and reads what it prints.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::record::{Job, Pod, Record, Verdict};
use crate::project;

/// What `wick` ends with when it could not ask.
const NOT_ASKED: i32 = 2;

/// The program, and the socket it is to use.
pub(crate) struct Wick {
    program: PathBuf,
    socket: PathBuf,
}

impl Wick {
    pub(crate) fn new(program: &Path, socket: &Path) -> Wick {
        Wick { program: program.to_owned(), socket: socket.to_owned() }
    }

    /// Whether somebody answers on the socket.
    pub(crate) fn answers(&self) -> Result<bool> {
        let mut command = self.command(&["get", "jobs", "-o", "name"]);
        let output = output(&mut command)?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(NOT_ASKED) => Ok(false),
            _ => Err(failed(&command, &output)),
        }
    }

    /// What it prints when it is given `args`.
    pub(crate) fn ask(&self, args: &[&str]) -> Result<String> {
        let mut command = self.command(args);
        let output = output(&mut command)?;
        if !output.status.success() {
            return Err(failed(&command, &output));
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{}`: not text", project::line(&command)))
    }

    /// The Job `name` and its Pods, as they are on record now.
    pub(crate) fn record(&self, name: &str) -> Result<Record> {
        let job = self.ask(&["get", "job", name, "-o", "json"])?;
        let pods = self.ask(&["get", "pods", "-l", &format!("job-name={name}"), "-o", "json"])?;
        Ok(Record { job: job_from(&job)?, pods: pods_from(&pods)? })
    }

    /// The Job `name` alone.
    pub(crate) fn job(&self, name: &str) -> Result<Job> {
        job_from(&self.ask(&["get", "job", name, "-o", "json"])?)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env("WICK_SOCKET", &self.socket).env_remove("WICK_SERVER").args(args);
        command
    }
}

fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("`{}` could not be started", project::line(command)))
}

fn failed(command: &Command, output: &Output) -> anyhow::Error {
    let words = String::from_utf8_lossy(&output.stderr);
    anyhow!("`{}` failed: {}: {}", project::line(command), output.status, words.trim())
}

fn job_from(text: &str) -> Result<Job> {
    let job: Value = serde_json::from_str(text).context("the Job is not JSON")?;
    Ok(Job {
        completions: number(&job, "/spec/completions")?,
        succeeded: number(&job, "/status/succeeded")?,
        active: number(&job, "/status/active")?,
        verdict: verdict(&job),
    })
}

fn pods_from(text: &str) -> Result<Vec<Pod>> {
    let list: Value = serde_json::from_str(text).context("the list of Pods is not JSON")?;
    let Some(items) = list.pointer("/items").and_then(Value::as_array) else {
        bail!("the list of Pods has no items");
    };
    items.iter().map(pod_from).collect()
}

fn pod_from(pod: &Value) -> Result<Pod> {
    Ok(Pod {
        name: text(pod, "/metadata/name")?,
        uid: text(pod, "/metadata/uid")?,
        phase: text(pod, "/status/phase")?,
        restarts: number(pod, "/status/containerStatuses/0/restartCount")?,
    })
}

fn verdict(job: &Value) -> Option<Verdict> {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array)?;
    let field = |condition: &Value, name| condition[name].as_str().unwrap_or_default().to_owned();
    conditions.iter().filter(|condition| condition["status"] == "True").find_map(|condition| {
        match condition["type"].as_str() {
            Some("Complete") => Some(Verdict::Complete),
            Some("Failed") => Some(Verdict::Failed {
                reason: field(condition, "reason"),
                message: field(condition, "message"),
            }),
            _ => None,
        }
    })
}

/// A number that Kubernetes' JSON leaves out when it is 0.
fn number(value: &Value, path: &str) -> Result<u32> {
    match value.pointer(path) {
        None | Some(Value::Null) => Ok(0),
        Some(number) => number
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .with_context(|| format!("{path}: {number} is not a count")),
    }
}

fn text(value: &Value, path: &str) -> Result<String> {
    let text = value.pointer(path).and_then(Value::as_str);
    text.map(str::to_owned).with_context(|| format!("{path}: missing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn counts_that_are_left_out_are_zero() {
        check(
            r#"{"spec": {"completions": 10}, "status": {"active": 4}}"#,
            r#"{"items": [{"metadata": {"name": "work-a", "uid": "1"}, "status": {"phase": "Pending"}}]}"#,
            expect!["0 of 10 succeeded, 4 active; work-a (1) Pending 0"],
        );
    }

    #[test]
    fn a_verdict_is_a_condition_that_is_true() {
        check(
            r#"{"spec": {"completions": 2}, "status": {"succeeded": 2, "conditions": [
                {"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Failed", "status": "False"},
                {"type": "Complete", "status": "True"}]}}"#,
            r#"{"items": []}"#,
            expect!["2 of 2 succeeded, 0 active, Complete"],
        );
        check(
            r#"{"spec": {"completions": 2}, "status": {"conditions": [
                {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}]}}"#,
            r#"{"items": []}"#,
            expect![[
                r#"0 of 2 succeeded, 0 active, Failed { reason: "DeadlineExceeded", message: "too long" }"#
            ]],
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        check(
            r#"{"spec": {"completions": 1}}"#,
            r#"{"items": [{"metadata": {"name": "work-a"}}]}"#,
            expect!["/metadata/uid: missing"],
        );
        check(
            r#"{"status": {"active": "four"}}"#,
            r#"{"items": []}"#,
            expect![[r#"/status/active: "four" is not a count"#]],
        );
    }

    fn check(job: &str, pods: &str, wanted: Expect) {
        let said = job_from(job).and_then(|job| Ok((job, pods_from(pods)?)));
        let said = match said {
            Ok((job, pods)) => {
                let mut text =
                    format!("{} of {} succeeded, {} active", job.succeeded, job.completions, job.active);
                if let Some(verdict) = &job.verdict {
                    text += &format!(", {verdict:?}");
                }
                for pod in &pods {
                    text += &format!("; {} ({}) {} {}", pod.name, pod.uid, pod.phase, pod.restarts);
                }
                text
            }
            Err(error) => format!("{error:#}"),
        };
        wanted.assert_eq(&said);
    }
}
