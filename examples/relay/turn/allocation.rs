//! The task of an allocation: it relays between its client and the peers that the client permits.

use std::{
    collections::VecDeque,
    mem,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use ump_server::sans_io::{
    BusOutput, Input, Io, Output, Receive, Shutdown, SocketNumber, Task, Transmit, Unused,
};

use super::{
    AllocationInfo, Client, Config, Count, EndReason, Event, NOTICES, Notice, Opened, Shared,
    Traffic,
    answer::{self, Failure, Refusal},
    credentials::Identity,
    permissions::Permissions,
    quota::Permit,
    recent::RecentResponses,
};
use crate::stun::{
    Class, Message, Method, TransactionId, Writer,
    attribute::{Attribute, Family, read_address, read_u32},
    channel_data::{self, CHANNELS},
};

/// How long the driver may take to open a socket.
const OPENING: Duration = Duration::from_secs(2);

/// The properties that a client wants of its allocation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) family: Family,
    pub(super) even_port: bool,
    pub(super) lifetime: Duration,
}

/// An allocation: a relayed address, and the peers that may use it.
#[derive(Debug)]
pub(crate) struct Allocation {
    shared: Shared,
    client: Client,
    user: Arc<str>,
    family: Family,
    state: State,
    /// When it ends, or gives up waiting for its socket.
    expires: Instant,
    permissions: Permissions,
    /// The next tick. Something may have been refreshed since: then it does nothing.
    deadline: Option<Instant>,
    responses: RecentResponses,
    indications: u64,
    traffic: Traffic,
    outputs: VecDeque<Output<AllocationIo>>,
    _permit: Permit,
}

type AllocationIo = Io<Opened, Event, Notice, Unused>;

#[derive(Debug)]
enum State {
    Opening {
        request: TransactionId,
        identity: Identity,
        lifetime: Duration,
    },
    Open(Relayed),
    Ended,
}

/// The socket of an allocation.
#[derive(Clone, Copy, Debug)]
struct Relayed {
    socket: SocketNumber,
    address: SocketAddr,
}

impl Allocation {
    /// Creates an allocation without a socket. It answers the request when it has got one.
    pub(super) fn new(
        shared: Shared,
        now: Instant,
        client: Client,
        (request, identity): (TransactionId, Identity),
        permit: Permit,
        wanted: Wanted,
    ) -> Self {
        let open = Event::Open {
            client,
            family: wanted.family,
            even_port: wanted.even_port,
        };
        let Config {
            lifetimes, limits, ..
        } = &*shared.config;
        let permissions = Permissions::new(*lifetimes, limits.permissions);
        Self {
            shared,
            client,
            user: Arc::clone(&identity.user),
            family: wanted.family,
            state: State::Opening {
                request,
                identity,
                lifetime: wanted.lifetime,
            },
            expires: now + OPENING,
            permissions,
            deadline: Some(now + OPENING),
            responses: RecentResponses::default(),
            indications: 0,
            traffic: Traffic::default(),
            outputs: VecDeque::from([Output::App(open)]),
            _permit: permit,
        }
    }

    /// Returns what an operator sees.
    pub(crate) fn info(&self, now: Instant) -> AllocationInfo {
        let (permissions, channels) = self.permissions.counts();
        AllocationInfo {
            user: Arc::clone(&self.user),
            client: self.client.address,
            relayed: match &self.state {
                State::Open(relayed) => Some(relayed.address),
                State::Opening { .. } | State::Ended => None,
            },
            expires_in: self.expires.saturating_duration_since(now),
            permissions,
            channels,
            traffic: self.traffic,
        }
    }

    /// Answers the request that has made the allocation.
    fn opened(&mut self, now: Instant, Opened(opened): Opened) {
        let (request, identity, lifetime) = match mem::replace(&mut self.state, State::Ended) {
            State::Opening {
                request,
                identity,
                lifetime,
            } => (request, identity, lifetime),
            state => {
                self.state = state;
                return;
            }
        };
        let Ok((socket, address)) = opened else {
            return self.not_opened(request, &identity);
        };
        self.state = State::Open(Relayed { socket, address });
        self.shared.count(Count::Allocations);
        self.expires = now + lifetime;
        self.deadline = Some(self.expires);
        let response = Writer::new(Method::ALLOCATE, Class::Success, request)
            .address(Attribute::XOR_RELAYED_ADDRESS, address)
            .attribute(Attribute::LIFETIME, &seconds(lifetime))
            .address(Attribute::XOR_MAPPED_ADDRESS, self.client.address);
        let response = identity.sign(response).finish_with_fingerprint();
        self.responses.add(now, request, response.clone());
        self.send_to_client(response);
    }

