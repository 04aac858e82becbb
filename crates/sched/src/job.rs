//! What a Job does next: how many Pods to make or remove, and when it is over.
//!
//! The order of the decisions is Kubernetes': failure beats success, the backoff limit beats the deadline, and the verdict
//! is given before it is final: `FailureTarget` or `SuccessCriteriaMet` first, `Failed` or `Complete` once no Pod runs.
//!
//! A Job's Pods are not passed in but their sums ([`Live`]) and, for an Indexed Job, what they hold ([`IndexTable`]): the
//! work for one change does not grow with a Job's size. For the same reason a Job goes in by value and comes out again.

mod indexes;
mod pods;
mod policy;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod stories;
mod table;

pub use indexes::Indexes;
pub use pods::{Failed, Rank};
pub use policy::{FailureAction, FailurePolicy, FailureRule, On, SuccessRule};
pub use table::{FAILING_MAX, Failing, IndexTable, Seed};

use crate::backoff::JobBackoff;
use crate::{Millis, Now, Steady};
use table::IndexFailure;

/// What a Job is asked to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// At most so many Pods at the same time.
    pub parallelism: u32,
    /// So many Pods must succeed; `None`: the first success ends the work ("work queue").
    pub completions: Option<u32>,
    /// Failures it takes: failed Pods, or restarts of containers with [`RestartPolicy::OnFailure`].
    pub backoff_limit: u32,
    /// It fails when it has been going on for so long.
    pub active_deadline: Option<Millis>,
    /// What happens when a container fails.
    pub restart_policy: RestartPolicy,
    /// It rests: no Pods.
    pub suspend: bool,
    /// When a Pod that is being stopped is replaced.
    pub replacement: Replacement,
    /// What certain failures mean.
    pub failure_policy: Option<FailurePolicy>,
    /// Each completion has an index.
    pub indexed: Option<Indexed>,
    /// It is deleted so long after it finished.
    pub ttl: Option<Millis>,
    /// Another controller sees to it: it is not touched.
    pub managed_elsewhere: bool,
}

/// What only Indexed Jobs ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indexed {
    /// Failures each index takes; it fails for good with the next.
    pub backoff_limit: Option<u32>,
    /// The Job fails when more indexes have failed.
    pub max_failed: Option<u32>,
    /// When it has succeeded although not all indexes have; empty: then only.
    pub success_policy: Vec<SuccessRule>,
}

/// What happens when a container fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Its Pod fails; the Job makes another.
    #[default]
    Never,
    /// It is started again in the same Pod.
    OnFailure,
}

/// When a Pod that is being stopped is replaced, and counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replacement {
    /// At once: it has failed, whatever its containers exit with.
    #[default]
    TerminatingOrFailed,
    /// When it has come to its end, as that end says.
    Failed,
}

/// A Job: what is asked, and what became of it so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// What is asked.
    pub spec: Spec,
    /// How far it is.
    pub phase: Phase,
    /// More about its verdict, for people, where the verdict does not say all.
    pub detail: Option<String>,
    /// Pods that succeeded and were counted; of an Indexed Job, indexes.
    pub succeeded: u32,
    /// Pods that failed and were counted.
    pub failed: u32,
    /// Since when it has been going on; `None` before that, and while it rests.
    pub started: Option<Now>,
    /// When it was over.
    pub finished: Option<Now>,
    /// Whether it rests; `None` if it never did.
    pub suspended: Option<bool>,
    /// What paces the next Pod.
    pub backoff: JobBackoff,
    /// Where its indexes stand, if it is Indexed.
    pub indexes: Option<Box<IndexTable>>,
    /// It is being deleted in the foreground: it goes when its Pods have gone.
    pub deleting: bool,
}

/// How far a Job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Its work goes on.
    #[default]
    Active,
    /// Its fate is known, some of its Pods still stop.
    Finishing(Verdict),
    /// It is over, for good.
    Finished(Verdict),
}

