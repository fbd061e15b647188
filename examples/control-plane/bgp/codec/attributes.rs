//! Path attributes (RFC 4271, 4.3 and 5), and what is done about faulty ones (RFC 7606).

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use super::{AsPath, Code, Cursor, Family, Format, Notification, prefix, update::address};

pub(super) const ORIGIN: u8 = 1;
pub(super) const AS_PATH: u8 = 2;
pub(super) const NEXT_HOP: u8 = 3;
pub(super) const MED: u8 = 4;
pub(super) const LOCAL_PREF: u8 = 5;
const ATOMIC_AGGREGATE: u8 = 6;
const AGGREGATOR: u8 = 7;
pub(super) const COMMUNITIES: u8 = 8;
pub(super) const MP_REACH: u8 = 14;
pub(super) const MP_UNREACH: u8 = 15;
pub(super) const AS4_PATH: u8 = 17;
const AS4_AGGREGATOR: u8 = 18;

pub(super) const OPTIONAL: u8 = 0x80;
pub(super) const TRANSITIVE: u8 = 0x40;
pub(super) const EXTENDED: u8 = 0x10;

/// How the first system of the path learned of the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Igp,
    Egp,
    Incomplete,
}

/// The attributes of announced routes, except for the next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) origin: Origin,
    pub(crate) path: AsPath,
    pub(crate) med: Option<u32>,
    /// Only from and to neighbours in the same system.
    pub(crate) preference: Option<u32>,
    pub(crate) communities: Vec<u32>,
}

impl Attributes {
    pub(crate) const NO_EXPORT: u32 = 0xFFFF_FF01;
    pub(crate) const NO_ADVERTISE: u32 = 0xFFFF_FF02;
    pub(crate) const NO_EXPORT_SUBCONFED: u32 = 0xFFFF_FF03;
}

/// A faulty attribute that does not end the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The number of the attribute; 0 for the list as such.
    pub(crate) attribute: u8,
    pub(crate) code: Code,
    /// The routes of the message are withdrawn. Otherwise the attribute is ignored.
    pub(crate) withdraws: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            attribute, code, ..
        } = self;
        match attribute {
            0 => code.fmt(f),
            attribute => write!(f, "attribute {attribute}: {code}"),
        }
    }
}

/// The attributes of an UPDATE, decoded.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) origin: Option<Origin>,
    pub(super) path: Option<AsPath>,
    pub(super) real_path: Option<AsPath>,
    pub(super) next_hop: Option<IpAddr>,
    pub(super) med: Option<u32>,
    pub(super) preference: Option<u32>,
    pub(super) communities: Vec<u32>,
    /// The next hop is missing for a family that is unknown.
    pub(super) reachable: Option<(Family, IpAddr, Vec<IpNet>)>,
    pub(super) unreachable: Option<(Family, Vec<IpNet>)>,
    pub(super) faults: Vec<Fault>,
    /// The attributes that are there, also if they are faulty.
    pub(super) seen: [u64; 4],
}