    fn not_opened(&mut self, request: TransactionId, identity: &Identity) {
        self.shared.count(Count::Refused);
        let failure = Failure::of(Method::ALLOCATE, request, Refusal::InsufficientCapacity);
        let response = failure.signed(identity);
        self.send_to_client(response.clone());
        self.end(EndReason::NoSocket, Some((request, response)));
        self.outputs.push_back(Output::Done);
    }

    fn receive(&mut self, now: Instant, packet: &Receive<'_>) {
        if packet.socket == self.client.socket {
            if packet.source == self.client.address {
                self.receive_from_client(now, &packet.payload);
            }
            return;
        }
        if let State::Open(relayed) = &self.state {
            if packet.socket == relayed.socket {
                self.receive_from_peer(now, packet.source, &packet.payload);
            }
        }
    }

    fn receive_from_client(&mut self, now: Instant, datagram: &[u8]) {
        if let Some((channel, data)) = channel_data::parse(datagram) {
            let peer = self.permissions.peer_of(now, channel);
            return self.send_to_peer(peer, data);
        }
        let Ok(message) = Message::parse(datagram) else {
            self.shared.count(Count::Malformed);
            return;
        };
        match message.class {
            Class::Request => self.request(now, &message),
            Class::Indication if message.method == Method::SEND => self.relay(now, &message),
            // A keep-alive, or the response to nothing.
            Class::Indication | Class::Success | Class::Error => {}
        }
    }

    /// Relays a send indication.
    fn relay(&mut self, now: Instant, indication: &Message<'_>) {
        let peer = indication
            .get(Attribute::XOR_PEER_ADDRESS)
            .and_then(|value| read_address(value, &indication.transaction))
            .filter(|_| indication.unknown_attributes().is_empty())
            .filter(|peer| self.permissions.is_permitted(now, peer.ip()));
        match indication.get(Attribute::DATA) {
            Some(data) => self.send_to_peer(peer, data),
            None => self.shared.count(Count::ClientDropped),
        }
    }

    fn receive_from_peer(&mut self, now: Instant, peer: SocketAddr, data: &[u8]) {
        if !self.permissions.is_permitted(now, peer.ip()) {
            self.shared.count(Count::PeerDropped);
            return;
        }
        let datagram = match self.permissions.channel_of(now, peer) {
            Some(channel) => channel_data::write(channel, data),
            None => u16::try_from(data.len()).is_ok().then(|| {
                let transaction = self.next_indication();
                Writer::new(Method::DATA, Class::Indication, transaction)
                    .address(Attribute::XOR_PEER_ADDRESS, peer)
                    .attribute(Attribute::DATA, data)
                    .finish()
            }),
        };
        let Some(datagram) = datagram else {
            self.shared.count(Count::PeerDropped);
            return;
        };
        self.traffic.received += 1;
        self.traffic.received_bytes += data.len() as u64;
        self.shared.count(Count::ToClients);
        self.shared.counters.add(Count::ToClientsBytes, data.len());
        self.send_to_client(datagram);
    }

