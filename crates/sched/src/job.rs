//! What a Job does next: how many Pods to make or remove, and when it is over.
//!
//! The order of the decisions is Kubernetes': failure beats success, the backoff limit beats the deadline, and the verdict
//! is given before it is final: `FailureTarget` or `SuccessCriteriaMet` first, `Failed` or `Complete` once no Pod runs.
//!
//! A Job's Pods are not passed in but their sums, [`Live`]: the work for one change does not grow with a Job's size.
//! Deliberately absent so far: indexes, suspension, policies for failures and success, time to live.

mod pods;

use crate::backoff::JobBackoff;
use crate::{Millis, Now, Steady};

/// What a Job is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// What happens when a container fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Its Pod fails; the Job makes another.
    Never,
    /// It is started again in the same Pod.
    OnFailure,
}

/// A Job: what is asked, and what became of it so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What is asked.
    pub spec: Spec,
    /// How far it is.
    pub phase: Phase,
    /// Pods that succeeded and were counted.
    pub succeeded: u32,
    /// Pods that failed and were counted.
    pub failed: u32,
    /// When it was first looked at.
    pub started: Option<Steady>,
    /// What paces the next Pod.
    pub backoff: JobBackoff,
    /// It is being deleted in the foreground: it goes when its Pods have gone.
    pub deleting: bool,
}

/// How far a Job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its work goes on.
    Active,
    /// Its fate is known, some of its Pods still stop.
    Finishing(Verdict),
    /// It is over, for good.
    Finished(Verdict),
}

/// How a Job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As many Pods succeeded as were asked for.
    Complete,
    /// It failed.
    Failed(Failure),
}

/// Why a Job failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// More failures than `backoffLimit` allows.
    BackoffLimitExceeded,
    /// It went on for longer than `activeDeadlineSeconds`.
    DeadlineExceeded,
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

/// A Pod that has finished and was not counted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodExit {
    /// Every container exited 0.
    pub succeeded: bool,
    /// The agent went down under it, so that its failure says nothing about the guest.
    pub interrupted: bool,
    /// When its last container ended.
    pub at: Steady,
}

/// What to do about a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPlan {
    /// The Job afterwards, with the exits counted.
    pub next: Job,
    /// So many Pods are to be made.
    pub create: u32,
    /// Pods that are to be stopped.
    pub stop: Stop,
    /// Ask again then, if nothing happens before.
    pub wake: Option<Steady>,
    /// The Job is gone.
    pub remove: bool,
    /// There is more to make or stop than one portion: apply this and ask again.
    pub more: bool,
}

/// Which Pods are to be stopped: so many, those that have come least far first ([`Rank`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// None.
    None,
    /// They do not count as failures.
    Surplus(u32),
    /// They count as failures; the plan's `next` has them.
    Failed(u32),
}

/// What to do about `job`. `live` are its Pods that have not finished, `exits` all those that have since it was last asked.
/// No more than `portion` Pods are made or stopped at once (Kubernetes: 500), so that recording it has a size.
///
/// Applying the plan and asking again, at the same time, gives an empty plan, unless it said there is more.
pub fn reconcile(job: &Job, live: Live, exits: &[PodExit], portion: u32, now: Now) -> JobPlan {
    let mut next = job.clone();
    count(&mut next, exits);
    if job.deleting {
        return dissolve(next, live, portion);
    }
    match next.phase {
        Phase::Finished(_) => JobPlan::idle(next),
        Phase::Finishing(verdict) => finish(next, verdict, live, portion),
        Phase::Active => {
            let started = *next.started.get_or_insert(now.steady);
            match failure(&next, live, started, now.steady) {
                Some(failure) => finish(next, Verdict::Failed(failure), live, portion),
                None => work(next, live, portion, started, now.steady),
            }
        }
    }
}

impl JobPlan {
    fn idle(next: Job) -> JobPlan {
        JobPlan { next, create: 0, stop: Stop::None, wake: None, remove: false, more: false }
    }

