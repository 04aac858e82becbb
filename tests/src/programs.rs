//! Where the programs and the guests are that `cargo xtask test` has built before any test runs.

use std::path::{Path, PathBuf};

/// The checkout.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// A file of examples/.
pub fn example(path: &str) -> PathBuf {
    built(root().join("examples").join(path))
}

/// The guest of this name in examples/, as a module.
pub fn guest(name: &str) -> PathBuf {
    built(root().join(format!("examples/target/wasm32-wasip1/release/{name}.wasm")))
}

/// A guest of the tests' own, in text form.
pub fn own_guest(name: &str) -> PathBuf {
    built(root().join(format!("tests/guests/{name}.wat")))
}

/// The daemon.
pub fn wickd() -> PathBuf {
    program("wickd")
}

/// The command line.
pub fn wick() -> PathBuf {
    program("wick")
}

/// Cargo puts tests into `deps`, and programs beside that directory, wherever its target directory is.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let dir = test.parent().and_then(Path::parent).expect("tests are built into target/PROFILE/deps");
    built(dir.join(name))
}

fn built(path: PathBuf) -> PathBuf {
    assert!(
        path.exists(),
        "{} is not there: `cargo xtask test` builds the guests and the programs before the tests; \
         on its own: `cargo xtask guests && cargo build -p wick-agent -p wick-cli`",
        path.display()
    );
    path
}
