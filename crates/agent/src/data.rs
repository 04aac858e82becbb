//! What lies in the data directory beside the store: images, compiled code, and what there is of Pods.
//!
//! ```text
//! DIR/images/sha256-<hex>.wasm                   the bytes of images
//! DIR/compiled/                                  compiled code, the runtime's own
//! DIR/volumes/<uid>/<name>/                      emptyDir volumes
//! DIR/logs/<uid>_<container>_<restarts>.log[.N]  output of one run of a container, and its rotated files
//! ```
//!
//! A file system makes and removes files far more slowly than guests run. So a Pod that has no volume and writes nothing
//! costs none, one that writes costs one, and what was made is remembered: removing nothing asks nothing of the disk.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::PodUids;

/// Paths below the data directory, and what was made there of Pods.
#[derive(Clone)]
pub(crate) struct Data {
    root: PathBuf,
    made: Arc<Mutex<Made>>,
}

/// What there is on the disk of Pods.
#[derive(Default)]
struct Made {
    /// Names of files in `logs/`.
    logs: BTreeSet<Box<str>>,
    /// Uids that have a directory in `volumes/`.
    volumes: BTreeSet<Box<str>>,
}

/// One run's output: the name of the file it is written to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogName(Arc<str>);

impl LogName {
    /// Neither uids nor names of containers hold `_` or `/`.
    pub(crate) fn new(pod_uid: &str, container: &str, restarts: u32) -> LogName {
        LogName(format!("{pod_uid}_{container}_{restarts}.log").into())
    }

    /// The name of the `age`-th file before the one written to.
    fn rotated(&self, age: u64) -> String {
        if age == 0 { self.0.to_string() } else { format!("{}.{age}", self.0) }
    }
}

/// Of the name of a log's file, what is common to all runs of the container, and which run it is.
fn run_of(name: &str) -> Option<(&str, u32)> {
    let (container, rest) = name.rsplit_once('_')?;
    Some((container, rest.split('.').next()?.parse().ok()?))
}

/// The Pod that the file of a log belongs to.
fn pod_of(name: &str) -> &str {
    name.split('_').next().unwrap_or(name)
}

impl Data {
    pub(crate) fn at(root: &Path) -> io::Result<Data> {
        let data = Data { root: root.to_owned(), made: Arc::default() };
        for dir in [data.images(), data.logs(), data.volumes()] {
            private_dir(&dir)?;
        }
        Ok(data)
    }

    /// What there is of records: it goes where they go.
    pub(crate) const OF_RECORDS: [&str; 3] = ["logs", "volumes", "images"];

