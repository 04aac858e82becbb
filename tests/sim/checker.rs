//! Looks after every commit whether the promises are kept, with a memory of its own.
//!
//! It sees what a watcher sees, what clients were answered, and which guests were started. It knows nothing of how decisions
//! are made, but what Kubernetes says of statuses: counts that only grow, verdicts that stay, no more Pods than were asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::pb::k8s::batch::v1::{Job, JobCondition, JobStatus};
use api::pb::k8s::core::v1::Pod;
use api::pb::k8s::meta::v1::ObjectMeta;
use engine::{Applied, Change, Effect, GuestId, Limits, Object, ObjectKey, Reader, StartGuest};
use fastrand::Rng;

use crate::books::Books;
use crate::device::Walls;
use crate::zones::WorldZones;

/// A promise that was broken, in words.
pub(crate) type Broken = String;
type Checked = Result<(), Broken>;

pub(crate) struct Checker {
    /// CronJobs and the ledger.
    pub(crate) books: Books,
    /// The last revision that was seen.
    revision: u64,
    /// Commits that were seen.
    commits: u64,
    jobs: BTreeMap<ObjectKey, JobSeen>,
    pods: BTreeMap<ObjectKey, PodSeen>,
    /// Every guest that was ever started.
    started: BTreeSet<GuestId>,
    /// Jobs that somebody asked to be deleted; whether that was answered does not matter.
    pub(crate) doomed: BTreeSet<String>,
    /// Pods' ends by their Job's uid.
    tallies: BTreeMap<String, Tally>,
}

struct JobSeen {
    object: Arc<Job>,
}

struct PodSeen {
    object: Arc<Pod>,
    job: Option<String>,
    /// It was being stopped before it came to its end.
    stopped: bool,
    /// In which commit it was seen to change last.
    seen_in: u64,
    /// It was being stopped before that.
    was_stopped: bool,
}

/// What is known of a Job's Pods, the ones that are gone included.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    succeeded: i32,
    failed: i32,
    /// Stopped first; some of them count, as their Job's kind has it.
    stopped: i32,
}

impl Checker {
    pub(crate) fn new(zones: WorldZones, limits: Limits) -> Checker {
        Checker {
            books: Books::new(zones, limits),
            revision: 0,
            commits: 0,
            jobs: BTreeMap::new(),
            pods: BTreeMap::new(),
            started: BTreeSet::new(),
            doomed: BTreeSet::new(),
            tallies: BTreeMap::new(),
        }
    }

    /// Some Job that exists.
    pub(crate) fn any_job(&self, rng: &mut Rng) -> Option<Arc<Job>> {
        let at = rng.usize(0..self.jobs.len().max(1));
        self.jobs.values().nth(at).map(|seen| seen.object.clone())
    }

    /// Some Pod that exists.
    pub(crate) fn any_pod(&self, rng: &mut Rng) -> Option<ObjectKey> {
        let at = rng.usize(0..self.pods.len().max(1));
        self.pods.keys().nth(at).cloned()
    }

    pub(crate) fn job(&self, key: &ObjectKey) -> Option<&Arc<Job>> {
        self.jobs.get(key).map(|seen| &seen.object)
    }

