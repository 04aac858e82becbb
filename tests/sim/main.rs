//! Whole worlds from one seed: the real `sched` and `engine`, and everything around them that can go wrong.
//!
//! A world is a device with a store that loses what was not committed, clocks that jump both ways, guests that end as they
//! like, twice, late or never, a disk that fills up, and clients that repeat themselves. After every commit a checker with a
//! memory of its own looks whether the promises are kept. Then everything that is broken is mended, and the world must come
//! to rest.
//!
//! Run as a program it lives worlds for as long as it is told (`cargo xtask sim SECONDS`); its tests live a fixed number. What
//! the world cannot do, it cannot find: a new event, effect or kind enters it in the same commit. The disk itself is not
//! here; `cargo xtask powercut` cuts its power.

mod books;
mod checker;
mod clients;
mod cron_jobs;
mod device;
mod guests;
mod jobs;
mod lived;
mod walk;
mod world;
mod zones;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use lived::Sum;
use world::World;

/// What is asked of it.
struct Asked {
    seconds: u64,
    /// Worlds to live at most.
    worlds: u64,
    seed: u64,
    /// Tell what happens.
    story: bool,
}

fn main() -> ExitCode {
    let asked = match parse(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("error: {why}\nusage: wick-sim [--seconds N] [--worlds N] [--seed N] [--story]");
            return ExitCode::from(2);
        }
    };
    let began = Instant::now();
    let mut told = Duration::ZERO;
    let mut sum = Sum::default();
    for seed in asked.seed.. {
        if began.elapsed() >= Duration::from_secs(asked.seconds) || sum.worlds >= asked.worlds {
            break;
        }
        match World::live(seed, asked.story) {
            Ok(lived) => sum.add(&lived),
            Err(broken) => {
                println!("{broken}");
                println!("again, with its story: cargo xtask sim --worlds 1 --seed {seed} --story");
                return ExitCode::FAILURE;
            }
        }
        if began.elapsed() - told >= Duration::from_secs(60) {
            told = began.elapsed();
            println!("{:>6} s  {sum}", told.as_secs());
        }
    }
    println!("{sum}");
    if !sum.misses().is_empty() {
        println!("never happened: {}", sum.misses().join(", "));
    }
    ExitCode::SUCCESS
}

fn parse(args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked { seconds: u64::MAX, worlds: u64::MAX, seed: 1, story: false };
    let mut args = args;
    let mut limited = false;
    while let Some(arg) = args.next() {
        if arg == "--story" {
            asked.story = true;
            continue;
        }
        let value = args.next().ok_or_else(|| format!("`{arg}` needs a number"))?;
        let number = value.parse().map_err(|_| format!("`{value}` is not a number"))?;
        match arg.as_str() {
            "--seconds" => (asked.seconds, limited) = (number, true),
            "--worlds" => (asked.worlds, limited) = (number, true),
            "--seed" => asked.seed = number,
            _ => return Err(format!("no flag `{arg}`")),
        }
    }
    if limited { Ok(asked) } else { Err("say for how long: --seconds N or --worlds N".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::lived::Sum;
    use super::world::World;

    /// Enough for every kind of event and fault to have happened many times; a longer search is `cargo xtask sim`.
    const WORLDS: u64 = 120;

    #[test]
    fn no_promise_is_broken_in_any_world() {
        let mut sum = Sum::default();
        for seed in 1..=WORLDS {
            match World::live(seed, false) {
                Ok(lived) => sum.add(&lived),
                Err(broken) => panic!("{broken}"),
            }
        }
        println!("{sum}");
        assert!(sum.misses().is_empty(), "never happened in {WORLDS} worlds: {}", sum.misses().join(", "));
    }

    #[test]
    fn one_seed_gives_one_world() {
        for seed in [3, 7, 11] {
            let told =
                |_| World::live(seed, true).map_or_else(|broken| broken, |lived| lived.story.join("\n"));
            let (once, again) = (told(()), told(()));
            assert!(once == again && !once.is_empty(), "seed {seed} gave two worlds");
        }
    }
}
