//! Decodes messages.

use std::time::Duration;

use ump::Executed;

use super::{
    HEADER, MAGIC, MAX_CONTROL, MAX_HELLO, MAX_TEXT,
    compression::{COMPRESSED, Compressed, decompress},
    encode::{FLAG_0, FLAG_1, NO_DEADLINE},
    error::WireError,
    kind::Kind,
    message::{Hello, Limits, Message, RetainedChange},
};
use crate::{
    stamp::Stamp,
    topic::{Pattern, Topic, invisible::is_invisible},
};

/// Flags that a receiver must not ignore have the bits 4 to 7.
const CRITICAL_FLAGS: u8 = 0xf0;

/// The maximum lengths of bodies that a decoder accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Of control frames.
    pub control: usize,
    /// Of bulk frames, before their payload is compressed.
    pub bulk: usize,
    /// Whether payloads may be compressed. They may not without the feature `compression`.
    pub compression: bool,
}

impl Caps {
    /// The caps before the hello: bulk frames are not allowed.
    pub const HELLO: Self = Self {
        control: MAX_HELLO,
        bulk: 0,
        compression: false,
    };
}

/// A mebibyte for bulk frames, and no compression.
impl Default for Caps {
    fn default() -> Self {
        Self {
            control: MAX_CONTROL,
            bulk: 1 << 20,
            compression: false,
        }
    }
}

/// The beginning of a stream of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decoded {
    /// The frame is not complete.
    Incomplete {
        /// The number of bytes that are needed to go on: the header, or the whole frame. It is
        /// within the caps.
        needed: usize,
    },
    /// A frame.
    Frame {
        /// The length of the frame.
        length: usize,
        /// Its length before its payload was compressed, or the same.
        uncompressed: usize,
        /// Its kind.
        kind: Kind,
        /// The message. `None` if the kind is unknown and to be ignored.
        message: Option<Message>,
    },
}

/// Decodes the frame at the beginning of `bytes`.
///
/// It allocates nothing before the frame is complete and within the caps, also when its payload is
/// decompressed.
///
/// # Errors
/// The bytes are not a frame that the caps and the protocol allow.
pub fn decode(bytes: &[u8], caps: &Caps) -> Result<Decoded, WireError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(Decoded::Incomplete { needed: HEADER });
    };
    let [l0, l1, l2, l3, kind, flags, h0, h1] = *header;
    let kind = Kind(kind);
    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    let head = usize::from(u16::from_be_bytes([h0, h1]));
    let cap = if kind.is_bulk() {
        caps.bulk
    } else {
        caps.control
    };
    if length > cap {
        return Err(WireError::TooLong { kind, length, cap });
    }
    if head > length {
        return Err(WireError::Fields { kind });
    }
    let is_known = kind.name().is_some();
    let may_be_compressed = caps.compression && cfg!(feature = "compression") && kind.is_bulk();
    let known_flags = if may_be_compressed { COMPRESSED } else { 0 };
    if (!is_known && kind.is_critical()) || flags & CRITICAL_FLAGS & !known_flags != 0 {
        return Err(WireError::Critical { kind, flags });
    }
    let Some(body) = rest.get(..length) else {
        let needed = HEADER + length;
        return Ok(Decoded::Incomplete { needed });
    };
    let (fields, payload) = body.split_at(head);
    let length = HEADER + length;
    let compressed = if flags & COMPRESSED == 0 {
        None
    } else {
        Some(Compressed::read(kind, head, payload, cap)?)
    };
    let uncompressed = compressed.map_or(length, |it| HEADER + head + it.length);
    let decompressed;
    let payload = match compressed {
        Some(compressed) if is_known => {
            decompressed = decompress(kind, compressed)?;
            &decompressed[..]
        }
        _ => payload,
    };
    let message = if is_known {
        Some(
            Fields {
                kind,
                flags,
                rest: fields,
            }
            .message(payload)?,
        )
    } else {
        None
    };
    Ok(Decoded::Frame {
        length,
        uncompressed,
        kind,
        message,
    })
}

/// The fields of a frame that were not read.
struct Fields<'a> {
    kind: Kind,
    flags: u8,
    rest: &'a [u8],
}

