//! Every way to end is told apart.

use std::time::Duration;

use expect_test::{Expect, expect};
use runtime::{Exit, GuestSpec, StopReason};

use crate::world::{World, line, module};

const SPIN: &str = "(call $print (i32.const 1)) (loop $again (br $again))";
const SLEEP: &str = "(call $print (i32.const 1)) (call $sleep (i64.const 3600000))";
const NONE: fn(&mut GuestSpec) = |_| {};

fn check(wat: &str, change: impl FnOnce(&mut GuestSpec), expected: Expect) {
    let (finished, _) = World::new().run(wat, change);
    expected.assert_eq(&line(&finished.exit));
}

#[test]
fn a_guest_that_returns_completes() {
    check(&module(""), NONE, expect!["0 Completed"]);
}

#[test]
fn a_guest_says_its_code() {
    check(&module("(call $exit (i32.const 3))"), NONE, expect!["3 Error"]);
    check(&module("(call $exit (i32.const 255))"), NONE, expect!["255 Error"]);
    check(&module("(call $exit (i32.const 256))"), NONE, expect!["0 Completed"]);
}

#[test]
fn a_trap_has_its_name_and_where_it_happened() {
    check(
        r#"(module
            (func $deep unreachable)
            (func $_ZN4main5outer17h0123456789abcdefE (call $deep))
            (func (export "_start") (call $_ZN4main5outer17h0123456789abcdefE)))"#,
        NONE,
        expect![
            "134 Trap: UnreachableCodeReached: wasm `unreachable` instruction executed, in deep < main::outer < function 2"
        ],
    );
    check(
        &module("(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
        NONE,
        expect!["134 Trap: IntegerDivisionByZero: integer divide by zero, in start"],
    );
    check(
        &module("(drop (i32.load (i32.const -1)))"),
        NONE,
        expect!["134 Trap: MemoryOutOfBounds: out of bounds memory access, in start"],
    );
}

#[test]
fn endless_recursion_is_a_trap() {
    let (finished, _) = World::new().run(r#"(module (func $f (export "_start") (call $f)))"#, NONE);
    let Exit::Trap { name, .. } = finished.exit else { panic!("{:?}", finished.exit) };
    assert_eq!(name, "StackOverflow");
}

#[test]
fn a_guest_without_fuel_ends_and_says_what_it_used() {
    let world = World::new();
    let (finished, _) = world.run(&module("(loop $again (br $again))"), |spec| spec.fuel = Some(10_000));
    expect!["152 OutOfFuel: 10000"].assert_eq(&line(&finished.exit));
    assert_eq!(finished.usage.fuel, Some(10_000));
    let (finished, _) = world.run(&module(""), |spec| spec.fuel = Some(10_000));
    assert_eq!(finished.exit, Exit::Code(0));
    assert!((1..100).contains(&finished.usage.fuel.unwrap()), "{:?}", finished.usage);
    let (finished, _) = world.run(&module(""), NONE);
    assert_eq!(finished.usage.fuel, None);
}

#[test]
fn fuel_is_counted_for_a_guest_that_was_cut_off() {
    let world = World::new();
    let started = world.start(&module(SLEEP), |spec| spec.fuel = Some(10_000));
    started.until_it_writes();
    started.guest.stop(StopReason::Requested, None);
    let used = started.finished().usage.fuel.unwrap();
    assert!((1..10_000).contains(&used), "{used}");
}

#[test]
fn a_deadline_ends_a_guest_that_computes_and_one_that_sleeps() {
    let soon = |spec: &mut GuestSpec| spec.deadline = Some(Duration::from_millis(30));
    check(&module(SPIN), soon, expect!["137 DeadlineExceeded: 30ms"]);
    check(&module(SLEEP), soon, expect!["137 DeadlineExceeded: 30ms"]);
    check(&module(""), |spec| spec.deadline = Some(Duration::MAX), expect!["0 Completed"]);
}

#[test]
fn a_stop_ends_a_guest_that_computes_and_one_that_sleeps() {
    let world = World::new();
    for body in [SPIN, SLEEP] {
        let started = world.start(&module(body), NONE);
        started.until_it_writes();
        started.guest.stop(StopReason::Requested, None);
        assert_eq!(started.finished().exit, Exit::Stopped(StopReason::Requested));
    }
}

#[test]
fn grace_lets_a_guest_come_to_its_end_and_can_only_be_shortened() {
    let world = World::new();
    let long = Some(Duration::from_secs(3600));
    let started = world.start(&module("(call $print (i32.const 1)) (call $sleep (i64.const 20))"), NONE);
    started.until_it_writes();
    started.guest.stop(StopReason::Requested, long);
    assert_eq!(started.finished().exit, Exit::Code(0));

    let started = world.start(&module(SLEEP), NONE);
    started.until_it_writes();
    started.guest.stop(StopReason::Requested, long);
    started.guest.stop(StopReason::Requested, Some(Duration::from_millis(1)));
    started.guest.stop(StopReason::Shutdown, long);
    assert_eq!(started.finished().exit, Exit::Stopped(StopReason::Requested));
}

#[test]
fn growing_over_the_limit_ends_the_guest() {
    let hog = module("(loop $again (drop (memory.grow (i32.const 16))) (br $again))");
    check(&hog, |spec| spec.memory_bytes = Some(8 << 20), expect!["137 OOMKilled: 8388608"]);
    // Without a limit of its own, what its slot has.
    check(&hog, NONE, expect!["137 OOMKilled: 4294967296"]);
}

#[test]
fn all_memories_and_tables_count_together() {
    let two = r#"(module
        (memory $a 16) (memory $b 16) (table 65536 funcref)
        (func (export "_start") (drop (memory.grow $b (i32.const 16)))))"#;
    // 1 MiB and 1 MiB, and 0.5 MiB of table, growing by 1 MiB.
    check(two, |spec| spec.memory_bytes = Some(7 << 19), expect!["0 Completed"]);
    check(two, |spec| spec.memory_bytes = Some((7 << 19) - 1), expect!["137 OOMKilled: 3670015"]);
    let (finished, _) = World::new().run(two, NONE);
    assert_eq!(finished.usage.peak_memory_bytes, 7 << 19);
}

