//! What a Job does, told in text.

use expect_test::{Expect, expect};

use super::*;
use crate::job::reconcile;

fn job(restart_policy: RestartPolicy, completions: Option<u32>, parallelism: u32, limit: u32) -> Job {
    let spec = Spec { parallelism, completions, backoff_limit: limit, restart_policy, ..Spec::default() };
    Job { spec, ..Job::default() }
}

fn once() -> Job {
    job(RestartPolicy::Never, Some(1), 1, 6)
}

fn active(active: u32) -> Live {
    Live { active, ..Live::default() }
}

fn failed_at(seconds: i64) -> PodExit {
    let at = Steady(seconds * 1000);
    PodExit { succeeded: false, interrupted: false, deleted: false, at, index: None, failed: None }
}

fn succeeded_at(seconds: i64) -> PodExit {
    PodExit { succeeded: true, ..failed_at(seconds) }
}

const PORTION: Portion = Portion { make: 500, stop: 500 };

fn ask(job: &Job, live: Live, exits: &[PodExit], seconds: i64) -> JobPlan {
    reconcile(job.clone(), live, exits, PORTION, Now::at(seconds * 1000))
}

fn check(job: &Job, live: Live, exits: &[PodExit], seconds: i64, expected: Expect) {
    expected.assert_eq(&tell(&ask(job, live, exits, seconds)));
}

fn tell(plan: &JobPlan) -> String {
    let Job { phase, succeeded, failed, .. } = plan.next;
    let mut text = format!("{phase:?} {succeeded}+/{failed}-");
    let made: Vec<_> = plan.create.iter().filter_map(|seed| Some(seed.index?.to_string())).collect();
    match plan.create.len() {
        0 => {}
        pods if made.is_empty() => text += &format!(" create {pods}"),
        _ => text += &format!(" create {}", made.join(",")),
    }
    if plan.stop > 0 {
        text += &format!(" stop {}", plan.stop);
    }
    if let Some(wake) = plan.wake {
        text += &format!(" wake {}s", wake.0 / 1000);
    }
    if let Some(suspended) = plan.next.suspended {
        text += if suspended { " suspended" } else { " resumed" };
    }
    for (is, word) in [(plan.expired, " expired"), (plan.remove, " remove"), (plan.more, " more")] {
        text += if is { word } else { "" };
    }
    text
}

#[test]
fn makes_as_many_pods_as_run_at_once_and_are_still_needed() {
    check(&once(), active(0), &[], 0, expect!["Active 0+/0- create 1"]);
    let wide = job(RestartPolicy::Never, Some(10), 4, 6);
    check(&wide, active(0), &[], 0, expect!["Active 0+/0- create 4"]);
    check(&wide, active(3), &[succeeded_at(1)], 1, expect!["Active 1+/0- create 1"]);
    let nearly = Job { succeeded: 8, ..wide };
    check(&nearly, active(0), &[], 1, expect!["Active 8+/0- create 2"]);
}

#[test]
fn completes_when_the_last_needed_pod_has_succeeded() {
    check(&once(), active(0), &[succeeded_at(3)], 3, expect!["Finished(Complete(CompletionsReached)) 1+/0-"]);
    let none = job(RestartPolicy::Never, Some(0), 1, 6);
    check(&none, active(0), &[], 0, expect!["Finished(Complete(CompletionsReached)) 0+/0-"]);
}

#[test]
fn waits_ten_seconds_after_the_first_failure() {
    check(&once(), active(0), &[failed_at(5)], 6, expect!["Active 0+/1- wake 15s"]);
    let waiting = ask(&once(), active(0), &[failed_at(5)], 6).next;
    check(&waiting, active(0), &[], 15, expect!["Active 0+/1- create 1"]);
}

#[test]
fn five_pods_that_fail_together_cost_160_seconds() {
    let wide = job(RestartPolicy::Never, Some(9), 5, 6);
    let exits = [1, 1, 1, 1, 1].map(failed_at);
    check(&wide, active(0), &exits, 1, expect!["Active 0+/5- wake 161s"]);
}