    pub(crate) fn all_jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs.values().map(|seen| &seen.object)
    }

    /// One commit: its changes in order, then what it did outside.
    pub(crate) fn commit(&mut self, applied: &Applied, walls: Walls) -> Checked {
        let (changes, effects) = (&applied.changes, &applied.effects);
        self.commits += 1;
        self.books.commit(changes, &applied.ledger, walls)?;
        for change in changes {
            if change.revision <= self.revision {
                return Err(format!("revision {} came after {}", change.revision, self.revision));
            }
            self.revision = change.revision;
            match (&change.before, &change.after) {
                (before, Some(Object::Job(job))) => {
                    let before = match before {
                        Some(Object::Job(before)) => Some(before),
                        _ => None,
                    };
                    self.job_changed(change.revision, before, job)?;
                }
                (before, Some(Object::Pod(pod))) => {
                    let before = match before {
                        Some(Object::Pod(before)) => Some(before),
                        _ => None,
                    };
                    self.pod_changed(change.revision, before, pod)?;
                }
                (Some(Object::Job(job)), None) => self.job_gone(job)?,
                (Some(Object::Pod(pod)), None) => self.pod_gone(pod)?,
                (_, Some(Object::CronJob(_) | Object::Event(_)))
                | (Some(Object::CronJob(_) | Object::Event(_)), None)
                | (None, None) => {}
            }
        }
        for (at, effect) in effects.iter().enumerate() {
            if let Effect::Start(start) = effect {
                // A restart may be what ends its Job: then the guest is started, and stopped in the same breath.
                let stopped = effects[at..].iter().any(|effect| {
                    *effect == Effect::Stop(start.guest) || *effect == Effect::Kill(start.guest)
                });
                self.guest_started(start, stopped)?;
            }
        }
        Ok(())
    }

    fn job_changed(&mut self, revision: u64, before: Option<&Arc<Job>>, job: &Arc<Job>) -> Checked {
        let meta = meta(job.metadata.as_ref());
        let key = ObjectKey::new(&meta.namespace, &meta.name);
        let told = || format!("Job {key} at revision {revision}");
        if meta.resource_version != revision.to_string() {
            return Err(format!("{} says it is at {}", told(), meta.resource_version));
        }
        let known = self.jobs.get(&key).map(|seen| &seen.object);
        if known.map(|known| version(known.metadata.as_ref()))
            != before.map(|before| version(before.metadata.as_ref()))
        {
            return Err(format!("{} was not what watchers had seen of it", told()));
        }
        consistent(known.map(|known| &**known), job).map_err(|why| format!("{}: {why}", told()))?;
        self.jobs.insert(key, JobSeen { object: job.clone() });
        Ok(())
    }

    fn job_gone(&mut self, job: &Arc<Job>) -> Checked {
        let meta = meta(job.metadata.as_ref());
        let key = ObjectKey::new(&meta.namespace, &meta.name);
        let Some(seen) = self.jobs.remove(&key) else {
            return Err(format!("Job {key} went and was not there"));
        };
        let expires = seen.object.spec.as_ref().is_some_and(|spec| spec.ttl_seconds_after_finished.is_some());
        let expired = expires && finished(&status(&seen.object));
        let asked = self.doomed.contains(&meta.uid) || self.books.explains_end_of(&seen.object);
        if !expired && !asked {
            return Err(format!("Job {key} went, and nobody had asked for that"));
        }
        Ok(())
    }

    fn pod_changed(&mut self, revision: u64, before: Option<&Arc<Pod>>, pod: &Arc<Pod>) -> Checked {
        let meta = meta(pod.metadata.as_ref());
        let key = ObjectKey::new(&meta.namespace, &meta.name);
        let told = || format!("Pod {key} at revision {revision}");
        if meta.resource_version != revision.to_string() {
            return Err(format!("{} says it is at {}", told(), meta.resource_version));
        }
        let job = meta.owner_references.first().map(|owner| owner.uid.clone());
        let phase = phase(pod);
        let stopping = meta.deletion_timestamp.is_some();
        let known = self.pods.get(&key);
        if known.map(|known| version(known.object.metadata.as_ref()))
            != before.map(|before| version(before.metadata.as_ref()))
        {
            return Err(format!("{} was not what watchers had seen of it", told()));
        }
        let before = known.map_or("", |known| self::phase(&known.object));
        let was_over = is_over(before);
        if was_over && phase != before {
            return Err(format!("{} was {before} and became {phase}", told()));
        }
        let stopped = known.is_some_and(|known| known.stopped) || stopping && !was_over;
        if !was_over && let Some(job) = &job {
            let tally = self.tallies.entry(job.clone()).or_default();
            match phase {
                "Succeeded" if !stopped => tally.succeeded += 1,
                "Failed" if !stopped => tally.failed += 1,
                _ => {}
            }
            if stopped && !known.is_some_and(|known| known.stopped) {
                tally.stopped += 1;
            }
        }
        let was_stopped = known.is_some_and(|known| known.stopped);
        let seen = PodSeen { object: pod.clone(), job, stopped, seen_in: self.commits, was_stopped };
        self.pods.insert(key, seen);
        Ok(())
    }

    fn pod_gone(&mut self, pod: &Arc<Pod>) -> Checked {
        let meta = meta(pod.metadata.as_ref());
        let key = ObjectKey::new(&meta.namespace, &meta.name);
        let Some(seen) = self.pods.remove(&key) else {
            return Err(format!("Pod {key} went and was not there"));
        };
        if !is_over(phase(&seen.object)) && !seen.stopped {
            // It was stopped and went in one commit.
            if let Some(job) = &seen.job {
                self.tallies.entry(job.clone()).or_default().stopped += 1;
            }
        }
        Ok(())
    }

    fn guest_started(&mut self, start: &StartGuest, stopped: bool) -> Checked {
        let key = ObjectKey::new(&start.namespace, &start.pod);
        let told = || format!("container {} of {key}", start.container);
        if !self.started.insert(start.guest) {
            return Err(format!("{} was started twice as {:?}", told(), start.guest));
        }
        let Some(seen) = self.pods.get(&key).filter(|seen| uid(&seen.object) == start.pod_uid) else {
            if stopped {
                return Ok(());
            }
            return Err(format!("{} was started, and its Pod is not on record", told()));
        };
        // A sidecar that was started again in the commit that stops its Pod is stopped when its turn comes.
        let too_late = seen.stopped && (seen.was_stopped || seen.seen_in < self.commits);
        if too_late || is_over(phase(&seen.object)) {
            return Err(format!("{} was started in a Pod that is {}", told(), phase(&seen.object)));
        }
        let statuses = seen.object.status.iter();
        let mut statuses = statuses
            .flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses));
        let running = statuses.any(|status| {
            status.name == start.container
                && status.state.as_ref().is_some_and(|state| state.running.is_some())
        });
        if !running {
            return Err(format!("{} was started, and it is not on record as running", told()));
        }
        Ok(())
    }

    /// When nothing is left to do at this time, statuses say what is there, and no more is there than was asked for.
    pub(crate) fn at_rest(&self, running: &BTreeMap<GuestId, String>) -> Checked {
        self.books.at_rest()?;
        let mut live: BTreeMap<&str, (i32, i32)> = BTreeMap::new();
        let mut live_uids = BTreeSet::new();
        for seen in self.pods.values().filter(|seen| !is_over(phase(&seen.object))) {
            live_uids.insert(uid(&seen.object));
            let (active, terminating) = live.entry(seen.job.as_deref().unwrap_or_default()).or_default();
            *if seen.stopped { terminating } else { active } += 1;
        }
        if let Some((guest, _)) = running.iter().find(|(_, pod)| !live_uids.contains(pod.as_str())) {
            return Err(format!("guest {guest:?} runs, and its Pod is over"));
        }
        for (key, seen) in &self.jobs {
            let (job, status) = (&seen.object, status(&seen.object));
            let meta = meta(job.metadata.as_ref());
            let spec = job.spec.clone().unwrap_or_default();
            if spec.managed_by.as_deref().is_some_and(|by| by != "kubernetes.io/job-controller") {
                if live.contains_key(meta.uid.as_str())
                    || job.status.as_ref().is_some_and(|status| status.start_time.is_some())
                {
                    return Err(format!("Job {key} is managed by somebody else and was touched"));
                }
                continue;
            }
            let (active, terminating) = live.get(meta.uid.as_str()).copied().unwrap_or_default();
            if (status.active, status.terminating.unwrap_or(0)) != (active, terminating) {
                let says = (status.active, status.terminating.unwrap_or(0));
                return Err(format!(
                    "Job {key} says active, terminating = {says:?}; there are {:?}",
                    (active, terminating)
                ));
            }
            let parallelism = spec.parallelism.unwrap_or(1);
            let queue_goes_on = spec.completions.is_none() && status.succeeded > 0;
            if active > parallelism && !queue_goes_on {
                return Err(format!("Job {key} has {active} active Pods; its parallelism is {parallelism}"));
            }
            let held = spec.suspend == Some(true) || meta.deletion_timestamp.is_some() || ending(&status);
            if held && active > 0 {
                return Err(format!("Job {key} has {active} active Pods and should have none"));
            }
            self.tally(key, job, &status)?;
        }
        Ok(())
    }

    /// A Job's counts are those of its Pods.
    fn tally(&self, key: &ObjectKey, job: &Job, status: &JobStatus) -> Checked {
        let tally = self.tallies.get(&meta(job.metadata.as_ref()).uid).copied().unwrap_or_default();
        let spec = job.spec.clone().unwrap_or_default();
        let told = |what: &str, count: i32| format!("Job {key} says {what} {count}; its Pods make {tally:?}");
        let indexed = spec.completion_mode.as_deref() == Some("Indexed");
        if !indexed && !(tally.succeeded..=tally.succeeded + tally.stopped).contains(&status.succeeded) {
            return Err(told("succeeded", status.succeeded));
        }
        if status.succeeded > tally.succeeded + tally.stopped {
            return Err(told("succeeded", status.succeeded));
        }
        // Failures may be ignored by a policy, and with a limit for each index they are counted late.
        let exact = spec.pod_failure_policy.is_none() && spec.backoff_limit_per_index.is_none();
        let least = if exact { tally.failed } else { 0 };
        // A Job that fails counts the Pods it takes down; those that the same commit had made, nobody ever saw.
        let unseen = if has(status, "FailureTarget") { spec.parallelism.unwrap_or(1) } else { 0 };
        if !(least..=tally.failed + tally.stopped + unseen).contains(&status.failed) {
            return Err(told("failed", status.failed));
        }
        Ok(())
    }

    /// After a crash: everything that was seen is there again, as it was or further on. What the commit in flight did is not
    /// known. Goes on from what is there.
    pub(crate) fn reopened(
        &mut self,
        reader: &Reader,
        in_flight: bool,
        applied: &Applied,
        walls: Walls,
    ) -> Checked {
        let changes = &applied.changes;
        self.books.reopened(reader, &applied.ledger, walls)?;
        let (jobs, _) = reader.jobs("");
        let (pods, _) = reader.pods("", |_| true).map_err(|error| error.to_string())?;
        let gone: BTreeSet<String> = changes
            .iter()
            .filter(|change| change.after.is_none())
            .filter_map(|change| match &change.before {
                Some(Object::Job(job)) => Some(meta(job.metadata.as_ref()).uid),
                Some(Object::Pod(pod)) => Some(meta(pod.metadata.as_ref()).uid),
                Some(Object::CronJob(_) | Object::Event(_)) | None => None,
            })
            .collect();
        let now: BTreeMap<String, &Arc<Job>> =
            jobs.iter().map(|job| (meta(job.metadata.as_ref()).uid, job)).collect();
        for (key, seen) in &self.jobs {
            let uid = meta(seen.object.metadata.as_ref()).uid;
            match now.get(&uid) {
                Some(job) => {
                    consistent(Some(&seen.object), job)
                        .map_err(|why| format!("Job {key} after a crash: {why}"))?;
                    older(seen.object.metadata.as_ref(), job.metadata.as_ref())
                        .map_err(|why| format!("Job {key} after a crash: {why}"))?;
                }
                None if in_flight || gone.contains(&uid) => {}
                None => return Err(format!("Job {key} was acknowledged, and is gone after a crash")),
            }
        }
        let now: BTreeMap<String, &Arc<Pod>> = pods.iter().map(|pod| (uid(pod).to_owned(), pod)).collect();
        for (key, seen) in &self.pods {
            let pod_uid = uid(&seen.object);
            match now.get(pod_uid) {
                Some(pod) => {
                    let (before, after) = (phase(&seen.object), phase(pod));
                    if is_over(before) && before != after {
                        return Err(format!("Pod {key} was {before}, and is {after} after a crash"));
                    }
                    older(seen.object.metadata.as_ref(), pod.metadata.as_ref())
                        .map_err(|why| format!("Pod {key} after a crash: {why}"))?;
                }
                None if in_flight || gone.contains(pod_uid) => {}
                None => return Err(format!("Pod {key} was on record, and is gone after a crash")),
            }
        }
        // Pods that the commit in flight made, and that did not outlive the start.
        for change in changes {
            if let (Some(Object::Pod(pod)), None) = (&change.before, &change.after)
                && !self.pods.values().any(|seen| uid(&seen.object) == uid(pod))
                && let Some(owner) = meta(pod.metadata.as_ref()).owner_references.first()
            {
                self.tallies.entry(owner.uid.clone()).or_default().stopped += 1;
            }
        }
        self.adopt(&jobs, &pods);
        self.revision = self.revision.max(reader.revision());
        Ok(())
    }

    /// Takes what is there for what was seen; ends that happened in between are counted as such.
    fn adopt(&mut self, jobs: &[Arc<Job>], pods: &[Arc<Pod>]) {
        let before = std::mem::take(&mut self.pods);
        self.jobs.clear();
        for job in jobs {
            let meta = meta(job.metadata.as_ref());
            let key = ObjectKey::new(&meta.namespace, &meta.name);
            self.jobs.insert(key, JobSeen { object: job.clone() });
        }
        let there: BTreeSet<&str> = pods.iter().map(|pod| uid(pod)).collect();
        for seen in before.values().filter(|seen| !there.contains(uid(&seen.object))) {
            if !is_over(phase(&seen.object))
                && !seen.stopped
                && let Some(job) = &seen.job
            {
                self.tallies.entry(job.clone()).or_default().stopped += 1;
            }
        }
        for pod in pods {
            let meta = meta(pod.metadata.as_ref());
            let key = ObjectKey::new(&meta.namespace, &meta.name);
            let known = before.get(&key).filter(|known| uid(&known.object) == meta.uid);
            let job = meta.owner_references.first().map(|owner| owner.uid.clone());
            let was_over = known.is_some_and(|known| is_over(phase(&known.object)));
            let was_stopped = known.is_some_and(|known| known.stopped);
            let stopped = was_stopped || meta.deletion_timestamp.is_some() && !was_over;
            if !was_over && let Some(job) = &job {
                let tally = self.tallies.entry(job.clone()).or_default();
                match phase(pod) {
                    "Succeeded" if !stopped => tally.succeeded += 1,
                    "Failed" if !stopped => tally.failed += 1,
                    _ => {}
                }
                tally.stopped += i32::from(stopped && !was_stopped);
            }
            let seen =
                PodSeen { object: pod.clone(), job, stopped, seen_in: self.commits, was_stopped: stopped };
            self.pods.insert(key, seen);
        }
    }

    /// At the end of a world in which nothing is broken any more, nothing is left undone.
    pub(crate) fn all_done(&self) -> Checked {
        self.books.every_end()?;
        for (key, seen) in &self.jobs {
            let spec = seen.object.spec.clone().unwrap_or_default();
            let elsewhere = spec.managed_by.as_deref().is_some_and(|by| by != "kubernetes.io/job-controller");
            if meta(seen.object.metadata.as_ref()).deletion_timestamp.is_some() {
                return Err(format!("Job {key} is still being deleted, and nothing happens any more"));
            }
            if !elsewhere && !finished(&status(&seen.object)) {
                let job_meta = seen.object.metadata.as_ref();
                let status = status(&seen.object);
                let of_it =
                    |seen: &&PodSeen| seen.job == Some(meta(job_meta).uid) && !is_over(phase(&seen.object));
                let pods: Vec<_> = self.pods.values().filter(of_it).map(|seen| &seen.object.status).collect();
                return Err(format!(
                    "Job {key} is not finished, and nothing happens any more: {status:?} {pods:#?}"
                ));
            }
        }
        match self.pods.iter().find(|(_, seen)| !is_over(phase(&seen.object))) {
            Some((key, seen)) => {
                Err(format!("Pod {key} is {}, and nothing happens any more", phase(&seen.object)))
            }
            None => Ok(()),
        }
    }

    /// Counts for the sum of a world.
    pub(crate) fn pods_ended(&self) -> i32 {
        self.tallies.values().map(|tally| tally.succeeded + tally.failed + tally.stopped).sum()
    }
}

