//! What a page of Markdown tells its reader to type: taken from the page, typed into a shell, and held against what the
//! page shows.
//!
//! In a block of `console`, a line that begins with `$ ` is a command, and what follows is what it prints; where nothing
//! follows, nothing is promised. A command that prints `error: …` fails, any other succeeds. A block below a line that
//! ends with a name in backticks and a colon is that file.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::agent::forget_environment;
use crate::lines::Lines;
use crate::plain;

/// How long a command may take: some compile.
const COMMAND_PATIENCE: Duration = Duration::from_secs(600);

/// A command or a file of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The line of the page, from 1.
    pub line: usize,
    /// The heading above it.
    pub section: String,
    /// What is to be done.
    pub what: What,
}

/// What a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// To be typed, and what is shown then.
    Command {
        /// Without the prompt.
        text: String,
        /// Empty if nothing is shown.
        shown: String,
    },
    /// To be written.
    File {
        /// As the page has it.
        name: String,
        /// All of it.
        text: String,
    },
}

/// What a page has its reader do, in order.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut section, mut before) = (String::new(), "");
    let mut lines = page.lines().zip(1..);
    while let Some((text, line)) = lines.next() {
        if let Some(heading) = text.strip_prefix('#') {
            section = heading.trim_start_matches('#').trim().to_owned();
        }
        let Some(language) = text.strip_prefix("```") else {
            before = if text.is_empty() { before } else { text };
            continue;
        };
        let block: Vec<(&str, usize)> = lines.by_ref().take_while(|(text, _)| *text != "```").collect();
        let step = |line, what| Step { line, section: section.clone(), what };
        if language == "console" {
            for (text, line) in block {
                match (text.strip_prefix("$ "), steps.last_mut().map(|step| &mut step.what)) {
                    (Some(text), _) => {
                        let what = What::Command { text: text.to_owned(), shown: String::new() };
                        steps.push(step(line, what));
                    }
                    (None, Some(What::Command { text: command, .. })) if command.ends_with('\\') => {
                        command.push('\n');
                        command.push_str(text);
                    }
                    (None, Some(What::Command { shown, .. })) => *shown += &format!("{text}\n"),
                    (None, _) => panic!("line {line}: output of no command"),
                }
            }
        } else if let Some(name) = before.strip_suffix("`:").and_then(|before| before.rsplit('`').next()) {
            let text = block.iter().map(|(text, _)| format!("{text}\n")).collect();
            steps.push(step(line, What::File { name: name.to_owned(), text }));
        }
        before = "";
    }
    steps
}

/// A shell that commands are typed into, one after the other. Dropped, it is killed with all that it started.
pub struct Shell {
    child: Child,
    stdin: ChildStdin,
    codes: Receiver<String>,
    /// What each command printed.
    printed: TempDir,
    count: usize,
}

