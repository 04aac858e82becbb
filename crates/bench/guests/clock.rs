//! Says at once what time it is, in nanoseconds since 1970.
//!
//! `cargo xtask bench` compiles it twice, for WASI and for this machine: what it says is when the first instruction of a
//! program ran that somebody had asked for earlier.

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    println!("{}", now.as_nanos());
}
