//! The payload of a bulk frame, compressed: a length of 4 bytes, that of the payload, and a block
//! of LZ4. Blocks do not depend on each other.

use super::{encode::encode, error::WireError, kind::Kind, message::Message};

/// The flag of a frame whose payload is compressed. A receiver must not ignore it.
pub(super) const COMPRESSED: u8 = 0x10;

/// The length of the field in front of a block.
const LENGTH: usize = 4;

/// LZ4 cannot do better, so more is a lie.
const MAX_RATIO: usize = 255;

/// A compressed payload.
#[derive(Clone, Copy)]
pub(super) struct Compressed<'a> {
    /// The declared length of the payload before it was compressed.
    pub(super) length: usize,
    block: &'a [u8],
}

impl<'a> Compressed<'a> {
    /// Reads a payload. Together with the fields it may have at most `cap` bytes when it is
    /// decompressed, and 255 times its own.
    pub(super) fn read(
        kind: Kind,
        fields: usize,
        payload: &'a [u8],
        cap: usize,
    ) -> Result<Self, WireError> {
        let (length, block) = payload
            .split_first_chunk::<LENGTH>()
            .ok_or(WireError::Fields { kind })?;
        let declared = u32::from_be_bytes(*length) as usize;
        let most = block.len().saturating_mul(MAX_RATIO);
        let cap = cap.min(fields.saturating_add(most));
        let length = fields.saturating_add(declared);
        if length > cap {
            return Err(WireError::TooLong { kind, length, cap });
        }
        let length = declared;
        Ok(Self { length, block })
    }
}

/// Decompresses a payload, into exactly the length that it declares.
#[cfg(feature = "compression")]
pub(super) fn decompress(kind: Kind, compressed: Compressed<'_>) -> Result<Vec<u8>, WireError> {
    let Compressed { length, block } = compressed;
    let mut payload = vec![0; length];
    match lz4_flex::block::decompress_into(block, &mut payload) {
        Ok(count) if count == length => Ok(payload),
        _ => Err(WireError::Compression { kind }),
    }
}

/// Not reached: the flag is refused.
#[cfg(not(feature = "compression"))]
pub(super) fn decompress(kind: Kind, compressed: Compressed<'_>) -> Result<Vec<u8>, WireError> {
    let _ = compressed.block;
    Err(WireError::Compression { kind })
}

/// Appends the frame of a message, with a compressed payload if that makes it shorter. Without the
/// feature `compression` it never is.
///
/// # Errors
/// See [`encode`].
pub fn encode_compressed(message: &Message, out: &mut Vec<u8>) -> Result<(), WireError> {
    let start = out.len();
    encode(message, out)?;
    if message.kind().is_bulk() {
        shorten(start, out);
    }
    Ok(())
}

/// Compresses the payload of the frame that begins at `start`, if that makes it shorter.
#[cfg(feature = "compression")]
fn shorten(start: usize, out: &mut Vec<u8>) {
    use super::HEADER;

    let head = u16::from_be_bytes([out[start + 6], out[start + 7]]);
    let fields = start + HEADER + usize::from(head);
    let payload = &out[fields..];
    let block = lz4_flex::block::compress(payload);
    // It came from a frame, so it is no longer than a `u32`.
    let declared = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    if LENGTH + block.len() >= payload.len() {
        return;
    }
    out.truncate(fields);
    out.extend(declared.to_be_bytes());
    out.extend(block);
    let body = u32::try_from(out.len() - start - HEADER).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&body.to_be_bytes());
    out[start + 5] |= COMPRESSED;
}

#[cfg(not(feature = "compression"))]
fn shorten(_: usize, _: &mut Vec<u8>) {}
