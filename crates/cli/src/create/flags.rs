//! Jobs and CronJobs from flags: the same as kubectl's, as the manifest that says the same.

use std::path::{Path, PathBuf};

use api::pb::wick::v1::RunOverrides;
use api::quantity::Quantity;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Telling, cron_job};
use crate::apply::pin;
use crate::failure::Failure;
use crate::image::LocalImage;
use crate::run::variable;
use crate::sources::Source;

/// A Job, from an image or a CronJob.
#[derive(Args, Debug)]
#[group(skip)]
pub(super) struct CreateJob {
    /// The Job's name; may be left out with --from, for one that begins with the CronJob's
    pub(super) name: Option<String>,

    /// The CronJob to start it from: cronjob/NAME
    #[arg(long, value_name = "cronjob/NAME", conflicts_with = "image")]
    from: Option<String>,

    /// The image of its container, or a path to it
    #[arg(long)]
    image: Option<String>,

    #[command(flatten)]
    pub(super) different: Different,

    #[command(flatten)]
    pub(super) telling: Telling,

    /// The container's command, after --: what the program is called, then arguments
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "from")]
    command: Vec<String>,
}

/// What is different from the CronJob's template, or from nothing.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub(super) struct Different {
    /// A variable of the container's environment; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,

    /// An argument, instead of the container's; may be given several times
    #[arg(long = "arg", value_name = "ARG", allow_hyphen_values = true)]
    args: Vec<String>,

    /// The most instructions each run of the container may take: 5M, 2G, …
    #[arg(long, value_name = "QUANTITY", value_parser = fuel)]
    fuel: Option<u64>,

    /// The container this is about [default: the first]
    #[arg(long, value_name = "NAME", conflicts_with = "image")]
    container: Option<String>,
}

/// A CronJob.
#[derive(Args, Debug)]
#[group(skip)]
pub(super) struct CreateCronJob {
    /// The CronJob's name
    name: String,

    /// The image of its container, or a path to it
    #[arg(long)]
    image: String,

    /// When it is due: minute, hour, day of month, month, day of week; or @hourly and the like
    #[arg(long, value_name = "CRON")]
    schedule: String,

    /// The zone the schedule is meant in, as in Europe/Berlin [default: the device's]
    #[arg(long, alias = "tz", value_name = "ZONE")]
    time_zone: Option<String>,

    /// What happens when its container fails: OnFailure (start it again) or Never (make another Pod)
    #[arg(long, value_enum, default_value_t = Restart::OnFailure, ignore_case = true, value_name = "POLICY")]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    restart: Restart,

    #[command(flatten)]
    pub(super) telling: Telling,

    /// The container's command, after --: what the program is called, then arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Restart {
    OnFailure,
    Never,
}

/// An amount of fuel, as in manifests: `5M`.
fn fuel(text: &str) -> Result<u64, String> {
    let amount: Quantity = text.parse().map_err(|error| format!("`{text}` {error}"))?;
    match u64::try_from(amount.value()) {
        Ok(0) | Err(_) => Err("the least is 1: with no fuel nothing runs".to_owned()),
        Ok(amount) => Ok(amount),
    }
}

impl CreateJob {
    /// The CronJob it is made from, if it is made from one.
    pub(super) fn from(&self) -> Result<Option<String>, Failure> {
        self.from.as_deref().map(cron_job).transpose()
    }

    /// The manifest that says the same.
    pub(super) fn manifest(&self) -> Result<Source, Failure> {
        let Some(image) = &self.image else {
            return Err(Failure::not_asked("the Job is made from nothing")
                .hint("either --from cronjob/NAME or --image IMAGE"));
        };
        let Some(name) = &self.name else {
            return Err(Failure::not_asked("the Job has no name").hint("wick create job NAME --image IMAGE"));
        };
        readable(image)?;
        let mut container = container(name, image, &self.command);
        let Different { env, args, fuel, container: _ } = &self.different;
        if !args.is_empty() {
            container["args"] = json!(args);
        }
        if !env.is_empty() {
            let variables = env.iter().map(|(key, value)| json!({"name": key, "value": value}));
            container["env"] = variables.collect();
        }
        if let Some(fuel) = fuel {
            container["resources"] = json!({"limits": {"wick.dev/fuel": fuel.to_string()}});
        }
        let spec = json!({"template": {"spec": {"containers": [container], "restartPolicy": "Never"}}});
        Ok(source("Job", name, &spec))
    }
}

