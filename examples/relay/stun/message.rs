//! Parsing of messages.

use std::fmt;

use super::{FINGERPRINT_MASK, HEADER, Integrity, Key, MAGIC_COOKIE, attribute::Attribute, padded};

/// The number by which a client tells the responses to its requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TransactionId(pub(crate) [u8; 12]);

/// The method of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Method(pub(crate) u16);

impl Method {
    pub(crate) const BINDING: Self = Self(0x001);
    pub(crate) const ALLOCATE: Self = Self(0x003);
    pub(crate) const REFRESH: Self = Self(0x004);
    pub(crate) const SEND: Self = Self(0x006);
    pub(crate) const DATA: Self = Self(0x007);
    pub(crate) const CREATE_PERMISSION: Self = Self(0x008);
    pub(crate) const CHANNEL_BIND: Self = Self(0x009);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

impl Class {
    const ALL: [Self; 4] = [Self::Request, Self::Indication, Self::Success, Self::Error];
}

/// Reads the type of a message: bits of the method, with those of the class in between.
fn read_type(value: u16) -> (Method, Class) {
    let class = (value >> 4 & 1) | (value >> 7 & 2);
    let method = (value & 0xF) | (value >> 1 & 0x70) | (value >> 2 & 0xF80);
    (Method(method), Class::ALL[usize::from(class)])
}

/// Returns the type of a message.
pub(super) fn type_of(Method(method): Method, class: Class) -> u16 {
    let class = match class {
        Class::Request => 0,
        Class::Indication => 0x010,
        Class::Success => 0x100,
        Class::Error => 0x110,
    };
    (method & 0xF) | (method & 0x70) << 1 | (method & 0xF80) << 2 | class
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// They do not begin like a message.
    NotStun,
    /// Their length is not that in the header.
    Length,
    /// An attribute does not fit.
    Attribute,
    /// The fingerprint is wrong, or not the last attribute.
    Fingerprint,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStun => "it does not begin like a STUN message",
            Self::Length => "its length is not that in its header",
            Self::Attribute => "an attribute does not fit",
            Self::Fingerprint => "its fingerprint is wrong",
        })
    }
}

/// A message whose bytes are well-formed. Its integrity is [checked](Self::verify) apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) method: Method,
    pub(crate) class: Class,
    pub(crate) transaction: TransactionId,
    bytes: &'a [u8],
    /// Where the attributes end that count. What follows an integrity is not protected by it, and
    /// is ignored.
    end: usize,
    integrity: Option<Place>,
    integrity_sha256: Option<Place>,
}

/// An attribute that depends on what is before it.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Where it begins.
    at: usize,
    /// The length of its value.
    length: usize,
}

impl<'a> Message<'a> {
    /// Parses a datagram.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, body) = bytes
            .split_first_chunk::<HEADER>()
            .ok_or(Malformed::NotStun)?;
        let (&[type_0, type_1, length_0, length_1], rest) =
            header.split_first_chunk().ok_or(Malformed::NotStun)?;
        let transaction = rest.strip_prefix(&MAGIC_COOKIE).ok_or(Malformed::NotStun)?;
        let transaction = transaction.try_into().map_err(|_| Malformed::NotStun)?;
        if type_0 & 0xC0 != 0 {
            return Err(Malformed::NotStun);
        }
        let length = u16::from_be_bytes([length_0, length_1]);
        if usize::from(length) != body.len() || length % 4 != 0 {
            return Err(Malformed::Length);
        }
        let (method, class) = read_type(u16::from_be_bytes([type_0, type_1]));
        let mut message = Self {
            method,
            class,
            transaction: TransactionId(transaction),
            bytes,
            end: bytes.len(),
            integrity: None,
            integrity_sha256: None,
        };
        message.check_attributes()?;
        Ok(message)
    }

    /// Checks that the attributes fit, and finds those that depend on what is before them.
    fn check_attributes(&mut self) -> Result<(), Malformed> {
        let mut end = None;
        let mut at = HEADER;
        while at < self.bytes.len() {
            let (kind, value, next) = attribute_at(self.bytes, at).ok_or(Malformed::Attribute)?;
            let place = Place {
                at,
                length: value.len(),
            };
            match kind {
                Attribute::FINGERPRINT
                    if next != self.bytes.len() || value != self.fingerprint(at).to_be_bytes() =>
                {
                    return Err(Malformed::Fingerprint);
                }
                // The second integrity may follow the first, but not the other way round.
                Attribute::MESSAGE_INTEGRITY if end.is_none() => {
                    self.integrity = Some(place);
                    end = Some(at);
                }
                Attribute::MESSAGE_INTEGRITY_SHA256 if self.integrity_sha256.is_none() => {
                    self.integrity_sha256 = Some(place);
                    end = end.or(Some(at));
                }
                _ => {}
            }
            at = next;
        }
        self.end = end.unwrap_or(at);
        Ok(())
    }

    fn fingerprint(&self, at: usize) -> u32 {
        crc32fast::hash(&self.bytes[..at]) ^ FINGERPRINT_MASK
    }

    /// Iterates over the attributes that count, without integrity and fingerprint.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (Attribute, &'a [u8])> {
        let bytes = &self.bytes[..self.end];
        let mut at = HEADER;
        std::iter::from_fn(move || {
            let (kind, value, next) = attribute_at(bytes, at)?;
            at = next;
            Some((kind, value))
        })
        .filter(|(kind, _)| *kind != Attribute::FINGERPRINT)
    }

    /// Returns the value of the first attribute of a type.
    pub(crate) fn get(&self, kind: Attribute) -> Option<&'a [u8]> {
        self.attributes()
            .find_map(|(found, value)| (found == kind).then_some(value))
    }

    /// Returns the types that a receiver must understand, and this one does not.
    pub(crate) fn unknown_attributes(&self) -> Vec<Attribute> {
        let mut unknown: Vec<_> = self
            .attributes()
            .map(|(kind, _)| kind)
            .filter(|kind| !kind.is_optional() && !kind.is_known())
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }

    /// Returns the kind of integrity that the message has: the stronger one, if it has two.
    pub(crate) fn integrity(&self) -> Option<Integrity> {
        match (self.integrity_sha256, self.integrity) {
            (Some(_), _) => Some(Integrity::Sha256),
            (None, Some(_)) => Some(Integrity::Sha1),
            (None, None) => None,
        }
    }

    /// Returns whether the message has an integrity of this kind, and who wrote it had the key.
    pub(crate) fn verify(&self, integrity: Integrity, key: &Key) -> bool {
        let place = match integrity {
            Integrity::Sha1 => self.integrity,
            Integrity::Sha256 => self.integrity_sha256,
        };
        let value = |Place { at, length }| {
            let begin = at + 4;
            Some((at, self.bytes.get(begin..begin + length)?))
        };
        place
            .and_then(value)
            .is_some_and(|(at, value)| integrity.verify(key, &self.bytes[..at], value))
    }
}

/// Reads the attribute that begins at a place. Returns its type, its value, and the place of the
/// next one.
fn attribute_at(bytes: &[u8], at: usize) -> Option<(Attribute, &[u8], usize)> {
    let (&[kind_0, kind_1, length_0, length_1], rest) = bytes.get(at..)?.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([length_0, length_1]));
    let value = rest.get(..length)?;
    let next = at + 4 + padded(length);
    let kind = Attribute(u16::from_be_bytes([kind_0, kind_1]));
    (next <= bytes.len()).then_some((kind, value, next))
}
