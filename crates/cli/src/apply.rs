//! `wick apply`: makes the device as manifests say.
//!
//! Images that are files are pushed first, and pinned by their digest in what is sent ([`pin`]); what the agent answers
//! is said as kubectl says it.

pub(crate) mod pin;

use std::path::PathBuf;

use api::job::Grants;
use api::manifest::New;
use api::pb::wick::v1::{ApplyOutcome, ApplyResult, ManifestServiceApplyRequest};
use clap::{Args, ValueEnum};
use tonic::Status;
use tonic_types::StatusExt;

use crate::clock::zones;
use crate::failure::{Failure, Field, tell};
use crate::kind::Kind;
use crate::manifest;
use crate::output::print;
use crate::session::{Global, Session};
use crate::sources::{Source, sources};

const EXAMPLES: &str = "\
Examples:
  wick apply -f job.yaml
  wick apply -f jobs/ --dry-run=server
  generate-job | wick apply -f -

An image that is a path to a file (./hello.wasm, ../out/hello.wasm,
/srv/hello.wasm, or hello.wasm where there is such a file) is pushed first and
pinned by its digest. It counts from the manifest's directory.";

/// Creates or changes what manifests describe
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Apply {
    /// A file, a directory (its .yaml, .yml and .json files by name) or - for stdin
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Directories in directories too
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Say what would happen, and change nothing: server asks the agent, client only looks at the manifest
    #[arg(long, value_enum, default_value_t = DryRun::None, value_name = "WHERE")]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    dry_run: DryRun,
}

/// Whether anything is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    None,
    Client,
    Server,
}

impl DryRun {
    /// What is said behind what would have happened.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }
}

impl Apply {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let sources = sources(&self.files, self.recursive)?;
        let session = match self.dry_run {
            DryRun::Client => None,
            DryRun::None | DryRun::Server => Some(global.connect().await?),
        };
        let mut all_done = true;
        for source in &sources {
            let done = match &session {
                Some(session) => self.send(session, source).await,
                None => self.look(source, global.namespace()),
            };
            match done {
                Ok(done) => all_done &= done,
                Err(failure @ Failure::Refused(_)) => {
                    failure.tell();
                    all_done = false;
                }
                Err(failure) => return Err(failure),
            }
        }
        if all_done { Ok(()) } else { Err(Failure::Said) }
    }

    /// Has the agent apply a manifest; false if something of it was refused.
    async fn send(&self, session: &Session, source: &Source) -> Result<bool, Failure> {
        let sent = send(session, source, self.dry_run == DryRun::Server).await?;
        let mut all_done = sent.refused.is_empty();
        for failure in &sent.refused {
            failure.tell();
        }
        for result in sent.results {
            for warning in &result.warnings {
                tell(&format!("warning: {warning}"));
            }
            match line(&result, self.dry_run.suffix()) {
                Ok(line) => print(&line)?,
                Err(failure) => {
                    failure.within(&source.name).tell();
                    all_done = false;
                }
            }
        }
        Ok(all_done)
    }

    /// Looks at a manifest without asking anybody; false if something of it is wrong.
    fn look(&self, source: &Source, namespace: &str) -> Result<bool, Failure> {
        let text = pin::pin_locally(source)?;
        let mut all_done = text.refused.is_empty();
        for failure in &text.refused {
            failure.tell();
        }
        let Some(text) = text.text else { return Ok(all_done) };
        let documents = manifest::read(&text).map_err(|error| unreadable(source, &error))?;
        if documents.is_empty() && all_done {
            return Err(nothing(source));
        }
        let zones = zones();
        for document in &documents {
            for object in &document.objects {
                let line = u32::try_from(document.line_of(object)).unwrap_or(u32::MAX);
                let mut result = ApplyResult {
                    line,
                    kind: object.kind.clone(),
                    namespace: if object.namespace.is_empty() { namespace } else { &object.namespace }
                        .to_owned(),
                    name: object.name.clone(),
                    outcome: ApplyOutcome::Created.into(),
                    ..ApplyResult::default()
                };
                let checked =
                    object.check(namespace, &Grants::default(), &zones).and_then(New::unless_stored);
                if let Ok(new) = &checked {
                    result.warnings = new.warnings().to_vec();
                }
                for warning in &result.warnings {
                    tell(&format!("warning: {warning}"));
                }
                match checked {
                    Ok(_) => print(&line_of_dry_run(&result, self.dry_run))?,
                    Err(errors) => {
                        let fields = errors.iter().map(|error| Field {
                            path: error.path.as_str().to_owned(),
                            why: error.detail.clone(),
                        });
                        refused(&result, "").fields(fields).within(&source.name).tell();
                        all_done = false;
                    }
                }
            }
        }
        Ok(all_done)
    }
}

/// What became of a manifest.
pub(crate) struct Sent {
    /// What the agent did with each document.
    pub(crate) results: Vec<ApplyResult>,
    /// Why documents were never sent.
    pub(crate) refused: Vec<Failure>,
}

