//! A device: a directory with its data, a socket, and most of the time an agent.

use std::ffi::OsString;
use std::fs;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::agent::{Agent, NotReady, Ready};
use crate::client::Client;
use crate::lines::Lines;
use crate::{PATIENCE, PATIENCE_FLAG, Said, programs};

/// What every node is called.
const NODE_NAME: &str = "gate";

/// A device. It starts empty, and goes with everything on it when it is dropped.
pub struct Node {
    dir: TempDir,
    data: PathBuf,
    socket: PathBuf,
    flags: Vec<OsString>,
    wrapper: Vec<String>,
    agent: Option<Agent>,
    ready: Option<Ready>,
    /// What agents said that are no more.
    past_log: String,
}

impl Node {
    /// A device with an agent that can be asked.
    pub fn start() -> Node {
        Node::start_with(&[])
    }

    /// The same, with more flags for the agent.
    pub fn start_with(flags: &[&str]) -> Node {
        let mut node = Node::off(flags);
        node.boot();
        node
    }

    /// A device whose agent was never started.
    pub fn off(flags: &[&str]) -> Node {
        let dir = tempfile::Builder::new().prefix("wick-e2e-").tempdir().expect("a temporary directory");
        let flags = flags.iter().map(OsString::from).collect();
        let (data, socket) = (dir.path().join("data"), dir.path().join("wick.sock"));
        Node {
            dir,
            data,
            socket,
            flags,
            wrapper: Vec::new(),
            agent: None,
            ready: None,
            past_log: String::new(),
        }
    }

    /// Adds a flag; it counts from the next boot on.
    pub fn add_flag(&mut self, name: &str, value: impl Into<OsString>) {
        self.flags.extend([name.into(), value.into()]);
    }

    /// Words to put before `wickd` from the next boot on.
    pub fn wrap(&mut self, wrapper: &[&str]) {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
    }

    /// Starts the agent and waits until it can be asked.
    pub fn boot(&mut self) {
        if let Err(NotReady { code, stderr }) = self.try_boot() {
            panic!("the agent ended before it was ready, exit code {code:?}; it said:\n{stderr}");
        }
    }

    /// Starts the agent; how it ended if it did before it could be asked.
    pub fn try_boot(&mut self) -> Result<(), NotReady> {
        self.begin_boot();
        match self.agent().wait_until_ready() {
            Ok(ready) => {
                self.ready = Some(ready);
                Ok(())
            }
            Err(not_ready) => {
                self.bury();
                Err(not_ready)
            }
        }
    }

    /// Starts the agent and waits for nothing.
    pub fn begin_boot(&mut self) {
        assert!(self.agent.is_none(), "this node has an agent already");
        let mut args: Vec<OsString> = Vec::new();
        // One of its own, so that whatever this machine is configured for is not heard here. Who is stopped goes at once,
        // whatever still runs; a flag says otherwise.
        let config = self.write("wickd.toml", "drain_seconds = 0\n");
        for (flag, value) in [("--config", config), ("--data-dir", self.data()), ("--socket", self.socket())]
        {
            args.extend([flag.into(), value.into()]);
        }
        args.extend(["--node-name".into(), NODE_NAME.into()]);
        args.extend(self.flags.iter().cloned());
        let wrapper: Vec<&str> = self.wrapper.iter().map(String::as_str).collect();
        self.agent = Some(Agent::start(&wrapper, &args));
    }

    /// SIGKILL. What the agent held in memory is gone; what it wrote is as the kernel has it.
    pub fn kill(&mut self) {
        self.agent().kill();
        self.bury();
    }

    /// SIGTERM, and a clean end.
    pub fn stop(&mut self) {
        let status = self.agent().stop();
        assert!(status.success(), "asked to stop, the agent ended with {status}; it said:\n{}", self.log());
        self.bury();
    }

    /// A signal to the agent; nothing is waited for.
    pub fn signal(&self, signal: Signal) {
        self.agent.as_ref().expect("this node has no agent now").signal(signal);
    }

    /// Waits for the agent's end by itself, which must be a clean one.
    pub fn wait_for_end(&mut self) {
        let status = self.agent().wait();
        assert!(status.success(), "the agent ended with {status}; it said:\n{}", self.log());
        self.bury();
    }

    /// Waits until the agent has logged a line with this message; the line.
    pub fn wait_until_it_says(&self, message: &str) -> Value {
        self.agent.as_ref().expect("this node has no agent now").wait_until_it_says(message)
    }

    fn agent(&mut self) -> &mut Agent {
        self.agent.as_mut().expect("this node has no agent now")
    }

    fn bury(&mut self) {
        if let Some(agent) = self.agent.take() {
            self.past_log += &agent.log();
        }
        self.ready = None;
    }

    /// All that agents of this node have said.
    pub fn log(&self) -> String {
        let now = self.agent.as_ref().map(Agent::log).unwrap_or_default();
        format!("{}{now}", self.past_log)
    }

    /// The agent's process.
    pub fn pid(&self) -> u32 {
        self.agent.as_ref().expect("this node has no agent now").pid()
    }

    /// `HOST:PORT` of the agent, which was started with `--listen`.
    pub fn address(&self) -> &str {
        let ready = self.ready.as_ref().expect("this node has no agent now");
        ready.listen.as_deref().expect("the agent does not listen")
    }

