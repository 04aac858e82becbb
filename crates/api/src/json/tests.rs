use super::*;
use crate::field_error::ERRORS_MAX;
use crate::pb::k8s::batch::v1::{CronJob, Job};
use crate::pb::k8s::core::v1::{Event, Pod};
use expect_test::{Expect, expect};

/// A Job that uses every type of field there is.
const RICH: &str = r##"
apiVersion: batch/v1
kind: Job
metadata:
  name: rich
  namespace: default
  generation: 2
  creationTimestamp: 2026-11-20T10:00:00+01:00
  labels:
    app: rich
    b: "1"
  annotations:
    note: |
      two
      lines
  ownerReferences:
  - apiVersion: batch/v1
    kind: CronJob
    name: nightly
    uid: 7f9c
    controller: true
spec:
  parallelism: 0
  completions: 4
  activeDeadlineSeconds: 9007199254740993
  backoffLimit: 0
  suspend: false
  selector:
    matchExpressions:
    - key: app
      operator: In
      values: [a, b]
  template:
    spec:
      volumes:
      - name: scratch
        emptyDir: {}
      - name: config
        configMap:
          name: settings
          defaultMode: 0644
      containers:
      - name: main
        image: hello
        args: ["-c", "yes", ""]
        env:
        - name: EMPTY
        - name: SECRET
          valueFrom:
            secretKeyRef:
              name: s
              key: k
              optional: true
        resources:
          limits:
            cpu: 0.5
            memory: 0.5Gi
            wick.dev/fuel: 1e9
        livenessProbe:
          httpGet:
            port: http
            path: /
          periodSeconds: 5
        readinessProbe:
          tcpSocket:
            port: 8080
        volumeMounts:
        - name: scratch
          mountPath: /tmp
      restartPolicy: OnFailure
      terminationGracePeriodSeconds: 0
status:
  startTime: 2026-11-20T09:00:00.999Z
  succeeded: 1
  ready: 0
"##;

fn node(yaml: &str) -> Node {
    crate::yaml::read(yaml).unwrap().remove(0).node
}

fn check_errors(yaml: &str, expected: Expect) {
    let errors = from_node::<Job>(&node(yaml)).unwrap_err();
    expected.assert_eq(&errors.iter().map(|error| format!("{error}\n")).collect::<String>());
}

