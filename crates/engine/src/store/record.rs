//! How records lie in sled's one tree.
//!
//! A page of sled over 128 KiB becomes a blob, a file that sled never syncs, so no value there is longer than
//! 4 KiB. A record whose value is longer is cut in pieces under keys of their own, written and synced before
//! the record that refers to them; pieces that no record refers to belong to a commit that never was, and are
//! removed at the next start.

use super::Batch;

/// The longest value in sled.
pub(super) const PIECE_BYTES: usize = 4096;

/// Where the store's own revision is.
pub(super) const SEQUENCE_KEY: &[u8] = b"s";

/// Records are at this and their key.
pub(super) const HEAD_PREFIX: u8 = b'h';

/// Pieces are at this, the number of their value and their own.
pub(super) const PIECE_PREFIX: u8 = b'p';

const INLINE: u8 = 0;
const LARGE: u8 = 1;

// A head is a tag and the value.
const _: () = assert!(Batch::MAX_INLINE_BYTES + 1 == PIECE_BYTES);

/// A value in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Large {
    /// Its number, which no other value of this store has or had since the last start.
    pub(super) id: u64,
    /// How long it is.
    pub(super) len: u32,
    /// The CRC-32 of all of it.
    pub(super) crc: u32,
}

/// What a record's value in sled is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head<'a> {
    /// The value itself.
    Inline(&'a [u8]),
    /// Where its pieces are.
    Large(Large),
}

impl Large {
    pub(super) fn of(id: u64, value: &[u8]) -> Large {
        // `Batch::check` came first; a longer value would be found damaged, not cut in silence.
        let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
        Large { id, len, crc: crc32fast::hash(value) }
    }

    pub(super) fn pieces(self) -> u32 {
        self.len.div_ceil(PIECE_BYTES as u32)
    }

    pub(super) fn keys(self) -> impl Iterator<Item = [u8; 13]> {
        (0..self.pieces()).map(move |n| piece_key(self.id, n))
    }
}

impl Head<'_> {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Head::Inline(value) => [&[INLINE], *value].concat(),
            Head::Large(Large { id, len, crc }) => {
                [&[LARGE][..], &id.to_be_bytes(), &len.to_be_bytes(), &crc.to_be_bytes()].concat()
            }
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Head<'_>> {
        match bytes.split_first()? {
            (&INLINE, value) => Some(Head::Inline(value)),
            (&LARGE, rest) => {
                let (id, rest) = rest.split_first_chunk()?;
                let (len, rest) = rest.split_first_chunk()?;
                let crc = rest.try_into().ok()?;
                Some(Head::Large(Large {
                    id: u64::from_be_bytes(*id),
                    len: u32::from_be_bytes(*len),
                    crc: u32::from_be_bytes(crc),
                }))
            }
            _ => None,
        }
    }
}

/// Where the record at `key` is in sled.
pub(super) fn head_key(key: &[u8]) -> Vec<u8> {
    [&[HEAD_PREFIX], key].concat()
}

/// Where piece `n` of value `id` is in sled.
pub(super) fn piece_key(id: u64, n: u32) -> [u8; 13] {
    let mut key = [PIECE_PREFIX; 13];
    key[1..9].copy_from_slice(&id.to_be_bytes());
    key[9..].copy_from_slice(&n.to_be_bytes());
    key
}

/// The value's number, and the piece's.
pub(super) fn parse_piece_key(key: &[u8]) -> Option<(u64, u32)> {
    let (id, n) = key.strip_prefix(&[PIECE_PREFIX])?.split_first_chunk()?;
    Some((u64::from_be_bytes(*id), u32::from_be_bytes(n.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_come_back_as_they_were() {
        for head in [
            Head::Inline(b""),
            Head::Inline(b"\x01value"),
            Head::Large(Large { id: u64::MAX, len: 5000, crc: 7 }),
        ] {
            assert_eq!(Head::decode(&head.encode()), Some(head));
        }
    }

    #[test]
    fn what_is_no_head_is_none() {
        let large = Head::Large(Large { id: 1, len: 5000, crc: 7 }).encode();
        for bytes in [&[][..], &[2], &large[..large.len() - 1], &[&large[..], &[0]].concat()] {
            assert_eq!(Head::decode(bytes), None);
        }
    }

    #[test]
    fn piece_keys_sort_by_value_then_piece() {
        let keys = [piece_key(1, 0), piece_key(1, 1), piece_key(1, 256), piece_key(2, 0), piece_key(256, 3)];
        assert!(keys.is_sorted());
        assert_eq!(parse_piece_key(&piece_key(256, 3)), Some((256, 3)));
        assert_eq!(parse_piece_key(b"p"), None);
    }
}
