//! What is never true of a status.

use crate::job::check_status;
use crate::pb::k8s::batch::v1::Job;
use expect_test::{Expect, expect};
use serde_json::Value;

use super::{merge, value};

/// A status that is right, of an Indexed Job with failures counted for each index.
const RUNNING: &str = "
metadata: {name: a}
spec: {completionMode: Indexed, completions: 5, parallelism: 5, backoffLimitPerIndex: 1}
status:
  startTime: '2026-11-20T09:00:00Z'
  active: 2
  ready: 1
  succeeded: 2
  failed: 1
  completedIndexes: '0,2'
  failedIndexes: '1'
";

const COMPLETE: &str = "
status:
  active: 0
  ready: 0
  completionTime: '2026-11-20T09:01:00Z'
  conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True'}]
";

fn job(changes: &[&str]) -> Job {
    let mut job = value(RUNNING);
    for change in changes {
        merge(&mut job, value(change));
    }
    crate::json::from_node(&serde_json::from_value(job).unwrap()).unwrap()
}

fn check(before: Option<&Job>, changes: &[&str], expected: Expect) {
    let told =
        check_status(before, &job(changes)).map_or_else(|errors| errors.to_string(), |()| "right".to_owned());
    expected.assert_eq(&told);
}

fn conditions(types: &[&str]) -> String {
    let conditions: Vec<Value> =
        types.iter().map(|kind| serde_json::json!({"type": kind, "status": "True"})).collect();
    serde_json::json!({"status": {"conditions": conditions}}).to_string()
}

#[test]
fn a_right_status_is_right() {
    check(None, &[], expect!["right"]);
    check(Some(&job(&[])), &[COMPLETE], expect!["right"]);
    check(None, &[&conditions(&["FailureTarget"])], expect!["right"]);
    check(
        None,
        &["status: {active: 0, ready: 0}", &conditions(&["FailureTarget", "Failed"])],
        expect!["right"],
    );
}

#[test]
fn conditions_do_not_contradict_each_other() {
    let rest = "status: {active: 0, ready: 0}";
    check(
        None,
        &[COMPLETE, &conditions(&["Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"])],
        expect![
            "status.conditions: both Complete and Failed; status.conditions: both Complete and FailureTarget; status.conditions: both SuccessCriteriaMet and Failed; status.conditions: both SuccessCriteriaMet and FailureTarget"
        ],
    );
    check(
        None,
        &[rest, &conditions(&["Failed"])],
        expect!["status.conditions: Failed without FailureTarget"],
    );
    check(
        None,
        &[COMPLETE, &conditions(&["Complete"])],
        expect!["status.conditions: Complete without SuccessCriteriaMet"],
    );
}

#[test]
fn a_finished_job_is_at_rest() {
    check(
        None,
        &[
            COMPLETE,
            "status: {active: 1, terminating: 1, startTime: null, completionTime: null, uncountedTerminatedPods: {failed: [a]}}",
        ],
        expect![
            "status.active: more than 0 of a finished Job; status.terminating: more than 0 of a finished Job; status.uncountedTerminatedPods: not empty although the Job has finished; status.startTime: missing although the Job has finished; status.completionTime: missing although the Job is Complete"
        ],
    );
    check(
        None,
        &["status: {completionTime: '2026-11-20T09:00:00Z'}"],
        expect!["status.completionTime: given without Complete"],
    );
    check(
        None,
        &[COMPLETE, "status: {completionTime: '2026-11-20T08:59:59Z'}"],
        expect!["status.completionTime: before startTime"],
    );
}

#[test]
fn counts_and_indexes_fit() {
    check(None, &["status: {ready: 3}"], expect!["status.ready: more than active"]);
    check(
        None,
        &["status: {completedIndexes: '0,1', failedIndexes: '1-3'}"],
        expect!["status.failedIndexes: an index is in completedIndexes too"],
    );
    check(
        None,
        &["status: {completedIndexes: '2,1', failedIndexes: 'x'}"],
        expect![
            "status.completedIndexes: must have each index once, in ascending order, unlike 1; status.failedIndexes: must be indexes and intervals, as in `0,2-5`"
        ],
    );
    check(None, &["status: {succeeded: 3}"], expect!["status.succeeded: not the number of completedIndexes"]);
    check(
        None,
        &["spec: {completionMode: NonIndexed, backoffLimitPerIndex: null}"],
        expect![
            "status.completedIndexes: given without indexes; status.failedIndexes: given without backoffLimitPerIndex"
        ],
    );
}

#[test]
fn nothing_is_taken_back() {
    let before = job(&[]);
    check(Some(&before), &["status: {failed: 0}"], expect!["status.failed: less than before"]);
    check(
        Some(&before),
        &["spec: {parallelism: 2}", "status: {succeeded: 1, completedIndexes: '0'}"],
        expect!["status.succeeded: less than before"],
    );
    check(
        Some(&before),
        &["spec: {completions: 2, parallelism: 2}", "status: {succeeded: 1, completedIndexes: '0'}"],
        expect!["right"],
    );
    check(
        Some(&before),
        &["status: {startTime: null}"],
        expect!["status.startTime: changed although the Job was not suspended"],
    );
    check(Some(&before), &["spec: {suspend: true}", "status: {startTime: null}"], expect!["right"]);
    let complete = job(&[COMPLETE]);
    check(
        Some(&complete),
        &[],
        expect![
            "status.conditions: Complete was there before; status.conditions: SuccessCriteriaMet was there before; status.completionTime: changed"
        ],
    );
    check(
        Some(&complete),
        &[COMPLETE, "status: {completionTime: '2026-11-20T09:02:00Z'}"],
        expect!["status.completionTime: changed"],
    );
}
