//! What a program did to a directory, as the recorder saw it: files and directories by number, not by name.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use crate::disk::Image;
use crate::wire::{HEADER_BYTES, Kind};

/// The recorded directory.
pub(crate) const ROOT: usize = 0;

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Op {
    /// Bytes of `file` changed.
    Data {
        file: usize,
        change: Change,
    },
    /// Names changed, all of these at once.
    Names(Vec<Naming>),
    SyncBegin {
        sync: u64,
        of: Target,
    },
    SyncEnd {
        sync: u64,
        succeeded: bool,
    },
    Announced(Range<usize>),
}

/// What happened to a file's bytes.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// The bytes are in the log.
    Write { at: usize, bytes: Range<usize> },
    /// It has this length, from another.
    Length { from: usize, to: usize },
}

/// In `dir`, `name` now stands for `entry`, or for nothing.
#[derive(Clone, Debug)]
pub(crate) struct Naming {
    pub(crate) dir: usize,
    pub(crate) name: String,
    pub(crate) entry: Option<Target>,
}

/// A file or a directory, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    File(usize),
    Dir(usize),
}

/// Names, by directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    dirs: Vec<BTreeMap<String, Target>>,
}

/// All that happened.
pub(crate) struct Story {
    pub(crate) ops: Vec<Op>,
    pub(crate) start: Names,
    /// What the files were at the start; those that came later were empty.
    pub(crate) contents: Vec<Arc<Vec<u8>>>,
    /// How often `sync_file_range` reached the kernel.
    pub(crate) range_syncs: usize,
    log: Vec<u8>,
}

struct Event {
    kind: Kind,
    fd: i32,
    a: u64,
    b: u64,
    bytes: Range<usize>,
}

struct Reading {
    story: Story,
    names: Names,
    lengths: Vec<usize>,
    open: BTreeMap<i32, Target>,
}

impl Story {
    /// Reads the log of a program that found `start` in the directory.
    pub(crate) fn read(start: &Image, log: Vec<u8>) -> Result<Story> {
        let mut names = Names::default();
        names.new_dir();
        let mut contents = Vec::new();
        for dir in &start.dirs {
            let number = names.new_dir();
            let (parent, name) = names.parent(dir)?;
            names.apply(&Naming { dir: parent, name, entry: Some(Target::Dir(number)) });
        }
        for (path, bytes) in &start.files {
            let (dir, name) = names.parent(path)?;
            names.apply(&Naming { dir, name, entry: Some(Target::File(contents.len())) });
            contents.push(bytes.clone());
        }
        let lengths = contents.iter().map(|bytes| bytes.len()).collect();
        let story = Story { ops: Vec::new(), start: names.clone(), contents, range_syncs: 0, log };
        let mut reading = Reading { story, names, lengths, open: BTreeMap::new() };
        let mut at = 0;
        while let Some(event) = next(&reading.story.log, &mut at)? {
            let kind = event.kind;
            reading.take(event).with_context(|| format!("{kind:?} before byte {at} of the log"))?;
        }
        Ok(reading.story)
    }

    /// Bytes that were written or announced.
    pub(crate) fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.log.get(range.clone()).unwrap_or_default()
    }

    pub(crate) fn log(&self) -> &[u8] {
        &self.log
    }

    /// How many files there ever were.
    pub(crate) fn files(&self) -> usize {
        self.contents.len()
    }

    /// Does to `bytes` what was done to the file.
    pub(crate) fn change(&self, change: &Change, bytes: &mut Vec<u8>) {
        match change {
            Change::Write { at, bytes: written } => {
                let written = self.bytes(written);
                let end = at + written.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(written);
            }
            Change::Length { to, .. } => bytes.resize(*to, 0),
        }
    }

    /// The directory as a program that was not cut off left it.
    pub(crate) fn end(&self) -> Image {
        let mut names = self.start.clone();
        let mut contents: Vec<Arc<Vec<u8>>> = self.contents.clone();
        for op in &self.ops {
            match op {
                Op::Data { file, change } => self.change(change, Arc::make_mut(&mut contents[*file])),
                Op::Names(namings) => namings.iter().for_each(|naming| names.apply(naming)),
                Op::SyncBegin { .. } | Op::SyncEnd { .. } | Op::Announced(_) => {}
            }
        }
        names.image(&mut |file| contents[file].clone())
    }
}

impl Names {
    fn new_dir(&mut self) -> usize {
        self.dirs.push(BTreeMap::new());
        self.dirs.len() - 1
    }

    pub(crate) fn apply(&mut self, naming: &Naming) {
        while self.dirs.len() <= naming.dir {
            self.new_dir();
        }
        match naming.entry {
            Some(entry) => {
                // A directory may be named before anything is in it.
                if let Target::Dir(dir) = entry {
                    while self.dirs.len() <= dir {
                        self.new_dir();
                    }
                }
                self.dirs[naming.dir].insert(naming.name.clone(), entry)
            }
            None => self.dirs[naming.dir].remove(&naming.name),
        };
    }

