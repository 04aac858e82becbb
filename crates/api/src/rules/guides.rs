//! The shapes of Jobs and CronJobs that guides show, as people bring them: what is told about each.
//!
//! What is not supported yet is left out, as everywhere here; the rest must be nothing but what Wick will never do.

use super::{lines, told, value};
use expect_test::{Expect, expect};

/// A Job as a guide has it, with this spec and this Pod.
fn check(spec: &str, pod: &str, expected: Expect) {
    let mut job = value("{apiVersion: batch/v1, kind: Job, metadata: {name: shape}}");
    job["spec"] = value(spec);
    let template = &mut job["spec"]["template"];
    super::merge(template, serde_json::json!({"spec": value(pod)}));
    expected.assert_eq(&told(&job));
}

const ONE: &str = "{restartPolicy: OnFailure, containers: [{name: worker, image: busybox, command: [sh, -c], args: [work]}]}";

#[test]
fn first_jobs() {
    check("{}", ONE, expect![""]);
    check(
        "{completions: 1, parallelism: 1, backoffLimit: 6, activeDeadlineSeconds: 60, ttlSecondsAfterFinished: 9}",
        ONE,
        expect![""],
    );
    check("{completions: 10, parallelism: 3}", ONE, expect![""]);
    check("{completions: 5, parallelism: 3, completionMode: Indexed}", ONE, expect![""]);
    check("{suspend: true}", ONE, expect![""]);
}

#[test]
fn a_work_queue_says_that_it_has_no_completions() {
    let yaml = "
apiVersion: batch/v1
kind: Job
metadata: {name: queue}
spec:
  parallelism: 5
  completions: null
  template: {spec: {restartPolicy: OnFailure, containers: [{name: w, image: 'app:worker', env: [{name: URL, value: 'redis://r:1'}]}]}}
";
    let document = crate::manifest::parse(yaml).unwrap().remove(0);
    let (_, errors) = super::examined(&document);
    assert_eq!(lines(&errors), "");
}

#[test]
fn a_template_repeats_the_name_and_chooses_nodes() {
    check(
        "{template: {metadata: {name: countdown, labels: {app: countdown, color: aqua}}}}",
        "{restartPolicy: OnFailure, nodeSelector: {kubernetes.io/os: linux},
          tolerations: [{key: batch, operator: Equal, value: 'true', effect: NoSchedule}],
          containers: [{name: counter, image: 'centos:7', command: [bin/bash, -c, count]}]}",
        expect![[r#"
            warning: spec.template.metadata.name: is not used: Pods are named after their Job, in its namespace
        "#]],
    );
}

#[test]
fn init_containers_share_a_volume() {
    let mount = "volumeMounts: [{name: data, mountPath: /data}]";
    check(
        "{parallelism: 10, completions: 100}",
        &format!(
            "{{restartPolicy: OnFailure,
               initContainers: [{{name: split, image: busybox, {mount}}}, {{name: wait, image: bitnami/kubectl}}],
               containers: [{{name: load, image: 'app:v', {mount},
                 lifecycle: {{postStart: {{exec: {{command: [curl]}}}}}}}}],
               volumes: [{{name: data, emptyDir: {{}}}}]}}"
        ),
        expect![""],
    );
}

#[test]
fn values_come_from_other_objects() {
    check(
        "{backoffLimit: 1}",
        "{restartPolicy: Never,
          containers: [{name: migrate, image: 'migrate/migrate:latest', args: ['$(DB_USER)', up],
            env: [{name: DB_USER, valueFrom: {secretKeyRef: {name: db, key: username}}}],
            envFrom: [{configMapRef: {name: settings}}],
            volumeMounts: [{name: sql, mountPath: /sql}, {name: claim, mountPath: /logs}]}],
          volumes: [{name: sql, configMap: {name: sql}}, {name: claim, persistentVolumeClaim: {claimName: logs}}]}",
        expect![""],
    );
}

