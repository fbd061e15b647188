//! Messages: what is encoded is decoded, and no bytes do harm.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::{collection::vec, option, prelude::*};

use crate::bgp::codec::{
    AsPath, Attributes, Capabilities, Code, Decoder, Families, Family, Format, HEADER, MAX_MESSAGE,
    Message, Notification, Open, Origin, Segment, SegmentKind, Update, announcements, withdrawals,
};

pub(crate) const EXTERNAL: Format = Format {
    four_octets: true,
    is_internal: false,
};

/// Decodes one message.
pub(crate) fn decode(bytes: &[u8], format: Format) -> Result<Message, Notification> {
    let mut decoder = Decoder::default();
    decoder.push(bytes);
    let message = decoder.next(format)?.expect("it is complete");
    assert_eq!(decoder.next(format), Ok(None));
    Ok(message)
}

pub(crate) fn update(bytes: &[u8], format: Format) -> Update {
    match decode(bytes, format) {
        Ok(Message::Update(update)) => update,
        other => panic!("{other:?}"),
    }
}

/// Makes a message of a kind and a body.
pub(crate) fn raw(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xFF; 16];
    bytes.extend(u16::try_from(HEADER + body.len()).unwrap().to_be_bytes());
    bytes.push(kind);
    bytes.extend(body);
    bytes
}

fn families() -> impl Strategy<Value = Families> {
    (any::<bool>(), any::<bool>()).prop_map(|(ipv4, ipv6)| Families { ipv4, ipv6 })
}

fn open() -> impl Strategy<Value = Message> {
    let hold = prop_oneof![Just(0), 3..=u16::MAX];
    let families = option::of(families());
    (
        1_u32..,
        hold,
        1_u32..,
        any::<bool>(),
        any::<bool>(),
        families,
    )
        .prop_map(
            |(system, hold_time, identifier, four_octets, route_refresh, families)| {
                Message::Open(Open {
                    system: if four_octets {
                        system
                    } else {
                        system % 65_535 + 1
                    },
                    hold_time,
                    identifier: Ipv4Addr::from_bits(identifier),
                    capabilities: Capabilities {
                        four_octets,
                        route_refresh,
                        families: families.filter(|families: &Families| !families.is_empty()),
                    },
                })
            },
        )
}

fn notification() -> impl Strategy<Value = Message> {
    let data = vec(any::<u8>(), 0..64);
    (any::<u8>(), any::<u8>(), data).prop_map(|(code, subcode, data)| {
        Message::Notification(Notification {
            code: Code(code, subcode),
            data,
        })
    })
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        open(),
        notification(),
        Just(Message::Keepalive),
        Just(Message::RouteRefresh(Some(Family::Ipv4))),
        Just(Message::RouteRefresh(Some(Family::Ipv6))),
    ]
}

fn path() -> impl Strategy<Value = AsPath> {
    use SegmentKind::{ConfederationSequence, ConfederationSet, Sequence, Set};
    let kind = prop::sample::select(vec![Sequence, Set, ConfederationSequence, ConfederationSet]);
    let system = prop_oneof![1..65_536_u32, any::<u32>()];
    let segment = (kind, vec(system, 1..9)).prop_map(|(kind, systems)| Segment { kind, systems });
    vec(segment, 0..5).prop_map(|mut segments| {
        // Two sequences in a row are the same path as one.
        segments.dedup_by(|a, b| a.kind == Sequence && b.kind == Sequence);
        AsPath(segments)
    })
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let origin = prop::sample::select(vec![Origin::Igp, Origin::Egp, Origin::Incomplete]);
    let communities = vec(any::<u32>(), 0..80);
    let number = || option::of(any::<u32>());
    (origin, path(), number(), number(), communities).prop_map(
        |(origin, path, med, preference, communities)| Attributes {
            origin,
            path,
            med,
            preference,
            communities,
        },
    )
}

fn prefixes_v4() -> impl Strategy<Value = Vec<IpNet>> {
    let prefix = (any::<u32>(), 0..=32_u8).prop_map(|(bits, length)| {
        let net = Ipv4Net::new(Ipv4Addr::from_bits(bits), length).unwrap();
        IpNet::from(net.trunc())
    });
    vec(prefix, 1..2_000)
}

fn prefixes_v6() -> impl Strategy<Value = Vec<IpNet>> {
    let prefix = (any::<u128>(), 0..=128_u8).prop_map(|(bits, length)| {
        let net = Ipv6Net::new(Ipv6Addr::from_bits(bits), length).unwrap();
        IpNet::from(net.trunc())
    });
    vec(prefix, 1..600)
}

fn format() -> impl Strategy<Value = Format> {
    (any::<bool>(), any::<bool>()).prop_map(|(four_octets, is_internal)| Format {
        four_octets,
        is_internal,
    })
}

