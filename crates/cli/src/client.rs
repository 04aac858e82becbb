//! Finds the agent and connects to it.
//!
//! A Unix socket by default; TCP only when asked for, and then without TLS: an agent listens so on loopback only.
//! Requests have no time limit of their own, since watching and following may take for ever; connecting has one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::pb::wick::v1::cron_job_service_client::CronJobServiceClient;
use api::pb::wick::v1::event_service_client::EventServiceClient;
use api::pb::wick::v1::history_service_client::HistoryServiceClient;
use api::pb::wick::v1::image_service_client::ImageServiceClient;
use api::pb::wick::v1::job_service_client::JobServiceClient;
use api::pb::wick::v1::manifest_service_client::ManifestServiceClient;
use api::pb::wick::v1::node_service_client::NodeServiceClient;
use api::pb::wick::v1::pod_service_client::PodServiceClient;
use api::pb::wick::v1::schedule_service_client::ScheduleServiceClient;
use api::pb::wick::v1::simulation_service_client::SimulationServiceClient;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint as Transport};

use crate::failure::{Failure, root};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest message taken from an agent, in bytes: a list of some 100,000 Jobs.
const MAX_ANSWER: usize = 256 << 20;

/// Where the socket is if nobody says so and there is no `$XDG_RUNTIME_DIR/wick.sock`; as the agent has it.
const SYSTEM_SOCKET: &str = "/run/wick/wick.sock";

/// Where an agent is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Socket(PathBuf),
    /// `HOST:PORT`.
    Server(String),
}

/// What says where the agent is: flags before the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    pub(crate) socket: Option<PathBuf>,
    pub(crate) server: Option<String>,
}

impl Hints {
    /// Whether anybody names a place, or it is only where agents usually are.
    pub(crate) fn are_given(&self, env: impl Fn(&str) -> Option<OsString>) -> bool {
        let said = |name| env(name).is_some_and(|value| !value.is_empty());
        self.socket.is_some() || self.server.is_some() || said("WICK_SOCKET") || said("WICK_SERVER")
    }

    /// The place that the flags, else the environment name.
    pub(crate) fn place(self, env: impl Fn(&str) -> Option<OsString>) -> Result<Place, Failure> {
        let flags = self.socket.is_some() || self.server.is_some();
        let said = |name| env(name).filter(|value| !value.is_empty());
        let (socket, server) = match flags {
            true => (self.socket, self.server),
            false => {
                let server = said("WICK_SERVER").map(|server| server.to_string_lossy().into_owned());
                (said("WICK_SOCKET").map(PathBuf::from), server)
            }
        };
        match (socket, server) {
            (Some(_), Some(_)) => {
                Err(Failure::not_asked("a socket and a server are given; one agent is asked at a time")
                    .hint("give one of --socket and --server, or unset one of WICK_SOCKET and WICK_SERVER"))
            }
            (Some(socket), None) => Ok(Place::Socket(socket)),
            (None, Some(server)) => Ok(Place::Server(server)),
            (None, None) => {
                let own = said("XDG_RUNTIME_DIR").map(|dir| PathBuf::from(dir).join("wick.sock"));
                Ok(Place::Socket(own.filter(|path| path.exists()).unwrap_or_else(|| SYSTEM_SOCKET.into())))
            }
        }
    }
}

/// A connection to an agent.
#[derive(Clone)]
pub(crate) struct Agent {
    channel: Channel,
}

impl Agent {
    /// Connects.
    pub(crate) async fn connect(place: &Place) -> Result<Agent, Failure> {
        let channel = match place {
            Place::Socket(path) => over_socket(path).await,
            Place::Server(server) => over_tcp(server).await,
        }?;
        Ok(Agent { channel })
    }