impl CreateCronJob {
    /// The manifest that says the same.
    pub(super) fn manifest(&self) -> Result<Source, Failure> {
        readable(&self.image)?;
        let container = container(&self.name, &self.image, &self.command);
        let restart = match self.restart {
            Restart::OnFailure => "OnFailure",
            Restart::Never => "Never",
        };
        let mut spec = json!({"schedule": self.schedule});
        if let Some(zone) = &self.time_zone {
            spec["timeZone"] = json!(zone);
        }
        let template = json!({"spec": {"containers": [container], "restartPolicy": restart}});
        spec["jobTemplate"] = json!({"spec": {"template": template}});
        Ok(source("CronJob", &self.name, &spec))
    }
}

impl Different {
    /// As the agent is asked for it.
    pub(super) fn overrides(&self) -> RunOverrides {
        RunOverrides {
            container: self.container.clone().unwrap_or_default(),
            env: self.env.iter().cloned().collect(),
            args: self.args.clone(),
            fuel: self.fuel,
        }
    }
}

/// Refuses an image that is a file, and cannot be read.
fn readable(image: &str) -> Result<(), Failure> {
    let Some(path) = pin::file(image, Path::new("")) else { return Ok(()) };
    LocalImage::find(&path).map(|_| ()).map_err(|error| Failure::file(&path, &error))
}

fn container(name: &str, image: &str, command: &[String]) -> Value {
    let mut container = json!({"name": name, "image": image});
    if !command.is_empty() {
        container["command"] = json!(command);
    }
    container
}