    /// With the first portion of `pods` to be stopped in this way.
    fn stopping(self, how: fn(u32) -> Stop, pods: u32, portion: u32) -> JobPlan {
        let stop = if pods == 0 { Stop::None } else { how(pods.min(portion)) };
        JobPlan { stop, more: pods > portion, ..self }
    }
}

/// Counts `exits`, and lets them pace the next Pod: a success starts the sequence anew, failures after it count again.
fn count(job: &mut Job, exits: &[PodExit]) {
    if exits.is_empty() {
        return;
    }
    let last_success = exits.iter().filter(|exit| exit.succeeded).map(|exit| exit.at).max();
    if last_success.is_some() {
        job.backoff = JobBackoff::default();
    }
    for exit in exits {
        if exit.succeeded {
            job.succeeded += 1;
            continue;
        }
        job.failed += 1;
        // Killed guests did not fail: the device did. They count towards backoffLimit, as on a cluster, but wait no
        // longer than they would have, else one power cut of four guests would cost 80 s.
        if !exit.interrupted && last_success.is_none_or(|success| exit.at > success) {
            job.backoff.failures += 1;
            job.backoff.last_failure = job.backoff.last_failure.max(Some(exit.at));
        }
    }
}

/// The Job is being deleted: its Pods go first, and nothing counts any more.
fn dissolve(next: Job, live: Live, portion: u32) -> JobPlan {
    let remove = live.active == 0 && live.terminating == 0;
    JobPlan { remove, ..JobPlan::idle(next).stopping(Stop::Surplus, live.active, portion) }
}

/// The Job's fate is known: whatever still runs is stopped, and when nothing does, it is over.
fn finish(mut next: Job, verdict: Verdict, live: Live, portion: u32) -> JobPlan {
    let over = live.active == 0 && live.terminating == 0;
    next.phase = if over { Phase::Finished(verdict) } else { Phase::Finishing(verdict) };
    // Pods that a failed Job takes down count as failed in the same breath.
    next.failed += live.active.min(portion);
    JobPlan::idle(next).stopping(Stop::Failed, live.active, portion)
}

fn failure(job: &Job, live: Live, started: Steady, now: Steady) -> Option<Failure> {
    let limit = job.spec.backoff_limit;
    // With OnFailure the restarts of live Pods count. Limits 0 and 1 both end with the first restart.
    let restarted_too_often =
        job.spec.restart_policy == RestartPolicy::OnFailure && live.restarts > 0 && live.restarts >= limit;
    if job.failed > limit || restarted_too_often {
        return Some(Failure::BackoffLimitExceeded);
    }
    let deadline = started + job.spec.active_deadline?;
    (now >= deadline).then_some(Failure::DeadlineExceeded)
}

fn work(next: Job, live: Live, portion: u32, started: Steady, now: Steady) -> JobPlan {
    let wanted = match next.spec.completions {
        Some(completions) => next.spec.parallelism.min(completions.saturating_sub(next.succeeded)),
        None if next.succeeded == 0 => next.spec.parallelism,
        // A work queue makes nothing more after its first success, and stops nothing either.
        None => live.active,
    };
    let enough = match next.spec.completions {
        Some(completions) => next.succeeded >= completions,
        None => next.succeeded > 0,
    };
    if enough && live.active == 0 {
        return finish(next, Verdict::Complete, live, portion);
    }
    let deadline = next.spec.active_deadline.map(|length| started + length);
    if live.active > wanted {
        let surplus = live.active - wanted;
        return JobPlan { wake: deadline, ..JobPlan::idle(next).stopping(Stop::Surplus, surplus, portion) };
    }
    let missing = wanted - live.active;
    // A running delay holds every new Pod back, also one that a greater parallelism asks for.
    match next.backoff.until().filter(|until| *until > now) {
        Some(until) if missing > 0 => {
            let wake = deadline.map_or(until, |deadline| deadline.min(until));
            JobPlan { wake: Some(wake), ..JobPlan::idle(next) }
        }
        _ => JobPlan {
            create: missing.min(portion),
            wake: deadline,
            more: missing > portion,
            ..JobPlan::idle(next)
        },
    }
}

