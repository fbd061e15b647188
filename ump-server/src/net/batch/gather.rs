//! Which datagrams are sent together, and how a coalesced message is split.

use std::net::IpAddr;

use super::SendTo;

/// The largest number of datagrams that one system call sends.
pub(super) const DATAGRAMS: usize = 64;
/// The most bytes of a message that the system segments, with any headers of IP.
const MESSAGE_BYTES: usize = 65_487;

/// Messages for one system call: the first datagrams of a slice. If there are control messages,
/// for the segments or for the source, there is one message.
#[derive(Debug)]
pub(super) struct Plan {
    /// The number of datagrams of each message.
    counts: [usize; DATAGRAMS],
    messages: usize,
    /// The length of the datagrams of the message: all but its last one. `None` if each message is
    /// one datagram.
    pub(super) segment: Option<u16>,
    /// The source of all datagrams.
    pub(super) source: Option<IpAddr>,
}

impl Plan {
    /// Returns the number of datagrams of each message.
    pub(super) fn counts(&self) -> &[usize] {
        &self.counts[..self.messages]
    }
}

/// Plans to send the first datagrams of a slice that is not empty. Datagrams longer than `longest`
/// become messages of their own.
pub(super) fn gather(datagrams: &[SendTo<'_>], longest: usize) -> Plan {
    let datagrams = &datagrams[..datagrams.len().min(DATAGRAMS)];
    let first = &datagrams[0];
    let count = run(datagrams, longest);
    let mut plan = Plan {
        counts: [1; DATAGRAMS],
        messages: 1,
        segment: u16::try_from(first.bytes.len()).ok().filter(|_| count > 1),
        source: first.from,
    };
    plan.counts[0] = count;
    if count == 1 && plan.source.is_none() {
        // As many as need no control messages either.
        while let Some(next) = datagrams.get(plan.messages) {
            if next.from.is_some() || run(&datagrams[plan.messages..], longest) > 1 {
                break;
            }
            plan.messages += 1;
        }
    }
    plan
}

/// Returns how many of the first datagrams can be one message: they have equal lengths, except for
/// the last one, which may be shorter.
fn run(datagrams: &[SendTo<'_>], longest: usize) -> usize {
    let first = &datagrams[0];
    let length = first.bytes.len();
    if length == 0 || length > longest {
        return 1;
    }
    let mut total = length;
    for (index, next) in datagrams.iter().enumerate().skip(1) {
        let len = next.bytes.len();
        total += len;
        let fits = len <= length && len > 0 && total <= MESSAGE_BYTES;
        if !fits || next.to != first.to || next.from != first.from {
            return index;
        }
        if len < length {
            return index + 1;
        }
    }
    datagrams.len()
}

/// Returns the length of the first datagram of a message of `length` bytes. `segment` is the length
/// of all but its last one, or zero if it is one datagram.
pub(super) fn first_segment(length: usize, segment: usize) -> usize {
    if segment == 0 {
        length
    } else {
        length.min(segment)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use proptest::prelude::*;

    use super::*;

    fn address(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// Sends by plans, as a system that segments: returns the datagrams on the wire.
    fn wire(datagrams: &[SendTo<'_>], longest: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut sent = Vec::new();
        let mut rest = datagrams;
        while !rest.is_empty() {
            let plan = gather(rest, longest);
            assert!(!plan.counts().is_empty());
            assert!(plan.counts().iter().sum::<usize>() <= DATAGRAMS);
            for &count in plan.counts() {
                let (message, others) = rest.split_at(count);
                rest = others;
                assert!(message.iter().all(|it| it.from == plan.source));
                assert!(message.iter().all(|it| it.to == message[0].to));
                let bytes: Vec<u8> = message.iter().flat_map(|it| it.bytes).copied().collect();
                assert!(count == 1 || bytes.len() <= MESSAGE_BYTES);
                let segment = plan.segment.map_or(0, usize::from);
                assert!(segment <= longest);
                let mut bytes = &bytes[..];
                loop {
                    let (first, others) = bytes.split_at(first_segment(bytes.len(), segment));
                    sent.push((message[0].to, first.to_vec()));
                    bytes = others;
                    if bytes.is_empty() {
                        break;
                    }
                }
            }
        }
        sent
    }

    proptest! {
        #[test]
        fn all_datagrams_are_sent_once_in_order_and_whole(
            datagrams in prop::collection::vec(
                (0..3_u16, prop::sample::select(vec![0_usize, 1, 2, 7, 900, 1_500, 30_000]), 0..3_u8),
                1..200,
            ),
            longest in prop::sample::select(vec![0_usize, 2, 1_000, 65_000]),
        ) {
            let contents: Vec<Vec<u8>> = datagrams
                .iter()
                .enumerate()
                .map(|(n, (_, length, _))| vec![n.to_le_bytes()[0]; *length])
                .collect();
            let send: Vec<_> = datagrams
                .iter()
                .zip(&contents)
                .map(|((port, _, source), bytes)| {
                    let it = SendTo::new(bytes, address(*port));
                    match source {
                        0 => it.from(Ipv4Addr::LOCALHOST),
                        _ => it,
                    }
                })
                .collect();
            let expected: Vec<_> =
                send.iter().map(|it| (it.to, it.bytes.to_vec())).collect();
            prop_assert_eq!(wire(&send, longest), expected);
        }
    }

    #[test]
    fn datagrams_of_equal_length_to_a_peer_are_one_message() {
        let bytes = [0; 100];
        let to_one = [SendTo::new(&bytes, address(1)); 40];
        let plan = gather(&to_one, 1_000);
        assert_eq!((plan.counts(), plan.segment), (&[40][..], Some(100)));
        let to_two = [to_one, [SendTo::new(&bytes, address(2)); 40]].concat();
        let plan = gather(&to_two, 1_000);
        assert_eq!((plan.counts(), plan.segment), (&[40][..], Some(100)));
        let plan = gather(&to_two, 99);
        assert_eq!((plan.counts(), plan.segment), (&[1; 64][..], None));
    }
}
