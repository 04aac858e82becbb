//! A Job for a module, from flags: what `wick run hello.wasm` runs.
//!
//! It is a manifest like any other, so that nothing about it is special. Only two of its fields are not Kubernetes'
//! defaults: whoever tries something wants to see its first failure, and not wait for six more (`--backoff-limit`,
//! `restartPolicy: Never`).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use api::names::dns_label;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::sources::Source;

/// How long the name of a Job made from a file's name may be, so that its Pods' names are labels too.
const NAME_MAX: usize = 40;

/// What a Job for a module is to be.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
#[command(next_help_heading = "For a module")]
pub(super) struct ModuleFlags {
    /// Arguments of the module, after --
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,

    /// A variable of the module's environment; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,

    /// The Job's name [default: the file's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// The most instructions each run of it may take: 5M, 2G, …
    #[arg(long, value_name = "QUANTITY")]
    fuel: Option<String>,

    /// The most memory it may have: 64Mi, …
    #[arg(long, value_name = "QUANTITY")]
    memory: Option<String>,

    /// How many Pods have to succeed
    #[arg(long, value_name = "N")]
    completions: Option<u32>,

    /// How many Pods run at the same time
    #[arg(long, value_name = "N")]
    parallelism: Option<u32>,

    /// How many failures are too many [default: 0]
    #[arg(long, value_name = "N")]
    backoff_limit: Option<u32>,
}

/// A variable, as flags give it: `KEY=VALUE`.
pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it is not KEY=VALUE".to_owned()),
    }
}

impl ModuleFlags {
    /// The first flag that was given, if any.
    pub(super) fn given(&self) -> Option<&'static str> {
        let given = [
            ("arguments after --", !self.args.is_empty()),
            ("--env", !self.env.is_empty()),
            ("--name", self.name.is_some()),
            ("--fuel", self.fuel.is_some()),
            ("--memory", self.memory.is_some()),
            ("--completions", self.completions.is_some()),
            ("--parallelism", self.parallelism.is_some()),
            ("--backoff-limit", self.backoff_limit.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }

    /// The manifest of a Job that runs the module at `path`. A name that is made from the file's ends in `suffix`.
    pub(super) fn manifest(&self, path: &Path, suffix: &str) -> Result<Source, Failure> {
        // An image is a file if it begins as a path.
        let begins = ["/", "./", "../"]
            .iter()
            .any(|start| path.as_os_str().as_encoded_bytes().starts_with(start.as_bytes()));
        let image = if begins { path.to_owned() } else { Path::new(".").join(path) };
        let Some(image) = image.to_str() else {
            return Err(Failure::not_asked(format!("{}: its path is not text in UTF-8", path.display())));
        };
        let name = self.name.clone().unwrap_or_else(|| name_of(path) + suffix);
        if let Err(why) = dns_label(&name) {
            return Err(Failure::not_asked(format!("--name `{name}`: {why}")));
        }
        // What YAML reads is JSON too, and JSON needs no thought about quoting.
        let text = self.job(&name, image).to_string();
        Ok(Source { name: path.display().to_string(), text, dir: PathBuf::new() })
    }

    fn job(&self, name: &str, image: &str) -> Value {
        let mut container = json!({"name": name, "image": image});
        if !self.args.is_empty() {
            container["args"] = json!(self.args);
        }
        if !self.env.is_empty() {
            let variables = self.env.iter().map(|(key, value)| json!({"name": key, "value": value}));
            container["env"] = variables.collect();
        }
        let mut limits = Map::new();
        for (resource, limit) in [("memory", &self.memory), ("wick.dev/fuel", &self.fuel)] {
            if let Some(limit) = limit {
                limits.insert(resource.to_owned(), json!(limit));
            }
        }
        if !limits.is_empty() {
            container["resources"] = json!({"limits": limits});
        }
        let mut spec = json!({"backoffLimit": self.backoff_limit.unwrap_or(0)});
        for (field, number) in [("completions", self.completions), ("parallelism", self.parallelism)] {
            if let Some(number) = number {
                spec[field] = json!(number);
            }
        }
        spec["template"] = json!({"spec": {"restartPolicy": "Never", "containers": [container]}});
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})
    }
}