#[test]
fn an_interruption_counts_but_does_not_delay() {
    let cut = PodExit { interrupted: true, ..failed_at(5) };
    check(&once(), active(0), &[cut], 5, expect!["Active 0+/1- create 1"]);
}

#[test]
fn a_success_starts_the_delays_anew() {
    let wide = job(RestartPolicy::Never, Some(9), 1, 6);
    check(&wide, active(0), &[failed_at(1), succeeded_at(2)], 2, expect!["Active 1+/1- create 1"]);
    check(&wide, active(0), &[succeeded_at(2), failed_at(3)], 3, expect!["Active 1+/1- wake 13s"]);
}

#[test]
fn fails_beyond_its_backoff_limit_and_takes_its_pods_down() {
    let strict = Job { failed: 2, ..job(RestartPolicy::Never, Some(9), 3, 2) };
    check(
        &strict,
        active(2),
        &[failed_at(33)],
        33,
        expect!["Finishing(Failed(BackoffLimitExceeded)) 0+/5- stop 2"],
    );
    let none = job(RestartPolicy::Never, Some(1), 1, 0);
    check(&none, active(0), &[failed_at(1)], 1, expect!["Finished(Failed(BackoffLimitExceeded)) 0+/1-"]);
}

#[test]
fn with_on_failure_the_restarts_of_live_pods_count() {
    let restarts = |restarts| Live { active: 1, restarts, ..Live::default() };
    for limit in [0, 1] {
        let strict = job(RestartPolicy::OnFailure, Some(1), 1, limit);
        let told = |live| tell(&ask(&strict, live, &[], 1));
        assert_eq!(told(restarts(0)), "Active 0+/0-");
        assert_eq!(told(restarts(1)), "Finishing(Failed(BackoffLimitExceeded)) 0+/1- stop 1");
    }
    let two = job(RestartPolicy::OnFailure, Some(1), 1, 2);
    check(&two, restarts(1), &[], 1, expect!["Active 0+/0-"]);
}

#[test]
fn fails_at_its_deadline_also_while_it_waits() {
    let mut timed = once();
    timed.spec.active_deadline = Some(Millis::from_secs(5));
    check(&timed, active(0), &[], 0, expect!["Active 0+/0- create 1 wake 5s"]);
    timed.started = Some(Now::at(0));
    check(&timed, active(1), &[], 5, expect!["Finishing(Failed(DeadlineExceeded)) 0+/1- stop 1"]);
    check(&timed, active(0), &[failed_at(1)], 1, expect!["Active 0+/1- wake 5s"]);
    timed.spec.active_deadline = Some(Millis(0));
    check(&timed, active(0), &[], 0, expect!["Finished(Failed(DeadlineExceeded)) 0+/0-"]);
}

#[test]
fn a_work_queue_replaces_nothing_after_its_first_success() {
    let queue = job(RestartPolicy::Never, None, 3, 6);
    check(&queue, active(0), &[], 0, expect!["Active 0+/0- create 3"]);
    let begun = Job { succeeded: 1, ..queue };
    check(&begun, active(1), &[failed_at(6)], 6, expect!["Active 1+/1-"]);
    check(&begun, active(0), &[succeeded_at(9)], 9, expect!["Finished(Complete(CompletionsReached)) 2+/0-"]);
}

#[test]
fn less_parallelism_stops_the_surplus_without_counting_it() {
    let narrow = job(RestartPolicy::Never, Some(9), 1, 6);
    check(&narrow, active(4), &[], 0, expect!["Active 0+/0- stop 3"]);
}

#[test]
fn a_deleted_job_goes_after_its_pods() {
    let going = Job { deleting: true, ..once() };
    check(&going, active(1), &[], 0, expect!["Active 0+/0- stop 1"]);
    let stopping = Live { terminating: 1, ..Live::default() };
    check(&going, stopping, &[], 0, expect!["Active 0+/0-"]);
    check(&going, active(0), &[], 0, expect!["Active 0+/0- remove"]);
}
