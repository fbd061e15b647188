//! A peer that is written by hand: frames on a socket, and no session.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
};

use ump_router::{
    Bytes,
    link::wire::{Caps, Codec, Decoded, Hello, Limits, Message, RetainedChange, decode, encode},
};

use crate::support::LONG;

/// Limits that are large enough for everything here.
pub(crate) const LIMITS: Limits = Limits {
    frame: 1 << 20,
    topics: 1024,
    subscriptions: 1024,
    claims: 1024,
    requests: 1024,
    operations: 256,
    window: 4 << 20,
};

pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
}

/// The hello of a router of its own.
pub(crate) fn hello(limits: Limits) -> Message {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    hello_of(NEXT.fetch_add(1, Ordering::Relaxed).into(), limits)
}

pub(crate) fn hello_of(router: u128, limits: Limits) -> Message {
    Message::Hello(Hello {
        min_version: 1,
        max_version: 1,
        features: 0,
        required: 0,
        limits,
        router,
        name: "raw".to_owned(),
    })
}

pub(crate) fn subscribe(id: u32, pattern: &str, (messages, bytes): (u64, u64)) -> Message {
    Message::Subscribe {
        id,
        retained: false,
        messages,
        bytes,
        pattern: pattern.parse().unwrap(),
    }
}

pub(crate) fn topic(number: u32, topic: &str) -> Message {
    Message::Topic {
        number,
        topic: topic.parse().unwrap(),
    }
}

/// A request of `topic` 0, for [`Double`](crate::support::Double).
pub(crate) fn request(request: u64) -> Message {
    Message::Request {
        request,
        topic: 0,
        remaining: Some(LONG),
        codec: Codec::Cbor,
        payload: Bytes::from([5_u8]),
    }
}

pub(crate) fn encoded(messages: &[Message]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        encode(message, &mut bytes).unwrap();
    }
    bytes
}

impl From<TcpStream> for Raw {
    fn from(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LONG)).unwrap();
        // What was written is in the other socket when the call returns.
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            input: Vec::new(),
        }
    }
}

impl Raw {
    /// Connects to an address of TCP.
    pub(crate) fn connect(address: &str) -> Self {
        let address = address.strip_prefix("tcp:").unwrap();
        Self::from(TcpStream::connect(address).unwrap())
    }

    /// Connects, and exchanges hellos.
    pub(crate) fn open(address: &str, limits: Limits) -> Self {
        Self::open_with(address, hello(limits))
    }

    pub(crate) fn open_with(address: &str, hello: Message) -> Self {
        let mut raw = Self::connect(address);
        raw.send(&[hello]).unwrap();
        let first = raw.receive().unwrap();
        assert!(matches!(first, Some(Message::Hello(_))), "{first:?}");
        raw
    }

    pub(crate) fn send(&mut self, messages: &[Message]) -> io::Result<()> {
        self.stream.write_all(&encoded(messages))
    }

    /// Returns the next message, or nothing at the end.
    pub(crate) fn receive(&mut self) -> io::Result<Option<Message>> {
        loop {
            let decoded = decode(&self.input, &Caps::default()).unwrap();
            if let Decoded::Frame {
                length, message, ..
            } = decoded
            {
                self.input.drain(..length);
                return Ok(Some(message.expect("a known message")));
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => return Ok(None),
                count => self.input.extend(&buffer[..count]),
            }
        }
    }

    /// Accepts a connection, and exchanges hellos.
    pub(crate) fn accept(listener: &TcpListener, hello: Message) -> Self {
        let mut raw = Self::from(listener.accept().unwrap().0);
        raw.send(&[hello]).unwrap();
        let first = raw.receive().unwrap();
        assert!(matches!(first, Some(Message::Hello(_))), "{first:?}");
        raw
    }

    /// Reads up to the next change of a retained message.
    pub(crate) fn next_change(&mut self) -> RetainedChange {
        loop {
            if let Message::Replicate(change) = self.receive().unwrap().expect("a change") {
                return change;
            }
        }
    }

    /// Reads a frame, which is not decoded. Returns its length and kind.
    #[cfg(feature = "compression")]
    pub(crate) fn skip(&mut self) -> io::Result<(usize, u8)> {
        loop {
            if let [a, b, c, d, kind, ..] = self.input[..] {
                let length = 8 + u32::from_be_bytes([a, b, c, d]) as usize;
                if self.input.len() >= length {
                    self.input.drain(..length);
                    return Ok((length, kind));
                }
            }
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer)?;
            self.input.extend(&buffer[..count]);
        }
    }

    /// Reads to the end, which must come.
    pub(crate) fn ends(mut self) {
        loop {
            match self.receive() {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return,
                Err(error) => panic!("the connection stays: {error}"),
            }
        }
    }
}
