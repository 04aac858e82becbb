//! An agent of one's own: started in a temporary directory for one `wick run`, and gone with it.
//!
//! The agent must not outlive this program, however that ends. Between the two stands this program again, started anew
//! ([`become_agent`]): it has the kernel send SIGTERM when its parent dies, a setting that survives becoming `wickd`.
//! No code of ours runs between fork and exec. After a SIGKILL only the directory is left; the next `wick run` finds that
//! nobody holds its lock, and removes it.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Agent, Place};
use crate::failure::{Failure, reason};

/// The variable that names the agent's program.
const PROGRAM_VARIABLE: &str = "WICK_AGENT";
/// The agent's program.
const PROGRAM: &str = "wickd";
/// The first argument of this program where it is to become the agent. No verb: nobody is to be told of it.
pub(crate) const BECOME_AGENT: &str = "become-agent";

/// How the directory's name begins.
const PREFIX: &str = "wick-run-";
/// The file in it that whoever uses it holds a lock on.
const OWNER: &str = "owner";

/// How long the agent may take until it answers.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How long between two looks whether its socket is there.
const PAUSE: Duration = Duration::from_millis(2);
/// How long it may take to stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// How many of its last lines are shown when it fails.
const LAST_LINES: usize = 10;

/// A running agent. Dropped, it is killed, and its directory removed.
pub(crate) struct PrivateAgent {
    // In this order: the agent is dead before its directory goes.
    child: Child,
    words: JoinHandle<VecDeque<String>>,
    dir: TempDir,
    _owner: File,
}

impl PrivateAgent {
    /// Starts one, and connects to it.
    pub(crate) async fn start() -> Result<(PrivateAgent, Agent), Failure> {
        let program = find(|name| std::env::var_os(name), std::env::current_exe().ok().as_deref())?;
        remove_left_behind();
        let (dir, owner) = directory()?;
        let mut private = spawn(&program, dir, owner)?;
        let agent = private.connect().await?;
        Ok((private, agent))
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("wick.sock")
    }

    async fn connect(&mut self) -> Result<Agent, Failure> {
        let end = Instant::now() + START_PATIENCE;
        let socket = self.socket();
        while !socket.exists() {
            if let Ok(Some(_)) = self.child.try_wait() {
                return Err(self.died().await);
            }
            if Instant::now() > end {
                return Err(Failure::not_asked(format!(
                    "the agent did not answer within {}s",
                    START_PATIENCE.as_secs()
                )));
            }
            sleep(PAUSE).await;
        }
        match Agent::connect(&Place::Socket(socket)).await {
            Ok(agent) => Ok(agent),
            Err(failure) => match self.child.try_wait() {
                Ok(Some(_)) => Err(self.died().await),
                Ok(None) | Err(_) => Err(failure),
            },
        }
    }

    /// Returns when it has ended, which it should not, with what it said last.
    pub(crate) async fn ended(&mut self) -> Failure {
        // Where there is no waiting there is no child either.
        let _ = self.child.wait().await;
        self.died().await
    }

    async fn died(&mut self) -> Failure {
        let said = (&mut self.words).await.unwrap_or_default();
        let mut what = "the agent ended by itself".to_owned();
        if !said.is_empty() {
            what += ", and said last:";
        }
        for line in said {
            what += &format!("\n  {line}");
        }
        Failure::not_asked(what)
    }

    /// Asks it to stop, and waits until it has; `hurry` makes it end at once.
    pub(crate) async fn stop(mut self, hurry: impl Future<Output = ()>) -> Result<(), Failure> {
        if let Some(pid) = self.pid() {
            // It may have ended meanwhile, which is what is wanted.
            let _ = kill_process(pid, Signal::TERM);
        }
        let stopped = tokio::select! {
            stopped = timeout(STOP_PATIENCE, self.child.wait()) => stopped.is_ok(),
            () = hurry => false,
        };
        if !stopped {
            let _ = self.child.kill().await;
        }
        let path = self.dir.path().to_owned();
        self.dir.close().map_err(|error| {
            Failure::refused(format!("cannot remove {}: {}", path.display(), reason(&error)))
        })
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }
}

fn spawn(program: &Path, dir: TempDir, owner: File) -> Result<PrivateAgent, Failure> {
    let failed = |error: io::Error| {
        Failure::not_asked(format!("cannot start {}: {}", program.display(), reason(&error)))
    };
    let own = std::env::current_exe().map_err(failed)?;
    let mut command = tokio::process::Command::new(own);
    command.arg(BECOME_AGENT).arg(std::process::id().to_string()).arg(program);
    command.arg("--data-dir").arg(dir.path().join("data"));
    command.arg("--socket").arg(dir.path().join("wick.sock"));
    // What is set for the device's agent, its configuration file and what started us, is not meant for this one.
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_others(name)) {
        command.env_remove(name);
    }
    let config = dir.path().join("wickd.toml");
    File::create(&config).map_err(|error| Failure::file(&config, &error))?;
    command.env("WICK_CONFIG", config);
    // Whoever is told to stop has nobody left who looks at what guests would still do.
    command.env("WICK_DRAIN_SECONDS", "0");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // Ctrl-C goes to everybody in the terminal's group: the agent is told by us, in due order.
    command.process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    let stderr = child.stderr.take();
    let words = tokio::spawn(async move {
        let mut last = VecDeque::new();
        let Some(stderr) = stderr else { return last };
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
        last
    });
    Ok(PrivateAgent { child, words, dir, _owner: owner })
}

