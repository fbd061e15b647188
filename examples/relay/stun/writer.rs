//! Writing of messages.

use std::net::SocketAddr;

use super::{
    Class, FINGERPRINT_MASK, HEADER, Integrity, Key, MAGIC_COOKIE, Message, Method, TransactionId,
    attribute::{Attribute, write_address},
    message::type_of,
    padded,
};

/// Writes a message, attribute by attribute.
#[derive(Debug)]
#[must_use]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    transaction: TransactionId,
}

impl Writer {
    pub(crate) fn new(method: Method, class: Class, transaction: TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(type_of(method, class).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(MAGIC_COOKIE);
        bytes.extend(transaction.0);
        Self { bytes, transaction }
    }

    /// Begins the response to a request.
    pub(crate) fn response(request: &Message<'_>, class: Class) -> Self {
        Self::new(request.method, class, request.transaction)
    }

    pub(crate) fn attribute(mut self, kind: Attribute, value: &[u8]) -> Self {
        let length = u16::try_from(value.len()).expect("a value is as long as a datagram at most");
        self.bytes.extend(kind.0.to_be_bytes());
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(value);
        self.bytes.resize(padded(self.bytes.len()), 0);
        self
    }

    /// Writes one of the `XOR-…-ADDRESS`.
    pub(crate) fn address(self, kind: Attribute, address: SocketAddr) -> Self {
        let mut value = Vec::with_capacity(20);
        write_address(&mut value, address, &self.transaction);
        self.attribute(kind, &value)
    }

    /// Writes `ERROR-CODE`.
    pub(crate) fn error(self, code: u16, reason: &str) -> Self {
        let [class, number] = [code / 100, code % 100].map(|it| it.to_be_bytes()[1]);
        let mut value = vec![0, 0, class, number];
        value.extend(reason.as_bytes());
        self.attribute(Attribute::ERROR_CODE, &value)
    }

    /// Protects what was written before.
    pub(crate) fn integrity(self, integrity: Integrity, key: &Key) -> Self {
        let value = integrity.sign(key, &self.bytes);
        self.attribute(integrity.attribute(), &value)
    }

    /// Returns the message.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let length = self.bytes.len() - HEADER;
        self.set_length(length);
        self.bytes
    }

    /// Returns the message, with a fingerprint.
    pub(crate) fn finish_with_fingerprint(mut self) -> Vec<u8> {
        let length = self.bytes.len() - HEADER + 8;
        self.set_length(length);
        let fingerprint = crc32fast::hash(&self.bytes) ^ FINGERPRINT_MASK;
        self = self.attribute(Attribute::FINGERPRINT, &fingerprint.to_be_bytes());
        self.bytes
    }

    fn set_length(&mut self, length: usize) {
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }
}
