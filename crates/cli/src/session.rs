//! What a verb works with: the agent and the namespace.

use clap::Args;

use crate::client::{Agent, Hints, Place};
use crate::failure::Failure;

/// The namespace of whatever names none.
const DEFAULT_NAMESPACE: &str = "default";

/// Flags that every verb has.
#[derive(Args, Clone, Debug)]
#[group(skip)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The agent's Unix socket [env: WICK_SOCKET] [default: $XDG_RUNTIME_DIR/wick.sock if there is one, else
    /// /run/wick/wick.sock]
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "server")]
    socket: Option<std::path::PathBuf>,

    /// The agent's TCP address, without TLS; agents listen so on loopback only [env: WICK_SERVER]
    #[arg(long, global = true, value_name = "HOST:PORT")]
    server: Option<String>,

    /// The namespace [default: default]
    #[arg(short, long, global = true, value_name = "NAME", default_value = DEFAULT_NAMESPACE, hide_default_value = true)]
    namespace: String,
}

impl Global {
    /// The namespace to work in.
    pub(crate) fn namespace(&self) -> &str {
        if self.namespace.is_empty() { DEFAULT_NAMESPACE } else { &self.namespace }
    }

    fn hints(&self) -> Hints {
        Hints { socket: self.socket.clone(), server: self.server.clone() }
    }

    /// Whether an agent is named by a flag or in the environment.
    pub(crate) fn names_an_agent(&self) -> bool {
        self.hints().are_given(|name| std::env::var_os(name))
    }

    /// Whether there is a socket where agents usually are, be there an agent or not.
    pub(crate) fn usual_place_exists(&self) -> bool {
        match self.hints().place(|name| std::env::var_os(name)) {
            Ok(Place::Socket(path)) => path.exists(),
            Ok(Place::Server(_)) | Err(_) => false,
        }
    }

    /// Finds the agent and connects to it.
    pub(crate) async fn connect(&self) -> Result<Session, Failure> {
        let place = self.hints().place(|name| std::env::var_os(name))?;
        let agent = Agent::connect(&place).await?;
        Ok(Session { agent, namespace: self.namespace().to_owned() })
    }
}

/// An agent, and the namespace to work in.
pub(crate) struct Session {
    pub(crate) agent: Agent,
    pub(crate) namespace: String,
}
