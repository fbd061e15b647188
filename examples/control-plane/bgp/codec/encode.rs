//! Encodes messages.

use std::net::IpAddr;

use ipnet::IpNet;
use thiserror::Error;

use super::{
    Attributes, Family, Format, HEADER, KEEPALIVE, MAX_MESSAGE, Message, NOTIFICATION, OPEN,
    Origin, ROUTE_REFRESH, UPDATE,
    attributes::{
        AS_PATH, AS4_PATH, COMMUNITIES, EXTENDED, LOCAL_PREF, MED, MP_REACH, MP_UNREACH, NEXT_HOP,
        OPTIONAL, ORIGIN, TRANSITIVE,
    },
    prefix,
};

/// The attributes of a route have no room in a message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the attributes do not fit into a message")]
pub(crate) struct TooLong;

/// The bytes of an encoded prefix at most.
const LONGEST_PREFIX: usize = 17;

impl Message {
    /// Encodes a message other than UPDATE, for which there are [`announcements`] and
    /// [`withdrawals`].
    ///
    /// # Panics
    /// Panics if it is an UPDATE.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Open(open) => message(OPEN, |body| open.encode(body)),
            Self::Notification(notification) => message(NOTIFICATION, |body| {
                body.extend([notification.code.0, notification.code.1]);
                body.extend(&notification.data);
            }),
            Self::Keepalive => message(KEEPALIVE, |_| {}),
            Self::RouteRefresh(family) => message(ROUTE_REFRESH, |body| {
                let family = family.unwrap_or(Family::Ipv4);
                body.extend(family.afi().to_be_bytes());
                body.extend([0, 1]);
            }),
            Self::Update(_) => panic!("an UPDATE is encoded by its parts"),
        }
    }
}

/// Encodes messages that announce prefixes, which are all of one family.
///
/// # Errors
/// Returns an error if the attributes have no room in a message.
pub(crate) fn announcements(
    attributes: &Attributes,
    next_hop: IpAddr,
    prefixes: &[IpNet],
    format: Format,
) -> Result<Vec<Vec<u8>>, TooLong> {
    let mut common = Vec::new();
    encode_attributes(attributes, format, &mut common);
    let mut reachable = Vec::new();
    match next_hop {
        IpAddr::V4(next_hop) => attribute(&mut common, TRANSITIVE, NEXT_HOP, &next_hop.octets()),
        IpAddr::V6(next_hop) => {
            reachable.extend(Family::Ipv6.afi().to_be_bytes());
            reachable.extend([1, 16]);
            reachable.extend(next_hop.octets());
            reachable.push(0);
        }
    }
    // Two lengths, and the header of an attribute.
    let taken = HEADER + 4 + common.len() + 4 + reachable.len();
    let room = MAX_MESSAGE.checked_sub(taken).ok_or(TooLong)?;
    if room < LONGEST_PREFIX {
        return Err(TooLong);
    }
    let messages = chunks(prefixes, room).map(|prefixes| {
        message(UPDATE, |body| {
            body.extend([0, 0]);
            let mut attributes = common.clone();
            let mut list = Vec::new();
            for prefix in prefixes {
                prefix::encode(prefix, &mut list);
            }
            if next_hop.is_ipv6() {
                let mut value = reachable.clone();
                value.append(&mut list);
                attribute(&mut attributes, OPTIONAL, MP_REACH, &value);
            }
            body.extend(length(&attributes));
            body.extend(attributes);
            body.extend(list);
        })
    });
    Ok(messages.collect())
}

/// Encodes messages that withdraw prefixes, which are all of one family.
pub(crate) fn withdrawals(prefixes: &[IpNet]) -> Vec<Vec<u8>> {
    let room = MAX_MESSAGE - HEADER - 4 - 4 - 3;
    let messages = chunks(prefixes, room).map(|prefixes| {
        let mut list = Vec::new();
        for prefix in prefixes {
            prefix::encode(prefix, &mut list);
        }
        withdrawal(Family::of_prefix(&prefixes[0]), &list)
    });
    messages.collect()
}

/// Encodes the message that ends the routes of a family (RFC 4724, 2).
pub(crate) fn end_of_rib(family: Family) -> Vec<u8> {
    withdrawal(family, &[])
}

fn withdrawal(family: Family, list: &[u8]) -> Vec<u8> {
    message(UPDATE, |body| match family {
        Family::Ipv4 => {
            body.extend(length(list));
            body.extend(list);
            body.extend([0, 0]);
        }
        Family::Ipv6 => {
            let mut value = family.afi().to_be_bytes().to_vec();
            value.push(1);
            value.extend(list);
            let mut attributes = Vec::new();
            attribute(&mut attributes, OPTIONAL, MP_UNREACH, &value);
            body.extend([0, 0]);
            body.extend(length(&attributes));
            body.extend(attributes);
        }
    })
}

/// Encodes the attributes that do not depend on the family.
fn encode_attributes(attributes: &Attributes, format: Format, into: &mut Vec<u8>) {
    let Attributes {
        origin,
        path,
        med,
        preference,
        communities,
    } = attributes;
    let origin = match origin {
        Origin::Igp => 0,
        Origin::Egp => 1,
        Origin::Incomplete => 2,
    };
    attribute(into, TRANSITIVE, ORIGIN, &[origin]);
    let mut systems = Vec::new();
    path.encode(format.four_octets, &mut systems);
    attribute(into, TRANSITIVE, AS_PATH, &systems);
    if let Some(med) = med {
        attribute(into, OPTIONAL, MED, &med.to_be_bytes());
    }
    if let (Some(preference), true) = (preference, format.is_internal) {
        attribute(into, TRANSITIVE, LOCAL_PREF, &preference.to_be_bytes());
    }
    if !communities.is_empty() {
        let value: Vec<u8> = communities.iter().flat_map(|it| it.to_be_bytes()).collect();
        attribute(into, OPTIONAL | TRANSITIVE, COMMUNITIES, &value);
    }
    if !format.four_octets && path.needs_four_octets() {
        let mut systems = Vec::new();
        path.without_confederation().encode(true, &mut systems);
        attribute(into, OPTIONAL | TRANSITIVE, AS4_PATH, &systems);
    }
}

fn attribute(into: &mut Vec<u8>, flags: u8, kind: u8, value: &[u8]) {
    if let Ok(length) = u8::try_from(value.len()) {
        into.extend([flags, kind, length]);
    } else {
        into.extend([flags | EXTENDED, kind]);
        into.extend(length(value));
    }
    into.extend(value);
}

/// Returns the length of a part. A part that is too long makes the message too long, which is
/// noticed before.
fn length(part: &[u8]) -> [u8; 2] {
    u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes()
}

fn message(kind: u8, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = vec![0xFF; 16];
    bytes.extend([0, 0, kind]);
    body(&mut bytes);
    debug_assert!(bytes.len() <= MAX_MESSAGE, "{} bytes", bytes.len());
    let length = length(&bytes);
    bytes[16..18].copy_from_slice(&length);
    bytes
}

/// Cuts a list into parts that take at most `room` bytes each. No prefix takes more.
fn chunks(mut prefixes: &[IpNet], room: usize) -> impl Iterator<Item = &[IpNet]> {
    std::iter::from_fn(move || {
        let mut left = room;
        let fits = |prefix: &&IpNet| {
            let length = prefix::encoded_len(prefix);
            let fits = length <= left;
            left = left.saturating_sub(length);
            fits
        };
        let count = prefixes.iter().take_while(fits).count();
        let (part, rest) = prefixes.split_at(count);
        prefixes = rest;
        (!part.is_empty()).then_some(part)
    })
}
