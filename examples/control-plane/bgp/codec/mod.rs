//! The messages of BGP-4 as values and as bytes (RFC 4271, 4), without input and output.
//!
//! ```text
//!   bytes of a stream ──▶ Decoder ──▶ Message            a Notification, if the session has to end
//!   Message ──▶ encode ──▶ bytes                         announcements, withdrawals: as many messages as it takes
//! ```
//!
//! Invariants: no input panics; a decoded message is valid on its own (what depends on the peer,
//! such as its system, is checked by the session); a faulty attribute of an UPDATE ends the session
//! only where RFC 7606 says so, and otherwise withdraws the routes of the message.
//!
//! Supported: 4-octet systems (RFC 6793), IPv4 and IPv6 unicast (RFC 4760), route refresh (RFC
//! 2918), long optional parameters (RFC 9072).

mod as_path;
mod attributes;
mod cursor;
mod decoder;
mod encode;
mod notification;
mod open;
mod prefix;
mod update;

pub(crate) use self::{
    as_path::{AsPath, Segment, SegmentKind},
    attributes::{Attributes, Fault, Origin},
    decoder::Decoder,
    encode::{TooLong, announcements, end_of_rib, withdrawals},
    notification::{Code, Notification},
    open::{Capabilities, Open, multiprotocol},
    prefix::{Families, Family},
    update::{Reachable, Update},
};

use self::cursor::Cursor;

/// The largest message, in bytes, and the smallest: a header.
pub(crate) const MAX_MESSAGE: usize = 4_096;
pub(crate) const HEADER: usize = 19;

const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;
const KEEPALIVE: u8 = 4;
const ROUTE_REFRESH: u8 = 5;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Open(Open),
    Update(Update),
    Notification(Notification),
    Keepalive,
    /// Requests all routes of a family again. `None`: a family that is unknown here.
    RouteRefresh(Option<Family>),
}

/// The agreement of two neighbours, as far as it changes the format of an UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    /// Systems have four octets in paths.
    pub(crate) four_octets: bool,
    /// Both are in the same system, so routes have a local preference.
    pub(crate) is_internal: bool,
}

impl Message {
    /// Decodes a message with its header, whose length is that of the bytes.
    ///
    /// # Errors
    /// Returns the notification with which the session has to end.
    pub(crate) fn decode(bytes: &[u8], format: Format) -> Result<Self, Notification> {
        let Some((header, body)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(bad_length(bytes.len()));
        };
        let kind = header[HEADER - 1];
        match kind {
            OPEN => Open::decode(body).map(Self::Open),
            UPDATE => Update::decode(body, format).map(Self::Update),
            NOTIFICATION => match body {
                [code, subcode, data @ ..] => Ok(Self::Notification(Notification {
                    code: Code(*code, *subcode),
                    data: data.to_vec(),
                })),
                _ => Err(bad_length(bytes.len())),
            },
            KEEPALIVE if body.is_empty() => Ok(Self::Keepalive),
            KEEPALIVE => Err(bad_length(bytes.len())),
            ROUTE_REFRESH => match *body {
                [high, low, _, safi] => {
                    let family = Family::of(u16::from_be_bytes([high, low]), safi);
                    Ok(Self::RouteRefresh(family))
                }
                // RFC 7313, 5.
                _ => Err(Notification::new(Code::BAD_REFRESH_LENGTH).data(bytes)),
            },
            kind => Err(Notification::new(Code::BAD_TYPE).data([kind])),
        }
    }
}

/// Makes the notification for a message with this length.
fn bad_length(length: usize) -> Notification {
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    Notification::new(Code::BAD_LENGTH).data(length.to_be_bytes())
}
