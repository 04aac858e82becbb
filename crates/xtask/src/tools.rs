//! `cargo xtask tools`: installs what the tests of other people's clients need.
//!
//! All of it lies in target/tools, caches included, and goes with that directory. Versions are pinned: here, and in the
//! Python client's requirements.txt. What was installed before and is still as pinned is left alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::project;

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "tools",
    about: "Installs what the tests of other people's clients need",
    help: "
Installs `buf` (through npm) and grpcio-tools (through pip, in a virtual environment) into
target/tools, and nothing anywhere else. Needs `npm` and `python3`. `cargo xtask test` does the
same where `CI` is set; elsewhere tests without their tools are skipped.",
    run: crate::Run::Alone(install),
};

/// The npm package that carries the program `buf`.
const BUF: &str = "@bufbuild/buf@1.75.0";

/// Installs the tools where a missing one is a failure.
pub(crate) fn in_ci() -> Result<()> {
    match std::env::var_os("CI") {
        Some(_) => programs().and_then(|()| install()),
        None => {
            println!("    left as they are: `CI` is not set; `cargo xtask tools` installs them");
            Ok(())
        }
    }
}

/// What tests call and a bare machine may lack: the program, and the Debian package that brings it.
const PROGRAMS: [(&str, &str); 4] =
    [("npm", "npm"), ("python3", "python3-venv"), ("strace", "strace"), ("systemd-analyze", "systemd")];

/// What compiles C for WASI, as the README has it: packages that are of use together only.
const C_FOR_WASI: [&str; 4] = ["clang", "lld", "wasi-libc", "libclang-rt-dev-wasm32"];

/// Installs the programs that are missing, where there is apt-get to do it.
fn programs() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |program: &str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let mut missing: Vec<_> =
        PROGRAMS.iter().filter(|(program, _)| !found(program)).map(|(_, package)| *package).collect();
    if !compiles_c()? {
        missing.extend(C_FOR_WASI);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let wanted = format!("install {} and run this again", missing.join(", "));
    run(Command::new("apt-get").arg("update").arg("--quiet"), &wanted)?;
    let mut install = Command::new("apt-get");
    install.args(["install", "--quiet", "--yes", "--no-install-recommends"]).args(&missing);
    run(&mut install, &wanted)
}

/// Tried, because which files clang needs, and where it looks for them, is different from one version to the next.
fn compiles_c() -> Result<bool> {
    let dir = tempfile::tempdir().context("no temporary directory")?;
    let source = dir.path().join("nothing.c");
    fs::write(&source, "int main(void) { return 0; }\n").with_context(|| source.display().to_string())?;
    let mut clang = Command::new("clang");
    clang.arg("--target=wasm32-wasi").arg(&source).arg("-o").arg(dir.path().join("nothing.wasm"));
    let compiled = clang.stdout(Stdio::null()).stderr(Stdio::null()).status();
    Ok(compiled.is_ok_and(|status| status.success()))
}

fn install() -> Result<()> {
    let dir = project::target("tools");
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let requirements = project::examples().join("clients/python/requirements.txt");
    let pinned = fs::read_to_string(&requirements).with_context(|| requirements.display().to_string())?;
    once(&dir.join("buf.installed"), BUF, || buf(&dir))?;
    once(&dir.join("python.installed"), &pinned, || python(&dir, &requirements))
}

/// Does `work` unless `stamp` says that it was done for what is `wanted`.
fn once(stamp: &Path, wanted: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    if fs::read_to_string(stamp).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    work()?;
    fs::write(stamp, wanted).with_context(|| stamp.display().to_string())
}

/// The package for this machine is one that `BUF` depends on. Its program gets a name in `dir` that says nothing of the
/// machine; what npm offers is a script around it, which does not take it along when it is killed.
fn buf(dir: &Path) -> Result<()> {
    let mut npm = Command::new("npm");
    npm.current_dir(dir).args(["install", "--prefix", ".", "--cache", "npm-cache", "--no-save"]);
    npm.args(["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error", BUF]);
    run(&mut npm, "install Node.js, which brings it")?;
    let packages = dir.join("node_modules/@bufbuild");
    let listed = fs::read_dir(&packages).with_context(|| packages.display().to_string())?;
    let mut programs =
        listed.flatten().filter(|package| package.file_name().to_string_lossy().starts_with("buf-"));
    let program = programs.next().context("npm has no `buf` for this machine")?.path().join("bin/buf");
    let link = dir.join("buf");
    if let Err(error) = fs::remove_file(&link)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| link.display().to_string());
    }
    symlink(program.strip_prefix(dir).unwrap_or(&program), &link).with_context(|| link.display().to_string())
}

fn python(dir: &Path, requirements: &Path) -> Result<()> {
    let venv = dir.join("python");
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&venv);
    run(&mut make, "install Python 3 with its module `venv`")?;
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--requirement",
    ]);
    project::run(pip.arg(requirements))
}

fn run(command: &mut Command, otherwise: &str) -> Result<()> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("`{}` failed: {status}", project::line(command)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("there is no `{}`; {otherwise}", command.get_program().to_string_lossy())
        }
        Err(error) => {
            Err(error).with_context(|| format!("`{}` could not be started", project::line(command)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_installed_again_only_when_another_version_is_pinned() {
        let dir = tempfile::tempdir().unwrap();
        let stamp = dir.path().join("stamp");
        let mut installed = Vec::new();
        for wanted in ["1", "1", "2", "2"] {
            once(&stamp, wanted, || {
                installed.push(wanted);
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(installed, ["1", "2"]);
        assert!(once(&stamp, "3", || bail!("no network")).is_err());
        assert_eq!(fs::read_to_string(&stamp).unwrap(), "2", "a failed installation is tried again");
    }
}
