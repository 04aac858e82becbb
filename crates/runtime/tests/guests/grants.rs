//! A guest has what it was given and nothing else.

use std::fs;

use expect_test::expect;
use runtime::{Exit, Mount, Stream};

use crate::world::{World, line, module};

/// Prints the NUL-separated strings that `$sizes` and `$get` hand out.
fn echo(what: &str) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "{what}_sizes_get" (func $sizes (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "{what}_get" (func $get (param i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "_start")
                (drop (call $sizes (i32.const 16) (i32.const 4)))
                (drop (call $get (i32.const 256) (i32.const 4096)))
                (i32.store (i32.const 0) (i32.const 4096))
                (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    )
}

/// Opens `file` in the `fd`-th descriptor, creating it, and exits with the error's number.
fn create(fd: u32, file: &str) -> String {
    let len = file.len();
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 64) "{file}")
            (func (export "_start")
                (call $exit (call $open (i32.const {fd}) (i32.const 0) (i32.const 64) (i32.const {len})
                    (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 0)))))"#
    )
}

#[test]
fn arguments_and_environment_are_exactly_those_given() {
    let world = World::new();
    let (_, heard) = world.run(&echo("args"), |spec| spec.args = vec!["hello".into(), "two words".into()]);
    assert_eq!(heard.on(Stream::Stdout), "hello\0two words\0");
    let (_, heard) = world.run(&echo("environ"), |spec| {
        spec.env = vec![("A".into(), "1".into()), ("B".into(), "x=y".into())];
        spec.cwd = Some("/data".into());
    });
    assert_eq!(heard.on(Stream::Stdout), "A=1\0B=x=y\0PWD=/data\0");
    let (_, heard) = world.run(&echo("environ"), |_| {});
    assert_eq!(heard.on(Stream::Stdout), "");
}

#[test]
fn stdout_and_stderr_stay_apart() {
    let (finished, heard) = World::new().run(
        &module("(call $print (i32.const 1)) (call $print (i32.const 2)) (call $print (i32.const 1))"),
        |_| {},
    );
    assert_eq!(finished.exit, Exit::Code(0));
    assert_eq!((heard.on(Stream::Stdout), heard.on(Stream::Stderr)), ("out\nout\n".into(), "err\n".into()));
}

#[test]
fn a_mount_is_written_to_only_if_it_may_be() {
    let world = World::new();
    let host = world.dir.path().join("volume");
    fs::create_dir(&host).unwrap();
    let mount = |read_only| Mount { host: host.clone(), guest: "/data".into(), read_only };
    let (finished, _) = world.run(&create(3, "a"), |spec| spec.mounts = vec![mount(true)]);
    // 63 is `perm`: not permitted.
    expect!["63 Error"].assert_eq(&line(&finished.exit));
    assert!(!host.join("a").exists());
    let (finished, _) = world.run(&create(3, "a"), |spec| spec.mounts = vec![mount(false)]);
    expect!["0 Completed"].assert_eq(&line(&finished.exit));
    assert!(host.join("a").exists());
}

#[test]
fn a_guest_cannot_leave_its_mount() {
    let world = World::new();
    let host = world.dir.path().join("volume");
    fs::create_dir(&host).unwrap();
    std::os::unix::fs::symlink(world.dir.path(), host.join("out")).unwrap();
    for file in ["../escaped", "/tmp/escaped", "out/escaped"] {
        let mount = Mount { host: host.clone(), guest: "/".into(), read_only: false };
        let (finished, _) = world.run(&create(3, file), |spec| spec.mounts = vec![mount]);
        assert_ne!(finished.exit, Exit::Code(0), "{file}");
        assert!(!world.dir.path().join("escaped").exists());
    }
}

#[test]
fn without_a_mount_there_is_no_file() {
    let (finished, _) = World::new().run(&create(3, "a"), |_| {});
    // 8 is `badf`.
    expect!["8 Error"].assert_eq(&line(&finished.exit));
}

#[test]
fn a_mount_that_is_not_there_is_refused() {
    let mount = Mount { host: "/no/such/directory".into(), guest: "/data".into(), read_only: true };
    let (finished, _) = World::new().run(&create(3, "a"), |spec| spec.mounts = vec![mount]);
    expect!["128 Refused: `/no/such/directory` cannot be mounted at `/data`: No such file or directory (os error 2)"].assert_eq(&line(&finished.exit));
}

#[test]
fn open_files_are_limited() {
    let world = World::with(|config| config.open_handles = 8);
    let host = world.dir.path().join("volume");
    fs::create_dir(&host).unwrap();
    let forever = create(3, "a")
        .replace("(call $exit (call $open", "(loop $again (drop (call $open")
        .replace("(i32.const 0) (i32.const 0)))))", "(i32.const 0) (i32.const 0))) (br $again))))");
    let mount = Mount { host, guest: "/".into(), read_only: false };
    let (finished, _) = world.run(&forever, |spec| {
        spec.mounts = vec![mount];
        spec.deadline = Some(std::time::Duration::from_secs(60));
    });
    expect!["134 Trap: HostError: resource table has no free keys, in function 2"]
        .assert_eq(&line(&finished.exit));
}
