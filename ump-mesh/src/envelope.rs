//! What participants tell each other, in the attachments of puts.
//!
//! All numbers are little-endian. A payload travels beside it, as it is.

use std::time::Duration;

use ump::Executed;
use ump_router::{
    Pattern, Topic,
    bridge::{full_pattern, full_topic},
    link::wire::{Codec, Failure},
};

use crate::participant::ParticipantId;

/// The first byte of the attachment of a message.
const MESSAGE: u8 = 1;

/// How long the attachment of a message is.
const MESSAGE_LENGTH: usize = 1 + 16 + 8 + 8 + 1;

/// No deadline, in milliseconds.
const NONE: u64 = u64::MAX;

/// What stands beside the payload of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageHead {
    pub(crate) source: ParticipantId,
    /// The number of the message among those of its source on its topic. The first one is 1.
    pub(crate) number: u64,
    /// The number of the topic when the source saw the newest subscription.
    pub(crate) base: u64,
    pub(crate) codec: Codec,
}

impl MessageHead {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MESSAGE_LENGTH);
        bytes.push(MESSAGE);
        bytes.extend(self.source.0.to_le_bytes());
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.base.to_le_bytes());
        bytes.push(self.codec.code());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.u8()? != MESSAGE {
            return None;
        }
        let head = Self {
            source: reader.id()?,
            number: reader.u64()?,
            base: reader.u64()?,
            codec: reader.u8()?.into(),
        };
        reader.0.is_empty().then_some(head)
    }
}

/// How many messages a source has published on a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) topic: Pattern,
    pub(crate) number: u64,
    pub(crate) base: u64,
}

/// The payload of a beat: the source, and then counts.
pub(crate) fn encode_beat(source: ParticipantId, counts: &[Count]) -> Vec<u8> {
    let mut bytes = source.0.to_le_bytes().to_vec();
    for count in counts {
        bytes.extend(count.number.to_le_bytes());
        bytes.extend(count.base.to_le_bytes());
        // Names are shorter than this.
        let length = u16::try_from(count.topic.as_str().len()).unwrap_or(u16::MAX);
        bytes.extend(length.to_le_bytes());
        bytes.extend(count.topic.as_str().bytes().take(length.into()));
    }
    bytes
}

pub(crate) fn decode_beat(bytes: &[u8]) -> Option<(ParticipantId, Vec<Count>)> {
    let mut reader = Reader(bytes);
    let source = reader.id()?;
    let mut counts = Vec::new();
    while !reader.0.is_empty() {
        let (number, base) = (reader.u64()?, reader.u64()?);
        let length = u16::from_le_bytes(reader.take()?);
        let topic = std::str::from_utf8(reader.bytes(length.into())?).ok()?;
        counts.push(Count {
            topic: full_pattern(topic).ok()?,
            number,
            base,
        });
    }
    Some((source, counts))
}

/// What one participant tells another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    /// A request, with the epoch of the claim that it is for. The payload travels beside it.
    Request {
        number: u64,
        epoch: u64,
        codec: Codec,
        /// The time that is left.
        remaining: Option<Duration>,
        topic: Topic,
    },
    /// The caller of a request is gone.
    Cancel { number: u64 },
    /// A request is with its server.
    Taken { number: u64 },
    /// The reply to a request, in the payload.
    Reply { number: u64, codec: Codec },
    /// The server's own error, in the payload.
    Refused { number: u64, codec: Codec },
    /// A request ended without a reply.
    Failed {
        number: u64,
        failure: Failure,
        executed: Executed,
        text: String,
    },
    /// Messages are missing.
    Gap { within: Pattern, count: u64 },
    /// The subscriptions with these numbers are known.
    Seen { numbers: Vec<u64> },
}

