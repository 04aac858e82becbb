//! A process that is killed while it commits, or whose disk fails it, has lost nothing it acknowledged.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use engine::store::{Batch, DataDir, DataDirError, SledOptions, SledStore, Store, StoreError};

const CHILD_DIR: &str = "WICK_STORE_KILL_DIR";
const ROUNDS: u64 = 8;
const KEYS: u64 = 40;

fn open(dir: &Path) -> SledStore {
    SledStore::open(&DataDir::lock(dir).unwrap(), SledOptions::default()).unwrap()
}

/// What revision `revision` does, told by its number alone: three keys, one of them with a large value.
fn batch(revision: u64) -> Batch {
    let mut batch = Batch::new(revision, i64::try_from(revision).unwrap() * 100);
    for n in 0..3 {
        let key = format!("{:03}", (revision * 7 + n * 13) % KEYS);
        match (revision + n) % 5 {
            0 => batch.delete(key),
            1 => batch.put(key, format!("{revision} ").repeat(4000)),
            _ => batch.put(key, format!("{revision} ").repeat(50)),
        }
    }
    batch
}

/// The whole store after `revision`.
fn expected(revision: u64) -> String {
    let mut records = std::collections::BTreeMap::new();
    for revision in 1..=revision {
        for (key, value) in batch(revision).ops() {
            match value {
                Some(value) => records.insert(key.to_vec(), value.to_vec()),
                None => records.remove(key),
            };
        }
    }
    render(records.into_iter())
}

fn render(records: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> String {
    let mut text = String::new();
    for (key, value) in records {
        writeln!(text, "{} {}", key.escape_ascii(), value.escape_ascii()).unwrap();
    }
    text
}

/// Not a test of its own: what the child runs, until it is killed. Without its directory it has nothing to do.
#[test]
fn child_commits_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let mut store = open(Path::new(&dir));
    let mut out = std::io::stdout();
    loop {
        writeln!(out, "\nacknowledged {}", store.revision()).unwrap();
        out.flush().unwrap();
        store.commit(&batch(store.revision() + 1)).unwrap();
    }
}

/// Not a test of its own: what the child runs whose files cannot grow for ever.
#[test]
fn child_commits_until_a_write_fails() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let mut store = open(Path::new(&dir));
    let history = store.history();
    let failed = loop {
        if let Err(error) = store.commit(&batch(store.revision() + 1)) {
            break error;
        }
    };
    assert!(matches!(failed, StoreError::Failed { .. }), "{failed}");
    // What was not recorded for certain is not shown, and nothing more is taken.
    assert!(matches!(history.get(b"000"), Err(StoreError::Stopped(_))));
    assert!(matches!(store.commit(&batch(store.revision() + 1)), Err(StoreError::Stopped(_))));
    assert!(matches!(store.close(), Err(StoreError::Stopped(_))));
    println!("\nacknowledged {}", store.revision());
}

fn command(dir: &Path, test: &str) -> Command {
    // Where a write must fail, files end after 2048 blocks, of 512 or 1024 bytes as the shell likes, and a write
    // past that is an error.
    let limit = if test.ends_with("fails") { "trap '' XFSZ; ulimit -f 2048; " } else { "" };
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limit}exec \"$0\" --exact \"$1\" --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(CHILD_DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    command
}

fn acknowledged(child: &mut Child) -> impl Iterator<Item = u64> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok())
}

/// All that was acknowledged is there, at most one commit more, and every commit whole.
fn check(dir: &Path, last: u64) -> u64 {
    let store = open(dir);
    let found = store.revision();
    assert!(found == last || found == last + 1, "{last} was acknowledged, {found} is there");
    let records = store.history().scan(b"", None, usize::MAX).unwrap();
    assert!(render(records.into_iter()) == expected(found), "revision {found} is not what was committed");
    found
}

#[test]
fn a_killed_process_has_lost_nothing_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = 0;
    for round in 1..=ROUNDS {
        let mut child = command(dir.path(), "child_commits_until_it_is_killed").spawn().unwrap();
        let mut acknowledged = acknowledged(&mut child);
        let mut last = acknowledged.next().unwrap();
        assert_eq!(last, before, "the store did not go on where it was");
        match DataDir::lock(dir.path()) {
            Err(DataDirError::InUse { pid, .. }) => assert_eq!(pid, Some(child.id())),
            other => panic!("locked twice: {other:?}"),
        }
        while last < before + round * 5 {
            last = acknowledged.next().unwrap();
        }
        child.kill().unwrap();
        last = acknowledged.last().unwrap_or(last);
        child.wait().unwrap();
        before = check(dir.path(), last);
    }
}

#[test]
fn a_disk_that_fails_has_lost_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    // The reserve file is larger than what the child may write.
    open(dir.path()).close().unwrap();
    let mut child = command(dir.path(), "child_commits_until_a_write_fails").spawn().unwrap();
    let last = acknowledged(&mut child).last().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(last > 10, "only {last} commits before the write that failed");
    check(dir.path(), last);
}
