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

fn indexed(completions: u32, parallelism: u32) -> Job {
    let mut job = job(RestartPolicy::Never, Some(completions), parallelism, 1000);
    job.spec.indexed = Some(Indexed::default());
    job
}

/// Asks `job`, and makes the Pods it wants.
fn make(job: &mut Job, live: Live, exits: &[PodExit], seconds: i64) -> Vec<u32> {
    let plan = reconcile(std::mem::take(job), live, exits, PORTION, Now::at(seconds * 1000));
    *job = plan.next;
    let made: Vec<_> = plan.create.iter().filter_map(|seed| seed.index).collect();
    for index in &made {
        job.indexes.as_mut().unwrap().shift(*index, Live::default(), active(1));
    }
    made
}

#[test]
fn a_job_of_a_hundred_thousand_indexes_takes_little_to_remember() {
    let mut job = indexed(100_000, 500);
    let mut running = make(&mut job, active(0), &[], 0);
    let mut lottery: u64 = 7;
    let mut most_text = 0;
    while !running.is_empty() {
        // Any of those that run is the next to end.
        lottery = lottery.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let index = running.swap_remove(usize::try_from(lottery >> 33).unwrap() % running.len());
        job.indexes.as_mut().unwrap().shift(index, active(1), Live::default());
        let exit = PodExit { index: Some(index), ..succeeded_at(1) };
        let live = active(u32::try_from(running.len()).unwrap());
        running.extend(make(&mut job, live, &[exit], 1));
        if lottery.is_multiple_of(1000) {
            most_text = most_text.max(job.indexes.as_ref().unwrap().completed().to_string().len());
        }
    }
    assert_eq!(job.phase, Phase::Finished(Verdict::Complete(Success::CompletionsReached)));
    assert_eq!(job.indexes.unwrap().completed().to_string(), "0-99999");
    assert!(most_text < 8_000, "{most_text} bytes");
}

#[test]
fn failure_beats_success_and_the_limit_beats_the_deadline() {
    let mut last = Job { succeeded: 8, failed: 6, ..job(RestartPolicy::Never, Some(9), 2, 6) };
    last.started = Some(Now::at(0));
    let both = [succeeded_at(5), failed_at(5)];
    check(&last, active(0), &both, 5, expect!["Finished(Failed(BackoffLimitExceeded)) 9+/7-"]);
    last.spec.active_deadline = Some(Millis::from_secs(5));
    check(&last, active(0), &both, 5, expect!["Finished(Failed(BackoffLimitExceeded)) 9+/7-"]);
    check(&last, active(0), &[succeeded_at(5)], 5, expect!["Finished(Failed(DeadlineExceeded)) 9+/6-"]);
}

fn with_success_policy(mut job: Job, text: Option<&str>, count: Option<u32>) -> Job {
    let indexes = text.map(|text| Indexes::parse(text, 100));
    job.spec.indexed =
        Some(Indexed { success_policy: vec![SuccessRule { indexes, count }], ..Indexed::default() });
    job
}

fn of(index: u32, exit: PodExit) -> PodExit {
    PodExit { index: Some(index), ..exit }
}

