//! What must be in a store after a cut: worked out from what was announced before it.
//!
//! Whoever commits announces the batch before and after. Commits follow one another, so when the power goes there is
//! at most one of which it is open whether it is there: the store has what was acknowledged, or that and this batch,
//! whole, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use engine::store::Batch;
use sha2::{Digest, Sha256};

use crate::story::{Op, Story};

/// A store's records: keys in hexadecimal, values by their hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) revision: u64,
    pub(crate) values: BTreeMap<String, String>,
}

/// What may be found, and what ever was.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// One of these is right. The first has all that was acknowledged and nothing else.
    candidates: Vec<Arc<Records>>,
    /// Every value that was ever issued, by its key.
    issued: Arc<BTreeSet<(String, String)>>,
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    LostAcknowledged,
    TornBatch,
    NeverIssued,
    CameBack,
    DoesNotOpen,
    Died,
    Hung,
    /// It opened and was read, and then could not be gone on with.
    FailedLater,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::LostAcknowledged => "lost acknowledged",
            Kind::TornBatch => "torn batch",
            Kind::NeverIssued => "never issued",
            Kind::CameBack => "came back",
            Kind::DoesNotOpen => "does not open",
            Kind::Died => "died",
            Kind::Hung => "hung",
            Kind::FailedLater => "failed later",
        }
    }
}

/// The hash that values are told apart by.
pub(crate) fn hash(value: &[u8]) -> String {
    hex(&Sha256::digest(value)[..12])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}"); // Writing to a String cannot fail.
    }
    text
}

/// What is announced of a batch before it is committed: a line for its revision and one for each operation.
pub(crate) fn issued(batch: &Batch) -> String {
    let mut text = format!("issued {}\n", batch.revision);
    for (key, value) in batch.ops() {
        let _ = match value {
            Some(value) => writeln!(text, "{} {}", hex(key), hash(value)),
            None => writeln!(text, "{}", hex(key)),
        };
    }
    text
}

impl Records {
    /// All of it, in a line.
    pub(crate) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (key, value) in &self.values {
            digest.update(format!("{key} {value}\n"));
        }
        format!("{} {}", self.revision, hex(&digest.finalize()))
    }

    /// Does what was announced as issued.
    fn take(&mut self, batch: &str) -> Result<()> {
        let mut lines = batch.lines();
        let revision = lines.next().and_then(|line| line.strip_prefix("issued "));
        self.revision = revision.context("no `issued`")?.parse()?;
        for line in lines {
            match line.split_once(' ') {
                Some((key, value)) => drop(self.values.insert(key.to_owned(), value.to_owned())),
                None => drop(self.values.remove(line)),
            }
        }
        Ok(())
    }

    /// As `check` prints it.
    pub(crate) fn parse(text: &str) -> Result<Records> {
        let mut lines = text.lines();
        let first = lines.next().and_then(|line| line.strip_prefix("opened ")).context("no `opened`")?;
        let mut records = Records { revision: first.parse()?, values: BTreeMap::new() };
        for line in lines {
            let (key, value) = line.split_once(' ').context("a line that is no record")?;
            records.values.insert(key.to_owned(), value.to_owned());
        }
        Ok(records)
    }
}

impl Expected {
    /// Of a store that was never written to.
    pub(crate) fn nothing() -> Expected {
        Expected { candidates: vec![Arc::default()], issued: Arc::default() }
    }

    /// What may be found when the power goes after `at` events of the story, if this might be found before it.
    pub(crate) fn after(&self, story: &Story, at: usize) -> Result<Expected> {
        let mut candidates = self.candidates.clone();
        let mut ever = self.issued.clone();
        // What was issued last, until it is acknowledged. Put in place only then, or at the end: a store is not copied for
        // each of its batches.
        let mut pending: Option<&str> = None;
        for op in &story.ops[..at] {
            let Op::Announced(text) = op else { continue };
            let text = str::from_utf8(story.bytes(text))?;
            let first = text.lines().next().unwrap_or_default();
            match first.split_once(' ').unwrap_or((first, "")) {
                ("opening" | "closing" | "closed", _) => {}
                ("opened", digest) => {
                    candidates.retain(|candidate| candidate.digest() == digest);
                    ensure!(
                        !candidates.is_empty(),
                        "the program opened a store that is none of those expected"
                    );
                    candidates.truncate(1);
                }
                ("issued", _) => {
                    ensure!(
                        candidates.len() == 1 && pending.is_none(),
                        "a batch was issued before the last one ended"
                    );
                    let issued = text.lines().skip(1).filter_map(|line| line.split_once(' '));
                    let issued = issued.map(|(key, value)| (key.to_owned(), value.to_owned()));
                    Arc::make_mut(&mut ever).extend(issued);
                    pending = Some(text);
                }
                ("acknowledged", revision) => {
                    let batch = pending.take().context("nothing was issued")?;
                    let records = Arc::make_mut(&mut candidates[0]);
                    records.take(batch)?;
                    ensure!(records.revision.to_string() == revision, "another batch was issued");
                }
                (other, _) => bail!("`{other}` is no announcement"),
            }
        }
        if let Some(batch) = pending {
            let mut next = Records::clone(&candidates[0]);
            next.take(batch)?;
            candidates.push(Arc::new(next));
        }
        Ok(Expected { candidates, issued: ever })
    }

