//! What a manifest asks for and we cannot give, which is never ignored in silence.
//!
//! Every field is honoured, accepted with a warning (it means nothing on one device) or refused (ignoring it would
//! break a promise). Which one, and why, stands beside the field in its `.proto` file; this is the walk that reads it.

use std::fmt;

use prost::{Message, Name};
use prost_reflect::{DynamicMessage, Value};

use crate::descriptor::{Field, Shape};
use crate::field_error::{FieldErrors, FieldPath, push_field, push_index, push_key};
use crate::json::to_dynamic;
use crate::pb::wick::options::v1::Unsupported;

/// What an object asks for that it will not get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Support {
    /// What must not be ignored: the object cannot be taken.
    pub refused: FieldErrors,
    /// What makes no difference here: the object is taken, and whoever sent it is told.
    pub warnings: Vec<Warning>,
}

/// A field that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The field.
    pub path: FieldPath,
    /// Why it has none.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}

/// Looks at an object as it came in over gRPC.
pub fn check_message<M: Message + Name>(message: &M) -> Support {
    check(Shape::of::<M>(), &to_dynamic(message))
}

/// Looks at an object of this shape. What Wick fills in itself is not looked at.
pub fn check(shape: &'static Shape, message: &DynamicMessage) -> Support {
    let mut walk = Walk { support: Support::default(), path: String::new() };
    walk.message(shape, message);
    walk.support
}

struct Walk {
    support: Support,
    path: String,
}

impl Walk {
    fn message(&mut self, shape: &'static Shape, message: &DynamicMessage) {
        for field in &shape.fields {
            if field.options.output_only || !message.has_field(&field.descriptor) {
                continue;
            }
            let value = message.get_field(&field.descriptor);
            let above = self.path.len();
            if !field.options.inline {
                push_field(&mut self.path, &field.name);
            }
            self.field(field, &value);
            self.path.truncate(above);
        }
    }

    fn field(&mut self, field: &'static Field, value: &Value) {
        if let Some(refused) = &field.options.refused {
            if asks(field, value, refused) {
                self.support.refused.forbidden(&self.path[..], &refused.why);
            }
        } else if let Some(warned) = &field.options.warned {
            if asks(field, value, warned) {
                let text = format!("has no effect: {}", warned.why);
                self.support.warnings.push(Warning { path: self.path[..].into(), text });
            }
        } else {
            self.inside(field, value);
        }
    }

    fn inside(&mut self, field: &'static Field, value: &Value) {
        let Some(shape) = field.message() else { return };
        match value {
            Value::Message(message) => self.message(shape, message),
            Value::List(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    let above = self.path.len();
                    push_index(&mut self.path, index);
                    if let Value::Message(message) = element {
                        self.message(shape, message);
                    }
                    self.path.truncate(above);
                }
            }
            Value::Map(entries) => {
                let mut entries = entries.iter().collect::<Vec<_>>();
                entries.sort_by_key(|(key, _)| *key);
                for (key, entry) in entries {
                    let above = self.path.len();
                    push_key(&mut self.path, key.as_str().unwrap_or_default());
                    if let Value::Message(message) = entry {
                        self.message(shape, message);
                    }
                    self.path.truncate(above);
                }
            }
            _ => {}
        }
    }
}

/// Whether a field that is set asks for anything, beyond what is done anyway.
fn asks(field: &Field, value: &Value, unsupported: &Unsupported) -> bool {
    let harmless = |text: &str| unsupported.except.iter().any(|value| value == text);
    let on_purpose = field.descriptor.supports_presence();
    match value {
        Value::Bool(value) => *value,
        Value::I32(value) => (on_purpose || *value != 0) && !harmless(&value.to_string()),
        Value::I64(value) => (on_purpose || *value != 0) && !harmless(&value.to_string()),
        Value::U32(value) => (on_purpose || *value != 0) && !harmless(&value.to_string()),
        Value::U64(value) => (on_purpose || *value != 0) && !harmless(&value.to_string()),
        Value::F32(value) => on_purpose || *value != 0.0,
        Value::F64(value) => on_purpose || *value != 0.0,
        Value::EnumNumber(value) => *value != 0,
        Value::String(text) => !text.is_empty() && !harmless(text),
        Value::Bytes(bytes) => !bytes.is_empty(),
        Value::Message(message) => unsupported.even_empty || !is_empty(message),
        Value::List(elements) => !elements.iter().all(|element| element.as_str().is_some_and(harmless)),
        Value::Map(entries) => !entries.is_empty(),
    }
}

