//! What is known of a run's Jobs and their Pods, and what of it is worth a line.

use std::collections::BTreeMap;

use api::pb::k8s::batch::v1::Job;
use api::pb::k8s::core::v1::Pod;

use crate::clock::{Clock, time};
use crate::describe::{exit, last_end, next_start};
use crate::failure::{Failure, Field};
use crate::status::{self, job_condition, job_is_finished, pod_condition};
use crate::table::one_line;

/// How many Pods a failed Job's error names, the last ones.
const PODS_IN_AN_ERROR: usize = 5;

/// A Job's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobKey {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What is known of a Job.
#[derive(Debug)]
enum Seen {
    NotYet,
    There(Box<Job>),
    /// Somebody deleted it before it was finished.
    Gone,
}

/// What is known of a run.
#[derive(Debug)]
pub(super) struct Story {
    jobs: BTreeMap<JobKey, Seen>,
    /// By uid: those that run, and those that failed.
    pods: BTreeMap<String, Pod>,
    /// By uid: which version of each Pod was seen last. A list may be ahead of a watch.
    versions: BTreeMap<String, u64>,
    /// What was said last, by whom it is about: a Job, or a Pod.
    said: BTreeMap<(&'static str, String), String>,
}

/// How far a Job is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) name: String,
    pub(super) done: u64,
    pub(super) of: u64,
    pub(super) words: String,
}

/// A Pod that runs, or will.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Active {
    pub(super) name: String,
    /// One word for it.
    pub(super) status: String,
    /// For how long, and what for.
    pub(super) words: String,
}

impl Story {
    /// Nothing is known of `jobs` yet.
    pub(super) fn of(jobs: &[JobKey]) -> Story {
        let jobs = jobs.iter().map(|job| (job.clone(), Seen::NotYet)).collect();
        Story { jobs, pods: BTreeMap::new(), versions: BTreeMap::new(), said: BTreeMap::new() }
    }

    /// Takes a Job in; a line if there is something new to say.
    pub(super) fn see_job(&mut self, job: &Job, clock: &Clock) -> Option<String> {
        let meta = job.metadata.clone().unwrap_or_default();
        let seen = self.jobs.get_mut(&JobKey { namespace: meta.namespace, name: meta.name.clone() })?;
        *seen = Seen::There(Box::new(job.clone()));
        let word = status::job(job);
        let mut line = format!("{word}, {}", status::completions(job));
        if job_is_finished(job) {
            line += &format!(" in {}", status::duration(job, clock.now));
        }
        self.news("job.batch", &meta.name, &line, &line)
    }

    /// That somebody deleted a Job.
    pub(super) fn see_job_gone(&mut self, job: &Job) -> Option<String> {
        let meta = job.metadata.clone().unwrap_or_default();
        let seen = self.jobs.get_mut(&JobKey { namespace: meta.namespace, name: meta.name.clone() })?;
        // One that was finished has been all that it could be.
        if matches!(seen, Seen::There(job) if job_is_finished(job)) {
            return None;
        }
        *seen = Seen::Gone;
        self.news("job.batch", &meta.name, "deleted", "deleted")
    }

    /// Whether a Pod belongs to one of the Jobs.
    pub(super) fn has(&self, pod: &Pod) -> bool {
        let Some(meta) = &pod.metadata else { return false };
        let owner = meta.owner_references.iter().find(|owner| owner.controller == Some(true));
        owner.is_some_and(|owner| {
            let key = JobKey { namespace: meta.namespace.clone(), name: owner.name.clone() };
            owner.kind == "Job" && self.jobs.contains_key(&key)
        })
    }

    /// Takes a Pod in; a line if there is something new to say.
    pub(super) fn see_pod(&mut self, pod: &Pod, clock: &Clock) -> Option<String> {
        let meta = pod.metadata.clone().unwrap_or_default();
        let version = meta.resource_version.parse().unwrap_or(0);
        let before = self.versions.insert(meta.uid.clone(), version).unwrap_or(0);
        if before > version {
            self.versions.insert(meta.uid, before);
            return None;
        }
        match phase(pod) {
            "Succeeded" => drop(self.pods.remove(&meta.uid)),
            _ => drop(self.pods.insert(meta.uid, pod.clone())),
        }
        // What changes with the time alone is no news.
        let now = format!("{} {}", status::pod(pod), restarts(pod));
        self.news("pod", &meta.name, &now, &words(pod, clock))
    }

