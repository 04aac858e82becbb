//! `wick logs`: what guests wrote.
//!
//! Of a Pod, one container's. Of a Job, each Pod's in the order they were made; with `-f` all of them as they come, until
//! the Job is finished ([`follow`]). Of a CronJob, its newest Job's.

pub(crate) mod follow;

use std::time::Duration;

use api::pb::k8s::core::v1::Pod;
use api::pb::wick::v1::PodServiceLogsRequest;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use tonic::Code;

use crate::clock::{Clock, wire};
use crate::describe::{owned_jobs, sort_by_age};
use crate::failure::{Failure, tell};
use crate::kind::{Kind, pair};
use crate::lines::Lines;
use crate::objects::{self, Object, pods_of};
use crate::output::print_bytes;
use crate::session::{Global, Session};

const EXAMPLES: &str = "\
Examples:
  wick logs hello-x7k2p             What a Pod wrote
  wick logs job/hello               What all Pods of a Job wrote
  wick logs -f job/hello            All of it, until the Job is finished
  wick logs cronjob/nightly         What the newest Job of a CronJob wrote
  wick logs --previous hello-x7k2p  The run before the last restart
  wick logs --tail 20 hello-x7k2p";

/// The annotation that names the container to read when none is asked for, as kubectl knows it.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Prints what guests wrote
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Logs {
    /// A Pod's name, pod/NAME, job/NAME or cronjob/NAME (of its newest Job)
    #[arg(value_name = "POD|KIND/NAME")]
    what: String,

    /// The container [default: the Pod's first]
    #[arg(value_name = "CONTAINER", conflicts_with = "container")]
    container_too: Option<String>,

    /// The container [default: the Pod's first]
    #[arg(short, long, value_name = "NAME", conflicts_with = "all_containers")]
    container: Option<String>,

    /// All containers, one after the other
    #[arg(long)]
    all_containers: bool,

    /// Go on until the container has ended, or the Job is finished
    #[arg(short, long)]
    follow: bool,

    /// The run before the last restart
    #[arg(short, long, conflicts_with = "follow")]
    previous: bool,

    /// Begin with the last so many lines; -1 for all
    #[arg(long, value_name = "LINES", default_value_t = -1, hide_default_value = true, allow_negative_numbers = true)]
    tail: i64,

    /// Only lines written in the last 5s, 2m, 3h, …
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "since_time")]
    since: Option<SignedDuration>,

    /// Only lines written at or after this time: 2026-11-20T15:00:00Z
    #[arg(long, value_name = "TIME")]
    since_time: Option<Timestamp>,

    /// End after so many bytes
    #[arg(long, value_name = "BYTES")]
    limit_bytes: Option<u64>,

    /// Say when each line was written
    #[arg(long)]
    timestamps: bool,

    /// Say whose each line is
    #[arg(long)]
    prefix: bool,
}

/// A duration as people write it: `30s`, `1m30s`, `2h`.
pub(crate) fn duration(text: &str) -> Result<SignedDuration, String> {
    match text {
        "0" => Ok(SignedDuration::ZERO),
        text => text.parse().map_err(|_| format!("`{text}` is not a duration such as 30s, 1m30s or 2h")),
    }
}

impl Logs {
    pub(crate) async fn run(mut self, global: &Global) -> Result<(), Failure> {
        self.container = self.container.or_else(|| self.container_too.take());
        if self.all_containers && self.container.is_some() {
            return Err(Failure::not_asked("either one container or all of them"));
        }
        if self.tail < -1 {
            return Err(Failure::not_asked(format!("--tail {}: the least is -1, for all lines", self.tail)));
        }
        let (kind, name) =
            if self.what.contains('/') { pair(&self.what)? } else { (Kind::Pod, self.what.clone()) };
        let session = global.connect().await?;
        match kind {
            Kind::Pod => self.of_pod(&session, &name).await,
            Kind::Job if self.follow => follow::job(&self, &session, &name).await,
            Kind::Job => self.of_job(&session, &name).await,
            Kind::CronJob => {
                let job = newest_job(&session, &name).await?;
                match self.follow {
                    true => follow::job(&self, &session, &job).await,
                    false => self.of_job(&session, &job).await,
                }
            }
            Kind::Event | Kind::Image | Kind::Node => {
                Err(Failure::not_asked(format!("{} write nothing", kind.plural()))
                    .hint("name a pod, job/NAME, or cronjob/NAME"))
            }
        }
    }

