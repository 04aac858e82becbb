//! A Job in full: what was asked for, how far it is, and why it is not further.
//!
//! kubectl's page, with what it leaves out and people look for: conditions, and each Pod with how it last ended.

use api::cron_job::{manual_run, scheduled_slot};
use api::pb::k8s::batch::v1::{Job, JobSpec, JobStatus, PodFailurePolicyRule};
use api::pb::k8s::core::v1::{Event, Pod};
use api::pb::wick::v1::RunOverrides;
use jiff::SignedDuration;

use super::parts::{self, Condition, number};
use super::pod::{last_end, next_start, waits_for};
use super::sheet::Sheet;
use crate::age::between;
use crate::clock::{Clock, time};
use crate::columns::{NONE, selector};
use crate::status;
use crate::table::Table;

/// About how many characters of completed indexes are shown.
const INDEXES_LENGTH: usize = 50;

/// How many Pods are shown, the newest ones.
const PODS: usize = 20;

/// The page about `job`, whose Pods are `pods`, oldest first.
pub(crate) fn page(job: &Job, pods: &[Pod], events: &[Event], clock: &Clock) -> Sheet {
    let mut sheet = Sheet::default();
    let meta = job.metadata.clone().unwrap_or_default();
    let nothing = JobSpec::default();
    let spec = job.spec.as_deref().unwrap_or(&nothing);
    let idle = JobStatus::default();
    let now = job.status.as_ref().unwrap_or(&idle);

    parts::name(&mut sheet, &meta);
    sheet.pair(0, "Selector", selector(job.spec.as_deref()));
    parts::labels(&mut sheet, 0, &meta);
    parts::controlled_by(&mut sheet, &meta);
    sheet.some(0, "Scheduled For", scheduled_slot(job).map(|slot| clock.date(slot)));
    sheet.some(0, "Manual Run", manual_run(job).map(|overrides| different(&overrides)));
    sheet.pair(0, "Parallelism", number(spec.parallelism));
    sheet.pair(0, "Completions", number(spec.completions));
    sheet.some(0, "Completion Mode", spec.completion_mode.clone());
    sheet.some(0, "Suspend", spec.suspend.map(|suspend| suspend.to_string()));
    sheet.some(0, "Backoff Limit", spec.backoff_limit.map(|limit| limit.to_string()));
    sheet.some(0, "Backoff Limit Per Index", spec.backoff_limit_per_index.map(|limit| limit.to_string()));
    sheet.some(0, "Max Failed Indexes", spec.max_failed_indexes.map(|most| most.to_string()));
    policies(&mut sheet, spec);
    let ttl = spec.ttl_seconds_after_finished;
    sheet.some(0, "TTL Seconds After Finished", ttl.map(|ttl| ttl.to_string()));
    sheet.pair(0, "Status", status::job(job));
    sheet.some(0, "Start Time", time(now.start_time.as_ref()).map(|time| clock.date(time)));
    sheet.some(0, "Completed At", time(now.completion_time.as_ref()).map(|time| clock.date(time)));
    let duration = status::duration(job, clock.now);
    sheet.some(0, "Duration", parts::said(&duration));
    sheet.some(0, "Deleted", expiry(job, clock));
    let deadline = spec.active_deadline_seconds;
    sheet.some(0, "Active Deadline Seconds", deadline.map(|seconds| format!("{seconds}s")));
    sheet.pair(0, "Pods Statuses", counts(now));
    let indexed = spec.completion_mode.as_deref() == Some("Indexed");
    if indexed {
        sheet.pair(0, "Completed Indexes", indexes(&now.completed_indexes));
    }
    sheet.some(0, "Failed Indexes", now.failed_indexes.as_deref().and_then(parts::said));
    sheet.head(0, "Pod Template");
    parts::template(&mut sheet, spec.template.as_ref());
    let conditions = now.conditions.iter().map(|condition| Condition {
        kind: &condition.r#type,
        status: &condition.status,
        since: condition.last_transition_time.as_ref(),
        reason: &condition.reason,
        message: &condition.message,
    });
    parts::conditions(&mut sheet, conditions, clock);
    pods_table(&mut sheet, indexed, pods, clock);
    parts::events(&mut sheet, events, clock);
    sheet
}