    pub(crate) fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    pub(crate) fn cron_jobs(&self) -> CronJobServiceClient<Channel> {
        CronJobServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    pub(crate) fn schedules(&self) -> ScheduleServiceClient<Channel> {
        ScheduleServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    pub(crate) fn history(&self) -> HistoryServiceClient<Channel> {
        HistoryServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    pub(crate) fn pods(&self) -> PodServiceClient<Channel> {
        PodServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    pub(crate) fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    pub(crate) fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    pub(crate) fn manifests(&self) -> ManifestServiceClient<Channel> {
        ManifestServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    pub(crate) fn simulations(&self) -> SimulationServiceClient<Channel> {
        SimulationServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    pub(crate) fn node(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }
}

async fn over_socket(path: &Path) -> Result<Channel, Failure> {
    let socket = path.to_owned();
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(&socket).await.map(TokioIo::new) }
    });
    // The address is never looked up; it is what the request's authority says.
    let transport = Transport::from_static("http://localhost").connect_timeout(CONNECT_TIMEOUT);
    transport.connect_with_connector(connector).await.map_err(|error| {
        let failure = Failure::not_asked(format!("no agent answers on {}: {}", path.display(), root(&error)));
        failure.hint("start the agent: wickd --data-dir DIR")
    })
}

async fn over_tcp(server: &str) -> Result<Channel, Failure> {
    let wrong = || {
        Failure::not_asked(format!("`{server}` is not HOST:PORT"))
            .hint("for instance: --server 127.0.0.1:7890")
    };
    if server.contains('/') {
        return Err(wrong());
    }
    let transport = Transport::from_shared(format!("http://{server}")).map_err(|_| wrong())?;
    if transport.uri().port().is_none() {
        return Err(wrong());
    }
    transport.connect_timeout(CONNECT_TIMEOUT).connect().await.map_err(|error| {
        Failure::not_asked(format!("no agent answers on {server}: {}", root(&error)))
            .hint(format!("start the agent: wickd --data-dir DIR --listen {server}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[test]
    fn a_flag_counts_more_than_the_environment() {
        check("--socket /a", &[("WICK_SOCKET", "/b"), ("WICK_SERVER", "c:1")], expect!["socket /a"]);
        check("--server a:1", &[("WICK_SOCKET", "/b")], expect!["server a:1"]);
        check("", &[("WICK_SOCKET", "/b"), ("XDG_RUNTIME_DIR", "/c")], expect!["socket /b"]);
        check("", &[("WICK_SERVER", "c:1"), ("WICK_SOCKET", "")], expect!["server c:1"]);
    }

    #[test]
    fn without_a_word_it_is_the_systems_socket() {
        check("", &[], expect!["socket /run/wick/wick.sock"]);
        check("", &[("XDG_RUNTIME_DIR", "/nonexistent")], expect!["socket /run/wick/wick.sock"]);
    }

    #[test]
    fn the_users_own_socket_comes_first_where_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("wick.sock");
        std::fs::write(&socket, "").unwrap();
        let env = |name: &str| (name == "XDG_RUNTIME_DIR").then(|| dir.path().as_os_str().to_owned());
        assert_eq!(Hints::default().place(env).unwrap(), Place::Socket(socket));
    }

    #[test]
    fn one_agent_is_asked_at_a_time() {
        let twice = expect![[r#"
            error: a socket and a server are given; one agent is asked at a time
            hint: give one of --socket and --server, or unset one of WICK_SOCKET and WICK_SERVER"#]];
        check("", &[("WICK_SOCKET", "/b"), ("WICK_SERVER", "c:1")], twice);
    }

    #[test]
    fn where_nothing_answers_the_socket_is_named() {
        let wanted = expect![[r#"
            error: no agent answers on /nonexistent/wick.sock: no such file or directory
            hint: start the agent: wickd --data-dir DIR"#]];
        check_connect(Place::Socket("/nonexistent/wick.sock".into()), wanted);
    }

    #[test]
    fn a_server_is_a_host_and_a_port() {
        for server in ["localhost", "http://localhost:1", "a b:1", ":"] {
            let wanted =
                format!("error: `{server}` is not HOST:PORT\nhint: for instance: --server 127.0.0.1:7890");
            assert_eq!(connect(Place::Server(server.to_owned())), wanted);
        }
    }

    fn check_connect(place: Place, wanted: Expect) {
        wanted.assert_eq(&connect(place));
    }

    fn connect(place: Place) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        match runtime.block_on(Agent::connect(&place)) {
            Ok(_) => "connected".to_owned(),
            Err(Failure::NotAsked(words)) => words.to_string(),
            Err(failure) => format!("{failure:?}"),
        }
    }

    fn check(flags: &str, env: &[(&str, &str)], wanted: Expect) {
        let mut hints = Hints::default();
        match flags.split_once(' ') {
            Some(("--socket", path)) => hints.socket = Some(path.into()),
            Some((_, server)) => hints.server = Some(server.to_owned()),
            None => {}
        }
        let env =
            |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let said = match hints.place(env) {
            Ok(Place::Socket(path)) => format!("socket {}", path.display()),
            Ok(Place::Server(server)) => format!("server {server}"),
            Err(Failure::NotAsked(words)) => words.to_string(),
            Err(failure) => format!("{failure:?}"),
        };
        wanted.assert_eq(&said);
    }
}