/// Whether the file is a module and not a manifest: by its name, else by its first bytes.
pub(super) fn is_module(path: &Path) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("wasm" | "wat") => path.is_file(),
        Some("yaml" | "yml" | "json") => false,
        Some(_) | None => path.is_file() && begins_as_module(path),
    }
}

fn begins_as_module(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\0asm"
}

/// A Job's name from a file's: what a label cannot hold becomes `-`.
fn name_of(path: &Path) -> String {
    let stem: PathBuf = path.file_stem().map(PathBuf::from).unwrap_or_default();
    let stem = stem.to_string_lossy().to_lowercase();
    let fits = |char: char| if char.is_ascii_lowercase() || char.is_ascii_digit() { char } else { '-' };
    let name: String = stem.chars().map(fits).take(NAME_MAX).collect();
    match name.trim_matches('-') {
        "" => "module".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use expect_test::{Expect, expect};

    #[derive(Parser)]
    struct Command {
        path: PathBuf,
        #[command(flatten)]
        flags: ModuleFlags,
    }

    #[test]
    fn a_module_alone_is_a_job_of_one_pod() {
        check(
            "out/hello.wasm",
            expect![[r#"
                apiVersion: batch/v1
                kind: Job
                metadata:
                  name: hello-x7k2p
                spec:
                  backoffLimit: 0
                  template:
                    spec:
                      restartPolicy: Never
                      containers:
                      - name: hello-x7k2p
                        image: ./out/hello.wasm
            "#]],
        );
    }

    #[test]
    fn every_flag_is_a_field() {
        check(
            "hello.wasm --name greet --fuel 5M --memory 64Mi --env A=1 --env B=c=d --completions 3 --parallelism 2 --backoff-limit 4 -- -v two",
            expect![[r#"
                apiVersion: batch/v1
                kind: Job
                metadata:
                  name: greet
                spec:
                  backoffLimit: 4
                  completions: 3
                  parallelism: 2
                  template:
                    spec:
                      restartPolicy: Never
                      containers:
                      - name: greet
                        image: ./hello.wasm
                        args:
                        - -v
                        - two
                        env:
                        - name: A
                          value: "1"
                        - name: B
                          value: c=d
                        resources:
                          limits:
                            memory: 64Mi
                            wick.dev/fuel: 5M
            "#]],
        );
    }

    #[test]
    fn a_name_is_made_from_the_files() {
        let names = ["a/Hello World.wasm", "_größe_.wat", "--.wasm", "hello_component.v1.wasm"];
        let names = names.map(|path| name_of(Path::new(path)));
        expect!["hello-world gr--e module hello-component-v1"].assert_eq(&names.join(" "));
        let long = name_of(Path::new(&"a".repeat(200)));
        assert!(dns_label(&format!("{long}-x7k2p")).is_ok(), "{long}");
    }

    #[test]
    fn a_name_that_is_none_is_told() {
        let flags = ModuleFlags { name: Some("Hello".to_owned()), ..ModuleFlags::default() };
        match flags.manifest(Path::new("a.wasm"), "") {
            Err(Failure::NotAsked(words)) => expect!["error: --name `Hello`: must be up to 63 lower-case letters, digits and `-`, with a letter or digit at both ends"].assert_eq(&words.to_string()),
            other => panic!("{other:?}"),
        }
        assert!(variable("A").is_err() && variable("=1").is_err());
    }

    #[test]
    fn a_module_is_known_by_its_name_or_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            is_module(&path)
        };
        assert!(file("a.wat", b"(module)"));
        assert!(file("tool", b"\0asm\x01\0\0\0"));
        assert!(!file("job.yaml", b"\0asm"));
        assert!(!file("notes", b"kind: Job"));
        assert!(!is_module(dir.path()));
    }

    fn check(line: &str, wanted: Expect) {
        let words = ["run"].into_iter().chain(line.split(' '));
        let command = Command::try_parse_from(words).unwrap();
        let source = command.flags.manifest(&command.path, "-x7k2p").unwrap();
        assert!(api::manifest::parse(&source.text).unwrap()[0].object.is_ok(), "{}", source.text);
        let value: Value = serde_json::from_str(&source.text).unwrap();
        wanted.assert_eq(&api::yaml::write(&value));
    }
}
