//! Jobs as Kubernetes means them, told second by second: the real engine, a clock that is told the time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod common;

use api::pb::k8s::batch::v1::Job;
use common::{Node, new_job};
use engine::{Effect, Event, ObjectKey, StartGuest, WriteMode};
use expect_test::{Expect, expect};
use sched::Exit;

/// A Job `job` of image `hello`, and what is told of it.
struct Story {
    node: Node,
    start: i64,
    /// Guests end when they are asked to; if not, when they are killed.
    obedient: bool,
    text: String,
    told: String,
    before: Option<Job>,
}

impl Story {
    /// `spec` is YAML in flow form: `completions: 3, parallelism: 2`; so is `template`, of the Pod's spec.
    fn of(spec: &str, template: &str) -> Story {
        let mut node = Node::new();
        node.push_image("hello");
        let start = node.now;
        node.create(&manifest(spec, template)).unwrap();
        let (text, told) = (String::new(), String::new());
        let mut story = Story { node, start, obedient: true, text, told, before: None };
        story.tell();
        story
    }

    fn stubborn(mut self) -> Story {
        self.obedient = false;
        self
    }

    /// Says how the Job stands, if that changed. No API server would refuse what it says.
    fn tell(&mut self) {
        let now = stands(&mut self.node);
        let job = self.node.job("job").filter(|job| job.spec.as_ref().unwrap().managed_by.is_none());
        if let Some(job) = &job {
            api::job::check_status(self.before.as_ref(), job).unwrap();
        }
        self.before = job;
        if now != self.told {
            self.text += &format!("{:<4}{now}\n", (self.node.now - self.start) / 1000);
            self.told = now;
        }
        for effect in std::mem::take(&mut self.node.effects) {
            match effect {
                Effect::Stop(guest) if self.obedient => self.node.end(guest, Exit::Stopped),
                Effect::Kill(guest) => self.node.end(guest, Exit::Stopped),
                _ => continue,
            }
            self.tell();
        }
    }

    /// Nothing happens but what is due.
    fn until(&mut self, second: i64) -> &mut Story {
        let end = self.start + second * 1000;
        while let Some(at) = self.node.next_wake().filter(|at| at.0 <= end) {
            self.node.wait((at.0 - self.node.now).max(0));
            self.tell();
        }
        self.node.wait(end - self.node.now);
        self
    }

    /// At that second these guests end so: of an Indexed Job, those of these indexes; else the oldest ones, from 0.
    fn end(&mut self, second: i64, pods: &[usize], code: u8) -> &mut Story {
        self.until(second);
        let running: Vec<_> = self.node.running.values().map(|start| (place(start), start.guest)).collect();
        for pod in pods {
            let indexed = running.iter().find(|(place, _)| *place == Some(*pod));
            let (_, guest) = *indexed.unwrap_or_else(|| &running[*pod]);
            self.node.end(guest, Exit::Code(code));
        }
        self.tell();
        self
    }

    /// Whatever runs ends so, a second after it began, until then.
    fn always_end(&mut self, code: u8, until: i64) -> &mut Story {
        loop {
            while self.node.running.is_empty() {
                let end = self.start + until * 1000;
                let Some(at) = self.node.next_wake().filter(|at| at.0 <= end) else { return self };
                self.node.wait((at.0 - self.node.now).max(0));
                self.tell();
            }
            self.node.wait(1000);
            self.node.end_all(&Exit::Code(code));
            self.tell();
        }
    }

    /// At that second the spec is replaced.
    fn change(&mut self, second: i64, spec: &str, template: &str) -> &mut Story {
        self.until(second);
        let job = Box::new(new_job(&manifest(spec, template)));
        let change = Event::CreateJob { job, mode: WriteMode::Update, dry_run: false };
        self.node.apply(vec![change]).remove(0).unwrap();
        self.tell();
        self
    }

    /// At that second the agent is killed, and is back at once.
    fn crash(&mut self, second: i64) -> &mut Story {
        self.until(second);
        self.node.crash();
        self.node.boot();
        self.tell();
        self
    }