    /// What is wrong with these records, if anything is, and where it shows.
    pub(crate) fn judge(&self, found: &Records) -> Option<(Kind, String)> {
        if self.candidates.iter().any(|candidate| **candidate == *found) {
            return None;
        }
        let acknowledged = &self.candidates[0];
        let wanted: Vec<String> =
            self.candidates.iter().map(|candidate| candidate.revision.to_string()).collect();
        let place = format!("revision {}, expected {}", found.revision, wanted.join(" or "));
        if found.revision < acknowledged.revision {
            return Some((Kind::LostAcknowledged, place));
        }
        let keys = self.candidates.iter().flat_map(|candidate| candidate.values.keys());
        let keys: BTreeSet<&String> = keys.chain(found.values.keys()).collect();
        let mut kind = Kind::TornBatch;
        let mut place = place;
        for key in keys {
            let value = found.values.get(key);
            if self.candidates.iter().any(|candidate| candidate.values.get(key) == value) {
                continue;
            }
            place = format!("{place}; key {key} has {value:?}");
            kind = match value {
                None => Kind::LostAcknowledged,
                Some(value) if !self.issued.contains(&(key.clone(), value.clone())) => Kind::NeverIssued,
                Some(_) if acknowledged.values.contains_key(key) => Kind::LostAcknowledged,
                Some(_) => Kind::CameBack,
            };
            break;
        }
        Some((kind, place))
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::script::Script;

    /// `a` is 1 and `b` is 2, acknowledged; then `a` goes and `c` comes, which is in flight.
    fn expected() -> Expected {
        let script = Script::default().say("opening").say(&format!("opened {}", Records::default().digest()));
        let script = script.say("issued 7\na 1\nb 0\n").say("acknowledged 7");
        let script = script.say("issued 8\nb 2\nd 4\n").say("acknowledged 8");
        let script = script.say("issued 9\nd\n").say("acknowledged 9").say("issued 10\na\nc 3\n");
        let story = script.story();
        Expected::nothing().after(&story, story.ops.len()).unwrap()
    }

    fn check(found: &str, wanted: Expect) {
        let judged = expected().judge(&Records::parse(&format!("opened {found}")).unwrap());
        let judged = judged.map_or("right".to_owned(), |(kind, place)| format!("{}: {place}", kind.name()));
        wanted.assert_eq(&judged);
    }

    #[test]
    fn a_batch_in_flight_is_there_or_not() {
        check("9\na 1\nb 2", expect!["right"]);
        check("10\nb 2\nc 3", expect!["right"]);
    }

    #[test]
    fn whatever_else_is_found_is_named() {
        check("8\na 1\nb 2\nd 4", expect!["lost acknowledged: revision 8, expected 9 or 10"]);
        check("10\na 1\nb 2\nc 3", expect!["torn batch: revision 10, expected 9 or 10"]);
        check(
            "9\na 1\nb 2\nd 4",
            expect![[r#"came back: revision 9, expected 9 or 10; key d has Some("4")"#]],
        );
        check("9\na 1", expect!["lost acknowledged: revision 9, expected 9 or 10; key b has None"]);
        check(
            "9\na 1\nb 0",
            expect![[r#"lost acknowledged: revision 9, expected 9 or 10; key b has Some("0")"#]],
        );
        check("9\na 1\nb 5", expect![[r#"never issued: revision 9, expected 9 or 10; key b has Some("5")"#]]);
    }

    #[test]
    fn what_was_once_seen_stays_so() {
        let story = Script::default().say("issued 1\na 1\n").story();
        let either = Expected::nothing().after(&story, 1).unwrap();
        let without = Records::default();
        assert_eq!(either.judge(&without), None);

        let with = Records { revision: 1, values: [("a".to_owned(), "1".to_owned())].into() };
        let story = Script::default().say("opening").say(&format!("opened {}", with.digest())).story();
        let seen = either.after(&story, 2).unwrap();
        assert_eq!(seen.judge(&with), None);
        assert!(matches!(seen.judge(&without), Some((Kind::LostAcknowledged, _))));
    }
}
