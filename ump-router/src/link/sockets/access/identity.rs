//! The peer at the other end of a link, as the socket or its certificate says.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::text::RulesError;

/// The peer of a link, as the socket or its certificate says: nothing that the peer claims itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Identity {
    /// A process of this machine, by its unix socket: the user, the group and the process that
    /// connected. On Linux only; elsewhere the peers of unix sockets are anonymous.
    Unix {
        /// The user.
        uid: u32,
        /// Its primary group. Others that it is in do not count.
        gid: u32,
        /// The process. 0 if it is in a namespace that this process does not see.
        pid: i32,
    },
    /// The peer has a valid certificate.
    Tls {
        /// The subject alternative names of the certificate, in order: DNS names in lower case, and
        /// URIs.
        names: Vec<String>,
    },
    /// The peer is not known: TCP without TLS.
    Anonymous {
        /// The address of the peer.
        address: Option<IpAddr>,
    },
}

/// Which peers a rule or a quota is for. It is written `anyone`, `anonymous`, `uid:1000`,
/// `gid:100` or `tls:NAME`.
///
/// ```
/// use ump_router::link::sockets::Who;
///
/// assert_eq!("uid:1000".parse::<Who>()?, Who::Uid(1000));
/// assert_eq!(Who::TlsName("meter.example".into()).to_string(), "tls:meter.example");
/// # Ok::<(), ump_router::link::sockets::RulesError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Who {
    /// Every peer.
    Anyone,
    /// Peers that are not known.
    Anonymous,
    /// The processes of a user, by unix sockets.
    Uid(u32),
    /// The processes of a group, by unix sockets.
    Gid(u32),
    /// Peers whose certificate has this subject alternative name. Upper and lower case are the same
    /// in a DNS name, and not in a URI. A wildcard in a name has no meaning here.
    TlsName(String),
}

impl Who {
    /// Returns whether a peer is one of these.
    #[must_use]
    pub fn matches(&self, identity: &Identity) -> bool {
        match (self, identity) {
            (Self::Anyone, _) | (Self::Anonymous, Identity::Anonymous { .. }) => true,
            (Self::Uid(own), Identity::Unix { uid, .. }) => own == uid,
            (Self::Gid(own), Identity::Unix { gid, .. }) => own == gid,
            (Self::TlsName(own), Identity::Tls { names }) if own.contains(':') => {
                names.contains(own)
            }
            (Self::TlsName(own), Identity::Tls { names }) => {
                names.iter().any(|name| name.eq_ignore_ascii_case(own))
            }
            _ => false,
        }
    }
}

/// What the connections of one peer have in common: its quotas are for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in super::super) enum Owner {
    Uid(u32),
    Tls(Vec<String>),
    Anonymous(Option<IpAddr>),
}

impl Identity {
    pub(in super::super) fn owner(&self) -> Owner {
        match self {
            Self::Unix { uid, .. } => Owner::Uid(*uid),
            Self::Tls { names } => Owner::Tls(names.clone()),
            Self::Anonymous { address } => Owner::Anonymous(address.map(network)),
        }
    }
}

/// Returns what the addresses of one peer have in common, as it may choose among them: the loopback
/// addresses, or the first 64 bits of version 6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        _ if address.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { uid, gid, pid } => write!(f, "uid {uid} (gid {gid}, pid {pid})"),
            Self::Tls { names } => write!(f, "the certificate of {}", names.join(", ")),
            Self::Anonymous {
                address: Some(address),
            } => write!(f, "an anonymous peer at {address}"),
            Self::Anonymous { address: None } => f.write_str("an anonymous peer"),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Anonymous => f.write_str("anonymous"),
            Self::Uid(uid) => write!(f, "uid:{uid}"),
            Self::Gid(gid) => write!(f, "gid:{gid}"),
            Self::TlsName(name) => write!(f, "tls:{name}"),
        }
    }
}

impl FromStr for Who {
    type Err = RulesError;

    fn from_str(text: &str) -> Result<Self, RulesError> {
        let invalid = || RulesError::Who(text.to_owned());
        match text.split_once(':') {
            None if text == "anyone" => Ok(Self::Anyone),
            None if text == "anonymous" => Ok(Self::Anonymous),
            Some(("uid", uid)) => uid.parse().map(Self::Uid).map_err(|_| invalid()),
            Some(("gid", gid)) => gid.parse().map(Self::Gid).map_err(|_| invalid()),
            Some(("tls", name)) if !name.is_empty() => Ok(Self::TlsName(name.to_owned())),
            _ => Err(invalid()),
        }
    }
}
