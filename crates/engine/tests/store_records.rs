//! What goes into the store comes out of it: whole, in order, and only when it is durable.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use engine::store::{Batch, DataDir, History, SledOptions, SledStore, Store, StoreError};

fn open(dir: &Path) -> SledStore {
    SledStore::open(&DataDir::lock(dir).unwrap(), SledOptions::default()).unwrap()
}

/// Commits as the next revision.
fn commit(store: &mut SledStore, ops: &[(&str, Option<Vec<u8>>)]) {
    let mut batch = Batch::new(store.revision() + 1, 0);
    for (key, value) in ops {
        match value {
            Some(value) => batch.put(*key, value.clone()),
            None => batch.delete(*key),
        }
    }
    store.commit(&batch).unwrap();
}

fn load(store: &SledStore, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        found.push((String::from_utf8(key.to_vec()).unwrap(), value.to_vec()));
        ControlFlow::Continue(())
    };
    store.load(prefix.as_bytes(), visit).unwrap();
    found
}

fn keys(history: &dyn History, prefix: &str, after: Option<&str>, limit: usize) -> String {
    let found = history.scan(prefix.as_bytes(), after.map(str::as_bytes), limit).unwrap();
    found.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect::<Vec<_>>().join(" ")
}

/// Bytes that differ from place to place, so that a lost or swapped piece shows.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn blobs(dir: &Path) -> usize {
    fs::read_dir(dir.join("store/blobs")).unwrap().count()
}

/// How many pieces of large values are in sled, once nobody else has it.
fn pieces(dir: &Path) -> usize {
    let db = sled::open(dir.join("store")).unwrap();
    db.scan_prefix("p").count()
}

#[test]
fn values_of_every_length_come_back_as_they_were_put() {
    let dir = tempfile::tempdir().unwrap();
    let lengths = [0, 1, 4094, 4095, 4096, 4097, 8192, 8193, 100_000, 1 << 20, Batch::MAX_VALUE_BYTES];
    let expected: Vec<_> =
        lengths.iter().map(|len| (format!("{len:08}"), bytes(*len as u64, *len))).collect();

    let mut store = open(dir.path());
    for (key, value) in &expected {
        commit(&mut store, &[(key, Some(value.clone()))]);
        assert_eq!(store.history().get(key.as_bytes()).unwrap().as_ref(), Some(value));
    }
    assert!(load(&store, "") == expected);
    assert_eq!(blobs(dir.path()), 0);
    store.close().unwrap();
    drop(store);

    let store = open(dir.path());
    assert!(load(&store, "") == expected);
    assert_eq!(store.revision(), lengths.len() as u64);
}

#[test]
fn a_large_value_overwritten_or_deleted_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let value = |seed| Some(bytes(seed, 1 << 20));
    commit(
        &mut store,
        &[("kept", value(1)), ("replaced", value(2)), ("shrunk", value(3)), ("deleted", value(4))],
    );
    commit(&mut store, &[("replaced", value(5)), ("shrunk", Some(vec![6])), ("deleted", None)]);
    let expected = [("kept", value(1)), ("replaced", value(5)), ("shrunk", Some(vec![6]))];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.unwrap()));
    assert!(load(&store, "") == expected);
    // Three values are gone, of 256 pieces each; a commit removes 64.
    for _ in 0..3 * 256 / 64 {
        commit(&mut store, &[]);
    }
    assert_eq!(blobs(dir.path()), 0);
    store.close().unwrap();
    drop(store);
    assert_eq!(pieces(dir.path()), 2 * 256);

    assert!(load(&open(dir.path()), "") == expected);
}

#[test]
fn pieces_that_were_not_removed_in_time_are_removed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    commit(&mut store, &[("a", Some(bytes(1, 1 << 20)))]);
    commit(&mut store, &[("a", None)]);
    store.close().unwrap();
    drop(store);
    assert_eq!(pieces(dir.path()), 256);
    open(dir.path()).close().unwrap();
    assert_eq!(pieces(dir.path()), 0);
}

#[test]
fn scans_are_in_key_order_within_the_prefix_and_after_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    commit(&mut store, &["b/3", "b/1", "a", "b/2", "b", "c", "b0"].map(|key| (key, Some(vec![]))));
    let history = store.history();
    let check = |prefix, after, limit, expected| assert_eq!(keys(&*history, prefix, after, limit), expected);
    check("", None, 100, "a b b/1 b/2 b/3 b0 c");
    check("b/", None, 100, "b/1 b/2 b/3");
    check("b/", None, 2, "b/1 b/2");
    check("b/", Some("b/1"), 100, "b/2 b/3");
    check("b/", Some("b/15"), 1, "b/2");
    check("b/", Some("b/3"), 100, "");
    check("b/", Some("a"), 100, "b/1 b/2 b/3");
    check("b/", Some("c"), 100, "");
    check("x", None, 100, "");
    check("", None, 0, "");
}

#[test]
fn scans_do_not_end_where_a_chunk_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let names: Vec<_> = (0..1000).map(|n| format!("{n:04}")).collect();
    for names in names.chunks(500) {
        commit(&mut store, &names.iter().map(|name| (name.as_str(), Some(vec![]))).collect::<Vec<_>>());
    }
    assert_eq!(keys(&*store.history(), "", None, usize::MAX), names.join(" "));
    assert_eq!(keys(&*store.history(), "", Some("0299"), 600), names[300..900].join(" "));
    assert_eq!(load(&store, "").len(), 1000);
    let mut seen = 0;
    let visit = &mut |_: &[u8], _: &[u8]| {
        seen += 1;
        if seen < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    store.load(b"", visit).unwrap();
    assert_eq!(seen, 3);
}

