//! The methods of a router for links.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    address::{Address, Endpoint},
    carried::Carried,
    codec::{Cbor, PayloadCodec},
    driver::{Command, Reply},
    error::LinkSetupError,
    handle::{Closing, Link, Listener},
    options::{ConnectOptions, ListenOptions},
    status::LinkStatus,
};
use crate::{
    error::Error,
    protocol::{Message, RequestMessage},
    router::Router,
};

/// Links to routers in other processes: see [`link::sockets`](crate::link::sockets). With the
/// feature `link`.
impl Router {
    /// Lets a type of messages travel over links, as CBOR.
    ///
    /// Both routers need it. Call it before the first link is made, or at any later time.
    ///
    /// # Errors
    /// See [`carry_as`](Self::carry_as).
    pub fn carry<M: Message + Serialize + DeserializeOwned>(&self) -> Result<(), Error> {
        self.carry_as::<M>(Cbor)
    }

    /// Lets a type of messages travel over links, in a codec: [`Cbor`](super::codec::Cbor),
    /// `Postcard` or [`Raw`](super::codec::Raw). See [`codec`](super::codec) for which one to
    /// choose.
    ///
    /// The codec is that of messages which are sent. Both routers need the type, and what they
    /// receive names its codec.
    ///
    /// Values of the type are encoded, decoded and dropped while the links are locked, by their
    /// thread or by one that makes a request. So `Serialize`, `Deserialize` and `Drop` must not
    /// block: one that waits there for a request which goes over a link waits for ever. `listen`
    /// and `connect` return an error there.
    ///
    /// # Errors
    /// - [`Error::Protocol`]: the prefix of the type is not valid, or not unique.
    /// - [`Error::OtherCodec`]: the type travels in another codec already.
    /// - [`Error::Closed`]: the router was closed.
    pub fn carry_as<M: Message>(&self, codec: impl PayloadCodec<M>) -> Result<(), Error> {
        let (registry, links) = self.parts();
        links.carry(Carried::messages(registry.bus::<M>()?, &codec))
    }

    /// Lets a type of requests travel over links, with its replies and errors, as CBOR.
    ///
    /// # Errors
    /// See [`carry_as`](Self::carry_as).
    pub fn carry_requests<P>(&self) -> Result<(), Error>
    where
        P: RequestMessage + Serialize + DeserializeOwned,
        P::Reply: Serialize + DeserializeOwned,
        P::Error: Serialize + DeserializeOwned,
    {
        self.carry_requests_as::<P>(Cbor)
    }

    /// Lets a type of requests travel over links, with its replies and errors, in a codec: see
    /// [`carry_as`](Self::carry_as). A reply, or an error, travels in the codec of its request,
    /// which the router of the caller chooses.
    ///
    /// # Errors
    /// See [`carry_as`](Self::carry_as).
    pub fn carry_requests_as<P: RequestMessage>(
        &self,
        codec: impl PayloadCodec<P> + PayloadCodec<P::Reply> + PayloadCodec<P::Error>,
    ) -> Result<(), Error> {
        let (registry, links) = self.parts();
        links.carry(Carried::requests(registry.servers_of::<P>()?, &codec))
    }

    /// Accepts links at an address, with the default [`ListenOptions`]. See
    /// [`listen_with`](Self::listen_with).
    ///
    /// # Errors
    /// See [`listen_with`](Self::listen_with).
    pub fn listen(
        &self,
        address: impl TryInto<Address, Error: Into<LinkSetupError>>,
    ) -> Result<Listener, LinkSetupError> {
        self.listen_with(address, ListenOptions::new())
    }

    /// Accepts links at an address: an [`Address`], or its text: `unix:PATH`, `tcp:HOST:PORT` or
    /// `tls:HOST:PORT`. Blocks until the router listens, and meanwhile looks for the address of a
    /// host that is given by its name.
    ///
    /// # TCP
    /// The router listens on the first address of the host on which it can. Without TLS it listens
    /// on loopback addresses only, where any process of this machine can connect; see
    /// [`ListenOptions::allow_plain_text_from_other_hosts`]. For TLS it needs the feature `tls`,
    /// and certificates in the options.
    ///
    /// # Unix sockets
    /// The socket is for its user: its mode is 0600 from the beginning. As long as the router
    /// listens, it holds the lock of the file `PATH.lock`; both files are removed in the end. The
    /// socket of a process that has died is replaced.
    ///
    /// # Errors
    /// - [`LinkSetupError::Address`]: the text is not an address.
    /// - [`LinkSetupError::NotLoopback`]: other hosts could connect without TLS.
    /// - [`LinkSetupError::NoCertificates`]: the address is for TLS, and the options have none.
    /// - [`LinkSetupError::Host`]: the host has no address.
    /// - [`LinkSetupError::InUse`]: another router listens on the unix socket.
    /// - [`LinkSetupError::NotASocket`], [`LinkSetupError::PathTooLong`],
    ///   [`LinkSetupError::Folder`] or [`LinkSetupError::Path`]: no unix socket can be made there.
    /// - [`LinkSetupError::Socket`]: the address is in use, or the system refused it.
    /// - [`LinkSetupError::Thread`]: the thread of the links could not be started.
    /// - [`LinkSetupError::InCodeOfLinks`]: the caller is a codec, a waker or the drop of a message
    ///   that links run.
    /// - [`LinkSetupError::Closed`]: the router was closed.
    pub fn listen_with(
        &self,
        address: impl TryInto<Address, Error: Into<LinkSetupError>>,
        options: ListenOptions,
    ) -> Result<Listener, LinkSetupError> {
        self.listen_at(address.try_into().map_err(Into::into)?, options)
    }

