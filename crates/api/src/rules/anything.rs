//! Whatever is done to a manifest, it is answered: taken, and then it is what was asked for, or refused with a path.

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;
use serde_json::{Value, json};

use super::{document, examined, now, value};

/// A Job that says much of what can be said.
const MUCH: &str = "
apiVersion: batch/v1
kind: Job
metadata:
  name: hello
  labels: {app: hello}
  annotations: {a: b}
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: a, uid: b, controller: true}]
spec:
  parallelism: 2
  completions: 5
  completionMode: Indexed
  activeDeadlineSeconds: 60
  backoffLimit: 3
  backoffLimitPerIndex: 1
  maxFailedIndexes: 2
  ttlSecondsAfterFinished: 9
  suspend: false
  podReplacementPolicy: Failed
  managedBy: example.com/x
  podFailurePolicy:
    rules:
    - {action: FailJob, onExitCodes: {containerName: main, operator: In, values: [1, 42]}}
    - {action: Ignore, onPodConditions: [{type: DisruptionTarget, status: 'True'}]}
  successPolicy: {rules: [{succeededIndexes: '0,2-4', succeededCount: 2}]}
  template:
    metadata: {labels: {app: hello}, annotations: {wick.dev/allow-net: '10.0.0.7:1883'}}
    spec:
      restartPolicy: Never
      activeDeadlineSeconds: 30
      terminationGracePeriodSeconds: 5
      initContainers:
      - {name: init, image: hello, restartPolicy: Always, startupProbe: {tcpSocket: {port: web}}}
      containers:
      - name: main
        image: 'hello:1'
        command: [a]
        env:
        - {name: A, value: b}
        - {name: B, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}
        - {name: C, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
        envFrom: [{prefix: X_, configMapRef: {name: a}}]
        ports: [{name: web, containerPort: 80}]
        resources: {limits: {cpu: 500m, memory: 64Mi}, requests: {cpu: 100m}}
        volumeMounts: [{name: v, mountPath: /v, subPath: a/b}]
        livenessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 3}
        lifecycle: {preStop: {sleep: {seconds: 1}}}
        restartPolicy: Never
        restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [3]}}]
      volumes:
      - {name: v, emptyDir: {sizeLimit: 1Mi}}
      - {name: files, projected: {sources: [{configMap: {name: a, items: [{key: a, path: b}]}}]}}
";

#[test]
fn much_is_right() {
    let (_, errors) = examined(&document(&value(MUCH)));
    assert!(errors.is_empty(), "{errors}");
}

#[test]
fn anything_is_answered() {
    arbtest(|u| {
        let mut manifest = value(MUCH);
        for _ in 0..u.int_in_range(1..=4)? {
            change(&mut manifest, u)?;
        }
        let Ok(documents) = crate::manifest::parse(&manifest.to_string()) else { return Ok(()) };
        for document in documents {
            if document.kind != "Job" {
                assert!(document.check("default", &super::grants()).is_err());
                continue;
            }
            let (new, errors) = document.examine("default", &super::grants());
            let known = |path: &str| path.is_empty() || path.starts_with(|c: char| c.is_ascii_alphabetic());
            assert!(errors.iter().all(|error| known(error.path.as_str()) && !error.detail.is_empty()));
            assert!(errors.iter().all(|error| !error.kubernetes().is_empty()));
            let supported = errors.iter().any(|error| !error.detail.starts_with("not supported yet"));
            if let Some(new) = new.filter(|_| !supported) {
                let job =
                    new.clone().stamp("hello".to_owned(), "f0000000-0000-4000-8000-000000000001", now());
                assert_eq!(new.revise(&job).unwrap(), None, "{manifest}");
            }
        }
        Ok(())
    })
    .budget_ms(2_000);
}

/// Changes something somewhere in a document.
fn change(place: &mut Value, u: &mut Unstructured<'_>) -> Result<()> {
    let inside = u.ratio(7, 8)?;
    match place {
        Value::Object(entries) if inside && !entries.is_empty() => {
            let key = u.choose(&entries.keys().cloned().collect::<Vec<_>>())?.clone();
            match u.int_in_range(0..=9)? {
                0 => drop(entries.remove(&key)),
                1 => drop(entries.insert(format!("{key}x"), anything(u)?)),
                _ => change(entries.get_mut(&key).unwrap_or(&mut Value::Null), u)?,
            }
        }
        Value::Array(elements) if inside && !elements.is_empty() => {
            let index = u.choose_index(elements.len())?;
            match u.int_in_range(0..=9)? {
                0 => drop(elements.remove(index)),
                1 => elements.push(elements[index].clone()),
                2 => elements.push(anything(u)?),
                _ => change(&mut elements[index], u)?,
            }
        }
        place => *place = anything(u)?,
    }
    Ok(())
}

fn anything(u: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match u.int_in_range(0..=12)? {
        0 => Value::Null,
        1 => u.arbitrary::<bool>()?.into(),
        2 => u.arbitrary::<i64>()?.into(),
        3 => i32::MAX.into(),
        4 => (-1).into(),
        5 => 0.into(),
        6 => 0.5.into(),
        7 => u.arbitrary::<String>()?.into(),
        8 => (*u.choose(&["", "Always", "Indexed", "NonIndexed", "0-4", "-", "..", "../a", "1e999", "ü"])?)
            .into(),
        9 => json!([]),
        10 => json!({}),
        11 => json!([u.arbitrary::<i32>()?, null, "a"]),
        _ => json!({"name": "a", "key": {"b": [1]}}),
    })
}