    fn request(&mut self, now: Instant, request: &Message<'_>) {
        if request.method == Method::BINDING {
            let response = answer::binding(&self.shared, request, self.client.address);
            return self.send_to_client(response);
        }
        if let Some(response) = self.responses.get(now, request.transaction) {
            let response = response.to_vec();
            self.shared.count(Count::Duplicates);
            return self.send_to_client(response);
        }
        if matches!(self.state, State::Opening { .. }) {
            // The client has no answer to its first request yet.
            self.shared.count(Count::Duplicates);
            return;
        }
        let identity = match self.shared.authenticate(now, self.client, request) {
            Ok(identity) => identity,
            Err(response) => return self.send_to_client(response),
        };
        let result = match request.method {
            _ if identity.user != self.user => Err(Refusal::WrongCredentials),
            Method::ALLOCATE => Err(Refusal::AllocationMismatch),
            Method::REFRESH => return self.refresh(now, request, &identity),
            Method::CREATE_PERMISSION => self.create_permissions(now, request),
            Method::CHANNEL_BIND => self.bind_channel(now, request),
            _ => {
                self.shared.count(Count::BadRequests);
                return;
            }
        };
        let response = match result {
            Ok(()) => identity
                .sign(Writer::response(request, Class::Success))
                .finish_with_fingerprint(),
            Err(refusal) => self.refuse(request, refusal, &identity),
        };
        self.respond(now, request, response);
    }

    fn refuse(&self, request: &Message<'_>, refusal: Refusal, identity: &Identity) -> Vec<u8> {
        self.shared.count(Count::BadRequests);
        Failure::new(request, refusal).signed(identity)
    }

    fn respond(&mut self, now: Instant, request: &Message<'_>, response: Vec<u8>) {
        self.responses
            .add(now, request.transaction, response.clone());
        self.send_to_client(response);
    }

    fn refresh(&mut self, now: Instant, request: &Message<'_>, identity: &Identity) {
        let granted = match self.refreshed(request) {
            Ok(granted) => granted,
            Err(refusal) => {
                let response = self.refuse(request, refusal, identity);
                return self.respond(now, request, response);
            }
        };
        let response = Writer::response(request, Class::Success)
            .attribute(Attribute::LIFETIME, &seconds(granted));
        let response = identity.sign(response).finish_with_fingerprint();
        if granted.is_zero() {
            self.send_to_client(response.clone());
            self.end(EndReason::Deleted, Some((request.transaction, response)));
            self.outputs.push_back(Output::Done);
            return;
        }
        self.expires = now + granted;
        self.wake_at(self.expires);
        self.respond(now, request, response);
    }

    /// Returns the lifetime that a refresh gives. Zero ends the allocation.
    fn refreshed(&self, request: &Message<'_>) -> Result<Duration, Refusal> {
        if let Some(value) = request.get(Attribute::REQUESTED_ADDRESS_FAMILY) {
            if Family::read(value) != Some(self.family) {
                return Err(Refusal::PeerAddressFamilyMismatch);
            }
        }
        let requested = match request.get(Attribute::LIFETIME) {
            None => None,
            Some(value) => Some(read_u32(value).ok_or(Refusal::BadRequest)?),
        };
        Ok(match requested {
            Some(0) => Duration::ZERO,
            requested => self.shared.config.lifetimes.grant(requested),
        })
    }

    fn create_permissions(&mut self, now: Instant, request: &Message<'_>) -> Result<(), Refusal> {
        let mut peers = Vec::new();
        for (kind, value) in request.attributes() {
            if kind == Attribute::XOR_PEER_ADDRESS {
                let peer = read_address(value, &request.transaction);
                let peer = peer.ok_or(Refusal::BadRequest)?.ip();
                self.check_peer(peer)?;
                if !peers.contains(&peer) {
                    peers.push(peer);
                }
                // So a long request costs little.
                if peers.len() > self.shared.config.limits.permissions {
                    return Err(Refusal::InsufficientCapacity);
                }
            }
        }
        if peers.is_empty() {
            return Err(Refusal::BadRequest);
        }
        let expires = self.permissions.permit(now, &peers)?;
        self.wake_at(expires);
        Ok(())
    }

    fn bind_channel(&mut self, now: Instant, request: &Message<'_>) -> Result<(), Refusal> {
        let number = match request.get(Attribute::CHANNEL_NUMBER) {
            Some(&[high, low, _, _]) => u16::from_be_bytes([high, low]),
            _ => return Err(Refusal::BadRequest),
        };
        let peer = request
            .get(Attribute::XOR_PEER_ADDRESS)
            .and_then(|value| read_address(value, &request.transaction))
            .ok_or(Refusal::BadRequest)?;
        if !CHANNELS.contains(&number) {
            return Err(Refusal::BadRequest);
        }
        self.check_peer(peer.ip())?;
        if !self.shared.config.peers.permits_port(peer) {
            return Err(Refusal::Forbidden);
        }
        let expires = self.permissions.bind(now, number, peer)?;
        self.wake_at(expires);
        Ok(())
    }

