//! A runtime of a test's own, and guests written as `.wat`.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
};

use runtime::{Compiler, Config, Digest, Exit, Finished, Guest, GuestSpec, Image, Output, Runtime, Stream};
use tempfile::TempDir;

pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) dir: TempDir,
}

/// What a guest wrote, and a word whenever it does.
pub(crate) struct Heard {
    written: Mutex<Vec<(Stream, Vec<u8>)>>,
    wrote: Mutex<Sender<()>>,
}

/// A guest under way.
pub(crate) struct Started {
    pub(crate) guest: Guest,
    pub(crate) heard: Arc<Heard>,
    pub(crate) wrote: Receiver<()>,
    done: Receiver<Finished>,
}

pub(crate) fn config(dir: &TempDir) -> Config {
    Config {
        live_guests: 8,
        threads: 2,
        compiler: Compiler { program: env!("CARGO_BIN_EXE_wick-compile").into(), args: Vec::new() },
        ..Config::new(dir.path().join("code"))
    }
}

impl World {
    pub(crate) fn new() -> World {
        World::with(|_| {})
    }

    pub(crate) fn with(configure: impl FnOnce(&mut Config)) -> World {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(&dir);
        configure(&mut config);
        World { runtime: Runtime::new(config).unwrap(), dir }
    }

    /// Stores a guest as the agent stores a pushed image.
    pub(crate) fn image(&self, wat: &str) -> Image {
        self.store(&runtime::wat_to_wasm(wat.as_bytes()).unwrap())
    }

    pub(crate) fn store(&self, wasm: &[u8]) -> Image {
        let digest = Digest::of(wasm);
        let path = self.dir.path().join(format!("{}.wasm", digest.hex()));
        // Once, as a store does: a compiler may be reading it.
        if !path.exists() {
            fs::write(&path, wasm).unwrap();
        }
        Image { digest, path }
    }

    pub(crate) fn start(&self, wat: &str, change: impl FnOnce(&mut GuestSpec)) -> Started {
        let (heard, wrote) = heard();
        let mut spec = GuestSpec::new(self.image(wat), heard.clone());
        change(&mut spec);
        let (done, finished) = mpsc::channel();
        let guest = self.runtime.start(spec, move |finished| done.send(finished).unwrap());
        Started { guest, heard, wrote, done: finished }
    }

    pub(crate) fn run(&self, wat: &str, change: impl FnOnce(&mut GuestSpec)) -> (Finished, Arc<Heard>) {
        let started = self.start(wat, change);
        let heard = Arc::clone(&started.heard);
        (started.finished(), heard)
    }
}

impl Started {
    pub(crate) fn finished(self) -> Finished {
        self.done.recv().unwrap()
    }

    /// Waits until the guest has written something.
    pub(crate) fn until_it_writes(&self) {
        self.wrote.recv().unwrap();
    }
}

fn heard() -> (Arc<Heard>, Receiver<()>) {
    let (wrote, receiver) = mpsc::channel();
    (Arc::new(Heard { written: Mutex::default(), wrote: Mutex::new(wrote) }), receiver)
}

impl Heard {
    pub(crate) fn on(&self, stream: Stream) -> String {
        let written = self.written.lock().unwrap();
        let bytes: Vec<u8> =
            written.iter().filter(|(on, _)| *on == stream).flat_map(|(_, bytes)| bytes.clone()).collect();
        String::from_utf8(bytes).unwrap()
    }
}

impl Output for Heard {
    fn write(&self, stream: Stream, bytes: &[u8]) {
        self.written.lock().unwrap().push((stream, bytes.to_owned()));
        // A test that does not listen has dropped its end.
        let _ = self.wrote.lock().unwrap().send(());
    }
}

/// An exit in one line: code, reason, and what it says.
pub(crate) fn line(exit: &Exit) -> String {
    let said = match exit {
        Exit::Code(_) | Exit::Stopped(_) => String::new(),
        Exit::Trap { name, message } => format!(": {name}: {message}"),
        Exit::OutOfFuel { limit } => format!(": {limit}"),
        Exit::Deadline { limit } => format!(": {limit:?}"),
        Exit::OutOfMemory { limit_bytes } => format!(": {limit_bytes}"),
        Exit::Refused { why } => format!(": {why}"),
    };
    format!("{} {}{said}", exit.code(), exit.reason())
}

/// A p1 module whose `_start` is `body`. It can call `$print` (fd), `$sleep` (milliseconds) and `$exit` (code).
pub(crate) fn module(body: &str) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (data (i32.const 64) "out\nerr\n")
            (func $print (param $fd i32)
                (i32.store (i32.const 0) (i32.add (i32.const 60) (i32.mul (local.get $fd) (i32.const 4))))
                (i32.store (i32.const 4) (i32.const 4))
                (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
            (func $sleep (param $ms i64)
                ;; One subscription to the monotonic clock.
                (i32.store (i32.const 272) (i32.const 1))
                (i64.store (i32.const 280) (i64.mul (local.get $ms) (i64.const 1000000)))
                (drop (call $poll (i32.const 256) (i32.const 320) (i32.const 1) (i32.const 384))))
            (func $start (export "_start") {body}))"#
    )
}