#[test]
fn a_success_policy_is_met_by_what_succeeded_and_rescues_no_failed_job() {
    let first = |text, count| with_success_policy(indexed(5, 5), text, count);
    let done = [of(0, succeeded_at(1)), of(2, succeeded_at(1))];
    for (text, count) in [(Some("0,2"), None), (Some("0-3"), Some(2)), (None, Some(2)), (None, Some(0))] {
        let told = tell(&ask(&first(text, count), active(0), &done, 1));
        assert_eq!(told, "Finished(Complete(SuccessPolicy)) 2+/0-", "{text:?} {count:?}");
    }
    check(&first(None, Some(0)), active(0), &[], 1, expect!["Active 0+/0- create 0,1,2,3,4"]);
    check(&first(Some("0-2"), None), active(0), &done, 1, expect!["Active 2+/0- create 1,3,4"]);
    check(&first(Some(""), None), active(0), &done, 1, expect!["Active 2+/0- create 1,3,4"]);
    let mut strict = first(None, Some(1));
    strict.spec.backoff_limit = 0;
    let both = [of(0, succeeded_at(1)), of(1, failed_at(1))];
    check(&strict, active(0), &both, 1, expect!["Finished(Failed(BackoffLimitExceeded)) 1+/1-"]);
    let succeeding = Job { phase: Phase::Finishing(Verdict::Complete(Success::SuccessPolicy)), ..strict };
    let stopping = Live { terminating: 1, ..Live::default() };
    let late = [of(3, failed_at(2)), of(4, succeeded_at(2))];
    check(&succeeding, stopping, &late, 2, expect!["Finishing(Complete(SuccessPolicy)) 0+/0-"]);
}

#[test]
fn a_suspended_job_that_ends_began_then_unless_there_was_nothing_to_do() {
    let started = |completions| {
        let mut resting = Job { succeeded: 2, ..job(RestartPolicy::Never, Some(completions), 1, 6) };
        resting.spec.suspend = true;
        ask(&resting, active(0), &[], 9).next.started.map(|at| at.steady)
    };
    assert_eq!(started(2), Some(Steady(9000)));
    assert_eq!(started(0), None);
}

#[test]
fn a_suspended_job_can_still_fail_or_be_done_and_meets_no_deadline() {
    let mut resting = job(RestartPolicy::Never, Some(2), 2, 0);
    resting.spec.suspend = true;
    resting.spec.active_deadline = Some(Millis(0));
    check(&resting, active(0), &[], 9, expect!["Active 0+/0- suspended"]);
    check(&resting, active(2), &[], 9, expect!["Active 0+/0- stop 2 suspended"]);
    check(&resting, active(0), &[failed_at(9)], 9, expect!["Finished(Failed(BackoffLimitExceeded)) 0+/1-"]);
    let both = [succeeded_at(9), succeeded_at(9)];
    check(&resting, active(0), &both, 9, expect!["Finished(Complete(CompletionsReached)) 2+/0-"]);
    let queue = Job { spec: Spec { completions: None, ..resting.spec.clone() }, succeeded: 1, ..resting };
    check(&queue, active(1), &[], 9, expect!["Finishing(Complete(CompletionsReached)) 1+/0- stop 1"]);
}

#[test]
fn a_work_queue_that_has_begun_to_succeed_does_not_shrink() {
    let begun = Job { succeeded: 1, ..job(RestartPolicy::Never, None, 1, 6) };
    check(&begun, active(3), &[], 9, expect!["Active 1+/0-"]);
}

#[test]
fn a_delay_holds_back_what_a_greater_parallelism_asks_for_but_not_when_each_index_has_its_own() {
    let mut waiting = indexed(4, 2);
    assert_eq!(make(&mut waiting, active(0), &[], 0), [0, 1]);
    waiting.indexes.as_mut().unwrap().shift(0, active(1), Live::default());
    assert_eq!(make(&mut waiting, active(1), &[of(0, failed_at(1))], 1), []);
    waiting.spec.parallelism = 4;
    check(&waiting, active(1), &[], 5, expect!["Active 0+/1- wake 11s"]);
    check(&waiting, active(1), &[], 11, expect!["Active 0+/1- create 0,2,3"]);

    let mut each = indexed(4, 2);
    each.spec.indexed = Some(Indexed { backoff_limit: Some(1), ..Indexed::default() });
    assert_eq!(make(&mut each, active(0), &[], 0), [0, 1]);
    each.indexes.as_mut().unwrap().shift(0, active(1), Live::default());
    assert_eq!(make(&mut each, active(1), &[of(0, failed_at(1))], 1), []);
    // Its failure is counted when its place is taken again.
    check(&each, active(1), &[], 5, expect!["Active 0+/0- wake 11s"]);
    check(&each, active(1), &[], 11, expect!["Active 0+/1- create 0"]);
    each.spec.parallelism = 4;
    check(&each, active(1), &[], 5, expect!["Active 0+/0- create 2,3 wake 11s"]);
}

