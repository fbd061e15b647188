//! Faulty messages: each is answered with its code, or repaired.

use ipnet::IpNet;

use crate::{
    bgp::codec::{
        AsPath, Attributes, Code, Decoder, Family, Message, Notification, Origin, Reachable,
        Segment, SegmentKind, announcements, end_of_rib,
    },
    codec::{EXTERNAL, decode, raw, update},
};

/// Makes an UPDATE of withdrawn prefixes, attributes and prefixes.
fn raw_update(withdrawn: &[u8], attributes: &[u8], prefixes: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| u16::try_from(part.len()).unwrap().to_be_bytes();
    let mut body = length(withdrawn).to_vec();
    body.extend(withdrawn);
    body.extend(length(attributes));
    body.extend(attributes);
    body.extend(prefixes);
    raw(2, &body)
}

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xFB, 0xF0];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 1];
const PREFIX: &[u8] = &[8, 10];

#[test]
fn a_bad_header_is_named() {
    let mut marker = Message::Keepalive.encode();
    marker[15] = 0xFE;
    let mut short = Message::Keepalive.encode();
    short[17] = 18;
    let mut long = Message::Keepalive.encode();
    long[16..18].copy_from_slice(&4_097_u16.to_be_bytes());
    let cases = [
        (marker, Code::NOT_SYNCHRONIZED, vec![]),
        (short, Code::BAD_LENGTH, vec![0, 18]),
        (long, Code::BAD_LENGTH, vec![16, 1]),
        (raw(0, &[]), Code::BAD_TYPE, vec![0]),
        (raw(6, &[]), Code::BAD_TYPE, vec![6]),
        (raw(4, &[0]), Code::BAD_LENGTH, vec![0, 20]),
        (raw(1, &[4, 0, 1]), Code::BAD_LENGTH, vec![0, 22]),
        (raw(3, &[6]), Code::BAD_LENGTH, vec![0, 20]),
        (raw(2, &[0, 0, 0]), Code::MALFORMED_ATTRIBUTES, vec![]),
        (
            raw(5, &[0, 1, 0]),
            Code::BAD_REFRESH_LENGTH,
            raw(5, &[0, 1, 0]),
        ),
    ];
    for (bytes, code, data) in cases {
        assert_eq!(decode(&bytes, EXTERNAL), Err(Notification { code, data }));
    }
    // The marker is checked before the header is complete.
    let mut decoder = Decoder::default();
    decoder.push(b"GET / HTTP/1.1");
    assert_eq!(decoder.next(EXTERNAL), Err(Code::NOT_SYNCHRONIZED.into()));
}

#[test]
fn a_bad_open_is_named() {
    let valid = [4, 0xFB, 0xF0, 0, 90, 192, 0, 2, 1, 0];
    assert!(decode(&raw(1, &valid), EXTERNAL).is_ok());
    let with = |changes: &[(usize, u8)], parameters: &[u8]| {
        let mut open = valid.to_vec();
        for &(place, byte) in changes {
            open[place] = byte;
        }
        open.extend(parameters);
        open
    };
    let cases = [
        (with(&[(0, 3)], &[]), Code::UNSUPPORTED_VERSION),
        (with(&[(1, 0), (2, 0)], &[]), Code::BAD_SYSTEM),
        (with(&[(4, 1)], &[]), Code::UNACCEPTABLE_HOLD_TIME),
        (with(&[(4, 2)], &[]), Code::UNACCEPTABLE_HOLD_TIME),
        (with(&[(5, 0), (7, 0), (8, 0)], &[]), Code::BAD_IDENTIFIER),
        (with(&[(9, 1)], &[]), Code::MALFORMED_OPEN),
        (with(&[], &[0]), Code::MALFORMED_OPEN),
        (with(&[(9, 3)], &[1, 1, 0]), Code::UNSUPPORTED_PARAMETER),
        (with(&[(9, 3)], &[2, 2, 0]), Code::MALFORMED_OPEN),
        (with(&[(9, 5)], &[2, 3, 65, 1, 0]), Code::MALFORMED_OPEN),
    ];
    for (body, code) in cases {
        let refused = decode(&raw(1, &body), EXTERNAL).unwrap_err();
        assert_eq!(refused.code, code, "{body:?}");
    }
}