/// Whether nothing is set in a message, nor in those that are.
fn is_empty(message: &DynamicMessage) -> bool {
    message.fields().all(|(field, value)| match value {
        _ if !message.has_field(&field) => true,
        Value::Message(inner) => is_empty(inner),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::from_node;
    use crate::pb::k8s::batch::v1::Job;
    use crate::{descriptor, yaml};
    use expect_test::{Expect, expect};

    fn check(yaml: &str, expected: Expect) {
        let node = yaml::read(yaml).unwrap().remove(0).node;
        let support = check_message(&from_node::<Job>(&node).unwrap());
        let refused = support.refused.iter().map(|error| format!("refused {error}\n"));
        let warnings = support.warnings.iter().map(|warning| format!("warning {warning}\n"));
        expected.assert_eq(&refused.chain(warnings).collect::<String>());
    }

    #[test]
    fn takes_what_asks_for_nothing() {
        check(
            r#"
metadata: {finalizers: [foregroundDeletion], managedFields: [{manager: kubectl}], uid: x, creationTimestamp: ~}
spec:
  completionMode: NonIndexed
  podReplacementPolicy: TerminatingOrFailed
  suspend: false
  manualSelector: false
  selector: {}
  podFailurePolicy: {}
  template:
    metadata: {labels: {a: b}}
    spec:
      hostNetwork: false
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      schedulerName: default-scheduler
      dnsPolicy: ClusterFirst
      serviceAccountName: default
      automountServiceAccountToken: false
      enableServiceLinks: false
      priority: 0
      preemptionPolicy: PreemptLowerPriority
      os: {name: linux}
      tolerations: []
      initContainers: []
      volumes: [{name: v, emptyDir: {}}]
      containers:
      - name: a
        image: b
        imagePullPolicy: IfNotPresent
        terminationMessagePath: /dev/termination-log
        terminationMessagePolicy: File
        stdin: false
        resources: {}
        livenessProbe: {}
        securityContext: {privileged: false, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true,
          capabilities: {drop: [ALL]}}
        env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
        volumeMounts: [{name: v, mountPath: /v, mountPropagation: None}]
status: {active: 1}
"#,
            expect![""],
        );
    }

    #[test]
    fn refuses_what_it_must_not_ignore() {
        check(
            r#"
metadata: {finalizers: [a]}
spec:
  completionMode: Indexed
  backoffLimitPerIndex: 0
  ttlSecondsAfterFinished: 0
  suspend: true
  managedBy: example.com/other
  selector: {matchLabels: {a: b}}
  podFailurePolicy: {rules: [{action: Ignore}]}
  template:
    spec:
      hostNetwork: true
      hostPID: true
      securityContext: {runAsUser: 0, supplementalGroups: [1], sysctls: [{name: a, value: b}]}
      priority: 7
      os: {name: windows}
      runtimeClassName: gvisor
      initContainers: [{name: i}]
      volumes: [{name: v, configMap: {}}, {name: h, secret: {}}, {name: m, emptyDir: {medium: Memory}}]
      containers:
      - name: a
        workingDir: /x
        envFrom: [{prefix: x}]
        env: [{name: NAME, valueFrom: {secretKeyRef: {}}}]
        securityContext: {privileged: true, capabilities: {add: [NET_ADMIN]}}
        livenessProbe: {periodSeconds: 1}
        volumeMounts: [{name: v, mountPath: /v, subPath: x}]
"#,
            expect![[r#"
                refused metadata.finalizers: not supported yet: a deletion waits for nobody; remove it
                refused spec.template.spec.volumes[0].configMap: not supported yet; use emptyDir
                refused spec.template.spec.volumes[1].secret: not supported yet; use emptyDir
                refused spec.template.spec.volumes[2].emptyDir.medium: not supported yet; leave it out for the device's disk
                refused spec.template.spec.containers[0].workingDir: not supported yet; a guest starts in `/`, so use absolute paths
                refused spec.template.spec.containers[0].envFrom: not supported yet; list the variables under env
                refused spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef: not supported yet; give the value itself
                refused spec.template.spec.containers[0].volumeMounts[0].subPath: not supported yet; mount the whole volume
                refused spec.template.spec.containers[0].livenessProbe: not supported yet; use activeDeadlineSeconds
                refused spec.template.spec.containers[0].securityContext.capabilities.add: guests get no capabilities of the kernel; remove it
                refused spec.template.spec.containers[0].securityContext.privileged: guests never get the host's privileges; remove it
                refused spec.template.spec.hostNetwork: guests never get the host's network; grant addresses with the annotation `wick.dev/allow-net`
                refused spec.template.spec.hostPID: guests cannot see processes; remove it
                refused spec.template.spec.securityContext.runAsUser: guests have no user; remove it
                refused spec.template.spec.securityContext.supplementalGroups: guests have no group; remove it
                refused spec.template.spec.securityContext.sysctls: guests share the device's kernel settings; remove them
                refused spec.template.spec.priority: the number follows from priorityClassName; give that
                refused spec.template.spec.runtimeClassName: there is one runtime, for WASI; remove it
                refused spec.template.spec.os.name: guests run on the device's system; remove it
            "#]],
        );
    }

    #[test]
    fn warns_of_what_means_nothing_here() {
        check(
            r#"
spec:
  template:
    spec:
      tolerations: [{operator: Exists}]
      affinity: {nodeAffinity: {}}
      nodeSelector: {a: b}
      dnsPolicy: None
      schedulerName: other
      imagePullSecrets: [{name: x}]
      automountServiceAccountToken: true
      hostUsers: false
      containers:
      - name: a
        imagePullPolicy: Always
        ports: [{containerPort: 80}]
        tty: true
        securityContext: {seccompProfile: {type: Unconfined}}
      volumes: [{name: v, emptyDir: {sizeLimit: 1Mi}}]
"#,
            expect![[r#"
                warning spec.template.spec.volumes[0].emptyDir.sizeLimit: has no effect: not enforced yet
                warning spec.template.spec.containers[0].ports: has no effect: guests cannot be reached from outside
                warning spec.template.spec.containers[0].imagePullPolicy: has no effect: images are pushed to the device, so no registry is asked
                warning spec.template.spec.containers[0].securityContext.seccompProfile.type: has no effect: guests make no system calls of their own
                warning spec.template.spec.containers[0].tty: has no effect: guests have no terminal
                warning spec.template.spec.dnsPolicy: has no effect: names are looked up by the device's resolver
                warning spec.template.spec.automountServiceAccountToken: has no effect: guests have no account, and so no token
                warning spec.template.spec.imagePullSecrets: has no effect: images are pushed to the device, so no registry is asked
                warning spec.template.spec.schedulerName: has no effect: there is one node, so nothing is scheduled
                warning spec.template.spec.tolerations: has no effect: the node has no taints
            "#]],
        );
    }

    #[test]
    fn every_reason_says_why() {
        for message in descriptor::pool().all_messages().filter(|message| !message.is_map_entry()) {
            for field in &Shape::named(message.full_name()).unwrap().fields {
                let refused = field.options.refused.as_ref();
                assert!(
                    refused.is_none() || field.options.warned.is_none(),
                    "{}: one or the other",
                    field.name
                );
                if let Some(unsupported) = refused.or(field.options.warned.as_ref()) {
                    assert!(!unsupported.why.is_empty(), "{}.{}", message.name(), field.name);
                }
            }
        }
    }
}