/// How a Job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It succeeded.
    Complete(Success),
    /// It failed.
    Failed(Failure),
}

/// Why a Job succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// As many Pods succeeded as were asked for.
    CompletionsReached,
    /// A rule of its success policy is met.
    SuccessPolicy,
}

/// Why a Job failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A rule of its failure policy says so.
    PodFailurePolicy,
    /// More failures than `backoffLimit` allows.
    BackoffLimitExceeded,
    /// It went on for longer than `activeDeadlineSeconds`.
    DeadlineExceeded,
    /// More failed indexes than `maxFailedIndexes` allows.
    MaxFailedIndexesExceeded,
    /// Every index is decided, and some have failed.
    FailedIndexes,
}

/// A Job's Pods that have not finished, added up. Whoever holds the Pods keeps the sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Neither finished nor being stopped.
    pub active: u32,
    /// Those of `active` whose containers all run.
    pub ready: u32,
    /// Being stopped.
    pub terminating: u32,
    /// Restarts of their containers.
    pub restarts: u32,
}

impl Live {
    /// With another Pod's share.
    pub fn plus(self, other: Live) -> Live {
        Live {
            active: self.active + other.active,
            ready: self.ready + other.ready,
            terminating: self.terminating + other.terminating,
            restarts: self.restarts.saturating_add(other.restarts),
        }
    }

    /// Without a Pod's share.
    pub fn minus(self, other: Live) -> Live {
        Live {
            active: self.active - other.active,
            ready: self.ready - other.ready,
            terminating: self.terminating - other.terminating,
            restarts: self.restarts.saturating_sub(other.restarts),
        }
    }
}

/// A Pod that is to be counted: it has finished, or it is being stopped and that is enough ([`Replacement`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodExit {
    /// Every container exited 0.
    pub succeeded: bool,
    /// The agent went down under it, so that its failure says nothing about the guest.
    pub interrupted: bool,
    /// It was deleted.
    pub deleted: bool,
    /// When its last container ended.
    pub at: Steady,
    /// Its index, in an Indexed Job.
    pub index: Option<u32>,
    /// How it failed, for a Job with a policy about that.
    pub failed: Option<Box<Failed>>,
}

/// How much may be planned at once, so that recording it has a size (Kubernetes: 500 of each).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// Pods made.
    pub make: u32,
    /// Pods stopped.
    pub stop: u32,
}

/// What to do about a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPlan {
    /// The Job afterwards, with the exits counted.
    pub next: Job,
    /// It is not as it was.
    pub changed: bool,
    /// Pods that are to be made.
    pub create: Vec<Seed>,
    /// So many active Pods are to be stopped: first those beyond the first of an index or of no index that there is, then
    /// those that have come least far ([`Rank`]). Those that count as failures `next` has counted.
    pub stop: u32,
    /// Ask again then, if nothing happens before.
    pub wake: Option<Steady>,
    /// Its time to live is over: it is to be deleted, in the foreground.
    pub expired: bool,
    /// The Job is gone.
    pub remove: bool,
    /// There is more to make or stop than one portion: apply this and ask again.
    pub more: bool,
}

/// What to do about `job`. `live` are its Pods that have not finished, `exits` those that are to be counted.
///
/// Applying the plan and asking again, at the same time, gives an empty plan, unless it said there is more.
pub fn reconcile(job: Job, live: Live, exits: &[PodExit], portion: Portion, now: Now) -> JobPlan {
    let before = job.progress();
    let mut plan = decide(job, live, exits, portion, now);
    if let Phase::Finished(_) = plan.next.phase
        && !plan.next.deleting
    {
        // One that rested when it ended began then: no API server takes an end without a beginning, but of a Job that rested
        // and had nothing to do.
        let nothing_to_do = plan.next.spec.suspend && plan.next.spec.completions == Some(0);
        if plan.next.finished.is_none() && !nothing_to_do {
            plan.next.started.get_or_insert(now);
        }
        let since = *plan.next.finished.get_or_insert(now);
        let expires = plan.next.spec.ttl.map(|ttl| since.steady + ttl);
        plan.expired = expires.is_some_and(|at| at <= now.steady);
        plan.wake = expires.filter(|_| !plan.expired);
    }
    plan.changed = !exits.is_empty() || plan.next.progress() != before;
    plan
}