impl Shell {
    /// A shell in `dir`; its home is `home`, and `path` goes before the programs of this machine.
    pub fn start(dir: &Path, home: &Path) -> Shell {
        let mut command = Command::new("bash");
        forget_environment(&mut command);
        // What cargo and rustup have at home is taken from where it is.
        for (name, at_home) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if std::env::var_os(name).is_none()
                && let Some(own) = std::env::var_os("HOME")
            {
                command.env(name, Path::new(&own).join(at_home));
            }
        }
        command.args(["--noprofile", "--norc"]).current_dir(dir);
        command.env("HOME", home).env_remove("CARGO_TARGET_DIR").env_remove("XDG_STATE_HOME");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).process_group(0);
        let mut child = command.spawn().expect("there is bash");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, codes) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody may be listening any more.
                let _ = sender.send(line);
            }
        });
        Shell { child, stdin, codes, printed: tempfile::tempdir().expect("a temporary directory"), count: 0 }
    }

    /// Types a command; its exit code, and what it printed. What goes on in the background is waited for until it says
    /// that it is ready.
    pub fn run(&mut self, command: &str) -> (i32, String) {
        self.count += 1;
        let printed = self.printed.path().join(self.count.to_string());
        let quoted = command.replace('\'', r"'\''");
        let line = format!("eval '{quoted}' >{} 2>&1 </dev/null; echo $?\n", printed.display());
        self.stdin.write_all(line.as_bytes()).expect("the shell listens");
        let code = self.codes.recv_timeout(COMMAND_PATIENCE);
        let code = code.unwrap_or_else(|error| {
            let printed = fs::read_to_string(&printed).unwrap_or_default();
            panic!("`{command}` has not ended after {COMMAND_PATIENCE:?}: {error}; it printed:\n{printed}")
        });
        if command.ends_with('&') {
            let mut tail = Command::new("tail");
            tail.args(["-n", "+1", "-F"]).arg(&printed);
            let lines = Lines::of(tail);
            while !lines.next_line().contains("\"ready\"") {}
        }
        let printed = fs::read(&printed).expect("the shell has made it");
        (code.parse().expect("an exit code"), String::from_utf8_lossy(&printed).into_owned())
    }

    /// Does a step as the page says, and holds what was printed against what the page shows, but for what is different
    /// each time. `jobs` are those whose Pods' names are.
    pub fn follow(&mut self, step: &Step, jobs: &[&str]) {
        match &step.what {
            What::File { name, text } => {
                let (_, dir) = self.run("pwd");
                fs::write(Path::new(dir.trim_end()).join(name), text).expect("a file where the page says");
            }
            What::Command { text, shown } => {
                let (code, printed) = self.run(text);
                let fails = shown.starts_with("error: ") || shown.contains("\nerror: ");
                let what = format!("line {}: `{text}` ended with {code} and printed:\n{printed}", step.line);
                assert_eq!(code != 0, fails, "{what}");
                assert!(
                    shown.is_empty() || plain(&printed, jobs) == plain(shown, jobs),
                    "{what}the page shows:\n{shown}"
                );
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Fails where all of it has ended already, and that is what we want.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Copies the checkout to `to`, as somebody who clones it has it: without what was built. What was built in `to` before is
/// left there, so that it need not be built again.
pub fn clone_to(to: &Path) {
    copy(crate::programs::root(), to);
}

/// What is in a checkout and no part of it.
const BUILT: [&str; 3] = ["target", ".git", "__pycache__"];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    let name = |path: &PathBuf| path.file_name().expect("an entry has a name").to_owned();
    let entries = |dir: &Path| -> Vec<PathBuf> {
        let entries =
            fs::read_dir(dir).expect("a readable directory").map(|entry| entry.expect("an entry").path());
        entries.filter(|path| BUILT.iter().all(|built| name(path) != *built)).collect()
    };
    for path in entries(to) {
        if !from.join(name(&path)).exists() {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.expect("a copy can be removed");
        }
    }
    for path in entries(from) {
        let copied = to.join(name(&path));
        if path.is_dir() {
            copy(&path, &copied);
        } else if fs::read(&path).ok() != fs::read(&copied).ok() {
            fs::copy(&path, &copied).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_files_and_what_is_shown_are_told_apart() {
        let page = "# Top\n\n```console\n$ one\n$ two \\\n    more\nsaid\n\nmore\n```\n## Below\n\n`a.txt`, not a file\n\n\
                    ```yaml\nnot: a file\n```\n\nIn\n`b.txt`:\n\n```rust\nfn main() {}\n```\n```text\nshown only\n```\n";
        let told: Vec<String> = steps(page)
            .iter()
            .map(|step| match &step.what {
                What::Command { text, shown } => {
                    format!("{} {}: {text:?} {shown:?}", step.line, step.section)
                }
                What::File { name, text } => format!("{} {}: file {name} {text:?}", step.line, step.section),
            })
            .collect();
        assert_eq!(
            told,
            [
                r#"4 Top: "one" """#,
                r#"5 Top: "two \\\n    more" "said\n\nmore\n""#,
                r#"22 Below: file b.txt "fn main() {}\n""#,
            ]
        );
    }

    fn follow(command: &str, shown: &str) {
        let dir = tempfile::tempdir().unwrap();
        let what = What::Command { text: command.to_owned(), shown: shown.to_owned() };
        let step = Step { line: 7, section: String::new(), what };
        Shell::start(dir.path(), dir.path()).follow(&step, &["job"]);
    }

    #[test]
    fn what_differs_each_time_is_not_compared() {
        follow("echo 'job-4bpc9   3s'", "job-zzzzz  17s\n");
        follow("echo anything", "");
        follow("echo error: it; false", "error: it\n");
    }

    #[test]
    #[should_panic(expected = "line 7: `echo one` ended with 0")]
    fn what_is_not_printed_as_shown_is_a_failure() {
        follow("echo one", "two\n");
    }

    #[test]
    #[should_panic(expected = "line 7: `false` ended with 1")]
    fn a_command_that_fails_and_was_not_to_is_a_failure() {
        follow("false", "");
    }

    #[test]
    fn a_shell_keeps_where_it_is_and_what_it_was_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut shell = Shell::start(dir.path(), dir.path());
        assert_eq!(shell.run("mkdir sub && cd sub && export A='it is'"), (0, String::new()));
        assert_eq!(shell.run("echo \"$A\" >&2; basename \"$PWD\"; false"), (1, "it is\nsub\n".to_owned()));
    }
}