    fn news(&mut self, kind: &'static str, name: &str, now: &str, line: &str) -> Option<String> {
        let before = self.said.insert((kind, name.to_owned()), now.to_owned());
        (before.as_deref() != Some(now)).then(|| format!("{kind}/{name}: {}", one_line(line)))
    }

    /// Whether there is, or will be, more than one Pod.
    pub(super) fn has_several_pods(&self) -> bool {
        let several = |seen: &Seen| match seen {
            Seen::There(job) => job
                .spec
                .as_ref()
                .is_some_and(|spec| spec.completions.unwrap_or(1) > 1 || spec.parallelism.unwrap_or(1) > 1),
            Seen::NotYet | Seen::Gone => false,
        };
        let seen = self.said.keys().filter(|(kind, _)| *kind == "pod").count();
        self.jobs.len() > 1 || seen > 1 || self.jobs.values().any(several)
    }

    /// Whether no Job will change any more.
    pub(super) fn is_over(&self) -> bool {
        self.jobs.values().all(|seen| match seen {
            Seen::NotYet => false,
            Seen::There(job) => job_is_finished(job),
            Seen::Gone => true,
        })
    }

    /// How far each Job is.
    pub(super) fn progress(&self, clock: &Clock) -> Vec<Progress> {
        let jobs = self.jobs.iter().map(|(key, seen)| {
            let (done, of, words) = match seen {
                Seen::There(job) => {
                    let status = job.status.clone().unwrap_or_default();
                    let of = job.spec.as_ref().and_then(|spec| spec.completions).unwrap_or(1);
                    let mut words = status::duration(job, clock.now);
                    for (count, word) in [(status.active, "active"), (status.failed, "failed")] {
                        if count > 0 {
                            words += &format!(", {count} {word}");
                        }
                    }
                    (status.succeeded, of, words)
                }
                Seen::NotYet => (0, 1, String::new()),
                Seen::Gone => (0, 1, "deleted".to_owned()),
            };
            let (done, of) = (u64::try_from(done).unwrap_or(0), u64::try_from(of).unwrap_or(0));
            Progress { name: key.name.clone(), done, of, words: words.trim_start_matches(", ").to_owned() }
        });
        jobs.collect()
    }

    /// The Pods that have not ended, oldest first.
    pub(super) fn active(&self, clock: &Clock) -> Vec<Active> {
        let mut pods: Vec<&Pod> = self.pods.values().filter(|pod| phase(pod) != "Failed").collect();
        pods.sort_by_key(|pod| {
            let meta = pod.metadata.as_ref();
            meta.map(|meta| (time(meta.creation_timestamp.as_ref()), meta.name.as_str()))
        });
        let active = pods.into_iter().map(|pod| Active {
            name: pod.metadata.as_ref().map(|meta| meta.name.clone()).unwrap_or_default(),
            status: status::pod(pod),
            words: one_line(&why(pod, clock)),
        });
        active.collect()
    }

    /// Why each Job that did not complete did not.
    pub(super) fn failures(&self) -> Vec<Failure> {
        let failures = self.jobs.iter().filter_map(|(key, seen)| {
            let what = match seen {
                Seen::There(job) if job_condition(job, "Complete").is_some() => return None,
                Seen::There(job) => match job_condition(job, "Failed") {
                    Some(failed) => {
                        let why = [failed.reason.as_str(), failed.message.as_str()];
                        let why: Vec<&str> = why.into_iter().filter(|text| !text.is_empty()).collect();
                        format!("job `{}` has failed: {}", key.name, why.join(": "))
                    }
                    None => format!("job `{}` is not finished", key.name),
                },
                Seen::NotYet => format!("job `{}` was not seen", key.name),
                Seen::Gone => return Some(Failure::refused(format!("job `{}` was deleted", key.name))),
            };
            Some(Failure::refused(what).fields(self.ends(key)))
        });
        failures.collect()
    }

