//! How a router listens, and how it connects.

#[cfg(feature = "tls")]
use super::tls::TlsConfig;
use super::{access::Rules, limits::RetainedLimits};
use crate::link::session::Timeouts;

/// Without TLS there are no certificates.
#[cfg(not(feature = "tls"))]
type TlsConfig = std::convert::Infallible;

/// How a router listens: for [`Router::listen_with`](crate::Router::listen_with).
///
/// ```
/// # use ump_router::{Router, link::sockets::{ListenOptions, Permission, Rules, Who}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let router = Router::new();
/// let rules = Rules::deny_by_default().allow(Who::Anonymous, Permission::ALL, "price/**".parse()?);
/// let options = ListenOptions::new().rules(rules).max_links(100);
/// let listener = router.listen_with("tcp:127.0.0.1:0", options)?;
/// // Later, for the links that there are, and for those to come:
/// listener.set_rules(Rules::allow_by_default());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is for `Router::listen_with`"]
pub struct ListenOptions {
    pub(super) rules: Rules,
    pub(super) max_links: usize,
    pub(super) max_opening: usize,
    pub(super) timeouts: Timeouts,
    /// The features that sessions offer.
    pub(super) features: u64,
    pub(super) retained: RetainedLimits,
    pub(super) plain_text_from_other_hosts: bool,
    pub(super) tls: Option<TlsConfig>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            max_links: 1024,
            max_opening: 128,
            timeouts: Timeouts::default(),
            features: 0,
            retained: RetainedLimits::default(),
            plain_text_from_other_hosts: false,
            tls: None,
        }
    }
}

impl ListenOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the rules and quotas of the peers. The default allows everything, with the default
    /// [`Quotas`](super::Quotas): 256 connections of each peer.
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Sets how many links of this listener may be open at a time. The default is 1024. A peer that
    /// comes when there are so many is told the reason (*limit*); over TLS, which would need a
    /// handshake for that, its connection is closed. One peer has 256 connections at most, unless a
    /// [quota](super::Quotas::connections) says something else.
    pub fn max_links(mut self, links: usize) -> Self {
        self.max_links = links;
        self
    }

    /// Sets how many connections of this listener may be opening at a time: their handshake, or the
    /// hello of the protocol, has not come yet. The default is 128, the least is 1. The oldest one
    /// makes room for another. So silent connections keep nobody out who says hello at once.
    pub fn max_opening(mut self, connections: usize) -> Self {
        self.max_opening = connections.max(1);
        self
    }

    /// Sets the deadlines of links. That for the hello (5 seconds by default) begins when the
    /// connection is accepted, so it includes the handshake of TLS.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sets how much peers may retain here, over all links that this router has accepted. The
    /// default is 65,536 messages and 64 MiB, of payloads, topics and 128 bytes for each message.
    /// A further message is refused ([`LinkRefusal`](super::LinkRefusal)); the subscriptions that
    /// there are receive it. If several listeners have different limits, those of the peer's
    /// listener apply.
    pub fn max_retained(mut self, messages: usize, bytes: usize) -> Self {
        self.retained = RetainedLimits { messages, bytes };
        self
    }

    /// Lets any host that reaches this one connect over TCP without TLS: nobody is authenticated,
    /// and everybody on the way can read and change what is sent. Without this, a router listens
    /// for TCP without TLS on loopback addresses only.
    pub fn allow_plain_text_from_other_hosts(mut self) -> Self {
        self.plain_text_from_other_hosts = true;
        self
    }

    /// Offers peers compression, as LZ4: payloads of messages, requests and replies are compressed
    /// on a link if both ends offer it, from half a kilobyte on and where it makes them shorter.
    /// The default is none. With the feature `compression`.
    ///
    /// It takes time of the processor, and pays on slow networks, with texts such as JSON or CBOR.
    /// A link on a unix socket or on loopback becomes slower. Whoever can see the lengths of
    /// encrypted frames, and chooses a part of a payload, may guess what else is in that payload:
    /// do not use it for payloads in which secrets are beside texts of others.
    #[cfg(feature = "compression")]
    pub fn compression(mut self) -> Self {
        self.features |= crate::link::wire::COMPRESSION;
        self
    }

    /// Sets the certificates for an address `tls:HOST:PORT`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.tls = Some(config);
        self
    }
}

/// How a router connects: for [`Router::connect_with`](crate::Router::connect_with).
#[derive(Clone, Debug, Default)]
#[must_use = "it is for `Router::connect_with`"]
pub struct ConnectOptions {
    pub(super) rules: Rules,
    pub(super) timeouts: Timeouts,
    /// The features that sessions offer.
    pub(super) features: u64,
    pub(super) retained: RetainedLimits,
    pub(super) tls: Option<TlsConfig>,
}

impl ConnectOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the rules and quotas of the router at the other end. The default allows everything,
    /// with the default [`Quotas`](super::Quotas).
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Sets the deadlines of the link.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Offers the other router compression, as LZ4: payloads of messages, requests and replies are
    /// compressed on a link if both ends offer it, from half a kilobyte on and where it makes them
    /// shorter. The default is none. With the feature `compression`.
    ///
    /// It takes time of the processor, and pays on slow networks, with texts such as JSON or CBOR.
    /// A link on a unix socket or on loopback becomes slower. Whoever can see the lengths of
    /// encrypted frames, and chooses a part of a payload, may guess what else is in that payload:
    /// do not use it for payloads in which secrets are beside texts of others.
    #[cfg(feature = "compression")]
    pub fn compression(mut self) -> Self {
        self.features |= crate::link::wire::COMPRESSION;
        self
    }

    /// Sets how much the other router may retain here. The default is 65,536 messages and 64 MiB,
    /// of payloads, topics and 128 bytes for each message. A further message is refused; the
    /// subscriptions that there are receive it.
    pub fn max_retained(mut self, messages: usize, bytes: usize) -> Self {
        self.retained = RetainedLimits { messages, bytes };
        self
    }

    /// Sets the certificates for an address `tls:HOST:PORT`.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.tls = Some(config);
        self
    }
}
