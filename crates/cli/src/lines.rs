//! Lines of output of one or several containers, as they are printed.
//!
//! A guest's bytes are passed on as they are: what it writes is its own business, and its reader's.

use api::pb::wick::v1::LogLine;

use crate::clock::time;

/// Writes lines one after the other, whoever they are from.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Say when each line was written.
    timestamps: bool,
    /// Say whose each line is.
    prefix: bool,
    /// Whose line is not ended yet.
    open: Option<String>,
}

impl Lines {
    /// Lines with or without what is said before them.
    pub(crate) fn new(timestamps: bool, prefix: bool) -> Lines {
        Lines { timestamps, prefix, open: None }
    }

    /// From now on says whose each line is.
    pub(crate) fn begin_to_prefix(&mut self) {
        self.prefix = true;
    }

    /// The bytes that print `line`, which is from `source`.
    pub(crate) fn print(&mut self, source: &str, line: &LogLine) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(line.text.len() + 1);
        let continued = self.open.as_deref() == Some(source);
        if self.open.is_some() && !continued {
            bytes.push(b'\n'); // Somebody else speaks in the middle of a line.
        }
        if !continued {
            if self.prefix {
                bytes.extend_from_slice(format!("[{source}] ").as_bytes());
            }
            if self.timestamps {
                let written =
                    time(line.time.as_ref()).map_or_else(|| "-".to_owned(), |time| format!("{time:.9}"));
                bytes.extend_from_slice(written.as_bytes());
                bytes.push(b' ');
            }
        }
        bytes.extend_from_slice(&line.text);
        if line.partial {
            self.open = Some(source.to_owned());
        } else {
            self.open = None;
            bytes.push(b'\n');
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ago;
    use expect_test::{Expect, expect};

    #[test]
    fn lines_are_as_the_guest_wrote_them() {
        check(
            Lines::new(false, false),
            &["a:one", "a:two"],
            expect![[r#"
            one
            two
        "#]],
        );
    }

    #[test]
    fn a_long_line_in_pieces_is_one_line() {
        check(
            Lines::new(false, true),
            &["a:one+", "a:two+", "a:three", "a:four"],
            expect![[r#"
            [a] onetwothree
            [a] four
        "#]],
        );
    }

    #[test]
    fn somebody_elses_line_begins_a_new_one() {
        check(
            Lines::new(false, true),
            &["a:one+", "b:two", "a:three"],
            expect![[r#"
            [a] one
            [b] two
            [a] three
        "#]],
        );
    }

    #[test]
    fn a_last_line_without_an_end_has_none() {
        check(
            Lines::new(false, false),
            &["a:one", "a:two+"],
            expect![[r#"
            one
            two"#]],
        );
    }

    #[test]
    fn a_timestamp_has_nanoseconds() {
        check(
            Lines::new(true, true),
            &["a:one"],
            expect![[r#"
            [a] 2026-11-20T15:00:00.000000005Z one
        "#]],
        );
    }

    fn check(mut lines: Lines, said: &[&str], wanted: Expect) {
        let mut bytes = Vec::new();
        for said in said {
            let (source, text) = said.split_once(':').unwrap();
            let (text, partial) = match text.strip_suffix('+') {
                Some(text) => (text, true),
                None => (text, false),
            };
            let mut line =
                LogLine { text: text.to_owned().into(), partial, time: ago(0), ..LogLine::default() };
            line.time.as_mut().unwrap().nanos = 5;
            bytes.extend(lines.print(source, &line));
        }
        wanted.assert_eq(std::str::from_utf8(&bytes).unwrap());
    }
}
