//! Parses route updates: what `bgpdump -m` prints of updates and tables, and two other kinds of
//! lines.
//!
//! ```text
//! BGP4MP|TIME|STATE|NEIGHBOUR|AS|OLD|NEW                    session state: 1 idle, 2 to 5 connecting, 6 established
//! BGP4MP|TIME|A|NEIGHBOUR|AS|PREFIX|PATH|ORIGIN|NEXT HOP|PREFERENCE|MED|…   announces a route; the rest is ignored
//! BGP4MP|TIME|W|NEIGHBOUR|AS|PREFIX                         withdraws a route
//! TABLE_DUMP2|TIME|B|NEIGHBOUR|AS|PREFIX|PATH|…             a route in a table: treated like an announcement
//! KEEPALIVE|TIME|NEIGHBOUR|AS                               the neighbour is alive
//! LOOKUP|TIME|ADDRESS                                       finds the route of an address
//! ```
//!
//! An AS is a number, plain or with a dot (65536 is 1.0). PATH is that of [`AsPath`], and may be
//! empty.
//!
//! TIME is in seconds since 1970, with or without decimals, and does not decrease. Blank lines and
//! lines that begin with `#` are ignored.

use std::{
    net::IpAddr,
    str::{FromStr, Split},
    time::Duration,
};

use ipnet::IpNet;
use thiserror::Error;

use crate::path::{self, AsPath, Attributes, Origin, Scope};

#[derive(Debug)]
pub(crate) struct Line {
    /// Since 1970.
    pub(crate) at: Duration,
    pub(crate) event: Event,
}

#[derive(Debug)]
pub(crate) enum Event {
    Message(Peer, Message),
    Lookup(IpAddr),
}

/// The sender of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) system: u32,
}

#[derive(Debug)]
pub(crate) enum Message {
    /// The session is in this state.
    SessionState(SessionState),
    Announce(IpNet, Attributes),
    Withdraw(IpNet),
    Keepalive,
}

/// The state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionState {
    Idle,
    Connecting,
    Established,
}

/// The fault of a line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum LineError {
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("it has more than {limit} bytes")]
    TooLong { limit: usize },
    #[error("unknown kind {0:?}")]
    UnknownKind(String),
    #[error("the {0} is missing")]
    Missing(&'static str),
    #[error("{text:?} is not a valid {field}")]
    Bad { field: &'static str, text: String },
    #[error("{0} has host bits: did you mean {net}?", net = .0.trunc())]
    HostBits(IpNet),
}

impl FromStr for Line {
    type Err = LineError;

    fn from_str(text: &str) -> Result<Self, LineError> {
        let mut fields = Fields(text.split('|'));
        let kind = fields.next("kind")?;
        let time = fields.next("time")?;
        let at = seconds(time).ok_or_else(|| bad("time", time))?;
        let event = match kind {
            "BGP4MP" | "BGP4MP_ET" => fields.message()?,
            "TABLE_DUMP" | "TABLE_DUMP2" => fields.table_entry()?,
            "KEEPALIVE" => Event::Message(fields.peer()?, Message::Keepalive),
            "LOOKUP" => Event::Lookup(fields.parse("address")?),
            other => return Err(LineError::UnknownKind(other.to_owned())),
        };
        Ok(Self { at, event })
    }
}

struct Fields<'a>(Split<'a, char>);

impl<'a> Fields<'a> {
    fn next(&mut self, field: &'static str) -> Result<&'a str, LineError> {
        self.0
            .next()
            .filter(|text| !text.is_empty())
            .ok_or(LineError::Missing(field))
    }

    fn parse<T: FromStr>(&mut self, field: &'static str) -> Result<T, LineError> {
        let text = self.next(field)?;
        text.parse().map_err(|_| bad(field, text))
    }

    fn message(&mut self) -> Result<Event, LineError> {
        let kind = self.next("kind of message")?;
        let peer = self.peer()?;
        let message = match kind {
            "A" => Message::Announce(self.prefix()?, self.attributes()?),
            "W" => Message::Withdraw(self.prefix()?),
            "STATE" => {
                self.next("old state")?;
                Message::SessionState(self.state()?)
            }
            other => return Err(LineError::UnknownKind(other.to_owned())),
        };
        Ok(Event::Message(peer, message))
    }

    fn table_entry(&mut self) -> Result<Event, LineError> {
        match self.next("kind of entry")? {
            "B" => {}
            other => return Err(LineError::UnknownKind(other.to_owned())),
        }
        let peer = self.peer()?;
        let message = Message::Announce(self.prefix()?, self.attributes()?);
        Ok(Event::Message(peer, message))
    }

    fn peer(&mut self) -> Result<Peer, LineError> {
        Ok(Peer {
            address: self.parse("neighbour")?,
            system: self.system()?,
        })
    }

    fn system(&mut self) -> Result<u32, LineError> {
        let text = self.next("AS")?;
        path::system(text).ok_or_else(|| bad("AS", text))
    }

    /// Parses a path, which may be empty but not missing.
    fn path(&mut self) -> Result<AsPath, LineError> {
        let text = self.0.next().ok_or(LineError::Missing("path"))?;
        text.parse().map_err(|_| bad("path", text))
    }

    fn prefix(&mut self) -> Result<IpNet, LineError> {
        let prefix: IpNet = self.parse("prefix")?;
        if prefix.trunc() == prefix {
            Ok(prefix)
        } else {
            Err(LineError::HostBits(prefix))
        }
    }

    fn attributes(&mut self) -> Result<Attributes, LineError> {
        Ok(Attributes {
            path: self.path()?,
            origin: self.parse::<Origin>("origin")?,
            next_hop: self.parse("next hop")?,
            preference: self.parse("preference")?,
            med: self.parse("MED")?,
            scope: Scope::Everybody,
        })
    }

    fn state(&mut self) -> Result<SessionState, LineError> {
        match self.next("state")? {
            // Quagga's 7 and 8: clearing and deleted.
            "1" | "7" | "8" => Ok(SessionState::Idle),
            "2" | "3" | "4" | "5" => Ok(SessionState::Connecting),
            "6" => Ok(SessionState::Established),
            other => Err(bad("state", other)),
        }
    }
}

fn bad(field: &'static str, text: &str) -> LineError {
    let text = text.to_owned();
    LineError::Bad { field, text }
}

/// Parses seconds with at most nine decimals.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || !(1..=9).contains(&decimals.len()) {
        return None;
    }
    let nanoseconds = format!("{decimals:0<9}").parse().ok()?;
    Some(Duration::new(whole.parse().ok()?, nanoseconds))
}