fn source(kind: &str, name: &str, spec: &Value) -> Source {
    let object = json!({"apiVersion": "batch/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    // What YAML reads is JSON too, and JSON needs no thought about quoting.
    Source { name: "--image".to_owned(), text: object.to_string(), dir: PathBuf::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use expect_test::{Expect, expect};

    #[derive(Parser)]
    enum Line {
        Job(CreateJob),
        #[command(name = "cronjob")]
        CronJob(CreateCronJob),
    }

    #[test]
    fn a_job_from_an_image_is_what_kubectl_makes_of_it() {
        check(
            "job hello --image hello:1",
            expect![[r#"
            {"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"hello"},"spec":{"template":{"spec":{"containers":[{"name":"hello","image":"hello:1"}],"restartPolicy":"Never"}}}}
        "#]],
        );
        check(
            "job hello --image=hello:1 --env A=b=c --arg=-v --fuel 5M -- hello --quick",
            expect![[r#"
            {"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"hello"},"spec":{"template":{"spec":{"containers":[{"name":"hello","image":"hello:1","command":["hello","--quick"],"args":["-v"],"env":[{"name":"A","value":"b=c"}],"resources":{"limits":{"wick.dev/fuel":"5000000"}}}],"restartPolicy":"Never"}}}}
        "#]],
        );
    }

    #[test]
    fn a_cronjob_is_what_kubectl_makes_of_it() {
        check(
            "cronjob nightly --image hello:1 --schedule @daily",
            expect![[r#"
            {"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"nightly"},"spec":{"schedule":"@daily","jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"nightly","image":"hello:1"}],"restartPolicy":"OnFailure"}}}}}}
        "#]],
        );
        check(
            "cronjob nightly --image hello:1 --schedule @daily --tz Asia/Seoul --restart never -- hello -v",
            expect![[r#"
                {"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"nightly"},"spec":{"schedule":"@daily","timeZone":"Asia/Seoul","jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"nightly","image":"hello:1","command":["hello","-v"]}],"restartPolicy":"Never"}}}}}}
            "#]],
        );
    }

    #[test]
    fn a_job_from_a_cronjob_may_differ() {
        check(
            "job try --from cj/nightly",
            expect![[r#"
            nightly as Some("try"): {}
        "#]],
        );
        check(
            "job --from cronjob.batch/nightly --env A=b --env C= --arg=-v --arg x --fuel 1k --container main",
            expect![[r#"
                nightly as None: {"container":"main","env":{"A":"b","C":""},"args":["-v","x"],"fuel":1000}
            "#]],
        );
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        check(
            "job try",
            expect![[r#"
                error: the Job is made from nothing
                hint: either --from cronjob/NAME or --image IMAGE
            "#]],
        );
        check(
            "job --image hello:1",
            expect![[r#"
            error: the Job has no name
            hint: wick create job NAME --image IMAGE
        "#]],
        );
        check(
            "job try --from nightly",
            expect![[r#"
                error: `nightly` is not cronjob/NAME; a Job is made from a CronJob
                hint: for instance: --from cronjob/nightly
            "#]],
        );
        check(
            "job try --from pod/nightly",
            expect![[r#"
                error: `pod/nightly` is one of the pods; a Job is made from a CronJob
                hint: for instance: --from cronjob/nightly
            "#]],
        );
        check(
            "job try --from cj/a --image b",
            expect![[r#"
            error: the argument '--from <cronjob/NAME>' cannot be used with '--image <IMAGE>'

        "#]],
        );
        check(
            "job try --from cj/a -- date",
            expect![[r#"
            error: the argument '--from <cronjob/NAME>' cannot be used with '[COMMAND]...'

        "#]],
        );
        check(
            "job try --image a --container b",
            expect![[r#"
                error: the argument '--image <IMAGE>' cannot be used with '--container <NAME>'

            "#]],
        );
        check(
            "job try --from cj/a --fuel 0",
            expect![[r#"
            error: invalid value '0' for '--fuel <QUANTITY>': the least is 1: with no fuel nothing runs

        "#]],
        );
        check(
            "job try --from cj/a --fuel much",
            expect![[r#"
            error: invalid value 'much' for '--fuel <QUANTITY>': `much` is no quantity; write a number and perhaps a suffix, as in `500m`, `2`, `128Mi` or `1e3`

        "#]],
        );
        check(
            "job try --from cj/a --env A",
            expect![[r#"
            error: invalid value 'A' for '--env <KEY=VALUE>': it is not KEY=VALUE

        "#]],
        );
        check(
            "cronjob nightly --image ./a.wasm --schedule @daily",
            expect![[r#"
            error: ./a.wasm: no such file or directory
        "#]],
        );
        check(
            "job a --image /nowhere/a.wasm",
            expect![[r#"
            error: /nowhere/a.wasm: no such file or directory
        "#]],
        );
        check(
            "cronjob nightly --image a",
            expect![[r#"
            error: the following required arguments were not provided:
              --schedule <CRON>
        "#]],
        );
        check(
            "cronjob nightly --image a --schedule b --restart Always",
            expect![[r#"
            error: invalid value 'Always' for '--restart <POLICY>'
              [possible values: OnFailure, Never]
        "#]],
        );
    }

    fn check(line: &str, wanted: Expect) {
        let words = ["create"].into_iter().chain(line.split(' '));
        let said = match Line::try_parse_from(words) {
            Ok(Line::Job(job)) => match job.from() {
                Ok(Some(cron_job)) => Ok(format!(
                    "{cron_job} as {:?}: {}\n",
                    job.name,
                    api::json::to_json(&job.different.overrides())
                )),
                Ok(None) => job.manifest().map(|source| source.text + "\n"),
                Err(failure) => Err(failure),
            },
            Ok(Line::CronJob(cron_job)) => cron_job.manifest().map(|source| source.text + "\n"),
            Err(error) => Ok(error.to_string().lines().take(2).collect::<Vec<_>>().join("\n") + "\n"),
        };
        let said = match said {
            Ok(said) => said,
            Err(Failure::NotAsked(words)) => format!("{words}\n"),
            Err(failure) => format!("{failure:?}\n"),
        };
        wanted.assert_eq(&said);
    }
}
