//! Works for a while, and says when it began and when it ended.
//!
//! `cargo xtask demo` runs it, and so does the test that kills the agent: from these lines it knows how many
//! guests were alive at once. A guest that was killed has a start and no end.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const WORK_MS: u64 = 200;

fn main() -> ExitCode {
    let work = match std::env::var("WORK_MS").ok().map(|text| text.parse::<u64>()).transpose() {
        Ok(ms) => Duration::from_millis(ms.unwrap_or(WORK_MS)),
        Err(_) => {
            eprintln!("WORK_MS: not a number of milliseconds");
            return ExitCode::from(2);
        }
    };
    let pod = std::env::var("POD_NAME").unwrap_or_else(|_| "unknown".into());
    let lived = say("start", &pod).and_then(|()| {
        std::thread::sleep(work);
        say("end", &pod)
    });
    match lived {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stdout: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints `<what> <pod> <milliseconds since 1970>`, and sees it off.
fn say(what: &str, pod: &str) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut out = io::stdout().lock();
    writeln!(out, "{what} {pod} {}", now.as_millis())?;
    out.flush()
}