    fn find(&self, path: &str) -> Option<Target> {
        let mut found = Target::Dir(ROOT);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let Target::Dir(dir) = found else { return None };
            found = *self.dirs[dir].get(name)?;
        }
        Some(found)
    }

    /// The directory that `path` is in, and its name there.
    fn parent(&self, path: &str) -> Result<(usize, String)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self.find(parent) {
            Some(Target::Dir(dir)) => Ok((dir, name.to_owned())),
            _ => bail!("no directory is known to hold `{path}`"),
        }
    }

    /// What can be reached from the top, with these contents.
    pub(crate) fn image(&self, contents: &mut dyn FnMut(usize) -> Arc<Vec<u8>>) -> Image {
        let mut image = Image::default();
        let mut pending = vec![(ROOT, String::new())];
        while let Some((dir, prefix)) = pending.pop() {
            for (name, entry) in &self.dirs[dir] {
                let path = format!("{prefix}{name}");
                match entry {
                    Target::File(file) => {
                        image.files.insert(path, contents(*file));
                    }
                    Target::Dir(dir) => {
                        pending.push((*dir, format!("{path}/")));
                        image.dirs.insert(path);
                    }
                }
            }
        }
        image
    }
}

impl Reading {
    fn take(&mut self, event: Event) -> Result<()> {
        match event.kind {
            Kind::Open => {
                let target = self.opened(&event)?;
                self.open.insert(event.fd, target);
            }
            Kind::Close => drop(self.open.remove(&event.fd)),
            Kind::Duplicate => {
                let target = self.target(event.fd)?;
                self.open.insert(i32::try_from(event.a)?, target);
            }
            Kind::Write => {
                let file = self.file(event.fd)?;
                let at = usize::try_from(event.a)?;
                self.lengths[file] = self.lengths[file].max(at + event.bytes.len());
                self.push(Op::Data { file, change: Change::Write { at, bytes: event.bytes } });
            }
            Kind::Truncate => {
                let file = self.file(event.fd)?;
                self.set_length(file, usize::try_from(event.a)?);
            }
            Kind::Allocate => {
                let file = self.file(event.fd)?;
                self.set_length(file, self.lengths[file].max(usize::try_from(event.a)?));
            }
            Kind::Rename => {
                let (from, to) = self.paths(&event)?;
                let entry = self.names.find(&from).with_context(|| format!("no `{from}` is known"))?;
                let gone = self.naming(&from, None)?;
                let new = self.naming(&to, Some(entry))?;
                self.name(vec![gone, new]);
            }
            Kind::Link => {
                let (from, to) = self.paths(&event)?;
                let entry = self.names.find(&from).with_context(|| format!("no `{from}` is known"))?;
                let new = self.naming(&to, Some(entry))?;
                self.name(vec![new]);
            }
            Kind::Unlink | Kind::RemoveDir => {
                let path = self.path(&event)?;
                self.names.find(&path).with_context(|| format!("no `{path}` is known"))?;
                let gone = self.naming(&path, None)?;
                self.name(vec![gone]);
            }
            Kind::MakeDir => {
                let path = self.path(&event)?;
                let dir = self.names.new_dir();
                let new = self.naming(&path, Some(Target::Dir(dir)))?;
                self.name(vec![new]);
            }
            Kind::SyncBegin => {
                let of = self.target(event.fd)?;
                if let Target::File(file) = of {
                    let length = usize::try_from(event.b)?;
                    let known = self.lengths[file];
                    ensure!(length >= known, "the file has {length} bytes, not {known} as it should");
                    // `fallocate` bypasses the C library; it can only make a file longer.
                    self.set_length(file, length);
                }
                self.push(Op::SyncBegin { sync: event.a, of });
            }
            Kind::SyncEnd => self.push(Op::SyncEnd { sync: event.a, succeeded: event.b == 1 }),
            Kind::SyncRange => self.story.range_syncs += 1,
            Kind::Announce => self.push(Op::Announced(event.bytes)),
            Kind::Unmodelled => {
                let what = String::from_utf8_lossy(self.story.bytes(&event.bytes)).into_owned();
                bail!("the model does not know this: {what}");
            }
        }
        Ok(())
    }

    fn opened(&mut self, event: &Event) -> Result<Target> {
        let path = self.path(event)?;
        if let Some(found) = self.names.find(&path) {
            if let Target::File(file) = found
                && event.a & libc::O_TRUNC as u64 != 0
            {
                self.set_length(file, 0);
            }
            return Ok(found);
        }
        ensure!(event.b == 0, "`{path}` was there, but nothing had made it");
        let file = self.lengths.len();
        self.lengths.push(0);
        self.story.contents.push(Arc::default());
        let new = self.naming(&path, Some(Target::File(file)))?;
        self.name(vec![new]);
        Ok(Target::File(file))
    }

