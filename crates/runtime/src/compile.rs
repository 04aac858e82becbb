//! Compiles an image in a short-lived child process of our own.
//!
//! In the daemon itself, one compilation would cost some 10 MB of resident memory for good, and an image made to
//! be slow or large to compile would take the agent with it. The child gets the image's path and nothing else: no
//! environment, no key. It limits itself before it looks at the image (address space, CPU time, no files, no core
//! dump), dies with its parent, and is killed when it takes too long by the clock.
//!
//! Between the two: arguments in; on stdout the compiled code, and nothing unless the exit code is 0; on stderr the
//! reason, with exit code 1 if it is the image's fault, 2 if it is ours.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::{Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal};
use wasmtime::Engine;

use crate::{
    Digest, Image, ImageKind, Refused,
    engines::{self, Reservation, Variant},
    image,
};

/// What one compilation may use.
#[derive(Clone, Debug)]
pub struct CompileLimits {
    /// CPU time.
    pub cpu_seconds: u64,
    /// Time by the clock; more than the CPU time, as the child gives way to everything else (it is niced).
    pub wall_seconds: u64,
    /// Address space of the child: its code and stack, the image, and what Cranelift needs. Bytes.
    pub memory_bytes: u64,
}

impl Default for CompileLimits {
    /// 2 minutes of CPU within 10 minutes, in 1 GiB.
    fn default() -> CompileLimits {
        CompileLimits { cpu_seconds: 120, wall_seconds: 600, memory_bytes: 1 << 30 }
    }
}

/// How to start the child: a program that calls [`child_main`] when given these arguments first.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The program.
    pub program: PathBuf,
    /// Its own arguments, before ours: the name of the hidden subcommand.
    pub args: Vec<OsString>,
}

impl Compiler {
    /// This very executable, with the hidden subcommand `subcommand`, even if the file was replaced since.
    pub fn this_program(subcommand: &str) -> Compiler {
        Compiler { program: "/proc/self/exe".into(), args: vec![subcommand.into()] }
    }
}

/// Bytes of the child's stderr that are looked at.
const REASON_BYTES: u64 = 16 << 10;
/// The image's fault.
const EXIT_REFUSED: u8 = 1;
/// Ours.
const EXIT_BROKEN: u8 = 2;
/// How far the child gives way to everything else.
const NICENESS: i32 = 10;

/// Compiles `image`, blocking until it is done.
pub(crate) fn compile(
    compiler: &Compiler,
    limits: &CompileLimits,
    image: &Image,
    variant: Variant,
    reservation: Reservation,
) -> Result<Vec<u8>, Refused> {
    let mut command = Command::new(&compiler.program);
    command
        .args(&compiler.args)
        .arg(variant.name())
        .arg(reservation.0.to_string())
        .arg(limits.cpu_seconds.to_string())
        .arg(limits.memory_bytes.to_string())
        .arg(image.digest.to_string())
        .arg(&image.path)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let broken =
        |doing: &str, error: io::Error| Refused::Host(format!("the compiler could not {doing}: {error}"));
    let mut child = command.spawn().map_err(|error| broken("be started", error))?;
    let (read, timed_out) = attend(&mut child, limits);
    // Its pipes are closed: it has ended, or is about to.
    let status = child.wait().map_err(|error| broken("be waited for", error))?;
    let (code, said) = read.map_err(|error| broken("be read from", error))?;
    if timed_out {
        return Err(Refused::Limit(format!("compiling it took longer than {} s", limits.wall_seconds)));
    }
    verdict(status, &said, limits)?;
    if code.len() as u64 > limits.memory_bytes {
        return Err(over_memory(limits));
    }
    Ok(code)
}

type Heard = (Vec<u8>, String);

/// Reads what the child has to say, and kills it when its time is up.
fn attend(child: &mut Child, limits: &CompileLimits) -> (io::Result<Heard>, bool) {
    let pid = Pid::from_child(child);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ended = (Mutex::new(false), Condvar::new());
    thread::scope(|scope| {
        let watchdog = scope.spawn(|| {
            let (lock, condvar) = &ended;
            let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
            let wall = Duration::from_secs(limits.wall_seconds);
            let waited = condvar.wait_timeout_while(guard, wall, |ended| !*ended);
            let timed_out = waited.unwrap_or_else(PoisonError::into_inner).1.timed_out();
            if timed_out {
                // It has not been waited for, so the pid is still its own.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            timed_out
        });
        let read = (|| {
            let mut code = Vec::new();
            if let Some(stdout) = stdout {
                stdout.take(limits.memory_bytes.saturating_add(1)).read_to_end(&mut code)?;
            }
            let mut said = Vec::new();
            if let Some(stderr) = stderr {
                stderr.take(REASON_BYTES).read_to_end(&mut said)?;
            }
            Ok((code, String::from_utf8_lossy(&said).into_owned()))
        })();
        *ended.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        ended.1.notify_all();
        (read, watchdog.join().unwrap_or(false))
    })
}

fn verdict(status: ExitStatus, said: &str, limits: &CompileLimits) -> Result<(), Refused> {
    let said = said.trim();
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) if code == i32::from(EXIT_REFUSED) => Err(Refused::Image(said.to_owned())),
        (_, Some(signal)) if signal == Signal::XCPU.as_raw() => {
            Err(Refused::Limit(format!("compiling it took more than {} s of CPU", limits.cpu_seconds)))
        }
        (_, Some(signal)) if signal == Signal::ABORT.as_raw() && said.contains("overflowed its stack") => {
            Err(Refused::Limit(
                "compiling it took more stack than there is; it is nested too deeply".to_owned(),
            ))
        }
        // What Rust's allocator says before it aborts; and what happens when the stack cannot grow into the limit.
        (_, Some(signal))
            if (signal == Signal::ABORT.as_raw() && said.contains("memory allocation of"))
                || (signal == Signal::SEGV.as_raw() && said.is_empty()) =>
        {
            Err(over_memory(limits))
        }
        (Some(code), _) if code == i32::from(EXIT_BROKEN) => Err(Refused::Host(said.to_owned())),
        _ if said.is_empty() => Err(Refused::Host(format!("the compiler ended with {status}"))),
        _ => Err(Refused::Host(format!("the compiler ended with {status}: {said}"))),
    }
}

