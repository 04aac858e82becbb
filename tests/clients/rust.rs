//! `examples/clients/rust`: built by cargo in a workspace of its own, as a stranger would.

use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::expect;
use wick_tests::programs;

use crate::{hello, listening, told};

#[test]
fn rust_runs_a_module_as_a_job_and_is_told_which_field_is_wrong() {
    let node = listening();
    let client = build();
    let server = format!("http://{}", node.address());
    let (module, printed) = hello();
    let output = Command::new(&client).args(["--server", &server, &module]).output().unwrap();
    assert_eq!(told(&output), format!("exit 0\n--- stdout\n{printed}--- stderr\nfrom-rust: Complete\n"));

    let wrong = ["--server", &server, "--name", "Not_A_Name", &module];
    let output = Command::new(&client).args(wrong).output().unwrap();
    expect![[r#"
        exit 1
        --- stdout
        --- stderr
        error: metadata.name: `Not_A_Name` must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
    "#]]
    .assert_eq(&told(&output));
}

/// The client's program. Cargo leaves alone what is up to date.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients-rust");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(programs::example("clients/rust"))
        .args(["build", "--locked", "--target-dir"])
        .arg(&target);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    target.join("debug/wick-client")
}
