//! The listeners of a router, and what they have accepted.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use ump_server::net::SocketId;

use super::{
    LinkId, ListenerId, Reply, Shared,
    access::Refusal,
    stream::{Listening, Stream},
    unix_socket,
};
use crate::link::{
    session::Timeouts,
    sockets::{
        access::Rules, address::Address, error::LinkSetupError, limits::RetainedLimits,
        options::ListenOptions,
    },
};

#[derive(Default)]
pub(super) struct Listeners {
    all: BTreeMap<ListenerId, Listener>,
    /// The listeners of the links. One may be gone.
    by_link: BTreeMap<LinkId, ListenerId>,
}

struct Listener {
    listening: Listening,
    address: Address,
    options: ListenOptions,
    rules: Arc<Rules>,
    links: BTreeSet<LinkId>,
    /// The links whose hello has not come.
    opening: BTreeSet<LinkId>,
}

/// A connection that was accepted.
pub(super) struct Accepted {
    pub(super) name: Arc<str>,
    pub(super) rules: Arc<Rules>,
    pub(super) timeouts: Timeouts,
    pub(super) features: u64,
    pub(super) retained: RetainedLimits,
    /// Why it is refused.
    pub(super) refusal: Option<Refusal>,
    /// A connection that makes room for it.
    pub(super) displaced: Option<LinkId>,
}

impl Listener {
    fn is_tls(&self) -> bool {
        matches!(self.address, Address::Tls(_))
    }

    /// Begins TLS, if the listener is for it.
    #[cfg(feature = "tls")]
    fn secured(&self, stream: Stream) -> Option<Stream> {
        let (Stream::Tcp(_), true) = (&stream, self.is_tls()) else {
            return Some(stream);
        };
        let Stream::Tcp(stream) = stream else {
            return None;
        };
        let config = self.options.tls.as_ref()?.server();
        let stream = super::tls_stream::TlsStream::accepted(stream, config);
        stream.ok().map(|stream| Stream::Tls(Box::new(stream)))
    }

    #[cfg(not(feature = "tls"))]
    fn secured(&self, stream: Stream) -> Option<Stream> {
        (!self.is_tls()).then_some(stream) // `listen_with` has looked
    }
}

/// Listens on the first of these addresses on which it is possible. Returns the port, too.
fn listen_on(shared: &Shared, all: &[SocketAddr]) -> Result<(Listening, u16), LinkSetupError> {
    let mut last = LinkSetupError::Socket("the host has no address".to_owned());
    for address in all {
        match shared.sockets.listen(*address) {
            Ok(listener) => {
                let bound = listener.local_addr();
                let bound = bound.map_err(|error| LinkSetupError::Socket(error.to_string()))?;
                return Ok((Listening::Tcp(listener), bound.port()));
            }
            Err(error) => last = LinkSetupError::Socket(error.to_string()),
        }
    }
    Err(last)
}

impl Listeners {
    pub(super) fn listen(
        &mut self,
        shared: &Shared,
        id: ListenerId,
        (address, resolved): (Address, Vec<SocketAddr>),
        options: ListenOptions,
    ) -> Result<Reply, LinkSetupError> {
        let failed = |error: &dyn std::fmt::Display| LinkSetupError::Socket(error.to_string());
        let (listening, address) = match address {
            Address::Tcp(endpoint) => {
                let (listener, port) = listen_on(shared, &resolved)?;
                (listener, Address::Tcp(endpoint.with_port(port)))
            }
            Address::Tls(endpoint) => {
                let (listener, port) = listen_on(shared, &resolved)?;
                (listener, Address::Tls(endpoint.with_port(port)))
            }
            Address::Unix(path) => {
                let (listener, bound) = unix_socket::listen(&path)?;
                let listener = shared.sockets.adopt_unix_listener(listener);
                let listener = listener.map_err(|error| failed(&error))?;
                let listening = Listening::Unix {
                    _path: bound,
                    listener,
                };
                (listening, Address::Unix(path))
            }
        };
        let listener = Listener {
            listening,
            address: address.clone(),
            rules: Arc::new(options.rules.clone()),
            options,
            links: BTreeSet::new(),
            opening: BTreeSet::new(),
        };
        self.all.insert(id, listener);
        Ok(Reply::Listening(id, address))
    }

    /// Stops listening everywhere.
    pub(super) fn close(&mut self) {
        self.all.clear();
    }

    pub(super) fn stop(&mut self, id: ListenerId) {
        self.all.remove(&id);
        self.by_link.retain(|_, listener| *listener != id);
    }

    /// Accepts a connection of the listener with this socket, if it is there still.
    pub(super) fn accept(
        &mut self,
        socket: SocketId,
        id: LinkId,
        stream: Stream,
        from: Option<SocketAddr>,
    ) -> Option<(Accepted, Stream)> {
        let mut all = self.all.iter_mut();
        let (listener_id, listener) = all.find(|(_, it)| it.listening.id() == socket)?;
        let name = match from {
            Some(from) if listener.is_tls() => Address::Tls(from.into()).to_string(),
            Some(from) => Address::Tcp(from.into()).to_string(),
            None => format!("{}#{}", listener.address, id.0),
        };
        let limit = listener.options.max_links;
        let is_full = listener.links.len() >= limit;
        let has_many = is_full || listener.opening.len() >= listener.options.max_opening;
        let displaced = listener.opening.first().copied().filter(|_| has_many);
        let refusal = (is_full && displaced.is_none())
            .then(|| Refusal::Quota(format!("{} has its {limit} links", listener.address)));
        if refusal.is_some() && listener.is_tls() {
            return None; // it could be told only after a handshake
        }
        let stream = listener.secured(stream)?;
        if refusal.is_none() {
            listener.opening.retain(|id| Some(*id) != displaced);
            listener.links.insert(id);
            listener.opening.insert(id);
            self.by_link.insert(id, *listener_id);
        }
        let accepted = Accepted {
            name: name.into(),
            rules: Arc::clone(&listener.rules),
            timeouts: listener.options.timeouts,
            features: listener.options.features,
            retained: listener.options.retained,
            refusal,
            displaced,
        };
        Some((accepted, stream))
    }

    /// A link has said hello.
    pub(super) fn opened(&mut self, id: LinkId) {
        if let Some(listener) = self.of(id) {
            listener.opening.remove(&id);
        }
    }

    /// A link is over.
    pub(super) fn ended(&mut self, id: LinkId) {
        if let Some(listener) = self.of(id) {
            listener.opening.remove(&id);
            listener.links.remove(&id);
        }
        self.by_link.remove(&id);
    }

    fn of(&mut self, id: LinkId) -> Option<&mut Listener> {
        self.all.get_mut(self.by_link.get(&id)?)
    }

    /// Sets other rules. Returns the links for which they are.
    pub(super) fn set_rules(&mut self, id: ListenerId, rules: Rules) -> Vec<LinkId> {
        let Some(listener) = self.all.get_mut(&id) else {
            return Vec::new();
        };
        listener.rules = Arc::new(rules);
        listener.links.iter().copied().collect()
    }

    /// Returns the links of a listener that are not over.
    pub(super) fn links(&self, id: ListenerId) -> impl Iterator<Item = LinkId> {
        let listener = self.all.get(&id).into_iter();
        listener.flat_map(|listener| listener.links.iter().copied())
    }

    pub(super) fn rules(&self, id: ListenerId) -> Arc<Rules> {
        let listener = self.all.get(&id);
        listener.map_or_else(Arc::default, |listener| Arc::clone(&listener.rules))
    }
}