/// Orders a Job's Pods for [`Stop::Surplus`]: the smallest is stopped first. Kubernetes' order: Pods without a node before
/// those with one, Pending before Running, more restarts before fewer, newer before older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// It has a node.
    pub assigned: bool,
    /// Its containers have started.
    pub running: bool,
    /// All of them run.
    pub ready: bool,
    /// How often they were started again; more goes first.
    pub restarts: std::cmp::Reverse<u32>,
    /// When it was made; newer goes first.
    pub ordinal: std::cmp::Reverse<u64>,
}

#[cfg(test)]
mod tests {
    use arbtest::arbtest;
    use expect_test::{Expect, expect};

    use super::*;

    fn job(restart_policy: RestartPolicy, completions: Option<u32>, parallelism: u32, limit: u32) -> Job {
        Job {
            spec: Spec {
                parallelism,
                completions,
                backoff_limit: limit,
                active_deadline: None,
                restart_policy,
            },
            phase: Phase::Active,
            succeeded: 0,
            failed: 0,
            started: None,
            backoff: JobBackoff::default(),
            deleting: false,
        }
    }

    fn once() -> Job {
        job(RestartPolicy::Never, Some(1), 1, 6)
    }

    fn active(active: u32) -> Live {
        Live { active, ..Live::default() }
    }

    fn failed_at(seconds: i64) -> PodExit {
        PodExit { succeeded: false, interrupted: false, at: Steady(seconds * 1000) }
    }

    fn succeeded_at(seconds: i64) -> PodExit {
        PodExit { succeeded: true, ..failed_at(seconds) }
    }

    fn check(job: &Job, live: Live, exits: &[PodExit], seconds: i64, expected: Expect) {
        let plan = reconcile(job, live, exits, 500, Now::at(seconds * 1000));
        let wake = plan.wake.map_or(String::new(), |wake| format!(" wake {}s", wake.0 / 1000));
        let Job { phase, succeeded, failed, .. } = plan.next;
        let remove = if plan.remove { " remove" } else { "" };
        expected.assert_eq(&format!(
            "create {} stop {:?} {succeeded}+/{failed}- {phase:?}{wake}{remove}",
            plan.create, plan.stop
        ));
    }

    #[test]
    fn makes_as_many_pods_as_run_at_once_and_are_still_needed() {
        check(&once(), active(0), &[], 0, expect!["create 1 stop None 0+/0- Active"]);
        let wide = job(RestartPolicy::Never, Some(10), 4, 6);
        check(&wide, active(0), &[], 0, expect!["create 4 stop None 0+/0- Active"]);
        check(&wide, active(3), &[succeeded_at(1)], 1, expect!["create 1 stop None 1+/0- Active"]);
        let nearly = Job { succeeded: 8, ..wide };
        check(&nearly, active(0), &[], 1, expect!["create 2 stop None 8+/0- Active"]);
    }

    #[test]
    fn completes_when_the_last_needed_pod_has_succeeded() {
        check(
            &once(),
            active(0),
            &[succeeded_at(3)],
            3,
            expect!["create 0 stop None 1+/0- Finished(Complete)"],
        );
        let none = job(RestartPolicy::Never, Some(0), 1, 6);
        check(&none, active(0), &[], 0, expect!["create 0 stop None 0+/0- Finished(Complete)"]);
    }

    #[test]
    fn waits_ten_seconds_after_the_first_failure() {
        check(&once(), active(0), &[failed_at(5)], 6, expect!["create 0 stop None 0+/1- Active wake 15s"]);
        let waiting = reconcile(&once(), active(0), &[failed_at(5)], 500, Now::at(6000)).next;
        check(&waiting, active(0), &[], 15, expect!["create 1 stop None 0+/1- Active"]);
    }

    #[test]
    fn five_pods_that_fail_together_cost_160_seconds() {
        let wide = job(RestartPolicy::Never, Some(9), 5, 6);
        let exits = [1, 1, 1, 1, 1].map(failed_at);
        check(&wide, active(0), &exits, 1, expect!["create 0 stop None 0+/5- Active wake 161s"]);
    }

    #[test]
    fn an_interruption_counts_but_does_not_delay() {
        let cut = PodExit { interrupted: true, ..failed_at(5) };
        check(&once(), active(0), &[cut], 5, expect!["create 1 stop None 0+/1- Active"]);
    }

