//! Cuts a stream of bytes into messages.

use super::{Code, Format, HEADER, MAX_MESSAGE, Message, Notification, bad_length};

/// Collects bytes, and decodes the messages in them.
///
/// It keeps the bytes of one incomplete message at most, if all messages are taken after each push.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    bytes: Vec<u8>,
    /// The number of bytes that are decoded.
    taken: usize,
}

impl Decoder {
    /// Adds bytes that were received.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend(bytes);
    }

    /// Decodes the next message. `None` if it is not complete.
    ///
    /// # Errors
    /// Returns the notification with which the session has to end. Nothing can be decoded after it.
    pub(crate) fn next(&mut self, format: Format) -> Result<Option<Message>, Notification> {
        let rest = &self.bytes[self.taken..];
        let marker = &rest[..rest.len().min(16)];
        if marker.iter().any(|&byte| byte != 0xFF) {
            return Err(Code::NOT_SYNCHRONIZED.into());
        }
        let [.., high, low, kind] = match rest.first_chunk::<HEADER>() {
            Some(header) => *header,
            None => return Ok(None),
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(HEADER..=MAX_MESSAGE).contains(&length) {
            return Err(bad_length(length));
        }
        if !(super::OPEN..=super::ROUTE_REFRESH).contains(&kind) {
            return Err(Notification::new(Code::BAD_TYPE).data([kind]));
        }
        let Some(message) = rest.get(..length) else {
            return Ok(None);
        };
        let message = Message::decode(message, format)?;
        self.taken += length;
        Ok(Some(message))
    }
}