fn decide(job: Job, live: Live, exits: &[PodExit], portion: Portion, now: Now) -> JobPlan {
    let mut next = job;
    // What is over stays as it was, also if its spec is changed.
    if !matches!(next.phase, Phase::Finished(_)) {
        next.fit();
    }
    let fatal = next.count(exits);
    if next.deleting {
        return dissolve(next, live, portion);
    }
    if next.spec.managed_elsewhere {
        return JobPlan::idle(next);
    }
    match next.phase {
        Phase::Finished(_) => JobPlan::idle(next),
        Phase::Finishing(verdict) => finish(next, verdict, live, portion),
        Phase::Active => {
            if !next.spec.suspend {
                next.started.get_or_insert(now);
            }
            next.detail = fatal;
            match fate(&mut next, live, now.steady) {
                Some(verdict) => finish(next, verdict, live, portion),
                None => work(next, live, portion, now),
            }
        }
    }
}

impl JobPlan {
    fn idle(next: Job) -> JobPlan {
        JobPlan {
            next,
            changed: false,
            create: Vec::new(),
            stop: 0,
            wake: None,
            expired: false,
            remove: false,
            more: false,
        }
    }

    /// With the first portion of `pods` to be stopped.
    fn stopping(self, pods: u32, portion: Portion) -> JobPlan {
        JobPlan { stop: pods.min(portion.stop), more: pods > portion.stop, ..self }
    }

    fn waking(mut self, at: Option<Steady>) -> JobPlan {
        self.wake = [self.wake, at].into_iter().flatten().min();
        self
    }
}

/// What of a Job changes by being looked at; its sets change only with these.
type Progress = (Phase, [u32; 3], [Option<Now>; 2], Option<bool>, JobBackoff);

impl Job {
    fn progress(&self) -> Progress {
        let delayed = self.indexes.as_ref().map_or(0, |table| table.delayed());
        let counts = [self.succeeded, self.failed, delayed];
        (self.phase, counts, [self.started, self.finished], self.suspended, self.backoff)
    }

    /// Takes up what changed in the spec.
    fn fit(&mut self) {
        let Some(indexed) = &self.spec.indexed else { return };
        let table = self.indexes.get_or_insert_default();
        let waits = self.spec.replacement == Replacement::Failed;
        table.fit(self.spec.completions.unwrap_or(0), waits, &indexed.success_policy);
        self.succeeded = table.completed().count();
    }

    /// Counts `exits`, and lets them pace the next Pod: a success starts the sequence anew, failures after it count again.
    /// Says why, if a rule ends the Job for one of them.
    fn count(&mut self, exits: &[PodExit]) -> Option<String> {
        let mut fatal = None;
        if exits.is_empty() {
            return fatal;
        }
        // What ends after its Job has succeeded is of no account any more.
        if matches!(self.phase, Phase::Finishing(Verdict::Complete(_)) | Phase::Finished(_)) {
            return fatal;
        }
        let failing = matches!(self.phase, Phase::Finishing(_));
        let last_success = exits.iter().filter(|exit| exit.succeeded).map(|exit| exit.at).max();
        if last_success.is_some() {
            self.backoff = JobBackoff::default();
        }
        for exit in exits {
            if self.indexes.as_ref().is_some_and(|table| exit.index.is_none_or(|index| !table.has(index))) {
                continue;
            }
            // A failed Job counts whatever it takes down as failed.
            if exit.succeeded && !(failing && exit.deleted) {
                self.count_success(exit);
                continue;
            }
            let policy = self.spec.failure_policy.as_ref();
            let (action, why) = policy
                .zip(exit.failed.as_ref())
                .map_or((FailureAction::Count, String::new()), |(policy, failed)| policy.judge(failed));
            if action == FailureAction::FailJob {
                fatal.get_or_insert(why);
            }
            // Killed guests did not fail: the device did. They count towards backoffLimit, as on a cluster, but wait no
            // longer than they would have, else one power cut of four guests would cost 80 s.
            let delays = !exit.interrupted && last_success.is_none_or(|success| exit.at > success);
            if delays {
                self.backoff.failures = self.backoff.failures.saturating_add(1);
                self.backoff.last_failure = self.backoff.last_failure.max(Some(exit.at));
            }
            self.count_failure(exit, action);
        }
        fatal
    }