    fn check_peer(&self, peer: IpAddr) -> Result<(), Refusal> {
        if Family::of(peer) != self.family {
            return Err(Refusal::PeerAddressFamilyMismatch);
        }
        if !self.shared.config.peers.permits(peer) {
            return Err(Refusal::Forbidden);
        }
        Ok(())
    }

    /// Lets the next tick be at this instant at the latest.
    fn wake_at(&mut self, at: Instant) {
        self.deadline = Some(self.deadline.map_or(at, |deadline| deadline.min(at)));
    }

    /// Sends data to a peer, if there is one that may get it.
    fn send_to_peer(&mut self, peer: Option<SocketAddr>, data: &[u8]) {
        let peer = peer.filter(|&peer| self.shared.config.peers.permits_port(peer));
        let (Some(peer), State::Open(relayed)) = (peer, &self.state) else {
            self.shared.count(Count::ClientDropped);
            return;
        };
        self.traffic.sent += 1;
        self.traffic.sent_bytes += data.len() as u64;
        self.shared.count(Count::ToPeers);
        self.shared.counters.add(Count::ToPeersBytes, data.len());
        let packet = Transmit::new(peer, data).socket(relayed.socket);
        self.outputs.push_back(Output::Net(packet));
    }

    fn send_to_client(&mut self, datagram: Vec<u8>) {
        let packet = Transmit::new(self.client.address, datagram).socket(self.client.socket);
        self.outputs.push_back(Output::Net(packet));
    }

    /// Returns the number of the next indication. Nobody answers it, so it need not be random.
    fn next_indication(&mut self) -> TransactionId {
        self.indications += 1;
        let mut id = [0; 12];
        id[4..].copy_from_slice(&self.indications.to_be_bytes());
        TransactionId(id)
    }

    /// Reports the end. `last` is the request of the client that has ended it, and the response.
    fn end(&mut self, reason: EndReason, last: Option<(TransactionId, Vec<u8>)>) {
        let socket = match mem::replace(&mut self.state, State::Ended) {
            State::Open(relayed) => Some(relayed.socket),
            State::Opening { .. } | State::Ended => None,
        };
        let client = self.client;
        self.deadline = None;
        let notice = BusOutput::Publish {
            channel: NOTICES,
            message: Notice::Ended { client, last },
        };
        self.outputs.push_back(Output::Bus(notice));
        self.outputs.push_back(Output::App(Event::Ended {
            client,
            socket,
            reason,
        }));
    }
}

impl Task for Allocation {
    type Io = AllocationIo;

    fn on_tick(&mut self, now: Instant) {
        if self.expires <= now {
            match mem::replace(&mut self.state, State::Ended) {
                State::Opening {
                    request, identity, ..
                } => self.not_opened(request, &identity),
                state => {
                    self.state = state;
                    self.end(EndReason::Expired, None);
                    self.outputs.push_back(Output::Done);
                }
            }
            return;
        }
        self.permissions.remove_expired(now);
        let expiry = self.permissions.next_expiry();
        self.deadline = expiry.into_iter().chain([self.expires]).min();
    }

    fn on_input(&mut self, now: Instant, input: Input<'_, AllocationIo>) {
        match input {
            Input::Net(packet) => self.receive(now, &packet),
            Input::App(opened) => self.opened(now, opened),
            // The notices are for the listener.
            Input::Bus(_) => {}
        }
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<AllocationIo>> {
        self.outputs.pop_front()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn on_shutdown(&mut self, _: Instant) -> Shutdown {
        if !matches!(self.state, State::Ended) {
            self.end(EndReason::Stopped, None);
        }
        Shutdown::Ready
    }
}

/// Returns the value of `LIFETIME`.
fn seconds(lifetime: Duration) -> [u8; 4] {
    let seconds = u32::try_from(lifetime.as_secs());
    seconds.unwrap_or(u32::MAX).to_be_bytes()
}
