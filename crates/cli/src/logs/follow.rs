//! Follows all Pods of a Job, those to come and their restarts too, until the Job is finished.
//!
//! A watch tells of each run of each container; a task of its own reads it. A container's runs are read one after the
//! other; lines of different containers are printed as they arrive.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use api::pb::k8s::core::v1::{ContainerStatus, Pod};
use api::pb::wick::v1::{LogLine, PodServiceLogsRequest};
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::{Logs, source};
use crate::client::Agent;
use crate::failure::{Failure, tell};
use crate::kind::Kind;
use crate::lines::Lines;
use crate::objects::{self, Change, Object, Watch, missing, only, pods_of};
use crate::output::print_bytes;
use crate::session::Session;
use crate::status::job_is_finished;

/// How many parts of logs may wait to be printed.
const WAITING_PARTS: usize = 16;

/// Prints until the Job `name` is finished, or gone, and all its Pods have been read to the end.
pub(super) async fn job(logs: &Logs, session: &Session, name: &str) -> Result<(), Failure> {
    let mut jobs = Watch::begin(&session.agent, Kind::Job, only(&session.namespace, name)).await?;
    let mut pods = Watch::begin(&session.agent, Kind::Pod, pods_of(&session.namespace, name)).await?;
    let (mut follower, mut parts) = Follower::new(logs, &session.agent, logs.all_containers);
    let (mut exists, mut finished, mut pods_known) = (false, false, false);
    while !(finished && pods_known && follower.is_idle()) {
        if finished && !pods_known {
            // The two watches run beside each other: the Job's end may be told before its last Pod's start.
            for object in objects::list(&session.agent, Kind::Pod, pods_of(&session.namespace, name)).await? {
                if let Object::Pod(pod) = object {
                    follower.see(&pod)?;
                }
            }
            pods_known = true;
            continue;
        }
        tokio::select! {
            // What was written is printed before anything ends.
            biased;
            Some(part) = parts.recv() => match follower.take(part)? {
                Told::Output(bytes) => print_bytes(&bytes)?,
                Told::Words(words) => tell(&words),
            },
            change = pods.next() => match change? {
                Some(Change::Added(Object::Pod(pod)) | Change::Modified(Object::Pod(pod))) => follower.see(&pod)?,
                Some(_) => {}
                None => return Err(Failure::not_asked("the agent ended the watch")),
            },
            change = jobs.next(), if !finished => match change? {
                Some(Change::Added(Object::Job(job)) | Change::Modified(Object::Job(job))) => {
                    exists = true;
                    finished = job_is_finished(&job);
                }
                Some(Change::Deleted(_)) => finished = true,
                Some(Change::Caught) if !exists => {
                    return Err(missing(&session.agent, Kind::Job, &session.namespace, name).await);
                }
                Some(_) => {}
                None => return Err(Failure::not_asked("the agent ended the watch")),
            },
        }
    }
    Ok(())
}

/// Which run of which container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    pod: String,
    container: String,
    restart: i32,
}

impl Run {
    /// The Pod and the container.
    fn container_of(&self) -> (String, String) {
        (self.pod.clone(), self.container.clone())
    }
}

/// Some lines of a run; `None` at its end.
pub(crate) struct Part {
    run: Run,
    lines: Result<Option<Vec<LogLine>>, Status>,
}

/// What a part of a run says.
pub(crate) enum Told {
    /// Bytes for stdout.
    Output(Vec<u8>),
    /// That something could not be read.
    Words(String),
}

/// Reads runs of containers, each in a task of its own.
pub(crate) struct Follower<'a> {
    logs: &'a Logs,
    agent: &'a Agent,
    sender: mpsc::Sender<Part>,
    runs: Runs,
    /// By Pod and container: the run that is being read, and those to read after it.
    reading: BTreeMap<(String, String), VecDeque<(Run, PodServiceLogsRequest)>>,
    lines: Lines,
    /// Say of which container each line is.
    containers: bool,
}

