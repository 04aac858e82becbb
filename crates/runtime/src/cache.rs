//! Compiled code on disk: only what this agent compiled and signed itself comes back.
//!
//! Compiled code is native code, so a file here is trusted as the executable itself is. The directory is private
//! (0700), and every file carries an HMAC-SHA256, over its name and the code, under a key that lies beside it
//! (0600): a file that was cut off by a power loss, damaged by the flash, copied here from another device, or
//! renamed from another image, is not loaded but removed, and the image compiled again.
//!
//! A file is read into memory, checked there, and loaded from those same bytes. Mapping the file would save the
//! copy, but then the pages that run are not the bytes that were checked: whoever can write the file could
//! change it in between, and bad flash needs no intent at all.
//!
//! Nothing is synced: what a power cut spoils fails the check, and costs one compilation.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Digest, image::hex, runtime::RuntimeError};

const KEY_FILE: &str = "key";
const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 32;
/// Begins every file, and with it a format.
const MAGIC: &[u8] = b"wick compiled code 1\n";

/// What compiled code is for: an image, on an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CodeName {
    pub(crate) digest: Digest,
    /// The engine's [`stamp`](crate::engines::LinkedEngine::stamp).
    pub(crate) stamp: [u8; 32],
}

impl CodeName {
    fn file(&self) -> String {
        format!("{}.{}", self.digest.hex(), suffix(&self.stamp))
    }
}

/// Enough of the stamp to tell engines apart by eye; the MAC covers all of it.
fn suffix(stamp: &[u8; 32]) -> String {
    format!("{}.code", hex(&stamp[..8]))
}

pub(crate) struct Cache {
    dir: PathBuf,
    key: [u8; KEY_BYTES],
    writes: AtomicU64,
}

impl Cache {
    /// Opens `dir`, creates it and its key where they are missing, and removes what no engine of `stamps` can use.
    pub(crate) fn open(dir: &Path, stamps: &[[u8; 32]]) -> Result<Cache, RuntimeError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RuntimeError::Cache { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed(dir))?;
        let key_file = dir.join(KEY_FILE);
        let key = match read_key(&key_file).map_err(failed(&key_file))? {
            Some(key) => key,
            None => create_key(dir, &key_file).map_err(failed(&key_file))?,
        };
        let cache = Cache { dir: dir.to_owned(), key, writes: AtomicU64::new(0) };
        cache.sweep(|name| stamps.iter().any(|stamp| name.ends_with(&suffix(stamp)))).map_err(failed(dir))?;
        Ok(cache)
    }

    /// The code for `name`, if it is here and ours.
    pub(crate) fn read(&self, name: &CodeName) -> Option<Vec<u8>> {
        let path = self.dir.join(name.file());
        let mut bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled code cannot be read; compiling again");
                return None;
            }
        };
        let head = MAGIC.len() + MAC_BYTES;
        let genuine = bytes.len() >= head
            && bytes.starts_with(MAGIC)
            && self.mac(name, &bytes[head..]).verify_slice(&bytes[MAGIC.len()..head]).is_ok();
        if !genuine {
            tracing::warn!(path = %path.display(), "compiled code is damaged or not ours; removed, compiling again");
            self.remove(&path);
            return None;
        }
        bytes.drain(..head);
        Some(bytes)
    }

    /// Keeps `code`, whole or not at all.
    pub(crate) fn write(&self, name: &CodeName, code: &[u8]) -> io::Result<()> {
        let path = self.dir.join(name.file());
        // Two threads never compile the same image, but let them; they write different files.
        let n = self.writes.fetch_add(1, Ordering::Relaxed);
        let beside = self.dir.join(format!("{}.{n}.tmp", name.file()));
        let written = (|| {
            let mut file = private().create(true).truncate(true).open(&beside)?;
            file.write_all(MAGIC)?;
            file.write_all(&self.mac(name, code).finalize().into_bytes())?;
            file.write_all(code)?;
            fs::rename(&beside, &path)
        })();
        if written.is_err() {
            self.remove(&beside);
        }
        written
    }

    /// Removes what was compiled from `digest`, for every engine.
    pub(crate) fn forget(&self, digest: &Digest) -> io::Result<()> {
        let prefix = format!("{}.", digest.hex());
        self.sweep(|name| !name.starts_with(&prefix))
    }

    /// Removes code that could not be loaded though it was ours.
    pub(crate) fn discard(&self, name: &CodeName) {
        self.remove(&self.dir.join(name.file()));
    }

    fn sweep(&self, keep: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let ours = name.to_str().filter(|name| name.ends_with(".code") || name.ends_with(".tmp"));
            if ours.is_some_and(|name| !keep(name)) {
                self.remove(&entry.path());
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path) {
        match fs::remove_file(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = %path.display(), %error, "cannot be removed"),
        }
    }

    fn mac(&self, name: &CodeName, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = keyed(&self.key);
        mac.update(name.digest.hex().as_bytes());
        mac.update(&name.stamp);
        mac.update(code);
        mac
    }
}