#[test]
fn with_the_policy_failed_what_is_being_stopped_keeps_its_place() {
    let mut careful = indexed(3, 2);
    careful.spec.replacement = Replacement::Failed;
    assert_eq!(make(&mut careful, active(0), &[], 0), [0, 1]);
    let stopping = Live { terminating: 1, ..Live::default() };
    careful.indexes.as_mut().unwrap().shift(0, active(1), stopping);
    check(&careful, active(1).plus(stopping), &[], 1, expect!["Active 0+/0-"]);
    careful.spec.parallelism = 3;
    check(&careful, active(1).plus(stopping), &[], 1, expect!["Active 0+/0- create 2"]);
    careful.spec.replacement = Replacement::TerminatingOrFailed;
    check(&careful, active(1).plus(stopping), &[], 1, expect!["Active 0+/0- create 0,2"]);
}

#[test]
fn ignored_failures_delay_and_never_reach_the_limit() {
    let mut lenient = job(RestartPolicy::Never, Some(1), 1, 0);
    let on = On::ExitCodes { container: Some("main".into()), within: true, values: vec![7] };
    let rules = vec![FailureRule { action: FailureAction::Ignore, on }];
    lenient.spec.failure_policy = Some(FailurePolicy { rules });
    let with = |code| {
        let failed = Failed { exit_codes: vec![("main".into(), code)], ..Failed::default() };
        [PodExit { failed: Some(Box::new(failed)), ..failed_at(1) }]
    };
    check(&lenient, active(0), &with(7), 1, expect!["Active 0+/0- wake 11s"]);
    check(&lenient, active(0), &with(8), 1, expect!["Finished(Failed(BackoffLimitExceeded)) 0+/1-"]);
}

#[test]
fn exit_code_0_matches_no_rule_and_the_first_rule_that_matches_decides() {
    let codes = |within, values: &[i32]| On::ExitCodes { container: None, within, values: values.to_vec() };
    let when = |kind: &str| On::Conditions(vec![(kind.into(), "True".into())]);
    let rule = |action, on| FailureRule { action, on };
    let policy = FailurePolicy {
        rules: vec![
            rule(FailureAction::Ignore, when("DisruptionTarget")),
            rule(FailureAction::FailJob, codes(true, &[3])),
            rule(FailureAction::FailIndex, codes(false, &[4])),
        ],
    };
    let judge = |exit_codes: &[i32], conditions: &[(&str, &str)]| {
        let exit_codes = exit_codes.iter().enumerate();
        let text = |(kind, status): &(&str, &str)| ((*kind).to_owned(), (*status).to_owned());
        policy.judge(&Failed {
            pod: "ns/pod".into(),
            exit_codes: exit_codes.map(|(at, code)| (format!("c{at}"), *code)).collect(),
            conditions: conditions.iter().map(text).collect(),
        })
    };
    let mut told = String::new();
    for (exit_codes, conditions) in [
        (&[0, 3][..], &[][..]),
        (&[0], &[]),
        (&[0, 4], &[]),
        (&[0, 5], &[("DisruptionTarget", "False")]),
        (&[3], &[("Ready", "False"), ("DisruptionTarget", "True")]),
    ] {
        let (action, why) = judge(exit_codes, conditions);
        told += &format!("{action:?} {why}\n");
    }
    expect![[r#"
        FailJob Container c1 for pod ns/pod failed with exit code 3 matching FailJob rule at index 1
        Count 
        Count 
        FailIndex Container c1 for pod ns/pod failed with exit code 5 matching FailIndex rule at index 2
        Ignore Pod ns/pod has condition DisruptionTarget matching Ignore rule at index 0
    "#]]
    .assert_eq(&told);
}