/// How much an agent says is everybody's, for it is asked when something is looked for.
fn is_of_others(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| match name {
        "WICK_LOG" => false,
        "NOTIFY_SOCKET" | "WATCHDOG_USEC" | "WATCHDOG_PID" => true,
        name => name.starts_with("WICK_"),
    })
}

/// Where the agent's program is: where the environment says, beside this program, or in `PATH`.
fn find(env: impl Fn(&str) -> Option<OsString>, own: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(named) = env(PROGRAM_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from) {
        return match is_program(&named) {
            true => Ok(named),
            false => Err(Failure::not_asked(format!(
                "{PROGRAM_VARIABLE}={}: there is no such program",
                named.display()
            ))),
        };
    }
    let beside = own.and_then(Path::parent).map(|dir| dir.join(PROGRAM));
    let path = env("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(PROGRAM));
    let candidates: Vec<PathBuf> = beside.into_iter().chain(in_path).collect();
    candidates.iter().find(|candidate| is_program(candidate)).cloned().ok_or_else(|| {
        let looked: Vec<String> =
            candidates.iter().filter_map(|path| Some(path.parent()?.display().to_string())).collect();
        Failure::not_asked(format!("no {PROGRAM} to start an agent with; looked in {}", looked.join(", ")))
            .hint(format!(
                "install it beside wick, name it in {PROGRAM_VARIABLE}, or use a running agent: --socket PATH"
            ))
    })
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// A new directory, and the lock that says that it is in use.
fn directory() -> Result<(TempDir, File), Failure> {
    let made = || -> io::Result<(TempDir, File)> {
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        // Locked before it has its name: whoever finds it finds it in use.
        let unnamed = dir.path().join("new");
        let owner = File::create(&unnamed)?;
        owner.lock()?;
        fs::rename(&unnamed, dir.path().join(OWNER))?;
        Ok((dir, owner))
    };
    made().map_err(|error| {
        let place = std::env::temp_dir();
        Failure::not_asked(format!("cannot make a directory in {}: {}", place.display(), reason(&error)))
            .hint("TMPDIR names another place")
    })
}

/// Removes what a `wick run` that was killed left behind. What cannot be looked at is somebody else's.
fn remove_left_behind() {
    remove_unused(&std::env::temp_dir());
}

fn remove_unused(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes())
            && let Ok(owner) = File::open(entry.path().join(OWNER))
            && owner.try_lock().is_ok()
        {
            // It is of no use to anybody; a part of it that stays is tried again the next time.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Becomes the agent of the process that started this one: `args` are that process's id, the agent's program, and what
/// the agent is told. Does not return if it succeeds.
pub(crate) fn become_agent(mut args: impl Iterator<Item = OsString>) -> Failure {
    let parent = args.next().and_then(|id| id.to_str()?.parse::<i32>().ok());
    let (Some(parent), Some(program)) = (parent, args.next()) else {
        return Failure::not_asked(format!("`{BECOME_AGENT}` is for `wick run` only"));
    };
    let failed = |error: &io::Error| {
        Failure::not_asked(format!("cannot start {}: {}", Path::new(&program).display(), reason(error)))
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        return failed(&error.into());
    }
    // It may have died before the kernel knew whom to tell.
    if getppid().map(Pid::as_raw_pid) != Some(parent) {
        return Failure::not_asked("nobody waits for this agent");
    }
    failed(&Command::new(&program).args(args).exec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn an_agent_beside_wick_comes_before_one_in_the_path() {
        check(&["bin/wickd", "path/wickd"], "", expect!["DIR/bin/wickd"]);
        check(&["path/wickd"], "", expect!["DIR/path/wickd"]);
        check(&["bin/wickd", "mine/agent"], "mine/agent", expect!["DIR/mine/agent"]);
    }

    #[test]
    fn where_there_is_none_it_is_said_where_it_was_looked_for() {
        check(
            &[],
            "",
            expect![[r#"
            error: no wickd to start an agent with; looked in DIR/bin, DIR/path
            hint: install it beside wick, name it in WICK_AGENT, or use a running agent: --socket PATH"#]],
        );
        check(
            &["bin/wickd"],
            "mine/agent",
            expect!["error: WICK_AGENT=DIR/mine/agent: there is no such program"],
        );
    }

    #[test]
    fn only_what_nobody_uses_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let dir = place.path().join(name);
            fs::create_dir(&dir).unwrap();
            let owner = File::create(dir.join(OWNER)).unwrap();
            fs::write(dir.join("data"), "x").unwrap();
            owner
        };
        let used = make("wick-run-used");
        used.lock().unwrap();
        drop(make("wick-run-left"));
        drop(make("other"));
        fs::create_dir(place.path().join("wick-run-new")).unwrap();
        remove_unused(place.path());
        let mut left: Vec<_> =
            fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["other", "wick-run-new", "wick-run-used"]);
    }

    fn check(programs: &[&str], named: &str, wanted: Expect) {
        let dir = tempfile::tempdir().unwrap();
        for program in programs {
            let path = dir.path().join(program);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let env = |name: &str| match name {
            PROGRAM_VARIABLE if named.is_empty() => None,
            PROGRAM_VARIABLE => Some(dir.path().join(named).into_os_string()),
            _ => Some(dir.path().join("path").into_os_string()),
        };
        let said = match find(env, Some(&dir.path().join("bin/wick"))) {
            Ok(path) => path.display().to_string(),
            Err(Failure::NotAsked(words)) => words.to_string(),
            Err(failure) => format!("{failure:?}"),
        };
        wanted.assert_eq(&said.replace(&dir.path().display().to_string(), "DIR"));
    }
}
