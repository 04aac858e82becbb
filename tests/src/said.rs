//! What a command said, and how much of it is the same every time.

use std::fmt;

/// What a command wrote, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code.
    pub code: i32,
}

impl fmt::Display for Said {
    /// As on a terminal: what it wrote to stdout, then what it wrote to stderr, and the exit code unless it is 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.stdout)?;
        f.write_str(&self.stderr)?;
        match self.code {
            0 => Ok(()),
            code => writeln!(f, "exit {code}"),
        }
    }
}

/// `text` without what differs from run to run: ids, digests, ages, times, versions of objects, and the last five letters
/// of Pods' names of these `jobs`. Columns are two blanks apart, for their widths follow from what was taken out.
pub fn plain(text: &str, jobs: &[&str]) -> String {
    let mut plain = String::new();
    for line in text.lines() {
        let line = &without_dates(line);
        let indent = line.len() - line.trim_start_matches(' ').len();
        plain += &line[..indent];
        let mut gap = 0;
        for word in line[indent..].split(' ') {
            if word.is_empty() {
                gap += 1;
                continue;
            }
            if !plain.ends_with('\n') && !plain.is_empty() && plain.len() > line_start(&plain) + indent {
                plain += if gap > 0 { "  " } else { " " };
            }
            gap = 0;
            plain += &plain_word(word, jobs);
        }
        plain.truncate(plain.trim_end_matches(' ').len());
        plain.push('\n');
    }
    plain
}

/// A line with `TIME` for each `Fri, 20 Nov 2026 15:00:00 +0000`, and for each `2026-11-20 15:00:00`.
fn without_dates(line: &str) -> String {
    const MOMENT: &[u8] = b"dddd-dd-dd dd:dd:dd";
    const ZONE: &str = " +0000";
    const DATE: &str = "Fri, 20 Nov 2026 15:00:00";
    let mut line = line.to_owned();
    while let Some(at) = line.find(ZONE)
        && let Some(start) = at.checked_sub(DATE.len())
    {
        line.replace_range(start..at + ZONE.len(), "TIME");
    }
    let moment = |line: &str| line.as_bytes().windows(MOMENT.len()).position(|text| has_form(text, MOMENT));
    while let Some(start) = moment(&line) {
        line.replace_range(start..start + MOMENT.len(), "TIME");
    }
    line
}

/// Whether it has digits where the form has `d`, and is the form elsewhere.
fn has_form(text: &[u8], form: &[u8]) -> bool {
    text.iter().zip(form).all(|(byte, form)| match form {
        b'd' => byte.is_ascii_digit(),
        form => byte == form,
    })
}

fn line_start(text: &str) -> usize {
    text.rfind('\n').map_or(0, |at| at + 1)
}

/// A word's pieces, between the characters that hold words together.
fn plain_word(word: &str, jobs: &[&str]) -> String {
    let is_mark = |char: char| "\"'`(),;=/@<>[]".contains(char);
    let mut plain = String::new();
    let mut rest = word;
    while let Some(char) = rest.chars().next() {
        if is_mark(char) {
            plain.push(char);
            rest = &rest[char.len_utf8()..];
            continue;
        }
        let end = rest.find(is_mark).unwrap_or(rest.len());
        plain += &plain_piece(&rest[..end], jobs);
        rest = &rest[end..];
    }
    plain
}

fn plain_piece(piece: &str, jobs: &[&str]) -> String {
    let core = piece.trim_end_matches(['.', ':']);
    let end = &piece[core.len()..];
    let known = if core.strip_prefix("sha256:").is_some_and(|hex| is_hex(hex, 64)) {
        Some("sha256:DIGEST".to_owned())
    } else if is_hex(core, 12) && core.bytes().any(|byte| byte.is_ascii_digit()) {
        Some("DIGEST".to_owned())
    } else if is_uuid(core) {
        Some("UID".to_owned())
    } else if is_age(core) {
        Some("AGE".to_owned())
    } else if is_time(core) {
        Some("TIME".to_owned())
    } else if is_version(core) {
        Some("VERSION".to_owned())
    } else {
        pod_name(core, jobs)
    };
    known.map_or_else(|| piece.to_owned(), |known| known + end)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, length)| is_hex(part, length))
}

/// `7s`, `2m30s`, `120ms`.
fn is_age(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = ["ms", "s", "m", "h", "d", "y"].into_iter().find(|unit| rest[digits..].starts_with(unit));
        match unit {
            Some(unit) if digits > 0 => rest = &rest[digits + unit.len()..],
            _ => return false,
        }
    }
    !text.is_empty()
}

/// `2026-11-20T09:00:00Z`.
fn is_time(text: &str) -> bool {
    text.len() >= 20 && text.ends_with('Z') && has_form(text.as_bytes(), b"dddd-dd-ddTdd:dd:dd")
}

/// Revisions begin beyond a million.
fn is_version(text: &str) -> bool {
    text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `hello-x7k2p` as `hello-POD`.
fn pod_name(text: &str, jobs: &[&str]) -> Option<String> {
    let (job, suffix) = text.rsplit_once('-')?;
    let generated = |byte: u8| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte);
    (jobs.contains(&job) && suffix.len() == 5 && suffix.bytes().all(generated)).then(|| format!("{job}-POD"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_taken_out_and_the_rest_stays() {
        let text = "\
NAME                READY   STATUS      RESTARTS      AGE
pod/hello-x7k2p     1/1     Completed   12 (3s ago)   2m30s
  uid: 2ef1189e-cd9c-8eb7-816a-ccc6ac0a76b3
  image: hello@sha256:db717886d2b0031af4d37872666ff83913cbc40332e6a73994efc94c6e80e9ed
error: no job named `hello-mouse` at 2026-11-20T09:00:00Z, version \"1048613\"
Started:   Fri, 20 Nov 2026 15:00:00 +0000 (7s ago)
2026-11-20 15:00:00   hello
";
        let wanted = "\
NAME  READY  STATUS  RESTARTS  AGE
pod/hello-POD  1/1  Completed  12 (AGE ago)  AGE
  uid: UID
  image: hello@sha256:DIGEST
error: no job named `hello-mouse` at TIME, version \"VERSION\"
Started:  TIME (AGE ago)
TIME  hello
";
        assert_eq!(plain(text, &["hello"]), wanted);
    }
}
