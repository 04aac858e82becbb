//! What is found on disk is what was acknowledged, or it is refused and left alone.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use engine::store::{Batch, DataDir, SledOptions, SledStore, Store, StoreError};
use expect_test::{Expect, expect};

fn open(dir: &Path) -> Result<SledStore, StoreError> {
    SledStore::open(&DataDir::lock(dir).unwrap(), SledOptions::default())
}

/// Commits `n` times, each time one record more.
fn commit(store: &mut SledStore, n: u64) {
    for _ in 0..n {
        let revision = store.revision() + 1;
        // A second apart, so that the watermark is written with each.
        let mut batch = Batch::new(revision, i64::try_from(revision).unwrap() * 1000);
        batch.put(format!("{revision:04}"), vec![7; 300]);
        store.commit(&batch).unwrap();
    }
}

fn count(store: &SledStore) -> u64 {
    let mut count = 0;
    let visit = &mut |_: &[u8], _: &[u8]| {
        count += 1;
        ControlFlow::Continue(())
    };
    store.load(b"", visit).unwrap();
    count
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { fs::copy(&path, &target).map(drop).unwrap() }
    }
}

/// Refused twice in a row with these words, and not a byte changed. `how` makes it so.
fn check_refused(how: impl FnOnce(&Path), expected: Expect) {
    let temp = tempfile::tempdir().unwrap();
    let dir = &temp.path().join("data");
    let mut store = open(dir).unwrap();
    commit(&mut store, 5);
    store.close().unwrap();
    drop(store);
    how(dir);
    let before = files(dir);
    let mut texts = Vec::new();
    for _ in 0..2 {
        let error = open(dir).err().expect("the store was opened");
        assert!(matches!(error, StoreError::Refused { untouched: true, .. }), "{error}");
        texts.push(error.to_string().replace(fs::canonicalize(dir).unwrap().to_str().unwrap(), "…"));
        assert!(files(dir) == before, "a refused store was changed");
    }
    assert_eq!(texts[0], texts[1]);
    expected.assert_eq(&texts[0]);
}

fn with_sled(dir: &Path, change: impl FnOnce(&sled::Db)) {
    let db = sled::open(dir.join("store")).unwrap();
    change(&db);
    db.flush().unwrap();
}

#[test]
fn what_was_acknowledged_is_there_after_a_clean_stop_and_after_none() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..6 {
        let mut store = open(dir.path()).unwrap();
        assert_eq!(store.revision(), round * 10);
        assert_eq!(count(&store), round * 10);
        commit(&mut store, 10);
        if round % 2 == 0 {
            store.close().unwrap();
        }
    }
}

#[test]
fn only_after_an_unclean_stop_a_copy_takes_the_place_of_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let inode = || fs::metadata(dir.path().join("store/db")).unwrap().ino();
    let names = || {
        let names =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names.join(" ")
    };

    let mut store = open(dir.path()).unwrap();
    commit(&mut store, 3);
    let first = inode();
    store.close().unwrap();
    drop(store);
    drop(open(dir.path()).unwrap());
    assert_eq!(inode(), first);

    // Dropped without a word.
    let store = open(dir.path()).unwrap();
    assert_ne!(inode(), first);
    assert_eq!(count(&store), 3);
    assert_eq!(names(), "format lock reserve store watermark");
}

#[test]
fn a_store_that_is_not_as_it_was_when_it_stopped_counts_as_not_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    commit(&mut store, 3);
    store.close().unwrap();
    drop(store);
    let inode = || fs::metadata(dir.path().join("store/db")).unwrap().ino();
    let first = inode();
    fs::write(dir.path().join("store/snap.extra.generating"), "").unwrap();
    assert_eq!(count(&open(dir.path()).unwrap()), 3);
    assert_ne!(inode(), first);
}

#[test]
fn the_watermark_is_written_at_most_once_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    let mut at = |at_ms| {
        store.commit(&Batch::new(store.revision() + 1, at_ms)).unwrap();
        let text = fs::read_to_string(dir.path().join("watermark")).unwrap();
        text.lines().nth(1).unwrap().to_owned()
    };
    // The last one: an axis that went back, which must not silence it for good.
    let written = [5000, 5001, 5999, 6000, 6999, 7001, 7002, 0].map(&mut at);
    assert_eq!(written.map(|line| line.replace("revision ", "")).join(" "), "1 1 1 4 4 6 6 8");
    store.close().unwrap();
    let text = fs::read_to_string(dir.path().join("watermark")).unwrap();
    assert!(text.starts_with("wick watermark 1\nrevision 8\nstopped\nfile "), "{text}");
}