fn meta(meta: Option<&ObjectMeta>) -> ObjectMeta {
    meta.cloned().unwrap_or_default()
}

fn uid(pod: &Pod) -> &str {
    pod.metadata.as_ref().map_or("", |meta| &meta.uid)
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().map_or("", |status| &status.phase)
}

fn is_over(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}

fn status(job: &Job) -> JobStatus {
    job.status.clone().unwrap_or_default()
}

fn has(status: &JobStatus, kind: &str) -> bool {
    status.conditions.iter().any(|condition| condition.r#type == kind && condition.status == "True")
}

fn finished(status: &JobStatus) -> bool {
    has(status, "Complete") || has(status, "Failed")
}

fn ending(status: &JobStatus) -> bool {
    finished(status) || has(status, "FailureTarget") || has(status, "SuccessCriteriaMet")
}

fn version(meta: Option<&ObjectMeta>) -> u64 {
    meta.and_then(|meta| meta.resource_version.parse().ok()).unwrap_or(0)
}

fn older(before: Option<&ObjectMeta>, after: Option<&ObjectMeta>) -> Checked {
    let (before, after) = (version(before), version(after));
    if after < before { Err(format!("it is at {after}, and was at {before}")) } else { Ok(()) }
}

/// What is never true of a Job, nor of it after what it was before. What an API server would refuse of a status is `api`'s to
/// say; the rest is what Wick promises beyond that.
fn consistent(before: Option<&Job>, job: &Job) -> Checked {
    let status = status(job);
    // As there, one that nobody wrote again is not judged by a spec that came later.
    if before.is_none_or(|before| before.status != job.status) {
        api::job::check_status(before, job).map_err(|errors| format!("{errors}: {status:?}"))?;
    }
    indexes(job, &status).map_err(|why| format!("{why}: {status:?}"))?;
    before.map_or(Ok(()), |before| transition(before, job))
}

/// Lists of indexes are written as Kubernetes writes them, with hyphens for three and more, and name no index that there is not.
fn indexes(job: &Job, status: &JobStatus) -> Checked {
    let completions = job.spec.as_ref().and_then(|spec| spec.completions).unwrap_or(0);
    for list in [status.completed_indexes.as_str(), status.failed_indexes.as_deref().unwrap_or_default()] {
        let wrong = || format!("`{list}` is no list of indexes below {completions}");
        for interval in list.split(',').filter(|interval| !interval.is_empty()) {
            let (first, last) = interval.split_once('-').unwrap_or((interval, interval));
            let (first, last): (i32, i32) =
                (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
            // Of a Job that is over nothing changes, also when its spec does.
            if last - first == 1 || last >= completions && !finished(status) {
                return Err(wrong());
            }
        }
    }
    Ok(())
}

/// From one status to the next: what only grows, and what stays.
fn transition(before: &Job, after: &Job) -> Checked {
    let (old, new) = (status(before), status(after));
    let wrong = |what: &str| Err(format!("{what}: {old:?} became {new:?}"));
    for condition in old.conditions.iter().filter(|condition| condition.status == "True") {
        let stays = |kept: &JobCondition| {
            kept.r#type == condition.r#type && kept.status == "True" && kept.reason == condition.reason
        };
        if condition.r#type != "Suspended" && !new.conditions.iter().any(stays) {
            return wrong(&format!("condition {} did not stay", condition.r#type));
        }
    }
    let size = |job: &Job| job.spec.as_ref().and_then(|spec| spec.completions);
    if new.succeeded < old.succeeded && size(before) == size(after) {
        return wrong("succeeded went down");
    }
    if finished(&old) && (old.succeeded, old.failed) != (new.succeeded, new.failed) {
        return wrong("it was finished");
    }
    let (old_meta, new_meta) = (meta(before.metadata.as_ref()), meta(after.metadata.as_ref()));
    if (&old_meta.uid, &old_meta.creation_timestamp) != (&new_meta.uid, &new_meta.creation_timestamp) {
        return wrong("it is another Job");
    }
    // Two changes in one commit may lead back to where it was.
    if new_meta.generation < old_meta.generation
        || before.spec != after.spec && old_meta.generation == new_meta.generation
    {
        return wrong("its generation does not tell that its spec changed");
    }
    Ok(())
}

/// A change, for a story.
pub(crate) fn told(change: &Change) -> Option<String> {
    let name = |meta: Option<&ObjectMeta>| meta.map_or(String::new(), |meta| meta.name.clone());
    Some(match (change.before.as_ref(), change.after.as_ref()) {
        (_, Some(Object::Job(job))) => {
            let status = status(job);
            let conditions: Vec<_> = status
                .conditions
                .iter()
                .map(|condition| format!("{}={}", condition.r#type, condition.status))
                .collect();
            let (active, terminating) = (status.active, status.terminating.unwrap_or(0));
            format!(
                "Job {}: {active} active {terminating} terminating {} succeeded {} failed {} {}",
                name(job.metadata.as_ref()),
                status.succeeded,
                status.failed,
                status.completed_indexes,
                conditions.join(" ")
            )
        }
        (_, Some(Object::Pod(pod))) => {
            let stopping = pod.metadata.as_ref().is_some_and(|meta| meta.deletion_timestamp.is_some());
            let stopping = if stopping { " stopping" } else { "" };
            format!("Pod {}: {}{stopping}", name(pod.metadata.as_ref()), phase(pod))
        }
        (Some(Object::Job(job)), None) => format!("Job {} is gone", name(job.metadata.as_ref())),
        (Some(Object::Pod(pod)), None) => format!("Pod {} is gone", name(pod.metadata.as_ref())),
        (_, Some(Object::CronJob(cron_job))) => {
            let status = cron_job.status.clone().unwrap_or_default();
            let active: Vec<_> = status.active.iter().map(|job| job.name.as_str()).collect();
            let last = status.last_schedule_time.map(|at| at.seconds);
            format!("CronJob {}: active {active:?}, last {last:?}", name(cron_job.metadata.as_ref()))
        }
        (Some(Object::CronJob(cron_job)), None) => {
            format!("CronJob {} is gone", name(cron_job.metadata.as_ref()))
        }
        (_, Some(Object::Event(_))) | (Some(Object::Event(_)) | None, None) => return None,
    })
}