fn over_memory(limits: &CompileLimits) -> Refused {
    Refused::Limit(format!("compiling it took more than {} MiB of memory", limits.memory_bytes >> 20))
}

/// What the hidden subcommand of the daemon calls, in a fresh process, with the arguments that follow it.
///
/// It limits the whole process it runs in, and writes to its stdout: call it before anything else is started.
pub fn child_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let (why, code) = match child(args) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Refused::Image(why)) => (why, EXIT_REFUSED),
        Err(Refused::Limit(why) | Refused::Spec(why) | Refused::Host(why)) => (why, EXIT_BROKEN),
    };
    // Nobody to tell if even this fails; the exit code says it too.
    let _ = writeln!(io::stderr(), "{why}");
    ExitCode::from(code)
}

fn child(args: impl IntoIterator<Item = OsString>) -> Result<(), Refused> {
    let args = Vec::from_iter(args);
    let [variant, reservation, cpu_seconds, memory_bytes, digest, path] = args.as_slice() else {
        return Err(Refused::Host(format!(
            "this subcommand is called by the agent itself; {} arguments",
            args.len()
        )));
    };
    let bad = |arg: &OsString| Refused::Host(format!("bad argument `{}`", arg.display()));
    let number = |arg: &OsString| arg.to_str().and_then(|arg| arg.parse().ok()).ok_or_else(|| bad(arg));
    let variant_of = |arg: &OsString| arg.to_str().and_then(Variant::parse).ok_or_else(|| bad(arg));
    let digest_of = |arg: &OsString| arg.to_str().and_then(|arg| arg.parse().ok()).ok_or_else(|| bad(arg));
    let (variant, reservation, digest) =
        (variant_of(variant)?, Reservation(number(reservation)?), digest_of(digest)?);
    limit(number(cpu_seconds)?, number(memory_bytes)?)
        .map_err(|error| Refused::Host(format!("the compiler's limits cannot be set: {error}")))?;
    let code = precompile(Path::new(path), digest, variant, reservation)?;
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(&code)
        .and_then(|()| stdout.flush())
        .map_err(|error| Refused::Host(format!("writing code: {error}")))
}

fn limit(cpu_seconds: u64, memory_bytes: u64) -> io::Result<()> {
    let set = |resource, current, maximum| {
        rustix::process::setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) })
    };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    set(Resource::Core, 0, 0)?;
    set(Resource::Fsize, 0, 0)?;
    // The soft limit's signal is the one that tells why.
    set(Resource::Cpu, cpu_seconds, cpu_seconds.saturating_add(1))?;
    set(Resource::As, memory_bytes, memory_bytes)?;
    // It may be as nice as can be already.
    let _ = rustix::process::nice(NICENESS);
    Ok(())
}

fn precompile(
    path: &Path,
    digest: Digest,
    variant: Variant,
    reservation: Reservation,
) -> Result<Vec<u8>, Refused> {
    let mut wasm = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut wasm));
    read.map_err(|error| Refused::Host(format!("{}: {error}", path.display())))?;
    if Digest::of(&wasm) != digest {
        return Err(Refused::Host(format!(
            "{}: its bytes are not those of {digest}; push the image again",
            path.display()
        )));
    }
    // The agent did this at the push; whoever put the file there otherwise gets the same answer.
    let kind = image::inspect(&wasm)?.kind;
    let engine = Engine::new(&engines::settings(variant, reservation))
        .map_err(|error| Refused::Host(format!("the compiler: {error:#}")))?;
    let compiled = match kind {
        ImageKind::Component => engine.precompile_component(&wasm),
        ImageKind::Module => engine.precompile_module(&wasm),
    };
    compiled.map_err(|error| Refused::Image(format!("it does not compile: {error:#}")))
}