#[test]
fn a_guest_that_begins_over_the_limit_never_runs() {
    check(
        "(module (memory 32) (func (export \"_start\")))",
        |spec| spec.memory_bytes = Some(1 << 20),
        expect!["137 OOMKilled: 1048576"],
    );
}

#[test]
fn the_maximum_a_module_sets_itself_is_no_fault() {
    check(
        r#"(module (memory 1 2) (func (export "_start")
            (if (i32.ne (memory.grow (i32.const 5)) (i32.const -1)) (then unreachable))))"#,
        NONE,
        expect!["0 Completed"],
    );
}

#[test]
fn what_cannot_run_is_refused() {
    check("(module)", NONE, expect!["128 Refused: not a WASI command (it exports no `_start`)"]);
    check(
        r#"(module (import "wasi_unstable" "proc_exit" (func (param i32))) (func (export "_start")))"#,
        NONE,
        expect![
            "128 Refused: imports `wasi_unstable` (WASI preview 0), which is not linked; build it for wasm32-wasip1 or later"
        ],
    );
    check(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i64))) (memory (export "memory") 1) (func (export "_start")))"#,
        NONE,
        expect![
            "128 Refused: what it imports is not what is here: incompatible import type for `wasi_snapshot_preview1::proc_exit`: types incompatible: expected type `(func (param i64))`, found type `(func (param i32))`"
        ],
    );
    check(
        &format!("(module {} (func (export \"_start\")))", "(memory 1)".repeat(9)),
        NONE,
        expect!["128 Refused: it has 9 memories; the most is 8"],
    );
    check(
        "(module (memory 65536) (memory 1) (table 100000 funcref) (func (export \"_start\")))",
        NONE,
        expect!["128 Refused: it has a table of 100000 entries; the most is 65536"],
    );
}

#[test]
fn what_is_no_wasm_is_refused() {
    let world = World::new();
    let mut image = world.image("(module)");
    std::fs::write(&image.path, "not what was pushed").unwrap();
    let refused = world.runtime.prepare(&image, false).unwrap_err().to_string();
    expect!["IMAGE: its bytes are not those of sha256:93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476; push the image again"].assert_eq(&refused.replace(image.path.to_str().unwrap(), "IMAGE"));
    image.digest = runtime::Digest::of(b"not what was pushed");
    let refused = world.runtime.prepare(&image, false).unwrap_err().to_string();
    expect!["not WebAssembly; an image is a wasm32-wasip1 module, a wasm32-wasip2 component, or either as .wat text"].assert_eq(&refused);
}

#[test]
fn a_guest_over_its_cpu_share_waits_and_still_ends() {
    // Some 60 ms of work at a quarter of a CPU: the burst is 25 ms.
    let body = "(local $n i32) (loop $again
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $n) (i32.const 60000000))))";
    let (finished, _) = World::new().run(&module(body), |spec| spec.cpu_millis = Some(250));
    assert_eq!(finished.exit, Exit::Code(0));
    assert!(finished.usage.cpu <= finished.usage.wall);
}
