//! What is in packaging/ is accepted by those it is for.

use std::fs;
use std::process::Command;

use wick_tests::programs;

use crate::tools::or_skip;

#[test]
fn systemd_accepts_the_unit() {
    let there = Command::new("systemd-analyze").arg("--version").output().is_ok();
    if !or_skip(there, "systemd-analyze is not there; CI needs it") {
        return;
    }
    let unit = fs::read_to_string(programs::root().join("packaging/wickd.service")).unwrap();
    // It is not installed here; systemd looks whether its program is there.
    let unit = unit.replace("/usr/bin/wickd", programs::wickd().to_str().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wickd.service");
    fs::write(&path, unit).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // Other units of this machine are no business of ours.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("wickd")).collect();
    assert!(output.status.success() && ours.is_empty(), "{}: {said}", output.status);
}

#[test]
fn the_agent_accepts_the_configuration() {
    let path = programs::root().join("packaging/wickd.toml");
    let output = Command::new(programs::wickd()).args(["config", "check"]).arg(&path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{} is fine\n", path.display()));
    assert!(output.status.success());
}
