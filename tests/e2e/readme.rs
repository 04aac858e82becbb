//! Every command of README.md, typed in order into one shell in a fresh clone, prints what the README shows.
//!
//! The programs are those that the tests were built with; everything else that a newcomer builds is built here.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use wick_tests::programs;
use wick_tests::transcript::{Shell, What, clone_to, steps};

use crate::tools::or_skip;

/// What is not typed, by how it begins, and why.
const LEFT_OUT: [(&str, &str); 4] = [
    ("cargo xtask demo", "a step of `cargo xtask test`"),
    ("cargo xtask test", "runs this test"),
    (
        "cargo build --release --package wick-agent",
        "takes minutes; the programs under test are put where it puts them",
    ),
    ("sudo apt-get install", "needs root and the network; `cargo xtask test` installs the same in CI"),
];

/// Whose Pods' names are shown.
const JOBS: [&str; 4] = ["hello", "report", "greet", "greet-c"];

/// What a section needs that a machine may not have.
fn can_do(section: &str) -> bool {
    section != "C" || or_skip(wasi_c(), "clang with WASI's C library is not there; CI needs it")
}

/// Whether C can be compiled for WASI as the README says.
fn wasi_c() -> bool {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.c"), "#include <stdio.h>\nint main(void) { return puts(\"\"); }\n").unwrap();
    let mut shell = Shell::start(dir.path(), dir.path());
    shell.run("clang --target=wasm32-wasi -O2 -o a.wasm a.c").0 == 0
}

#[test]
fn every_command_of_the_readme_does_what_it_shows() {
    let page = fs::read_to_string(programs::root().join("README.md")).unwrap();
    let clone = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    clone_to(&clone);
    let release = clone.join("target/release");
    fs::create_dir_all(&release).unwrap();
    for (name, program) in [("wick", programs::wick()), ("wickd", programs::wickd())] {
        let link = release.join(name);
        let _ = fs::remove_file(&link);
        symlink(program, link).unwrap();
    }
    let home = tempfile::Builder::new().prefix("wick-readme-").tempdir().unwrap();
    let mut shell = Shell::start(&clone, home.path());

    let mut unused: Vec<&str> = LEFT_OUT.iter().map(|(begins, _)| *begins).collect();
    let mut section = (String::new(), true);
    for step in steps(&page) {
        if section.0 != step.section {
            section = (step.section.clone(), can_do(&step.section));
        }
        if let What::Command { text, .. } = &step.what
            && let Some((begins, why)) = LEFT_OUT.iter().find(|(begins, _)| text.starts_with(begins))
        {
            unused.retain(|other| other != begins);
            println!("{}: left out: {text}: {why}", step.line);
        } else if section.1 {
            println!("{}: {:?}", step.line, step.what);
            shell.follow(&step, &JOBS);
        }
    }
    assert!(unused.is_empty(), "the README has no {unused:?} any more");
}
