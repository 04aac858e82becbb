//! A full disk, on a real one of 24 MiB: what is new is refused, ends are recorded in the reserve, and then held and tried
//! again; nothing of what is held is seen, and nothing acknowledged is lost.
//!
//! It needs to mount a tmpfs; where that is not allowed the tests say so and pass.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Node, manifest};
use engine::{Event, ObjectKey, Propagation, Rejected};
use rustix::fs::FallocateFlags;
use sched::Exit;

/// A file system of 24 MiB.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    fn mount() -> Option<Disk> {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "wick-test"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Disk { dir });
        }
        eprintln!("skipped: a tmpfs cannot be mounted here; run as root");
        None
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn ballast(&self) -> PathBuf {
        self.dir.path().join("ballast")
    }

    fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(self.path()).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    /// Somebody else takes all but so many bytes, or gives them back.
    fn leave(&self, free: u64) {
        let _ = fs::remove_file(self.ballast());
        let taken = self.free().saturating_sub(free);
        if taken > 0 {
            let ballast = File::create(self.ballast()).unwrap();
            rustix::fs::fallocate(&ballast, FallocateFlags::empty(), 0, taken).unwrap();
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

const MIB: u64 = 1 << 20;

fn refused(node: &mut Node) -> String {
    let other = manifest("", "Never").replace("name: job", "name: other");
    match node.create(&other) {
        Err(Rejected::Limit(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn new_objects_are_refused_early_and_what_runs_comes_to_its_end() {
    let Some(disk) = Disk::mount() else { return };
    let mut node = Node::at(&disk.path().join("data"));
    node.push_image("hello");
    node.create(&manifest("completions: 6, parallelism: 2", "Never")).unwrap();
    disk.leave(7 * MIB);
    let why = refused(&mut node);
    assert!(why.starts_with("no room to take in anything new in `") && why.contains("must be"), "{why}");
    node.end_all(&Exit::Code(0));
    assert_eq!(node.running.len(), 0, "no Pods take their place");
    assert_eq!(node.job("job").unwrap().status.unwrap().succeeded, 2);
    let key = ObjectKey::new("default", "other");
    let delete = Event::DeleteJob { key, uid: String::new(), propagation: Propagation::Background };
    assert!(matches!(node.apply(vec![delete]).remove(0), Err(Rejected::NotFound { .. })));

    disk.leave(u64::MAX);
    let at = node.next_wake().expect("it looks again by itself");
    node.wait(at.0 - node.now);
    assert_eq!(node.running.len(), 2);
    while node.end_all(&Exit::Code(0)) > 0 {}
    assert!(node.summary("job").contains("succeeded 6"), "{}", node.summary("job"));
}

#[test]
fn ends_are_recorded_in_the_reserve_and_then_held_until_there_is_room() {
    let Some(disk) = Disk::mount() else { return };
    let data = disk.path().join("data");
    let mut node = Node::at(&data);
    node.push_image("hello");
    node.create(&manifest("completions: 3, parallelism: 3", "Never")).unwrap();
    let guests: Vec<_> = node.running.keys().copied().collect();
    assert!(data.join("reserve").exists());

    disk.leave(2 * MIB);
    node.end(guests[0], Exit::Code(0));
    assert!(!data.join("reserve").exists(), "the reserve makes room");
    assert_eq!(node.job("job").unwrap().status.unwrap().succeeded, 1);

    disk.leave(0);
    let before = (node.job("job"), node.engine().reader().revision());
    node.end(guests[1], Exit::Code(0));
    assert!(node.engine().holds());
    assert_eq!((node.job("job"), node.engine().reader().revision()), before, "what is held is not seen");
    let at = node.next_wake().expect("it tries again by itself");
    node.wait(at.0 - node.now);
    assert!(node.engine().holds());

    disk.leave(u64::MAX);
    let at = node.next_wake().expect("it tries again by itself");
    node.wait(at.0 - node.now);
    assert!(!node.engine().holds());
    assert_eq!(node.job("job").unwrap().status.unwrap().succeeded, 2);
    assert!(data.join("reserve").exists(), "the reserve is taken back");
    node.end(guests[2], Exit::Code(0));
    assert!(node.summary("job").ends_with("[SuccessCriteriaMet Complete]"));
}

#[test]
fn a_crash_with_a_commit_held_loses_nothing_that_was_acknowledged() {
    let Some(disk) = Disk::mount() else { return };
    let mut node = Node::at(&disk.path().join("data"));
    node.push_image("hello");
    node.create(&manifest("completions: 2, parallelism: 2", "Never")).unwrap();
    let guests: Vec<_> = node.running.keys().copied().collect();
    disk.leave(0);
    node.end(guests[0], Exit::Code(0));
    disk.leave(0);
    node.end(guests[1], Exit::Code(0));
    assert!(node.engine().holds());
    node.crash();
    disk.leave(u64::MAX);
    node.boot();
    let mut phases = BTreeMap::from([("Succeeded".to_owned(), 1), ("Failed".to_owned(), 1)]);
    phases.insert("Running".to_owned(), 1);
    assert_eq!(node.phases(), phases, "the end that was held is an interruption");
}
