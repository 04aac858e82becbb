//! One atomic change, and how large it may be.

use std::collections::BTreeMap;

use super::StoreError;

/// One atomic, durable change: all of it or nothing. A later operation on a key replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The last revision this batch contains; it becomes the store's own sequence record.
    pub revision: u64,
    /// When, on the steady axis. It only paces the watermark file.
    pub at_ms: i64,
    ops: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
    large_bytes: usize,
}

impl Batch {
    /// The most bytes one batch may write at once. sled's log is cut in segments of 512 KiB, and it writes an
    /// operation up to about three times (itself, then its page again); well below a segment is where its
    /// recovery is best understood.
    pub const MAX_BYTES: usize = 256 << 10;
    /// The most bytes of values over [`Batch::MAX_INLINE_BYTES`] in one batch. Those are written before the
    /// batch and only referred to in it, so they do not count towards [`Batch::MAX_BYTES`].
    pub const MAX_LARGE_BYTES: usize = 8 << 20;
    /// The longest key. An index page of sled holds up to 320 of them and must stay below 128 KiB, or it
    /// becomes a blob, which sled never syncs.
    pub const MAX_KEY_BYTES: usize = 384;
    /// The longest value: a Kubernetes object of 1.5 MiB and what is recorded with it.
    pub const MAX_VALUE_BYTES: usize = 2 << 20;
    /// The longest value that is recorded together with its key.
    pub const MAX_INLINE_BYTES: usize = 4095;

    /// What an operation costs beside its key and value: message headers and a reference to a large value.
    const OP_BYTES: usize = 48;

    /// An empty batch, which records `revision` and nothing else.
    pub fn new(revision: u64, at_ms: i64) -> Batch {
        Batch { revision, at_ms, ops: BTreeMap::new(), bytes: 0, large_bytes: 0 }
    }

    /// Records `value` at `key`.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.set(key.into(), Some(value.into()));
    }

    /// Removes what is at `key`, if anything is.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.set(key.into(), None);
    }

    /// What this batch does, in key order: a value is put, none is a deletion.
    pub fn ops(&self) -> impl ExactSizeIterator<Item = (&[u8], Option<&[u8]>)> {
        self.ops.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// What this batch does to `key`: nothing, a deletion, or a value.
    pub fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.ops.get(key).map(Option::as_deref)
    }

    /// How many keys it changes.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether it changes no key.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// What counts towards [`Batch::MAX_BYTES`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What counts towards [`Batch::MAX_LARGE_BYTES`].
    pub fn large_bytes(&self) -> usize {
        self.large_bytes
    }

    /// Whether a value of `value_bytes` at a key of `key_bytes` can still be put (or, with 0, the key deleted).
    /// What fits nowhere, because the key or the value is itself too long, does not fit an empty batch either.
    pub fn would_fit(&self, key_bytes: usize, value_bytes: usize) -> bool {
        let (bytes, large_bytes) = cost(key_bytes, value_bytes);
        key_bytes <= Batch::MAX_KEY_BYTES
            && value_bytes <= Batch::MAX_VALUE_BYTES
            && self.bytes + bytes <= Batch::MAX_BYTES
            && self.large_bytes + large_bytes <= Batch::MAX_LARGE_BYTES
    }

    /// Whether a store may be asked to commit this. Every store asks it first, so that all refuse alike.
    pub fn check(&self, stored: u64) -> Result<(), StoreError> {
        let within = |what, bytes, most| {
            if bytes > most { Err(StoreError::TooLarge { what, bytes, most }) } else { Ok(()) }
        };
        for (key, value) in self.ops() {
            within("a key", key.len(), Batch::MAX_KEY_BYTES)?;
            within("a value", value.map_or(0, <[u8]>::len), Batch::MAX_VALUE_BYTES)?;
        }
        within("a batch", self.bytes, Batch::MAX_BYTES)?;
        within("a batch's large values", self.large_bytes, Batch::MAX_LARGE_BYTES)?;
        // Equal is allowed: a commit may record what is no change of an object.
        if self.revision < stored {
            return Err(StoreError::Backwards { asked: self.revision, stored });
        }
        Ok(())
    }

    fn set(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let key_bytes = key.len();
        let (bytes, large_bytes) = cost(key_bytes, value.as_ref().map_or(0, Vec::len));
        self.bytes += bytes;
        self.large_bytes += large_bytes;
        if let Some(earlier) = self.ops.insert(key, value) {
            let (bytes, large_bytes) = cost(key_bytes, earlier.map_or(0, |value| value.len()));
            self.bytes -= bytes;
            self.large_bytes -= large_bytes;
        }
    }
}

/// What an operation counts in the batch, and what before it.
fn cost(key_bytes: usize, value_bytes: usize) -> (usize, usize) {
    let fixed = key_bytes.saturating_add(Batch::OP_BYTES);
    if value_bytes <= Batch::MAX_INLINE_BYTES {
        (fixed.saturating_add(value_bytes), 0)
    } else {
        (fixed, value_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_operation_on_a_key_counts_once() {
        let mut batch = Batch::new(1, 0);
        batch.put("a", vec![0; 100]);
        batch.put("a", vec![0; 10_000]);
        batch.delete("a");
        batch.put("a", "b");
        let mut same = Batch::new(1, 0);
        same.put("a", "b");
        assert_eq!(batch, same);
    }

    #[test]
    fn what_would_fit_passes_the_check_and_what_would_not_fails() {
        for value_bytes in [0, 500, Batch::MAX_INLINE_BYTES, 4096, 1 << 20] {
            let mut batch = Batch::new(1, 0);
            let mut n = 0_u32;
            while batch.would_fit(4, value_bytes) {
                batch.put(n.to_be_bytes(), vec![0; value_bytes]);
                n += 1;
            }
            assert!(batch.check(0).is_ok(), "{n} values of {value_bytes} bytes");
            batch.put(n.to_be_bytes(), vec![0; value_bytes]);
            assert!(batch.check(0).is_err(), "one more than {n} values of {value_bytes} bytes");
        }
    }

    #[test]
    fn keys_and_values_have_limits_of_their_own() {
        let batch = Batch::new(1, 0);
        assert!(batch.would_fit(Batch::MAX_KEY_BYTES, Batch::MAX_VALUE_BYTES));
        assert!(!batch.would_fit(Batch::MAX_KEY_BYTES + 1, 0));
        assert!(!batch.would_fit(1, Batch::MAX_VALUE_BYTES + 1));
        assert!(!batch.would_fit(usize::MAX, usize::MAX));
    }
}
