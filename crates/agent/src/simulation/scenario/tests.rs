//! What scenarios say, and what is told of those that are wrong.

use super::*;
use expect_test::{Expect, expect};

fn check(text: &str, expected: Expect) {
    let now = Timestamp::from_millisecond(1_800_000_000_123).unwrap();
    let said = match Scenario::read(text, now, None) {
        Ok(scenario) => format!("{scenario:#?}\n"),
        Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
    };
    expected.assert_eq(&said);
}

#[test]
fn a_scenario_may_say_nothing() {
    check(
        "{}",
        expect![[r#"
            Scenario {
                start: 2027-01-15T08:00:00Z,
                until: None,
                seed: 0,
                node: NodeSpec {
                    name: "edge-1",
                    cpu_millis: 2000,
                    memory_bytes: 1073741824,
                    pods: 110,
                    time_zone: "UTC",
                    labels: {},
                },
                images: None,
                objects: [],
                rules: [],
                actions: [],
            }
        "#]],
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    check(
        "
start: yesterday
until: 5
seed: x
nodes: {}
node: {name: Edge, cpu: lots, memory: -1, pods: 1.5, timeZone: ../x, labels: {a b: c, d: 1}}
images: [busybox, 'A B', 3]
objects: {}
guests:
- {match: {job: 'a*b', index: -1, pod: 0, start: one, hook: boot, kontainer: c}, run: 5x, exit: 256, stop: 3s}
- run: 5s
  exit: kill
  stop: {after: -1s, exit: -1}
actions:
- {apply: {}}
- {at: 1s}
- {at: 1s, crash: {for: 1s}, clock: {step: 1s}}
- {at: -1s, patch: {kind: Node, name: a}}
- {at: 1s, delete: {pod: {job: a}, name: b, propagation: Sideways, gracePeriodSeconds: -1}}
- {at: 1s, trigger: {cronJob: c}}
- {at: 1s, crash: {}}
- {at: 1s, clock: {step: back}}
- {at: 1s, condition: {type: '', status: Maybe}}
- {at: 1s, add-image: '', ownedBy: {}}
- {at: 1s, apply: {kind: CronJob}, ownedBy: {kind: Pod}}
- 7
",
        expect![[r#"
            nodes: unknown field; did you mean `node`?
            start: `yesterday` must be an instant in RFC 3339, such as `2026-03-08T06:00:00Z`
            until: expected a duration such as `90s` or `1h30m`, got the number 5
            seed: expected a whole number, got the string "x"
            node.name: `Edge` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
            node.cpu: `lots` is no quantity; write a number and perhaps a suffix, as in `500m`, `2`, `128Mi` or `1e3`
            node.memory: -1 must not be negative
            node.pods: expected a whole number, got the number 1.5
            node.timeZone: `../x` must be the name of a time zone, such as `Europe/Berlin` or `UTC`
            node.labels: `a b` must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
            node.labels[d]: expected a string, got the number 1
            images[1]: `A B` must be a name such as `hello`, `hello:1.2` or `example.com/team/hello` in lower-case letters, digits, `.`, `_` and `-`, or `sha256:` and 64 hexadecimal digits; a path to a file is pushed by `wick apply`, or by `wick image push FILE NAME`
            images[2]: expected a string, got the number 3
            objects: expected a list, got a map
            guests[0].run: `5x` must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
            guests[0].exit: 256 must be from 0 to 255, or one of `trap`, `oom`, `fuel` and `refused`
            guests[0].stop: expected a map, got the string "3s"
            guests[0].match.kontainer: unknown field; did you mean `container`?
            guests[0].match.job: `a*b` must be a name, or how one begins and a `*` at the end
            guests[0].match.index: -1 must be from 0 to 2147483647
            guests[0].match.pod: 0 must be from 1 to 4294967295
            guests[0].match.start: expected a whole number, got the string "one"
            guests[0].match.hook: `boot` is not one of `liveness`, `readiness`, `startup`, `postStart` or `preStop`
            guests[1].exit: `kill` must be from 0 to 255, or one of `trap`, `oom`, `fuel` and `refused`
            guests[1].stop.after: `-1s` must not be negative
            guests[1].stop.exit: -1 must be from 0 to 255, or one of `trap`, `oom`, `fuel` and `refused`
            actions[0].at: needed; say when, such as `30s`
            actions[1]: nothing is done; give one of `apply`, `patch`, `delete`, `trigger`, `crash`, `clock`, `add-image`, `remove-image`, `remove-zone`, `condition`
            actions[2]: `crash` and `clock` are two actions; make them two
            actions[3].at: `-1s` must not be negative
            actions[3].patch.kind: `Node` is not one of `Job`, `CronJob` or `Pod`
            actions[3].patch.merge: needed; say what changes
            actions[4].delete.propagation: `Sideways` is not one of `Background`, `Foreground` or `Orphan`
            actions[4].delete.gracePeriodSeconds: -1 must be from 0 to 2147483647
            actions[4].delete.name: `pod` says already which object is meant
            actions[4].delete.pod.nth: needed; the first is 1
            actions[5].trigger.name: needed
            actions[6].crash.for: needed; say how long the agent is down, such as `20s`
            actions[7].clock.step: `back` must be a duration such as `90s`, `1h30m` or `250ms`, in `d`, `h`, `m`, `s` and `ms`
            actions[8].condition.pod: needed; say which, such as `{job: a, nth: 1}`
            actions[8].condition.type: needed; it is empty
            actions[8].condition.status: `Maybe` is not one of `True`, `False` or `Unknown`
            actions[9].ownedBy: only `apply` can say who owns the object
            actions[9].add-image: needed; it is empty
            actions[10].ownedBy.kind: `Pod` is not one of `Job` or `CronJob`
            actions[10].ownedBy.name: needed
            actions[11]: expected a map, got the number 7
        "#]],
    );
}

#[test]
fn what_cannot_be_read_at_all_is_told_with_its_place() {
    check(
        "a: [",
        expect![[r#"
        line 1, column 4: unclosed bracket '['
    "#]],
    );
    check(
        "",
        expect![[r#"
        the scenario is empty; it needs at least `objects`
    "#]],
    );
    check(
        "{}\n---\n{}\n---\na: 1\n",
        expect![[r#"
        a scenario is one document, and in line 3 a second one starts
    "#]],
    );
    check(
        "[]",
        expect![[r#"
        expected a map, got a list
    "#]],
    );
    check(
        "{start: 1, start: 2}",
        expect![[r#"
        line 1, column 12: the key `start` is given twice; keep one of them
    "#]],
    );
    check(
        "objects: [{kind: CronJob}]",
        expect![[r#"
        until: needed where there is a CronJob: it never ends by itself
    "#]],
    );
}

#[test]
fn actions_come_in_the_order_of_their_times() {
    check(
        "
start: 2026-03-08T06:00:00Z
actions:
- {at: 10s, add-image: b}
- {at: 2026-03-08T06:00:05Z, remove-zone: Europe/Berlin}
- {at: 10s, remove-image: b}
- {at: 2026-03-08T05:59:59Z, add-image: c}
",
        expect![[r#"
            actions[3].at: `2026-03-08T05:59:59Z` must not be before the start, 2026-03-08T06:00:00Z
        "#]],
    );
}