/// Pushes what a manifest needs and has the agent apply it.
pub(crate) async fn send(session: &Session, source: &Source, dry_run: bool) -> Result<Sent, Failure> {
    let pinned = pin::pin(session, source, dry_run).await?;
    let refused = pinned.refused;
    let Some(manifest) = pinned.text else { return Ok(Sent { results: Vec::new(), refused }) };
    let request = ManifestServiceApplyRequest { manifest, namespace: session.namespace.clone(), dry_run };
    let applied = session.agent.manifests().apply(request).await;
    let applied = applied.map_err(|status| whole(status).within(&source.name))?;
    let results = applied.into_inner().results;
    if results.is_empty() && refused.is_empty() {
        return Err(nothing(source));
    }
    Ok(Sent { results, refused })
}

/// What became of a document, in a line; or why nothing did.
pub(crate) fn line(result: &ApplyResult, suffix: &str) -> Result<String, Failure> {
    let word = match result.outcome() {
        ApplyOutcome::Created => "created",
        ApplyOutcome::Configured => "configured",
        ApplyOutcome::Unchanged => "unchanged",
        ApplyOutcome::Refused | ApplyOutcome::Unspecified => {
            let fields = result
                .violations
                .iter()
                .map(|violation| Field { path: violation.field.clone(), why: violation.description.clone() });
            return Err(refused(result, &result.message).fields(fields));
        }
    };
    Ok(format!("{} {word}{suffix}\n", who(result)))
}

fn line_of_dry_run(result: &ApplyResult, dry_run: DryRun) -> String {
    format!("{} created{}\n", who(result), dry_run.suffix())
}

/// `job.batch/hello`, as far as it is known.
fn who(result: &ApplyResult) -> String {
    let kind = match (Kind::of_manifest(&result.kind), result.kind.as_str()) {
        (Some(kind), _) => kind.qualified(),
        (None, "") => "object".to_owned(),
        (None, kind) => kind.to_lowercase(),
    };
    if result.name.is_empty() {
        format!("{kind} at line {}", result.line)
    } else {
        format!("{kind}/{}", result.name)
    }
}

/// That a document was refused; `message` may be no more than its fields say, each on its own line below.
fn refused(result: &ApplyResult, message: &str) -> Failure {
    let who = who(result);
    let said_below = result.violations.iter().any(|violation| message.contains(&violation.description));
    if message.is_empty() || said_below {
        return Failure::refused(format!("{who} was refused"));
    }
    Failure::refused(format!("{who} was refused: {message}"))
}

/// That a manifest was refused as a whole. Where it is wrong is a place in it, and not a field of the request.
fn whole(status: Status) -> Failure {
    let details =
        status.get_details_bad_request().map(|details| details.field_violations).unwrap_or_default();
    match details.as_slice() {
        [violation] if violation.field == "manifest" => Failure::refused(&violation.description),
        _ => status.into(),
    }
}

fn nothing(source: &Source) -> Failure {
    Failure::refused(format!("{}: nothing in it", source.name))
}

fn unreadable(source: &Source, error: &api::manifest::SyntaxError) -> Failure {
    Failure::refused(format!("{}: {error}", source.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::pb::wick::v1::FieldViolation;
    use expect_test::{Expect, expect};

    #[test]
    fn what_was_done_is_said_in_kubectls_words() {
        check(
            ApplyOutcome::Created,
            "",
            &[],
            expect![[r#"
            job.batch/hello created (server dry run)
        "#]],
        );
        check(
            ApplyOutcome::Configured,
            "",
            &[],
            expect![[r#"
            job.batch/hello configured (server dry run)
        "#]],
        );
        check(
            ApplyOutcome::Unchanged,
            "",
            &[],
            expect![[r#"
            job.batch/hello unchanged (server dry run)
        "#]],
        );
    }

    #[test]
    fn a_refusal_names_every_field() {
        let both = &[
            ("spec.parallelism", "0 is too few"),
            ("spec.template.spec.containers[0].imagee", "unknown field"),
        ];
        check(
            ApplyOutcome::Refused,
            "job `hello` is not valid",
            both,
            expect![[r#"
            error: job.yaml: job.batch/hello was refused: job `hello` is not valid
              spec.parallelism: 0 is too few
              spec.template.spec.containers[0].imagee: unknown field"#]],
        );
        check(
            ApplyOutcome::Refused,
            "spec.parallelism: 0 is too few",
            &both[..1],
            expect![[r#"
            error: job.yaml: job.batch/hello was refused
              spec.parallelism: 0 is too few"#]],
        );
        check(
            ApplyOutcome::Refused,
            "the device is full",
            &[],
            expect!["error: job.yaml: job.batch/hello was refused: the device is full"],
        );
    }

    #[test]
    fn what_has_no_name_is_known_by_its_line() {
        let result = ApplyResult { line: 7, ..ApplyResult::default() };
        assert_eq!(who(&result), "object at line 7");
    }

    fn check(outcome: ApplyOutcome, message: &str, violations: &[(&str, &str)], wanted: Expect) {
        let violations = violations.iter().map(|(field, description)| FieldViolation {
            field: (*field).to_owned(),
            description: (*description).to_owned(),
        });
        let result = ApplyResult {
            kind: "Job".to_owned(),
            name: "hello".to_owned(),
            line: 1,
            outcome: outcome.into(),
            message: message.to_owned(),
            violations: violations.collect(),
            ..ApplyResult::default()
        };
        let said = match line(&result, " (server dry run)").map_err(|failure| failure.within("job.yaml")) {
            Ok(line) => line,
            Err(Failure::Refused(words)) => words.to_string(),
            Err(failure) => format!("{failure:?}"),
        };
        wanted.assert_eq(&said);
    }
}