impl<'a> Follower<'a> {
    /// Nothing is read yet; what is read arrives in the channel, and goes to [`Follower::take`].
    /// `containers`: say of which container each line is.
    pub(crate) fn new(
        logs: &'a Logs,
        agent: &'a Agent,
        containers: bool,
    ) -> (Follower<'a>, mpsc::Receiver<Part>) {
        let (sender, parts) = mpsc::channel(WAITING_PARTS);
        let (runs, reading, lines) = (Runs::default(), BTreeMap::new(), logs.lines());
        (Follower { logs, agent, sender, runs, reading, lines, containers }, parts)
    }

    /// True if every run that was begun has been read to its end.
    pub(crate) fn is_idle(&self) -> bool {
        self.reading.is_empty()
    }

    /// Says whose each line is, and of which container. Once said it is said of all that follow.
    pub(crate) fn prefix(&mut self, pods: bool, containers: bool) {
        if pods || containers {
            self.lines.begin_to_prefix();
        }
        self.containers |= containers;
    }

    /// Reads every run of `pod` that has begun and is not being read yet.
    pub(crate) fn see(&mut self, pod: &Pod) -> Result<(), Failure> {
        for container in self.logs.containers(pod, false)? {
            let new = self.runs.begun(pod, &container);
            let Some(first) = new.first().cloned() else { continue };
            let request = self.logs.request(pod, &container);
            let queue = self.reading.entry(first.container_of()).or_default();
            let idle = queue.is_empty();
            queue.extend(new.into_iter().map(|run| (run, request.clone())));
            if idle {
                self.read(&first);
            }
        }
        Ok(())
    }

    /// Begins to read the run that is first in the queue of a run's container.
    fn read(&self, of: &Run) {
        let Some(queue) = self.reading.get(&of.container_of()) else { return };
        let Some((run, request)) = queue.front() else { return };
        let mut request = request.clone();
        // A run that was followed by another one before we came to it is the previous one by now.
        request.previous = queue.len() > 1;
        request.follow = !request.previous;
        tokio::spawn(read(self.agent.clone(), request, run.clone(), self.sender.clone()));
    }

    /// What `part` says; after a run's end the next one of its container is read.
    pub(crate) fn take(&mut self, part: Part) -> Result<Told, Failure> {
        let Run { pod, container, .. } = &part.run;
        let source = source(pod, container, self.containers);
        let told = match part.lines {
            Ok(Some(lines)) => {
                let new = self.runs.is_new(&part.run, &lines);
                let lines = lines.iter().filter(|_| new);
                return Ok(Told::Output(lines.flat_map(|line| self.lines.print(&source, line)).collect()));
            }
            Ok(None) => Told::Output(Vec::new()),
            // Deleted, collected or restarted before it could be read: the others go on.
            Err(status) if matches!(status.code(), Code::NotFound | Code::FailedPrecondition) => {
                Told::Words(format!("{source}: {}", status.message()))
            }
            Err(status) => return Err(status.into()),
        };
        let key = part.run.container_of();
        if let Some(queue) = self.reading.get_mut(&key) {
            queue.pop_front();
            if queue.is_empty() {
                self.reading.remove(&key);
            }
        }
        self.read(&part.run);
        Ok(told)
    }
}

/// Reads one run to its end.
async fn read(agent: Agent, request: PodServiceLogsRequest, run: Run, sender: mpsc::Sender<Part>) {
    let end = async {
        let mut stream = agent.pods().logs(request).await?.into_inner();
        while let Some(read) = stream.message().await? {
            if sender.send(Part { run: run.clone(), lines: Ok(Some(read.lines)) }).await.is_err() {
                break; // Nobody prints any more.
            }
        }
        Ok(None)
    };
    let lines = end.await;
    // As above: without a printer there is nobody to tell.
    let _ = sender.send(Part { run, lines }).await;
}

/// Which runs have been asked for, and which were answered with another one.
#[derive(Debug, Default)]
struct Runs {
    asked: BTreeSet<Run>,
    /// By Pod and container, when the first line of each run was written. A run asked for a moment too late is answered
    /// with the one after it, which is asked for as well: its first line tells.
    firsts: BTreeMap<(String, String), Vec<(Run, Written)>>,
}

/// Seconds and nanoseconds.
type Written = Option<(i64, i32)>;

