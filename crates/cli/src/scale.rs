//! `wick scale`: how many Pods of a Job run at once.

use api::pb::k8s::batch::v1::Job;
use api::pb::wick::v1::PatchType;
use clap::Args;
use serde_json::json;

use crate::change::{self, Subjects, each, say, warn_if_finished};
use crate::chosen::Named;
use crate::failure::{Failure, tell};
use crate::kind::Kind;
use crate::session::{Global, Session};

const EXAMPLES: &str = "\
Examples:
  wick scale job hello --replicas 3
  wick scale job/hello --replicas 0
  wick scale job hello --current-replicas 2 --replicas 3

A Job's replicas are its spec.parallelism: with 0 nothing runs, and fewer than
before stops the newest Pods. How many Pods must succeed stays as it is.";

/// Sets how many pods of jobs run at once
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Scale {
    #[command(flatten)]
    subjects: Subjects,

    /// How many Pods are to run at once
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(0..), allow_negative_numbers = true)]
    replicas: i32,

    /// Only if it is this many now
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(0..), allow_negative_numbers = true)]
    current_replicas: Option<i32>,

    /// Only if this is its resourceVersion
    #[arg(long, value_name = "VERSION")]
    resource_version: Option<String>,
}

impl Scale {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let (session, jobs) = self.subjects.find(global, &[Kind::Job], "scaled").await?;
        each(&jobs, async |job| self.one(&session, job).await).await
    }

    async fn one(&self, session: &Session, named: &Named) -> Result<(), Failure> {
        let before = change::read(session, named).await?.job().unwrap_or_default();
        let now = parallelism(&before);
        if let Some(wanted) = self.current_replicas
            && wanted != now
        {
            return Err(Failure::refused(format!("{}: it is {now} now, not {wanted}", named.qualified())));
        }
        let patched = change::patch(session, named, PatchType::Json, self.patch(&before), false).await?;
        say(named, "scaled", patched.changed)?;
        if let Some(job) = patched.object.job() {
            warn_if_finished(&job);
        }
        if let Some(indexes) = elastic(&before)
            && indexes != self.replicas
        {
            tell(&hint(&named.name, indexes, self.replicas));
        }
        Ok(())
    }

    /// The change, with what it depends on: others may change the Job meanwhile.
    fn patch(&self, before: &Job) -> String {
        let mut operations = Vec::new();
        if self.current_replicas.is_some() {
            let now = before.spec.as_ref().and_then(|spec| spec.parallelism);
            operations.push(json!({"op": "test", "path": "/spec/parallelism", "value": now}));
        }
        if let Some(version) = &self.resource_version {
            operations.push(json!({"op": "add", "path": "/metadata/resourceVersion", "value": version}));
        }
        operations.push(json!({"op": "add", "path": "/spec/parallelism", "value": self.replicas}));
        json!(operations).to_string()
    }
}

fn parallelism(job: &Job) -> i32 {
    job.spec.as_ref().and_then(|spec| spec.parallelism).unwrap_or(1)
}

/// How many indexes a Job has of which all run at once: for it people may mean the indexes.
fn elastic(job: &Job) -> Option<i32> {
    let spec = job.spec.as_ref()?;
    let indexed = spec.completion_mode.as_deref() == Some("Indexed");
    spec.completions.filter(|completions| indexed && *completions == parallelism(job))
}

fn hint(name: &str, indexes: i32, replicas: i32) -> String {
    format!(
        "hint: up to {replicas} of its {indexes} indexes run at once now; to change how many there are: wick patch job {name} \
         -p '{{\"spec\":{{\"completions\":{replicas},\"parallelism\":{replicas}}}}}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use expect_test::expect;

    #[test]
    fn what_a_change_depends_on_is_sent_with_it() {
        let patch = |current_replicas, version: Option<&str>| {
            let subjects = Subjects { what: Vec::new(), chosen: crate::chosen::Chosen::default() };
            let resource_version = version.map(str::to_owned);
            Scale { subjects, replicas: 3, current_replicas, resource_version }.patch(&samples::job("hello"))
        };
        expect![[r#"[{"op":"add","path":"/spec/parallelism","value":3}]"#]].assert_eq(&patch(None, None));
        expect![[r#"[{"op":"test","path":"/spec/parallelism","value":2},{"op":"add","path":"/metadata/resourceVersion","value":"7"},{"op":"add","path":"/spec/parallelism","value":3}]"#]]
            .assert_eq(&patch(Some(2), Some("7")));
    }

    #[test]
    fn only_a_job_whose_indexes_all_run_at_once_is_elastic() {
        let job = |mode: &str, completions, parallelism| {
            let mut job = samples::job("hello");
            let spec = job.spec.as_mut().unwrap().make_mut();
            spec.completion_mode = Some(mode.to_owned());
            (spec.completions, spec.parallelism) = (completions, parallelism);
            elastic(&job)
        };
        assert_eq!(job("Indexed", Some(4), Some(4)), Some(4));
        assert_eq!(job("Indexed", Some(1), None), Some(1));
        assert_eq!(job("Indexed", Some(4), Some(2)), None);
        assert_eq!(job("NonIndexed", Some(4), Some(4)), None);
        expect![[r#"hint: up to 2 of its 4 indexes run at once now; to change how many there are: wick patch job hello -p '{"spec":{"completions":2,"parallelism":2}}'"#]]
            .assert_eq(&hint("hello", 4, 2));
    }
}
