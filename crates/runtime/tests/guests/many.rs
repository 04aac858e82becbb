//! Many guests, few slots; and none.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
    mpsc,
};

use runtime::{Exit, Finished, GuestSpec, Output, StopReason, Stream};

use crate::world::{World, module};

/// Counts guests between their first write and their last.
#[derive(Default)]
struct Alive {
    now: AtomicU32,
    most: AtomicU32,
}

impl Output for Alive {
    fn write(&self, stream: Stream, _: &[u8]) {
        match stream {
            Stream::Stdout => {
                let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(now, Ordering::SeqCst);
            }
            Stream::Stderr => {
                self.now.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

const BUSY: &str = "(call $print (i32.const 1)) (call $sleep (i64.const 5)) (call $print (i32.const 2))";

#[test]
fn more_guests_than_slots_wait_for_their_turn() {
    let world = World::with(|config| config.live_guests = 50);
    let (image, alive) = (world.image(&module(BUSY)), Arc::new(Alive::default()));
    let (done, finished) = mpsc::channel::<Finished>();
    for n in 0..200 {
        let mut spec = GuestSpec::new(image.clone(), alive.clone());
        // Both engines share the bound.
        spec.fuel = (n % 2 == 0).then_some(1_000_000);
        let done = done.clone();
        world.runtime.start(spec, move |finished| done.send(finished).unwrap());
    }
    for _ in 0..200 {
        assert_eq!(finished.recv().unwrap().exit, Exit::Code(0));
    }
    let most = alive.most.load(Ordering::SeqCst);
    assert!((2..=50).contains(&most), "{most}");
    assert_eq!(world.runtime.activity().live_guests, 0);
}

#[test]
fn a_guest_with_many_memories_takes_as_many_slots_and_one_too_many_is_refused() {
    let world = World::with(|config| config.live_guests = 4);
    let memories = |n: usize| format!("(module {} (func (export \"_start\")))", "(memory 1)".repeat(n));
    let started: Vec<_> = (0..16).map(|n| world.start(&memories(n % 4 + 1), |_| {})).collect();
    for started in started {
        assert_eq!(started.finished().exit, Exit::Code(0));
    }
    let (finished, _) = world.run(&memories(5), |_| {});
    assert_eq!(
        finished.exit,
        Exit::Refused { why: "it needs 5 slots (5 memories, 0 tables); this node has 4".to_owned() }
    );
}

#[test]
fn a_guest_that_waits_for_a_slot_can_be_stopped() {
    let world = World::with(|config| config.live_guests = 1);
    let sleeps = module("(call $print (i32.const 1)) (call $sleep (i64.const 3600000))");
    let first = world.start(&sleeps, |_| {});
    first.until_it_writes();
    let second = world.start(&sleeps, |_| {});
    second.guest.stop(StopReason::Requested, None);
    let finished = second.finished();
    assert_eq!(finished.exit, Exit::Stopped(StopReason::Requested));
    assert_eq!(finished.usage.wall, std::time::Duration::ZERO);
    first.guest.stop(StopReason::Requested, None);
    first.finished();
}

#[test]
fn guests_that_compute_share_the_threads_with_those_that_wait() {
    let world = World::with(|config| config.threads = 1);
    let spinning: Vec<_> = (0..4)
        .map(|_| world.start(&module("(call $print (i32.const 1)) (loop $again (br $again))"), |_| {}))
        .collect();
    for started in &spinning {
        started.until_it_writes();
    }
    let (finished, _) = world.run(&module(BUSY), |_| {});
    assert_eq!(finished.exit, Exit::Code(0));
    for started in spinning {
        started.guest.stop(StopReason::Requested, None);
        started.finished();
    }
}

#[test]
fn the_ticker_rests_while_every_guest_waits() {
    let world = World::new();
    let started =
        world.start(&module("(call $print (i32.const 1)) (call $sleep (i64.const 3600000))"), |_| {});
    started.until_it_writes();
    // It goes to rest within two ticks of the guest's going to sleep; this asks until it has.
    while !world.runtime.activity().idle {
        std::thread::yield_now();
    }
    let ticks = world.runtime.activity().ticks;
    let spinning = world.start(&module("(call $print (i32.const 1)) (loop $again (br $again))"), |_| {});
    while world.runtime.activity().ticks < ticks + 3 {
        std::thread::yield_now();
    }
    for started in [started, spinning] {
        started.guest.stop(StopReason::Requested, None);
        started.finished();
    }
    while !world.runtime.activity().idle {
        std::thread::yield_now();
    }
}

#[test]
fn a_shutdown_ends_every_guest_and_those_that_come_after() {
    let world = World::with(|config| config.live_guests = 2);
    let body = "(call $print (i32.const 1)) (loop $again (br $again))";
    let running: Vec<_> = (0..2).map(|_| world.start(&module(body), |_| {})).collect();
    for started in &running {
        started.until_it_writes();
    }
    let waiting = world.start(&module(body), |_| {});
    world.runtime.shutdown();
    let late = world.start(&module(body), |_| {});
    for started in running.into_iter().chain([waiting, late]) {
        assert_eq!(started.finished().exit, Exit::Stopped(StopReason::Shutdown));
    }
}

#[test]
fn dropping_the_runtime_ends_every_guest_too() {
    let world = World::new();
    let started = world.start(&module("(call $print (i32.const 1)) (loop $again (br $again))"), |_| {});
    started.until_it_writes();
    drop(world);
    assert_eq!(started.finished().exit, Exit::Stopped(StopReason::Shutdown));
}

#[test]
fn an_output_that_panics_takes_only_its_own_guest() {
    struct Panics;
    impl Output for Panics {
        fn write(&self, _: Stream, _: &[u8]) {
            panic!("the disk is on fire");
        }
    }
    let world = World::new();
    let print = module("(call $print (i32.const 1))");
    let (finished, _) = world.run(&print, |spec| spec.output = Arc::new(Panics));
    assert_eq!(
        finished.exit,
        Exit::Refused { why: "the runtime failed under it: the disk is on fire".to_owned() }
    );
    assert_eq!(world.run(&print, |_| {}).0.exit, Exit::Code(0));
}
