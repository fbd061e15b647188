//! The format of STUN messages (RFC 8489), and of the channel data of TURN (RFC 8656): parsing and
//! writing, without any state.
//!
//! Parsing copies nothing, and accepts any bytes: what is malformed is an error, never a panic.

pub(crate) mod attribute;
pub(crate) mod channel_data;
mod integrity;
mod message;
mod writer;

#[allow(unused_imports, reason = "the tests use them all")]
pub(crate) use self::{
    integrity::{Integrity, Key, PasswordAlgorithm},
    message::{Class, Malformed, Message, Method, TransactionId},
    writer::Writer,
};

/// The bytes of a message before its attributes.
const HEADER: usize = 20;

const MAGIC_COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();

/// The mask of a fingerprint: it is the CRC-32 of the message, xor this.
const FINGERPRINT_MASK: u32 = 0x5354_554E;

/// Rounds up to the multiple of four at which the next attribute begins.
fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}
