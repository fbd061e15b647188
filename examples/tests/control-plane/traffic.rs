//! Captures, and the routes that their packets would take.

use etherparse::PacketBuilder;

use crate::{
    process::{End, Scratch},
    run,
};

const ROUTES: &[u8] = b"\
BGP4MP|1|A|192.0.2.1|64497|10.0.0.0/8|64497|IGP|192.0.2.1|100|0||NAG||
BGP4MP|1|A|192.0.2.2|64498|10.1.0.0/16|64498|IGP|192.0.2.2|100|0||NAG||
BGP4MP|1|A|2001:db8::1|64499|2001:db8:1::/48|64499|IGP|2001:db8::1|100|0||NAG||
";

/// An Ethernet frame of 142 bytes with a packet to this address.
fn ipv4(destination: [u8; 4]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([192, 0, 2, 9], destination, 64);
    written(|frame| builder.udp(1000, 53).write(frame, &[0; 100]))
}

/// An Ethernet frame of 166 bytes, with a VLAN tag, with a packet to this address.
fn ipv6(destination: [u16; 8]) -> Vec<u8> {
    let destination = std::net::Ipv6Addr::from(destination).octets();
    let builder = PacketBuilder::ethernet2([1; 6], [2; 6])
        .single_vlan(7.try_into().expect("a VLAN"))
        .ipv6([3; 16], destination, 64);
    written(|frame| builder.udp(1000, 53).write(frame, &[0; 100]))
}

fn written<E: std::fmt::Debug>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Vec<u8> {
    let mut frame = Vec::new();
    write(&mut frame).expect("there is room");
    frame
}

/// A pcap of frames, of each of which at most `snap` bytes are captured.
fn pcap(link_type: u32, snap: usize, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = 0xA1B2_C3D4_u32.to_le_bytes().to_vec();
    file.extend([2, 0, 4, 0]);
    for field in [0, 0, 65_535, link_type] {
        file.extend(field.to_le_bytes());
    }
    for frame in frames {
        let captured = &frame[..frame.len().min(snap)];
        for field in [0, 0, length(captured), length(frame)] {
            file.extend(field.to_le_bytes());
        }
        file.extend(captured);
    }
    file
}

/// A pcapng in big endian with two interfaces. The first one is an USB, the second one is an
/// Ethernet and has the frames.
fn pcapng(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let length = (12 + length(body)).to_be_bytes();
        file.extend([&kind.to_be_bytes(), &length, body, &length].concat());
    };
    block(
        0x0A0D_0D0A,
        &[&[0x1A, 0x2B, 0x3C, 0x4D, 0, 1, 0, 0][..], &[0xFF; 8]].concat(),
    );
    block(1, &[0, 220, 0, 0, 0, 0, 0, 0]);
    block(1, &[0, 1, 0, 0, 0, 0, 0, 0]);
    for frame in frames {
        let mut body = Vec::new();
        for field in [1, 0, 0, length(frame), length(frame)] {
            body.extend(field.to_be_bytes());
        }
        body.extend(frame);
        body.resize(body.len().next_multiple_of(4), 0);
        block(6, &body);
    }
    file
}

fn length(bytes: &[u8]) -> u32 {
    bytes.len().try_into().expect("a short frame")
}

fn account(capture: &[u8]) -> End {
    let (routes, capture) = (Scratch::new(ROUTES), Scratch::new(capture));
    let command = format!("traffic {}\n", capture.path());
    let end = run(&["--console", routes.path()], &command);
    assert_eq!(end.code, Some(0), "{end:?}");
    end
}

fn frames() -> Vec<Vec<u8>> {
    let mut arp = vec![0xFF; 12];
    arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.resize(42, 0);
    vec![
        ipv4([10, 1, 2, 3]),
        ipv4([10, 1, 2, 3]),
        ipv4([10, 1, 9, 9]),
        ipv4([10, 2, 2, 3]),
        ipv4([11, 1, 2, 3]),
        ipv6([0x2001, 0xDB8, 1, 0, 0, 0, 0, 1]),
        ipv6([0x2001, 0xDB8, 2, 0, 0, 0, 0, 1]),
        arp,
        // An IPv4 header of four bytes.
        [&[0; 12][..], &[8, 0, 0x45, 0, 0, 0]].concat(),
    ]
}

const EXPECTED: &str = "\
10.1.0.0/16 via 192.0.2.2: 3 packets, 426 bytes
2001:db8:1::/48 via 2001:db8::1: 1 packets, 166 bytes
10.0.0.0/8 via 192.0.2.1: 1 packets, 142 bytes
no route: 2 packets, 308 bytes
not IP: 1 packets, 42 bytes
faulty: 1 packets, 18 bytes
";

#[test]
fn packets_are_accounted_by_their_routes() {
    for capture in [
        pcap(1, usize::MAX, &frames()),
        // The headers are enough.
        pcap(1, 60, &frames()),
        pcapng(&frames()),
    ] {
        let end = account(&capture);
        assert!(end.stdout.starts_with(EXPECTED), "{end:?}");
        // Each address once.
        assert!(end.stdout.contains("lookups    4 found, 2 not"), "{end:?}");
    }
}

#[test]
fn packets_without_ethernet_are_understood() {
    let packets = [
        ipv4([10, 1, 2, 3])[14..].to_vec(),
        ipv6([0x2001, 0xDB8, 1, 0, 0, 0, 0, 1])[18..].to_vec(),
        vec![0x95; 40],
    ];
    let end = account(&pcap(101, usize::MAX, &packets));
    let expected = "\
2001:db8:1::/48 via 2001:db8::1: 1 packets, 148 bytes
10.1.0.0/16 via 192.0.2.2: 1 packets, 128 bytes
no route: 0 packets, 0 bytes
not IP: 0 packets, 0 bytes
faulty: 1 packets, 40 bytes
";
    assert!(end.stdout.starts_with(expected), "{end:?}");
    // Bluetooth.
    let end = account(&pcap(187, usize::MAX, &packets));
    assert!(end.stdout.contains("\nnot IP: 3 packets"), "{end:?}");
}

#[test]
fn a_damaged_capture_is_explained() {
    let whole = pcap(1, usize::MAX, &frames());
    let mut long = pcap(1, usize::MAX, &frames()[..2]);
    let length_of_second = 24 + 16 + 142 + 8;
    long[length_of_second..length_of_second + 4].fill(0xFF);
    long.resize(3_000_000, 0);
    for (capture, message) in [
        (&b""[..], "error: it is neither pcap nor pcapng\n"),
        (b"192.0.2.1", "error: it is neither pcap nor pcapng\n"),
        (
            &whole[..whole.len() - 1],
            "error: the capture ends within packet 9\n",
        ),
        (&long, "error: packet 2 is longer than 524288 bytes\n"),
    ] {
        let end = account(capture);
        assert!(end.stdout.starts_with(message), "{end:?}");
    }
    let end = run(&["--console"], "traffic /nowhere\n");
    let message = "error: the capture cannot be opened: ";
    assert!(end.stdout.starts_with(message), "{end:?}");
}