    fn count_success(&mut self, exit: &PodExit) {
        if let Some((indexed, table)) = self.spec.indexed.as_ref().zip(self.indexes.as_mut())
            && let Some(index) = exit.index
        {
            table.complete(index, &indexed.success_policy);
            self.failed += table.settle(index);
            self.succeeded = table.completed().count();
        } else {
            self.succeeded += 1;
        }
    }

    fn count_failure(&mut self, exit: &PodExit, action: FailureAction) {
        let limit = self.spec.indexed.as_ref().and_then(|indexed| indexed.backoff_limit);
        let Some(((limit, table), index)) = limit.zip(self.indexes.as_mut()).zip(exit.index) else {
            self.failed += u32::from(action != FailureAction::Ignore);
            return;
        };
        let delayed = table.delayed();
        let failure = IndexFailure {
            ignored: action == FailureAction::Ignore,
            for_good: action == FailureAction::FailIndex,
            delays: (!exit.interrupted).then_some(exit.at),
        };
        if table.fail(index, failure, limit) {
            self.failed += 1 + table.settle(index);
        } else if table.delayed() == delayed && !failure.ignored {
            self.failed += 1;
        }
    }
}

/// The Job is being deleted: its Pods go first, and nothing counts any more.
fn dissolve(next: Job, live: Live, portion: Portion) -> JobPlan {
    let remove = live.active == 0 && live.terminating == 0;
    JobPlan { remove, ..JobPlan::idle(next).stopping(live.active, portion) }
}

/// The Job's fate is known: whatever still runs is stopped, and when nothing does, it is over.
fn finish(mut next: Job, verdict: Verdict, live: Live, portion: Portion) -> JobPlan {
    let over = live.active == 0 && live.terminating == 0;
    next.phase = if over { Phase::Finished(verdict) } else { Phase::Finishing(verdict) };
    next.failed += next.indexes.as_mut().map_or(0, |table| table.settle_all());
    if let Verdict::Failed(_) = verdict {
        // Pods that a failed Job takes down count as failed in the same breath.
        next.failed += live.active.min(portion.stop);
    }
    JobPlan::idle(next).stopping(live.active, portion)
}

/// Whether the Job ends, before its Pods are looked at. The first that holds decides.
fn fate(job: &mut Job, live: Live, now: Steady) -> Option<Verdict> {
    let limit = job.spec.backoff_limit;
    if job.detail.is_some() {
        return Some(Verdict::Failed(Failure::PodFailurePolicy));
    }
    // With OnFailure the restarts of live Pods count. Limits 0 and 1 both end with the first restart.
    let restarted_too_often =
        job.spec.restart_policy == RestartPolicy::OnFailure && live.restarts > 0 && live.restarts >= limit;
    let delayed = job.indexes.as_ref().map_or(0, |table| table.delayed());
    if job.failed.saturating_add(delayed) > limit || restarted_too_often {
        return Some(Verdict::Failed(Failure::BackoffLimitExceeded));
    }
    if job.deadline().is_some_and(|deadline| deadline <= now) {
        return Some(Verdict::Failed(Failure::DeadlineExceeded));
    }
    let (indexed, table) = job.spec.indexed.as_ref().zip(job.indexes.as_ref())?;
    if indexed.backoff_limit.is_some() {
        let failed = table.failed().count();
        if indexed.max_failed.is_some_and(|most| failed > most) {
            return Some(Verdict::Failed(Failure::MaxFailedIndexesExceeded));
        }
        if failed > 0 && failed + job.succeeded >= job.spec.completions.unwrap_or(0) {
            return Some(Verdict::Failed(Failure::FailedIndexes));
        }
    }
    let rule = table.met(&indexed.success_policy)?;
    job.detail = Some(format!("Matched rules at index {rule}"));
    Some(Verdict::Complete(Success::SuccessPolicy))
}

