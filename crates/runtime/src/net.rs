//! Where a guest may connect to.
//!
//! Nothing is allowed that is not granted, as `host:port`. An address literal is compared at connect. A name may be
//! looked up if it is granted, and only such a name; an address may then be connected to, on the granted port, if
//! this guest learned it by looking that name up. So what a name means is decided once, by the lookup the guest
//! itself made, and a guest cannot smuggle data out in the names it asks for.
//!
//! Listening and accepting are never allowed. Preview 1 has no way to connect; there a grant has no effect.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use wasmtime::component::{HasData, Resource};
use wasmtime_wasi::{
    WasiCtxBuilder,
    p2::{
        DynPollable, IoError, SocketError,
        bindings::sockets::{
            ip_name_lookup::{self, Host, HostResolveAddressStream, ResolveAddressStream},
            network::{self, ErrorCode, HostNetwork, IpAddress, Network},
        },
    },
    sockets::{SocketAddrUse, WasiSocketsCtxView, WasiSocketsView as _},
};

use crate::run::State;

/// One place a guest may connect to. Written `host:port`; an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetGrant {
    /// A name or an address.
    pub host: NetHost,
    /// 1 to 65535.
    pub port: u16,
}

/// The host of a [`NetGrant`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetHost {
    /// A DNS name, in lower case. It is not a pattern.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// Text that is not a [`NetGrant`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a network grant: {why}; write `host:port`, as in `db.example.org:5432` or `[::1]:8080`"
)]
pub struct BadGrant {
    text: String,
    why: &'static str,
}

impl FromStr for NetGrant {
    type Err = BadGrant;

    fn from_str(text: &str) -> Result<NetGrant, BadGrant> {
        let bad = |why| BadGrant { text: text.chars().take(300).collect(), why };
        let (host, port) = text.rsplit_once(':').ok_or_else(|| bad("it has no port"))?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|&port| digits && port != 0);
        let port = port.ok_or_else(|| bad("the port is not a number from 1 to 65535"))?;
        if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            let address: Ipv6Addr =
                address.parse().map_err(|_| bad("what is in brackets is no IPv6 address"))?;
            return Ok(NetGrant { host: NetHost::Address(address.into()), port });
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return match address {
                IpAddr::V4(_) => Ok(NetGrant { host: NetHost::Address(address), port }),
                IpAddr::V6(_) => Err(bad("an IPv6 address is written in brackets")),
            };
        }
        let label = |label: &str| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=63).contains(&label.len())
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if host.len() > 253 || !host.split('.').all(label) {
            return Err(bad("the host is neither a name nor an address"));
        }
        Ok(NetGrant { host: NetHost::Name(host.to_ascii_lowercase()), port })
    }
}

impl fmt::Display for NetGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            NetHost::Name(name) => write!(f, "{name}:{}", self.port),
            NetHost::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
        }
    }
}

/// Addresses one guest may have learned by looking names up.
const LEARNED_ADDRESSES: usize = 1024;

/// What one guest may reach. Only guests with a grant have one.
pub(crate) struct Reach {
    grants: Vec<NetGrant>,
    learned: Mutex<BTreeSet<(IpAddr, u16)>>,
}

impl Reach {
    pub(crate) fn new(grants: Vec<NetGrant>) -> Reach {
        Reach { grants, learned: Mutex::default() }
    }

    fn may_ask_for(&self, asked: &str) -> bool {
        let asked = asked.strip_suffix('.').unwrap_or(asked);
        self.grants.iter().any(|grant| match &grant.host {
            NetHost::Name(name) => asked.eq_ignore_ascii_case(name),
            // To look up an address is to read it: no packet is sent.
            NetHost::Address(address) => asked.parse() == Ok(*address),
        })
    }

    fn learn(&self, name: &str, address: IpAddr) {
        let name = name.strip_suffix('.').unwrap_or(name);
        let mut learned = self.learned();
        for grant in &self.grants {
            if matches!(&grant.host, NetHost::Name(granted) if name.eq_ignore_ascii_case(granted))
                && learned.len() < LEARNED_ADDRESSES
            {
                learned.insert((address.to_canonical(), grant.port));
            }
        }
    }