    /// How the last Pods of a Job that failed did so.
    fn ends(&self, key: &JobKey) -> Vec<Field> {
        let owned = |pod: &&Pod| {
            pod.metadata.as_ref().is_some_and(|meta| {
                let owner = meta.owner_references.iter().find(|owner| owner.controller == Some(true));
                meta.namespace == key.namespace && owner.is_some_and(|owner| owner.name == key.name)
            })
        };
        let mut ends: Vec<(Option<jiff::Timestamp>, Field)> = self
            .pods
            .values()
            .filter(owned)
            .filter_map(|pod| {
                let ended = last_end(pod).filter(|ended| ended.exit_code != 0)?;
                let name = pod.metadata.as_ref().map(|meta| meta.name.as_str()).unwrap_or_default();
                let field = Field { path: format!("pod/{name}"), why: exit(ended) };
                Some((time(ended.finished_at.as_ref()), field))
            })
            .collect();
        ends.sort_by_key(|(at, _)| *at);
        let first = ends.len().saturating_sub(PODS_IN_AN_ERROR);
        ends.drain(first..).map(|(_, field)| field).collect()
    }
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().map_or("", |status| status.phase.as_str())
}

fn restarts(pod: &Pod) -> i32 {
    let containers = pod
        .status
        .iter()
        .flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses));
    containers.fold(0, |sum, container| sum.saturating_add(container.restart_count))
}

/// A Pod in a line.
fn words(pod: &Pod, clock: &Clock) -> String {
    let (word, why) = (status::pod(pod), why(pod, clock));
    match (why.starts_with(&word), why.as_str()) {
        (true, _) => why,
        (false, "") => word,
        (false, why) => format!("{word}, {why}"),
    }
}

