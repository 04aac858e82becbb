//! Code is compiled once, within limits, and comes back only if it is ours.

use std::{fs, path::PathBuf, thread};

use expect_test::{Expect, expect};
use runtime::{CompileLimits, Compiler, Exit, GuestSpec, Refused, Runtime};

use crate::world::{World, config, line, module};

const NONE: fn(&mut GuestSpec) = |_| {};

/// The one file of compiled code there is.
fn code_file(world: &World) -> PathBuf {
    let entries = fs::read_dir(world.dir.path().join("code")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|kind| kind == "code")).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// The same node after a restart.
fn restarted(world: World) -> World {
    world.runtime.shutdown();
    let World { runtime, dir } = world;
    drop(runtime);
    World { runtime: Runtime::new(config(&dir)).unwrap(), dir }
}

#[test]
fn an_image_is_compiled_once_however_many_ask() {
    let world = World::new();
    let image = world.image(&module(""));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| world.runtime.prepare(&image, false).unwrap());
        }
    });
    let started: Vec<_> = (0..8).map(|_| world.start(&module(""), NONE)).collect();
    for started in started {
        assert_eq!(started.finished().exit, Exit::Code(0));
    }
    assert_eq!(world.runtime.activity().compiled, 1);
    world.runtime.prepare(&image, true).unwrap();
    assert_eq!(world.runtime.activity().compiled, 2, "with fuel it is other code");
}

#[test]
fn an_image_that_does_not_compile_is_refused_to_all_who_wait_and_tried_again_later() {
    let world = World::new();
    let mut image = world.image(&module(""));
    let right = image.path.clone();
    image.path.set_extension("elsewhere");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(matches!(world.runtime.prepare(&image, false), Err(Refused::Host(_)))));
        }
    });
    fs::rename(right, &image.path).unwrap();
    assert_eq!(world.runtime.prepare(&image, false), Ok(()));
    world.runtime.shutdown();
    assert_eq!(
        world.runtime.prepare(&image, true),
        Err(Refused::Host("the runtime was shut down".to_owned()))
    );
}

#[test]
fn a_restart_compiles_nothing() {
    let world = World::new();
    world.run(&module(""), NONE);
    let world = restarted(world);
    assert_eq!(world.run(&module(""), NONE).0.exit, Exit::Code(0));
    assert_eq!(world.runtime.activity().compiled, 0);
}

#[test]
fn code_that_was_tampered_with_is_compiled_again() {
    let world = World::new();
    world.run(&module("(call $exit (i32.const 7))"), NONE);
    let file = code_file(&world);
    let mut code = fs::read(&file).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    fs::write(&file, code).unwrap();
    let world = restarted(world);
    assert_eq!(world.run(&module("(call $exit (i32.const 7))"), NONE).0.exit, Exit::Code(7));
    assert_eq!(world.runtime.activity().compiled, 1);
}

#[test]
fn code_signed_with_another_key_is_compiled_again() {
    let world = World::new();
    world.run(&module("(call $exit (i32.const 7))"), NONE);
    fs::write(world.dir.path().join("code/key"), [1; 32]).unwrap();
    let world = restarted(world);
    assert_eq!(world.run(&module("(call $exit (i32.const 7))"), NONE).0.exit, Exit::Code(7));
    assert_eq!(world.runtime.activity().compiled, 1);
}

#[test]
fn forgotten_code_is_gone() {
    let world = World::new();
    world.run(&module(""), NONE);
    let file = code_file(&world);
    world.runtime.forget(&world.image(&module("")).digest).unwrap();
    assert!(!file.exists());
    assert_eq!(world.run(&module(""), NONE).0.exit, Exit::Code(0));
    assert_eq!(world.runtime.activity().compiled, 2);
}

/// A module of 8 MB, in the binary format: some seconds of work for the compiler.
fn large() -> Vec<u8> {
    const FUNCTIONS: u32 = 2000;
    // local 0 = (local 0 + 7) * local 1
    let step = b"\x20\x00\x42\x07\x7c\x20\x01\x7e\x21\x00";
    let body = [&b"\x00"[..], &step.repeat(400), b"\x20\x00\x0b"].concat();
    let start = b"\x00\x0b";
    let types = b"\x02\x60\x00\x00\x60\x02\x7e\x7e\x01\x7e".to_vec();
    let functions = [leb(FUNCTIONS + 1), vec![0], vec![1; FUNCTIONS as usize]].concat();
    let exports = b"\x01\x06_start\x00\x00".to_vec();
    let sized = |body: &[u8]| [leb(u32::try_from(body.len()).unwrap()), body.to_vec()].concat();
    let code = [leb(FUNCTIONS + 1), sized(start), sized(&body).repeat(FUNCTIONS as usize)].concat();
    let section = |id: u8, content: Vec<u8>| [vec![id], sized(&content)].concat();
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, types),
        section(3, functions),
        section(7, exports),
        section(10, code),
    ]
    .concat()
}

fn leb(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = number.to_le_bytes()[0] & 0x7f;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[test]
fn a_compilation_that_takes_too_much_is_refused() {
    let check = |wasm: &[u8], limit: fn(&mut CompileLimits), expected: Expect| {
        let world = World::with(|config| limit(&mut config.compile));
        let refused = world.runtime.prepare(&world.store(wasm), false).unwrap_err();
        assert!(matches!(refused, Refused::Limit(_)), "{refused:?}");
        expected.assert_eq(&refused.to_string());
    };
    let small = runtime::wat_to_wasm(b"(module (func (export \"_start\")))").unwrap();
    check(&large(), |limits| limits.cpu_seconds = 1, expect!["compiling it took more than 1 s of CPU"]);
    check(&small, |limits| limits.wall_seconds = 0, expect!["compiling it took longer than 0 s"]);
    check(
        &large(),
        |limits| limits.memory_bytes = 64 << 20,
        expect!["compiling it took more than 64 MiB of memory"],
    );
}

#[test]
fn a_compiler_that_cannot_be_started_is_told() {
    let world =
        World::with(|config| config.compiler = Compiler { program: "/no/such/program".into(), args: vec![] });
    expect!["128 Refused: the compiler could not be started: No such file or directory (os error 2)"]
        .assert_eq(&line(&world.run(&module(""), NONE).0.exit));
}

#[test]
fn a_compiler_that_is_something_else_is_told() {
    let world =
        World::with(|config| config.compiler = Compiler { program: "/bin/echo".into(), args: vec![] });
    expect!["128 Refused: the compiler wrote something that is not compiled code"]
        .assert_eq(&line(&world.run(&module(""), NONE).0.exit));
    assert!(
        fs::read_dir(world.dir.path().join("code")).unwrap().all(|entry| entry.unwrap().file_name() == "key")
    );
}