#[test]
fn processes_are_shared() {
    check(
        "{}",
        "{restartPolicy: Never, shareProcessNamespace: true,
          containers: [{name: main, image: 'app:latest'}, {name: monitor, image: 'monitoring:latest'}]}",
        expect![[r#"
            spec.template.spec.shareProcessNamespace: Forbidden: guests cannot see processes; remove it
        "#]],
    );
}

#[test]
fn resources_deadlines_and_probes() {
    check(
        "{activeDeadlineSeconds: 600}",
        "{restartPolicy: OnFailure, activeDeadlineSeconds: 300, priorityClassName: high, serviceAccountName: runner,
          containers: [{name: worker, image: app, ports: [{name: metrics, containerPort: 9090}],
            resources: {requests: {cpu: 100m, memory: 256Mi}, limits: {cpu: '1', memory: 1Gi}},
            livenessProbe: {exec: {command: [cat, /tmp/health]}, initialDelaySeconds: 30, periodSeconds: 10, timeoutSeconds: 5}}]}",
        expect![""],
    );
}

#[test]
fn what_is_pasted_with_a_slip() {
    // No template, because it was indented beside the spec.
    let slipped = value(
        "{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: null, completions: 5, parallelism: 2,
          template: {spec: {restartPolicy: OnFailure, containers: [{name: c, image: i}]}}}",
    );
    expect![[r#"
        completions: Unknown field: unknown field; `completions` belongs in `spec`
        parallelism: Unknown field: unknown field; `parallelism` belongs in `spec`
        template: Unknown field: unknown field; `template` belongs in `spec`
    "#]]
    .assert_eq(&told(&slipped));
}

/// A CronJob as a guide has it, with this spec and this Pod.
fn cron_job(spec: &str, pod: &str, expected: Expect) {
    let mut manifest = value("{apiVersion: batch/v1, kind: CronJob, metadata: {name: shape}}");
    manifest["spec"] = value(spec);
    let pod = serde_json::json!({"jobTemplate": {"spec": {"template": {"spec": value(pod)}}}});
    super::merge(&mut manifest["spec"], pod);
    expected.assert_eq(&super::cron_jobs::told(&manifest));
}

#[test]
fn cron_jobs_of_all_kinds() {
    cron_job("{schedule: '* * * * *'}", ONE, expect![""]);
    cron_job("{schedule: '*/1 * * * *', concurrencyPolicy: Forbid}", ONE, expect![""]);
    cron_job(
        "{schedule: 0 2 * * *, successfulJobsHistoryLimit: 3, failedJobsHistoryLimit: 1, startingDeadlineSeconds: 200,
          concurrencyPolicy: Forbid, jobTemplate: {spec: {backoffLimit: 3, ttlSecondsAfterFinished: 3600}}}",
        "{restartPolicy: OnFailure,
          containers: [{name: backup, image: 'backup:latest', env: [{name: DATE, value: $(date +%Y)}],
            volumeMounts: [{name: backup, mountPath: /backup}]}],
          volumes: [{name: backup, emptyDir: {}}]}",
        expect![""],
    );
    cron_job(
        "{schedule: 0 9 * * 1, timeZone: Asia/Seoul,
          jobTemplate: {spec: {completions: 1, template: {metadata: {labels: {color: yellow}}}}}}",
        "{restartPolicy: OnFailure, nodeSelector: {kubernetes.io/os: linux}, containers: [{name: report, image: busybox}]}",
        expect![""],
    );
    cron_job(
        "{schedule: '@monthly', suspend: true, concurrencyPolicy: Replace}",
        "{restartPolicy: OnFailure, serviceAccountName: certificates,
          containers: [{name: renew, image: 'certbot/certbot:latest', volumeMounts: [{name: files, mountPath: /etc/x}]}],
          volumes: [{name: files, persistentVolumeClaim: {claimName: files}}]}",
        expect![""],
    );
}

#[test]
fn cron_jobs_that_are_pasted_with_a_slip() {
    let slipped = value(
        "{apiVersion: batch/v1beta1, kind: CronJob, metadata: {name: a, spec: {schedule: '* * * * *'}},
          spec: {schedule: '* * * *', jobTemplate: {template: {spec: {restartPolicy: OnFailure, containers: [{name: c, image: i}]}}}}}",
    );
    expect![[r#"
        apiVersion: Unsupported value: `batch/v1beta1` is not served for a `CronJob`; did you mean `batch/v1`?
        metadata.spec: Unknown field: unknown field; `spec` belongs in the object itself
        spec.schedule: Invalid value: "* * * *": 4 fields; Kubernetes cron has 5 (minute hour day month weekday)
        spec.jobTemplate.template: Unknown field: unknown field; `template` belongs in `spec.jobTemplate.spec`
    "#]].assert_eq(&super::cron_jobs::told(&slipped));
}
