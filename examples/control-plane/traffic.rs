//! Accounts the packets of a capture by the routes that they would take.
//!
//! The capture is what `tcpdump -w` writes, pcap or pcapng ([`pcap_parser`]), of Ethernet or IP.
//! Only the headers of a packet are needed ([`etherparse`]), so it may be cut short.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt,
    fs::File,
    io,
    net::IpAddr,
    ops::AddAssign,
    path::Path,
};

use etherparse::{LaxNetSlice, LaxSlicedPacket};
use ipnet::IpNet;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};
use thiserror::Error;

use crate::{
    shards,
    table::{Route, TableLookup},
};

/// The number of packets that are read at most.
const MAX_PACKETS: u64 = 1_000_000;

/// The room for a packet: twice what tools capture at most, which is 256 KiB.
const BUFFER: usize = 512 * 1024;

/// The largest number of routes shown.
const MAX_SHOWN: usize = 100;

type LookupError = shards::Error<TableLookup>;

/// Why a capture has not been read. Packets count from 1.
#[derive(Debug, Error)]
pub(crate) enum CaptureError {
    #[error("the capture cannot be opened: {0}")]
    Open(io::Error),
    #[error("it is neither pcap nor pcapng")]
    Unknown,
    #[error("the capture cannot be read")]
    Read,
    #[error("the capture ends within packet {0}")]
    Truncated(u64),
    #[error("packet {0} is longer than {BUFFER} bytes")]
    TooLong(u64),
    #[error("the capture is damaged at packet {0}")]
    Damaged(u64),
    #[error("routes: {0}")]
    Routes(LookupError),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Volume {
    /// The sizes on the wire.
    bytes: u64,
    packets: u64,
}

/// The packets of a capture.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    routes: BTreeMap<IpNet, (Route, Volume)>,
    /// For addresses without a route.
    unrouted: Volume,
    /// Neither IPv4 nor IPv6, such as ARP.
    other: Volume,
    /// With a header that cannot be parsed, or is cut short.
    faulty: Volume,
    packets: u64,
    /// The routes of addresses that were looked up.
    known: HashMap<IpAddr, Option<IpNet>>,
}

/// Reads a capture, and looks up the destination of each packet.
pub(crate) fn account(
    file: &Path,
    lookup: impl Fn(IpAddr) -> Result<Option<Route>, LookupError>,
) -> Result<Traffic, CaptureError> {
    let file = File::open(file).map_err(CaptureError::Open)?;
    let mut reader = create_reader(BUFFER, file).map_err(|_| CaptureError::Unknown)?;
    let mut traffic = Traffic::default();
    let mut link_types = LinkTypes::default();
    while traffic.packets < MAX_PACKETS {
        let number = traffic.packets + 1;
        let length = match reader.next() {
            Ok((length, block)) => {
                if let Some(packet) = link_types.packet(&block) {
                    traffic.add(&packet, &lookup)?;
                }
                length
            }
            Err(PcapError::Eof) => break,
            Err(PcapError::Incomplete(_)) => {
                let before = reader.data().len();
                reader.refill().map_err(|_| CaptureError::Read)?;
                if reader.data().len() == before && !reader.reader_exhausted() {
                    return Err(CaptureError::TooLong(number));
                }
                continue;
            }
            Err(PcapError::UnexpectedEof) => return Err(CaptureError::Truncated(number)),
            Err(PcapError::BufferTooSmall) => return Err(CaptureError::TooLong(number)),
            Err(_) => return Err(CaptureError::Damaged(number)),
        };
        reader.consume(length);
    }
    Ok(traffic)
}

struct Packet<'a> {
    link_type: Linktype,
    /// The size on the wire.
    size: u32,
    data: &'a [u8],
}

/// The link types of the interfaces. Each section of a pcapng has its own; a pcap has one
/// interface.
#[derive(Default)]
struct LinkTypes(Vec<Linktype>);