fn keyed(key: &[u8; KEY_BYTES]) -> Hmac<Sha256> {
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block[..KEY_BYTES].copy_from_slice(key);
    Hmac::new(&block)
}

/// The key, if there is one. A damaged one is as good as none: all it does is make the cache unreadable.
fn read_key(path: &Path) -> io::Result<Option<[u8; KEY_BYTES]>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let open_to_others = file.metadata()?.permissions().mode() & 0o077 != 0;
    let mut key = Vec::new();
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut key)?;
    let key = <[u8; KEY_BYTES]>::try_from(key).ok().filter(|_| !open_to_others);
    if key.is_none() {
        tracing::warn!(path = %path.display(), "the key is damaged or readable by others; making a new one");
    }
    Ok(key)
}

fn create_key(dir: &Path, path: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key)?;
    let beside = dir.join("key.tmp");
    let mut file = private().create(true).truncate(true).open(&beside)?;
    // The mode above is for a file that is new; this is for one left behind.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(&key)?;
    fs::rename(&beside, path)?;
    Ok(key)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: [u8; 32] = [7; 32];

    fn name(image: &[u8]) -> CodeName {
        CodeName { digest: Digest::of(image), stamp: STAMP }
    }

    fn open(dir: &Path) -> Cache {
        Cache::open(dir, &[STAMP]).unwrap()
    }

    #[test]
    fn code_comes_back_as_it_was_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).write(&name(b"a"), b"code").unwrap();
        assert_eq!(open(dir.path()).read(&name(b"a")).as_deref(), Some(&b"code"[..]));
        assert_eq!(open(dir.path()).read(&name(b"b")), None);
    }

    #[test]
    fn one_flipped_bit_anywhere_is_noticed_and_the_file_removed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = open(dir.path());
        let path = dir.path().join(name(b"a").file());
        cache.write(&name(b"a"), b"code").unwrap();
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            assert_eq!(cache.read(&name(b"a")), None, "bit {bit}");
            assert!(!path.exists());
        }
        for cut in 0..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(cache.read(&name(b"a")), None, "cut at {cut}");
        }
    }

    #[test]
    fn code_of_another_image_or_under_another_key_is_not_taken() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = open(dir.path());
        cache.write(&name(b"a"), b"code").unwrap();
        let file = |dir: &Path, image| dir.join(name(image).file());
        fs::copy(file(dir.path(), b"a"), file(dir.path(), b"b")).unwrap();
        assert_eq!(cache.read(&name(b"b")), None);
        let foreign = open(other.path());
        fs::copy(file(dir.path(), b"a"), file(other.path(), b"a")).unwrap();
        assert_eq!(foreign.read(&name(b"a")), None);
        assert_eq!(cache.read(&name(b"a")).as_deref(), Some(&b"code"[..]));
    }

    #[test]
    fn only_the_agent_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        open(&path).write(&name(b"a"), b"code").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join(KEY_FILE)), 0o600);
        assert_eq!(mode(&path.join(name(b"a").file())), 0o600);
    }

    #[test]
    fn a_key_others_can_read_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        open(dir.path()).write(&name(b"a"), b"code").unwrap();
        let key = dir.path().join(KEY_FILE);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(open(dir.path()).read(&name(b"a")), None);
    }

    #[test]
    fn code_for_another_engine_and_of_forgotten_images_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = open(dir.path());
        cache.write(&name(b"a"), b"code").unwrap();
        cache.write(&name(b"b"), b"code").unwrap();
        cache.write(&CodeName { digest: Digest::of(b"b"), stamp: [8; 32] }, b"code").unwrap();
        fs::write(dir.path().join("left.over.tmp"), b"half").unwrap();
        cache.forget(&Digest::of(b"a")).unwrap();
        assert_eq!(cache.read(&name(b"a")), None);
        let cache = open(dir.path());
        assert!(cache.read(&name(b"b")).is_some());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the key and b's code for this engine");
    }
}
