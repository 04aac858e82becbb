//! `crun`, where it is installed: the same native program in a container that sees this machine's libraries.
//!
//! There is no image, no network and no cgroup in it: less than anybody would run, so that what is measured is what a
//! container costs at the least.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Makes commands that run one program in a container.
pub(crate) struct Crun {
    bundle: TempDir,
}

impl Crun {
    /// `None` where there is no `crun`; an error where there is one that cannot run `program` here.
    pub(crate) fn find(program: &Path, scratch: &Path) -> Result<Option<Crun>> {
        let version = Command::new("crun").arg("--version").stdout(Stdio::null()).status();
        if !version.is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        let bundle = tempfile::Builder::new().prefix("crun-").tempdir_in(scratch)?;
        let program = fs::canonicalize(program).with_context(|| program.display().to_string())?;
        fs::create_dir(bundle.path().join("rootfs"))?;
        fs::write(bundle.path().join("config.json"), config(&program).to_string())?;
        let crun = Crun { bundle };
        let mut trial = crun.command("trial");
        let output = trial.stdin(Stdio::null()).output().context("`crun` could not be started")?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            bail!("`crun` is installed and cannot run a container here: {words}");
        }
        Ok(Some(crun))
    }

    /// Runs the program once, in a container called `name`.
    pub(crate) fn command(&self, name: &str) -> Command {
        let state: PathBuf = self.bundle.path().join("state");
        let mut command = Command::new("crun");
        command.arg("--root").arg(state).args(["--cgroup-manager", "disabled", "run", "--bundle"]);
        command.arg(self.bundle.path()).arg(format!("wick-bench-{}-{name}", std::process::id()));
        command
    }
}

fn config(program: &Path) -> Value {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let namespaces = ["pid", "mount", "ipc", "uts", "user"].map(|kind| json!({"type": kind}));
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc"}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}),
    ];
    let bind = |from: &Path, to: &str| json!({"destination": to, "type": "bind", "source": from, "options": ["bind", "ro"]});
    mounts.push(bind(program, "/program"));
    // The program needs its loader and libc.
    let libraries = ["/lib", "/lib64", "/usr/lib"].into_iter().filter(|dir| Path::new(dir).is_dir());
    mounts.extend(libraries.map(|dir| bind(Path::new(dir), dir)));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/program"],
            "cwd": "/",
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": mounts,
        "linux": {
            "namespaces": namespaces,
            "uidMappings": [{"containerID": 0, "hostID": uid.as_raw(), "size": 1}],
            "gidMappings": [{"containerID": 0, "hostID": gid.as_raw(), "size": 1}],
        },
    })
}