#[test]
fn reads_and_writes_kubernetes_json() {
    let job = from_node::<Job>(&node(RICH)).unwrap();
    expect![[r#"
        apiVersion: batch/v1
        kind: Job
        metadata:
          name: rich
          namespace: default
          generation: 2
          creationTimestamp: "2026-11-20T09:00:00Z"
          labels:
            app: rich
            b: "1"
          annotations:
            note: |
              two
              lines
          ownerReferences:
          - apiVersion: batch/v1
            kind: CronJob
            name: nightly
            uid: 7f9c
            controller: true
        spec:
          parallelism: 0
          completions: 4
          activeDeadlineSeconds: 9007199254740993
          backoffLimit: 0
          selector:
            matchExpressions:
            - key: app
              operator: In
              values:
              - a
              - b
          template:
            spec:
              volumes:
              - name: scratch
                emptyDir: {}
              - name: config
                configMap:
                  name: settings
                  defaultMode: 420
              containers:
              - name: main
                image: hello
                args:
                - -c
                - "yes"
                - ""
                env:
                - name: EMPTY
                - name: SECRET
                  valueFrom:
                    secretKeyRef:
                      name: s
                      key: k
                      optional: true
                resources:
                  limits:
                    cpu: 500m
                    memory: 512Mi
                    wick.dev/fuel: 1G
                volumeMounts:
                - name: scratch
                  mountPath: /tmp
                livenessProbe:
                  httpGet:
                    path: /
                    port: http
                  periodSeconds: 5
                readinessProbe:
                  tcpSocket:
                    port: 8080
              restartPolicy: OnFailure
              terminationGracePeriodSeconds: 0
          suspend: false
        status:
          startTime: "2026-11-20T09:00:00Z"
          succeeded: 1
          ready: 0
    "#]]
    .assert_eq(&to_yaml(&job));
}

#[test]
fn writing_and_reading_again_changes_nothing() {
    let job = from_node::<Job>(&node(RICH)).unwrap();
    let json = to_json(&job).to_string();
    assert_eq!(from_node::<Job>(&Node::from_json(&json).unwrap()).unwrap(), job);
    assert_eq!(from_node::<Job>(&node(&to_yaml(&job))).unwrap(), job);
    assert_eq!(Job::decode(&job.encode_to_vec()[..]).unwrap(), job);
}

#[test]
fn tells_every_mistake_with_its_path() {
    check_errors(
        r#"
metadata:
  name: 5
  labels: {version: 1.5, ok: yes, "null": ~}
  creationTimestamp: yesterday
spec:
  backoffLimit: "six"
  completions: "3"
  parallelism: 99999999999
  activeDeadlineSeconds: 1.5
  suspend: "true"
  template:
    spec:
      containers:
      - name: a
        imagee: x
        command: sh -c
        tty: 1
        env: {A: b}
        resources: {limits: {cpu: many, memory: [1]}}
        livenessProbe: {httpGet: {port: true}}
      - just text
      - ~
      volumes:
      - {name: v, emptydir: {}}
"#,
        expect![[r#"
            metadata.name: expected a string, got the number 5; put it in quotes
            metadata.labels[version]: expected a string, got the number 1.5; put it in quotes
            metadata.labels[ok]: expected a string, got true; put it in quotes
            metadata.creationTimestamp: expected a time such as `2026-11-20T09:00:00Z`, got the string "yesterday"
            spec.backoffLimit: expected a whole number, got the string "six"
            spec.completions: expected a whole number, got the string "3"; remove the quotes
            spec.parallelism: 99999999999 is out of range; the least is -2147483648, the most 2147483647
            spec.activeDeadlineSeconds: expected a whole number, got the number 1.5
            spec.suspend: expected true or false, got the string "true"; remove the quotes
            spec.template.spec.containers[0].imagee: unknown field; did you mean `image`?
            spec.template.spec.containers[0].command: expected a list, got the string "sh -c"; put it in brackets, `[…]`
            spec.template.spec.containers[0].tty: expected true or false, got the number 1
            spec.template.spec.containers[0].env: expected a list, got a map; put a `-` before it
            spec.template.spec.containers[0].resources.limits[cpu]: "many" is no quantity; write a number and perhaps a suffix, as in `500m`, `2`, `128Mi` or `1e3`
            spec.template.spec.containers[0].resources.limits[memory]: expected a quantity such as `500m` or `128Mi`, got a list
            spec.template.spec.containers[0].livenessProbe.httpGet.port: expected a number or a string, got true
            spec.template.spec.containers[1]: expected a map, got the string "just text"
            spec.template.spec.containers[2]: expected a map, got nothing
            spec.template.spec.volumes[0].emptydir: unknown field; did you mean `emptyDir`?
        "#]],
    );
    check_errors(
        "[]",
        expect![[r#"
        expected a map, got a list
    "#]],
    );
}

#[test]
fn says_what_was_meant() {
    check_errors(
        r#"
metdata: {}
specification: {}
spec:
  backoff_limit: 1
  containers: []
  restartPolicy: Never
  schedule: "* * * * *"
  template:
    spec:
      backoffLimit: 1
      status: {}
      container: []
      xyz: 1
"#,
        expect![[r#"
            metdata: unknown field; did you mean `metadata`?
            specification: unknown field
            spec.backoff_limit: unknown field; did you mean `backoffLimit`?
            spec.containers: unknown field; `containers` belongs in `spec.template.spec`
            spec.restartPolicy: unknown field; `restartPolicy` belongs in `spec.template.spec`
            spec.schedule: unknown field
            spec.template.spec.backoffLimit: unknown field; `backoffLimit` belongs in `spec`
            spec.template.spec.status: unknown field
            spec.template.spec.container: unknown field; did you mean `containers`?
            spec.template.spec.xyz: unknown field
        "#]],
    );
}

#[test]
fn tells_every_key_that_is_given_twice() {
    let text = r#"{"spec": {"backoffLimit": 1, "backoffLimit": 2, "backoffLimit": 3,
        "template": {"metadata": {"labels": {"a": "1", "a": "2"}}, "metadata": {}}}}"#;
    let errors = from_node::<Job>(&Node::from_json(text).unwrap()).unwrap_err();
    expect!["spec.backoffLimit: given twice; keep one of them; spec.template.metadata.labels[a]: given twice; keep one of them; spec.template.metadata: given twice; keep one of them"].assert_eq(&errors.to_string());
}

#[test]
fn stops_telling_where_nobody_would_read_on() {
    let entries = (0..1000).map(|index| format!("\"x{index}\":1")).collect::<Vec<_>>().join(",");
    let errors = from_node::<Job>(&Node::from_json(&format!("{{{entries}}}")).unwrap()).unwrap_err();
    assert_eq!(errors.len(), ERRORS_MAX + 1);
    expect!["and there are more mistakes than these"].assert_eq(&errors.iter().last().unwrap().to_string());
}

#[test]
fn forgets_managed_fields_and_nulls() {
    let text =
        "metadata: {name: ~, managedFields: [{anything: {at: all}}]}\nspec: {completions: ~}\nstatus: ~";
    let job = from_node::<Job>(&node(text)).unwrap();
    expect![[r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{},"spec":{"template":{}}}"#]]
        .assert_eq(&to_json(&job).to_string());
}

#[test]
fn writes_what_clients_rely_on_even_when_it_is_zero() {
    let pod = node(
        "status: {phase: Succeeded, containerStatuses: [{name: a, state: {terminated: {exitCode: 0, finishedAt: \
         1969-12-31T23:59:59Z}}}]}",
    );
    expect![[r#"
        apiVersion: v1
        kind: Pod
        metadata: {}
        status:
          phase: Succeeded
          containerStatuses:
          - name: a
            state:
              terminated:
                exitCode: 0
                finishedAt: "1969-12-31T23:59:59Z"
            lastState: {}
            ready: false
            restartCount: 0
            image: ""
            imageID: ""
    "#]]
    .assert_eq(&to_yaml(&from_node::<Pod>(&pod).unwrap()));
}

#[test]
fn writes_microseconds_where_kubernetes_does() {
    let event = node("{eventTime: '2026-11-20T09:00:00.1234567Z', lastTimestamp: '2026-11-20T09:00:00.9Z'}");
    expect![[r#"{"apiVersion":"v1","kind":"Event","metadata":{},"involvedObject":{},"lastTimestamp":"2026-11-20T09:00:00Z","eventTime":"2026-11-20T09:00:00.123456Z","reportingComponent":"","reportingInstance":""}"#]].assert_eq(&to_json(&from_node::<Event>(&event).unwrap()).to_string());
}

#[test]
fn reads_a_cron_job() {
    let cron = node("spec: {schedule: '@daily', jobTemplate: {spec: {template: {spec: {containers: []}}}}}");
    expect![[r#"{"apiVersion":"batch/v1","kind":"CronJob","metadata":{},"spec":{"schedule":"@daily","jobTemplate":{"spec":{"template":{"spec":{"containers":[]}}}}}}"#]].assert_eq(&to_json(&from_node::<CronJob>(&cron).unwrap()).to_string());
}
