//! What went wrong, as people are told it, and the exit code that goes with it.
//!
//! An error is one line that says what is wrong, a line for each field it concerns, and a hint where one helps. Words
//! go to stderr; what was printed to stdout before stays true.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::screen::{self, Screen};
use crate::table::tame;

/// How `wick` ends when it does not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was asked, and the answer was no; or the Job that was waited for has failed. Exit code 1.
    Refused(Words),
    /// It could not be asked: the command makes no sense, or no agent answers. Exit code 2.
    NotAsked(Words),
    /// As `Refused`, and everything about it has been said.
    Said,
    /// Whoever read the output has read enough. Exit code 0.
    ReaderLeft,
    /// A signal stopped it; with the exit code that says so: 128 and the signal's number.
    Stopped(u8),
}

/// What is said about a failure.
#[derive(Debug, Default)]
pub(crate) struct Words {
    /// What is wrong, in one line.
    what: String,
    /// Fields it concerns, each with what would be right.
    fields: Vec<Field>,
    /// What to do, or to know.
    hint: Option<String>,
}

/// A field, and what is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Its path; may be empty.
    pub(crate) path: String,
    /// What would be right.
    pub(crate) why: String,
}

impl Failure {
    /// The answer was no.
    pub(crate) fn refused(what: impl Into<String>) -> Failure {
        Failure::Refused(Words { what: what.into(), ..Words::default() })
    }

    /// There was no asking.
    pub(crate) fn not_asked(what: impl Into<String>) -> Failure {
        Failure::NotAsked(Words { what: what.into(), ..Words::default() })
    }

    /// A file that cannot be used: the command made no sense as given.
    pub(crate) fn file(path: &std::path::Path, error: &io::Error) -> Failure {
        Failure::not_asked(format!("{}: {}", path.display(), reason(error)))
    }

    /// Adds what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        if let Failure::Refused(words) | Failure::NotAsked(words) = &mut self {
            words.hint = Some(hint.into());
        }
        self
    }

    /// Adds fields.
    pub(crate) fn fields(mut self, fields: impl IntoIterator<Item = Field>) -> Failure {
        if let Failure::Refused(words) | Failure::NotAsked(words) = &mut self {
            words.fields.extend(fields);
        }
        self
    }

    /// Says what it happened in: a file.
    pub(crate) fn within(mut self, place: &str) -> Failure {
        if let Failure::Refused(words) | Failure::NotAsked(words) = &mut self {
            words.what = format!("{place}: {}", words.what);
        }
        self
    }

    /// Says it on stderr, if it was not said yet.
    pub(crate) fn tell(&self) {
        if let Failure::Refused(words) | Failure::NotAsked(words) = self {
            tell(&words.to_string());
        }
    }

    /// The exit code that goes with it.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::ReaderLeft => 0,
            Failure::Refused(_) | Failure::Said => 1,
            Failure::NotAsked(_) => 2,
            Failure::Stopped(code) => *code,
        })
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Failure {
        // A status that carries an error was made on this side: the connection broke, or there was none.
        if let Some(error) = status.source() {
            return Failure::not_asked(format!("the agent went away: {}", root(error)))
                .hint("look at its log, and start it again: wickd --data-dir DIR");
        }
        let details =
            status.get_details_bad_request().map(|details| details.field_violations).unwrap_or_default();
        let fields = details.into_iter().map(|field| Field { path: field.field, why: field.description });
        let (what, fields) = match status.message() {
            "" => (format!("the agent said no more than {}", name(status.code())), fields.collect()),
            message => apart(message, fields.collect()),
        };
        match status.code() {
            Code::Unavailable => Failure::not_asked(what),
            Code::Unimplemented => {
                Failure::not_asked(format!("this agent cannot do that: {what}")).hint("compare: wick version")
            }
            _ => Failure::refused(what).fields(fields),
        }
    }
}

impl From<io::Error> for Failure {
    /// The only input and output that is not about a file with a name is our own stdout.
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ReaderLeft,
            _ => Failure::refused(format!("cannot write the output: {}", reason(&error))),
        }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", tame(self.what.trim_end()))?;
        for field in &self.fields {
            match field.path.as_str() {
                "" => write!(f, "\n  {}", tame(&field.why))?,
                path => write!(f, "\n  {}: {}", tame(path), tame(&field.why))?,
            }
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {}", tame(hint)),
            None => Ok(()),
        }
    }
}

/// A message without what its fields say: they have lines of their own. One that is no more than its only field is that
/// line.
fn apart(message: &str, fields: Vec<Field>) -> (String, Vec<Field>) {
    let Some(first) = fields.first() else { return (message.to_owned(), fields) };
    if let ([_], Some(flag)) = (fields.as_slice(), flag(&first.path)) {
        return (format!("{flag}: {}", first.why), Vec::new());
    }
    let line = match first.path.as_str() {
        "" => first.why.clone(),
        path => format!("{path}: {}", first.why),
    };
    match message.split_once(&line) {
        Some((before, after)) if fields.iter().all(|field| message.contains(&field.why)) => {
            match (before.trim_end_matches([':', ' ']), after) {
                ("", "") => (line, Vec::new()),
                ("", _) => (message.to_owned(), fields),
                (before, _) => (before.to_owned(), fields),
            }
        }
        Some(_) | None => (message.to_owned(), fields),
    }
}