    /// The bytes of an image in the data directory `root`, which may be another's.
    pub(crate) fn image_below(root: &Path, digest: &str) -> PathBuf {
        Data { root: root.to_owned(), made: Arc::default() }.image(digest)
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

    fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// The `age`-th file before the one that a run's output is written to.
    pub(crate) fn log(&self, name: &LogName, age: u64) -> PathBuf {
        self.logs().join(name.rotated(age))
    }

    /// The `age`-th file of a run's output is being made.
    pub(crate) fn log_begins(&self, name: &LogName, age: u64) {
        self.made().logs.insert(name.rotated(age).into());
    }

    /// The files of all runs of a Pod. They are the caller's to remove, and forgotten here.
    pub(crate) fn take_logs(&self, pod_uid: &str) -> Vec<PathBuf> {
        self.take(&format!("{pod_uid}_"), |_| true)
    }

    /// The same of the runs of one container before the one before `name`'s: those nobody can ask for any more.
    pub(crate) fn take_old_logs(&self, name: &LogName) -> Vec<PathBuf> {
        let Some((container, restarts)) = run_of(&name.0).filter(|(_, restarts)| *restarts > 1) else {
            return Vec::new();
        };
        self.take(&format!("{container}_"), |name| {
            run_of(name).is_some_and(|(_, other)| other + 1 < restarts)
        })
    }

    fn take(&self, prefix: &str, which: impl Fn(&str) -> bool) -> Vec<PathBuf> {
        let mut made = self.made();
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let names = made.logs.range::<str, _>(from).take_while(|name| name.starts_with(prefix));
        let names: Vec<Box<str>> = names.filter(|name| which(name)).cloned().collect();
        for name in &names {
            made.logs.remove(name);
        }
        drop(made);
        let dir = self.logs();
        names.iter().map(|name| dir.join(&**name)).collect()
    }

    /// Makes a volume of a Pod; it may be there.
    pub(crate) fn volume(&self, pod_uid: &str, name: &str) -> io::Result<PathBuf> {
        let path = self.volumes().join(pod_uid).join(name);
        self.made().volumes.insert(pod_uid.into());
        match private_dir(&path) {
            Ok(()) => Ok(path),
            Err(error) => {
                Err(io::Error::new(error.kind(), format!("{} cannot be made: {error}", path.display())))
            }
        }
    }

    /// The directory with the volumes of a Pod, if it has any. It is the caller's to remove, and forgotten here.
    pub(crate) fn take_volumes(&self, pod_uid: &str) -> Option<PathBuf> {
        let had = self.made().volumes.remove(pod_uid);
        had.then(|| self.volumes().join(pod_uid))
    }

    /// Removes what a crash left behind: whatever belongs to no Pod and no image there is, and volumes of Pods that are
    /// over. Learns what there is of the others.
    pub(crate) fn sweep(&self, pods: &PodUids, digests: &BTreeSet<String>) -> io::Result<()> {
        let mut made = Made::default();
        let is_pod = |uid: &str| pods.unfinished.contains(uid) || pods.ended.contains(uid);
        keep(&self.logs(), &mut made.logs, |name| is_pod(pod_of(name)) && run_of(name).is_some())?;
        keep(&self.volumes(), &mut made.volumes, |uid| pods.unfinished.contains(uid))?;
        *self.made() = made;
        let known: BTreeSet<PathBuf> = digests.iter().map(|digest| self.image(digest)).collect();
        for entry in fs::read_dir(self.images())? {
            let path = entry?.path();
            if !known.contains(&path) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes what is in `dir`, but for the `names` that are `wanted`.
fn keep(dir: &Path, names: &mut BTreeSet<Box<str>>, wanted: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match OsStr::to_str(&entry.file_name()) {
            Some(name) if wanted(name) => drop(names.insert(name.into())),
            _ => remove(&entry.path())?,
        }
    }
    Ok(())
}

/// Makes a directory for this user only, with its parents; it may be there.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes a file or a directory with all in it; it may be gone.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    // Most are files, and those are done with one call.
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir_all(path),
        result => result,
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "6f0c1a52-0000-8000-8000-000000000001";
    const TWO: &str = "6f0c1a52-0000-8000-8000-000000000002";
    const GONE: &str = "6f0c1a52-0000-8000-8000-000000000003";

    fn write(data: &Data, uid: &str, container: &str, restarts: u32, age: u64) {
        let name = LogName::new(uid, container, restarts);
        data.log_begins(&name, age);
        fs::write(data.log(&name, age), "").unwrap();
    }

    fn names(paths: &[PathBuf]) -> Vec<String> {
        paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_pod_takes_its_own_files_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let data = Data::at(dir.path()).unwrap();
        for (uid, container, restarts, age) in
            [(ONE, "main", 0, 0), (ONE, "main", 0, 1), (ONE, "side", 3, 0), (TWO, "main", 0, 0)]
        {
            write(&data, uid, container, restarts, age);
        }
        let [zero, rotated, side] =
            ["main_0.log", "main_0.log.1", "side_3.log"].map(|name| format!("{ONE}_{name}"));
        assert_eq!(names(&data.take_logs(ONE)), [zero, rotated, side]);
        assert!(data.take_logs(ONE).is_empty(), "what was taken is forgotten");
        assert!(data.take_volumes(ONE).is_none(), "a Pod without volumes has nothing to remove");
        data.volume(ONE, "scratch").unwrap();
        assert_eq!(data.take_volumes(ONE), Some(dir.path().join("volumes").join(ONE)));
    }

    #[test]
    fn runs_before_the_last_two_are_old_of_that_container_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data = Data::at(dir.path()).unwrap();
        for restarts in 0..=11 {
            write(&data, ONE, "main", restarts, 0);
        }
        write(&data, ONE, "main-2", 0, 0);
        let old = data.take_old_logs(&LogName::new(ONE, "main", 11));
        assert_eq!(old.len(), 10, "{old:?}");
        assert_eq!(data.take_logs(ONE).len(), 3);
        assert!(data.take_old_logs(&LogName::new(ONE, "main", 1)).is_empty());
    }

    #[test]
    fn a_sweep_leaves_what_belongs_to_somebody_and_learns_it() {
        let dir = tempfile::tempdir().unwrap();
        let before = Data::at(dir.path()).unwrap();
        for uid in [ONE, TWO, GONE] {
            write(&before, uid, "main", 0, 0);
            before.volume(uid, "scratch").unwrap();
        }
        fs::write(dir.path().join("logs/stray"), "").unwrap();
        let data = Data::at(dir.path()).unwrap();
        let pods = PodUids { unfinished: [ONE.to_owned()].into(), ended: [TWO.to_owned()].into() };
        data.sweep(&pods, &BTreeSet::new()).unwrap();
        let left = |name: &str| {
            let mut left: Vec<String> = fs::read_dir(dir.path().join(name))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            left.sort();
            left
        };
        assert_eq!(left("logs"), [format!("{ONE}_main_0.log"), format!("{TWO}_main_0.log")]);
        assert_eq!(left("volumes"), [ONE]);
        assert_eq!(data.take_logs(TWO).len(), 1);
        assert!(data.take_volumes(ONE).is_some() && data.take_volumes(TWO).is_none());
    }
}
