//! What the agent asks of the kernel, seen by strace.

use std::fs;
use std::process::{Command, Stdio};

use wick_tests::{Node, programs};

/// Whether strace is there and may trace.
fn can_trace() -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn the_store_never_relies_on_sync_file_range() {
    if !can_trace() {
        assert!(std::env::var_os("CI").is_none(), "strace is not there, or may not trace; CI needs it");
        eprintln!("skipped: strace is not there, or may not trace; install it to have this checked");
        return;
    }
    let mut node = Node::off(&[]);
    let trace = node.path().join("trace");
    let calls = "trace=sync_file_range,fsync,fdatasync";
    // With -D the process that is started is the agent itself, and strace looks on.
    node.wrap(&["strace", "-D", "-f", "-qq", "-e", calls, "-o", trace.to_str().unwrap()]);
    node.boot();
    node.apply_file(&programs::example("hello/job.yaml"));
    node.apply_file(&programs::example("flaky/job.yaml"));
    node.complete("hello");
    node.complete("flaky");
    node.done(&["delete", "job/hello", "job/flaky"]);
    node.stop();
    let trace = fs::read_to_string(&trace).unwrap();
    assert!(
        trace.contains("fsync(") || trace.contains("fdatasync("),
        "nothing was synced, or seen:\n{trace}"
    );
    let lines: Vec<&str> = trace.lines().filter(|line| line.contains("sync_file_range")).collect();
    assert!(lines.is_empty(), "the override of sync_file_range is not in effect:\n{}", lines.join("\n"));
}