    fn allows(&self, address: SocketAddr, used: SocketAddrUse) -> bool {
        let ip = address.ip().to_canonical();
        match used {
            SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => {
                let literal = |grant: &NetGrant| {
                    grant.port == address.port()
                        && matches!(grant.host, NetHost::Address(granted) if granted.to_canonical() == ip)
                };
                self.grants.iter().any(literal) || self.learned().contains(&(ip, address.port()))
            }
            // An outgoing socket is bound first, to any address and port.
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => ip.is_unspecified() && address.port() == 0,
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => false,
        }
    }

    fn learned(&self) -> MutexGuard<'_, BTreeSet<(IpAddr, u16)>> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a guest its reach; without this call it has none (Wasmtime denies every address and lookup by default).
pub(crate) fn grant(wasi: &mut WasiCtxBuilder, reach: &Arc<Reach>) {
    let names = reach.grants.iter().any(|grant| matches!(grant.host, NetHost::Name(_)));
    let reach = Arc::clone(reach);
    wasi.allow_tcp(true).allow_udp(true).allow_ip_name_lookup(names).socket_addr_check(
        move |address, used| {
            let allowed = reach.allows(address, used);
            Box::pin(async move { allowed })
        },
    );
}

/// Puts our check in front of Wasmtime's name lookup.
pub(crate) fn guard_name_lookup(linker: &mut wasmtime::component::Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    ip_name_lookup::add_to_linker::<State, Guarded>(linker, |state| {
        // `sockets()` borrows all of the state, so what we need of our own comes out first.
        let lookups = state.lookups.clone();
        GuardedView { wasi: state.sockets(), lookups }
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

struct Guarded;

impl HasData for Guarded {
    type Data<'a> = GuardedView<'a>;
}

struct GuardedView<'a> {
    wasi: WasiSocketsCtxView<'a>,
    lookups: Option<Arc<Lookups>>,
}

/// The reach of one guest and the lookups it has under way: which name each stream of addresses is for.
pub(crate) struct Lookups {
    reach: Arc<Reach>,
    names: Mutex<HashMap<u32, String>>,
}

impl Lookups {
    pub(crate) fn new(reach: Arc<Reach>) -> Lookups {
        Lookups { reach, names: Mutex::default() }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<u32, String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for GuardedView<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> Result<Resource<ResolveAddressStream>, SocketError> {
        let Some(lookups) = self.lookups.as_ref().filter(|lookups| lookups.reach.may_ask_for(&name)) else {
            return Err(ErrorCode::AccessDenied.into());
        };
        let stream = self.wasi.resolve_addresses(network, name.clone())?;
        lookups.names().insert(stream.rep(), name);
        Ok(stream)
    }
}

impl HostResolveAddressStream for GuardedView<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> Result<Option<IpAddress>, SocketError> {
        let rep = stream.rep();
        let next = self.wasi.resolve_next_address(stream)?;
        if let (Some(address), Some(lookups)) = (&next, &self.lookups)
            && let Some(name) = lookups.names().get(&rep)
        {
            lookups.reach.learn(name, ip(address));
        }
        Ok(next)
    }

    fn subscribe(
        &mut self,
        stream: Resource<ResolveAddressStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.wasi.subscribe(stream)
    }

    fn drop(&mut self, stream: Resource<ResolveAddressStream>) -> wasmtime::Result<()> {
        if let Some(lookups) = &self.lookups {
            lookups.names().remove(&stream.rep());
        }
        HostResolveAddressStream::drop(&mut self.wasi, stream)
    }
}

// The lookup's interface uses this one's types, so its view has to be both; all of it is Wasmtime's own.
impl network::Host for GuardedView<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.wasi.convert_error_code(error)
    }

    fn network_error_code(&mut self, error: Resource<IoError>) -> wasmtime::Result<Option<ErrorCode>> {
        self.wasi.network_error_code(error)
    }
}

impl HostNetwork for GuardedView<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        HostNetwork::drop(&mut self.wasi, network)
    }
}

