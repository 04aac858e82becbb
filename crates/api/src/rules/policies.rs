//! What policies for failure and success must be.

use super::row;
use expect_test::{Expect, expect};

/// Rules of a podFailurePolicy.
fn failure(rules: &str, expected: Expect) {
    row(&[&format!("spec: {{podFailurePolicy: {{rules: [{rules}]}}}}")], expected);
}

/// Rules of a successPolicy of a Job with five indexes.
fn success(rules: &str, expected: Expect) {
    let indexed = "spec: {completionMode: Indexed, completions: 5}";
    row(&[indexed, &format!("spec: {{successPolicy: {{rules: [{rules}]}}}}")], expected);
}

#[test]
fn a_policy_has_up_to_twenty_rules() {
    let twenty_one = ["{action: Ignore, onPodConditions: [{type: DisruptionTarget}]}"; 21].join(", ");
    failure(
        &twenty_one,
        expect![[r#"
        spec.podFailurePolicy.rules: Too many: 21: must have at most 20 items
    "#]],
    );
    success(
        &["{succeededCount: 1}"; 21].join(", "),
        expect![[r#"
        spec.successPolicy.rules: Too many: 21: must have at most 20 items
    "#]],
    );
    success(
        "",
        expect![[r#"
        spec.successPolicy.rules: Required value: needed; give at least one rule
    "#]],
    );
}

#[test]
fn a_rule_is_about_exit_codes_or_conditions() {
    failure(
        "{action: Ignore}",
        expect![[r#"
        spec.podFailurePolicy.rules[0]: Invalid value: "": must have onExitCodes or onPodConditions; give one of them
    "#]],
    );
    failure(
        "{action: Ignore, onExitCodes: {operator: In, values: [1]}, onPodConditions: [{type: a}]}",
        expect![[r#"
            spec.podFailurePolicy.rules[0]: Invalid value: "": must have onExitCodes or onPodConditions; remove one of them
        "#]],
    );
}

#[test]
fn a_rule_does_one_of_four_things() {
    let codes = "onExitCodes: {operator: In, values: [1]}";
    failure(
        &format!("{{{codes}}}"),
        expect![[r#"
        spec.podFailurePolicy.rules[0].action: Required value: needed; give Count, FailIndex, FailJob or Ignore
    "#]],
    );
    failure(
        &format!("{{action: Fail, {codes}}}"),
        expect![[r#"
        spec.podFailurePolicy.rules[0].action: Unsupported value: "Fail": supported values: "Count", "FailIndex", "FailJob", "Ignore"
    "#]],
    );
    failure(
        &format!("{{action: FailIndex, {codes}}}"),
        expect![[r#"
        spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": needs spec.backoffLimitPerIndex to be given
    "#]],
    );
}

#[test]
fn exit_codes_are_ascending_and_unlike_zero() {
    failure(
        "{action: FailJob, onExitCodes: {values: [1]}}",
        expect![[r#"
        spec.podFailurePolicy.rules[0].onExitCodes.operator: Required value: needed; give In or NotIn
    "#]],
    );
    failure(
        "{action: FailJob, onExitCodes: {operator: Like, values: [1]}}",
        expect![[r#"
        spec.podFailurePolicy.rules[0].onExitCodes.operator: Unsupported value: "Like": supported values: "In", "NotIn"
    "#]],
    );
    failure(
        "{action: FailJob, onExitCodes: {operator: In, containerName: other, values: [1]}}",
        expect![[r#"
        spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: "other": must be a container of the template
    "#]],
    );
    failure(
        "{action: FailJob, onExitCodes: {operator: In, containerName: main, values: []}}",
        expect![[r#"
        spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: "": must have at least one exit code
    "#]],
    );
    failure(
        "{action: FailJob, onExitCodes: {operator: In, values: [3, 1]}}",
        expect![[r#"
        spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: "": must be in ascending order
    "#]],
    );
    failure(
        "{action: FailJob, onExitCodes: {operator: In, values: [0, 1, 1]}}",
        expect![[r#"
        spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: is success, which no rule is about; remove it
        spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 1
    "#]],
    );
    failure("{action: FailJob, onExitCodes: {operator: NotIn, values: [-1, 0]}}", expect![""]);
    let values: Vec<_> = (1..=256).map(|code| code.to_string()).collect();
    failure(
        &format!("{{action: FailJob, onExitCodes: {{operator: In, values: [{}]}}}}", values.join(", ")),
        expect![[r#"
            spec.podFailurePolicy.rules[0].onExitCodes.values: Too many: 256: must have at most 255 items
        "#]],
    );
}

#[test]
fn conditions_have_a_type_and_a_status() {
    failure(
        "{action: Ignore, onPodConditions: [{type: 'a b', status: Maybe}, {type: ''}]}",
        expect![[r#"
        spec.podFailurePolicy.rules[0].onPodConditions[0].type: Invalid value: "a b": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
        spec.podFailurePolicy.rules[0].onPodConditions[0].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"
        spec.podFailurePolicy.rules[0].onPodConditions[1].type: Invalid value: "": must be up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, perhaps after a prefix such as `example.com/`
    "#]],
    );
    let conditions = ["{type: a}"; 21].join(", ");
    failure(
        &format!("{{action: Ignore, onPodConditions: [{conditions}]}}"),
        expect![[r#"
        spec.podFailurePolicy.rules[0].onPodConditions: Too many: 21: must have at most 20 items
    "#]],
    );
}

#[test]
fn success_is_of_indexes() {
    row(
        &["spec: {successPolicy: {rules: [{succeededCount: 1}]}}"],
        expect![[r#"
        spec.successPolicy: Invalid value: "": is for `completionMode: Indexed` only
    "#]],
    );
    success(
        "{}",
        expect![[r#"
        spec.successPolicy.rules[0]: Required value: needed; give succeededIndexes or succeededCount, or both
    "#]],
    );
}

#[test]
fn indexes_are_below_the_completions_and_ascending() {
    for list in ["a", "1,", "5", "0-5", "1,1", "0-0", "2,1", "3-1", "1-2-3", "-1", "1 "] {
        let rules = format!("spec: {{successPolicy: {{rules: [{{succeededIndexes: '{list}'}}]}}}}");
        let errors =
            super::told(&super::changed(&["spec: {completionMode: Indexed, completions: 5}", &rules]));
        let path = "spec.successPolicy.rules[0].succeededIndexes: Invalid value: ";
        assert!(errors.starts_with(path), "`{list}`: {errors}");
    }
    success(
        "{succeededIndexes: '0,2-4,4'}",
        expect![[r#"
        spec.successPolicy.rules[0].succeededIndexes: Invalid value: "0,2-4,4": must have each index once, in ascending order, unlike 4
    "#]],
    );
    success(
        "{succeededIndexes: '3-7'}",
        expect![[r#"
        spec.successPolicy.rules[0].succeededIndexes: Invalid value: "3-7": must be below the completions, 5, unlike 7
    "#]],
    );
    success(
        "{succeededIndexes: '1-2-3'}",
        expect![[r#"
        spec.successPolicy.rules[0].succeededIndexes: Invalid value: "1-2-3": must have at most one hyphen in each interval, unlike `1-2-3`
    "#]],
    );
    success(
        "{succeededIndexes: 'one'}",
        expect![[r#"
        spec.successPolicy.rules[0].succeededIndexes: Invalid value: "one": must be indexes and intervals, as in `0,2-5`
    "#]],
    );
    success(
        &format!("{{succeededIndexes: '{}'}}", "0,".repeat(40_000)),
        expect![[r#"
        spec.successPolicy.rules[0].succeededIndexes: Too long: may not be more than 65536 bytes
    "#]],
    );
}

#[test]
fn no_more_are_asked_for_than_there_are() {
    success(
        "{succeededCount: -1}",
        expect![[r#"
        spec.successPolicy.rules[0].succeededCount: Invalid value: -1: is too few; the least is 0
    "#]],
    );
    success(
        "{succeededCount: 6}",
        expect![[r#"
        spec.successPolicy.rules[0].succeededCount: Invalid value: 6: is more than the completions, 5
    "#]],
    );
    success(
        "{succeededCount: 4, succeededIndexes: '0,2-3'}",
        expect![[r#"
        spec.successPolicy.rules[0].succeededCount: Invalid value: 4: is more than the 3 indexes of succeededIndexes
    "#]],
    );
}