/// What a Pod waits for, or how it ended.
fn why(pod: &Pod, clock: &Clock) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let bad_end = last_end(pod).filter(|ended| ended.exit_code != 0).map(exit);
    match (phase(pod), next_start(pod, clock)) {
        ("Failed", _) => bad_end.unwrap_or(status.message),
        ("Pending", None) if pod_condition(&status, "PodScheduled").is_none() => {
            let unscheduled =
                status.conditions.into_iter().find(|condition| condition.r#type == "PodScheduled");
            unscheduled.map(|condition| condition.message).unwrap_or_default()
        }
        (_, Some(next)) => {
            let last = bad_end.map_or_else(String::new, |end| format!(" after {end}"));
            format!("again {next}{last}")
        }
        (_, None) => match restarts(pod) {
            0 => String::new(),
            restarts => format!("restart {restarts}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ago, noon};
    use crate::samples;
    use expect_test::{Expect, expect};

    #[test]
    fn a_line_is_said_once() {
        let mut story = story();
        let mut job = samples::job("hello");
        let mut said = Vec::new();
        said.extend(story.see_job(&job, &noon()));
        said.extend(story.see_job(&job, &noon()));
        for containers in ["wait:ContainerCreating", "run", "run", "wait:CrashLoopBackOff:1"] {
            said.extend(story.see_pod(&samples::pod("hello-a", "Running", containers), &noon()));
        }
        said.extend(story.see_pod(&samples::pod("hello-a", "Succeeded", "end:Completed:0"), &noon()));
        said.extend(story.see_pod(&samples::pod("hello-b", "Failed", "end:Trap:134"), &noon()));
        samples::add_condition(&mut job, "Complete", "True", "", "");
        let status = job.status.as_mut().unwrap();
        (status.succeeded, status.completion_time) = (5, ago(40));
        said.extend(story.see_job(&job, &noon()));
        expect![[r#"
            job.batch/hello: Running, 0/5
            pod/hello-a: ContainerCreating
            pod/hello-a: Running
            pod/hello-a: CrashLoopBackOff, restart 1
            pod/hello-a: Completed
            pod/hello-b: Trap, exit code 134
            job.batch/hello: Complete, 5/5 in 60s"#]]
        .assert_eq(&said.join("\n"));
    }

    #[test]
    fn what_is_told_late_is_no_news() {
        let mut story = story();
        let mut pod = samples::pod("hello-a", "Succeeded", "end:Completed:0");
        pod.metadata.as_mut().unwrap().resource_version = "9".to_owned();
        assert_eq!(story.see_pod(&pod, &noon()).as_deref(), Some("pod/hello-a: Completed"));
        assert_eq!(story.see_pod(&samples::pod("hello-a", "Running", "run"), &noon()), None);
        assert_eq!(story.see_pod(&pod, &noon()), None);
    }

    #[test]
    fn a_failed_job_says_how_its_pods_ended() {
        let mut story = story();
        let mut job = samples::job("hello");
        samples::add_condition(&mut job, "Failed", "True", "BackoffLimitExceeded", "too many failures");
        story.see_job(&job, &noon());
        story.see_pod(&samples::pod("hello-a", "Failed", "end:OOMKilled:137"), &noon());
        story.see_pod(&samples::pod("hello-b", "Succeeded", "end:Completed:0"), &noon());
        assert!(story.is_over());
        check_failures(
            &story,
            expect![[r#"
            error: job `hello` has failed: BackoffLimitExceeded: too many failures
              pod/hello-a: OOMKilled, exit code 137"#]],
        );
    }

    #[test]
    fn a_job_that_is_deleted_is_over_and_not_done() {
        let mut story = story();
        let job = samples::job("hello");
        story.see_job(&job, &noon());
        assert!(!story.is_over());
        assert_eq!(story.see_job_gone(&job).as_deref(), Some("job.batch/hello: deleted"));
        assert!(story.is_over());
        check_failures(&story, expect!["error: job `hello` was deleted"]);
    }

    #[test]
    fn a_finished_job_may_be_deleted() {
        let mut story = story();
        let mut job = samples::job("hello");
        samples::add_condition(&mut job, "Complete", "True", "", "");
        story.see_job(&job, &noon());
        assert_eq!(story.see_job_gone(&job), None);
        check_failures(&story, expect![""]);
    }

    #[test]
    fn how_far_a_job_is_and_what_runs_is_known() {
        let mut story = story();
        let mut job = samples::job("hello");
        let status = job.status.as_mut().unwrap();
        (status.succeeded, status.active, status.failed) = (3, 2, 1);
        story.see_job(&job, &noon());
        story.see_pod(&samples::pod("hello-a", "Running", "wait:CrashLoopBackOff:2"), &noon());
        story.see_pod(&samples::pod("hello-b", "Failed", "end:Error:1"), &noon());
        story.see_pod(&samples::pod("hello-c", "Running", "run"), &noon());
        expect![[r#"
            [Progress { name: "hello", done: 3, of: 5, words: "100s, 2 active, 1 failed" }]
            [Active { name: "hello-a", status: "CrashLoopBackOff", words: "restart 2" }, Active { name: "hello-c", status: "Running", words: "" }]"#]].assert_eq(&format!("{:?}\n{:?}", story.progress(&noon()), story.active(&noon())));
        assert!(story.has_several_pods());
    }

    #[test]
    fn only_pods_of_its_jobs_are_its_own() {
        let story = story();
        let mut pod = samples::pod("hello-a", "Running", "run");
        assert!(story.has(&pod));
        pod.metadata.as_mut().unwrap().namespace = "other".to_owned();
        assert!(!story.has(&pod));
    }

    fn story() -> Story {
        Story::of(&[JobKey { namespace: "default".to_owned(), name: "hello".to_owned() }])
    }

    fn check_failures(story: &Story, wanted: Expect) {
        let said = story.failures().into_iter().map(|failure| match failure {
            Failure::Refused(words) => words.to_string(),
            failure => format!("{failure:?}"),
        });
        wanted.assert_eq(&said.collect::<Vec<_>>().join("\n"));
    }
}
