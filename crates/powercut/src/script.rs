//! Logs made by hand, for tests.

use libc::{O_CREAT, O_RDONLY, O_RDWR};

use crate::disk::Image;
use crate::story::Story;
use crate::wire::Kind;

/// What happens, in order. Every file has the descriptor it was opened with.
#[derive(Default)]
pub(crate) struct Script {
    log: Vec<u8>,
    syncs: u64,
}

impl Script {
    pub(crate) fn event(mut self, kind: Kind, fd: i32, a: u64, b: u64, bytes: &[u8]) -> Script {
        self.log.push(kind as u8);
        self.log.extend_from_slice(&fd.to_le_bytes());
        self.log.extend_from_slice(&a.to_le_bytes());
        self.log.extend_from_slice(&b.to_le_bytes());
        self.log.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.log.extend_from_slice(bytes);
        self
    }

    /// A file that is new.
    pub(crate) fn create(self, fd: i32, path: &str) -> Script {
        self.event(Kind::Open, fd, (O_CREAT | O_RDWR) as u64, 0, path.as_bytes())
    }

    /// What is there.
    pub(crate) fn open(self, fd: i32, path: &str) -> Script {
        self.event(Kind::Open, fd, O_RDONLY as u64, 1, path.as_bytes())
    }

    pub(crate) fn write(self, fd: i32, at: u64, bytes: &[u8]) -> Script {
        self.event(Kind::Write, fd, at, 0, bytes)
    }

    pub(crate) fn sync_begins(mut self, fd: i32, length: u64) -> Script {
        self.syncs += 1;
        let number = self.syncs;
        self.event(Kind::SyncBegin, fd, number, length, b"")
    }

    pub(crate) fn sync_ends(self) -> Script {
        let number = self.syncs;
        self.event(Kind::SyncEnd, -1, number, 1, b"")
    }

    pub(crate) fn sync(self, fd: i32, length: u64) -> Script {
        self.sync_begins(fd, length).sync_ends()
    }

    pub(crate) fn rename(self, from: &str, to: &str) -> Script {
        self.event(Kind::Rename, -1, 0, 0, format!("{from}\0{to}").as_bytes())
    }

    pub(crate) fn say(self, text: &str) -> Script {
        self.event(Kind::Announce, -1, 0, 0, text.as_bytes())
    }

    pub(crate) fn story(self) -> Story {
        Story::read(&Image::default(), self.log).unwrap()
    }

    pub(crate) fn error(self) -> String {
        format!("{:#}", Story::read(&Image::default(), self.log).err().unwrap())
    }
}
