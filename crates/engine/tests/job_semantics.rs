//! Jobs as Kubernetes means them, told second by second: the real engine, a clock that is told the time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod common;

use common::{Node, manifest};
use expect_test::{Expect, expect};
use sched::Exit;

/// A Job `job` of image `hello`, and what is told of it.
struct Story {
    node: Node,
    start: i64,
    text: String,
    told: String,
}

impl Story {
    fn of(spec: &str, restart_policy: &str) -> Story {
        let mut node = Node::new();
        node.push_image("hello");
        let start = node.now;
        node.create(&manifest(spec, restart_policy)).unwrap();
        let mut story = Story { node, start, text: String::new(), told: String::new() };
        story.tell();
        story
    }

    /// Says how the Job stands, if that changed.
    fn tell(&mut self) {
        let now = stands(&mut self.node);
        if now != self.told {
            self.text += &format!("{:<4}{now}\n", (self.node.now - self.start) / 1000);
            self.told = now;
        }
    }

    /// Nothing happens but what is due.
    fn until(&mut self, second: i64) -> &mut Story {
        let end = self.start + second * 1000;
        while let Some(at) = self.node.engine().next_wake().filter(|at| at.0 <= end) {
            self.node.wait((at.0 - self.node.now).max(0));
            self.tell();
        }
        self.node.wait(end - self.node.now);
        self
    }

    /// At that second the guests of these Pods (`0` is the first of an Indexed Job, else the oldest) end so.
    fn end(&mut self, second: i64, pods: &[usize], code: u8) -> &mut Story {
        self.until(second);
        let running: Vec<_> = self.node.running.values().map(|start| (place(start), start.guest)).collect();
        for pod in pods {
            let (_, guest) = *running
                .iter()
                .find(|(place, _)| place.unwrap_or(usize::MAX) == *pod)
                .unwrap_or_else(|| &running[*pod]);
            self.node.end(guest, Exit::Code(code));
        }
        self.tell();
        self
    }

    fn check(&mut self, expected: Expect) {
        expected.assert_eq(&self.text);
    }
}

/// The index in the name of a Pod of an Indexed Job.
fn place(start: &engine::StartGuest) -> Option<usize> {
    start.pod.strip_prefix("job-")?.split_once('-')?.0.parse().ok()
}

/// `active/ready terminating succeeded+/failed-`, indexes, conditions with their reasons, Pods by phase.
fn stands(node: &mut Node) -> String {
    let Some(job) = node.job("job") else { return "gone".to_owned() };
    let status = job.status.unwrap();
    let mut text = format!(
        "active {} terminating {} {}+/{}-",
        status.active,
        status.terminating.unwrap_or(0),
        status.succeeded,
        status.failed
    );
    if !status.completed_indexes.is_empty() {
        text += &format!(" completed {}", status.completed_indexes);
    }
    if let Some(failed) = status.failed_indexes.filter(|failed| !failed.is_empty()) {
        text += &format!(" failed {failed}");
    }
    for condition in &status.conditions {
        let not = if condition.status == "True" { "" } else { "not " };
        text += &format!(" {not}{}({})", condition.r#type, condition.reason);
    }
    text
}

#[test]
fn an_index_that_always_fails_fails_the_job_when_the_others_are_done() {
    let mut story = Story::of(
        "completions: 3, parallelism: 3, completionMode: Indexed, backoffLimitPerIndex: 1, backoffLimit: 1000",
        "Never",
    );
    story.end(1, &[1], 1).end(12, &[1], 1).end(20, &[0], 0).end(21, &[2], 0).until(100).check(expect![[r#"
        0   active 3 terminating 0 0+/0-
        1   active 2 terminating 0 0+/0-
        11  active 3 terminating 0 0+/1-
        12  active 2 terminating 0 0+/2- failed 1
        20  active 1 terminating 0 1+/2- completed 0 failed 1
        21  active 0 terminating 0 2+/2- completed 0,2 failed 1 FailureTarget(FailedIndexes) Failed(FailedIndexes)
    "#]]);
}