impl Runs {
    /// The runs of a container that have begun and were not asked for.
    fn begun(&mut self, pod: &Pod, container: &str) -> Vec<Run> {
        let Some(statuses) = &pod.status else { return Vec::new() };
        let mut statuses = statuses.init_container_statuses.iter().chain(&statuses.container_statuses);
        let Some(status) = statuses.find(|status| status.name == container) else { return Vec::new() };
        let name = pod.metadata.as_ref().map(|meta| meta.name.clone()).unwrap_or_default();
        let mut new = Vec::new();
        let mut ask = |restart: i32| {
            let run = Run { pod: name.clone(), container: container.to_owned(), restart };
            if self.asked.insert(run.clone()) {
                new.push(run);
            }
        };
        let (now, before) = (has_begun(status), has_ended_before(status));
        if now && before && status.restart_count > 0 {
            ask(status.restart_count - 1);
        }
        // Between two runs the one that ended is the current one.
        if now || before {
            ask(status.restart_count);
        }
        new
    }

    /// Whether these lines of `run` have not been printed as another run's.
    fn is_new(&mut self, run: &Run, lines: &[LogLine]) -> bool {
        let Some(first) = lines.first() else { return false };
        let first = first.time.as_ref().map(|time| (time.seconds, time.nanos));
        let firsts = self.firsts.entry(run.container_of()).or_default();
        match firsts.iter().find(|(known, _)| known == run) {
            // Told by its first lines, which were looked at before: a run printed nowhere else, or dropped.
            Some((_, written)) => written.is_some(),
            None => {
                let new = first.is_none() || !firsts.iter().any(|(_, written)| *written == first);
                firsts.push((run.clone(), if new { first.or(Some((0, 0))) } else { None }));
                new
            }
        }
    }
}

fn has_begun(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

fn has_ended_before(status: &ContainerStatus) -> bool {
    status.last_state.as_ref().is_some_and(|state| state.terminated.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ago;
    use crate::samples;
    use expect_test::{Expect, expect};

    #[test]
    fn every_run_is_read_once() {
        let mut runs = Runs::default();
        check(&mut runs, "wait:ContainerCreating", 0, expect![""]);
        check(&mut runs, "run", 0, expect!["0"]);
        check(&mut runs, "run", 0, expect![""]);
        check(&mut runs, "end:Error:1", 0, expect![""]);
        check(&mut runs, "wait:CrashLoopBackOff:0", 0, expect![""]);
        check(&mut runs, "run", 1, expect!["1"]);
    }

    #[test]
    fn a_run_that_is_over_is_read_before_the_current_one() {
        check(&mut Runs::default(), "run", 3, expect!["2, 3"]);
        check(&mut Runs::default(), "wait:CrashLoopBackOff:3", 3, expect!["3"]);
    }

    #[test]
    fn a_run_answered_with_another_one_is_not_printed_twice() {
        let mut runs = Runs::default();
        let run = |restart| Run { pod: "hello-a".to_owned(), container: "a".to_owned(), restart };
        let lines = |seconds| vec![LogLine { time: ago(seconds), ..LogLine::default() }];
        assert!(runs.is_new(&run(0), &lines(50)));
        assert!(!runs.is_new(&run(1), &lines(50)));
        assert!(!runs.is_new(&run(1), &lines(40)));
        assert!(runs.is_new(&run(0), &lines(40)));
        // The clock went back between two runs.
        assert!(runs.is_new(&run(2), &lines(90)));
    }

    fn check(runs: &mut Runs, container: &str, restarts: i32, wanted: Expect) {
        let mut pod = samples::pod("hello-a", "Running", container);
        let status = &mut pod.status.as_mut().unwrap().container_statuses[0];
        status.restart_count = restarts;
        if restarts > 0 && status.last_state.is_none() {
            let ended = samples::pod("hello-a", "Running", "end:Error:1");
            status.last_state = ended.status.unwrap().container_statuses[0].state.clone();
        }
        let begun = runs.begun(&pod, "a").into_iter().map(|run| run.restart.to_string());
        wanted.assert_eq(&begun.collect::<Vec<_>>().join(", "));
    }
}