#[test]
fn a_reader_sees_all_of_a_commit_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let history = store.history();
    let last = 60_u8;
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut seen = 0;
            while seen < last {
                let found = history.scan(b"", None, 100).unwrap();
                let values: Vec<_> = found.iter().map(|(_, value)| (value.len(), value[0])).collect();
                if let Some((_, first)) = values.first() {
                    assert_eq!(values, [(500, *first), (10_000, *first), (500, *first)]);
                    assert!(*first >= seen, "went back from {seen} to {first}");
                    seen = *first;
                }
            }
        });
        for n in 1..=last {
            let value = |len| Some(vec![n; len]);
            commit(&mut store, &[("a", value(500)), ("b", value(10_000)), ("c", value(500))]);
        }
        reader.join().unwrap();
    });
}

#[test]
fn what_is_too_large_or_too_old_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    commit(&mut store, &[("a", Some(vec![1]))]);

    let mut batch = Batch::new(2, 0);
    for n in 0..100_u8 {
        batch.put([n], vec![0; 4000]);
    }
    assert!(matches!(store.commit(&batch), Err(StoreError::TooLarge { what: "a batch", .. })));
    let mut batch = Batch::new(2, 0);
    batch.put("a", vec![0; Batch::MAX_VALUE_BYTES + 1]);
    assert!(matches!(store.commit(&batch), Err(StoreError::TooLarge { what: "a value", .. })));
    let mut batch = Batch::new(2, 0);
    batch.put(vec![b'k'; Batch::MAX_KEY_BYTES + 1], vec![]);
    assert!(matches!(store.commit(&batch), Err(StoreError::TooLarge { what: "a key", .. })));
    let mut batch = Batch::new(0, 0);
    batch.delete("a");
    assert!(matches!(store.commit(&batch), Err(StoreError::Backwards { asked: 0, stored: 1 })));

    assert_eq!(load(&store, ""), [("a".to_owned(), vec![1])]);
    assert_eq!(store.revision(), 1);
    commit(&mut store, &[("b", Some(vec![2]))]);
    assert_eq!(load(&store, "").len(), 2);
}

#[test]
fn the_longest_keys_and_values_make_no_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    // Keys that differ only at their ends and at their starts; enough of them for pages of pages.
    let mut n = 0_u64;
    for _ in 0..40 {
        let mut batch = Batch::new(store.revision() + 1, 0);
        while batch.would_fit(Batch::MAX_KEY_BYTES, Batch::MAX_INLINE_BYTES) {
            let mut key = bytes(n % 7 * n, Batch::MAX_KEY_BYTES);
            key[376..].copy_from_slice(&n.to_be_bytes());
            batch.put(key, bytes(n, Batch::MAX_INLINE_BYTES));
            n += 1;
        }
        store.commit(&batch).unwrap();
        assert_eq!(blobs(dir.path()), 0);
    }
    let mut batch = Batch::new(store.revision() + 1, 0);
    let mut after = None;
    for (key, _) in store.history().scan(b"", None, usize::MAX).unwrap() {
        if !batch.would_fit(key.len(), 0) {
            store.commit(&std::mem::replace(&mut batch, Batch::new(store.revision() + 2, 0))).unwrap();
        }
        batch.delete(key.clone());
        after = Some(key);
    }
    store.commit(&batch).unwrap();
    assert!(after.is_some());
    assert_eq!(store.history().scan(b"", None, 1).unwrap(), []);
    assert_eq!(blobs(dir.path()), 0);
}

#[test]
fn a_full_disk_refuses_commits_and_costs_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    commit(&mut store, &[("a", Some(vec![1]))]);
    store.close().unwrap();
    drop(store);

    let full = SledOptions { keep_free_bytes: u64::MAX, ..SledOptions::default() };
    let mut store = SledStore::open(&DataDir::lock(dir.path()).unwrap(), full).unwrap();
    for _ in 0..2 {
        let mut batch = Batch::new(2, 0);
        batch.put("b", vec![2]);
        let error = store.commit(&batch).unwrap_err();
        assert!(error.is_full() && matches!(error, StoreError::Full { .. }), "{error}");
    }
    assert_eq!(load(&store, ""), [("a".to_owned(), vec![1])]);
    assert!(store.release_reserve().unwrap());
    assert!(!store.release_reserve().unwrap());
    store.close().unwrap();
    drop(store);

    let mut store = open(dir.path());
    commit(&mut store, &[("b", Some(vec![2]))]);
    assert_eq!(store.revision(), 2);
}

#[test]
fn a_closed_store_says_so_to_everyone() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let history = store.history();
    store.close().unwrap();
    assert!(matches!(store.commit(&Batch::new(1, 0)), Err(StoreError::Closed)));
    assert!(matches!(store.close(), Err(StoreError::Closed)));
    assert!(matches!(history.get(b"a"), Err(StoreError::Closed)));
    assert!(matches!(history.scan(b"", None, 1), Err(StoreError::Closed)));
}
