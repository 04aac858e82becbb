//! What Pods and containers of a template must be.

use super::{container, pod};
use expect_test::{Expect, expect};

#[test]
fn a_pod_has_containers_with_names_and_images() {
    pod(
        "containers: []",
        expect![[r#"
        spec.template.spec.containers: Required value: needed; give at least one container
    "#]],
    );
    pod(
        "containers: [{image: hello}, {name: Main, image: ' '}, {name: a}]",
        expect![[r#"
        spec.template.spec.containers[0].name: Required value: needed; give it a name
        spec.template.spec.containers[1].name: Invalid value: "Main": must be up to 63 lower-case letters, digits and `-`, with a letter or digit at both ends
        spec.template.spec.containers[1].image: Required value: needed; name an image (wick image ls), or give a path to `wick apply`
        spec.template.spec.containers[2].image: Required value: needed; name an image (wick image ls), or give a path to `wick apply`
    "#]],
    );
    pod(
        "{containers: [{name: a, image: hello}, {name: a, image: hello}], initContainers: [{name: a, image: hello}]}",
        expect![[r#"
            spec.template.spec.containers[1].name: Duplicate value: "a"
            spec.template.spec.initContainers[0].name: Duplicate value: "a"
        "#]],
    );
    let many: Vec<_> = (0..33).map(|index| format!("{{name: c{index}, image: hello}}")).collect();
    pod(
        &format!("containers: [{}]", many.join(", ")),
        expect![[r#"
        spec.template.spec.containers: Too many: 33: must have at most 32 items
    "#]],
    );
    pod(
        "ephemeralContainers: [{name: debug, image: hello}]",
        expect![[r#"
            spec.template.spec.ephemeralContainers: Forbidden: is not for templates; remove them
            spec.template.spec.ephemeralContainers: Forbidden: a running guest cannot be entered; remove them
        "#]],
    );
}

#[test]
fn a_pod_has_words_of_its_own() {
    pod(
        "activeDeadlineSeconds: 0",
        expect![[r#"
        spec.template.spec.activeDeadlineSeconds: Invalid value: 0: must be from 1 to 2147483647
    "#]],
    );
    pod(
        "activeDeadlineSeconds: 2147483648",
        expect![[r#"
        spec.template.spec.activeDeadlineSeconds: Invalid value: 2147483648: must be from 1 to 2147483647
    "#]],
    );
    pod(
        "{hostname: a.b, subdomain: '-', dnsPolicy: Mine, nodeSelector: {'a b': c}}",
        expect![[r#"
            spec.template.spec.hostname: Invalid value: "a.b": must be up to 63 lower-case letters, digits and `-`, with a letter or digit at both ends
            spec.template.spec.subdomain: Invalid value: "-": must be up to 63 lower-case letters, digits and `-`, with a letter or digit at both ends
            spec.template.spec.dnsPolicy: Unsupported value: "Mine": supported values: "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"
            spec.template.spec.nodeSelector: Invalid value: "a b": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
        "#]],
    );
    pod(
        "schedulingGates: [{name: 'a b'}]",
        expect![[r#"
        spec.template.spec.schedulingGates[0].name: Invalid value: "a b": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
    "#]],
    );
}

#[test]
fn variables_have_a_name_and_one_source() {
    container(
        "env:
         - {value: x}
         - {name: 'A=B', value: x}
         - {name: ü, value: x}
         - {name: NONE, valueFrom: {}}
         - {name: BOTH, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
         - {name: TWO, valueFrom: {fieldRef: {fieldPath: metadata.name}, resourceFieldRef: {resource: limits.cpu}}}",
        expect![[r#"
            spec.template.spec.containers[0].env[0].name: Required value: needed; give the variable a name
            spec.template.spec.containers[0].env[1].name: Invalid value: "A=B": must be printable ASCII without `=`
            spec.template.spec.containers[0].env[2].name: Invalid value: "ü": must be printable ASCII without `=`
            spec.template.spec.containers[0].env[3].valueFrom: Invalid value: "": must have one source, such as fieldRef
            spec.template.spec.containers[0].env[4].valueFrom: Invalid value: "": is not for a variable with a value; remove one of them
            spec.template.spec.containers[0].env[5].valueFrom: Invalid value: "": must have one source only; remove the others
        "#]],
    );
    container(
        "env:
         - {name: A, valueFrom: {configMapKeyRef: {name: a}}}
         - {name: B, valueFrom: {secretKeyRef: {name: a, key: 'a b'}}}
         - {name: C, valueFrom: {fileKeyRef: {key: a}}}",
        expect![[r#"
            spec.template.spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Required value: needed; name a key
            spec.template.spec.containers[0].env[1].valueFrom.secretKeyRef.key: Invalid value: "a b": must be up to 253 letters, digits, `-`, `_` and `.`
            spec.template.spec.containers[0].env[2].valueFrom.fileKeyRef.volumeName: Required value: needed; say where the value is
            spec.template.spec.containers[0].env[2].valueFrom.fileKeyRef.path: Required value: needed; say where the value is
        "#]],
    );
}

#[test]
fn variables_know_some_fields_of_their_pod() {
    for field in [
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "metadata.labels['app.kubernetes.io/name']",
        "metadata.annotations['Example.COM/name']",
    ] {
        let change = format!("env: [{{name: A, valueFrom: {{fieldRef: {{fieldPath: \"{field}\"}}}}}}]");
        container(&change, expect![""]);
    }
    let field = |path: &str, expected: Expect| {
        container(
            &format!("env: [{{name: A, valueFrom: {{fieldRef: {{fieldPath: \"{path}\"}}}}}}]"),
            expected,
        );
    };
    field(
        "",
        expect![[r#"
        spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Required value: needed; name a field of the Pod, such as metadata.name
    "#]],
    );
    field(
        "status.phase",
        expect![[r#"
        spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "status.phase": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs", "metadata.labels['KEY']", "metadata.annotations['KEY']"
    "#]],
    );
    field(
        "metadata.labels",
        expect![[r#"
        spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs", "metadata.labels['KEY']", "metadata.annotations['KEY']"
    "#]],
    );
    field(
        "metadata.labels['Example.COM/name']",
        expect![[r#"
        spec.template.spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "Example.COM/name": must have a DNS name such as `example.com` before its `/`
    "#]],
    );
    container(
        "env: [{name: A, valueFrom: {fieldRef: {apiVersion: v2, fieldPath: metadata.name}}}]",
        expect![[r#"
            spec.template.spec.containers[0].env[0].valueFrom.fieldRef.apiVersion: Unsupported value: "v2": supported values: "v1"
        "#]],
    );
}

#[test]
fn variables_know_resources_in_some_units() {
    let resource = |text: &str, expected: Expect| {
        container(&format!("env: [{{name: A, valueFrom: {{resourceFieldRef: {{{text}}}}}}}]"), expected);
    };
    for right in [
        "resource: limits.cpu",
        "resource: limits.cpu, divisor: 1m",
        "resource: requests.memory, divisor: 1Mi, containerName: main",
        "resource: limits.memory, divisor: '0'",
    ] {
        resource(right, expect![""]);
    }
    resource(
        "resource: limits.ephemeral-storage, divisor: 1E",
        expect![[r#"
        warning: spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef: is 0: the node has nothing of that to share out
    "#]],
    );
    resource(
        "resource: limits.hugepages-2Mi, divisor: 1",
        expect![[r#"
        warning: spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef: is 0: the node has nothing of that to share out
    "#]],
    );
    resource(
        "containerName: other",
        expect![[r#"
        spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Required value: needed; name a resource, such as limits.memory
        spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef.containerName: Not found: "other": name a container of the template
    "#]],
    );
    resource(
        "resource: cpu",
        expect![[r#"
        spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "cpu": supported values: "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", "requests.memory"
    "#]],
    );
    resource(
        "resource: limits.cpu, divisor: 10m",
        expect![[r#"
        spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "10m": must be 1 or 1m for cpu
    "#]],
    );
    resource(
        "resource: limits.memory, divisor: 1m",
        expect![[r#"
        spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "1m": must be 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi or 1Ei
    "#]],
    );
    resource(
        "resource: limits.memory, divisor: 2Mi",
        expect![[r#"
        spec.template.spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "2Mi": must be 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi or 1Ei
    "#]],
    );
}

#[test]
fn whole_maps_become_variables_by_one_source() {
    container(
        "envFrom:
         - {}
         - {configMapRef: {name: a}, secretRef: {name: b}}
         - {configMapRef: {}}
         - {secretRef: {name: A_B}}
         - {prefix: 'A=', secretRef: {name: b}}",
        expect![[r#"
            spec.template.spec.containers[0].envFrom[0]: Invalid value: "": must have configMapRef or secretRef
            spec.template.spec.containers[0].envFrom[1]: Invalid value: "": must have one of configMapRef and secretRef; remove one
            spec.template.spec.containers[0].envFrom[2].configMapRef.name: Required value: needed; say where the variables are
            spec.template.spec.containers[0].envFrom[3].secretRef.name: Invalid value: "A_B": must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
            spec.template.spec.containers[0].envFrom[4].prefix: Invalid value: "A=": must be printable ASCII without `=`
        "#]],
    );
}

#[test]
fn ports_have_numbers_and_names_once() {
    container(
        "ports:
         - {}
         - {containerPort: 70000, hostPort: -1, protocol: ICMP}
         - {containerPort: 1, name: web}
         - {containerPort: 2, name: web}
         - {containerPort: 3, name: '12'}
         - {containerPort: 4, name: much-too-long-a-name}",
        expect![[r#"
            spec.template.spec.containers[0].ports[0].containerPort: Required value: needed; give a port
            spec.template.spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be from 1 to 65535
            spec.template.spec.containers[0].ports[1].hostPort: Invalid value: -1: must be from 1 to 65535
            spec.template.spec.containers[0].ports[1].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"
            spec.template.spec.containers[0].ports[3].name: Duplicate value: "web"
            spec.template.spec.containers[0].ports[4].name: Invalid value: "12": must be up to 15 lower-case letters, digits and `-`, with a letter, and without `--` or `-` at an end
            spec.template.spec.containers[0].ports[5].name: Invalid value: "much-too-long-a-name": must be up to 15 lower-case letters, digits and `-`, with a letter, and without `--` or `-` at an end
        "#]],
    );
}

#[test]
fn resources_are_known_and_requests_within_limits() {
    container(
        "resources: {limits: {cpu: 1, memory: -1Mi}, requests: {cpu: 2, disk: 1}}",
        expect![[r#"
        spec.template.spec.containers[0].resources.limits[memory]: Invalid value: "-1Mi": must be at least 0
        spec.template.spec.containers[0].resources.requests: Invalid value: "2": must be at most the cpu limit, 1
        spec.template.spec.containers[0].resources.requests[disk]: Unsupported value: "disk": supported values: "cpu", "memory", "wick.dev/fuel"
    "#]],
    );
    container(
        "resources: {limits: {wick.dev/fuel: 0}, requests: {wick.dev/fuel: 1}}",
        expect![[r#"
            spec.template.spec.containers[0].resources.limits[wick.dev/fuel]: Invalid value: "0": must be greater than 0: with no fuel nothing runs
            spec.template.spec.containers[0].resources.requests[wick.dev/fuel]: Forbidden: fuel is a limit and is not shared out; give it under limits
        "#]],
    );
}

#[test]
fn a_container_starts_again_by_rules() {
    container(
        "restartPolicy: Sometimes",
        expect![[r#"
        spec.template.spec.containers[0].restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"
    "#]],
    );
    container(
        "restartPolicyRules:
         - {}
         - {action: Stop, exitCodes: {}}
         - {action: Restart, exitCodes: {operator: Like, values: [1]}}",
        expect![[r#"
            spec.template.spec.containers[0].restartPolicy: Required value: needed with restartPolicyRules
            spec.template.spec.containers[0].restartPolicyRules[0].action: Required value: needed; give Restart or RestartAllContainers
            spec.template.spec.containers[0].restartPolicyRules[0].exitCodes: Required value: needed; say which exit codes the rule is for
            spec.template.spec.containers[0].restartPolicyRules[1].action: Unsupported value: "Stop": supported values: "Restart", "RestartAllContainers"
            spec.template.spec.containers[0].restartPolicyRules[1].exitCodes.operator: Required value: needed; give In or NotIn
            spec.template.spec.containers[0].restartPolicyRules[2].exitCodes.operator: Unsupported value: "Like": supported values: "In", "NotIn"
        "#]],
    );
    let rules = ["{action: Restart, exitCodes: {operator: In, values: [1]}}"; 21].join(", ");
    container(
        &format!("{{restartPolicy: Never, restartPolicyRules: [{rules}]}}"),
        expect![[r#"
        spec.template.spec.containers[0].restartPolicyRules: Too many: 21: must have at most 20 items
    "#]],
    );
    let values: Vec<_> = (1..=256).map(|code| code.to_string()).collect();
    let rule = format!("{{action: Restart, exitCodes: {{operator: In, values: [{}]}}}}", values.join(", "));
    container(
        &format!("{{restartPolicy: Never, restartPolicyRules: [{rule}]}}"),
        expect![[r#"
        spec.template.spec.containers[0].restartPolicyRules[0].exitCodes.values: Too many: 256: must have at most 255 items
    "#]],
    );
}

#[test]
fn init_containers_that_end_are_not_probed() {
    let probed = "name: a, image: hello, lifecycle: {preStop: {sleep: {seconds: 1}}}, livenessProbe: {exec: {command: [a]}},
                  readinessProbe: {exec: {command: [a]}}, startupProbe: {exec: {command: [a]}}";
    pod(
        &format!("initContainers: [{{{probed}}}]"),
        expect![[r#"
        spec.template.spec.initContainers[0].lifecycle: Forbidden: is for init containers with `restartPolicy: Always` only
        spec.template.spec.initContainers[0].livenessProbe: Forbidden: is for init containers with `restartPolicy: Always` only
        spec.template.spec.initContainers[0].readinessProbe: Forbidden: is for init containers with `restartPolicy: Always` only
        spec.template.spec.initContainers[0].startupProbe: Forbidden: is for init containers with `restartPolicy: Always` only
    "#]],
    );
    pod(&format!("initContainers: [{{{probed}, restartPolicy: Always}}]"), expect![""]);
    pod(
        "initContainers: [{}]",
        expect![[r#"
        spec.template.spec.initContainers[0].name: Required value: needed; give it a name
        spec.template.spec.initContainers[0].image: Required value: needed; name an image (wick image ls), or give a path to `wick apply`
    "#]],
    );
}

#[test]
fn a_probe_has_one_handler_and_numbers() {
    container(
        "livenessProbe: {}",
        expect![[r#"
        spec.template.spec.containers[0].livenessProbe: Required value: needed: one handler; give exec, httpGet, tcpSocket or grpc
    "#]],
    );
    container(
        "livenessProbe: {exec: {command: [a]}, httpGet: {port: 80}, tcpSocket: {port: web}, grpc: {port: 1}}",
        expect![[r#"
            spec.template.spec.containers[0].livenessProbe.httpGet: Forbidden: there may be one handler only; remove the others
            spec.template.spec.containers[0].livenessProbe.tcpSocket: Forbidden: there may be one handler only; remove the others
            spec.template.spec.containers[0].livenessProbe.grpc: Forbidden: there may be one handler only; remove the others
        "#]],
    );
    container(
        "livenessProbe:
           exec: {}
           initialDelaySeconds: -1
           timeoutSeconds: -1
           periodSeconds: -1
           failureThreshold: -1
           successThreshold: 2
           terminationGracePeriodSeconds: 0",
        expect![[r#"
            spec.template.spec.containers[0].livenessProbe.exec.command: Required value: needed; say what to run
            spec.template.spec.containers[0].livenessProbe.initialDelaySeconds: Invalid value: -1: is too few; the least is 0
            spec.template.spec.containers[0].livenessProbe.timeoutSeconds: Invalid value: -1: is too few; the least is 0
            spec.template.spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: is too few; the least is 0
            spec.template.spec.containers[0].livenessProbe.failureThreshold: Invalid value: -1: is too few; the least is 0
            spec.template.spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1: only readiness is to be shown again and again
            spec.template.spec.containers[0].livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: is too few; the least is 1
        "#]],
    );
    container(
        "startupProbe: {httpGet: {port: 0, scheme: FTP, httpHeaders: [{name: 'a b'}]}, successThreshold: 2}",
        expect![[r#"
            spec.template.spec.containers[0].startupProbe.httpGet.port: Invalid value: 0: must be from 1 to 65535
            spec.template.spec.containers[0].startupProbe.httpGet.scheme: Unsupported value: "FTP": supported values: "HTTP", "HTTPS"
            spec.template.spec.containers[0].startupProbe.httpGet.httpHeaders[0].name: Invalid value: "a b": must be the name of a header, such as `Accept`
            spec.template.spec.containers[0].startupProbe.successThreshold: Invalid value: 2: must be 1: only readiness is to be shown again and again
        "#]],
    );
    container(
        "readinessProbe: {tcpSocket: {port: WEB}, successThreshold: 2, terminationGracePeriodSeconds: 5}",
        expect![[r#"
            spec.template.spec.containers[0].readinessProbe.tcpSocket.port: Invalid value: "WEB": must be up to 15 lower-case letters, digits and `-`, with a letter, and without `--` or `-` at an end
            spec.template.spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: is not for readinessProbe, which stops nothing; remove it
        "#]],
    );
    container(
        "readinessProbe: {grpc: {port: 70000}}",
        expect![[r#"
        spec.template.spec.containers[0].readinessProbe.grpc.port: Invalid value: 70000: must be from 1 to 65535
    "#]],
    );
    container(
        "readinessProbe: {httpGet: {}}",
        expect![[r#"
        spec.template.spec.containers[0].readinessProbe.httpGet.port: Required value: needed; give a port, or the name of one
    "#]],
    );
}

#[test]
fn a_hook_has_one_handler() {
    container(
        "lifecycle: {postStart: {}, preStop: {exec: {command: [a]}, sleep: {seconds: 1}}}",
        expect![[r#"
            spec.template.spec.containers[0].lifecycle.postStart: Required value: needed: one handler; give exec, httpGet, tcpSocket or sleep
            spec.template.spec.containers[0].lifecycle.preStop.sleep: Forbidden: there may be one handler only; remove the others
        "#]],
    );
    container(
        "lifecycle: {postStart: {sleep: {seconds: -1}}, preStop: {sleep: {seconds: 31}}}",
        expect![[r#"
        spec.template.spec.containers[0].lifecycle.postStart.sleep.seconds: Invalid value: -1: must be from 0 to terminationGracePeriodSeconds, 30
        spec.template.spec.containers[0].lifecycle.preStop.sleep.seconds: Invalid value: 31: must be from 0 to terminationGracePeriodSeconds, 30
    "#]],
    );
}

#[test]
fn words_are_those_there_are() {
    container(
        "{imagePullPolicy: Sometimes, terminationMessagePolicy: Logs}",
        expect![[r#"
            spec.template.spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"
            spec.template.spec.containers[0].terminationMessagePolicy: Unsupported value: "Logs": supported values: "File", "FallbackToLogsOnError"
        "#]],
    );
}
