//! Where the tools of others are, and what a test does without them.

use std::io::Write;
use std::path::PathBuf;

use wick_tests::programs;

/// `buf`, as its npm package has it.
pub(crate) fn buf() -> Option<PathBuf> {
    tool("buf", "buf")
}

/// A Python with the packages of `examples/clients/python/requirements.txt`.
pub(crate) fn python() -> Option<PathBuf> {
    tool("python with grpcio-tools", "python/bin/python")
}

/// `None` where it is not installed, once that has been told. CI has installed it, so there it is a failure.
fn tool(name: &str, path: &str) -> Option<PathBuf> {
    let path = programs::root().join("target/tools").join(path);
    if path.exists() {
        return Some(path);
    }
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let why = format!("{name} is not there ({}); `cargo xtask tools` installs it", path.display());
    assert!(std::env::var_os("CI").is_none(), "{why}");
    // Not `eprintln`, which only failing tests are heard with; in one piece, as other tests speak too.
    let _ = std::io::stderr().write_all(format!("{test}: skipped: {why}\n").as_bytes());
    None
}
