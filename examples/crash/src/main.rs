//! Hits a trap: `abort` is the `unreachable` instruction, as is the end of a panic in a release build.

fn main() {
    println!("about to crash");
    std::process::abort();
}