    fn listen_at(
        &self,
        address: Address,
        options: ListenOptions,
    ) -> Result<Listener, LinkSetupError> {
        let resolved = match &address {
            Address::Unix(_) => Vec::new(),
            Address::Tcp(endpoint) => {
                let all = resolve(&address, endpoint)?;
                let mut open = all.iter().filter(|one| !one.ip().is_loopback());
                match open.next() {
                    Some(open) if !options.plain_text_from_other_hosts => {
                        return Err(LinkSetupError::NotLoopback(*open));
                    }
                    _ => all,
                }
            }
            Address::Tls(endpoint) => {
                check_certificates(&address, options.tls.is_some())?;
                resolve(&address, endpoint)?
            }
        };
        let (registry, links) = self.parts();
        let driver = links.driver(registry)?;
        match driver.ask(Command::Listen(address, resolved, options))? {
            Reply::Listening(id, address) => Ok(Listener::new(id, address, &driver)),
            _ => Err(LinkSetupError::Closed),
        }
    }

    /// Begins a link to a router that listens at an address, with the default [`ConnectOptions`].
    /// See [`connect_with`](Self::connect_with).
    ///
    /// # Errors
    /// See [`connect_with`](Self::connect_with).
    pub fn connect(
        &self,
        address: impl TryInto<Address, Error: Into<LinkSetupError>>,
    ) -> Result<Link, LinkSetupError> {
        self.connect_with(address, ConnectOptions::new())
    }

    /// Begins a link to a router that listens at an address (an [`Address`], or its text), and
    /// keeps it: until the returned handle is dropped, the link is made again whenever it is lost.
    /// It does not wait: see [`Link::opened`], and [`Link::state`] or [`Link::watch`] for what it
    /// does, and why it is not open.
    ///
    /// Names of hosts are resolved on a thread of their own, each time that the link is to be made.
    /// All addresses of the host are tried, one after the other, each for 5 seconds.
    ///
    /// # Errors
    /// - [`LinkSetupError::Address`]: the text is not an address.
    /// - [`LinkSetupError::NoCertificates`]: the address is for TLS, and the options have none.
    /// - [`LinkSetupError::Thread`]: the thread of the links could not be started.
    /// - [`LinkSetupError::InCodeOfLinks`]: the caller is a codec, a waker or the drop of a message
    ///   that links run.
    /// - [`LinkSetupError::Closed`]: the router was closed.
    pub fn connect_with(
        &self,
        address: impl TryInto<Address, Error: Into<LinkSetupError>>,
        options: ConnectOptions,
    ) -> Result<Link, LinkSetupError> {
        self.connect_to(address.try_into().map_err(Into::into)?, options)
    }

    fn connect_to(
        &self,
        address: Address,
        options: ConnectOptions,
    ) -> Result<Link, LinkSetupError> {
        check_certificates(&address, options.tls.is_some())?;
        let name: Arc<str> = address.to_string().into();
        let (registry, links) = self.parts();
        let driver = links.driver(registry)?;
        match driver.ask(Command::Connect(address, Arc::clone(&name), options))? {
            Reply::Connecting(id, watched) => {
                let watched = (watched, registry.clock().clone());
                Ok(Link::new(id, name, watched, &driver))
            }
            _ => Err(LinkSetupError::Closed),
        }
    }

    /// Returns the links of the router that are not over: those that it has made, and those that
    /// its listeners have accepted, in the order in which they began. For operators: it asks the
    /// thread of the links, waits for it, and takes time for each link.
    #[must_use]
    pub fn links(&self) -> Vec<LinkStatus> {
        let driver = self.parts().1.current();
        match driver.map(|driver| driver.ask(Command::AllLinks)) {
            Some(Ok(Reply::Links(links))) => links,
            _ => Vec::new(),
        }
    }

    /// Stops listening, closes all links, and waits until that is done, when the returned value is
    /// waited for (`.wait()`) or awaited. It returns whether all other routers have received all
    /// that was sent to them.
    ///
    /// Call it before a program ends: what was published a moment before may still wait, and
    /// [`close`](Self::close) does not wait for it. The router goes on without links, and may get
    /// new ones.
    pub fn close_links(&self) -> Closing {
        let driver = self.parts().1.current();
        let request = driver.map(|it| it.request(Command::AwaitAllClosed));
        Closing::new(request, None)
    }
}

/// Returns the addresses of a host. Blocks if it is a name.
fn resolve(address: &Address, endpoint: &Endpoint) -> Result<Vec<SocketAddr>, LinkSetupError> {
    if let Some(all) = endpoint.addresses() {
        return Ok(all);
    }
    let found = (endpoint.host(), endpoint.port()).to_socket_addrs();
    let found = found.map_err(|error| LinkSetupError::Host {
        address: address.to_string(),
        reason: error.to_string(),
    })?;
    Ok(found.collect())
}

fn check_certificates(address: &Address, has_certificates: bool) -> Result<(), LinkSetupError> {
    match address {
        Address::Tls(_) if !has_certificates => {
            Err(LinkSetupError::NoCertificates(address.to_string()))
        }
        _ => Ok(()),
    }
}
