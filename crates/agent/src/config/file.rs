//! The configuration file: TOML, read whole, and everything that is wrong with it told at once, each with its place.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, Given, SETTINGS, check};

/// Something that is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// From 1.
    line: usize,
    /// From 1, in characters.
    column: usize,
    /// The key, with where it is in its array; empty for what is no key's fault.
    key: String,
    what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { line, column, key, what } = self;
        let colon = if key.is_empty() { "" } else { ": " };
        write!(f, "{line}:{column}: {key}{colon}{what}")
    }
}

/// The settings a file gives, and on which line it gives each.
pub(super) type Lines = Vec<(&'static str, usize)>;

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<(Given, Lines), ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    parse(&text).map_err(|problems| ConfigError::Wrong { path: path.to_owned(), problems })
}

fn parse(text: &str) -> Result<(Given, Lines), Vec<Problem>> {
    let mut reading = Reading { text, problems: Vec::new() };
    let mut given = Given::default();
    let mut lines = Lines::new();
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        reading.problem::<()>(error.span().unwrap_or_default(), "", error.message().to_owned());
    }
    for (key, value) in table.get_ref() {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key.get_ref()) else {
            reading.unknown(key.get_ref(), key.span());
            continue;
        };
        match setting.key {
            "data_dir" => given.data_dir = reading.text(setting.key, value, check::absolute),
            "socket" => given.socket = reading.text(setting.key, value, check::absolute),
            "socket_group" => given.socket_group = reading.text(setting.key, value, check::group),
            "listen" => given.listen = reading.text(setting.key, value, check::loopback),
            "node_name" => given.node_name = reading.text(setting.key, value, check::node_name),
            "time_zone" => given.time_zone = reading.text(setting.key, value, check::time_zone),
            "allow_host_paths" => given.allow_host_paths = reading.paths(setting.key, value),
            "guests" => given.guests = reading.number(setting.key, value, check::guests),
            "guest_memory_mib" => {
                given.guest_memory_mib = reading.number(setting.key, value, check::guest_memory_mib);
            }
            "max_image_mib" => given.max_image_mib = reading.number(setting.key, value, check::max_image_mib),
            "log_kib" => given.log_kib = reading.number(setting.key, value, check::log_kib),
            "max_jobs" => given.max_jobs = reading.number(setting.key, value, check::max_jobs),
            "max_live_pods" => given.max_live_pods = reading.number(setting.key, value, check::max_live_pods),
            "max_objects_mib" => {
                given.max_objects_mib = reading.number(setting.key, value, check::max_objects_mib);
            }
            "keep_pods" => given.keep_pods = reading.number(setting.key, value, check::keep_pods),
            "keep_pods_mib" => given.keep_pods_mib = reading.number(setting.key, value, check::keep_pods_mib),
            "ledger_days" => given.ledger_days = reading.number(setting.key, value, check::ledger_days),
            "ledger_bytes" => given.ledger_bytes = reading.number(setting.key, value, check::ledger_bytes),
            "drain_seconds" => given.drain_seconds = reading.number(setting.key, value, check::drain_seconds),
            "log_level" => given.log_level = reading.text(setting.key, value, check::log_level),
            other => reading.unknown(other, key.span()),
        }
        lines.push((setting.key, reading.place(key.span().start).0));
    }
    let mut problems = reading.problems;
    if problems.is_empty() {
        return Ok((given, lines));
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    // What is no TOML is no value either.
    problems.dedup_by_key(|problem| (problem.line, problem.column));
    Err(problems)
}