#[test]
fn a_store_behind_its_watermark_is_refused() {
    check_refused(
        |dir| {
            copy(&dir.join("store"), &dir.join("earlier"));
            let mut store = open(dir).unwrap();
            commit(&mut store, 4);
            store.close().unwrap();
            drop(store);
            fs::remove_dir_all(dir.join("store")).unwrap();
            fs::rename(dir.join("earlier"), dir.join("store")).unwrap();
        },
        expect![
            "store `…/store` is refused: it opens at revision 5, but revision 9 was acknowledged; nothing was changed; put a backup of the whole data directory in place, or delete `…/watermark` to go on from revision 5"
        ],
    );
}

#[test]
fn a_store_behind_its_watermark_is_refused_where_it_is_after_a_clean_stop_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    commit(&mut store, 5);
    store.close().unwrap();
    drop(store);
    let path = dir.path().join("watermark");
    let text = fs::read_to_string(&path).unwrap().replace("revision 5", "revision 9");
    let text = &text[..text.find("crc32").unwrap()];
    fs::write(&path, format!("{text}crc32 {:08x}\n", crc32fast::hash(text.as_bytes()))).unwrap();
    for untouched_then in [false, true] {
        let error = open(dir.path()).err().expect("the store was opened");
        let StoreError::Refused { untouched, why, .. } = error else { panic!("{error}") };
        assert_eq!(why, "it opens at revision 5, but revision 9 was acknowledged");
        assert_eq!(untouched, untouched_then);
    }
}

#[test]
fn a_refused_store_opens_when_its_watermark_is_deleted_on_purpose() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    commit(&mut store, 5);
    drop(store);
    fs::write(dir.path().join("watermark"), "torn").unwrap();
    assert!(open(dir.path()).is_err());
    fs::remove_file(dir.path().join("watermark")).unwrap();
    let store = open(dir.path()).unwrap();
    assert_eq!(store.revision(), 5);
    assert!(dir.path().join("watermark").exists());
}

#[test]
fn a_store_without_its_own_record_is_refused() {
    check_refused(
        |dir| with_sled(dir, |db| drop(db.remove("s").unwrap())),
        expect![
            "store `…/store` is refused: it opens without its own record, but revision 5 was acknowledged; nothing was changed; put a backup of the whole data directory in place, or move `…/store` and `…/watermark` away to start empty"
        ],
    );
}

#[test]
fn a_store_that_sled_opens_empty_is_refused() {
    check_refused(
        |dir| {
            // What sled makes of a log whose start it cannot read: nothing, and no error.
            fs::remove_dir_all(dir.join("store")).unwrap();
            with_sled(dir, |_| {});
        },
        expect![
            "store `…/store` is refused: it opens without its own record, but revision 5 was acknowledged; nothing was changed; put a backup of the whole data directory in place, or move `…/store` and `…/watermark` away to start empty"
        ],
    );
}

#[test]
fn a_missing_store_is_refused_if_there_was_one() {
    check_refused(
        |dir| fs::remove_dir_all(dir.join("store")).unwrap(),
        expect![
            "store `…/store` is refused: it is missing, but revision 5 was acknowledged; nothing was changed; put a backup of the whole data directory in place, or delete `…/watermark` to start empty"
        ],
    );
}

#[test]
fn a_damaged_watermark_is_refused() {
    check_refused(
        |dir| fs::write(dir.join("watermark"), "revision 0").unwrap(),
        expect![
            "store `…/store` is refused: `…/watermark` is damaged, so that nothing tells what was acknowledged; nothing was changed; put a backup of the whole data directory in place, or delete that file to go on with what the store has"
        ],
    );
}

#[test]
fn a_record_that_cannot_be_decoded_is_refused() {
    check_refused(
        |dir| with_sled(dir, |db| drop(db.insert("h0003", &[9, 9]).unwrap())),
        expect![
            "store `…/store` is refused: it failed reading: record `h0003` cannot be decoded; nothing was changed; put a backup of the whole data directory in place, or move `…/store` and `…/watermark` away to start empty"
        ],
    );
}

#[test]
fn a_large_value_that_lost_a_piece_is_refused() {
    check_refused(
        |dir| {
            let mut store = open(dir).unwrap();
            let mut batch = Batch::new(6, 0);
            batch.put("large", vec![7; 10_000]);
            store.commit(&batch).unwrap();
            drop(store);
            with_sled(dir, |db| {
                let (key, _) = db.scan_prefix("p").last().unwrap().unwrap();
                db.remove(key).unwrap();
            });
        },
        expect![
            "store `…/store` is refused: it failed reading: value 0 of 10000 bytes is not whole: 8192 bytes of it are there; nothing was changed; put a backup of the whole data directory in place, or move `…/store` and `…/watermark` away to start empty"
        ],
    );
}

#[test]
fn a_log_of_garbage_is_refused() {
    check_refused(
        |dir| {
            let length = fs::metadata(dir.join("store/db")).unwrap().len();
            fs::write(dir.join("store/db"), vec![0xa5; usize::try_from(length / 2).unwrap()]).unwrap();
        },
        expect![
            "store `…/store` is refused: it failed opening `…/store.trial`: Read corrupted data at file offset Some(Inline(71)) backtrace (); nothing was changed; put a backup of the whole data directory in place, or move `…/store` and `…/watermark` away to start empty"
        ],
    );
}

