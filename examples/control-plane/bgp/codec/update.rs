//! UPDATE: routes that are withdrawn and announced (RFC 4271, 4.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{
    Attributes, Code, Cursor, Family, Fault, Format, Notification,
    attributes::{AS_PATH, Decoded, MP_REACH, NEXT_HOP, ORIGIN},
    prefix,
};

/// Prefixes that are reachable by a next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reachable {
    pub(crate) next_hop: IpAddr,
    pub(crate) prefixes: Vec<IpNet>,
}

/// Changes of routes. Withdrawals come first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Update {
    /// Also the routes of a message that is treated like a withdrawal (RFC 7606).
    pub(crate) withdrawn: Vec<IpNet>,
    /// At most one of each family.
    pub(crate) reachable: Vec<Reachable>,
    /// The attributes of what is reachable, if anything is.
    pub(crate) attributes: Option<Attributes>,
    pub(crate) faults: Vec<Fault>,
    /// The neighbour has announced all routes of this family (RFC 4724, 2).
    pub(crate) end_of_rib: Option<Family>,
}

impl Update {
    pub(super) fn decode(body: &[u8], format: Format) -> Result<Self, Notification> {
        let mut cursor = Cursor::new(body);
        let mut part = || {
            let length = cursor.u16()?;
            cursor.take(length.into())
        };
        let (Some(withdrawn), Some(attributes)) = (part(), part()) else {
            return Err(Code::MALFORMED_ATTRIBUTES.into());
        };
        let prefixes = prefix::decode(cursor.rest(), Family::Ipv4)?;
        let withdrawn = prefix::decode(withdrawn, Family::Ipv4)?;
        let decoded = Decoded::decode(attributes, format)?;
        Ok(Self::new(withdrawn, prefixes, decoded))
    }

    fn new(withdrawn: Vec<IpNet>, prefixes: Vec<IpNet>, mut decoded: Decoded) -> Self {
        let mut update = Self {
            withdrawn,
            ..Self::default()
        };
        if decoded.is_empty() && update.withdrawn.is_empty() && prefixes.is_empty() {
            update.end_of_rib = Some(Family::Ipv4);
            return update;
        }
        let mut reachable = decoded.reachable.take();
        if let Some((family, prefixes)) = decoded.unreachable.take() {
            let is_alone = decoded
                .seen
                .iter()
                .map(|word| word.count_ones())
                .sum::<u32>()
                == 1;
            if prefixes.is_empty() && is_alone && decoded.faults.is_empty() {
                update.end_of_rib = Some(family);
            }
            update.withdrawn.extend(prefixes);
        }
        // An attribute is mandatory if anything is announced.
        let announces = !prefixes.is_empty() || decoded.has(MP_REACH);
        if announces {
            let mandatory = [
                (ORIGIN, true),
                (AS_PATH, true),
                (NEXT_HOP, !prefixes.is_empty()),
            ];
            for (kind, is_mandatory) in mandatory {
                if is_mandatory && !decoded.has(kind) {
                    decoded.fault(kind, Code::MISSING_WELL_KNOWN, true);
                }
            }
        }
        let mut groups = Vec::new();
        if !prefixes.is_empty() {
            let next_hop = decoded.next_hop.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
            groups.push(Reachable { next_hop, prefixes });
        }
        if let Some((_, next_hop, prefixes)) = reachable.take() {
            groups.push(Reachable { next_hop, prefixes });
        }
        for group in &groups {
            let is_known = decoded.faults.iter().any(|fault| fault.withdraws);
            if !is_host(group.next_hop) && !is_known {
                decoded.fault(NEXT_HOP, Code::INVALID_NEXT_HOP, true);
            }
        }
        let Decoded {
            origin,
            path,
            real_path,
            med,
            preference,
            communities,
            faults,
            ..
        } = decoded;
        let is_faulty = faults.iter().any(|fault| fault.withdraws);
        update.faults = faults;
        match (origin, path) {
            (Some(origin), Some(path)) if !is_faulty && !groups.is_empty() => {
                update.attributes = Some(Attributes {
                    origin,
                    path: match real_path {
                        Some(real) => path.merge(&real),
                        None => path,
                    },
                    med,
                    preference,
                    communities,
                });
                update.reachable = groups;
            }
            _ => {
                let prefixes = groups.into_iter().flat_map(|group| group.prefixes);
                update.withdrawn.extend(prefixes);
            }
        }
        update
    }
}

/// Decodes a next hop. One of IPv6 may be followed by a link-local address, which is ignored.
pub(super) fn address(bytes: &[u8], family: Family) -> Option<IpAddr> {
    match (family, bytes.len()) {
        (Family::Ipv4, 4) => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        (Family::Ipv6, 16 | 32) => <[u8; 16]>::try_from(&bytes[..16]).ok().map(IpAddr::from),
        _ => None,
    }
}

/// Returns whether an address can be that of a host.
fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
        }
        IpAddr::V6(address) => address != Ipv6Addr::UNSPECIFIED && !address.is_multicast(),
    }
}