struct Reading<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn text<T>(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match value.get_ref() {
            DeValue::String(text) => match check(text) {
                Ok(value) => Some(value),
                Err(what) => self.problem(value.span(), key, format!("\"{text}\": {what}")),
            },
            other => self.other_type(value.span(), key, "a text in quotes", other),
        }
    }

    fn number(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        check: impl Fn(&str) -> Result<u64, String>,
    ) -> Option<u64> {
        match value.get_ref() {
            DeValue::Integer(number) => {
                let decimal = i128::from_str_radix(number.as_str(), number.radix());
                let decimal = decimal.map_or_else(|_| number.to_string(), |number| number.to_string());
                match check(&decimal) {
                    Ok(value) => Some(value),
                    Err(what) => self.problem(value.span(), key, what),
                }
            }
            other => self.other_type(value.span(), key, "a whole number without quotes", other),
        }
    }

    fn paths(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<PathBuf>> {
        match value.get_ref() {
            DeValue::Array(values) => {
                let read = |(index, value)| self.text(&format!("{key}[{index}]"), value, check::absolute);
                values.iter().enumerate().map(read).collect()
            }
            other => self.other_type(value.span(), key, "a list such as [\"/srv/data\"]", other),
        }
    }

    fn other_type<T>(
        &mut self,
        span: Range<usize>,
        key: &str,
        wanted: &str,
        found: &DeValue<'_>,
    ) -> Option<T> {
        let found = match found {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.problem(span, key, format!("must be {wanted}; this is {found}"))
    }

    fn unknown(&mut self, key: &str, span: Range<usize>) {
        let same = key.replace('-', "_");
        let nearest = check::nearest(&same, SETTINGS.iter().map(|setting| setting.key));
        let hint = match nearest {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => {
                let keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
                format!("there are {}", keys.join(", "))
            }
        };
        self.problem::<()>(span, key, format!("no such setting; {hint}"));
    }

    /// Notes it, and is no value.
    fn problem<T>(&mut self, span: Range<usize>, key: &str, what: String) -> Option<T> {
        let (line, column) = self.place(span.start);
        self.problems.push(Problem { line, column, key: key.to_owned(), what });
        None
    }

    /// Line and column of a byte.
    fn place(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: Expect) {
        let said = match parse(text) {
            Ok((given, lines)) => format!("{given:?}\n{lines:?}"),
            Err(problems) => {
                let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
                lines.join("\n")
            }
        };
        expected.assert_eq(&said);
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert_eq!(parse("").unwrap(), (Given::default(), Lines::new()));
        assert_eq!(parse("# nothing\n").unwrap(), (Given::default(), Lines::new()));
    }

    #[test]
    fn the_example_names_every_setting_with_its_default() {
        let example = include_str!("../../../../packaging/wickd.toml");
        let told = example.lines().map(|line| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase()) => setting,
            _ => line,
        });
        check(
            &told.collect::<Vec<_>>().join("\n"),
            expect![[r#"
                Given { data_dir: Some("/var/lib/wick"), socket: Some("/run/wick/wick.sock"), socket_group: Some("wick"), listen: Some(127.0.0.1:7180), node_name: Some("gate-17"), time_zone: Some("UTC"), allow_host_paths: Some([]), guests: Some(1000), guest_memory_mib: Some(512), max_image_mib: Some(64), log_kib: Some(4096), max_jobs: Some(10000), max_live_pods: Some(4000), max_objects_mib: Some(64), keep_pods: Some(12500), keep_pods_mib: Some(256), ledger_days: Some(30), ledger_bytes: Some(67108864), drain_seconds: Some(25), log_level: Some("info") }
                [("allow_host_paths", 27), ("data_dir", 8), ("drain_seconds", 66), ("guest_memory_mib", 34), ("guests", 30), ("keep_pods", 53), ("keep_pods_mib", 56), ("ledger_bytes", 62), ("ledger_days", 59), ("listen", 18), ("log_kib", 40), ("log_level", 69), ("max_image_mib", 37), ("max_jobs", 43), ("max_live_pods", 46), ("max_objects_mib", 50), ("node_name", 21), ("socket", 11), ("socket_group", 15), ("time_zone", 24)]"#]],
        );
        assert_eq!(parse(example), Ok((Given::default(), Lines::new())));
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_place() {
        check(
            "guests = 0\nmax-image-mib = 5\nlog_kib = \"4096\"\n\ndrain_second = 5\nlisten = \"0.0.0.0:80\"\n\
             allow_host_paths = [\"/srv\", \"data\", 7]\nlog_level = \"inof\"\nnode_name = \"My Gate\"\n\
             data_dir = \"here\"\nsocket = false\ncolour = 1\ndrain_seconds = 99999999999999999999999\n",
            expect![[r#"
                1:10: guests: 0 is too few; the least is 1
                2:1: max-image-mib: no such setting; did you mean `max_image_mib`?
                3:11: log_kib: must be a whole number without quotes; this is a text
                5:1: drain_second: no such setting; did you mean `drain_seconds`?
                6:10: listen: "0.0.0.0:80": plain text is for loopback only: use 127.0.0.1 or [::1], or the Unix socket
                7:29: allow_host_paths[1]: "data": must be an absolute path
                8:13: log_level: "inof": not one of off, error, warn, info, debug, trace, nor directives such as info,runtime=debug; did you mean `info`?
                9:13: node_name: "My Gate": must be up to 253 lower-case letters, digits, `-` and `.`, with a letter or digit around each `.`
                10:12: data_dir: "here": must be an absolute path
                11:10: socket: must be a text in quotes; this is true or false
                12:1: colour: no such setting; there are data_dir, socket, socket_group, listen, node_name, time_zone, allow_host_paths, guests, guest_memory_mib, max_image_mib, log_kib, max_jobs, max_live_pods, max_objects_mib, keep_pods, keep_pods_mib, ledger_days, ledger_bytes, drain_seconds, log_level
                13:17: drain_seconds: 99999999999999999999999 is too many; the most is 3600"#]],
        );
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_place() {
        check(
            "guests = \nlog_kib = 100\nguests = 3\n",
            expect![[r#"
                1:10: string values must be quoted, expected literal string
                3:1: duplicate key"#]],
        );
        check(
            "[limits]\nguests = 5\n",
            expect![
                "1:2: limits: no such setting; there are data_dir, socket, socket_group, listen, node_name, time_zone, allow_host_paths, guests, guest_memory_mib, max_image_mib, log_kib, max_jobs, max_live_pods, max_objects_mib, keep_pods, keep_pods_mib, ledger_days, ledger_bytes, drain_seconds, log_level"
            ],
        );
    }
}