#[test]
fn a_blob_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    commit(&mut store, 1);
    store.close().unwrap();
    drop(store);
    fs::write(dir.path().join("store/blobs/12"), "page").unwrap();
    let before = files(dir.path());
    for _ in 0..2 {
        assert!(matches!(open(dir.path()), Err(StoreError::Unsafe(_))));
        assert!(files(dir.path()) == before);
    }
}

#[test]
fn a_newer_format_is_refused_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    commit(&mut store, 1);
    drop(store);
    fs::write(dir.path().join("format"), "wick data directory, format 2\n").unwrap();
    fs::write(dir.path().join("lock"), "somebody\n").unwrap();
    let before = files(dir.path());
    let error = DataDir::lock(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("has format 2; this wickd reads 1: use the newer wickd"), "{error}");
    assert!(files(dir.path()) == before);
}

#[test]
fn a_start_cut_short_at_any_point_is_taken_up_again() {
    type Cut = fn(&Path);
    let cuts: [Cut; 5] = [
        // While a copy was made, or recovered, or the store rewritten.
        |dir| copy(&dir.join("store"), &dir.join("store.trial")),
        |dir| fs::create_dir(dir.join("store.new")).unwrap(),
        // Between the two renames.
        |dir| {
            copy(&dir.join("store"), &dir.join("store.trial"));
            fs::rename(dir.join("store"), dir.join("store.old")).unwrap();
        },
        // After them.
        |dir| copy(&dir.join("store"), &dir.join("store.old")),
        // After the very first store was there, before its watermark was.
        |dir| fs::remove_file(dir.join("watermark")).unwrap(),
    ];
    for (n, cut) in cuts.iter().enumerate() {
        for clean in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let mut store = open(dir.path()).unwrap();
            commit(&mut store, 4);
            if clean {
                store.close().unwrap();
            }
            drop(store);
            cut(dir.path());
            let store = open(dir.path()).unwrap();
            assert_eq!((store.revision(), count(&store)), (4, 4), "cut {n}");
            let leftovers =
                ["store.new", "store.trial", "store.old"].map(|name| dir.path().join(name).exists());
            assert_eq!(leftovers, [false; 3], "cut {n}");
        }
    }
}

#[test]
fn a_first_start_cut_short_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(DataDir::lock(dir.path()).unwrap());
    fs::create_dir_all(dir.path().join("store.new/blobs")).unwrap();
    fs::write(dir.path().join("store.new/conf"), "half").unwrap();
    assert_eq!(open(dir.path()).unwrap().revision(), 0);
}

#[test]
fn pieces_of_a_commit_that_never_was_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).unwrap();
    commit(&mut store, 2);
    drop(store);
    with_sled(dir.path(), |db| {
        for n in 0..5_u8 {
            db.insert([b'p', 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, n], vec![n; 4096]).unwrap();
        }
    });
    let mut store = open(dir.path()).unwrap();
    assert_eq!(count(&store), 2);
    // The numbers they had are not in the way of a value that is really there.
    let mut batch = Batch::new(3, 0);
    batch.put("large", vec![7; 10_000]);
    store.commit(&batch).unwrap();
    store.close().unwrap();
    drop(store);
    with_sled(dir.path(), |db| assert_eq!(db.scan_prefix("p").count(), 3));
}

#[test]
fn a_wasteful_store_is_rewritten_smaller_and_keeps_everything() {
    for clean in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path()).unwrap();
        for n in 0..40_u32 {
            let mut batch = Batch::new(store.revision() + 1, 0);
            for m in 0..50_u32 {
                batch.put((m * 40 + n).to_be_bytes(), vec![3; 4000]);
            }
            store.commit(&batch).unwrap();
        }
        let mut batch = Batch::new(store.revision() + 1, 0);
        for n in 0..1900_u32 {
            batch.delete(n.to_be_bytes());
        }
        batch.put("large", vec![5; 100_000]);
        store.commit(&batch).unwrap();
        assert_eq!(count(&store), 101);
        if clean {
            store.close().unwrap();
        }
        drop(store);

        let size = || fs::metadata(dir.path().join("store/db")).unwrap().len();
        let before = size();
        let options = SledOptions { rewrite_above_bytes: 1 << 20, ..SledOptions::default() };
        let store = SledStore::open(&DataDir::lock(dir.path()).unwrap(), options).unwrap();
        assert!(size() * 2 < before, "{} after {before}", size());
        assert_eq!((store.revision(), count(&store)), (41, 101));
        assert_eq!(store.history().get(b"large").unwrap(), Some(vec![5; 100_000]));
        drop(store);
        assert_eq!(count(&open(dir.path()).unwrap()), 101);
    }
}