impl Decoded {
    /// Decodes a list of attributes.
    pub(super) fn decode(bytes: &[u8], format: Format) -> Result<Self, Notification> {
        let mut decoded = Self::default();
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            let mut attribute = || {
                let (flags, kind) = (cursor.u8()?, cursor.u8()?);
                let length = match flags & EXTENDED {
                    0 => cursor.u8()?.into(),
                    _ => cursor.u16()?,
                };
                Some((flags, kind, cursor.take(length.into())?))
            };
            let Some((flags, kind, value)) = attribute() else {
                // RFC 7606, 4: the length of the list says where the prefixes are.
                decoded.fault(0, Code::MALFORMED_ATTRIBUTES, true);
                break;
            };
            if !decoded.note(kind) {
                if matches!(kind, MP_REACH | MP_UNREACH) {
                    return Err(Code::MALFORMED_ATTRIBUTES.into());
                }
                // All but the first are ignored: RFC 7606, 3 (g).
                decoded.fault(kind, Code::MALFORMED_ATTRIBUTES, false);
                continue;
            }
            if expected_flags(kind)
                .is_some_and(|flags_of_kind| flags_of_kind != flags & (OPTIONAL | TRANSITIVE))
            {
                decoded.fault(kind, Code::BAD_FLAGS, !is_unimportant(kind));
                // The routes that are to be withdrawn have to be known: RFC 7606, 5.3.
                if !matches!(kind, MP_REACH | MP_UNREACH) {
                    continue;
                }
            }
            decoded.decode_one(flags, kind, value, format)?;
        }
        Ok(decoded)
    }

    fn decode_one(
        &mut self,
        flags: u8,
        kind: u8,
        value: &[u8],
        format: Format,
    ) -> Result<(), Notification> {
        match kind {
            ORIGIN => match value {
                [0] => self.origin = Some(Origin::Igp),
                [1] => self.origin = Some(Origin::Egp),
                [2] => self.origin = Some(Origin::Incomplete),
                [_] => self.fault(kind, Code::INVALID_ORIGIN, true),
                _ => self.fault(kind, Code::BAD_ATTRIBUTE_LENGTH, true),
            },
            AS_PATH => match AsPath::decode(value, format.four_octets) {
                Some(path) => self.path = Some(path),
                None => self.fault(kind, Code::MALFORMED_PATH, true),
            },
            // A neighbour with four octets has no reason to send it: RFC 6793, 3.
            AS4_PATH if format.four_octets => {}
            AS4_PATH => match AsPath::decode(value, true) {
                Some(path) => self.real_path = Some(path.without_confederation()),
                None => self.fault(kind, Code::MALFORMED_PATH, false),
            },
            NEXT_HOP => match value.try_into().map(<[u8; 4]>::into) {
                Ok(address) => self.next_hop = Some(address),
                Err(_) => self.fault(kind, Code::BAD_ATTRIBUTE_LENGTH, true),
            },
            MED => match number(value) {
                Some(med) => self.med = Some(med),
                None => self.fault(kind, Code::BAD_ATTRIBUTE_LENGTH, true),
            },
            // RFC 7606, 7.5.
            LOCAL_PREF if !format.is_internal => {}
            LOCAL_PREF => match number(value) {
                Some(preference) => self.preference = Some(preference),
                None => self.fault(kind, Code::BAD_ATTRIBUTE_LENGTH, true),
            },
            ATOMIC_AGGREGATE if value.is_empty() => {}
            AGGREGATOR if value.len() == if format.four_octets { 8 } else { 6 } => {}
            AS4_AGGREGATOR if value.len() == 8 => {}
            ATOMIC_AGGREGATE | AGGREGATOR | AS4_AGGREGATOR => {
                self.fault(kind, Code::BAD_ATTRIBUTE_LENGTH, false);
            }
            COMMUNITIES => {
                let communities = value.chunks(4).map(number).collect::<Option<Vec<_>>>();
                match communities {
                    Some(communities) if !communities.is_empty() => self.communities = communities,
                    _ => self.fault(kind, Code::BAD_OPTIONAL_ATTRIBUTE, true),
                }
            }
            MP_REACH => self.decode_reachable(value)?,
            MP_UNREACH => {
                let mut cursor = Cursor::new(value);
                let mut family = || Some((cursor.u16()?, cursor.u8()?));
                let (afi, safi) = family().ok_or(Code::BAD_OPTIONAL_ATTRIBUTE)?;
                if let Some(family) = Family::of(afi, safi) {
                    self.unreachable = Some((family, prefix::decode(cursor.rest(), family)?));
                }
            }
            // An attribute that is unknown here.
            _ if flags & OPTIONAL != 0 => {}
            _ => {
                let mut data = vec![flags & !EXTENDED, kind];
                data.extend(u8::try_from(value.len()));
                data.extend(value);
                return Err(Notification::new(Code::UNRECOGNIZED_WELL_KNOWN).data(data));
            }
        }
        Ok(())
    }

    fn decode_reachable(&mut self, value: &[u8]) -> Result<(), Notification> {
        let mut cursor = Cursor::new(value);
        let mut head = || {
            let (afi, safi, length) = (cursor.u16()?, cursor.u8()?, cursor.u8()?);
            let next_hop = cursor.take(length.into())?;
            cursor.u8()?; // reserved
            Some((afi, safi, next_hop))
        };
        let (afi, safi, next_hop) = head().ok_or(Code::BAD_OPTIONAL_ATTRIBUTE)?;
        if let Some(family) = Family::of(afi, safi) {
            let next_hop = address(next_hop, family).ok_or(Code::BAD_OPTIONAL_ATTRIBUTE)?;
            let prefixes = prefix::decode(cursor.rest(), family)?;
            self.reachable = Some((family, next_hop, prefixes));
        }
        Ok(())
    }

    /// Notes that there is an attribute. Returns false if it was there before.
    fn note(&mut self, kind: u8) -> bool {
        let (word, bit) = (usize::from(kind / 64), 1 << (kind % 64));
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        is_new
    }

    pub(super) fn has(&self, kind: u8) -> bool {
        self.seen[usize::from(kind / 64)] & (1 << (kind % 64)) != 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seen == [0; 4] && self.faults.is_empty()
    }

    pub(super) fn fault(&mut self, attribute: u8, code: Code, withdraws: bool) {
        self.faults.push(Fault {
            attribute,
            code,
            withdraws,
        });
    }
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// Returns the optional and the transitive bit that an attribute has to have.
fn expected_flags(kind: u8) -> Option<u8> {
    match kind {
        ORIGIN | AS_PATH | NEXT_HOP | LOCAL_PREF | ATOMIC_AGGREGATE => Some(TRANSITIVE),
        MED | MP_REACH | MP_UNREACH => Some(OPTIONAL),
        AGGREGATOR | COMMUNITIES | AS4_PATH | AS4_AGGREGATOR => Some(OPTIONAL | TRANSITIVE),
        _ => None,
    }
}

/// Returns whether an attribute has no influence on the choice of routes, so that it is ignored if
/// it is faulty.
fn is_unimportant(kind: u8) -> bool {
    matches!(
        kind,
        ATOMIC_AGGREGATE | AGGREGATOR | AS4_PATH | AS4_AGGREGATOR
    )
}