impl LinkTypes {
    /// Returns the packet in a block, if it has one of a known interface.
    fn packet<'a>(&mut self, block: &'a PcapBlockOwned<'a>) -> Option<Packet<'a>> {
        let (interface, size, captured, data) = match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.0 = vec![header.network];
                return None;
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                self.0.clear();
                return None;
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                self.0.push(interface.linktype);
                return None;
            }
            PcapBlockOwned::Legacy(packet) => (0, packet.origlen, packet.caplen, packet.data),
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                (packet.if_id, packet.origlen, packet.caplen, packet.data)
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                (0, packet.origlen, packet.origlen, packet.data)
            }
            PcapBlockOwned::NG(_) => return None,
        };
        // The data of a pcapng is padded.
        let data = data.get(..captured as usize).unwrap_or(data);
        Some(Packet {
            link_type: *self.0.get(interface as usize)?,
            size,
            data,
        })
    }
}

enum Destination {
    Ip(IpAddr),
    Other,
    Faulty,
}

impl Packet<'_> {
    fn destination(&self) -> Destination {
        let parsed = match self.link_type {
            Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(self.data).ok(),
            Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => {
                LaxSlicedPacket::from_ip(self.data).ok()
            }
            _ => return Destination::Other,
        };
        let Some(parsed) = parsed else {
            return Destination::Faulty;
        };
        match parsed.net {
            Some(LaxNetSlice::Ipv4(ip)) => Destination::Ip(ip.header().destination_addr().into()),
            Some(LaxNetSlice::Ipv6(ip)) => Destination::Ip(ip.header().destination_addr().into()),
            None if parsed.stop_err.is_some() => Destination::Faulty,
            Some(LaxNetSlice::Arp(_)) | None => Destination::Other,
        }
    }
}

impl Traffic {
    fn add(
        &mut self,
        packet: &Packet<'_>,
        lookup: impl Fn(IpAddr) -> Result<Option<Route>, LookupError>,
    ) -> Result<(), CaptureError> {
        let volume = match packet.destination() {
            Destination::Ip(address) => self.volume_of(address, lookup)?,
            Destination::Other => &mut self.other,
            Destination::Faulty => &mut self.faulty,
        };
        *volume += packet.size;
        self.packets += 1;
        Ok(())
    }

    /// Returns the volume of the route of an address. Each address is looked up once.
    fn volume_of(
        &mut self,
        address: IpAddr,
        lookup: impl Fn(IpAddr) -> Result<Option<Route>, LookupError>,
    ) -> Result<&mut Volume, CaptureError> {
        let prefix = match self.known.entry(address) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let route = lookup(address).map_err(CaptureError::Routes)?;
                let prefix = *unknown.insert(route.as_ref().map(|route| route.prefix));
                if let Some(route) = route {
                    let new = (route, Volume::default());
                    self.routes.entry(new.0.prefix).or_insert(new);
                }
                prefix
            }
        };
        let route = prefix.and_then(|prefix| self.routes.get_mut(&prefix));
        Ok(route.map_or(&mut self.unrouted, |(_, volume)| volume))
    }
}

impl AddAssign<u32> for Volume {
    fn add_assign(&mut self, size: u32) {
        self.bytes += u64::from(size);
        self.packets += 1;
    }
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets, {} bytes", self.packets, self.bytes)
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut routes: Vec<_> = self.routes.values().collect();
        routes.sort_by_key(|(_, volume)| Reverse(*volume));
        for (Route { prefix, best, .. }, volume) in routes.iter().take(MAX_SHOWN) {
            let next_hop = best.attributes.next_hop;
            writeln!(f, "{prefix} via {next_hop}: {volume}")?;
        }
        if routes.len() > MAX_SHOWN {
            writeln!(f, "and {} more routes", routes.len() - MAX_SHOWN)?;
        }
        writeln!(f, "no route: {}", self.unrouted)?;
        writeln!(f, "not IP: {}", self.other)?;
        write!(f, "faulty: {}", self.faulty)?;
        if self.packets == MAX_PACKETS {
            write!(f, "\nonly the first {MAX_PACKETS} packets were read")?;
        }
        Ok(())
    }
}
