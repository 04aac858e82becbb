//! The bytes of images: one file for each digest, there before any record speaks of it, and gone after the last did.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime::{Digest, Image, ImageInfo, Refused, Runtime};
use tempfile::NamedTempFile;

use crate::data::{self, Data};
use crate::live::Live;

/// Images on disk. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Images {
    data: Data,
    live: Arc<Live>,
    /// Digests that a push is at work on, and how many pushes: their bytes must not be removed under it.
    pushed: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// An image that is being received: bytes in a file without a name yet.
pub(crate) struct Incoming {
    file: NamedTempFile,
    bytes: u64,
    max_bytes: u64,
}

/// An image that was received and checked; its bytes stay at least until this is dropped.
pub(crate) struct Received {
    pub(crate) image: Image,
    pub(crate) info: ImageInfo,
    pub(crate) bytes: u64,
    /// False if they were there before.
    pub(crate) created: bool,
    _hold: Hold,
}

/// Keeps a digest's bytes from being removed.
struct Hold {
    digest: String,
    pushed: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// Why an image was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    #[error("the image is larger than {max_bytes} bytes, the most this agent takes (wickd --max-image-mib)")]
    TooLarge { max_bytes: u64 },
    #[error(
        "the bytes have digest {found}, not {announced}: they were damaged on the way, or are not what was meant"
    )]
    Digest { found: String, announced: String },
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("cannot store the image")]
    Io(#[from] io::Error),
}

impl Images {
    pub(crate) fn new(data: Data, live: Arc<Live>) -> Images {
        Images { data, live, pushed: Arc::default() }
    }

    /// The largest image that is taken, in bytes.
    pub(crate) fn max_bytes(&self) -> u64 {
        self.live.max_image_bytes()
    }

    /// The image with this digest, as the runtime takes it.
    pub(crate) fn find(&self, digest: &str) -> Result<Image, String> {
        let parsed: Digest = digest.parse().map_err(|error| format!("{error}"))?;
        Ok(Image { digest: parsed, path: self.data.image(digest) })
    }

    pub(crate) fn receive(&self) -> io::Result<Incoming> {
        let file = NamedTempFile::new_in(self.data.images())?;
        Ok(Incoming { file, bytes: 0, max_bytes: self.max_bytes() })
    }

    /// Checks what was received and gives it its place. Blocks: it reads and syncs files.
    pub(crate) fn finish(&self, mut incoming: Incoming, announced: &str) -> Result<Received, PushError> {
        let mut bytes = Vec::new();
        incoming.file.rewind()?;
        incoming.file.read_to_end(&mut bytes)?;
        let received = Digest::of(&bytes);
        if !announced.is_empty() && announced != received.to_string() {
            return Err(PushError::Digest { found: received.to_string(), announced: announced.to_owned() });
        }
        let wasm = runtime::wat_to_wasm(&bytes)?;
        let info = runtime::inspect(&wasm)?;
        let digest = Digest::of(&wasm);
        if digest != received {
            // It was text: what is stored and named is the binary form.
            incoming.file = NamedTempFile::new_in(self.data.images())?;
            incoming.file.write_all(&wasm)?;
        }
        let name = digest.to_string();
        let hold = self.hold(&name);
        let path = self.data.image(&name);
        let created = !path.exists();
        if created {
            incoming.file.as_file().sync_all()?;
            incoming.file.persist(&path).map_err(|error| error.error)?;
            File::open(self.data.images())?.sync_all()?;
        }
        let bytes = u64::try_from(wasm.len()).unwrap_or(u64::MAX);
        Ok(Received { image: Image { digest, path }, info, bytes, created, _hold: hold })
    }

    /// Takes back what a push stored, because nothing will speak of it; `known` is whether something does all the same.
    pub(crate) fn discard(&self, received: Received, known: impl FnOnce() -> bool) {
        // Under the lock, so that no other push of the same bytes begins in between.
        let pushed = self.lock();
        let others = pushed.get(&received.image.digest.to_string()).is_some_and(|pushes| *pushes > 1);
        if received.created && !others && !known() {
            let _ = fs::remove_file(&received.image.path);
        }
        drop(pushed); // Before `received`, whose hold takes it again.
    }

    /// Removes the bytes that no name refers to any more, unless they are being pushed again.
    pub(crate) fn remove(&self, digest: &str, runtime: &Runtime) {
        let pushed = self.lock();
        if pushed.contains_key(digest) {
            return;
        }
        if let Err(error) = data::remove(&self.data.image(digest)) {
            tracing::warn!(digest, %error, "cannot remove the image");
        }
        if let Ok(digest) = digest.parse()
            && let Err(error) = runtime.forget(&digest)
        {
            tracing::warn!(%digest, %error, "cannot remove its compiled code");
        }
    }

    fn hold(&self, digest: &str) -> Hold {
        *self.lock().entry(digest.to_owned()).or_default() += 1;
        Hold { digest: digest.to_owned(), pushed: self.pushed.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pushes) = pushed.get_mut(&self.digest) {
            *pushes -= 1;
            if *pushes == 0 {
                pushed.remove(&self.digest);
            }
        }
    }
}

impl Incoming {
    pub(crate) fn write(&mut self, chunk: &[u8]) -> Result<(), PushError> {
        self.bytes += chunk.len() as u64;
        if self.bytes > self.max_bytes {
            return Err(PushError::TooLarge { max_bytes: self.max_bytes });
        }
        self.file.write_all(chunk)?;
        Ok(())
    }
}