    fn check(&mut self, expected: Expect) {
        expected.assert_eq(&self.text);
    }

    /// The Events about the Job that say more than which Pods came and went.
    fn events(&mut self) -> String {
        let (events, _) = self.node.engine().reader().events("default");
        let about = events.iter().filter(|event| event.involved_object.as_ref().unwrap().kind == "Job");
        let mut about: Vec<_> = about.filter(|event| !event.reason.starts_with("Successful")).collect();
        about.sort_by_key(|event| event.metadata.as_ref().unwrap().resource_version.parse::<u64>().unwrap());
        about.iter().map(|event| format!("{} {}: {}\n", event.r#type, event.reason, event.message)).collect()
    }
}

fn manifest(spec: &str, template: &str) -> String {
    let comma = |text: &str| if text.is_empty() { "" } else { ", " };
    format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: job}}, spec: {{{spec}{}template: {{spec: {{{template}{}\
         containers: [{{name: main, image: hello}}]}}}}}}}}",
        comma(spec),
        comma(template)
    )
}

const NEVER: &str = "restartPolicy: Never";
const ON_FAILURE: &str = "restartPolicy: OnFailure";

/// The index in the name of a Pod of an Indexed Job.
fn place(start: &StartGuest) -> Option<usize> {
    start.pod.strip_prefix("job-")?.split_once('-')?.0.parse().ok()
}

