//! Directories of the device that guests see: opened step by step below what the operator granted, and never through a link.
//!
//! A guest can make links in a directory it may write to, and hostPath of another Job may name one. So a path is not looked
//! up but walked, each part opened in the one before it without following links, and the guest is given what was opened,
//! not what has that name later.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;

/// Opens `path`, which lies in one of the `granted` directories. With `create`, what is not there is made.
pub(crate) fn open(path: &Path, create: bool, granted: &[PathBuf]) -> Result<OwnedFd, String> {
    let shown = path.display();
    let Some(root) =
        granted.iter().filter(|root| path.starts_with(root)).max_by_key(|root| root.as_os_str().len())
    else {
        return Err(format!(
            "hostPath {shown} is not granted to guests (any more): wickd --allow-host-path DIR"
        ));
    };
    // The operator's own path may hold links; what is below it may not.
    let mut dir = openat(CWD, root, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())
        .map_err(|error| format!("the granted directory {} cannot be opened: {error}", root.display()))?;
    let below = path.strip_prefix(root).unwrap_or(Path::new(""));
    for part in below.components() {
        let Component::Normal(name) = part else {
            return Err(format!("hostPath {shown} must not go up with `..`"));
        };
        dir = step(&dir, name, create).map_err(|error| match error {
            Errno::NOTDIR | Errno::LOOP => {
                format!("hostPath {shown}: `{}` is a link or a file, not a directory", name.display())
            }
            error => format!("hostPath {shown} cannot be opened: {error}"),
        })?;
    }
    Ok(dir)
}

/// A path that means just this directory as long as it is open.
pub(crate) fn named(dir: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()))
}

fn step(dir: &OwnedFd, name: &OsStr, create: bool) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    match openat(dir.as_fd(), name, flags, Mode::empty()) {
        Err(Errno::NOENT) if create => {
            match mkdirat(dir.as_fd(), name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            openat(dir.as_fd(), name, flags, Mode::empty())
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_below_a_grant_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (granted, secret) = (dir.path().join("granted"), dir.path().join("secret"));
        fs::create_dir_all(granted.join("sub")).unwrap();
        fs::create_dir(&secret).unwrap();
        symlink(&secret, granted.join("link")).unwrap();
        let grants = [granted.clone()];
        assert!(open(&granted, false, &grants).is_ok());
        assert!(open(&granted.join("sub"), false, &grants).is_ok());
        for (path, create, expected) in [
            ("granted/link", false, "is a link or a file"),
            ("granted/link/new", true, "is a link or a file"),
            ("granted/../secret", false, "must not go up"),
            ("granted/none", false, "cannot be opened"),
            ("secret", false, "is not granted"),
        ] {
            let error = open(&dir.path().join(path), create, &grants).unwrap_err();
            assert!(error.contains(expected), "{path}: {error}");
        }
        assert!(!secret.join("new").exists());
        let made = open(&granted.join("a/b"), true, &grants).unwrap();
        fs::write(named(&made).join("file"), "x").unwrap();
        assert_eq!(fs::read_to_string(granted.join("a/b/file")).unwrap(), "x");
    }
}
