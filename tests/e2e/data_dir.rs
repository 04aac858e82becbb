//! A data directory or a socket that an agent must not use: it says so, exits non-zero, and touches nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use expect_test::{Expect, expect};
use wick_tests::{Node, manifest, plain};

/// Every file below `dir` with its bytes, and every directory with none.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            if kind.is_dir() {
                found.insert(name + "/", Vec::new());
                dirs.push(path);
            } else if kind.is_file() {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Boots a node that must not start: what it says, and that its data is as it was.
fn check(node: &mut Node, code: i32, wanted: Expect) {
    let before = node.data().is_dir().then(|| contents(&node.data()));
    let not_ready = node.try_boot().expect_err("the agent must not start");
    wanted.assert_eq(&not_ready.words().replace(node.path().to_str().unwrap(), "DIR"));
    assert_eq!(not_ready.code, Some(code));
    assert_eq!(node.data().is_dir().then(|| contents(&node.data())), before, "the data was touched");
}

/// A node that was used and stopped, so that there is something to be touched.
fn used() -> Node {
    let mut node = Node::start();
    let mut job = manifest::job("kept", "nothing");
    job["spec"]["parallelism"] = 0.into();
    node.apply(&job);
    node.stop();
    node
}

#[test]
fn a_newer_format_is_left_to_the_newer_agent() {
    let mut node = used();
    fs::write(node.data().join("format"), "wick data directory, format 99\n").unwrap();
    check(
        &mut node,
        1,
        expect![[r#"
        error: data directory `DIR/data` has format 99; this wickd reads 1: use the newer wickd
    "#]],
    );
    fs::write(node.data().join("format"), "wick data directory, format 1\n").unwrap();
    node.boot();
    assert_eq!(node.done(&["get", "jobs", "-o", "name"]), "job.batch/kept\n");
}

#[test]
fn a_format_that_is_missing_or_unknown_is_not_guessed() {
    let mut node = used();
    fs::write(node.data().join("format"), "ext4\n").unwrap();
    check(
        &mut node,
        1,
        expect![[r#"
        error: data directory `DIR/data` says a format nobody ever wrote: put back the file `format` from the backup the rest is from, or name an empty directory
    "#]],
    );
    fs::remove_file(node.data().join("format")).unwrap();
    check(
        &mut node,
        1,
        expect![[r#"
        error: data directory `DIR/data` has a store in it but does not say of which format: put back the file `format` from the backup the rest is from, or name an empty directory
    "#]],
    );
}

#[test]
fn a_directory_in_use_is_left_to_whoever_uses_it() {
    let first = Node::start();
    let mut second = Node::off(&[]);
    second.use_data(first.data());
    let not_ready = second.try_boot().expect_err("the directory is in use");
    let stderr = not_ready
        .words()
        .replace(first.path().to_str().unwrap(), "DIR")
        .replace(&first.pid().to_string(), "PID");
    expect![[r#"
        error: data directory `DIR/data` is in use by another wickd (pid PID)
    "#]]
    .assert_eq(&stderr);
    assert_eq!(not_ready.code, Some(1));
    assert_eq!(first.wick(&["get", "jobs"]).code, 0, "the first agent was disturbed");
    assert_eq!(fs::read_to_string(first.data().join("lock")).unwrap(), format!("{}\n", first.pid()));
    assert!(!second.socket().exists());
}

#[test]
fn a_file_is_no_data_directory() {
    let mut node = Node::off(&[]);
    fs::write(node.data(), "mine").unwrap();
    check(
        &mut node,
        1,
        expect![[r#"
        error: data directory `DIR/data` is not a directory: name one, or a path where one can be made
    "#]],
    );
    assert_eq!(fs::read(node.data()).unwrap(), b"mine");
}

#[test]
fn a_directory_that_cannot_be_used_is_told() {
    let mut node = Node::off(&[]);
    // Nobody can make a directory there, root neither.
    node.use_data("/proc/wick/data");
    check(
        &mut node,
        1,
        expect![[r#"
            error: cannot use data directory `/proc/wick/data`: the user wickd runs as must be able to create it: No such file or directory (os error 2)
        "#]],
    );
}

#[test]
fn a_directory_that_cannot_be_read_is_told() {
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: root may read everything; run the tests as somebody else to have this checked");
        return;
    }
    let mut node = used();
    let before = contents(&node.data());
    fs::set_permissions(node.data(), fs::Permissions::from_mode(0o000)).unwrap();
    let not_ready = node.try_boot().expect_err("the directory cannot be read");
    fs::set_permissions(node.data(), fs::Permissions::from_mode(0o700)).unwrap();
    let words = not_ready.words();
    let wanted =
        "error: cannot use data directory `DIR/data`: the user wickd runs as must be able to read its files";
    assert!(words.replace(node.path().to_str().unwrap(), "DIR").starts_with(wanted), "{words}");
    assert_eq!(not_ready.code, Some(1));
    assert_eq!(contents(&node.data()), before, "the data was touched");
}

#[test]
fn a_store_that_lost_its_newest_records_is_not_opened() {
    let mut node = used();
    let store = node.data().join("store");
    fs::remove_dir_all(&store).unwrap();
    // The lock says who had it last, and is no data.
    let without_lock = |mut contents: BTreeMap<String, Vec<u8>>| {
        contents.remove("lock");
        contents
    };
    let before = without_lock(contents(&node.data()));
    let not_ready = node.try_boot().expect_err("the agent must not start");
    expect![[r#"
        error: store `DIR/data/store` is refused: it is missing, but revision VERSION was acknowledged; nothing was changed; put a backup of the whole data directory in place, or delete `DIR/data/watermark` to start empty
        hint: `wickd store check DIR/data` tells more and changes nothing; `wickd store set-aside DIR/data` keeps all of it aside, and the next start begins empty
    "#]].assert_eq(&plain(&not_ready.words().replace(node.path().to_str().unwrap(), "DIR"), &[]));
    assert_eq!(not_ready.code, Some(1));
    assert_eq!(without_lock(contents(&node.data())), before, "the data was touched");
}

#[test]
fn a_socket_that_another_agent_answers_is_left_to_it() {
    let mut first = Node::start();
    let mut second = used();
    second.use_socket_of(&first);
    let not_ready = second.try_boot().expect_err("the socket is taken");
    expect![[r#"
        error: another wickd answers on DIR/wick.sock; choose another path with --socket
    "#]]
    .assert_eq(&not_ready.words().replace(first.path().to_str().unwrap(), "DIR"));
    assert_eq!(not_ready.code, Some(1));
    assert_eq!(first.wick(&["get", "jobs"]).code, 0, "the first agent was disturbed");
    first.stop();
    second.boot();
    assert_eq!(second.done(&["get", "jobs", "-o", "name"]), "job.batch/kept\n");
}

#[test]
fn a_file_where_the_socket_should_be_is_not_replaced() {
    let mut node = Node::off(&[]);
    fs::write(node.socket(), "mine").unwrap();
    let not_ready = node.try_boot().expect_err("a file is in the way");
    expect![[r#"
        error: DIR/wick.sock is there and is not a socket; choose another path with --socket
    "#]]
    .assert_eq(&not_ready.words().replace(node.path().to_str().unwrap(), "DIR"));
    assert_eq!(not_ready.code, Some(1));
    assert_eq!(fs::read(node.socket()).unwrap(), b"mine");
}

#[test]
fn a_socket_that_a_killed_agent_left_is_taken_over() {
    let mut node = Node::start();
    node.kill();
    assert!(node.socket().exists(), "a killed agent cannot remove its socket");
    node.boot();
    assert_eq!(node.wick(&["get", "jobs"]).code, 0);
}

#[test]
fn plain_text_is_for_loopback_only() {
    let mut node = Node::off(&["--listen", "0.0.0.0:1"]);
    check(
        &mut node,
        2,
        expect![[r#"
        error: invalid value '0.0.0.0:1' for '--listen <HOST:PORT>': plain text is for loopback only: use 127.0.0.1 or [::1], or the Unix socket

        For more information, try '--help'.
    "#]],
    );
    assert!(!node.data().exists(), "it made its data directory before it refused");
}

#[test]
fn an_address_that_is_taken_is_told() {
    let first = Node::start_with(&["--listen", "127.0.0.1:0"]);
    let mut second = Node::off(&["--listen", first.address()]);
    let not_ready = second.try_boot().expect_err("the address is taken");
    expect![[r#"
        error: cannot listen on ADDRESS: Address already in use (os error 98)
    "#]]
    .assert_eq(&not_ready.words().replace(first.address(), "ADDRESS"));
    assert_eq!(not_ready.code, Some(1));
}
