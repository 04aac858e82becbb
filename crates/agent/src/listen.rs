//! Where the agent answers: a Unix socket for its user, and, if asked for, plain text on loopback.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use http::{Request, header};
use rustix::fs::Mode;
use tokio::net::{TcpListener, UnixListener};
use tonic::Status;
use tonic::body::Body;

/// Where a group's number is looked up.
const GROUPS: &str = "/etc/group";

/// A socket that answers, and its file, which goes when this does.
pub(crate) struct Socket {
    pub(crate) listener: Option<UnixListener>,
    path: PathBuf,
}

impl Socket {
    /// Binds `path`, for this user (mode 0600) and for a group if one is named (0660). A file that a killed agent left there is replaced; one that answers is not.
    pub(crate) fn bind(path: &Path, group: Option<&str>) -> anyhow::Result<Socket> {
        let shown = path.display();
        if let Some(dir) = path.parent()
            && !dir.exists()
        {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(dir).with_context(|| {
                format!("cannot make {} for the socket; choose another with --socket", dir.display())
            })?;
        }
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => {
                bail!("{shown} is there and is not a socket; choose another path with --socket")
            }
            Ok(_) if UnixStream::connect(path).is_ok() => {
                bail!("another wickd answers on {shown}; choose another path with --socket")
            }
            Ok(_) => fs::remove_file(path).with_context(|| format!("cannot replace the socket {shown}"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot look at {shown}")),
        }
        // Bound under another name and renamed, so that it is never there with more rights than it should have.
        let beside = path.with_extension("new");
        let _ = fs::remove_file(&beside);
        let umask = rustix::process::umask(Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(&beside);
        rustix::process::umask(umask);
        let listener =
            bound.with_context(|| format!("cannot listen on {shown}; choose another path with --socket"))?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
        if let Some(group) = group {
            let given = chown(&beside, None, Some(group_id(group)?));
            given.with_context(|| {
                format!("cannot give the socket to the group `{group}`; wickd must be in it")
            })?;
            fs::set_permissions(&beside, fs::Permissions::from_mode(0o660))?;
        }
        fs::rename(&beside, path)?;
        Ok(Socket { listener: Some(listener), path: path.to_owned() })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A group's number. Looked up in the file alone: a device's own groups are there, and a directory service may not answer.
fn group_id(group: &str) -> anyhow::Result<u32> {
    if let Ok(id) = group.parse() {
        return Ok(id);
    }
    let groups = fs::read_to_string(GROUPS).with_context(|| format!("cannot read {GROUPS}"))?;
    find_group(&groups, group)
        .with_context(|| format!("no group named `{group}` in {GROUPS}; choose another with --socket-group"))
}

fn find_group(groups: &str, name: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

pub(crate) async fn bind_loopback(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Turns down what a web page in a browser on this machine may have sent: plain text has no other protection.
///
/// Such a request carries an `Origin`, or, after DNS rebinding, a foreign name as its authority.
pub(crate) fn guard(request: Request<Body>) -> Result<Request<Body>, Status> {
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let host = || request.headers().get(header::HOST)?.to_str().ok().map(str::to_owned);
    let local = authority.or_else(host).is_some_and(|authority| is_local(&authority));
    if local && !request.headers().contains_key(header::ORIGIN) {
        return Ok(request);
    }
    Err(Status::permission_denied(
        "only programs of this machine are answered here, under a loopback name; a browser's pages are not",
    ))
}

fn is_local(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_for_its_user_and_for_a_group_that_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wick.sock");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        drop(Socket::bind(&path, None).unwrap());
        let socket = Socket::bind(&path, None).unwrap();
        assert_eq!(mode(&path), 0o600);
        drop(socket);
        let own = rustix::process::getegid().as_raw().to_string();
        let _socket = Socket::bind(&path, Some(&own)).unwrap();
        assert_eq!(mode(&path), 0o660);
        let other = dir.path().join("other.sock");
        let refused = Socket::bind(&other, Some("no-such-group")).err().unwrap().to_string();
        assert_eq!(
            refused,
            "no group named `no-such-group` in /etc/group; choose another with --socket-group"
        );
        assert!(!other.exists());
    }

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let groups = "root:x:0:\nwicked:x:7:\nwick:x:990:anna,bert\nbroken\n";
        assert_eq!(
            ["wick", "root", "wic", "broken"].map(|name| find_group(groups, name)),
            [Some(990), Some(0), None, None]
        );
    }

    #[test]
    fn only_local_names_pass() {
        for local in ["localhost", "localhost:7180", "127.0.0.1:80", "[::1]:7180", "[::1]"] {
            assert!(is_local(local), "{local}");
        }
        for foreign in ["example.com", "example.com:7180", "localhost.example.com:80", "192.0.2.1:80", ""] {
            assert!(!is_local(foreign), "{foreign}");
        }
    }

    #[test]
    fn what_a_browser_sends_is_turned_down() {
        let request = |uri: &str, origin: bool| {
            let builder = Request::builder().uri(uri);
            let builder = if origin { builder.header(header::ORIGIN, "http://localhost") } else { builder };
            guard(builder.body(Body::empty()).unwrap()).is_ok()
        };
        assert!(request("http://127.0.0.1:7180/x", false));
        assert!(!request("http://127.0.0.1:7180/x", true));
        assert!(!request("http://rebound.example:7180/x", false));
    }
}