    #[test]
    fn a_success_starts_the_delays_anew() {
        let wide = job(RestartPolicy::Never, Some(9), 1, 6);
        check(
            &wide,
            active(0),
            &[failed_at(1), succeeded_at(2)],
            2,
            expect!["create 1 stop None 1+/1- Active"],
        );
        check(
            &wide,
            active(0),
            &[succeeded_at(2), failed_at(3)],
            3,
            expect!["create 0 stop None 1+/1- Active wake 13s"],
        );
    }

    #[test]
    fn fails_beyond_its_backoff_limit_and_takes_its_pods_down() {
        let strict = Job { failed: 2, ..job(RestartPolicy::Never, Some(9), 3, 2) };
        check(
            &strict,
            active(2),
            &[failed_at(33)],
            33,
            expect!["create 0 stop Failed(2) 0+/5- Finishing(Failed(BackoffLimitExceeded))"],
        );
        let none = job(RestartPolicy::Never, Some(1), 1, 0);
        check(
            &none,
            active(0),
            &[failed_at(1)],
            1,
            expect!["create 0 stop None 0+/1- Finished(Failed(BackoffLimitExceeded))"],
        );
    }

    #[test]
    fn with_on_failure_the_restarts_of_live_pods_count() {
        let restarts = |restarts| Live { active: 1, restarts, ..Live::default() };
        for limit in [0, 1] {
            let strict = job(RestartPolicy::OnFailure, Some(1), 1, limit);
            check(&strict, restarts(0), &[], 1, expect!["create 0 stop None 0+/0- Active"]);
            check(
                &strict,
                restarts(1),
                &[],
                1,
                expect!["create 0 stop Failed(1) 0+/1- Finishing(Failed(BackoffLimitExceeded))"],
            );
        }
        let two = job(RestartPolicy::OnFailure, Some(1), 1, 2);
        check(&two, restarts(1), &[], 1, expect!["create 0 stop None 0+/0- Active"]);
    }

    #[test]
    fn fails_at_its_deadline_also_while_it_waits() {
        let mut timed = once();
        timed.spec.active_deadline = Some(Millis::from_secs(5));
        check(&timed, active(0), &[], 0, expect!["create 1 stop None 0+/0- Active wake 5s"]);
        timed.started = Some(Steady(0));
        check(
            &timed,
            active(1),
            &[],
            5,
            expect!["create 0 stop Failed(1) 0+/1- Finishing(Failed(DeadlineExceeded))"],
        );
        check(&timed, active(0), &[failed_at(1)], 1, expect!["create 0 stop None 0+/1- Active wake 5s"]);
        timed.spec.active_deadline = Some(Millis(0));
        check(
            &timed,
            active(0),
            &[],
            0,
            expect!["create 0 stop None 0+/0- Finished(Failed(DeadlineExceeded))"],
        );
    }

    #[test]
    fn a_work_queue_replaces_nothing_after_its_first_success() {
        let queue = job(RestartPolicy::Never, None, 3, 6);
        check(&queue, active(0), &[], 0, expect!["create 3 stop None 0+/0- Active"]);
        let begun = Job { succeeded: 1, ..queue };
        check(&begun, active(1), &[failed_at(6)], 6, expect!["create 0 stop None 1+/1- Active"]);
        check(
            &begun,
            active(0),
            &[succeeded_at(9)],
            9,
            expect!["create 0 stop None 2+/0- Finished(Complete)"],
        );
    }

    #[test]
    fn less_parallelism_stops_the_surplus_without_counting_it() {
        let narrow = job(RestartPolicy::Never, Some(9), 1, 6);
        check(&narrow, active(4), &[], 0, expect!["create 0 stop Surplus(3) 0+/0- Active"]);
    }

    #[test]
    fn a_deleted_job_goes_after_its_pods() {
        let going = Job { deleting: true, ..once() };
        check(&going, active(1), &[], 0, expect!["create 0 stop Surplus(1) 0+/0- Active"]);
        let stopping = Live { terminating: 1, ..Live::default() };
        check(&going, stopping, &[], 0, expect!["create 0 stop None 0+/0- Active"]);
        check(&going, active(0), &[], 0, expect!["create 0 stop None 0+/0- Active remove"]);
    }