    fn set_length(&mut self, file: usize, to: usize) {
        let from = std::mem::replace(&mut self.lengths[file], to);
        if from != to {
            self.push(Op::Data { file, change: Change::Length { from, to } });
        }
    }

    fn name(&mut self, namings: Vec<Naming>) {
        namings.iter().for_each(|naming| self.names.apply(naming));
        self.push(Op::Names(namings));
    }

    fn naming(&self, path: &str, entry: Option<Target>) -> Result<Naming> {
        let (dir, name) = self.names.parent(path)?;
        Ok(Naming { dir, name, entry })
    }

    fn push(&mut self, op: Op) {
        self.story.ops.push(op);
    }

    fn target(&self, fd: i32) -> Result<Target> {
        self.open.get(&fd).copied().with_context(|| format!("descriptor {fd} was never opened"))
    }

    fn file(&self, fd: i32) -> Result<usize> {
        match self.target(fd)? {
            Target::File(file) => Ok(file),
            Target::Dir(_) => bail!("descriptor {fd} is a directory's"),
        }
    }

    fn path(&self, event: &Event) -> Result<String> {
        Ok(str::from_utf8(self.story.bytes(&event.bytes))?.to_owned())
    }

    fn paths(&self, event: &Event) -> Result<(String, String)> {
        let both = self.path(event)?;
        let (from, to) = both.split_once('\0').context("only one path")?;
        Ok((from.to_owned(), to.to_owned()))
    }
}

fn next(log: &[u8], at: &mut usize) -> Result<Option<Event>> {
    let Some(rest) = log.get(*at..).filter(|rest| !rest.is_empty()) else { return Ok(None) };
    let header: [u8; HEADER_BYTES] =
        rest.get(..HEADER_BYTES).context("the log ends within an event")?.try_into()?;
    let number = |range: Range<usize>| -> u64 {
        header[range].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    let kind = kind(header[0]).with_context(|| format!("no event is of kind {}", header[0]))?;
    let begin = *at + HEADER_BYTES;
    let end = begin + usize::try_from(number(21..25))?;
    ensure!(end <= log.len(), "the log ends within an event");
    *at = end;
    let fd = i32::from_le_bytes([header[1], header[2], header[3], header[4]]);
    Ok(Some(Event { kind, fd, a: number(5..13), b: number(13..21), bytes: begin..end }))
}

fn kind(number: u8) -> Option<Kind> {
    const KINDS: [Kind; 16] = [
        Kind::Open,
        Kind::Close,
        Kind::Duplicate,
        Kind::Write,
        Kind::Truncate,
        Kind::Allocate,
        Kind::Rename,
        Kind::Unlink,
        Kind::RemoveDir,
        Kind::MakeDir,
        Kind::Link,
        Kind::SyncBegin,
        Kind::SyncEnd,
        Kind::SyncRange,
        Kind::Announce,
        Kind::Unmodelled,
    ];
    KINDS.into_iter().find(|kind| *kind as u8 == number)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::script::Script;

    fn check(story: &Story, expected: Expect) {
        let end = story.end();
        let dirs = end.dirs.iter().map(|dir| format!("{dir}/"));
        let files = end.files.iter().map(|(name, bytes)| format!("{name} {}", bytes.escape_ascii()));
        expected.assert_eq(&dirs.chain(files).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn a_descriptor_goes_on_meaning_its_file_whatever_that_is_called() {
        let script =
            Script::default().event(Kind::MakeDir, -1, 0, 0, b"d").create(3, "d/a").write(3, 0, b"one");
        let script = script.rename("d/a", "d/b").write(3, 3, b"two").create(4, "d/a").write(4, 0, b"three");
        let script = script.rename("d", "e").event(Kind::Truncate, 3, 4, 0, b"");
        check(
            &script.story(),
            expect![[r#"
                e/
                e/a three
                e/b onet"#]],
        );
    }

    #[test]
    fn a_file_that_grew_unseen_is_known_to_when_it_is_synced() {
        let script = Script::default().create(3, "reserve").sync(3, 4);
        check(&script.story(), expect![[r#"reserve \x00\x00\x00\x00"#]]);
    }

    #[test]
    fn what_cannot_be_is_an_error_and_not_a_story() {
        let script = Script::default();
        expect!["Write before byte 29 of the log: descriptor 3 was never opened"]
            .assert_eq(&script.write(3, 0, b"lost").error());
        let script = Script::default().create(3, "a").write(3, 0, b"four").sync(3, 3);
        expect!["SyncBegin before byte 80 of the log: the file has 3 bytes, not 4 as it should"]
            .assert_eq(&script.error());
        let script = Script::default().event(Kind::Unmodelled, -1, 0, 0, b"a shared writable mapping");
        expect![
            "Unmodelled before byte 50 of the log: the model does not know this: a shared writable mapping"
        ]
        .assert_eq(&script.error());
    }
}
