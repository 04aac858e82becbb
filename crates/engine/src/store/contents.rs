//! Reads all of a store at start, which is the proof that all of it can be read.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::StoreError;
use super::record::{HEAD_PREFIX, Head, Large, PIECE_BYTES, PIECE_PREFIX, SEQUENCE_KEY, parse_piece_key};
use super::tree::{CHUNK, Tree};

/// What is in a tree that reads whole.
#[derive(Default)]
pub(super) struct Contents {
    /// The revision of the last commit; none in a tree that sled has emptied, or that never was a store.
    pub(super) sequence: Option<u64>,
    /// The values in pieces, by their record's key.
    pub(super) large: BTreeMap<Vec<u8>, Large>,
    /// Pieces that no record refers to: their commit never was, or their record is gone.
    pub(super) orphans: Vec<Vec<u8>>,
    /// A number for the next value in pieces, greater than any in the tree.
    pub(super) next_id: u64,
    /// Bytes of keys and values that are not orphans.
    pub(super) live_bytes: u64,
}

/// The value being put together from its pieces.
struct Assembly {
    large: Large,
    pieces: u32,
    bytes: usize,
    crc: crc32fast::Hasher,
}

impl Contents {
    /// Reads every record, or says what is wrong with the tree.
    pub(super) fn read(tree: &Tree) -> Result<Contents, StoreError> {
        let mut contents = Contents::default();
        let mut expected = BTreeMap::new();
        let mut assembly: Option<Assembly> = None;
        let mut from = Bound::Unbounded;
        loop {
            // In key order: records, then pieces, then the sequence record.
            let chunk = tree.chunk(from.as_ref().map(Vec::as_slice), Bound::Unbounded, CHUNK)?;
            let Some((last, _)) = chunk.last() else { break };
            from = Bound::Excluded(last.to_vec());
            for (key, value) in chunk {
                let bytes = (key.len() + value.len()) as u64;
                match key.first() {
                    Some(&HEAD_PREFIX) => {
                        let head = Head::decode(&value).ok_or_else(|| damaged(&key, "cannot be decoded"))?;
                        if let Head::Large(large) = head {
                            contents.next_id = contents.next_id.max(large.id.saturating_add(1));
                            contents.large.insert(key[1..].to_vec(), large);
                            if expected.insert(large.id, large).is_some() {
                                return Err(damaged(&key, "shares its pieces with another"));
                            }
                        }
                        contents.live_bytes += bytes;
                    }
                    Some(&PIECE_PREFIX) => {
                        let (id, n) =
                            parse_piece_key(&key).ok_or_else(|| damaged(&key, "has no such key"))?;
                        contents.next_id = contents.next_id.max(id.saturating_add(1));
                        if assembly.as_ref().is_none_or(|assembly| assembly.large.id != id) {
                            finish(assembly.take())?;
                            assembly = expected.remove(&id).map(Assembly::new);
                        }
                        match &mut assembly {
                            Some(assembly) => {
                                if !assembly.add(n, &value) {
                                    return Err(damaged(&key, "is out of order or too long"));
                                }
                                contents.live_bytes += bytes;
                            }
                            None => contents.orphans.push(key.to_vec()),
                        }
                    }
                    _ if key == SEQUENCE_KEY => {
                        let revision =
                            (&*value).try_into().map_err(|_| damaged(&key, "cannot be decoded"))?;
                        contents.sequence = Some(u64::from_be_bytes(revision));
                    }
                    _ => return Err(damaged(&key, "is none of ours")),
                }
            }
        }
        finish(assembly)?;
        if let Some(large) = expected.values().next() {
            return Err(failed(format!("value {} of {} bytes is missing", large.id, large.len)));
        }
        Ok(contents)
    }
}

impl Assembly {
    fn new(large: Large) -> Assembly {
        Assembly { large, pieces: 0, bytes: 0, crc: crc32fast::Hasher::new() }
    }

    /// Takes the next piece; false if it is another one.
    fn add(&mut self, n: u32, piece: &[u8]) -> bool {
        let right = n == self.pieces && piece.len() <= PIECE_BYTES;
        self.pieces += 1;
        self.bytes += piece.len();
        self.crc.update(piece);
        right && self.pieces <= self.large.pieces()
    }
}

fn finish(assembly: Option<Assembly>) -> Result<(), StoreError> {
    let Some(Assembly { large, bytes, crc, .. }) = assembly else { return Ok(()) };
    if bytes == large.len as usize && crc.finalize() == large.crc {
        return Ok(());
    }
    Err(failed(format!(
        "value {} of {} bytes is not whole: {bytes} bytes of it are there",
        large.id, large.len
    )))
}

fn damaged(key: &[u8], what: &str) -> StoreError {
    failed(format!("record `{}` {what}", key.escape_ascii()))
}

fn failed(what: String) -> StoreError {
    StoreError::Failed { doing: "reading".into(), source: what.into() }
}
