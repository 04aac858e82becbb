use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::pb::k8s::batch::v1::Job;
use crate::yaml;

const JOB: &str = "
apiVersion: batch/v1
kind: Job
metadata: {name: hello, labels: {app: x, tier: edge}, finalizers: [one, two]}
spec:
  parallelism: 2
  template:
    spec:
      restartPolicy: Never
      volumes:
      - {name: data, emptyDir: {}}
      - {name: more, emptyDir: {}}
      containers:
      - name: main
        image: hello:1
        args: [a, b]
        env: [{name: A, value: '1'}, {name: B, value: '2'}, {name: C, value: '3'}]
      - {name: second, image: second:1}
status: {active: 2}
";

#[test]
fn a_merge_patch_replaces_and_removes() {
    let kind = PatchKind::Merge;
    check(
        kind,
        "{metadata: {labels: {tier: null, zone: a}}, spec: {parallelism: 5, suspend: true}}",
        "/metadata/labels /spec/parallelism /spec/suspend",
        expect![[r#"
            /metadata/labels: {"app":"x","zone":"a"}
            /spec/parallelism: 5
            /spec/suspend: true
        "#]],
    );
    // A list is replaced whole.
    check(
        kind,
        r#"{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"hello:2"}]}}}}"#,
        "/spec/template/spec/containers",
        expect![[r#"
            /spec/template/spec/containers: [{"name":"main","image":"hello:2"}]
        "#]],
    );
}

#[test]
fn a_strategic_patch_merges_lists_by_name() {
    let kind = PatchKind::Strategic;
    check(
        kind,
        "spec: {template: {spec: {containers: [{name: main, image: hello:2, args: [c], env: [{name: B, value: 'two'}, {name: D, value: '4'}]}]}}}",
        "/spec/template/spec/containers",
        expect![[r#"
            /spec/template/spec/containers: [{"name":"main","image":"hello:2","args":["c"],"env":[{"name":"A","value":"1"},{"name":"B","value":"two"},{"name":"D","value":"4"},{"name":"C","value":"3"}]},{"name":"second","image":"second:1"}]
        "#]],
    );
    check(
        kind,
        "metadata: {finalizers: [three, one]}",
        "/metadata/finalizers",
        expect![[r#"
            /metadata/finalizers: ["three","one","two"]
        "#]],
    );
}

#[test]
fn directives_delete_replace_and_order() {
    let kind = PatchKind::Strategic;
    let env = |patch: &str, wanted: Expect| {
        let patch = format!("spec: {{template: {{spec: {{containers: [{{name: main, {patch}}}]}}}}}}");
        check(kind, &patch, "/spec/template/spec/containers/0/env", wanted);
    };
    env(
        "env: [{name: B, $patch: delete}]",
        expect![[r#"
        /spec/template/spec/containers/0/env: [{"name":"A","value":"1"},{"name":"C","value":"3"}]
    "#]],
    );
    env(
        "env: [{$patch: replace}, {name: Z, value: z}]",
        expect![[r#"
        /spec/template/spec/containers/0/env: [{"name":"Z","value":"z"}]
    "#]],
    );
    env(
        "env: [{name: B, value: null, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
        expect![[r#"
        /spec/template/spec/containers/0/env: [{"name":"A","value":"1"},{"name":"B","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}},{"name":"C","value":"3"}]
    "#]],
    );
    env(
        "$setElementOrder/env: [{name: C}, {name: A}]",
        expect![[r#"
        /spec/template/spec/containers/0/env: [{"name":"B","value":"2"},{"name":"C","value":"3"},{"name":"A","value":"1"}]
    "#]],
    );
    env(
        "env: [{name: A, value: one}], $setElementOrder/env: [{name: A}, {name: B}]",
        expect![[r#"
        /spec/template/spec/containers/0/env: [{"name":"A","value":"one"},{"name":"B","value":"2"},{"name":"C","value":"3"}]
    "#]],
    );
    env(
        "env: [{name: A, value: one, $patch: merge}]",
        expect![[r#"
        /spec/template/spec/containers/0/env: [{"name":"A","value":"one"},{"name":"B","value":"2"},{"name":"C","value":"3"}]
    "#]],
    );
    // What kubectl sent for a container that was given another name.
    check(
        kind,
        r#"{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"c9"},{"name":"second"}],"containers":[{"name":"c9","image":"i"},{"$patch":"delete","name":"main"}]}}}}"#,
        "/spec/template/spec/containers",
        expect![[r#"
            /spec/template/spec/containers: [{"name":"c9","image":"i"},{"name":"second","image":"second:1"}]
        "#]],
    );
    // And for a volume of another type.
    check(
        kind,
        r#"{"spec":{"template":{"spec":{"$setElementOrder/volumes":[{"name":"more"},{"name":"data"}],"volumes":[{"$retainKeys":["name","hostPath"],"name":"data","hostPath":{"path":"/srv"}}]}}}}"#,
        "/spec/template/spec/volumes",
        expect![[r#"
            /spec/template/spec/volumes: [{"name":"more","emptyDir":{}},{"name":"data","hostPath":{"path":"/srv"}}]
        "#]],
    );
    check(
        kind,
        "metadata: {labels: {$patch: replace, b: c}, $deleteFromPrimitiveList/finalizers: [one]}",
        "/metadata/labels /metadata/finalizers",
        expect![[r#"
            /metadata/labels: {"b":"c"}
            /metadata/finalizers: ["two"]
        "#]],
    );
    check(
        kind,
        "metadata: {labels: {$patch: delete}}",
        "/metadata/labels",
        expect![[r#"
        /metadata/labels: nothing
    "#]],
    );
}

#[test]
fn a_broken_strategic_patch_says_where() {
    let kind = PatchKind::Strategic;
    check(
        kind,
        "spec: {template: {spec: {containers: [{image: x}]}}}",
        "",
        expect![[r#"
        patch.spec.template.spec.containers[0].name: needed: elements of this list are told apart by their `name`
    "#]],
    );
    check(
        kind,
        "spec: {template: {spec: {containers: [x]}}}",
        "",
        expect![[r#"
        patch.spec.template.spec.containers[0]: expected a map with `name`
    "#]],
    );
    check(
        kind,
        "spec: {$patch: remove}",
        "",
        expect![[r#"
        patch.spec.$patch: `remove` is not one of `delete`, `replace` or `merge`
    "#]],
    );
    check(
        kind,
        "spec: {$retainKeys: [parallelism], suspend: true}",
        "",
        expect![[r#"
        patch.spec.$retainKeys: `suspend` is given, and is not among them
    "#]],
    );
    check(
        kind,
        "metadata: {$setElementOrder/finalizers: one}",
        "",
        expect![[r#"
        patch.metadata.$setElementOrder/finalizers: expected a list
    "#]],
    );
}

#[test]
fn operations_are_done_in_order() {
    let kind = PatchKind::Json;
    check(
        kind,
        r#"[{"op":"test","path":"/spec/parallelism","value":2.0},
            {"op":"replace","path":"/spec/parallelism","value":7},
            {"op":"add","path":"/spec/template/spec/containers/0/args/1","value":"c"},
            {"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"d"},
            {"op":"copy","from":"/metadata/labels/app","path":"/metadata/labels/example.com~1app"},
            {"op":"move","from":"/metadata/labels/tier","path":"/metadata/labels/level"},
            {"op":"remove","path":"/metadata/finalizers/0"},
            {"op":"test","path":"/spec/suspend","value":null}]"#,
        "/spec/parallelism /spec/template/spec/containers/0/args /metadata/labels /metadata/finalizers",
        expect![[r#"
            /spec/parallelism: 7
            /spec/template/spec/containers/0/args: ["a","c","b","d"]
            /metadata/labels: {"app":"x","example.com/app":"x","level":"edge"}
            /metadata/finalizers: ["two"]
        "#]],
    );
}

#[test]
fn an_operation_that_cannot_be_done_says_why() {
    let fails =
        |operation: &str, wanted: Expect| check(PatchKind::Json, &format!("[{operation}]"), "", wanted);
    fails(
        "{op: replace, path: /spec/suspend, value: true}",
        expect![[r#"
        patch[0].path: `/spec/suspend` is not there: `/spec` has parallelism, template; `add` makes it
    "#]],
    );
    fails(
        "{op: add, path: /metadata/annotations/a, value: b}",
        expect![[r#"
        patch[0].path: `/metadata/annotations/a` is not there: `/metadata` has name, labels, finalizers; `add` `/metadata/annotations` first
    "#]],
    );
    fails(
        "{op: remove, path: /metadata/finalizers/7}",
        expect![[r#"
        patch[0].path: `/metadata/finalizers/7` is not there: `/metadata/finalizers` is a list, with 0 to 1
    "#]],
    );
    fails(
        "{op: add, path: /metadata/finalizers/3, value: x}",
        expect![[r#"
        patch[0].path: `/metadata/finalizers/3`: `3` is no place in a list of 2; give 0 to 2, or `-` for its end
    "#]],
    );
    fails(
        "{op: add, path: /spec/parallelism/x, value: 1}",
        expect![[r#"
        patch[0].path: `/spec/parallelism` is 2, and has nothing in it
    "#]],
    );
    fails(
        "{op: test, path: /spec/parallelism, value: 3}",
        expect![[r#"
        patch[0].value: `/spec/parallelism` is 2, not 3
    "#]],
    );
    fails(
        "{op: test, path: /spec/suspend, value: true}",
        expect![[r#"
        patch[0].path: `/spec/suspend` is not there: `/spec` has parallelism, template
    "#]],
    );
    fails(
        "{op: move, from: /spec, path: /spec/template/x}",
        expect![[r#"
        patch[0].path: `/spec` cannot be moved into itself
    "#]],
    );
    fails(
        "{op: copy, from: /nothing, path: /spec}",
        expect![[r#"
        patch[0].from: `/nothing` is not there: the object has apiVersion, kind, metadata, spec, status
    "#]],
    );
    fails(
        "{op: set, path: /spec}",
        expect![[r#"
        patch[0].op: `set` is none; there are add, remove, replace, move, copy and test
    "#]],
    );
    fails(
        "{op: add, path: /spec}",
        expect![[r#"
        patch[0].value: needed by `add`; it may be null
    "#]],
    );
    fails(
        "{op: remove}",
        expect![[r#"
        patch[0].path: needed, such as `/spec/parallelism`
    "#]],
    );
    fails(
        "{op: remove, path: spec}",
        expect![[r#"
        patch[0].path: `spec` does not begin with `/`; for instance `/spec/parallelism`
    "#]],
    );
    fails(
        "{path: /spec}",
        expect![[r#"
        patch[0].op: needed; there are add, remove, replace, move, copy and test
    "#]],
    );
    fails(
        "remove",
        expect![[r#"
        patch[0]: expected an operation, such as `{"op":"remove","path":"/spec/suspend"}`
    "#]],
    );
}

#[test]
fn what_comes_of_a_patch_is_read_as_strictly_as_a_manifest() {
    for kind in [PatchKind::Merge, PatchKind::Strategic] {
        check(
            kind,
            "{spec: {paralelism: 3, backoffLimit: many}}",
            "",
            expect![[r#"
            spec.paralelism: unknown field; did you mean `parallelism`?
            spec.backoffLimit: expected a whole number, got the string "many"
        "#]],
        );
        check(
            kind,
            "{kind: CronJob}",
            "",
            expect![[r#"
            kind: "CronJob" is not `Job`; a patch cannot change it
        "#]],
        );
    }
    check(
        PatchKind::Json,
        "[{op: replace, path: '', value: [1]}]",
        "",
        expect![[r#"
        expected a map, got a list
    "#]],
    );
    check(
        PatchKind::Json,
        "[{op: remove, path: ''}]",
        "",
        expect![[r#"
        expected a map, got nothing
    "#]],
    );
}

#[test]
fn what_is_no_patch_says_what_one_is() {
    check(
        PatchKind::Merge,
        "[]",
        "",
        expect![[r#"
        patch: expected a map, got a list; a list of operations is a JSON patch
    "#]],
    );
    check(
        PatchKind::Json,
        "{}",
        "",
        expect![[r#"
        patch: expected a list of operations, got a map; a map is a merge patch
    "#]],
    );
    check(
        PatchKind::Strategic,
        "3",
        "",
        expect![[r#"
        patch: expected a map, such as `{"spec":{"suspend":true}}`
    "#]],
    );
    check(
        PatchKind::Strategic,
        "",
        "",
        expect![[r#"
        patch: needed; there is nothing in it
    "#]],
    );
    check(
        PatchKind::Strategic,
        "{",
        "",
        expect![[r#"
            patch: line 1, column 1: unclosed bracket '{'
        "#]],
    );
    check(
        PatchKind::Strategic,
        "{\"a\": {\"b\": 1, \"b\": 2}}",
        "",
        expect![[r#"
        patch.a.b: given twice; keep one of them
    "#]],
    );
    check(
        PatchKind::Merge,
        "a: 1\n---\nb: 2",
        "",
        expect![[r#"
        patch: expected one document, got several
    "#]],
    );
    check(
        PatchKind::Merge,
        &format!("a: {}", "x".repeat(PATCH_MAX)),
        "",
        expect![[r#"
        patch: 1572867 bytes are too many; the most is 1572864
    "#]],
    );
}

#[test]
fn a_short_patch_makes_no_huge_object() {
    let doubled = |what: &str| {
        let mut operations = vec![json!({"op": "add", "path": "/spec/x", "value": vec!["abcdefgh"; 64]})];
        let to = if what == "depth" { "/spec/x/0" } else { "/spec/x/-" };
        operations.resize(200, json!({"op": "copy", "from": "/spec/x", "path": to}));
        json!(operations).to_string()
    };
    check(
        PatchKind::Json,
        &doubled("width"),
        "",
        expect![[r#"
            patch[13]: the operations copy and move more than 3145728 bytes, the most
        "#]],
    );
    check(
        PatchKind::Json,
        &doubled("depth"),
        "",
        expect![[r#"
            patch[13]: the operations copy and move more than 3145728 bytes, the most
        "#]],
    );
    let mut operations = vec![json!({"op": "add", "path": "/spec/x", "value": {}})];
    for n in 0..200 {
        operations.push(json!({"op": "add", "path": format!("/spec/x{}", "/x".repeat(n + 1)), "value": {}}));
    }
    check(
        PatchKind::Json,
        &json!(operations).to_string(),
        "",
        expect![[r#"
        patch[62].path: nested deeper than 64, the most
    "#]],
    );
    let many = json!(vec![json!({"op": "remove", "path": "/a"}); OPERATIONS_MAX + 1]).to_string();
    check(
        PatchKind::Json,
        &many,
        "",
        expect![[r#"
        patch: 10001 are too many; the most is 10000
    "#]],
    );
}

#[test]
fn a_patch_about_the_version_is_known() {
    let looks = |kind, text: &str| Patch::parse(kind, text).unwrap().looks_at_version();
    assert!(looks(PatchKind::Merge, "metadata: {resourceVersion: '7'}"));
    assert!(!looks(PatchKind::Strategic, "metadata: {labels: {a: b}}"));
    assert!(looks(PatchKind::Json, "[{op: test, path: /metadata/resourceVersion, value: '7'}]"));
    assert!(looks(PatchKind::Json, "[{op: test, path: /status/active, value: 7}]"));
    assert!(!looks(PatchKind::Json, "[{op: test, path: /spec/parallelism, value: 7}]"));
}

/// Applies `patch` to the Job and shows what is at `pointers` then, or what was wrong.
fn check(kind: PatchKind, patch: &str, pointers: &str, wanted: Expect) {
    let job: Job = json::from_node(&yaml::read(JOB).unwrap()[0].node).unwrap();
    let said = match Patch::parse(kind, patch).and_then(|patch| patch.apply(&job)) {
        Ok(patched) => {
            let object = json::to_json(&patched);
            let at = |pointer: &str| object.pointer(pointer).map_or("nothing".to_owned(), Value::to_string);
            pointers.split_whitespace().map(|pointer| format!("{pointer}: {}\n", at(pointer))).collect()
        }
        Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect::<String>(),
    };
    wanted.assert_eq(&said);
}
