//! How a guest ended, and what it used.

use std::time::Duration;

use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::{guest::StopReason, memory::OverMemory};

/// How a guest ended: exactly one of these, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with what it said, 0 to 255 (more is cut to the low byte, as a process' is).
    Code(u8),
    /// By doing what WebAssembly forbids.
    Trap {
        /// Wasmtime's name for it, `UnreachableCodeReached` for one; `HostError` where a host call ended the guest.
        name: String,
        /// What happened, and the innermost functions it happened in.
        message: String,
    },
    /// It used all its fuel.
    OutOfFuel {
        /// What it had.
        limit: u64,
    },
    /// It ran for longer than [`deadline`](crate::GuestSpec::deadline).
    Deadline {
        /// What it had.
        limit: Duration,
    },
    /// It asked for more memory than it may have.
    OutOfMemory {
        /// Its memories and tables together could have this many bytes.
        limit_bytes: u64,
    },
    /// It was told to stop, or the runtime shut down.
    Stopped(StopReason),
    /// It never ran.
    Refused {
        /// What stood against it, and what would be right.
        why: String,
    },
}

impl Exit {
    /// The exit code Kubernetes shows.
    pub fn code(&self) -> i32 {
        match self {
            Exit::Code(code) => i32::from(*code),
            Exit::Trap { .. } => 134,
            Exit::OutOfFuel { .. } => 152,
            Exit::Deadline { .. } | Exit::OutOfMemory { .. } | Exit::Stopped(_) => 137,
            Exit::Refused { .. } => 128,
        }
    }

    /// One word for it, as a container's `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Exit::Code(0) => "Completed",
            Exit::Code(_) => "Error",
            Exit::Trap { .. } => "Trap",
            Exit::OutOfFuel { .. } => "OutOfFuel",
            Exit::Deadline { .. } => "DeadlineExceeded",
            Exit::OutOfMemory { .. } => "OOMKilled",
            Exit::Stopped(_) => "Stopped",
            Exit::Refused { .. } => "Refused",
        }
    }
}

/// What a guest used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// From when its code could first run (compiled, with a slot) to its end.
    pub wall: Duration,
    /// Time on one of the runtime's threads. On a machine that is busy with other processes this is an upper
    /// bound; file operations, which run beside, are not in it.
    pub cpu: Duration,
    /// Fuel, where it had a limit.
    pub fuel: Option<u64>,
    /// The most its memories and tables had together. Asked for, not resident.
    pub peak_memory_bytes: u64,
}

/// The last word about a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// What it used.
    pub usage: Usage,
}

/// Functions named in a trap's message.
const NAMED_FRAMES: usize = 8;
/// Bytes of one function's name; Rust's can fill a screen.
const FRAME_NAME_BYTES: usize = 120;

/// What an error out of a guest's call says about its end. `fuel` is its limit.
pub(crate) fn of_error(error: &wasmtime::Error, fuel: Option<u64>) -> Exit {
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Exit::Code(code.to_le_bytes()[0]);
    }
    if let Some(OverMemory { limit_bytes }) = error.downcast_ref() {
        return Exit::OutOfMemory { limit_bytes: *limit_bytes };
    }
    match (error.downcast_ref::<Trap>(), fuel) {
        (Some(Trap::OutOfFuel), Some(limit)) => Exit::OutOfFuel { limit },
        (Some(trap), _) => {
            let said = trap.to_string();
            let said = said.strip_prefix("wasm trap: ").unwrap_or(&said);
            Exit::Trap { name: format!("{trap:?}"), message: with_frames(said.to_owned(), error) }
        }
        (None, _) => {
            // The outermost context is the backtrace; what went wrong is at the bottom.
            let said = error.root_cause().to_string();
            Exit::Trap { name: "HostError".to_owned(), message: with_frames(said, error) }
        }
    }
}

fn with_frames(mut message: String, error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return message };
    let frames = backtrace.frames();
    for (n, frame) in frames.iter().take(NAMED_FRAMES).enumerate() {
        message.push_str(if n == 0 { ", in " } else { " < " });
        let name = match frame.func_name() {
            Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
            None => format!("function {}", frame.func_index()),
        };
        match name.char_indices().nth(FRAME_NAME_BYTES) {
            Some((end, _)) => {
                message.push_str(&name[..end]);
                message.push('…');
            }
            None => message.push_str(&name),
        }
    }
    if frames.len() > NAMED_FRAMES {
        message.push_str(" < …");
    }
    message
}