    /// A directory for the test's own files.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// What is in the data directory of Pods: files with their output, and directories with their volumes.
    pub fn of_pods(&self) -> Vec<PathBuf> {
        let all = ["logs", "volumes"].map(|name| {
            let entries = fs::read_dir(self.data().join(name)).expect("the agent has made it");
            entries.map(|entry| entry.expect("a readable directory").path()).collect::<Vec<_>>()
        });
        all.concat()
    }

    /// Uses another data directory from the next boot on.
    pub fn use_data(&mut self, path: impl Into<PathBuf>) {
        self.data = path.into();
    }

    /// The agent's Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// Uses another node's socket from the next boot on.
    pub fn use_socket_of(&mut self, other: &Node) {
        self.socket.clone_from(&other.socket);
    }

    /// Writes a file beside the data directory.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).expect("a file in a directory of one's own");
        path
    }

    /// A connection over the Unix socket.
    pub async fn client(&self) -> Client {
        Client::over_socket(&self.socket()).await
    }

    /// Runs what is asynchronous to its end.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
        tokio.expect("a runtime").block_on(future)
    }

    /// What `wick` says, whatever it is.
    pub fn wick(&self, args: &[&str]) -> Said {
        self.wick_with(args, "")
    }

    /// What `wick` says when it is given `stdin`.
    pub fn wick_with(&self, args: &[&str], stdin: &str) -> Said {
        let mut command = self.wick_command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // It may end without reading.
        let _ = child.stdin.take().expect("it is piped").write_all(stdin.as_bytes());
        let pid = Pid::from_child(&child);
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait_with_output()));
        // Twice: `wick` itself may have been told to wait for so long.
        let output = ended.recv_timeout(2 * PATIENCE).unwrap_or_else(|_| {
            let _ = kill_process(pid, Signal::KILL);
            panic!("wick {} has not ended after {:?}", args.join(" "), 2 * PATIENCE);
        });
        let output = output.expect("an own child can be waited for");
        Said {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or_else(|| panic!("wick {args:?}: {}", output.status)),
        }
    }

    /// The lines `wick` prints, one by one, for commands that go on and on.
    pub fn wick_lines(&self, args: &[&str]) -> Lines {
        Lines::of(self.wick_command(args))
    }

    fn wick_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(programs::wick());
        crate::agent::forget_environment(&mut command);
        command.env("WICK_SOCKET", self.socket()).env("TZ", "UTC").current_dir(self.path()).args(args);
        command
    }

    /// What `wick` prints; it must succeed.
    pub fn done(&self, args: &[&str]) -> String {
        self.done_with(args, "")
    }

    /// What `wick` prints when it is given `stdin`; it must succeed.
    pub fn done_with(&self, args: &[&str], stdin: &str) -> String {
        let said = self.wick_with(args, stdin);
        assert_eq!(said.code, 0, "wick {}\n{said}", args.join(" "));
        said.stdout
    }

    /// What `wick` prints with `-o json`.
    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.extend(["-o", "json"]);
        let text = self.done(&all);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("wick {}: {error}\n{text}", all.join(" ")))
    }

    /// Applies one manifest through `wick`.
    pub fn apply(&self, manifest: &Value) -> String {
        self.done_with(&["apply", "-f", "-"], &manifest.to_string())
    }

    /// Applies a manifest in a file.
    pub fn apply_file(&self, path: &Path) -> String {
        self.done(&["apply", "-f", path.to_str().expect("a path in UTF-8")])
    }

    /// Waits until the Job is complete.
    pub fn complete(&self, job: &str) {
        self.wait_for("condition=complete", &format!("job/{job}"));
    }

    /// Waits until the Job has failed.
    pub fn failed(&self, job: &str) {
        self.wait_for("condition=failed", &format!("job/{job}"));
    }

    /// Waits until it is gone.
    pub fn gone(&self, what: &str) {
        self.wait_for("delete", what);
    }

    fn wait_for(&self, what: &str, whom: &str) {
        let said = self.wick(&["wait", "--for", what, whom, "--timeout", PATIENCE_FLAG]);
        if said.code != 0 {
            let described = self.wick(&["describe", whom]);
            panic!("wick wait --for {what} {whom}\n{said}\nwick describe {whom}\n{described}");
        }
    }

    /// What the containers of a Job wrote.
    pub fn logs(&self, job: &str) -> String {
        self.done(&["logs", &format!("job/{job}")])
    }

    /// The Pods of a Job, as `wick get pods -o json` has them.
    pub fn pods(&self, job: &str) -> Vec<Value> {
        let list = self.json(&["get", "pods", "-l", &format!("job-name={job}")]);
        list["items"].as_array().unwrap_or_else(|| panic!("no items: {list:#}")).clone()
    }

    /// The only Pod of a Job.
    pub fn pod(&self, job: &str) -> Value {
        let mut pods = self.pods(job);
        assert_eq!(pods.len(), 1, "job `{job}` has not one Pod: {pods:#?}");
        pods.remove(0)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            eprintln!("--- the agent said ---\n{}----------------------", log);
        }
        // Before its directory goes.
        self.agent = None;
    }
}