impl Job {
    /// When it will have gone on for too long; a Job that rests does not.
    fn deadline(&self) -> Option<Steady> {
        let started = self.started.filter(|_| !self.spec.suspend)?;
        Some(started.steady + self.spec.active_deadline?)
    }

    /// How many Pods it should have, and whether enough have succeeded.
    fn wanted(&self, live: Live) -> (u32, bool) {
        let enough = match self.spec.completions {
            Some(completions) => self.succeeded >= completions,
            None => self.succeeded > 0,
        };
        let wanted = match self.spec.completions {
            _ if self.spec.suspend => 0,
            Some(completions) => self.spec.parallelism.min(completions.saturating_sub(self.succeeded)),
            None if self.succeeded == 0 => self.spec.parallelism,
            // A work queue makes nothing more after its first success, and stops nothing either.
            None => live.active,
        };
        (wanted, enough)
    }
}

fn work(mut next: Job, live: Live, portion: Portion, now: Now) -> JobPlan {
    let (wanted, enough) = next.wanted(live);
    if enough && wanted == 0 {
        return finish(next, Verdict::Complete(Success::CompletionsReached), live, portion);
    }
    if next.spec.suspend {
        next.suspended = Some(true);
        next.started = None;
    } else if next.suspended == Some(true) {
        next.suspended = Some(false);
    }
    let deadline = next.deadline();
    let misplaced = next.indexes.as_ref().map_or(0, |table| table.misplaced(live.active));
    let surplus = live.active.saturating_sub(wanted).max(misplaced);
    if surplus > 0 {
        return JobPlan::idle(next).stopping(surplus, portion).waking(deadline);
    }
    let held = if next.spec.replacement == Replacement::Failed { live.terminating } else { 0 };
    let missing = wanted.saturating_sub(live.active).saturating_sub(held);
    make(next, missing, portion.make, now.steady).waking(deadline)
}

/// Makes the Pods that are missing, unless they have to wait.
fn make(mut next: Job, missing: u32, most: u32, now: Steady) -> JobPlan {
    let each_index_waits = next.spec.indexed.as_ref().is_some_and(|indexed| indexed.backoff_limit.is_some());
    // A running delay holds every new Pod back, also one that a greater parallelism asks for.
    if let Some(until) = next.backoff.until().filter(|until| *until > now && !each_index_waits) {
        return JobPlan::idle(next).waking(Some(until).filter(|_| missing > 0));
    }
    let Some((indexed, table)) = next.spec.indexed.as_ref().zip(next.indexes.as_mut()) else {
        let create = vec![Seed::default(); usize::try_from(missing.min(most)).unwrap_or(usize::MAX)];
        return JobPlan { create, more: missing > most, ..JobPlan::idle(next) };
    };
    let found = table.seeds(indexed, missing, most, now);
    let replaced: u32 = found.seeds.iter().filter_map(|seed| Some(table.replaced(seed.index?))).sum();
    next.failed += replaced;
    JobPlan { create: found.seeds, wake: found.wake, more: found.more, ..JobPlan::idle(next) }
}