proptest! {
    #[test]
    fn a_decoded_message_is_the_encoded_one(message in message(), format in format()) {
        prop_assert_eq!(decode(&message.encode(), format), Ok(message));
    }

    #[test]
    fn announced_routes_are_decoded(
        attributes in attributes(),
        v4 in prefixes_v4(),
        v6 in prefixes_v6(),
        is_internal in any::<bool>(),
    ) {
        let format = Format { four_octets: true, is_internal };
        let next_hops: [IpAddr; 2] = [[192, 0, 2, 1].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()];
        for (prefixes, next_hop) in [v4, v6].iter().zip(next_hops) {
            let messages = announcements(&attributes, next_hop, prefixes, format).unwrap();
            let mut decoded = Vec::new();
            for message in &messages {
                prop_assert!(message.len() <= MAX_MESSAGE);
                let mut update = update(message, format);
                let mut expected = attributes.clone();
                if !is_internal {
                    expected.preference = None;
                }
                prop_assert_eq!(update.attributes, Some(expected));
                prop_assert_eq!((update.withdrawn, update.faults), (vec![], vec![]));
                let reachable = update.reachable.pop().unwrap();
                prop_assert_eq!(reachable.next_hop, next_hop);
                decoded.extend(reachable.prefixes);
            }
            prop_assert_eq!(&decoded, prefixes);
            // They are as few as possible: all but the last have no room for another prefix.
            for message in &messages[..messages.len() - 1] {
                prop_assert!(message.len() > MAX_MESSAGE - 24);
            }
        }
    }

    #[test]
    fn a_path_survives_a_neighbour_with_two_octets(path in path()) {
        let format = Format { four_octets: false, is_internal: false };
        let attributes = Attributes {
            origin: Origin::Igp,
            path: path.clone(),
            med: None,
            preference: None,
            communities: vec![],
        };
        let prefixes = ["10.0.0.0/8".parse().unwrap()];
        let sent = announcements(&attributes, [192, 0, 2, 1].into(), &prefixes, format).unwrap();
        let received = update(&sent[0], format).attributes.unwrap().path;
        let is_outside = |segment: &&Segment| {
            matches!(segment.kind, SegmentKind::Sequence | SegmentKind::Set)
        };
        let outside = |path: &AsPath| {
            AsPath(path.0.iter().filter(is_outside).cloned().collect())
        };
        let (received, path): (AsPath, AsPath) = (outside(&received), outside(&path));
        prop_assert!(received.systems().eq(path.systems()), "{} {}", received, path);
    }

    #[test]
    fn withdrawn_routes_are_decoded(v4 in prefixes_v4(), v6 in prefixes_v6(), format in format()) {
        for prefixes in [v4, v6] {
            let mut decoded = Vec::new();
            for message in withdrawals(&prefixes) {
                prop_assert!(message.len() <= MAX_MESSAGE);
                let update = update(&message, format);
                prop_assert_eq!((update.attributes, update.faults), (None, vec![]));
                decoded.extend(update.withdrawn);
            }
            prop_assert_eq!(decoded, prefixes);
        }
    }

    #[test]
    fn a_stream_is_decoded_however_it_is_cut(
        messages in vec(message(), 1..6),
        cuts in vec(1..40_usize, 1..40),
    ) {
        let bytes: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
        let (mut decoder, mut decoded) = (Decoder::default(), Vec::new());
        let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            decoder.push(part);
            while let Some(message) = decoder.next(EXTERNAL).unwrap() {
                decoded.push(message);
            }
            rest = after;
        }
        prop_assert_eq!(decoded, messages);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..300), format in format()) {
        let mut decoder = Decoder::default();
        decoder.push(&bytes);
        while let Ok(Some(_)) = decoder.next(format) {}
        for kind in 0..7 {
            let _ = Message::decode(&raw(kind, &bytes), format);
        }
    }

    #[test]
    fn no_changed_update_makes_it_panic(
        attributes in attributes(),
        prefixes in prefixes_v6(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        format in format(),
    ) {
        let next_hop = Ipv6Addr::LOCALHOST.into();
        for mut message in announcements(&attributes, next_hop, &prefixes, format).unwrap() {
            for (place, byte) in &changes {
                let place = HEADER + place.index(message.len() - HEADER);
                message[place] = *byte;
            }
            if let Ok(Message::Update(update)) = Message::decode(&message, format) {
                prop_assert_eq!(update.attributes.is_some(), !update.reachable.is_empty());
                let withdraws = update.faults.iter().any(|fault| fault.withdraws);
                prop_assert!(!withdraws || update.reachable.is_empty());
            }
        }
    }
}
