//! How this participant sends.

use ump_router::link::wire::Codec;
use zenoh::{Wait as _, bytes::Encoding, qos::CongestionControl, sample::Locality};

use super::Driver;
use crate::{
    envelope::{Count, MessageHead, Tell, encode_beat},
    keys,
    participant::ParticipantId,
};

/// How many events are handled, and messages sent, in a turn.
pub(super) const TURN: usize = 256;

/// The longest message that is dropped if there is no room for it, in bytes: a batch of zenoh.
const MAX_DROPPED: usize = 60_000;

/// How many confirmations, and how many counts, are told at once.
pub(super) const MAX_SEEN: usize = 1000;
const MAX_COUNTS: usize = 500;

impl Driver {
    /// Tells another participant something. Nothing of it is lost, unless the participant is: if it
    /// does not read, zenoh closes the connection after a second. Returns whether zenoh has taken
    /// it.
    pub(super) fn tell(&self, to: ParticipantId, told: &Tell, payload: &[u8]) -> bool {
        let put = self.session.put(keys::inbox(to), payload);
        let put = put
            .attachment(told.encode(self.shared.own))
            .congestion_control(CongestionControl::Block)
            .allowed_destination(Locality::Remote)
            // A gap comes before messages, with which it may go: a publisher that is too fast makes
            // many.
            .express(!matches!(told, Tell::Gap { .. }));
        put.wait().is_ok()
    }

    /// Sends a message. If there is no room for it, others miss it, and count that. A large
    /// message goes in pieces. It waits for room, as a `Tell` does.
    pub(super) fn put(&self, key: String, head: &MessageHead, payload: &[u8], is_last: bool) {
        let put = self.session.put(key, payload);
        let put = put
            .attachment(head.encode())
            .encoding(encoding(head.codec))
            .congestion_control(if payload.len() > MAX_DROPPED {
                CongestionControl::Block
            } else {
                CongestionControl::Drop
            })
            .allowed_destination(Locality::Remote)
            // Not with others that follow, as there are none.
            .express(is_last);
        let _ = put.wait(); // an error if the session was closed
    }

    /// Tells all participants how many messages there were on topics.
    pub(super) fn put_counts(&self, counts: &[Count]) {
        for counts in counts.chunks(MAX_COUNTS) {
            let beat = encode_beat(self.shared.own, counts);
            let put = self.session.put(keys::beat(self.shared.own), beat);
            let put = put
                .congestion_control(CongestionControl::Block)
                .allowed_destination(Locality::Remote);
            let _ = put.wait(); // an error if the session was closed
        }
    }
}

/// The encoding of a codec, for plain zenoh programs.
pub(super) fn encoding(codec: Codec) -> Encoding {
    match codec {
        Codec::Cbor => Encoding::APPLICATION_CBOR,
        Codec::Raw => Encoding::APPLICATION_OCTET_STREAM,
        Codec::Postcard => Encoding::from("application/x-postcard"),
        other => Encoding::from(format!("application/x-ump-{}", other.code())),
    }
}

/// The codec of an encoding: CBOR, unless a program says something else.
pub(super) fn codec(encoding: &Encoding) -> Codec {
    if *encoding == Encoding::APPLICATION_OCTET_STREAM {
        Codec::Raw
    } else if *encoding == Encoding::from("application/x-postcard") {
        Codec::Postcard
    } else {
        Codec::Cbor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_names_its_codec() {
        for one in [Codec::Cbor, Codec::Raw, Codec::Postcard] {
            assert_eq!(codec(&encoding(one)), one);
        }
        assert_eq!(codec(&Encoding::default()), Codec::Cbor);
    }
}