/// The flag that a request's own field comes from.
fn flag(path: &str) -> Option<&'static str> {
    match path {
        "filter.label_selector" => Some("-l"),
        "filter.field_selector" => Some("--field-selector"),
        _ => None,
    }
}

/// Says something that is not data.
pub(crate) fn tell(words: &str) {
    use io::Write;
    let colour = Screen::stderr().colour;
    let lines: Vec<String> = words.lines().map(|line| labelled(line, colour)).collect();
    // Where stderr is closed there is nobody to tell, and the exit code still says it.
    let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
}

/// A line with what it begins with (`error:`) in its colour.
fn labelled(line: &str, colour: bool) -> String {
    let label = ["error:", "hint:", "warning:"].into_iter().find(|label| line.starts_with(label));
    match label {
        Some(label) => screen::label(label, colour) + &line[label.len()..],
        None => line.to_owned(),
    }
}

/// What an error of the system says, without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// The error that all the others came from; those in between say no more than "transport error".
pub(crate) fn root(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    match error.downcast_ref::<io::Error>() {
        Some(error) => reason(error),
        None => error.to_string(),
    }
}

/// A code by the name it has in gRPC.
fn name(code: Code) -> String {
    let name = format!("{code:?}");
    let mut words = String::new();
    for char in name.chars() {
        if char.is_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.extend(char.to_uppercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use tonic_types::{ErrorDetails, FieldViolation};

    #[test]
    fn every_field_of_a_refusal_has_its_own_line() {
        let details = ErrorDetails::with_bad_request(vec![
            FieldViolation::new("spec.parallelism", "0 is too few; the least is 1"),
            FieldViolation::new("", "it has no name"),
        ]);
        let status = Status::with_error_details(Code::InvalidArgument, "job `hello` is not valid", details);
        check(
            status.into(),
            expect![[r#"
                error: job `hello` is not valid
                  spec.parallelism: 0 is too few; the least is 1
                  it has no name
                exit 1"#]],
        );
    }

    #[test]
    fn what_fields_say_is_said_once() {
        let two = ErrorDetails::with_bad_request(vec![
            FieldViolation::new("spec.parallelism", "0 is too few"),
            FieldViolation::new("spec.backoffLimit", "-1 is too few"),
        ]);
        let message =
            "Job `hello` is invalid: spec.parallelism: 0 is too few; spec.backoffLimit: -1 is too few";
        check(
            Status::with_error_details(Code::InvalidArgument, message, two).into(),
            expect![[r#"
            error: Job `hello` is invalid
              spec.parallelism: 0 is too few
              spec.backoffLimit: -1 is too few
            exit 1"#]],
        );
        let one = ErrorDetails::with_bad_request_violation("filter.label_selector", "`a b` is not a label");
        let message = "filter.label_selector: `a b` is not a label";
        check(
            Status::with_error_details(Code::InvalidArgument, message, one).into(),
            expect![[r#"
                error: -l: `a b` is not a label
                exit 1"#]],
        );
    }

    #[test]
    fn an_answer_without_words_is_its_code() {
        check(
            Status::new(Code::FailedPrecondition, "").into(),
            expect![[r#"
                error: the agent said no more than FAILED_PRECONDITION
                exit 1"#]],
        );
    }

    #[test]
    fn a_broken_connection_is_not_an_answer() {
        let broken = io::Error::from_raw_os_error(104);
        check(
            Status::from_error(Box::new(broken)).into(),
            expect![[r#"
                error: the agent went away: connection reset by peer
                hint: look at its log, and start it again: wickd --data-dir DIR
                exit 2"#]],
        );
    }

    #[test]
    fn a_hint_comes_last() {
        check(
            Failure::refused("no job named `a`").hint("jobs in namespace default: `b`"),
            expect![[r#"
                error: no job named `a`
                hint: jobs in namespace default: `b`
                exit 1"#]],
        );
    }

    #[test]
    fn what_the_agent_says_cannot_command_the_terminal() {
        check(
            Failure::refused("a\u{1b}[2Jb"),
            expect![[r#"
                error: a\u{1b}[2Jb
                exit 1"#]],
        );
    }

    #[test]
    fn a_reader_that_leaves_is_no_error() {
        check(io::Error::from(io::ErrorKind::BrokenPipe).into(), expect!["exit 0"]);
    }

    fn check(failure: Failure, wanted: Expect) {
        let (words, code) = match &failure {
            Failure::Refused(words) => (format!("{words}\n"), 1),
            Failure::NotAsked(words) => (format!("{words}\n"), 2),
            Failure::Said => (String::new(), 1),
            Failure::ReaderLeft => (String::new(), 0),
            Failure::Stopped(code) => (String::new(), *code),
        };
        assert_eq!(format!("{:?}", failure.exit_code()), format!("{:?}", ExitCode::from(code)));
        wanted.assert_eq(&format!("{words}exit {code}"));
    }
}