fn ip(address: &IpAddress) -> IpAddr {
    match *address {
        IpAddress::Ipv4((a, b, c, d)) => [a, b, c, d].into(),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => [a, b, c, d, e, f, g, h].into(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&match text.parse::<NetGrant>() {
            Ok(grant) => format!("{:?} {grant}", grant.host),
            Err(error) => error.to_string(),
        });
    }

    #[test]
    fn a_grant_is_a_host_and_a_port() {
        check("DB.example.org:5432", expect![[r#"Name("db.example.org") db.example.org:5432"#]]);
        check("10.0.0.1:80", expect!["Address(10.0.0.1) 10.0.0.1:80"]);
        check("[::1]:8080", expect!["Address(::1) [::1]:8080"]);
    }

    #[test]
    fn what_is_no_grant_says_why() {
        check(
            "example.org",
            expect![
                "`example.org` is not a network grant: it has no port; write `host:port`, as in `db.example.org:5432` or `[::1]:8080`"
            ],
        );
        check(
            "example.org:0",
            expect![
                "`example.org:0` is not a network grant: the port is not a number from 1 to 65535; write `host:port`, as in `db.example.org:5432` or `[::1]:8080`"
            ],
        );
        check(
            "example.org:+5",
            expect![
                "`example.org:+5` is not a network grant: the port is not a number from 1 to 65535; write `host:port`, as in `db.example.org:5432` or `[::1]:8080`"
            ],
        );
        check(
            "::1:80",
            expect![
                "`::1:80` is not a network grant: an IPv6 address is written in brackets; write `host:port`, as in `db.example.org:5432` or `[::1]:8080`"
            ],
        );
        check(
            "*.example.org:443",
            expect![
                "`*.example.org:443` is not a network grant: the host is neither a name nor an address; write `host:port`, as in `db.example.org:5432` or `[::1]:8080`"
            ],
        );
        check(
            ":443",
            expect![
                "`:443` is not a network grant: the host is neither a name nor an address; write `host:port`, as in `db.example.org:5432` or `[::1]:8080`"
            ],
        );
    }

    #[test]
    fn only_what_was_granted_or_learned_is_connected_to() {
        let reach = Reach::new(vec!["10.0.0.1:80".parse().unwrap(), "db.example.org:5432".parse().unwrap()]);
        let allows = |address: &str, used| reach.allows(address.parse().unwrap(), used);
        assert!(allows("10.0.0.1:80", SocketAddrUse::TcpConnect));
        assert!(allows("[::ffff:10.0.0.1]:80", SocketAddrUse::TcpConnect));
        assert!(!allows("10.0.0.1:81", SocketAddrUse::TcpConnect));
        assert!(!allows("10.0.0.1:80", SocketAddrUse::TcpListen));
        assert!(!allows("192.0.2.7:5432", SocketAddrUse::TcpConnect));
        reach.learn("DB.example.org.", "192.0.2.7".parse().unwrap());
        assert!(allows("192.0.2.7:5432", SocketAddrUse::TcpConnect));
        assert!(!allows("192.0.2.7:80", SocketAddrUse::TcpConnect));
        assert!(allows("0.0.0.0:0", SocketAddrUse::UdpBind));
        assert!(!allows("0.0.0.0:53", SocketAddrUse::UdpBind));
    }

    #[test]
    fn only_granted_names_are_looked_up() {
        let reach = Reach::new(vec!["db.example.org:5432".parse().unwrap()]);
        assert!(reach.may_ask_for("db.EXAMPLE.org"));
        assert!(reach.may_ask_for("db.example.org."));
        assert!(!reach.may_ask_for("secret.db.example.org"));
        assert!(!reach.may_ask_for("example.org"));
    }
}
