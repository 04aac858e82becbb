//! Works for a while, and says when it began and when it ended.
//!
//! `cargo xtask demo` runs it, and so does the test that kills the agent: from these lines it knows how many
//! guests were alive at once. A guest that was killed has a start and no end.
//!
//! With `JOURNAL` set, the same lines are added to the file of that name, which many guests may share.

use std::fs::{File, OpenOptions};
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
    let mut journal = match std::env::var("JOURNAL").ok().map(|path| (open(&path), path)) {
        None => None,
        Some((Ok(file), _)) => Some(file),
        Some((Err(error), path)) => {
            eprintln!("{path}: {error}");
            return ExitCode::from(2);
        }
    };
    let lived = say("start", &pod, &mut journal).and_then(|()| {
        std::thread::sleep(work);
        say("end", &pod, &mut journal)
    });
    match lived {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Prints `<what> <pod> <milliseconds since 1970>`, and sees it off.
fn say(what: &str, pod: &str, journal: &mut Option<File>) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let line = format!("{what} {pod} {}\n", now.as_millis());
    if let Some(journal) = journal {
        // One write: lines of guests that write at the same time do not mix.
        journal.write_all(line.as_bytes())?;
    }
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}