    fn any_world(u: &mut arbitrary::Unstructured<'_>) -> arbitrary::Result<(Job, Live, Vec<PodExit>, Now)> {
        let policy = if u.arbitrary()? { RestartPolicy::Never } else { RestartPolicy::OnFailure };
        let completions = if u.arbitrary()? { Some(u.int_in_range(0..=20)?) } else { None };
        let mut job = job(policy, completions, u.int_in_range(0..=8)?, u.int_in_range(0..=6)?);
        if u.arbitrary()? {
            job.spec.active_deadline = Some(Millis(u.int_in_range(0..=100_000)?));
        }
        job.succeeded = u.int_in_range(0..=completions.unwrap_or(3))?;
        job.failed = u.int_in_range(0..=job.spec.backoff_limit)?;
        job.deleting = u.ratio(1, 8)?;
        let active = u.int_in_range(0..=8)?;
        let live = Live {
            active,
            ready: u.int_in_range(0..=active)?,
            terminating: u.int_in_range(0..=3)?,
            restarts: u.int_in_range(0..=6)?,
        };
        let mut exits = Vec::new();
        for _ in 0..u.int_in_range(0..=4)? {
            let at = Steady(u.int_in_range(0..=100_000)?);
            exits.push(PodExit { succeeded: u.arbitrary()?, interrupted: u.arbitrary()?, at });
        }
        Ok((job, live, exits, Now::at(u.int_in_range(0..=200_000)?)))
    }

    fn applied(live: Live, plan: &JobPlan) -> Live {
        let stopped = match plan.stop {
            Stop::None => 0,
            Stop::Surplus(pods) | Stop::Failed(pods) => pods,
        };
        let active = live.active + plan.create - stopped;
        // What is stopped no longer restarts; which Pods that concerns is not the Job's to know, so here it is all or none.
        let restarts = if stopped > 0 { 0 } else { live.restarts };
        Live { active, ready: live.ready.min(active), terminating: live.terminating + stopped, restarts }
    }

    #[test]
    fn applying_a_plan_and_asking_again_gives_an_empty_plan() {
        arbtest(|u| {
            let (job, live, exits, now) = any_world(u)?;
            let portion = u.int_in_range(1..=8)?;
            let whole = reconcile(&job, live, &exits, u32::MAX, now);
            let mut plan = reconcile(&job, live, &exits, portion, now);
            let mut left = applied(live, &plan);
            while plan.more {
                plan = reconcile(&plan.next, left, &[], portion, now);
                left = applied(left, &plan);
            }
            assert_eq!(left.active, applied(live, &whole).active, "portions add up");
            assert_eq!((plan.next.succeeded, plan.next.failed), (whole.next.succeeded, whole.next.failed));
            let again = reconcile(&plan.next, left, &[], portion, now);
            assert_eq!((again.create, again.stop), (0, Stop::None), "{plan:?}");
            assert_eq!((again.next.succeeded, again.next.failed), (plan.next.succeeded, plan.next.failed));
            Ok(())
        });
    }

    #[test]
    fn never_runs_more_than_asked() {
        arbtest(|u| {
            let (job, live, exits, now) = any_world(u)?;
            let plan = reconcile(&job, live, &exits, 500, now);
            assert!(plan.create == 0 || live.active + plan.create <= job.spec.parallelism);
            Ok(())
        });
    }

    #[test]
    fn more_time_never_unfinishes_a_job() {
        arbtest(|u| {
            let (job, live, exits, now) = any_world(u)?;
            let next = reconcile(&job, live, &exits, 500, now).next;
            if let Phase::Finished(verdict) = next.phase {
                let later = Now::at(now.steady.0 + u.int_in_range(0..=1_000_000)?);
                assert_eq!(
                    reconcile(&next, Live::default(), &[], 500, later).next.phase,
                    Phase::Finished(verdict)
                );
            }
            Ok(())
        });
    }
}