    async fn of_pod(&self, session: &Session, name: &str) -> Result<(), Failure> {
        let pod = self.pod(session, name).await?;
        let mut lines = self.lines();
        for container in self.containers(&pod, true)? {
            self.copy(session, &pod, &container, &mut lines).await?;
        }
        Ok(())
    }

    async fn of_job(&self, session: &Session, name: &str) -> Result<(), Failure> {
        // Asked for first: without the Job there is a better error than that it has no Pods.
        objects::get(&session.agent, Kind::Job, &session.namespace, name).await?;
        let listed = objects::list(&session.agent, Kind::Pod, pods_of(&session.namespace, name)).await?;
        let mut pods: Vec<Pod> = listed.into_iter().filter_map(Object::pod).collect();
        sort_by_age(&mut pods);
        if pods.is_empty() {
            return Err(Failure::refused(format!("job `{name}` has no Pods now"))
                .hint(format!("wick describe job {name} says why; wick logs -f job/{name} waits for them")));
        }
        let mut lines = self.lines();
        let mut printed = 0;
        for pod in &pods {
            for container in self.containers(pod, pods.len() == 1)? {
                match self.copy(session, pod, &container, &mut lines).await {
                    Ok(()) => printed += 1,
                    // One that has not started, or was collected meanwhile, does not keep the others from being read.
                    Err(failure @ Failure::Refused(_)) => failure.tell(),
                    Err(failure) => return Err(failure),
                }
            }
        }
        if printed > 0 { Ok(()) } else { Err(Failure::Said) }
    }

    async fn pod(&self, session: &Session, name: &str) -> Result<Pod, Failure> {
        let object = objects::get(&session.agent, Kind::Pod, &session.namespace, name).await?;
        object.pod().ok_or_else(|| Failure::refused(format!("pod `{name}` is not a Pod")))
    }

    /// Follows every container there is.
    pub(crate) fn following() -> Logs {
        Logs {
            what: String::new(),
            container_too: None,
            container: None,
            all_containers: true,
            follow: true,
            previous: false,
            tail: -1,
            since: None,
            since_time: None,
            limit_bytes: None,
            timestamps: false,
            prefix: false,
        }
    }

    fn lines(&self) -> Lines {
        Lines::new(self.timestamps, self.prefix)
    }

    /// The containers of `pod` to read; says which it chose if it is to choose `aloud`.
    fn containers(&self, pod: &Pod, aloud: bool) -> Result<Vec<String>, Failure> {
        let meta = pod.metadata.clone().unwrap_or_default();
        let spec = pod.spec.as_ref();
        let init = spec.map(|spec| spec.init_containers.as_slice()).unwrap_or_default();
        let main = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
        let all: Vec<String> = init.iter().chain(main).map(|container| container.name.clone()).collect();
        if self.all_containers {
            return Ok(all);
        }
        if let Some(wanted) = &self.container {
            if all.contains(wanted) {
                return Ok(vec![wanted.clone()]);
            }
            return Err(Failure::refused(format!("no container named `{wanted}` in pod `{}`", meta.name))
                .hint(format!("containers of this Pod: `{}`", all.join("`, `"))));
        }
        let annotated = meta.annotations.get(DEFAULT_CONTAINER).filter(|name| all.contains(name));
        let Some(chosen) = annotated.or(main.first().map(|container| &container.name)) else {
            return Err(Failure::refused(format!("pod `{}` has no containers", meta.name)));
        };
        if aloud && all.len() > 1 {
            tell(&format!("Defaulted container \"{chosen}\" out of: {}", all.join(", ")));
        }
        Ok(vec![chosen.clone()])
    }

    fn request(&self, pod: &Pod, container: &str) -> PodServiceLogsRequest {
        let meta = pod.metadata.clone().unwrap_or_default();
        let since = self.since.and_then(|since| Clock::read().now.checked_sub(since).ok());
        PodServiceLogsRequest {
            namespace: meta.namespace,
            name: meta.name,
            container: container.to_owned(),
            follow: self.follow,
            previous: self.previous,
            tail_lines: u64::try_from(self.tail).ok(),
            since_time: self.since_time.or(since).map(wire),
            limit_bytes: self.limit_bytes,
        }
    }

