//! How a link that is kept finds its peer: names are resolved, and all addresses are tried.

use std::{
    collections::VecDeque,
    net::{SocketAddr, ToSocketAddrs as _},
    sync::Arc,
    thread,
    time::Duration,
};

use ump_server::net::Connect;

use super::{Command, Driver, LinkId, Shared, stream::Stream};
use crate::link::sockets::{
    address::{Address, Endpoint},
    error::LinkFailure,
    options::ConnectOptions,
};

/// How long to try one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a link that is kept connects to.
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) options: ConnectOptions,
    /// The addresses of the host that were not tried.
    untried: VecDeque<SocketAddr>,
    /// A thread looks for the addresses.
    is_resolving: bool,
}

/// What to do in order to connect.
enum Next {
    Connected(Result<Stream, LinkFailure>),
    Resolve(Endpoint),
    Nothing,
}

impl Target {
    pub(super) fn new(address: Address, options: ConnectOptions) -> Self {
        Self {
            address,
            options,
            untried: VecDeque::new(),
            is_resolving: false,
        }
    }

    pub(super) fn is_resolving(&self) -> bool {
        self.is_resolving
    }

    /// Returns whether there is an address that was not tried.
    pub(super) fn has_untried(&self) -> bool {
        !self.untried.is_empty()
    }

    /// The host is reached: if the link ends, all addresses are tried again.
    pub(super) fn connected(&mut self) {
        self.untried.clear();
    }

    fn resolved(&mut self, found: Vec<SocketAddr>) {
        self.is_resolving = false;
        self.untried = found.into();
    }

    /// Begins to connect to the next address.
    fn next(&mut self, shared: &Shared) -> Next {
        if self.is_resolving {
            return Next::Nothing;
        }
        let endpoint = match &self.address {
            Address::Unix(path) => {
                let stream = shared.sockets.connect_unix(path, Some(CONNECT_TIMEOUT));
                let stream = stream.map(Stream::Unix);
                return Next::Connected(stream.map_err(|error| failed(&error)));
            }
            Address::Tcp(endpoint) | Address::Tls(endpoint) => endpoint,
        };
        if self.untried.is_empty() {
            let Some(all) = endpoint.addresses() else {
                self.is_resolving = true;
                return Next::Resolve(endpoint.clone());
            };
            self.untried = all.into();
        }
        let Some(address) = self.untried.pop_front() else {
            return Next::Connected(Err(LinkFailure::Resolve(format!(
                "{} has no address",
                endpoint.host()
            ))));
        };
        let how = Connect::new(address).timeout(CONNECT_TIMEOUT).nodelay(true);
        let stream = shared.sockets.connect(how);
        let stream = stream.map_err(|error| failed(&error));
        Next::Connected(stream.and_then(|stream| self.secured(stream)))
    }

    /// Begins TLS, if the address asks for it.
    fn secured(&self, stream: ump_server::net::TcpStream) -> Result<Stream, LinkFailure> {
        let Address::Tls(endpoint) = &self.address else {
            return Ok(Stream::Tcp(stream));
        };
        #[cfg(feature = "tls")]
        if let Some(config) = &self.options.tls {
            let failed = |error: &dyn std::fmt::Display| LinkFailure::Tls(error.to_string());
            let name = config.name_of(endpoint.host());
            let name = name.map_err(|error| failed(&error))?;
            let stream =
                super::tls_stream::TlsStream::connected(stream, config.client_config(), name);
            let stream = stream.map_err(|error| failed(&error))?;
            return Ok(Stream::Tls(Box::new(stream)));
        }
        // `connect_with` has looked.
        Err(LinkFailure::Tls(format!("{endpoint} needs certificates")))
    }
}

fn failed(error: &ump_server::net::Error) -> LinkFailure {
    LinkFailure::Connect(error.to_string())
}

impl Driver {
    /// Begins to connect a link that is kept.
    pub(super) fn connect(&mut self, id: LinkId) {
        let Some(peer) = self.links.get_mut(&id) else {
            return;
        };
        let Some(target) = peer.target() else {
            return;
        };
        match target.next(&self.shared) {
            Next::Connected(Ok(stream)) => {
                self.by_socket.insert(stream.id(), id);
                peer.connecting(stream);
            }
            Next::Connected(Err(failure)) => peer.not_connected(&self.shared, failure),
            Next::Resolve(endpoint) => self.resolve(id, endpoint),
            Next::Nothing => {}
        }
    }

    /// Resolves a name on another thread, as that may take long.
    fn resolve(&mut self, id: LinkId, endpoint: Endpoint) {
        let driver = self.shared.driver.clone();
        let host = endpoint.host().to_owned();
        let resolve = move || {
            let found = (endpoint.host(), endpoint.port()).to_socket_addrs();
            let found = found.map(Iterator::collect);
            let found = found.map_err(|error| error.to_string());
            if let Some(driver) = driver.upgrade() {
                // An error if the loop has ended.
                let _ = driver.post(Command::Resolved(id, found)).wait();
            }
        };
        let builder = thread::Builder::new().name("ump-resolve".to_owned());
        if let Err(error) = builder.spawn(resolve) {
            self.on_resolved(id, Err(format!("{host}: no thread: {error}")));
        }
    }

    /// The addresses of a host are known, or why they are not.
    pub(super) fn on_resolved(&mut self, id: LinkId, found: Result<Vec<SocketAddr>, String>) {
        let Some(peer) = self.links.get_mut(&id) else {
            return;
        };
        let name = Arc::clone(peer.name());
        let Some(target) = peer.target() else {
            return;
        };
        let failure = match found {
            Ok(found) if !found.is_empty() => {
                target.resolved(found);
                self.connect(id);
                self.pump(id);
                return;
            }
            Ok(_) => format!("{name}: the host has no address"),
            Err(reason) => format!("{name}: the host cannot be resolved: {reason}"),
        };
        target.resolved(Vec::new());
        peer.not_connected(&self.shared, LinkFailure::Resolve(failure));
        self.pump(id);
    }
}