/// What a manual run does differently, a line each.
fn different(overrides: &RunOverrides) -> String {
    let RunOverrides { container, env, args, fuel } = overrides;
    let mut lines: Vec<String> = env.iter().map(|(key, value)| format!("env: {key}={value}")).collect();
    if !args.is_empty() {
        lines.push(format!("args: {}", args.join(" ")));
    }
    lines.extend(fuel.map(|fuel| format!("fuel: {fuel}")));
    if !container.is_empty() {
        lines.insert(0, format!("container: {container}"));
    }
    if lines.is_empty() { "as the template says".to_owned() } else { lines.join("\n") }
}

/// What Pods' ends mean for the Job, where that is not the usual.
fn policies(sheet: &mut Sheet, spec: &JobSpec) {
    let replacement =
        spec.pod_replacement_policy.as_deref().filter(|policy| *policy != "TerminatingOrFailed");
    sheet.some(0, "Pod Replacement Policy", replacement);
    if let Some(policy) = &spec.pod_failure_policy {
        sheet.list(0, "Pod Failure Policy", policy.rules.iter().map(failure_rule).collect());
    }
    if let Some(policy) = &spec.success_policy {
        let rules = policy.rules.iter().map(|rule| match (&rule.succeeded_indexes, rule.succeeded_count) {
            (Some(indexes), Some(count)) => format!("{count} of the indexes {indexes}"),
            (Some(indexes), None) => format!("the indexes {indexes}"),
            (None, Some(count)) => format!("{count} of the indexes"),
            (None, None) => NONE.to_owned(),
        });
        sheet.list(0, "Success Policy", rules.collect());
    }
    let other = spec.managed_by.as_deref().filter(|manager| *manager != "kubernetes.io/job-controller");
    sheet.some(0, "Managed By", other);
}

