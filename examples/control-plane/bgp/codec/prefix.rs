//! Address families, and lists of prefixes (RFC 4271, 4.3; RFC 4760, 5).

use std::fmt;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Code, Cursor, Notification};

/// A family of addresses, for unicast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    pub(crate) const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// Returns the family with these numbers, if it is known.
    pub(super) fn of(afi: u16, safi: u8) -> Option<Self> {
        match (afi, safi) {
            (1, 1) => Some(Self::Ipv4),
            (2, 1) => Some(Self::Ipv6),
            _ => None,
        }
    }

    pub(super) fn afi(self) -> u16 {
        match self {
            Self::Ipv4 => 1,
            Self::Ipv6 => 2,
        }
    }

    pub(crate) fn of_prefix(prefix: &IpNet) -> Self {
        match prefix {
            IpNet::V4(_) => Self::Ipv4,
            IpNet::V6(_) => Self::Ipv6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// A set of families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Families {
    pub(crate) ipv4: bool,
    pub(crate) ipv6: bool,
}

impl Families {
    pub(crate) const BOTH: Self = Self {
        ipv4: true,
        ipv6: true,
    };
    pub(crate) const IPV4: Self = Self {
        ipv4: true,
        ipv6: false,
    };

    pub(crate) fn contains(self, family: Family) -> bool {
        match family {
            Family::Ipv4 => self.ipv4,
            Family::Ipv6 => self.ipv6,
        }
    }

    pub(crate) fn insert(&mut self, family: Family) {
        match family {
            Family::Ipv4 => self.ipv4 = true,
            Family::Ipv6 => self.ipv6 = true,
        }
    }

    pub(crate) fn common(self, other: Self) -> Self {
        Self {
            ipv4: self.ipv4 && other.ipv4,
            ipv6: self.ipv6 && other.ipv6,
        }
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Family> {
        let all = Family::ALL.into_iter();
        all.filter(move |&family| self.contains(family))
    }
}

/// Decodes a list of prefixes. Host bits are cleared.
pub(super) fn decode(bytes: &[u8], family: Family) -> Result<Vec<IpNet>, Notification> {
    let mut cursor = Cursor::new(bytes);
    let mut prefixes = Vec::new();
    while !cursor.is_empty() {
        let prefix = decode_one(&mut cursor, family);
        prefixes.push(prefix.ok_or(Code::INVALID_NETWORK)?);
    }
    Ok(prefixes)
}

fn decode_one(cursor: &mut Cursor<'_>, family: Family) -> Option<IpNet> {
    let length = cursor.u8()?;
    let bytes = cursor.take(usize::from(length).div_ceil(8))?;
    let prefix: IpNet = match family {
        Family::Ipv4 => Ipv4Net::new(pad::<4>(bytes)?.into(), length).ok()?.into(),
        Family::Ipv6 => Ipv6Net::new(pad::<16>(bytes)?.into(), length).ok()?.into(),
    };
    Some(prefix.trunc())
}

fn pad<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let mut padded = [0; N];
    padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(padded)
}

/// Encodes a prefix.
pub(super) fn encode(prefix: &IpNet, into: &mut Vec<u8>) {
    into.push(prefix.prefix_len());
    let length = encoded_len(prefix) - 1;
    match prefix {
        IpNet::V4(prefix) => into.extend(&prefix.network().octets()[..length]),
        IpNet::V6(prefix) => into.extend(&prefix.network().octets()[..length]),
    }
}

/// Returns the number of bytes of an encoded prefix.
pub(super) fn encoded_len(prefix: &IpNet) -> usize {
    1 + usize::from(prefix.prefix_len()).div_ceil(8)
}
