//! OPEN: what a neighbour is and what it can do (RFC 4271, 4.2; capabilities: RFC 5492).

use std::net::Ipv4Addr;

use super::{Code, Cursor, Families, Family, Notification};

const VERSION: u8 = 4;
/// In place of a system that has no room in two octets (RFC 6793).
pub(super) const AS_TRANS: u16 = 23_456;

const CAPABILITIES: u8 = 2;
const MULTIPROTOCOL: u8 = 1;
const ROUTE_REFRESH: u8 = 2;
const FOUR_OCTETS: u8 = 65;

/// The first message of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    /// The system of the sender: of the capability if there is one.
    pub(crate) system: u32,
    /// In seconds; 0 or at least 3.
    pub(crate) hold_time: u16,
    /// Not zero.
    pub(crate) identifier: Ipv4Addr,
    pub(crate) capabilities: Capabilities,
}

/// The capabilities of the sender of an OPEN. Unknown ones are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// Systems with four octets.
    pub(crate) four_octets: bool,
    pub(crate) route_refresh: bool,
    /// The families that it names. `None`: it names none at all, which means IPv4.
    pub(crate) families: Option<Families>,
}

impl Capabilities {
    pub(crate) fn families(self) -> Families {
        self.families.unwrap_or(Families::IPV4)
    }
}

impl Open {
    pub(super) fn decode(body: &[u8]) -> Result<Self, Notification> {
        let mut cursor = Cursor::new(body);
        let version = cursor.u8();
        if version.is_some_and(|version| version != VERSION) {
            let supported = u16::from(VERSION).to_be_bytes();
            return Err(Notification::new(Code::UNSUPPORTED_VERSION).data(supported));
        }
        let mut fixed = || Some((cursor.u16()?, cursor.u16()?, cursor.array::<4>()?));
        let fixed = version.and_then(|_| fixed());
        let (Some((system, hold_time, identifier)), Some(length)) = (fixed, cursor.u8()) else {
            return Err(super::bad_length(super::HEADER + body.len()));
        };
        let (parameters, is_long) = parameters(cursor, length).ok_or(Code::MALFORMED_OPEN)?;
        if matches!(hold_time, 1 | 2) {
            return Err(Code::UNACCEPTABLE_HOLD_TIME.into());
        }
        let identifier = Ipv4Addr::from(identifier);
        if identifier.is_unspecified() {
            return Err(Code::BAD_IDENTIFIER.into());
        }
        let mut open = Self {
            system: system.into(),
            hold_time,
            identifier,
            capabilities: Capabilities::default(),
        };
        open.decode_parameters(parameters, is_long)?;
        if open.system == 0 {
            return Err(Code::BAD_SYSTEM.into());
        }
        Ok(open)
    }

    fn decode_parameters(&mut self, bytes: &[u8], is_long: bool) -> Result<(), Notification> {
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            let mut parameter = || {
                let kind = cursor.u8()?;
                let length = if is_long {
                    cursor.u16()?
                } else {
                    cursor.u8()?.into()
                };
                Some((kind, cursor.take(length.into())?))
            };
            match parameter().ok_or(Code::MALFORMED_OPEN)? {
                (CAPABILITIES, list) => self.decode_capabilities(list)?,
                _ => return Err(Code::UNSUPPORTED_PARAMETER.into()),
            }
        }
        Ok(())
    }

    fn decode_capabilities(&mut self, bytes: &[u8]) -> Result<(), Notification> {
        let mut cursor = Cursor::new(bytes);
        while !cursor.is_empty() {
            let mut capability = || {
                let kind = cursor.u8()?;
                let length = cursor.u8()?;
                Some((kind, cursor.take(length.into())?))
            };
            let (kind, value) = capability().ok_or(Code::MALFORMED_OPEN)?;
            match (kind, value) {
                (MULTIPROTOCOL, &[high, low, _, safi]) => {
                    let families = self.capabilities.families.get_or_insert_default();
                    if let Some(family) = Family::of(u16::from_be_bytes([high, low]), safi) {
                        families.insert(family);
                    }
                }
                (ROUTE_REFRESH, []) => self.capabilities.route_refresh = true,
                (FOUR_OCTETS, &[a, b, c, d]) => {
                    self.system = u32::from_be_bytes([a, b, c, d]);
                    self.capabilities.four_octets = true;
                }
                (MULTIPROTOCOL | ROUTE_REFRESH | FOUR_OCTETS, _) => {
                    return Err(Code::MALFORMED_OPEN.into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Appends the message without its header.
    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        let Capabilities {
            four_octets,
            route_refresh,
            families,
        } = self.capabilities;
        let mut list = Vec::new();
        for family in families.into_iter().flat_map(Families::iter) {
            list.extend(multiprotocol(family));
        }
        if route_refresh {
            list.extend([ROUTE_REFRESH, 0]);
        }
        if four_octets {
            list.extend([FOUR_OCTETS, 4]);
            list.extend(self.system.to_be_bytes());
        }
        into.push(VERSION);
        into.extend(two_octets(self.system).to_be_bytes());
        into.extend(self.hold_time.to_be_bytes());
        into.extend(self.identifier.octets());
        // Less than 32 bytes.
        #[allow(clippy::cast_possible_truncation)]
        let length = list.len() as u8;
        match length {
            0 => into.push(0),
            _ => into.extend([length + 2, CAPABILITIES, length]),
        }
        into.extend(list);
    }
}

/// Returns the capability for a family, which is also the data of a notification that asks for it.
pub(crate) fn multiprotocol(family: Family) -> [u8; 6] {
    let [high, low] = family.afi().to_be_bytes();
    [MULTIPROTOCOL, 4, high, low, 0, 1]
}

/// Returns a system as two octets.
pub(super) fn two_octets(system: u32) -> u16 {
    u16::try_from(system).unwrap_or(AS_TRANS)
}

/// Finds the optional parameters, and whether they are long (RFC 9072). `None` if their length is
/// not that of the rest.
fn parameters(mut cursor: Cursor<'_>, length: u8) -> Option<(&[u8], bool)> {
    let rest = cursor.rest();
    if length != 0 && rest.first() == Some(&255) {
        cursor.u8()?;
        let long = usize::from(cursor.u16()?);
        return (long == cursor.rest().len()).then_some((cursor.rest(), true));
    }
    (usize::from(length) == rest.len()).then_some((rest, false))
}
