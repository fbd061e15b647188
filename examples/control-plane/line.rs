//! The lines of a file of routes: what `bgpdump -m` prints of updates and of tables, and two kinds of our own.
//!
//! ```text
//! BGP4MP|TIME|STATE|NEIGHBOUR|AS|OLD|NEW                    its session has changed: 1 idle, 2 to 5 connecting, 6 established
//! BGP4MP|TIME|A|NEIGHBOUR|AS|PREFIX|PATH|ORIGIN|NEXT HOP|PREFERENCE|MED|…   it announces a route; what follows is not looked at
//! BGP4MP|TIME|W|NEIGHBOUR|AS|PREFIX                         it withdraws one
//! TABLE_DUMP2|TIME|B|NEIGHBOUR|AS|PREFIX|PATH|…             it had announced one when the table was dumped: as if it did so now
//! KEEPALIVE|TIME|NEIGHBOUR|AS                               it is there
//! LOOKUP|TIME|ADDRESS                                       a packet is to be sent there
//! ```
//!
//! An AS is a number, plain or with a dot (65536 is 1.0). PATH is that of [`AsPath`], and may be empty.
//!
//! TIME is in seconds since 1970, with or without decimals, and never goes back. Empty lines and those that begin with `#` are no lines.

use std::{
    fmt,
    net::IpAddr,
    str::{FromStr, Split},
    time::Duration,
};

use ipnet::IpNet;

use crate::path::{self, AsPath, Attributes, Origin};

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

/// Who sends a message, as it says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) system: u32,
}

#[derive(Debug)]
pub(crate) enum Message {
    /// The session is at this stage.
    Stage(Stage),
    Announce(IpNet, Attributes),
    Withdraw(IpNet),
    Keepalive,
}

/// How far a session has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Idle,
    Connecting,
    Established,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LineError {
    NotUtf8,
    TooLong { limit: usize },
    UnknownKind(String),
    Missing(&'static str),
    Bad { field: &'static str, text: String },
    HostBits(IpNet),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => write!(f, "it is not UTF-8"),
            Self::TooLong { limit } => write!(f, "it has more than {limit} bytes"),
            Self::UnknownKind(kind) => write!(f, "there is no kind {kind:?}"),
            Self::Missing(field) => write!(f, "the {field} is missing"),
            Self::Bad { field, text } => write!(f, "{text:?} is no {field}"),
            Self::HostBits(prefix) => {
                write!(
                    f,
                    "{prefix} has bits behind its length: {} has not",
                    prefix.trunc()
                )
            }
        }
    }
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
                Message::Stage(self.stage()?)
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

    /// A path may be empty, but not left out.
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
        })
    }

    fn stage(&mut self) -> Result<Stage, LineError> {
        match self.next("state")? {
            // The last two are Quagga's: clearing, and deleted.
            "1" | "7" | "8" => Ok(Stage::Idle),
            "2" | "3" | "4" | "5" => Ok(Stage::Connecting),
            "6" => Ok(Stage::Established),
            other => Err(bad("state", other)),
        }
    }
}

fn bad(field: &'static str, text: &str) -> LineError {
    let text = text.to_owned();
    LineError::Bad { field, text }
}

/// Whole seconds, and at most nine decimals.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || !(1..=9).contains(&decimals.len()) {
        return None;
    }
    let nanoseconds = format!("{decimals:0<9}").parse().ok()?;
    Some(Duration::new(whole.parse().ok()?, nanoseconds))
}
