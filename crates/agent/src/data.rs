//! What lies in the data directory beside the store: images, compiled code, and each Pod's volumes and logs.
//!
//! ```text
//! DIR/images/sha256-<hex>.wasm      the bytes of images
//! DIR/compiled/                     compiled code, the runtime's own
//! DIR/pods/<uid>/volumes/<name>/    emptyDir volumes
//! DIR/pods/<uid>/logs/<container>/  output, a file for each run
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use engine::PodUids;

/// Paths below the data directory.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    root: PathBuf,
}

impl Data {
    pub(crate) fn at(root: &Path) -> io::Result<Data> {
        let data = Data { root: root.to_owned() };
        for dir in [data.images(), data.pods()] {
            private_dir(&dir)?;
        }
        Ok(data)
    }

    /// What there is of records: it goes where they go.
    pub(crate) const OF_RECORDS: [&str; 2] = ["pods", "images"];

    /// The bytes of an image in the data directory `root`, which may be another's.
    pub(crate) fn image_below(root: &Path, digest: &str) -> PathBuf {
        Data { root: root.to_owned() }.image(digest)
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// The bytes of the image with this digest, `sha256:…`.
    pub(crate) fn image(&self, digest: &str) -> PathBuf {
        self.images().join(format!("{}.wasm", digest.replace(':', "-")))
    }

    pub(crate) fn compiled(&self) -> PathBuf {
        self.root.join("compiled")
    }

    fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    pub(crate) fn pod(&self, uid: &str) -> PathBuf {
        self.pods().join(uid)
    }

    pub(crate) fn volumes(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("volumes")
    }

    /// Where a container's output lies. Uids and container names hold no slashes.
    pub(crate) fn logs(&self, uid: &str, container: &str) -> PathBuf {
        self.pod(uid).join("logs").join(container)
    }

    /// Removes what a crash left behind: whatever belongs to no Pod and no image there is, and volumes of Pods that are over.
    pub(crate) fn sweep(&self, pods: &PodUids, digests: &BTreeSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(self.pods())? {
            let entry = entry?;
            let name = entry.file_name();
            match name.to_str() {
                Some(uid) if pods.unfinished.contains(uid) => {}
                Some(uid) if pods.ended.contains(uid) => remove(&self.volumes(uid))?,
                _ => remove(&entry.path())?,
            }
        }
        let known: BTreeSet<PathBuf> = digests.iter().map(|digest| self.image(digest)).collect();
        for entry in fs::read_dir(self.images())? {
            let path = entry?.path();
            if !known.contains(&path) {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Makes a directory for this user only, with its parents; it may be there.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes a file or a directory with all in it; it may be gone.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
