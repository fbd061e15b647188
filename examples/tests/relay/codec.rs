//! The format of messages: the vectors of RFC 5769, and arbitrary bytes.

use std::net::SocketAddr;

use proptest::prelude::*;

use crate::stun::{
    Class, Integrity, Key, Malformed, Message, Method, PasswordAlgorithm, TransactionId, Writer,
    attribute::{Attribute, read_address, read_u32},
    channel_data,
};

/// Converts hexadecimal digits, ignoring white space.
fn bytes(digits: &str) -> Vec<u8> {
    let digits: Vec<_> = digits
        .bytes()
        .filter(|it| !it.is_ascii_whitespace())
        .collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// The transaction of the first three vectors.
const TRANSACTION: &str = "b7e7a701 bc34d686 fa87dfae";

fn password() -> Key {
    Key::short_term("VOkJxbRl1RmTxUk/WvJxBt")
}

/// Section 2.1.
fn sample_request() -> Vec<u8> {
    bytes(
        "00010058 2112a442 b7e7a701 bc34d686 fa87dfae
         80220010 5354554e 20746573 7420636c 69656e74
         00240004 6e0001ff
         80290008 932ff9b1 51263b36
         00060009 6576746a 3a683676 59202020
         00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
         80280004 e57a3bcf",
    )
}

/// Section 2.2.
fn sample_ipv4_response() -> Vec<u8> {
    bytes(
        "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae
         8022000b 74657374 20766563 746f7220
         00200008 0001a147 e112a643
         00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
         80280004 c07d4c96",
    )
}

/// Section 2.3.
fn sample_ipv6_response() -> Vec<u8> {
    bytes(
        "01010048 2112a442 b7e7a701 bc34d686 fa87dfae
         8022000b 74657374 20766563 746f7220
         00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
         00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
         80280004 c8fb0b4c",
    )
}

/// Section 2.4.
fn sample_long_term_request() -> Vec<u8> {
    bytes(
        "00010060 2112a442 78ad3433 c6ad72c0 29da412e
         00060012 e3839ee3 8388e383 aae38383 e382afe3 82b90000
         0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341
         0014000b 6578616d 706c652e 6f726700
         00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666",
    )
}

#[test]
fn the_sample_request_is_read() {
    let bytes_of_it = sample_request();
    let message = Message::parse(&bytes_of_it).unwrap();
    assert_eq!(message.method, Method::BINDING);
    assert_eq!(message.class, Class::Request);
    assert_eq!(message.transaction.0[..], bytes(TRANSACTION));
    assert_eq!(message.get(Attribute::USERNAME), Some(&b"evtj:h6vY"[..]));
    assert_eq!(message.unknown_attributes(), []);
    assert_eq!(message.integrity(), Some(Integrity::Sha1));
    assert!(message.verify(Integrity::Sha1, &password()));
    assert!(!message.verify(Integrity::Sha1, &Key::short_term("wrong")));
    assert!(!message.verify(Integrity::Sha256, &password()));
}

#[test]
fn the_sample_responses_are_read() {
    for (sample, address) in [
        (sample_ipv4_response(), "192.0.2.1:32853"),
        (
            sample_ipv6_response(),
            "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
        ),
    ] {
        let message = Message::parse(&sample).unwrap();
        assert_eq!(message.class, Class::Success);
        let value = message.get(Attribute::XOR_MAPPED_ADDRESS).unwrap();
        let mapped = read_address(value, &message.transaction);
        assert_eq!(mapped, Some(address.parse().unwrap()));
        assert!(message.verify(Integrity::Sha1, &password()));
    }
}

#[test]
fn the_sample_long_term_request_is_read_and_written() {
    let user = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";
    let key = Key::long_term(PasswordAlgorithm::Md5, user, "example.org", "TheMatrIX");
    let sample = sample_long_term_request();
    let message = Message::parse(&sample).unwrap();
    assert!(message.verify(Integrity::Sha1, &key));
    let written = Writer::new(Method::BINDING, Class::Request, message.transaction)
        .attribute(Attribute::USERNAME, user.as_bytes())
        .attribute(Attribute::NONCE, b"f//499k954d6OL34oL9FSTvy64sA")
        .attribute(Attribute::REALM, b"example.org")
        .integrity(Integrity::Sha1, &key)
        .finish();
    assert_eq!(written, sample);
}

#[test]
fn a_changed_bit_is_noticed() {
    let sample = sample_request();
    // Without the type of its fingerprint it has none, which is allowed.
    let fingerprint = sample.len() - 8;
    let bits =
        (0..sample.len() * 8).filter(|bit| !(fingerprint..fingerprint + 2).contains(&(bit / 8)));
    for bit in bits {
        let mut changed = sample.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // If the changed length of an attribute hides the fingerprint, it hides the integrity too.
        let passes = Message::parse(&changed)
            .is_ok_and(|message| message.verify(Integrity::Sha1, &password()));
        assert!(!passes, "bit {bit}");
    }
    let mut changed = sample;
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert_eq!(
        Message::parse(&changed).unwrap_err(),
        Malformed::Fingerprint
    );
}

#[test]
fn what_follows_the_integrity_is_ignored() {
    let key = Key::short_term("secret");
    let message = Writer::new(Method::ALLOCATE, Class::Request, TransactionId([7; 12]))
        .attribute(Attribute::USERNAME, b"alice")
        .integrity(Integrity::Sha1, &key)
        .attribute(Attribute::LIFETIME, &[0, 0, 0, 1])
        .integrity(Integrity::Sha256, &key)
        .attribute(Attribute(0x7FFF), b"")
        .finish_with_fingerprint();
    let message = Message::parse(&message).unwrap();
    assert_eq!(message.get(Attribute::USERNAME), Some(&b"alice"[..]));
    assert_eq!(message.get(Attribute::LIFETIME), None);
    assert_eq!(message.unknown_attributes(), []);
    assert_eq!(message.integrity(), Some(Integrity::Sha256));
    assert!(message.verify(Integrity::Sha1, &key));
    assert!(message.verify(Integrity::Sha256, &key));
}

#[test]
fn channel_data_may_be_padded_and_not_short() {
    assert_eq!(
        channel_data::write(0x4001, b"abc"),
        Some(b"\x40\x01\x00\x03abc".to_vec())
    );
    assert_eq!(
        channel_data::parse(b"\x40\x01\x00\x03abc"),
        Some((0x4001, &b"abc"[..]))
    );
    assert_eq!(
        channel_data::parse(b"\x40\x01\x00\x03abc\0"),
        Some((0x4001, &b"abc"[..]))
    );
    assert_eq!(
        channel_data::parse(b"\x40\x01\x00\x00"),
        Some((0x4001, &b""[..]))
    );
    for short in [
        &b"\x40\x01\x00\x03ab"[..],
        b"\x40\x01\x00",
        b"\x00\x01\x00\x00",
        b"\x80\x00\x00\x00",
        b"",
    ] {
        assert_eq!(channel_data::parse(short), None, "{short:?}");
    }
    assert_eq!(channel_data::write(0x4001, &vec![0; 65_536]), None);
}

/// Does with a datagram all that the server does.
fn read_all(datagram: &[u8]) {
    let _ = channel_data::parse(datagram);
    let Ok(message) = Message::parse(datagram) else {
        return;
    };
    for (_, value) in message.attributes() {
        let _ = read_address(value, &message.transaction);
        let _ = read_u32(value);
    }
    let _ = message.unknown_attributes();
    for integrity in [Integrity::Sha1, Integrity::Sha256] {
        let _ = message.verify(integrity, &password());
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(datagram in prop::collection::vec(any::<u8>(), 0..600)) {
        read_all(&datagram);
    }

    /// Bytes that begin like a message get further than arbitrary ones.
    #[test]
    fn arbitrary_attributes_never_panic(
        kind in any::<u16>(),
        attributes in prop::collection::vec((0_u16..0x30, 0_u16..40, prop::collection::vec(any::<u8>(), 0..40)), 0..12),
    ) {
        let mut datagram = Vec::new();
        datagram.extend((kind & 0x3FFF).to_be_bytes());
        datagram.extend([0, 0]);
        datagram.extend(0x2112_A442_u32.to_be_bytes());
        datagram.extend([9; 12]);
        for (kind, length, value) in attributes {
            datagram.extend(kind.to_be_bytes());
            datagram.extend(length.to_be_bytes());
            datagram.extend(value);
        }
        datagram.resize(datagram.len().next_multiple_of(4), 0);
        let length = u16::try_from(datagram.len() - 20).unwrap();
        datagram[2..4].copy_from_slice(&length.to_be_bytes());
        read_all(&datagram);
    }

    #[test]
    fn a_cut_or_changed_message_never_panics(
        sample in 0..4_usize,
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        value in any::<u8>(),
    ) {
        let samples = [sample_request, sample_ipv4_response, sample_ipv6_response, sample_long_term_request];
        let mut message = samples[sample]();
        let at = at.index(message.len());
        message[at] = value;
        read_all(&message);
        message.truncate(cut.index(message.len()));
        read_all(&message);
    }

    #[test]
    fn a_written_message_is_read_as_it_was(
        method in 0_u16..0x1000,
        class in 0..4_usize,
        transaction in any::<[u8; 12]>(),
        ip in any::<std::net::IpAddr>(),
        port in any::<u16>(),
        attributes in prop::collection::vec((0x8100_u16..0xFFFF, prop::collection::vec(any::<u8>(), 0..50)), 0..8),
        has_integrity in any::<bool>(),
    ) {
        let class = [Class::Request, Class::Indication, Class::Success, Class::Error][class];
        let transaction = TransactionId(transaction);
        let address = SocketAddr::new(ip, port);
        let mut writer = Writer::new(Method(method), class, transaction)
            .address(Attribute::XOR_PEER_ADDRESS, address);
        for (kind, value) in &attributes {
            writer = writer.attribute(Attribute(*kind), value);
        }
        if has_integrity {
            writer = writer.integrity(Integrity::Sha1, &password());
        }
        let bytes = writer.finish_with_fingerprint();
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!(message.method, Method(method));
        prop_assert_eq!(message.class, class);
        prop_assert_eq!(message.transaction, transaction);
        prop_assert_eq!(message.verify(Integrity::Sha1, &password()), has_integrity);
        let mut read = message.attributes();
        let (kind, value) = read.next().unwrap();
        prop_assert_eq!(kind, Attribute::XOR_PEER_ADDRESS);
        prop_assert_eq!(read_address(value, &transaction), Some(address));
        let read: Vec<_> = read.map(|(kind, value)| (kind.0, value.to_vec())).collect();
        prop_assert_eq!(read, attributes);
    }
}
