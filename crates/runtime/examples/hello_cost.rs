//! What a warm hello costs: `cargo run -p wick-runtime --example hello_cost [starts]`.
//!
//! Prints the CPU time of the whole process for each start, and starts for each second, with 64 in flight. It
//! compiles in this very program, as `wickd` does: `hello_cost compile …` is the child.

use std::{
    env, fs,
    process::ExitCode,
    sync::{Arc, mpsc},
    time::Instant,
};

use runtime::{Config, Digest, Exit, GuestSpec, Image, Output, Runtime, Stream};

const HELLO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 17)
    (data (i32.const 0) "\10\00\00\00\06\00\00\00")
    (data (i32.const 16) "hello\n")
    (func (export "_start")
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

/// Guests started and not yet ended.
const IN_FLIGHT: u32 = 64;

struct Nowhere;

impl Output for Nowhere {
    fn write(&self, _: Stream, _: &[u8]) {}
}

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1).peekable();
    if args.next_if(|arg| arg == "compile").is_some() {
        return runtime::compile::child_main(args);
    }
    let starts = args.next().and_then(|starts| starts.to_str()?.parse().ok()).unwrap_or(100_000);
    match measure(starts) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(starts: u32) -> Result<String, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let wasm = runtime::wat_to_wasm(HELLO.as_bytes())?;
    let image = Image { digest: Digest::of(&wasm), path: dir.path().join("hello.wasm") };
    fs::write(&image.path, &wasm)?;
    let runtime = Runtime::new(Config::new(dir.path().join("code")))?;
    let (done, finished) = mpsc::channel();
    let output: Arc<dyn Output> = Arc::new(Nowhere);
    let start = || {
        let mut spec = GuestSpec::new(image.clone(), Arc::clone(&output));
        spec.args = vec!["hello".to_owned()];
        let done = done.clone();
        runtime.start(spec, move |finished| drop(done.send(finished.exit)));
    };
    let run = |starts: u32| -> Result<(), Box<dyn std::error::Error>> {
        (0..starts.min(IN_FLIGHT)).for_each(|_| start());
        for n in 0..starts {
            let exit = finished.recv()?;
            if exit != Exit::Code(0) {
                return Err(format!("{exit:?}").into());
            }
            if n + IN_FLIGHT < starts {
                start();
            }
        }
        Ok(())
    };
    run(starts / 10)?;
    let (wall, cpu) = (Instant::now(), cpu_ticks()?);
    run(starts)?;
    let (wall, cpu) = (wall.elapsed(), cpu_ticks()? - cpu);
    // A tick is 10 ms on every Linux we run on.
    let (cpu_us, rate) = (cpu as f64 * 10_000.0 / f64::from(starts), f64::from(starts) / wall.as_secs_f64());
    Ok(format!("{starts} starts: {cpu_us:.1} µs of CPU each, {rate:.0} a second"))
}

/// User and system time of this process.
fn cpu_ticks() -> Result<u64, Box<dyn std::error::Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    Ok(fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<_, _>>()?)
}
