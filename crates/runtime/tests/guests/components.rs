//! Components (WASI 0.2), written out by hand.

use expect_test::{Expect, expect};
use runtime::{GuestSpec, Stream};

use crate::world::{World, line};

fn check(wat: &str, change: impl FnOnce(&mut GuestSpec), expected: Expect) {
    let wasm = runtime::wat_to_wasm(wat.as_bytes()).unwrap();
    runtime::inspect(&wasm).unwrap();
    let (finished, heard) = World::new().run(wat, change);
    expected.assert_eq(&format!("{}\n{}", line(&finished.exit), heard.on(Stream::Stdout)));
}

/// A component whose `run` is `body` and whose imports and lowered functions are `before`.
fn command(before: &str, with: &str, imports: &str, body: &str) -> String {
    format!(
        r#"(component
            {before}
            (core module $m
                {imports}
                (func (export "run") (result i32) {body}))
            (core instance $i (instantiate $m {with}))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $exported (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $exported)))"#
    )
}

#[test]
fn a_component_says_zero_or_one() {
    check(
        &command("", "", "", "(i32.const 0)"),
        |_| {},
        expect![[r#"
        0 Completed
    "#]],
    );
    check(
        &command("", "", "", "(i32.const 1)"),
        |_| {},
        expect![[r#"
        1 Error
    "#]],
    );
    check(
        &command("", "", "", "unreachable"),
        |_| {},
        expect![[r#"
        134 Trap: UnreachableCodeReached: wasm `unreachable` instruction executed, in function 0
    "#]],
    );
}

#[test]
fn a_component_can_exit_with_any_code() {
    check(
        &command(
            r#"(import "wasi:cli/exit@0.2.12" (instance $exit
                (export "exit-with-code" (func (param "status-code" u8)))))
               (core func $exit-core (canon lower (func $exit "exit-with-code")))"#,
            r#"(with "host" (instance (export "exit" (func $exit-core))))"#,
            r#"(import "host" "exit" (func $exit (param i32)))"#,
            "(call $exit (i32.const 42)) (i32.const 0)",
        ),
        |_| {},
        expect![[r#"
            42 Error
        "#]],
    );
}

#[test]
fn a_component_is_held_to_its_limits() {
    let spin = command("", "", "", "(loop $again (br $again)) (i32.const 0)");
    check(
        &spin,
        |spec| spec.fuel = Some(1000),
        expect![[r#"
        152 OutOfFuel: 1000
    "#]],
    );
    check(
        &spin,
        |spec| spec.deadline = Some(std::time::Duration::from_millis(30)),
        expect![[r#"
        137 DeadlineExceeded: 30ms
    "#]],
    );
    let hog = command(
        "",
        "",
        "(memory 1)",
        "(loop $again (drop (memory.grow (i32.const 1))) (br $again)) (i32.const 0)",
    );
    check(
        &hog,
        |spec| spec.memory_bytes = Some(1 << 20),
        expect![[r#"
        137 OOMKilled: 1048576
    "#]],
    );
}

#[test]
fn a_component_writes_to_its_stdout() {
    check(
        &command(
            r#"(import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
               (alias export $error "error" (type $error-type))
               (import "wasi:io/streams@0.2.0" (instance $streams
                   (export "output-stream" (type $stream (sub resource)))
                   (alias outer 1 $error-type (type $outer-error))
                   (export "error" (type $io-error (eq $outer-error)))
                   (type $failed (variant (case "last-operation-failed" (own $io-error)) (case "closed")))
                   (export "stream-error" (type $stream-error (eq $failed)))
                   (export "[method]output-stream.blocking-write-and-flush" (func
                       (param "self" (borrow $stream)) (param "contents" (list u8))
                       (result (result (error $stream-error)))))))
               (alias export $streams "output-stream" (type $stream-type))
               (import "wasi:cli/stdout@0.2.0" (instance $stdout
                   (alias outer 1 $stream-type (type $outer-stream))
                   (export "output-stream" (type $stream (eq $outer-stream)))
                   (export "get-stdout" (func (result (own $stream))))))
               (core module $data (memory (export "memory") 1) (data (i32.const 16) "hello from a component"))
               (core instance $d (instantiate $data))
               (core func $get (canon lower (func $stdout "get-stdout")))
               (core func $write (canon lower
                   (func $streams "[method]output-stream.blocking-write-and-flush") (memory $d "memory")))"#,
            r#"(with "host" (instance (export "get" (func $get)) (export "write" (func $write))))"#,
            r#"(import "host" "get" (func $get (result i32)))
               (import "host" "write" (func $write (param i32 i32 i32 i32)))"#,
            "(call $write (call $get) (i32.const 16) (i32.const 22) (i32.const 64)) (i32.const 0)",
        ),
        |_| {},
        expect![[r#"
            0 Completed
            hello from a component"#]],
    );
}

/// A component that looks `name` up, and answers 1 if it may not.
fn looks_up(name: &str) -> String {
    let len = name.len();
    command(
        &format!(
            r#"(import "wasi:sockets/network@0.2.0" (instance $network
                   (export "network" (type (sub resource)))
                   (type $codes (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory"
                       "timeout" "concurrency-conflict" "not-in-progress" "would-block" "invalid-state"
                       "new-socket-limit" "address-not-bindable" "address-in-use" "remote-unreachable"
                       "connection-refused" "connection-reset" "connection-aborted" "datagram-too-large"
                       "name-unresolvable" "temporary-resolver-failure" "permanent-resolver-failure"))
                   (export "error-code" (type (eq $codes)))))
               (alias export $network "network" (type $network-type))
               (alias export $network "error-code" (type $code-type))
               (import "wasi:sockets/instance-network@0.2.0" (instance $instance
                   (alias outer 1 $network-type (type $outer))
                   (export "network" (type $network (eq $outer)))
                   (export "instance-network" (func (result (own $network))))))
               (import "wasi:sockets/ip-name-lookup@0.2.0" (instance $lookup
                   (alias outer 1 $network-type (type $outer))
                   (export "network" (type $network (eq $outer)))
                   (alias outer 1 $code-type (type $outer-code))
                   (export "error-code" (type $code (eq $outer-code)))
                   (export "resolve-address-stream" (type $stream (sub resource)))
                   (export "resolve-addresses" (func (param "network" (borrow $network)) (param "name" string)
                       (result (result (own $stream) (error $code)))))))
               (core module $data (memory (export "memory") 1) (data (i32.const 16) "{name}"))
               (core instance $d (instantiate $data))
               (core func $get (canon lower (func $instance "instance-network")))
               (core func $resolve (canon lower (func $lookup "resolve-addresses") (memory $d "memory")))"#
        ),
        r#"(with "host" (instance (export "get" (func $get)) (export "resolve" (func $resolve))
            (export "memory" (memory $d "memory"))))"#,
        r#"(import "host" "get" (func $get (result i32)))
           (import "host" "resolve" (func $resolve (param i32 i32 i32 i32)))
           (import "host" "memory" (memory 1))"#,
        &format!(
            "(call $resolve (call $get) (i32.const 16) (i32.const {len}) (i32.const 256))
             (i32.load8_u (i32.const 256))"
        ),
    )
}

#[test]
fn a_name_is_looked_up_only_if_it_was_granted() {
    let granted = |spec: &mut GuestSpec| spec.allow_net = vec!["localhost:80".parse().unwrap()];
    check(
        &looks_up("localhost"),
        |_| {},
        expect![[r#"
        1 Error
    "#]],
    );
    check(
        &looks_up("localhost"),
        granted,
        expect![[r#"
        0 Completed
    "#]],
    );
    check(
        &looks_up("secret.localhost"),
        granted,
        expect![[r#"
        1 Error
    "#]],
    );
}