/// `active terminating succeeded+/failed-`, indexes, conditions with their reasons, how many Pods there are.
fn stands(node: &mut Node) -> String {
    let Some(job) = node.job("job") else { return "gone".to_owned() };
    let Some(status) = job.status else { return "untouched".to_owned() };
    let mut text = format!("active {}", status.active);
    if let Some(terminating) = status.terminating.filter(|pods| *pods > 0) {
        text += &format!(" terminating {terminating}");
    }
    text += &format!(" {}+/{}-", status.succeeded, status.failed);
    if !status.completed_indexes.is_empty() {
        text += &format!(" completed {}", status.completed_indexes);
    }
    if let Some(failed) = status.failed_indexes.filter(|failed| !failed.is_empty()) {
        text += &format!(" failed {failed}");
    }
    for condition in &status.conditions {
        let not = if condition.status == "True" { "" } else { "not " };
        text += &format!(" {not}{}({})", condition.r#type, condition.reason);
    }
    let pods = node.pods().len();
    let since = status.start_time.map(|at| at.seconds - 1_800_000_000);
    format!("{text}; {pods} pods{}", since.map_or(", not started".to_owned(), |at| format!(", since {at}")))
}

#[test]
fn a_pod_that_always_fails_is_made_again_after_ten_and_twenty_seconds() {
    let mut story = Story::of("backoffLimit: 2", NEVER);
    story.always_end(1, 1000).check(expect![[r#"
        0   active 1 0+/0-; 1 pods, since 0
        1   active 0 0+/1-; 1 pods, since 0
        11  active 1 0+/1-; 2 pods, since 0
        12  active 0 0+/2-; 2 pods, since 0
        32  active 1 0+/2-; 3 pods, since 0
        33  active 0 0+/3- FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded); 3 pods, since 0
    "#]]);
    expect![[r#"
        Warning BackoffLimitExceeded: Job has reached the specified backoff limit
    "#]]
    .assert_eq(&story.events());
}

#[test]
fn with_on_failure_the_second_restart_fails_the_job_and_takes_the_pod() {
    let mut story = Story::of("backoffLimit: 2", ON_FAILURE).stubborn();
    story.end(1, &[0], 1).end(2, &[0], 1).until(100).check(expect![[r#"
        0   active 1 0+/0-; 1 pods, since 0
        12  active 0 terminating 1 0+/1- FailureTarget(BackoffLimitExceeded); 1 pods, since 0
        42  active 0 0+/1- FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded); 0 pods, since 0
    "#]]);
}

#[test]
fn with_on_failure_limits_0_and_1_are_the_same() {
    for limit in ["backoffLimit: 0", "backoffLimit: 1"] {
        let mut story = Story::of(limit, ON_FAILURE);
        story.end(1, &[0], 1).until(100);
        assert_eq!(
            story.told,
            "active 0 0+/1- FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded); 0 pods, since 0"
        );
    }
}

#[test]
fn an_index_that_always_fails_fails_the_job_when_the_others_are_done() {
    let spec = "completions: 3, parallelism: 3, completionMode: Indexed, backoffLimitPerIndex: 1";
    let mut story = Story::of(spec, NEVER);
    story.end(1, &[1], 1).end(12, &[1], 1).end(20, &[0], 0).end(21, &[2], 0).until(100).check(expect![[r#"
        0   active 3 0+/0-; 3 pods, since 0
        1   active 2 0+/0-; 3 pods, since 0
        11  active 3 0+/1-; 4 pods, since 0
        12  active 2 0+/2- failed 1; 4 pods, since 0
        20  active 1 1+/2- completed 0 failed 1; 4 pods, since 0
        21  active 0 2+/2- completed 0,2 failed 1 FailureTarget(FailedIndexes) Failed(FailedIndexes); 4 pods, since 0
    "#]]);
    expect![[r#"
        Warning FailedIndexes: Job has failed indexes
    "#]]
    .assert_eq(&story.events());
}

#[test]
fn a_work_queue_is_done_when_its_last_pod_is_after_a_success() {
    let mut story = Story::of("parallelism: 3", NEVER);
    story.end(5, &[0], 0).end(6, &[0], 1).end(9, &[0], 0).until(100).check(expect![[r#"
        0   active 3 0+/0-; 3 pods, since 0
        5   active 2 1+/0-; 3 pods, since 0
        6   active 1 1+/1-; 3 pods, since 0
        9   active 0 2+/1- SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached); 3 pods, since 0
    "#]]);
    expect![[r#"
        Normal Completed: Job completed
    "#]]
    .assert_eq(&story.events());
}

#[test]
fn a_deadline_stops_what_runs_and_the_job_has_failed_when_it_has_stopped() {
    let template = "restartPolicy: Never, terminationGracePeriodSeconds: 3";
    let mut story = Story::of("activeDeadlineSeconds: 5", template).stubborn();
    story.until(100).check(expect![[r#"
        0   active 1 0+/0-; 1 pods, since 0
        5   active 0 terminating 1 0+/1- FailureTarget(DeadlineExceeded); 1 pods, since 0
        8   active 0 0+/1- FailureTarget(DeadlineExceeded) Failed(DeadlineExceeded); 0 pods, since 0
    "#]]);
    expect![[r#"
        Warning DeadlineExceeded: Job was active longer than specified deadline
    "#]]
    .assert_eq(&story.events());
}

#[test]
fn a_suspended_job_begins_anew_and_so_does_its_deadline() {
    let spec = "parallelism: 2, completions: 2, activeDeadlineSeconds: 60";
    let mut story = Story::of(spec, NEVER);
    let suspended = format!("{spec}, suspend: true");
    story.change(40, &suspended, NEVER).change(100, spec, NEVER).until(300).check(expect![[r#"
        0   active 2 0+/0-; 2 pods, since 0
        40  active 0 terminating 2 0+/0- Suspended(JobSuspended); 2 pods, not started
        40  active 0 terminating 1 0+/0- Suspended(JobSuspended); 1 pods, not started
        40  active 0 0+/0- Suspended(JobSuspended); 0 pods, not started
        100 active 2 0+/0- not Suspended(JobResumed); 2 pods, since 100
        160 active 0 terminating 2 0+/2- not Suspended(JobResumed) FailureTarget(DeadlineExceeded); 2 pods, since 100
        160 active 0 terminating 1 0+/2- not Suspended(JobResumed) FailureTarget(DeadlineExceeded); 1 pods, since 100
        160 active 0 0+/2- not Suspended(JobResumed) FailureTarget(DeadlineExceeded) Failed(DeadlineExceeded); 0 pods, since 100
    "#]]);
    expect![[r#"
        Normal Suspended: Job suspended
        Normal Resumed: Job resumed
        Warning DeadlineExceeded: Job was active longer than specified deadline
    "#]]
    .assert_eq(&story.events());
}

#[test]
fn a_job_of_the_default_limit_fails_after_630_seconds() {
    let mut story = Story::of("", NEVER);
    let mut starts = Vec::new();
    while let Some(guest) = story.node.running.keys().next().copied() {
        starts.push((story.node.now - story.start) / 1000);
        story.node.end(guest, Exit::Code(1));
        if let Some(at) = story.node.next_wake() {
            story.node.wait(at.0 - story.node.now);
        }
    }
    assert_eq!(starts, [0, 10, 30, 70, 150, 310, 630]);
    story.tell();
    assert_eq!(
        story.told,
        "active 0 0+/7- FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded); 7 pods, since 0"
    );
}

#[test]
fn a_job_made_suspended_has_no_pods_until_it_is_resumed() {
    let mut story = Story::of("suspend: true, activeDeadlineSeconds: 5", NEVER);
    story.change(50, "activeDeadlineSeconds: 5", NEVER).end(53, &[0], 0).check(expect![[r#"
        0   active 0 0+/0- Suspended(JobSuspended); 0 pods, not started
        50  active 1 0+/0- not Suspended(JobResumed); 1 pods, since 50
        53  active 0 1+/0- not Suspended(JobResumed) SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached); 1 pods, since 50
    "#]]);
    expect![[r#"
        Normal Suspended: Job suspended
        Normal Resumed: Job resumed
        Normal Completed: Job completed
    "#]]
    .assert_eq(&story.events());
}

#[test]
fn a_suspended_job_of_no_completions_is_complete_although_it_never_started() {
    let mut story = Story::of("suspend: true, completions: 0", NEVER);
    story.check(expect![[r#"
        0   active 0 0+/0- SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached); 0 pods, not started
    "#]]);
}

#[test]
fn a_backoff_goes_on_while_a_job_rests() {
    let mut story = Story::of("", NEVER);
    story.end(1, &[0], 1).change(3, "suspend: true", NEVER).change(5, "", NEVER).until(20).check(expect![[
        r#"
        0   active 1 0+/0-; 1 pods, since 0
        1   active 0 0+/1-; 1 pods, since 0
        3   active 0 0+/1- Suspended(JobSuspended); 1 pods, not started
        5   active 0 0+/1- not Suspended(JobResumed); 1 pods, since 5
        11  active 1 0+/1- not Suspended(JobResumed); 2 pods, since 5
    "#
    ]]);
}

#[test]
fn a_deadline_of_nothing_fails_the_job_before_its_first_pod() {
    Story::of("activeDeadlineSeconds: 0", NEVER).check(expect![[r#"
        0   active 0 0+/0- FailureTarget(DeadlineExceeded) Failed(DeadlineExceeded); 0 pods, since 0
    "#]]);
}

#[test]
fn what_is_done_is_kept_for_its_time_to_live() {
    let mut story = Story::of("ttlSecondsAfterFinished: 30", NEVER);
    story
        .end(5, &[0], 0)
        .crash(20)
        .until(34)
        .change(34, "ttlSecondsAfterFinished: 100", NEVER)
        .until(1000)
        .check(expect![[r#"
            0   active 1 0+/0-; 1 pods, since 0
            5   active 0 1+/0- SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached); 1 pods, since 0
            105 gone
        "#]]);
    assert_eq!(story.node.pods().len(), 0);
    let mut at_once = Story::of("ttlSecondsAfterFinished: 0", NEVER);
    at_once.end(5, &[0], 0).check(expect![[r#"
        0   active 1 0+/0-; 1 pods, since 0
        5   gone
    "#]]);
}

#[test]
fn a_job_of_another_controller_is_not_touched() {
    let mut story = Story::of("managedBy: example.com/other", NEVER);
    story.until(1000).crash(1001).check(expect![[r#"
        0   untouched
    "#]]);
    assert!(story.node.running.is_empty());
}

#[test]
fn with_one_place_an_index_in_backoff_holds_it() {
    let spec = "completions: 2, parallelism: 1, completionMode: Indexed, backoffLimitPerIndex: 1";
    let mut story = Story::of(spec, NEVER);
    story.end(1, &[0], 1).end(12, &[0], 1).end(13, &[1], 0).check(expect![[r#"
        0   active 1 0+/0-; 1 pods, since 0
        1   active 0 0+/0-; 1 pods, since 0
        11  active 1 0+/1-; 2 pods, since 0
        12  active 1 0+/2- failed 0; 3 pods, since 0
        13  active 0 1+/2- completed 1 failed 0 FailureTarget(FailedIndexes) Failed(FailedIndexes); 3 pods, since 0
    "#]]);
}

#[test]
fn delays_of_an_index_and_its_failures_survive_a_restart() {
    let spec = "completions: 2, parallelism: 2, completionMode: Indexed, backoffLimitPerIndex: 2";
    let mut story = Story::of(spec, NEVER);
    story.end(1, &[0], 1).end(2, &[1], 0).crash(5).until(10).end(12, &[0], 1).crash(20).until(40).check(
        expect![[r#"
            0   active 2 0+/0-; 2 pods, since 0
            1   active 1 0+/0-; 2 pods, since 0
            2   active 0 1+/0- completed 1; 2 pods, since 0
            11  active 1 1+/1- completed 1; 3 pods, since 0
            12  active 0 1+/1- completed 1; 3 pods, since 0
            32  active 1 1+/2- completed 1; 4 pods, since 0
        "#]],
    );
    let pod =
        story.node.pods().into_iter().find(|pod| pod.status.as_ref().unwrap().phase == "Running").unwrap();
    let meta = pod.metadata.unwrap();
    assert!(meta.name.starts_with("job-0-"), "{}", meta.name);
    assert_eq!(meta.labels["batch.kubernetes.io/job-completion-index"], "0");
    assert_eq!(meta.annotations["batch.kubernetes.io/job-completion-index"], "0");
    assert_eq!(meta.annotations["batch.kubernetes.io/job-index-failure-count"], "2");
    assert_eq!(pod.spec.unwrap().hostname, "job-0");
}

#[test]
fn too_many_failed_indexes_end_the_job_at_once() {
    let spec = "completions: 4, parallelism: 4, completionMode: Indexed, backoffLimitPerIndex: 0, maxFailedIndexes: 1";
    let mut story = Story::of(spec, NEVER);
    story.end(1, &[3], 1).end(2, &[0], 1).until(100).check(expect![[r#"
        0   active 4 0+/0-; 4 pods, since 0
        1   active 3 0+/1- failed 3; 4 pods, since 0
        2   active 0 terminating 2 0+/4- failed 0,3 FailureTarget(MaxFailedIndexesExceeded); 4 pods, since 0
        2   active 0 terminating 1 0+/4- failed 0,3 FailureTarget(MaxFailedIndexesExceeded); 3 pods, since 0
        2   active 0 0+/4- failed 0,3 FailureTarget(MaxFailedIndexesExceeded) Failed(MaxFailedIndexesExceeded); 2 pods, since 0
    "#]]);
    expect![[r#"
        Warning MaxFailedIndexesExceeded: Job has exceeded the specified maximal number of failed indexes
    "#]]
    .assert_eq(&story.events());
}

const POLICY: &str = "podFailurePolicy: {rules: [\
    {action: Ignore, onPodConditions: [{type: DisruptionTarget, status: 'True'}]}, \
    {action: FailJob, onExitCodes: {containerName: main, operator: In, values: [42]}}, \
    {action: Ignore, onExitCodes: {operator: In, values: [7, 8]}}, \
    {action: Count, onExitCodes: {operator: NotIn, values: [9]}}]}";

#[test]
fn a_rule_may_fail_the_job_at_once() {
    let mut story = Story::of(&format!("{POLICY}, completions: 3, parallelism: 3"), NEVER).stubborn();
    story.end(1, &[0], 42).until(100).check(expect![[r#"
        0   active 3 0+/0-; 3 pods, since 0
        1   active 0 terminating 2 0+/3- FailureTarget(PodFailurePolicy); 3 pods, since 0
        31  active 0 terminating 1 0+/3- FailureTarget(PodFailurePolicy); 2 pods, since 0
        31  active 0 0+/3- FailureTarget(PodFailurePolicy) Failed(PodFailurePolicy); 1 pods, since 0
    "#]]);
    let events = story.events();
    let name = &story.node.pods()[0].metadata.clone().unwrap().name;
    expect![[r#"
        Warning PodFailurePolicy: Container main for pod default/POD failed with exit code 42 matching FailJob rule at index 1
    "#]].assert_eq(&events.replace(name, "POD"));
}

#[test]
fn an_ignored_failure_delays_and_does_not_count_and_an_interruption_is_replaced_at_once() {
    let mut story = Story::of(&format!("{POLICY}, backoffLimit: 0"), NEVER);
    story.end(1, &[0], 7).crash(15).end(16, &[0], 8).until(40).end(41, &[0], 1).check(expect![[r#"
        0   active 1 0+/0-; 1 pods, since 0
        1   active 0 0+/0-; 1 pods, since 0
        11  active 1 0+/0-; 2 pods, since 0
        15  active 1 0+/0-; 3 pods, since 0
        16  active 0 0+/0-; 3 pods, since 0
        36  active 1 0+/0-; 4 pods, since 0
        41  active 0 0+/1- FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded); 4 pods, since 0
    "#]]);
}

#[test]
fn a_rule_may_fail_an_index_for_good() {
    let policy = "podFailurePolicy: {rules: [{action: FailIndex, onExitCodes: {operator: In, values: [3]}}]}";
    let spec =
        format!("{policy}, completions: 2, parallelism: 2, completionMode: Indexed, backoffLimitPerIndex: 5");
    let mut story = Story::of(&spec, NEVER);
    story.end(1, &[0], 3).end(2, &[1], 1).end(13, &[1], 0).check(expect![[r#"
        0   active 2 0+/0-; 2 pods, since 0
        1   active 1 0+/1- failed 0; 2 pods, since 0
        2   active 0 0+/1- failed 0; 2 pods, since 0
        12  active 1 0+/2- failed 0; 3 pods, since 0
        13  active 0 1+/2- completed 1 failed 0 FailureTarget(FailedIndexes) Failed(FailedIndexes); 3 pods, since 0
    "#]]);
}

#[test]
fn a_success_policy_ends_the_job_early_and_what_it_stops_is_not_counted() {
    let spec = "completions: 5, parallelism: 5, completionMode: Indexed, \
                successPolicy: {rules: [{succeededIndexes: '4'}, {succeededIndexes: '0-2', succeededCount: 2}]}";
    let mut story = Story::of(spec, NEVER).stubborn();
    story.end(1, &[3], 0).end(2, &[0], 0).end(3, &[2], 0).until(100).check(expect![[r#"
        0   active 5 0+/0-; 5 pods, since 0
        1   active 4 1+/0- completed 3; 5 pods, since 0
        2   active 3 2+/0- completed 0,3; 5 pods, since 0
        3   active 0 terminating 2 3+/0- completed 0,2,3 SuccessCriteriaMet(SuccessPolicy); 5 pods, since 0
        33  active 0 terminating 1 3+/0- completed 0,2,3 SuccessCriteriaMet(SuccessPolicy); 4 pods, since 0
        33  active 0 3+/0- completed 0,2,3 SuccessCriteriaMet(SuccessPolicy) Complete(SuccessPolicy); 3 pods, since 0
    "#]]);
    expect![[r#"
        Normal Completed: Job completed
    "#]]
    .assert_eq(&story.events());
}

#[test]
fn an_elastic_job_shrinks_and_grows() {
    let of = |both: u32| format!("completions: {both}, parallelism: {both}, completionMode: Indexed");
    let mut story = Story::of(&of(4), NEVER);
    story.end(1, &[0, 3], 0).change(2, &of(2), NEVER).change(3, &of(5), NEVER);
    story.end(4, &[1, 2, 3, 4], 0).check(expect![[r#"
        0   active 4 0+/0-; 4 pods, since 0
        1   active 2 2+/0- completed 0,3; 4 pods, since 0
        2   active 1 terminating 1 1+/0- completed 0; 4 pods, since 0
        2   active 1 1+/0- completed 0; 3 pods, since 0
        3   active 4 1+/0- completed 0; 6 pods, since 0
        4   active 0 5+/0- completed 0-4 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached); 6 pods, since 0
    "#]]);
    let mut none = Story::of(&of(2), NEVER);
    none.change(1, &of(0), NEVER).check(expect![[r#"
        0   active 2 0+/0-; 2 pods, since 0
        1   active 0 terminating 2 0+/0- SuccessCriteriaMet(CompletionsReached); 2 pods, since 0
        1   active 0 terminating 1 0+/0- SuccessCriteriaMet(CompletionsReached); 1 pods, since 0
        1   active 0 0+/0- SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached); 0 pods, since 0
    "#]]);
}
/// Somebody deletes the oldest Pod that runs.
fn delete_pod(story: &mut Story, second: i64) {
    story.until(second);
    let pod = story.node.running.values().next().unwrap().pod.clone();
    let key = ObjectKey::new("default", pod);
    story
        .node
        .apply(vec![Event::DeletePod { key, uid: String::new(), grace_seconds: None }])
        .remove(0)
        .unwrap();
    story.tell();
}

#[test]
fn a_pod_that_somebody_deletes_has_failed_at_once_and_is_replaced_ten_seconds_after() {
    let mut story = Story::of("", NEVER).stubborn();
    delete_pod(&mut story, 5);
    story.until(36).check(expect![[r#"
        0   active 1 0+/0-; 1 pods, since 0
        5   active 0 terminating 1 0+/1-; 1 pods, since 0
        15  active 1 terminating 1 0+/1-; 2 pods, since 0
        35  active 1 0+/1-; 1 pods, since 0
    "#]]);
}

#[test]
fn with_the_policy_failed_a_deleted_pod_is_replaced_when_it_has_ended() {
    let mut story = Story::of("podReplacementPolicy: Failed", NEVER).stubborn();
    delete_pod(&mut story, 5);
    story.until(50).check(expect![[r#"
        0   active 1 0+/0-; 1 pods, since 0
        5   active 0 terminating 1 0+/0-; 1 pods, since 0
        35  active 0 0+/1-; 0 pods, since 0
        45  active 1 0+/1-; 1 pods, since 0
    "#]]);
    let mut in_time = Story::of("podReplacementPolicy: Failed", NEVER).stubborn();
    delete_pod(&mut in_time, 5);
    in_time.end(7, &[0], 0).check(expect![[r#"
        0   active 1 0+/0-; 1 pods, since 0
        5   active 0 terminating 1 0+/0-; 1 pods, since 0
        7   active 0 1+/0- SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached); 0 pods, since 0
    "#]]);
}

#[test]
fn a_job_is_refused_whose_record_could_not_hold_its_indexes() {
    let mut node = Node::new();
    node.push_image("hello");
    let large = |completions: u32| {
        let env = format!("{{name: LARGE, value: '{}'}}", "x".repeat(1 << 20));
        let spec = format!(
            "completions: {completions}, parallelism: 1, suspend: true, completionMode: Indexed, \
             backoffLimitPerIndex: 1"
        );
        manifest(&spec, NEVER).replace("image: hello", &format!("image: hello, env: [{env}]"))
    };
    let refused = node.create(&large(100_000)).unwrap_err().to_string();
    assert!(refused.contains("the most is"), "{refused}");
    node.create(&large(10)).unwrap();
}
