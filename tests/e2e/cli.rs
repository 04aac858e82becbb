//! `wick` as people type it: what it prints, word for word, and its exit codes.

mod changing;
mod cron_jobs;
mod doing;
mod reading;
mod refusing;

use expect_test::Expect;
use wick_tests::{Node, manifest, plain, programs};

/// A node with a Job of each end.
fn busy() -> Node {
    let node = Node::start();
    node.apply(&manifest::job("hello", programs::example("wat/by-hand.wat")));
    node.complete("hello");
    let mut job = manifest::job("bad", programs::own_guest("exit_3"));
    job["metadata"]["labels"] = serde_json::json!({"tier": "edge"});
    node.apply(&job);
    node.failed("bad");
    node
}

/// What `wick` says to a line of words, as on a terminal.
fn said(node: &Node, line: &str) -> String {
    let args: Vec<&str> = line.split(' ').collect();
    let here = |text: &str| text.replace(node.path().to_str().unwrap(), "DIR");
    let said = here(&node.wick(&args).to_string());
    let said = plain(&said, &["hello", "bad", "slow-0", "slow-1", "slow", "waits", "nightly"]);
    format!("$ wick {}\n{said}", here(line))
}

fn check(node: &Node, lines: &[&str], wanted: Expect) {
    wanted.assert_eq(&lines.iter().map(|line| said(node, line)).collect::<Vec<_>>().join("\n"));
}
