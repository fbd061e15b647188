//! The attributes of messages: their types, and the format of the values that are not just bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{MAGIC_COOKIE, TransactionId};

/// The type of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Attribute(pub(crate) u16);

impl Attribute {
    pub(crate) const USERNAME: Self = Self(0x0006);
    pub(crate) const MESSAGE_INTEGRITY: Self = Self(0x0008);
    pub(crate) const ERROR_CODE: Self = Self(0x0009);
    pub(crate) const UNKNOWN_ATTRIBUTES: Self = Self(0x000A);
    pub(crate) const CHANNEL_NUMBER: Self = Self(0x000C);
    pub(crate) const LIFETIME: Self = Self(0x000D);
    pub(crate) const XOR_PEER_ADDRESS: Self = Self(0x0012);
    pub(crate) const DATA: Self = Self(0x0013);
    pub(crate) const REALM: Self = Self(0x0014);
    pub(crate) const NONCE: Self = Self(0x0015);
    pub(crate) const XOR_RELAYED_ADDRESS: Self = Self(0x0016);
    pub(crate) const REQUESTED_ADDRESS_FAMILY: Self = Self(0x0017);
    pub(crate) const EVEN_PORT: Self = Self(0x0018);
    pub(crate) const REQUESTED_TRANSPORT: Self = Self(0x0019);
    pub(crate) const MESSAGE_INTEGRITY_SHA256: Self = Self(0x001C);
    pub(crate) const PASSWORD_ALGORITHM: Self = Self(0x001D);
    pub(crate) const XOR_MAPPED_ADDRESS: Self = Self(0x0020);
    pub(crate) const RESERVATION_TOKEN: Self = Self(0x0022);
    /// Of ICE: it says nothing to a server.
    pub(crate) const PRIORITY: Self = Self(0x0024);
    pub(crate) const PASSWORD_ALGORITHMS: Self = Self(0x8002);
    pub(crate) const FINGERPRINT: Self = Self(0x8028);

    /// Returns whether a receiver that does not know the attribute may ignore it.
    pub(crate) fn is_optional(self) -> bool {
        self.0 >= 0x8000
    }

    /// Returns whether this implementation knows the attribute.
    pub(crate) fn is_known(self) -> bool {
        const KNOWN: [Attribute; 21] = [
            Attribute::USERNAME,
            Attribute::MESSAGE_INTEGRITY,
            Attribute::ERROR_CODE,
            Attribute::UNKNOWN_ATTRIBUTES,
            Attribute::CHANNEL_NUMBER,
            Attribute::LIFETIME,
            Attribute::XOR_PEER_ADDRESS,
            Attribute::DATA,
            Attribute::REALM,
            Attribute::NONCE,
            Attribute::XOR_RELAYED_ADDRESS,
            Attribute::REQUESTED_ADDRESS_FAMILY,
            Attribute::EVEN_PORT,
            Attribute::REQUESTED_TRANSPORT,
            Attribute::MESSAGE_INTEGRITY_SHA256,
            Attribute::PASSWORD_ALGORITHM,
            Attribute::XOR_MAPPED_ADDRESS,
            Attribute::RESERVATION_TOKEN,
            Attribute::PRIORITY,
            Attribute::PASSWORD_ALGORITHMS,
            Attribute::FINGERPRINT,
        ];
        KNOWN.contains(&self)
    }
}

const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// Reads the value of a `XOR-…-ADDRESS`.
pub(crate) fn read_address(value: &[u8], transaction: &TransactionId) -> Option<SocketAddr> {
    let (&[_, family, high, low], address) = value.split_first_chunk()?;
    let port = u16::from_be_bytes([high ^ MAGIC_COOKIE[0], low ^ MAGIC_COOKIE[1]]);
    let ip = match family {
        IPV4 => {
            let mut octets: [u8; 4] = address.try_into().ok()?;
            mask(&mut octets, transaction);
            IpAddr::from(octets)
        }
        IPV6 => {
            let mut octets: [u8; 16] = address.try_into().ok()?;
            mask(&mut octets, transaction);
            IpAddr::from(octets)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Appends the value of a `XOR-…-ADDRESS`.
pub(super) fn write_address(out: &mut Vec<u8>, address: SocketAddr, transaction: &TransactionId) {
    let family = if address.is_ipv4() { IPV4 } else { IPV6 };
    let [high, low] = address.port().to_be_bytes();
    out.extend([0, family, high ^ MAGIC_COOKIE[0], low ^ MAGIC_COOKIE[1]]);
    match address.ip() {
        IpAddr::V4(ip) => {
            let mut octets = Ipv4Addr::octets(&ip);
            mask(&mut octets, transaction);
            out.extend(octets);
        }
        IpAddr::V6(ip) => {
            let mut octets = Ipv6Addr::octets(&ip);
            mask(&mut octets, transaction);
            out.extend(octets);
        }
    }
}

/// Combines the octets of an address with the cookie and the transaction.
fn mask(octets: &mut [u8], transaction: &TransactionId) {
    let mask = MAGIC_COOKIE.iter().chain(&transaction.0);
    for (octet, mask) in octets.iter_mut().zip(mask) {
        *octet ^= mask;
    }
}

/// The family of an address that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// Returns the family of an address.
    pub(crate) fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Reads the value of `REQUESTED-ADDRESS-FAMILY`. `None` for a family that does not exist.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        match value {
            [IPV4, ..] => Some(Self::V4),
            [IPV6, ..] => Some(Self::V6),
            _ => None,
        }
    }
}

/// Reads the value of an attribute that is a number of four bytes.
pub(crate) fn read_u32(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}
