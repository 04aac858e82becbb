//! `examples/clients/rust`: built and run as its README says, in a workspace of its own.

use std::path::Path;

use wick_tests::programs;

use crate::follow_readme;

#[test]
fn rust_does_what_its_readme_shows() {
    // Where `cargo xtask test` keeps what it is built of.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients-rust");
    let dir = programs::example("clients/rust");
    follow_readme(&dir, &[], &[&format!("export CARGO_TARGET_DIR='{}'", target.display())]);
}
