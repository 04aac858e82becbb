//! Scenarios as stories: what is told, a line for each entry.

use api::pb::wick::v1::simulation_entry::What;
use api::pb::wick::v1::simulation_object::Object;
use api::pb::wick::v1::{LedgerEntry, SimulationGuest, SimulationObject, WatchEventType};
use expect_test::{Expect, expect};
use prost::Message;

use super::*;

mod cron_jobs;

/// Plays a scenario; entries are told to `told` in order.
fn play(scenario: &str, brief: bool) -> (Vec<SimulationEntry>, Result<(), Trouble>) {
    let simulation = Simulation {
        scenario: scenario.to_owned(),
        now: "2026-03-08T06:00:00.5Z".parse().unwrap(),
        namespace: "default".into(),
        current: None,
        grants: Arc::default(),
        brief,
        bounds: Bounds::default(),
    };
    let mut told = Vec::new();
    let played = run(simulation, &mut |entry| {
        told.push(entry);
        ControlFlow::Continue(())
    });
    (told, played)
}

/// Everything but Events, in short.
fn check(scenario: &str, expected: Expect) {
    expected.assert_eq(&story(scenario, |_| true));
}

/// The story of a scenario, of which only some objects are told.
fn story(scenario: &str, shown: impl Fn(&Object) -> bool) -> String {
    let (told, played) = play(scenario, false);
    let mut lines = String::new();
    for entry in told {
        let Some(line) = line(&entry, &shown) else { continue };
        lines += &format!("{:<6.1} {line}\n", entry.t_ms as f64 / 1000.0);
    }
    match played {
        Ok(()) => lines,
        Err(Trouble::Scenario(errors)) => {
            lines + &errors.iter().map(|error| format!("{error}\n")).collect::<String>()
        }
        Err(trouble) => format!("{lines}{trouble}\n"),
    }
}

fn line(entry: &SimulationEntry, shown: &impl Fn(&Object) -> bool) -> Option<String> {
    let guest = |guest: &Option<SimulationGuest>| {
        let guest = guest.clone().unwrap();
        let index = guest.index.map_or(String::new(), |index| format!(" index {index}"));
        format!("{} {} #{}{index}", pod_name(&guest.pod), guest.container, guest.start)
    };
    Some(match entry.what.as_ref()? {
        What::Change(change) => {
            let object = change.object.clone()?.object?;
            if !shown(&object) {
                return None;
            }
            let kind = WatchEventType::try_from(change.r#type).unwrap();
            format!("{} {}", &kind.as_str_name()["WATCH_EVENT_TYPE_".len()..], in_short(&object)?)
        }
        What::Started(start) => format!("START {}", guest(&start.guest)),
        What::Ended(end) => format!("EXIT {} {} {}", guest(&end.guest), end.exit, end.reason),
        What::Refused(refused) => {
            let error = refused.error.clone().unwrap();
            let causes: Vec<_> = error.details.iter().flat_map(|details| &details.causes).collect();
            let fields: Vec<_> =
                causes.iter().map(|cause| format!(" {}={}", cause.field, cause.reason)).collect();
            format!(
                "REFUSED {} {} {}: {}{}",
                refused.action,
                error.code,
                error.reason,
                error.message,
                fields.concat()
            )
        }
        What::Note(_) => return None,
        What::Ledger(entry) => format!("LEDGER {}", ledger_line(entry)),
        What::Remains(SimulationObject { object }) => format!("still {}", in_short(object.as_ref()?)?),
        What::Final(end) => format!(
            "FINAL {} jobs, {} completed, {:?} failed, {} pods, {} starts, {} restarts, {:?}",
            end.jobs_created,
            end.jobs_completed,
            end.jobs_failed,
            end.pods_created,
            end.starts,
            end.restarts,
            end.failures
        ),
    })
}

fn ledger_line(entry: &LedgerEntry) -> String {
    let time = |time: &prost_types::Timestamp| {
        jiff::Timestamp::from_second(time.seconds).unwrap().strftime("%d %H:%M").to_string()
    };
    let of = if entry.cron_job.is_empty() { String::new() } else { format!(" {}", entry.cron_job) };
    let what = match (&entry.first, &entry.last, &entry.slot) {
        (Some(first), Some(last), _) => {
            format!("{} from {} to {} {}", entry.count, time(first), time(last), entry.reason)
        }
        (_, _, Some(slot)) => format!("{} {} {}", time(slot), entry.job, entry.reason),
        _ => format!("{} {}", entry.job, entry.reason),
    };
    format!("{}{of}: {}", entry.r#type, what.trim_end())
}

/// Generated names without their ending.
fn pod_name(name: &str) -> &str {
    name.rsplit_once('-').map_or(name, |(job, _)| job)
}

fn in_short(object: &Object) -> Option<String> {
    Some(match object {
        Object::CronJob(cron_job) => format!("cronjob {}", cron_job.metadata.as_ref()?.name),
        Object::Job(job) => {
            let status = job.status.clone().unwrap_or_default();
            let conditions: Vec<_> = status
                .conditions
                .iter()
                .map(|condition| format!(" {}={} {}", condition.r#type, condition.status, condition.reason))
                .collect();
            format!(
                "job {}: active {} terminating {} succeeded {} failed {}{}",
                job.metadata.as_ref()?.name,
                status.active,
                status.terminating.unwrap_or_default(),
                status.succeeded,
                status.failed,
                conditions.concat()
            )
        }
        Object::Pod(pod) => {
            let status = pod.status.clone().unwrap_or_default();
            let states = status.container_statuses.iter().filter_map(|container| {
                let state = container.state.as_ref()?;
                let waiting = state.waiting.as_ref().map(|waiting| waiting.reason.clone());
                let ended =
                    state.terminated.as_ref().map(|ended| format!("{} {}", ended.exit_code, ended.reason));
                Some(format!(
                    " ({} x{})",
                    waiting.or(ended).unwrap_or("running".into()),
                    container.restart_count
                ))
            });
            format!(
                "pod {}: {}{}",
                pod_name(&pod.metadata.as_ref()?.name),
                status.phase,
                states.collect::<String>()
            )
        }
        Object::Event(_) => return None,
    })
}

fn job(name: &str, spec: &str, policy: &str) -> String {
    format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}}}, spec: {{{spec}template: {{spec: {{restartPolicy: \
         {policy}, containers: [{{name: c, image: busybox}}]}}}}}}}}"
    )
}