/// A rule in a line: `FailJob on exit code In 3,4 of main`.
fn failure_rule(rule: &PodFailurePolicyRule) -> String {
    let codes = rule.on_exit_codes.iter().map(|codes| {
        let values: Vec<String> = codes.values.iter().map(i32::to_string).collect();
        let of = codes.container_name.as_ref().map_or_else(String::new, |name| format!(" of {name}"));
        format!("exit code {} {}{of}", codes.operator, values.join(","))
    });
    let conditions =
        rule.on_pod_conditions.iter().map(|pattern| format!("{}={}", pattern.r#type, pattern.status));
    let on: Vec<String> = codes.chain(conditions).collect();
    format!("{} on {}", rule.action, on.join(" or "))
}

/// When a finished Job goes by itself: `in 30s`.
fn expiry(job: &Job, clock: &Clock) -> Option<String> {
    let ttl = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let finished = status::job_condition(job, "Complete").or_else(|| status::job_condition(job, "Failed"))?;
    let since = time(finished.last_transition_time.as_ref())?;
    let at = since.checked_add(SignedDuration::from_secs(ttl.into())).ok()?;
    Some(match at > clock.now {
        true => format!("in {}", between(clock.now, at)),
        false => "now".to_owned(),
    })
}

fn counts(status: &JobStatus) -> String {
    let ready = status.ready.map_or_else(String::new, |ready| format!(" ({ready} Ready)"));
    let mut counts = format!(
        "{} Active{ready} / {} Succeeded / {} Failed",
        status.active, status.succeeded, status.failed
    );
    if let Some(terminating) = status.terminating.filter(|count| *count > 0) {
        counts += &format!(" / {terminating} Terminating");
    }
    counts
}

/// Indexes, cut after a whole one.
fn indexes(all: &str) -> String {
    if all.is_empty() {
        return NONE.to_owned();
    }
    match all.char_indices().find(|(at, char)| *at >= INDEXES_LENGTH && *char == ',') {
        Some((end, _)) => format!("{},...", &all[..end]),
        None => all.to_owned(),
    }
}

fn pods_table(sheet: &mut Sheet, indexed: bool, pods: &[Pod], clock: &Clock) {
    let mut table = Table::new(&["Name", "Status", "Restarts", "Next Start", "Last Exit"]);
    let hidden = pods.len().saturating_sub(PODS);
    let shown = &pods[hidden..];
    for pod in shown {
        table.rows.push(vec![
            name(pod).to_owned(),
            status::pod(pod),
            status::restarts(pod, clock.now),
            next_start(pod, clock).unwrap_or_else(|| "-".to_owned()),
            last_end(pod).map_or_else(|| "-".to_owned(), |ended| parts::end(ended, clock)),
        ]);
    }
    let or_nothing = |text: Option<&str>| text.unwrap_or("-").to_owned();
    if indexed {
        table.put_at(1, "Index", shown.iter().map(|pod| or_nothing(index(pod))));
    }
    if shown.iter().any(|pod| waits_for(pod).is_some()) {
        table.put_last("Waits For".to_owned(), shown.iter().map(|pod| or_nothing(waits_for(pod))));
    }
    let label =
        if hidden > 0 { format!("Pods (the last {PODS} of {})", pods.len()) } else { "Pods".to_owned() };
    sheet.table(0, &label, &table);
}

fn name(pod: &Pod) -> &str {
    pod.metadata.as_ref().map_or("", |meta| &meta.name)
}

/// Which of an Indexed Job's indexes it runs.
fn index(pod: &Pod) -> Option<&str> {
    let annotations = &pod.metadata.as_ref()?.annotations;
    annotations.get("batch.kubernetes.io/job-completion-index").map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ago, noon};
    use crate::samples;
    use crate::screen::Screen;
    use api::pb::k8s::batch::v1::{
        PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
        SuccessPolicy, SuccessPolicyRule,
    };
    use api::pb::k8s::core::v1::PodCondition;
    use expect_test::expect;

    #[test]
    fn a_running_job_says_what_it_waits_for() {
        let job = samples::job("hello");
        let pods = [
            samples::pod("hello-a", "Running", "wait:CrashLoopBackOff:2"),
            samples::pod("hello-b", "Running", "run"),
        ];
        let events = [samples::event("Normal", "SuccessfulCreate", "Created pod: hello-a", 1)];
        expect![[r#"
            Name:           hello
            Namespace:      default
            Selector:       <none>
            Labels:         <none>
            Annotations:    <none>
            Parallelism:    2
            Completions:    5
            Backoff Limit:  6
            Status:         Running
            Start Time:     Fri, 20 Nov 2026 14:58:20 +0000
            Duration:       100s
            Pods Statuses:  0 Active / 0 Succeeded / 0 Failed
            Pod Template:
              Labels:          job-name=hello
              Annotations:     <none>
              Containers:
                hello:
                  Image:        hello:1
                  Args:
                    --quick
                    two words
                  Environment:  <none>
                  Mounts:       <none>
              Volumes:         <none>
              Restart Policy:  OnFailure
            Conditions:     <none>
            Pods:
              Name     Status            Restarts    Next Start  Last Exit
              ----     ------            --------    ----------  ---------
              hello-a  CrashLoopBackOff  2 (5s ago)  -           Error, exit code 1, 5s ago
              hello-b  Running           0           -           -
            Events:
              Type    Reason            Age  From            Message
              ----    ------            ---  ----            -------
              Normal  SuccessfulCreate  3s   job-controller  Created pod: hello-a
        "#]]
        .assert_eq(&page(&job, &pods, &events, &noon()).page(Screen::PLAIN));
    }

    #[test]
    fn a_failed_job_says_why() {
        let mut job = samples::job("hello");
        samples::add_condition(
            &mut job,
            "FailureTarget",
            "True",
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        );
        samples::add_condition(
            &mut job,
            "Failed",
            "True",
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        );
        let status = job.status.as_mut().unwrap();
        (status.failed, status.ready, status.terminating) = (1, Some(0), Some(0));
        let spec = job.spec.as_mut().unwrap().make_mut();
        (spec.active_deadline_seconds, spec.completions) = (Some(30), None);
        let pods = [samples::pod("hello-a", "Failed", "end:OOMKilled:137")];
        let events = [samples::event(
            "Warning",
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
            4,
        )];
        expect![[r#"
            Name:                     hello
            Namespace:                default
            Selector:                 <none>
            Labels:                   <none>
            Annotations:              <none>
            Parallelism:              2
            Completions:              <unset>
            Backoff Limit:            6
            Status:                   Failed
            Start Time:               Fri, 20 Nov 2026 14:58:20 +0000
            Duration:                 100s
            Active Deadline Seconds:  30s
            Pods Statuses:            0 Active (0 Ready) / 0 Succeeded / 1 Failed
            Pod Template:
              Labels:          job-name=hello
              Annotations:     <none>
              Containers:
                hello:
                  Image:        hello:1
                  Args:
                    --quick
                    two words
                  Environment:  <none>
                  Mounts:       <none>
              Volumes:         <none>
              Restart Policy:  OnFailure
            Conditions:
              Type           Status  Since  Reason                Message
              ----           ------  -----  ------                -------
              FailureTarget  True    30s    BackoffLimitExceeded  Job has reached the specified backoff limit
              Failed         True    30s    BackoffLimitExceeded  Job has reached the specified backoff limit
            Pods:
              Name     Status     Restarts  Next Start  Last Exit
              ----     ------     --------  ----------  ---------
              hello-a  OOMKilled  0         -           OOMKilled, exit code 137, 5s ago
            Events:
              Type     Reason                Age               From            Message
              ----     ------                ---               ----            -------
              Warning  BackoffLimitExceeded  3s (x4 over 33s)  job-controller  Job has reached the specified backoff limit
        "#]].assert_eq(&page(&job, &pods, &events, &noon()).page(Screen::PLAIN));
    }

    #[test]
    fn an_empty_job_has_a_page_too() {
        expect![[r#"
            Name:
            Namespace:
            Selector:       <none>
            Labels:         <none>
            Annotations:    <none>
            Parallelism:    <unset>
            Completions:    <unset>
            Status:         Running
            Pods Statuses:  0 Active / 0 Succeeded / 0 Failed
            Pod Template:
              Labels:       <none>
              Annotations:  <none>
              Volumes:      <none>
            Conditions:     <none>
            Pods:           <none>
            Events:         <none>
        "#]]
        .assert_eq(&page(&Job::default(), &[], &[], &noon()).page(Screen::PLAIN));
    }

    #[test]
    fn a_job_of_a_cronjob_says_which_slot_or_whose_hand_started_it() {
        let controlled = |annotations: &[(&str, &str)]| {
            let mut job = samples::job("nightly-29919270");
            let meta = job.metadata.as_mut().unwrap();
            let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            meta.annotations = annotations.collect();
            meta.owner_references = samples::pod("a", "", "").metadata.unwrap().owner_references;
            let owner = &mut meta.owner_references[0];
            (owner.kind, owner.name) = ("CronJob".to_owned(), "nightly".to_owned());
            let page = page(&job, &[], &[], &noon()).page(Screen::PLAIN);
            let shown = page.lines().skip_while(|line| !line.starts_with("Controlled")).collect::<Vec<_>>();
            let end = shown.iter().position(|line| line.starts_with("Parallelism")).unwrap();
            shown[..end].join("\n")
        };
        expect![[r#"
            Controlled By:  CronJob/nightly
            Scheduled For:  Fri, 20 Nov 2026 15:00:00 +0000"#]]
        .assert_eq(&controlled(&[(
            "batch.kubernetes.io/cronjob-scheduled-timestamp",
            "2026-11-20T16:00:00+01:00",
        )]));
        let manual = ("cronjob.kubernetes.io/instantiate", "manual");
        expect![[r#"
            Controlled By:  CronJob/nightly
            Manual Run:     as the template says"#]]
        .assert_eq(&controlled(&[manual]));
        let overrides = r#"{"container":"main","env":{"A":"b","C":""},"args":["-v","x"],"fuel":5000}"#;
        expect![[r#"
            Controlled By:  CronJob/nightly
            Manual Run:     container: main
                            env: A=b
                            env: C=
                            args: -v x
                            fuel: 5000"#]]
        .assert_eq(&controlled(&[manual, ("wick.dev/overrides", overrides)]));
    }

    #[test]
    fn many_indexes_are_cut_after_a_whole_one() {
        let many: Vec<String> = (0..40).map(|index| (index * 2).to_string()).collect();
        expect!["0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30,32,34,36,..."]
            .assert_eq(&indexes(&many.join(",")));
        expect!["0-9"].assert_eq(&indexes("0-9"));
        expect!["<none>"].assert_eq(&indexes(""));
    }

    #[test]
    fn a_jobs_policies_are_lines() {
        let mut job = samples::job("hello");
        samples::add_condition(&mut job, "Complete", "True", "", "");
        let spec = job.spec.as_mut().unwrap().make_mut();
        spec.completion_mode = Some("Indexed".to_owned());
        (spec.backoff_limit_per_index, spec.max_failed_indexes) = (Some(1), Some(3));
        spec.ttl_seconds_after_finished = Some(100);
        spec.pod_replacement_policy = Some("Failed".to_owned());
        spec.pod_failure_policy = Some(PodFailurePolicy {
            rules: vec![
                PodFailurePolicyRule {
                    action: "FailJob".to_owned(),
                    on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                        container_name: Some("main".to_owned()),
                        operator: "In".to_owned(),
                        values: vec![3, 4],
                    }),
                    ..PodFailurePolicyRule::default()
                },
                PodFailurePolicyRule {
                    action: "Ignore".to_owned(),
                    on_pod_conditions: vec![PodFailurePolicyOnPodConditionsPattern {
                        r#type: "DisruptionTarget".to_owned(),
                        status: "True".to_owned(),
                    }],
                    ..PodFailurePolicyRule::default()
                },
            ],
        });
        spec.success_policy = Some(SuccessPolicy {
            rules: vec![SuccessPolicyRule {
                succeeded_indexes: Some("0-2".to_owned()),
                succeeded_count: Some(2),
            }],
        });
        let status = job.status.as_mut().unwrap();
        (status.succeeded, status.completed_indexes) = (2, "0,2".to_owned());
        let mut waiting = samples::pod("hello-0-a", "Pending", "wait:ErrImagePull");
        let state = waiting.status.as_mut().unwrap().container_statuses[0].state.as_mut().unwrap();
        state.waiting.as_mut().unwrap().message = "image hello:1 is not on this node".to_owned();
        waiting.metadata.as_mut().unwrap().annotations =
            [("batch.kubernetes.io/job-completion-index".to_owned(), "0".to_owned())].into();
        let mut crowded = samples::pod("hello-1-b", "Pending", "");
        crowded.status.as_mut().unwrap().conditions = vec![PodCondition {
            r#type: "PodScheduled".to_owned(),
            status: "False".to_owned(),
            reason: "Unschedulable".to_owned(),
            message: "0/1 nodes are available: insufficient memory".to_owned(),
            ..PodCondition::default()
        }];
        let page = page(&job, &[waiting, crowded], &[], &noon()).page(Screen::PLAIN);
        let template = page.find("Pod Template:").unwrap();
        expect![[r#"
            Name:                        hello
            Namespace:                   default
            Selector:                    <none>
            Labels:                      <none>
            Annotations:                 <none>
            Parallelism:                 2
            Completions:                 5
            Completion Mode:             Indexed
            Backoff Limit:               6
            Backoff Limit Per Index:     1
            Max Failed Indexes:          3
            Pod Replacement Policy:      Failed
            Pod Failure Policy:          FailJob on exit code In 3,4 of main
                                         Ignore on DisruptionTarget=True
            Success Policy:              2 of the indexes 0-2
            TTL Seconds After Finished:  100
            Status:                      Complete
            Start Time:                  Fri, 20 Nov 2026 14:58:20 +0000
            Duration:                    100s
            Deleted:                     in 70s
            Pods Statuses:               0 Active / 2 Succeeded / 0 Failed
            Completed Indexes:           0,2
        "#]]
        .assert_eq(&page[..template]);
        expect![[r#"
            Pods:
              Name       Index  Status        Restarts  Next Start  Last Exit  Waits For
              ----       -----  ------        --------  ----------  ---------  ---------
              hello-0-a  0      ErrImagePull  0         -           -          image hello:1 is not on this node
              hello-1-b  -      Pending       0         -           -          0/1 nodes are available: insufficient memory
            Events:                      <none>
        "#]].assert_eq(&page[page.find("Pods:").unwrap()..]);
    }

    #[test]
    fn a_pod_that_never_ended_shows_so() {
        let mut pod = samples::pod("hello-a", "Pending", "");
        pod.metadata.as_mut().unwrap().creation_timestamp = ago(1);
        assert!(last_end(&pod).is_none());
    }
}