impl Tell {
    pub(crate) fn encode(&self, from: ParticipantId) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        let kind = match self {
            Self::Request { .. } => 1,
            Self::Cancel { .. } => 2,
            Self::Taken { .. } => 3,
            Self::Reply { .. } => 4,
            Self::Refused { .. } => 5,
            Self::Failed { .. } => 6,
            Self::Gap { .. } => 7,
            Self::Seen { .. } => 8,
        };
        bytes.push(kind);
        bytes.extend(from.0.to_le_bytes());
        match self {
            Self::Request {
                number,
                epoch,
                codec,
                remaining,
                topic,
            } => {
                bytes.extend(number.to_le_bytes());
                bytes.extend(epoch.to_le_bytes());
                bytes.push(codec.code());
                let remaining = remaining.map(|left| u64::try_from(left.as_millis()));
                let remaining = remaining.map_or(NONE, |left| left.unwrap_or(NONE - 1));
                bytes.extend(remaining.to_le_bytes());
                bytes.extend(topic.as_str().bytes());
            }
            Self::Cancel { number } | Self::Taken { number } => bytes.extend(number.to_le_bytes()),
            Self::Reply { number, codec } | Self::Refused { number, codec } => {
                bytes.extend(number.to_le_bytes());
                bytes.push(codec.code());
            }
            Self::Failed {
                number,
                failure,
                executed,
                text,
            } => {
                bytes.extend(number.to_le_bytes());
                bytes.push(failure.code());
                bytes.push(match executed {
                    Executed::No => 0,
                    Executed::Yes => 1,
                    Executed::Perhaps => 2,
                });
                bytes.extend(text.bytes());
            }
            Self::Gap { within, count } => {
                bytes.extend(count.to_le_bytes());
                bytes.extend(within.as_str().bytes());
            }
            Self::Seen { numbers } => {
                for number in numbers {
                    bytes.extend(number.to_le_bytes());
                }
            }
        }
        bytes
    }

    /// Reads what was told, and by whom. `None` if it is of another version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(ParticipantId, Self)> {
        let mut reader = Reader(bytes);
        let kind = reader.u8()?;
        let from = reader.id()?;
        let told = match kind {
            1 => Self::Request {
                number: reader.u64()?,
                epoch: reader.u64()?,
                codec: reader.u8()?.into(),
                remaining: match reader.u64()? {
                    NONE => None,
                    left => Some(Duration::from_millis(left)),
                },
                topic: full_topic(reader.text()?).ok()?,
            },
            2 => Self::Cancel {
                number: reader.u64()?,
            },
            3 => Self::Taken {
                number: reader.u64()?,
            },
            4 => Self::Reply {
                number: reader.u64()?,
                codec: reader.u8()?.into(),
            },
            5 => Self::Refused {
                number: reader.u64()?,
                codec: reader.u8()?.into(),
            },
            6 => Self::Failed {
                number: reader.u64()?,
                failure: reader.u8()?.into(),
                executed: match reader.u8()? {
                    0 => Executed::No,
                    1 => Executed::Yes,
                    _ => Executed::Perhaps,
                },
                text: reader.text()?.to_owned(),
            },
            7 => Self::Gap {
                count: reader.u64()?,
                within: full_pattern(reader.text()?).ok()?,
            },
            8 => {
                let mut numbers = Vec::new();
                while !reader.0.is_empty() {
                    numbers.push(reader.u64()?);
                }
                Self::Seen { numbers }
            }
            _ => return None,
        };
        reader.0.is_empty().then_some((from, told))
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn id(&mut self) -> Option<ParticipantId> {
        self.take().map(u128::from_le_bytes).map(ParticipantId)
    }

    /// All that is left.
    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(std::mem::take(&mut self.0)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ParticipantId = ParticipantId(0x0102_0304);

    fn all() -> Vec<Tell> {
        let (number, codec) = (7, Codec::Cbor);
        let topic: Topic = "double/a".parse().unwrap();
        let request = |remaining| Tell::Request {
            number,
            epoch: 3,
            codec,
            remaining,
            topic: topic.clone(),
        };
        let failed = |executed| Tell::Failed {
            number,
            failure: Failure::ServerLost,
            executed,
            text: "ä".to_owned(),
        };
        vec![
            request(None),
            request(Some(Duration::from_millis(5))),
            Tell::Cancel { number },
            Tell::Taken { number },
            Tell::Reply { number, codec },
            Tell::Refused { number, codec },
            failed(Executed::No),
            failed(Executed::Yes),
            failed(Executed::Perhaps),
            Tell::Gap {
                within: "a/**".parse().unwrap(),
                count: 9,
            },
            Tell::Seen {
                numbers: vec![1, u64::MAX],
            },
        ]
    }

    #[test]
    fn what_is_told_is_read() {
        for told in all() {
            assert_eq!(Tell::decode(&told.encode(ID)), Some((ID, told)));
        }
        let head = MessageHead {
            source: ID,
            number: 8,
            base: 2,
            codec: Codec::Raw,
        };
        assert_eq!(MessageHead::decode(&head.encode()), Some(head));
        let count = |topic: &str| Count {
            topic: topic.parse().unwrap(),
            number: 3,
            base: 1,
        };
        let counts = vec![count("a/b"), count("a/*")];
        let beat = encode_beat(ID, &counts);
        assert_eq!(decode_beat(&beat), Some((ID, counts)));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut samples: Vec<_> = all().iter().map(|told| told.encode(ID)).collect();
        let topic = "a/b".parse().unwrap();
        let counts = [Count {
            topic,
            number: 1,
            base: 0,
        }];
        samples.push(encode_beat(ID, &counts));
        for sample in samples {
            for length in 0..sample.len() {
                let _ = Tell::decode(&sample[..length]);
                let _ = MessageHead::decode(&sample[..length]);
                let _ = decode_beat(&sample[..length]);
                for value in [0, 0x7f, 0xff] {
                    let mut changed = sample.clone();
                    changed[length] = value;
                    let _ = Tell::decode(&changed);
                    let _ = MessageHead::decode(&changed);
                    let _ = decode_beat(&changed);
                }
            }
        }
        assert_eq!(Tell::decode(&[77; 40]), None);
    }

    #[test]
    fn a_long_time_is_not_none() {
        let topic = "a".parse().unwrap();
        let told = Tell::Request {
            number: 1,
            epoch: 1,
            codec: Codec::Cbor,
            remaining: Some(Duration::MAX),
            topic,
        };
        let Some((_, Tell::Request { remaining, .. })) = Tell::decode(&told.encode(ID)) else {
            panic!("a request");
        };
        assert_eq!(remaining, Some(Duration::from_millis(u64::MAX - 1)));
    }
}