#[test]
fn an_open_with_long_parameters_is_decoded() {
    // RFC 9072, and a capability that is unknown here.
    let mut body = vec![4, 0x5B, 0xA0, 0, 90, 192, 0, 2, 1, 255, 255, 0, 15];
    body.extend([2, 0, 12, 65, 4, 0, 1, 0, 0, 99, 0, 1, 4, 0, 2]);
    let truncated = decode(&raw(1, &body), EXTERNAL).unwrap_err();
    assert_eq!(truncated.code, Code::MALFORMED_OPEN);
    body.extend([0, 1]);
    body[12] = 17;
    body[15] = 14;
    let Ok(Message::Open(open)) = decode(&raw(1, &body), EXTERNAL) else {
        panic!("it is valid");
    };
    assert_eq!(open.system, 65_536);
    let families = open.capabilities.families();
    assert!(families.ipv6 && !families.ipv4);
}

#[test]
fn a_faulty_attribute_withdraws_or_is_ignored() {
    let attributes = |changed: &[u8]| [ORIGIN, PATH, NEXT_HOP, changed].concat();
    let withdrawn: Vec<(Vec<u8>, u8, Code)> = vec![
        ([PATH, NEXT_HOP].concat(), 1, Code::MISSING_WELL_KNOWN),
        ([ORIGIN, NEXT_HOP].concat(), 2, Code::MISSING_WELL_KNOWN),
        ([ORIGIN, PATH].concat(), 3, Code::MISSING_WELL_KNOWN),
        (
            [&[0x40, 1, 1, 3], PATH, NEXT_HOP].concat(),
            1,
            Code::INVALID_ORIGIN,
        ),
        (
            [&[0x40, 1, 0], PATH, NEXT_HOP].concat(),
            1,
            Code::BAD_ATTRIBUTE_LENGTH,
        ),
        (
            [&[0xC0, 1, 1, 0], PATH, NEXT_HOP].concat(),
            1,
            Code::BAD_FLAGS,
        ),
        (
            [ORIGIN, &[0x40, 2, 2, 2, 0], NEXT_HOP].concat(),
            2,
            Code::MALFORMED_PATH,
        ),
        (
            [ORIGIN, &[0x40, 2, 2, 2, 1], NEXT_HOP].concat(),
            2,
            Code::MALFORMED_PATH,
        ),
        (
            [ORIGIN, &[0x40, 2, 6, 9, 1, 0, 0, 0, 1], NEXT_HOP].concat(),
            2,
            Code::MALFORMED_PATH,
        ),
        (
            [ORIGIN, PATH, &[0x40, 3, 3, 1, 2, 3]].concat(),
            3,
            Code::BAD_ATTRIBUTE_LENGTH,
        ),
        (
            [ORIGIN, PATH, &[0x40, 3, 4, 224, 0, 0, 1]].concat(),
            3,
            Code::INVALID_NEXT_HOP,
        ),
        (
            attributes(&[0x80, 4, 3, 0, 0, 0]),
            4,
            Code::BAD_ATTRIBUTE_LENGTH,
        ),
        (
            attributes(&[0xC0, 8, 3, 0, 0, 0]),
            8,
            Code::BAD_OPTIONAL_ATTRIBUTE,
        ),
        (attributes(&[0xC0, 8, 0]), 8, Code::BAD_OPTIONAL_ATTRIBUTE),
        (attributes(&[0xC0, 8]), 0, Code::MALFORMED_ATTRIBUTES),
        (attributes(&[0xC0, 8, 9, 0]), 0, Code::MALFORMED_ATTRIBUTES),
    ];
    let prefix: IpNet = "10.0.0.0/8".parse().unwrap();
    for (list, attribute, code) in withdrawn {
        let update = update(&raw_update(&[], &list, PREFIX), EXTERNAL);
        assert_eq!(update.withdrawn, [prefix], "{list:?}");
        assert!(update.reachable.is_empty() && update.attributes.is_none());
        let fault = update.faults.iter().find(|fault| fault.withdraws).unwrap();
        assert_eq!((fault.attribute, fault.code), (attribute, code), "{list:?}");
    }
    // These do not change the choice of routes.
    for (list, faults) in [
        (&[0x40, 6, 1, 0][..], 1),
        (&[0xC0, 7, 6, 0, 0, 0, 0, 0, 0], 1),
        (ORIGIN, 1),
        (&[0xC0, 99, 1, 0], 0),
        (&[0x40, 5, 1, 0], 0), // a preference of another system
    ] {
        let update = update(&raw_update(&[], &attributes(list), PREFIX), EXTERNAL);
        let next_hop = [192, 0, 2, 1].into();
        let prefixes = vec![prefix];
        assert_eq!(update.reachable, [Reachable { next_hop, prefixes }]);
        assert_eq!(update.faults.len(), faults, "{list:?}");
    }
}