impl Fields<'_> {
    /// Reads the fields that this version knows. More of them may follow.
    fn message(mut self, payload: &[u8]) -> Result<Message, WireError> {
        Ok(match self.kind {
            Kind::HELLO => Message::Hello(self.hello()?),
            Kind::GOODBYE => Message::Goodbye {
                reason: self.u8()?.into(),
                last_request: self.u64()?,
                text: self.text()?,
            },
            Kind::PING => Message::Ping { token: self.u64()? },
            Kind::PONG => Message::Pong { token: self.u64()? },
            Kind::TOPIC => Message::Topic {
                number: self.u32()?,
                topic: self.pattern()?,
            },
            Kind::SUBSCRIBE => Message::Subscribe {
                id: self.u32()?,
                retained: self.has(FLAG_0),
                messages: self.u64()?,
                bytes: self.u64()?,
                pattern: self.pattern()?,
            },
            Kind::SUBSCRIBED => Message::Subscribed {
                id: self.u32()?,
                status: self.u8()?.into(),
                text: self.text()?,
            },
            Kind::UNSUBSCRIBE => Message::Unsubscribe { id: self.u32()? },
            Kind::CREDIT => Message::Credit {
                id: self.u32()?,
                messages: self.u64()?,
                bytes: self.u64()?,
            },
            Kind::WINDOW => Message::Window { bytes: self.u64()? },
            Kind::GAP => Message::Gap {
                id: self.u32()?,
                missed: self.u64()?,
            },
            Kind::SERVE => Message::Serve {
                id: self.u32()?,
                stand_by: self.has(FLAG_0),
                topic: self.topic()?,
            },
            Kind::SERVED => Message::Served {
                id: self.u32()?,
                status: self.u8()?.into(),
                text: self.text()?,
            },
            Kind::LEAVE => Message::Leave { id: self.u32()? },
            Kind::TAKEN => Message::Taken {
                request: self.u64()?,
            },
            Kind::CANCEL => Message::Cancel {
                request: self.u64()?,
                expired: self.has(FLAG_0),
            },
            Kind::OUTCOME => Message::Outcome {
                request: self.u64()?,
                failure: self.u8()?.into(),
                executed: match self.u8()? {
                    0 => Executed::No,
                    2 => Executed::Yes,
                    _ => Executed::Perhaps,
                },
                text: self.text()?,
            },
            Kind::UNRETAIN => Message::Unretain {
                topic: self.topic()?,
            },
            Kind::SYNCED => Message::Synced,
            Kind::REFUSED => Message::Refused {
                status: self.u8()?.into(),
                topic: self.pattern()?,
                text: self.text()?,
            },
            _ => return self.bulk(payload),
        })
    }

    fn bulk(mut self, payload: &[u8]) -> Result<Message, WireError> {
        Ok(match self.kind {
            Kind::PUBLISH => Message::Publish {
                topic: self.u32()?,
                retain: self.has(FLAG_0),
                retained: self.has(FLAG_1),
                codec: self.u8()?.into(),
                to: self.ids()?,
                payload: payload.into(),
            },
            Kind::REQUEST => Message::Request {
                request: self.u64()?,
                topic: self.u32()?,
                remaining: self.remaining()?,
                codec: self.u8()?.into(),
                payload: payload.into(),
            },
            Kind::REPLY => Message::Reply {
                request: self.u64()?,
                refused: self.has(FLAG_0),
                codec: self.u8()?.into(),
                payload: payload.into(),
            },
            Kind::REPLICATE => Message::Replicate(RetainedChange {
                topic: self.topic()?,
                stamp: Stamp {
                    time: self.u64()?,
                    router: u128::from_be_bytes(self.array()?),
                },
                removed: self.has(FLAG_0),
                retained: self.has(FLAG_1),
                remaining: self.remaining()?,
                codec: self.u8()?.into(),
                payload: payload.into(),
            }),
            // Not reached: the kind is known.
            kind => {
                let flags = self.flags;
                return Err(WireError::Critical { kind, flags });
            }
        })
    }

    fn hello(&mut self) -> Result<Hello, WireError> {
        if self.u32().ok() != Some(MAGIC) {
            return Err(WireError::NoHello);
        }
        Ok(Hello {
            min_version: self.u16()?,
            max_version: self.u16()?,
            features: self.u64()?,
            required: self.u64()?,
            limits: Limits {
                frame: self.u32()?,
                topics: self.u32()?,
                subscriptions: self.u32()?,
                claims: self.u32()?,
                requests: self.u32()?,
                operations: self.u32()?,
                window: self.u64()?,
            },
            router: u128::from_be_bytes(self.array()?),
            name: self.text()?,
        })
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (first, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(WireError::Fields { kind: self.kind })?;
        self.rest = rest;
        Ok(*first)
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    fn remaining(&mut self) -> Result<Option<Duration>, WireError> {
        let micros = self.u64()?;
        Ok((micros != NO_DEADLINE).then(|| Duration::from_micros(micros)))
    }

    fn name(&mut self) -> Result<&str, WireError> {
        let length = usize::from(self.u16()?);
        let (name, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(WireError::Fields { kind: self.kind })?;
        self.rest = rest;
        std::str::from_utf8(name).map_err(|_| WireError::Text { kind: self.kind })
    }

    /// Reads a text for people. It may reach a terminal, so it keeps no character that does
    /// something there.
    fn text(&mut self) -> Result<String, WireError> {
        let kind = self.kind;
        let text = self.name()?;
        if text.len() > MAX_TEXT {
            return Err(WireError::Text { kind });
        }
        let is_harmful =
            |it: char| it.is_control() || is_invisible(it) || matches!(it, '\u{2028}' | '\u{2029}');
        Ok(text.replace(is_harmful, "?"))
    }

    fn pattern(&mut self) -> Result<Pattern, WireError> {
        Ok(Pattern::from_full_name(self.name()?)?)
    }

    fn topic(&mut self) -> Result<Topic, WireError> {
        Ok(Topic::from_full_name(self.name()?)?)
    }

    fn ids(&mut self) -> Result<Vec<u32>, WireError> {
        let count = usize::from(self.u16()?);
        let (ids, rest) = self
            .rest
            .split_at_checked(4 * count)
            .ok_or(WireError::Fields { kind: self.kind })?;
        self.rest = rest;
        let ids = ids.chunks_exact(4);
        Ok(ids
            .map(|it| u32::from_be_bytes([it[0], it[1], it[2], it[3]]))
            .collect())
    }
}