    async fn copy(
        &self,
        session: &Session,
        pod: &Pod,
        container: &str,
        lines: &mut Lines,
    ) -> Result<(), Failure> {
        let request = self.request(pod, container);
        let source = source(&request.name, container, self.all_containers);
        let mut stream =
            session.agent.pods().logs(request).await.map_err(|status| about(status, &source))?.into_inner();
        while let Some(part) = stream.message().await.map_err(|status| about(status, &source))? {
            let bytes: Vec<u8> = part.lines.iter().flat_map(|line| lines.print(&source, line)).collect();
            print_bytes(&bytes)?;
        }
        Ok(())
    }
}

/// Whose a line is: `pod/hello-x7k2p`, with the container where there is a choice.
fn source(pod: &str, container: &str, several: bool) -> String {
    if several { format!("pod/{pod}/{container}") } else { format!("pod/{pod}") }
}

/// An answer of the agent, with whom it is about.
fn about(status: tonic::Status, source: &str) -> Failure {
    match status.code() {
        Code::NotFound | Code::FailedPrecondition if !status.message().contains(source_name(source)) => {
            Failure::refused(format!("{source}: {}", status.message()))
        }
        _ => status.into(),
    }
}

fn source_name(source: &str) -> &str {
    source.split('/').nth(1).unwrap_or(source)
}

/// The newest Job of a CronJob.
async fn newest_job(session: &Session, cron_job: &str) -> Result<String, Failure> {
    let owner = objects::get(&session.agent, Kind::CronJob, &session.namespace, cron_job).await?;
    let jobs = owned_jobs(session, &owner).await?;
    let Some((newest, others)) = jobs.split_last() else {
        return Err(Failure::refused(format!("cronjob `{cron_job}` has no Jobs now"))
            .hint(format!("wick describe cronjob {cron_job} says when it starts one")));
    };
    let name = newest.metadata.clone().unwrap_or_default().name;
    if !others.is_empty() {
        tell(&format!("job/{name} is the newest of {} Jobs", jobs.len()));
    }
    Ok(name)
}

/// A wait that tokio can wait for; less than nothing is nothing.
pub(crate) fn wait_of(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use clap::Parser;
    use expect_test::{Expect, expect};

    #[test]
    fn without_a_word_it_is_the_first_container() {
        check("pod", "run run", expect!["a"]);
        check("pod -c b", "run run", expect!["b"]);
        check("pod b", "run run", expect!["b"]);
        check("pod --all-containers", "i:end:Completed:0 run run", expect!["a b c"]);
        check("pod", "i:end:Completed:0 run", expect!["b"]);
    }

    #[test]
    fn a_container_that_is_not_there_is_told_the_others() {
        check(
            "pod -c nginx",
            "run run",
            expect![[r#"
                error: no container named `nginx` in pod `hello-x7k2p`
                hint: containers of this Pod: `a`, `b`"#]],
        );
    }

    #[test]
    fn durations_are_gos() {
        let read = |text| duration(text).map(|duration| duration.as_millis());
        assert_eq!(read("1m30s"), Ok(90_000));
        assert_eq!(read("1.5h"), Ok(5_400_000));
        assert_eq!(read("100ms"), Ok(100));
        assert_eq!(read("0"), Ok(0));
        assert_eq!(read("-1s"), Ok(-1000));
        expect!["`30` is not a duration such as 30s, 1m30s or 2h"].assert_eq(&read("30").unwrap_err());
    }

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        logs: Logs,
    }

    fn check(flags: &str, containers: &str, wanted: Expect) {
        let words = ["logs"].into_iter().chain(flags.split(' '));
        let mut logs = Command::try_parse_from(words).unwrap().logs;
        logs.container = logs.container.or(logs.container_too.take());
        let said = match logs.containers(&samples::pod("hello-x7k2p", "Running", containers), false) {
            Ok(containers) => containers.join(" "),
            Err(Failure::Refused(words)) => words.to_string(),
            Err(failure) => format!("{failure:?}"),
        };
        wanted.assert_eq(&said);
    }
}
