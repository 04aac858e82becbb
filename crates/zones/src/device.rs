//! The device's own zone data: a directory of files, one for each zone, which updates of the system replace.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// No more is read of a file; the largest zones have some kilobytes.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// Files that say which version the data is of, and what comes before it on their first line.
const VERSIONS: [(&str, &str); 2] = [("+VERSION", ""), ("tzdata.zi", "# version ")];

/// The directory.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) dir: PathBuf,
    /// `2026b`; empty where it does not say.
    pub(crate) version: String,
}

impl Device {
    pub(crate) fn open(dir: &Path) -> Device {
        let said = VERSIONS.iter().find_map(|(file, prefix)| {
            let mut begin = [0; 64];
            let read = regular(&dir.join(file))?.read(&mut begin).ok()?;
            let text = String::from_utf8_lossy(&begin[..read]).into_owned();
            let version = text.lines().next()?.strip_prefix(prefix)?.trim();
            let plausible = |byte: u8| byte.is_ascii_alphanumeric() || b".-+".contains(&byte);
            (version.len() <= 16 && !version.is_empty() && version.bytes().all(plausible))
                .then(|| version.to_owned())
        });
        Device { dir: dir.to_owned(), version: said.unwrap_or_default() }
    }

    /// What changes when the data is updated, besides the files of zones.
    pub(crate) fn stamps(&self) -> Vec<Stamp> {
        VERSIONS.iter().map(|(file, _)| Stamp::of(&self.dir.join(file))).collect()
    }
}

/// The bytes of a file, if it is one of a size that a zone may have.
pub(crate) fn read(path: &Path) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    regular(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut data).ok()?;
    (data.len() as u64 <= FILE_BYTES_MAX).then_some(data)
}

/// A file that is nothing but one: whoever opens a pipe waits for its other end.
fn regular(path: &Path) -> Option<File> {
    std::fs::metadata(path).ok().filter(|metadata| metadata.is_file())?;
    File::open(path).ok()
}

/// What tells one state of a file, or what a link leads to, from another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    path: PathBuf,
    /// Device, inode, size, and when it was last changed; `None` if nothing is there.
    state: Option<(u64, u64, u64, i64, i64)>,
    /// Where it leads to, if it is a link.
    link: Option<PathBuf>,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Stamp {
        let state = |it: std::fs::Metadata| (it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec());
        Stamp {
            path: path.to_owned(),
            state: std::fs::metadata(path).ok().map(state),
            link: std::fs::read_link(path).ok(),
        }
    }

    /// True if it is still so.
    pub(crate) fn holds(&self) -> bool {
        self.path.as_os_str().is_empty() || *self == Stamp::of(&self.path)
    }
}
