//! Counts down from nine, one line at a time.

use std::process::ExitCode;
use std::time::Duration;

const PAUSE_MS: u64 = 1000;

fn main() -> ExitCode {
    let pause = match std::env::var("PAUSE_MS").ok().map(|text| text.parse::<u64>()).transpose() {
        Ok(ms) => Duration::from_millis(ms.unwrap_or(PAUSE_MS)),
        Err(_) => {
            eprintln!("PAUSE_MS: not a number of milliseconds");
            return ExitCode::from(2);
        }
    };
    for n in (1..=9).rev() {
        println!("{n}");
        std::thread::sleep(pause);
    }
    ExitCode::SUCCESS
}