#[test]
fn a_job_whose_guest_no_rule_matches_ends_at_once_in_a_later_commit() {
    check(
        &format!("objects: [{}]", job("a", "", "Never")),
        expect![[r#"
            0.0    ADDED job a: active 1 terminating 0 succeeded 0 failed 0
            0.0    ADDED pod a: Running (running x0)
            0.0    START a c #1
            0.0    EXIT a c #1 0 Completed
            0.0    MODIFIED job a: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
            0.0    MODIFIED pod a: Succeeded (0 Completed x0)
            0.0    LEDGER Finished: a Completed
            0.0    still job a: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
            0.0    still pod a: Succeeded (0 Completed x0)
            0.0    FINAL 1 jobs, 1 completed, {} failed, 1 pods, 1 starts, 0 restarts, {}
        "#]],
    );
}

#[test]
fn failures_are_retried_with_the_delays_of_the_job() {
    let objects = job("a", "backoffLimit: 2, ", "Never");
    check(
        &format!("objects: [{objects}]\nguests: [{{run: 1s, exit: 1}}]"),
        expect![[r#"
            0.0    ADDED job a: active 1 terminating 0 succeeded 0 failed 0
            0.0    ADDED pod a: Running (running x0)
            0.0    START a c #1
            1.0    EXIT a c #1 1 Error
            1.0    MODIFIED job a: active 0 terminating 0 succeeded 0 failed 1
            1.0    MODIFIED pod a: Failed (1 Error x0)
            1.0    LEDGER Ran: a
            11.0   MODIFIED job a: active 1 terminating 0 succeeded 0 failed 1
            11.0   ADDED pod a: Running (running x0)
            11.0   START a c #1
            12.0   EXIT a c #1 1 Error
            12.0   MODIFIED job a: active 0 terminating 0 succeeded 0 failed 2
            12.0   MODIFIED pod a: Failed (1 Error x0)
            12.0   LEDGER Ran: a
            32.0   MODIFIED job a: active 1 terminating 0 succeeded 0 failed 2
            32.0   ADDED pod a: Running (running x0)
            32.0   START a c #1
            33.0   EXIT a c #1 1 Error
            33.0   MODIFIED job a: active 0 terminating 0 succeeded 0 failed 3 FailureTarget=True BackoffLimitExceeded Failed=True BackoffLimitExceeded
            33.0   MODIFIED pod a: Failed (1 Error x0)
            33.0   LEDGER Finished: a BackoffLimitExceeded
            33.0   still job a: active 0 terminating 0 succeeded 0 failed 3 FailureTarget=True BackoffLimitExceeded Failed=True BackoffLimitExceeded
            33.0   still pod a: Failed (1 Error x0)
            33.0   still pod a: Failed (1 Error x0)
            33.0   still pod a: Failed (1 Error x0)
            33.0   FINAL 1 jobs, 0 completed, {"BackoffLimitExceeded": 1} failed, 3 pods, 3 starts, 0 restarts, {"Error": 3}
        "#]],
    );
}

#[test]
fn rules_tell_starts_and_pods_apart() {
    let objects = job("a", "completions: 2, parallelism: 2, backoffLimit: 5, ", "OnFailure");
    check(
        &format!(
            "
objects: [{objects}]
guests:
- {{match: {{pod: 1, start: 1}}, run: 1s, exit: oom}}
- {{match: {{job: b}}, run: forever}}
- {{match: {{job: 'a*', pod: 1, start: 2, container: c}}, run: 2s, exit: 3}}
- {{match: {{pod: 2}}, run: 1500ms}}
"
        ),
        expect![[r#"
            0.0    ADDED job a: active 2 terminating 0 succeeded 0 failed 0
            0.0    ADDED pod a: Running (running x0)
            0.0    ADDED pod a: Running (running x0)
            0.0    START a c #1
            0.0    START a c #1
            1.0    EXIT a c #1 137 OOMKilled
            1.0    MODIFIED pod a: Running (running x1)
            1.0    LEDGER Ran: a
            1.0    START a c #2
            1.5    EXIT a c #1 0 Completed
            1.5    MODIFIED job a: active 1 terminating 0 succeeded 1 failed 0
            1.5    MODIFIED pod a: Succeeded (0 Completed x0)
            1.5    LEDGER Ran: a
            3.0    EXIT a c #2 3 Error
            3.0    MODIFIED job a: active 1 terminating 0 succeeded 1 failed 0
            3.0    MODIFIED pod a: Running (CrashLoopBackOff x1)
            3.0    LEDGER Ran: a
            13.0   MODIFIED job a: active 1 terminating 0 succeeded 1 failed 0
            13.0   MODIFIED pod a: Running (running x2)
            13.0   START a c #3
            13.0   EXIT a c #3 0 Completed
            13.0   MODIFIED job a: active 0 terminating 0 succeeded 2 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
            13.0   MODIFIED pod a: Succeeded (0 Completed x2)
            13.0   LEDGER Finished: a Completed
            13.0   still job a: active 0 terminating 0 succeeded 2 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
            13.0   still pod a: Succeeded (0 Completed x2)
            13.0   still pod a: Succeeded (0 Completed x0)
            13.0   FINAL 1 jobs, 1 completed, {} failed, 2 pods, 4 starts, 2 restarts, {"Error": 1, "OOMKilled": 1}
        "#]],
    );
}

#[test]
fn a_power_cut_ends_guests_without_a_word_and_actions_wait_for_the_boot() {
    let (a, b) = (job("a", "", "OnFailure"), job("b", "", "Never"));
    check(
        &format!(
            "
start: 2020-01-01T00:00:00Z
objects: [{a}]
guests: [{{match: {{start: 1, job: a}}, run: 10s}}, {{run: 3s}}]
actions:
- {{at: 5s, crash: {{for: 20s}}}}
- {{at: 10s, apply: {b}}}
- {{at: 11s, apply: {{kind: Job}}}}
- {{at: 12s, apply: {{apiVersion: batch/v1, kind: Job, metadata: {{name: c}}, spec: {{backoffLimit: -1, template: {{}}}}}}}}
- {{at: 13s, trigger: {{cronJob: d, name: m}}}}
- {{at: 14s, delete: {{kind: Job, name: nobody}}}}
"
        ),
        expect![[r#"
            0.0    ADDED job a: active 1 terminating 0 succeeded 0 failed 0
            0.0    ADDED pod a: Running (running x0)
            0.0    START a c #1
            25.0   MODIFIED pod a: Running (running x1)
            25.0   LEDGER Ran: a
            25.0   START a c #2
            25.0   ADDED job b: active 1 terminating 0 succeeded 0 failed 0
            25.0   ADDED pod b: Running (running x0)
            25.0   START b c #1
            25.0   REFUSED 3 422 Invalid: Job.batch "" is invalid: [apiVersion: needed; that of a `Job` is `batch/v1`, metadata.name: needed; give the object a name (or a generateName), spec: needed; say what the Job is to run] apiVersion=FieldValueRequired metadata.name=FieldValueRequired spec=FieldValueRequired
            25.0   REFUSED 4 422 Invalid: Job.batch "c" is invalid: [spec.backoffLimit: -1 is too few; the least is 0, spec.template.spec.containers: needed; give at least one container, spec.template.spec.restartPolicy: needed; a Job takes `Never` or `OnFailure`] spec.backoffLimit=FieldValueInvalid spec.template.spec.containers=FieldValueRequired spec.template.spec.restartPolicy=FieldValueRequired
            25.0   REFUSED 5 404 NotFound: cronjobs.batch "d" not found
            25.0   REFUSED 6 404 NotFound: jobs.batch "nobody" not found
            28.0   EXIT a c #2 0 Completed
            28.0   EXIT b c #1 0 Completed
            28.0   MODIFIED job a: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
            28.0   MODIFIED job b: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
            28.0   MODIFIED pod a: Succeeded (0 Completed x1)
            28.0   MODIFIED pod b: Succeeded (0 Completed x0)
            28.0   LEDGER Finished: a Completed
            28.0   LEDGER Finished: b Completed
            28.0   still job a: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
            28.0   still job b: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
            28.0   still pod a: Succeeded (0 Completed x1)
            28.0   still pod b: Succeeded (0 Completed x0)
            28.0   FINAL 2 jobs, 2 completed, {} failed, 2 pods, 3 starts, 1 restarts, {}
        "#]],
    );
}

#[test]
fn deadlines_go_on_while_the_agent_is_down() {
    let objects = job("a", "activeDeadlineSeconds: 10, ", "OnFailure");
    check(
        &format!(
            "objects: [{objects}]\nguests: [{{run: forever}}]\nactions: [{{at: 2s, crash: {{for: 5s}}}}]"
        ),
        expect![[r#"
            0.0    ADDED job a: active 1 terminating 0 succeeded 0 failed 0
            0.0    ADDED pod a: Running (running x0)
            0.0    START a c #1
            7.0    MODIFIED pod a: Running (running x1)
            7.0    LEDGER Ran: a
            7.0    START a c #2
            10.0   MODIFIED job a: active 0 terminating 1 succeeded 0 failed 1 FailureTarget=True DeadlineExceeded
            10.0   MODIFIED pod a: Running (running x1)
            10.0   EXIT a c #2 137 Stopped
            10.0   DELETED pod a: Running (running x1)
            10.0   MODIFIED job a: active 0 terminating 0 succeeded 0 failed 1 FailureTarget=True DeadlineExceeded Failed=True DeadlineExceeded
            10.0   LEDGER Finished: a DeadlineExceeded
            10.0   still job a: active 0 terminating 0 succeeded 0 failed 1 FailureTarget=True DeadlineExceeded Failed=True DeadlineExceeded
            10.0   FINAL 1 jobs, 0 completed, {"DeadlineExceeded": 1} failed, 1 pods, 2 starts, 1 restarts, {"Stopped": 1}
        "#]],
    );
}

#[test]
fn a_clock_step_moves_no_deadline() {
    let objects = job("a", "activeDeadlineSeconds: 10, ", "Never");
    let scenario = format!(
        "start: 2026-03-08T06:00:00Z\nobjects: [{objects}]\nguests: [{{run: forever}}]\nactions: [{{at: 2s, clock: {{step: 1h}}}}]"
    );
    let (told, played) = play(&scenario, true);
    played.unwrap();
    let lines = told.iter().filter_map(|entry| {
        let What::Note(note) = entry.what.as_ref()? else { return None };
        let time = Timestamp::from_second(entry.time.as_ref()?.seconds).unwrap();
        Some(format!("{:<5} {time} {} {}\n", entry.t_ms, note.about, note.text))
    });
    expect![[r#"
        0     2026-03-08T06:00:00Z job/a created
        2000  2026-03-08T07:00:02Z  the clock jumps by 1h
        10000 2026-03-08T07:00:10Z pod/a-65jf9 c is asked to stop
        10000 2026-03-08T07:00:10Z job/a failed: DeadlineExceeded
    "#]]
    .assert_eq(&lines.collect::<String>());
}

#[test]
fn a_guest_may_take_its_time_to_stop() {
    for (stop, expected) in [
        (
            "{after: 2s, exit: 143}",
            expect![[r#"
                0.0    ADDED job a: active 1 terminating 0 succeeded 0 failed 0
                0.0    START a c #1
                5.0    MODIFIED job a: active 0 terminating 1 succeeded 0 failed 1 FailureTarget=True DeadlineExceeded
                7.0    EXIT a c #1 143 Error
                7.0    MODIFIED job a: active 0 terminating 0 succeeded 0 failed 1 FailureTarget=True DeadlineExceeded Failed=True DeadlineExceeded
                7.0    LEDGER Finished: a DeadlineExceeded
                7.0    still job a: active 0 terminating 0 succeeded 0 failed 1 FailureTarget=True DeadlineExceeded Failed=True DeadlineExceeded
                7.0    FINAL 1 jobs, 0 completed, {"DeadlineExceeded": 1} failed, 1 pods, 1 starts, 0 restarts, {"Error": 1}
            "#]],
        ),
        (
            "{after: forever}",
            expect![[r#"
                0.0    ADDED job a: active 1 terminating 0 succeeded 0 failed 0
                0.0    START a c #1
                5.0    MODIFIED job a: active 0 terminating 1 succeeded 0 failed 1 FailureTarget=True DeadlineExceeded
                8.0    EXIT a c #1 137 Stopped
                8.0    MODIFIED job a: active 0 terminating 0 succeeded 0 failed 1 FailureTarget=True DeadlineExceeded Failed=True DeadlineExceeded
                8.0    LEDGER Finished: a DeadlineExceeded
                8.0    still job a: active 0 terminating 0 succeeded 0 failed 1 FailureTarget=True DeadlineExceeded Failed=True DeadlineExceeded
                8.0    FINAL 1 jobs, 0 completed, {"DeadlineExceeded": 1} failed, 1 pods, 1 starts, 0 restarts, {"Stopped": 1}
            "#]],
        ),
    ] {
        let objects = job("a", "activeDeadlineSeconds: 5, ", "Never")
            .replace("restartPolicy", "terminationGracePeriodSeconds: 3, restartPolicy");
        let rule = format!("guests: [{{run: forever, stop: {stop}}}]");
        expected.assert_eq(&story(&format!("objects: [{objects}]\n{rule}"), |object| {
            matches!(object, Object::Job(_))
        }));
    }
}

#[test]
fn an_image_that_is_not_there_is_waited_for() {
    check(
        &format!(
            "images: []\nobjects: [{}]\nactions: [{{at: 5s, add-image: busybox}}, {{at: 9s, remove-image: busybox}}]",
            job("a", "", "Never")
        ),
        expect![[r#"
            0.0    ADDED job a: active 1 terminating 0 succeeded 0 failed 0
            0.0    ADDED pod a: Pending (ErrImagePull x0)
            5.0    MODIFIED job a: active 1 terminating 0 succeeded 0 failed 0
            5.0    MODIFIED pod a: Running (running x0)
            5.0    START a c #1
            5.0    EXIT a c #1 0 Completed
            5.0    MODIFIED job a: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
            5.0    MODIFIED pod a: Succeeded (0 Completed x0)
            5.0    LEDGER Finished: a Completed
            9.0    still job a: active 0 terminating 0 succeeded 1 failed 0 SuccessCriteriaMet=True CompletionsReached Complete=True CompletionsReached
            9.0    still pod a: Succeeded (0 Completed x0)
            9.0    FINAL 1 jobs, 1 completed, {} failed, 1 pods, 1 starts, 0 restarts, {}
        "#]],
    );
}

#[test]
fn what_runs_for_ever_ends_with_the_time_given() {
    let objects = job("a", "", "Never");
    check(
        &format!("until: 90s\nobjects: [{objects}]\nguests: [{{run: forever}}]"),
        expect![[r#"
            0.0    ADDED job a: active 1 terminating 0 succeeded 0 failed 0
            0.0    ADDED pod a: Running (running x0)
            0.0    START a c #1
            90.0   still job a: active 1 terminating 0 succeeded 0 failed 0
            90.0   still pod a: Running (running x0)
            90.0   FINAL 1 jobs, 0 completed, {} failed, 1 pods, 1 starts, 0 restarts, {}
        "#]],
    );
    check(
        &format!("objects: [{objects}]\nguests: [{{run: forever}}]"),
        expect![[r#"
            0.0    ADDED job a: active 1 terminating 0 succeeded 0 failed 0
            0.0    ADDED pod a: Running (running x0)
            0.0    START a c #1
            0.0    still job a: active 1 terminating 0 succeeded 0 failed 0
            0.0    still pod a: Running (running x0)
            0.0    FINAL 1 jobs, 0 completed, {} failed, 1 pods, 1 starts, 0 restarts, {}
        "#]],
    );
}

#[test]
fn objects_that_are_turned_down_end_it_all() {
    let a = job("a", "", "Never");
    check(
        &format!(
            "objects:\n- {a}\n- {}\n- {{apiVersion: batch/v1, kind: CronJob, metadata: {{name: b}}, spec: {{}}}}\n- {{kind: Jobs}}\nuntil: 1h",
            job("b", "backoffLimit: -1, parallelism: -1, ", "Always")
        ),
        expect![[r#"
            objects[1].spec.backoffLimit: -1 is too few; the least is 0
            objects[1].spec.parallelism: -1 is too few; the least is 0
            objects[1].spec.template.spec.restartPolicy: `Always` is not for Jobs; give `Never` or `OnFailure`
            objects[2].spec.schedule: needed; give five fields (minute hour day month weekday), as in `0 3 * * *`
            objects[2].spec.jobTemplate: needed; say which Job is to be started
            objects[3].kind: `Jobs` is not served; did you mean `Job`?
        "#]],
    );
}

#[test]
fn one_seed_gives_the_same_bytes_and_another_one_others() {
    let bytes = |seed: u32| -> Vec<u8> {
        let objects = job("a", "completions: 5, parallelism: 2, ", "Never");
        let (told, played) = play(
            &format!(
                "seed: {seed}\nobjects: [{objects}]\nguests: [{{match: {{pod: 2}}, run: 2s, exit: 1}}]\nactions: [{{at: 1s, crash: {{for: 2s}}}}]"
            ),
            false,
        );
        played.unwrap();
        told.iter().flat_map(Message::encode_to_vec).collect()
    };
    assert!(bytes(1) == bytes(1), "one seed gave two stories");
    assert!(bytes(1) != bytes(2), "two seeds gave one story");
}

#[test]
fn a_world_without_an_end_is_ended_by_until() {
    let objects = job("a", "backoffLimit: 1000000, ", "OnFailure");
    let (told, played) = play(&format!("until: 24h\nobjects: [{objects}]\nguests: [{{exit: 1}}]"), true);
    played.unwrap();
    let Some(What::Final(end)) = told.last().and_then(|entry| entry.what.clone()) else { panic!("no end") };
    assert_eq!((told.last().map(|entry| entry.t_ms), end.starts), (Some(86_400_000), 293));
}

#[test]
fn objects_are_deleted_as_they_are_asked_to_be() {
    let (a, b) = (job("a", "parallelism: 2, completions: 2, ", "Never"), job("b", "", "Never"));
    check(
        &format!(
            "
objects: [{a}]
guests: [{{run: forever, stop: {{after: 2s, exit: 143}}}}]
actions:
- {{at: 1s, apply: {b}, ownedBy: {{kind: Job, name: a}}}}
- {{at: 2s, delete: {{pod: {{job: a, nth: 1}}, gracePeriodSeconds: 1}}}}
- {{at: 2s, delete: {{pod: {{job: a, nth: 3}}}}}}
- {{at: 20s, delete: {{kind: Job, name: a, propagation: Foreground}}}}
- {{at: 30s, delete: {{kind: CronJob, name: a}}}}
"
        ),
        expect![[r#"
            0.0    ADDED job a: active 2 terminating 0 succeeded 0 failed 0
            0.0    ADDED pod a: Running (running x0)
            0.0    ADDED pod a: Running (running x0)
            0.0    START a c #1
            0.0    START a c #1
            1.0    ADDED job b: active 1 terminating 0 succeeded 0 failed 0
            1.0    ADDED pod b: Running (running x0)
            1.0    START b c #1
            2.0    MODIFIED job a: active 1 terminating 1 succeeded 0 failed 1
            2.0    MODIFIED pod a: Running (running x0)
            2.0    REFUSED 3 404 NotFound: pods "3 of job a" not found
            4.0    EXIT a c #1 143 Error
            4.0    DELETED pod a: Running (running x0)
            4.0    MODIFIED job a: active 1 terminating 0 succeeded 0 failed 1
            4.0    LEDGER Ran: a
            12.0   MODIFIED job a: active 2 terminating 0 succeeded 0 failed 1
            12.0   ADDED pod a: Running (running x0)
            12.0   START a c #1
            20.0   MODIFIED job a: active 0 terminating 2 succeeded 0 failed 1
            20.0   MODIFIED job b: active 0 terminating 1 succeeded 0 failed 0
            20.0   MODIFIED pod a: Running (running x0)
            20.0   MODIFIED pod b: Running (running x0)
            20.0   MODIFIED pod a: Running (running x0)
            22.0   EXIT a c #1 143 Error
            22.0   EXIT a c #1 143 Error
            22.0   EXIT b c #1 143 Error
            22.0   DELETED pod a: Running (running x0)
            22.0   DELETED pod b: Running (running x0)
            22.0   DELETED pod a: Running (running x0)
            22.0   DELETED job a: active 0 terminating 2 succeeded 0 failed 1
            22.0   DELETED job b: active 0 terminating 1 succeeded 0 failed 0
            22.0   LEDGER Finished: a Deleted
            22.0   LEDGER Finished: b Deleted
            30.0   REFUSED 5 404 NotFound: cronjobs.batch "a" not found
            30.0   FINAL 2 jobs, 0 completed, {} failed, 4 pods, 4 starts, 0 restarts, {"Error": 4}
        "#]],
    );
}

#[test]
fn a_node_takes_so_many_pods_and_conditions_can_be_set() {
    let a = job(
        "a",
        "parallelism: 2, completions: 2, podFailurePolicy: {rules: [{action: FailJob, onPodConditions: [{type: Broken}]}]}, ",
        "Never",
    );
    check(
        &format!(
            "
node: {{pods: 1}}
objects: [{a}]
guests: [{{match: {{pod: 1}}, run: 5s}}, {{run: 5s, exit: 1}}]
actions:
- {{at: 7s, condition: {{pod: {{job: a, nth: 2}}, type: Broken, status: 'True', reason: Test}}}}
- {{at: 8s, patch: {{kind: Job, name: a, merge: {{spec: {{completions: 3, backoffLimit: x}}}}}}}}
- {{at: 8s, patch: {{kind: Job, name: a, merge: {{spec: {{completions: 3}}}}}}}}
- {{at: 8s, patch: {{kind: Job, name: a, merge: {{metadata: {{labels: {{x: 'yes'}}}}}}}}}}
"
        ),
        expect![[r#"
            0.0    ADDED job a: active 2 terminating 0 succeeded 0 failed 0
            0.0    ADDED pod a: Running (running x0)
            0.0    ADDED pod a: Pending
            0.0    START a c #1
            5.0    EXIT a c #1 0 Completed
            5.0    MODIFIED job a: active 1 terminating 0 succeeded 1 failed 0
            5.0    MODIFIED pod a: Succeeded (0 Completed x0)
            5.0    MODIFIED pod a: Running (running x0)
            5.0    LEDGER Ran: a
            5.0    START a c #1
            7.0    MODIFIED pod a: Running (running x0)
            8.0    REFUSED 2 400 BadRequest: Job.batch "a" is invalid: spec.backoffLimit: expected a whole number, got the string "x" spec.backoffLimit=FieldValueTypeInvalid
            8.0    REFUSED 3 422 Invalid: Job.batch "a" is invalid: spec.completions: cannot change once the object exists; delete it and create it anew spec.completions=FieldValueInvalid
            8.0    MODIFIED job a: active 1 terminating 0 succeeded 1 failed 0
            10.0   EXIT a c #1 1 Error
            10.0   MODIFIED job a: active 0 terminating 0 succeeded 1 failed 1 FailureTarget=True PodFailurePolicy Failed=True PodFailurePolicy
            10.0   MODIFIED pod a: Failed (1 Error x0)
            10.0   LEDGER Finished: a PodFailurePolicy
            10.0   still job a: active 0 terminating 0 succeeded 1 failed 1 FailureTarget=True PodFailurePolicy Failed=True PodFailurePolicy
            10.0   still pod a: Succeeded (0 Completed x0)
            10.0   still pod a: Failed (1 Error x0)
            10.0   FINAL 1 jobs, 0 completed, {"PodFailurePolicy": 1} failed, 2 pods, 2 starts, 0 restarts, {"Error": 1}
        "#]],
    );
}
