//! Remembers, outside sled, how far the store had come.
//!
//! sled answers what it did not foresee with an empty or a shorter store, and calls it success. This file says
//! which revision was acknowledged at least, so that such a store is refused. It is behind the store by up to a
//! second of commits, and never ahead.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use super::{StoreError, durable};

/// Its name in the data directory.
pub(super) const NAME: &str = "watermark";

const TITLE: &str = "wick watermark 1";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watermark {
    /// A revision that was acknowledged.
    pub(super) revision: u64,
    /// After a clean stop: the store's files and their lengths. A store that looks otherwise was not the one
    /// that stopped.
    pub(super) stopped: Option<Vec<(String, u64)>>,
}

impl Watermark {
    /// What is acknowledged while the store is open.
    pub(super) fn running(revision: u64) -> Watermark {
        Watermark { revision, stopped: None }
    }

    pub(super) fn read(path: &Path) -> Result<Option<Watermark>, StoreError> {
        let text = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", path)(error)),
        };
        match std::str::from_utf8(&text).ok().and_then(parse) {
            Some(watermark) => Ok(Some(watermark)),
            None => Err(StoreError::Refused {
                store: path.with_file_name(super::opening::STORE_NAME),
                why: format!("`{}` is damaged, so that nothing tells what was acknowledged", path.display()),
                way_on: "delete that file to go on with what the store has".into(),
                untouched: true,
            }),
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), StoreError> {
        durable::replace_file(path, render(self).as_bytes())
    }
}

// One fact a line, for whoever has to look. File names may hold spaces; nothing of ours or sled's has a newline.
fn render(watermark: &Watermark) -> String {
    let mut text = format!("{TITLE}\nrevision {}\n", watermark.revision);
    match &watermark.stopped {
        None => text.push_str("running\n"),
        Some(files) => {
            text.push_str("stopped\n");
            for (name, length) in files {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "file {length} {name}");
            }
        }
    }
    let crc = crc32fast::hash(text.as_bytes());
    let _ = writeln!(text, "crc32 {crc:08x}");
    text
}

fn parse(text: &str) -> Option<Watermark> {
    let mut lines = text.lines();
    if lines.next()? != TITLE {
        return None;
    }
    let revision = lines.next()?.strip_prefix("revision ")?.parse().ok()?;
    let stopped = match lines.next()? {
        "running" => None,
        "stopped" => {
            let files = lines.map_while(|line| {
                let (length, name) = line.strip_prefix("file ")?.split_once(' ')?;
                Some((name.to_owned(), length.parse().ok()?))
            });
            Some(files.collect())
        }
        _ => return None,
    };
    let watermark = Watermark { revision, stopped };
    // Byte for byte what we would write, checksum included: a line too many is damage too.
    (render(&watermark) == text).then_some(watermark)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn stopped() -> Watermark {
        Watermark { revision: 41, stopped: Some(vec![("conf".into(), 63), ("db".into(), 524_288)]) }
    }

    #[test]
    fn reads_like_this() {
        expect![[r#"
            wick watermark 1
            revision 41
            stopped
            file 63 conf
            file 524288 db
            crc32 57617893
        "#]]
        .assert_eq(&render(&stopped()));
    }

    #[test]
    fn comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        assert_eq!(Watermark::read(&path).unwrap(), None);
        for watermark in [Watermark::running(0), Watermark::running(u64::MAX), stopped()] {
            watermark.write(&path).unwrap();
            assert_eq!(Watermark::read(&path).unwrap(), Some(watermark));
        }
    }

    #[test]
    fn a_changed_missing_or_added_byte_is_noticed() {
        let whole = render(&stopped());
        for at in 0..whole.len() {
            let mut changed = whole.clone().into_bytes();
            changed[at] ^= 1;
            assert_eq!(std::str::from_utf8(&changed).ok().and_then(parse), None, "byte {at} changed");
            assert_eq!(parse(&whole[..at]), None, "cut at {at}");
        }
        assert_eq!(parse(&format!("{whole}\n")), None);
    }
}