#[test]
fn a_fault_beyond_repair_is_named() {
    let with = |list: &[u8]| raw_update(&[], &[ORIGIN, PATH, NEXT_HOP, list].concat(), PREFIX);
    let reach: &[u8] = &[0x80, 14, 5, 0, 2, 1, 4, 0];
    let unreach: &[u8] = &[0x80, 15, 3, 0, 2, 1];
    let cases = [
        (
            raw_update(&[33, 1, 2, 3, 4, 5], &[], &[]),
            Code::INVALID_NETWORK,
        ),
        (raw_update(&[], &[], &[24, 10]), Code::INVALID_NETWORK),
        (with(&[0x40, 99, 1, 0]), Code::UNRECOGNIZED_WELL_KNOWN),
        (with(reach), Code::BAD_OPTIONAL_ATTRIBUTE),
        (with(&[0x80, 15, 2, 0, 2]), Code::BAD_OPTIONAL_ATTRIBUTE),
        (
            with(&[unreach, unreach].concat()),
            Code::MALFORMED_ATTRIBUTES,
        ),
        (raw(2, &[0, 9, 1]), Code::MALFORMED_ATTRIBUTES),
        (raw(2, &[0, 0, 0, 9, 1]), Code::MALFORMED_ATTRIBUTES),
    ];
    for (bytes, code) in cases {
        assert_eq!(
            decode(&bytes, EXTERNAL).unwrap_err().code,
            code,
            "{bytes:?}"
        );
    }
}

#[test]
fn the_end_of_the_routes_is_recognized() {
    for family in Family::ALL {
        let update = update(&end_of_rib(family), EXTERNAL);
        assert_eq!(update.end_of_rib, Some(family));
        assert!(update.withdrawn.is_empty() && update.reachable.is_empty());
    }
    let withdrawal = raw_update(PREFIX, &[], &[]);
    assert_eq!(update(&withdrawal, EXTERNAL).end_of_rib, None);
}

#[test]
fn attributes_without_room_for_a_prefix_are_refused() {
    let attributes = Attributes {
        origin: Origin::Igp,
        path: AsPath::default(),
        med: None,
        preference: None,
        communities: vec![0; 1_020],
    };
    let prefixes = ["10.0.0.0/8".parse().unwrap()];
    assert!(announcements(&attributes, [192, 0, 2, 1].into(), &prefixes, EXTERNAL).is_err());
}

#[test]
fn a_path_is_written_as_bgpdump_does() {
    let segment = |kind, systems: &[u32]| Segment {
        kind,
        systems: systems.to_vec(),
    };
    let path = AsPath(vec![
        segment(SegmentKind::ConfederationSequence, &[65_001, 65_002]),
        segment(SegmentKind::ConfederationSet, &[65_003, 65_004]),
        segment(SegmentKind::Sequence, &[64_496, 65_536]),
        segment(SegmentKind::Set, &[64_497, 64_498]),
    ]);
    let text = "(65001 65002) [65003,65004] 64496 65536 {64497,64498}";
    assert_eq!(path.to_string(), text);
    assert_eq!(AsPath::default().to_string(), "");
}

#[test]
fn routes_of_another_family_are_withdrawn_although_the_flags_are_wrong() {
    let prefix: IpNet = "2001:db8::/32".parse().unwrap();
    let list = [32, 0x20, 1, 0x0D, 0xB8];
    let next_hop = [&[0, 2, 1, 16][..], &[0x20; 16], &[0]].concat();
    let reachable = [&[0xC0, 14, 26][..], &next_hop, &list].concat();
    let unreachable = [&[0xC0, 15, 8, 0, 2, 1][..], &list].concat();
    for wrong in [reachable, unreachable] {
        let attributes = [ORIGIN, PATH, &wrong].concat();
        let update = update(&raw_update(&[], &attributes, &[]), EXTERNAL);
        assert_eq!(update.withdrawn, [prefix]);
        assert!(update.reachable.is_empty());
        assert_eq!(update.faults[0].code, Code::BAD_FLAGS);
    }
}
