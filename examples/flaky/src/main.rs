//! Fails until its N-th start.
//!
//! It counts its starts in a file on the volume at /state. A restarted container finds the file again; a new
//! Pod would begin with an empty volume, and so at one.

use std::process::ExitCode;
use std::{fs, io};

const STARTS: &str = "/state/starts";

fn main() -> ExitCode {
    let Some(wanted) = std::env::var("SUCCEED_ON_START").ok().and_then(|text| text.parse().ok()) else {
        eprintln!("SUCCEED_ON_START: not set to a number");
        return ExitCode::from(2);
    };
    let start = match count_start() {
        Ok(start) => start,
        Err(error) => {
            eprintln!("{STARTS}: {error}");
            return ExitCode::from(2);
        }
    };
    if start < wanted {
        println!("start {start} of {wanted}: failing");
        return ExitCode::FAILURE;
    }
    println!("start {start} of {wanted}: done");
    ExitCode::SUCCESS
}

fn count_start() -> io::Result<u32> {
    let before = match fs::read_to_string(STARTS) {
        Ok(text) => text.trim().parse().map_err(io::Error::other)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let start = before + 1;
    fs::write(STARTS, format!("{start}\n"))?;
    Ok(start)
}
