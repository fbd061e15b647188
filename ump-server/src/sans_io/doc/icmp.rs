use std::{collections::VecDeque, time::Instant};
use ump_server::sans_io::{Input, Io, Output, RawPacket, RawPackets, Task, Unused};

/// Answers pings of any address, by IPv4.
#[derive(Default)]
pub struct Echo(VecDeque<Output<EchoIo>>);

/// No commands, events, messages to other tasks, and spawned tasks; but raw packets.
pub type EchoIo = Io<Unused, Unused, Unused, Unused, RawPackets>;

impl Task for Echo {
    type Io = EchoIo;

    fn on_input(&mut self, _now: Instant, input: Input<'_, EchoIo>) {
        let Input::Net(RawPacket {
            interface, payload, ..
        }) = input;
        let mut packet = payload.into_vec();
        let Some(first) = packet.first().copied() else {
            return;
        };
        let header = usize::from(first & 15) * 4;
        // Version 4, protocol ICMP, and an echo request.
        if first >> 4 == 4
            && header >= 20
            && packet.len() >= header + 8
            && packet[9] == 1
            && packet[header] == 8
        {
            for n in 12..16 {
                packet.swap(n, n + 4); // the source and the destination
            }
            packet[header] = 0; // an echo reply
            let sum = [packet[header + 2], packet[header + 3]];
            let (sum, carry) = u16::from_be_bytes(sum).overflowing_add(0x0800);
            let sum = (sum + u16::from(carry)).to_be_bytes();
            packet[header + 2..header + 4].copy_from_slice(&sum);
            self.0
                .push_back(Output::Net(RawPacket::new(interface, packet)));
        }
    }

    fn on_tick(&mut self, _now: Instant) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn pop_output(&mut self, _now: Instant) -> Option<Output<EchoIo>> {
        self.0.pop_front()
    }
}
