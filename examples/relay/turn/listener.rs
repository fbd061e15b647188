//! The task that gets the packets of clients without an allocation.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use ump_server::sans_io::{
    BusOutput, Input, IntoTask, Io, Output, Receive, Task, Transmit, Unused,
};

use super::{
    Allocation, Client, Count, NOTICES, Notice, Relay, Shared,
    allocation::Wanted,
    answer::{self, Failure, Refusal},
    challenges::Challenges,
    credentials::Identity,
    quota::QuotaReached,
    recent::KEPT,
};
use crate::stun::{
    Class, Message, Method, TransactionId,
    attribute::{Attribute, Family, read_u32},
};

/// The number of the transport UDP in `REQUESTED-TRANSPORT`.
const UDP: u8 = 17;

/// How long an allocation may take to answer its client before another one may be made.
const STARTING: Duration = Duration::from_secs(2);

/// The number of clients whose last transaction is remembered.
const MOST_REMEMBERED: usize = 65_536;

/// Answers binding requests, and makes allocations.
#[derive(Debug)]
pub(crate) struct Listener {
    shared: Shared,
    challenges: Challenges,
    remembered: HashMap<Client, Remembered>,
    /// The clients in `remembered`, in the order in which they are forgotten.
    order: VecDeque<(Instant, Client)>,
    outputs: VecDeque<Output<ListenerIo>>,
}

type ListenerIo = Io<Unused, Unused, Notice, NewAllocation>;

/// An allocation that a listener spawns.
#[derive(Debug)]
pub(crate) struct NewAllocation(Allocation);

impl IntoTask<Relay> for NewAllocation {
    fn into_task(self) -> Relay {
        Relay::Allocation(self.0)
    }
}

/// The last transaction of a client that has no allocation yet, or none any more.
#[derive(Debug)]
struct Remembered {
    at: Instant,
    transaction: TransactionId,
    /// `None` while the allocation is made: it will answer.
    response: Option<Vec<u8>>,
}

impl Listener {
    pub(crate) fn new(shared: Shared, now: Instant) -> Self {
        Self {
            shared,
            challenges: Challenges::new(now),
            remembered: HashMap::new(),
            order: VecDeque::new(),
            outputs: VecDeque::from([Output::Bus(BusOutput::Subscribe(NOTICES))]),
        }
    }

    fn receive(&mut self, now: Instant, packet: &Receive<'_>) {
        let client = Client {
            socket: packet.socket,
            address: packet.source,
        };
        let Ok(message) = Message::parse(&packet.payload) else {
            // Channel data of a client without an allocation is not malformed.
            let is_channel_data = packet.payload.first().is_some_and(|it| it & 0xC0 == 0x40);
            self.shared.count(if is_channel_data {
                Count::ClientDropped
            } else {
                Count::Malformed
            });
            return;
        };
        match message.class {
            Class::Request => self.request(now, client, &message),
            Class::Indication if message.method == Method::SEND => {
                self.shared.count(Count::ClientDropped);
            }
            // A keep-alive, or the response to nothing.
            Class::Indication | Class::Success | Class::Error => {}
        }
    }

    fn request(&mut self, now: Instant, client: Client, request: &Message<'_>) {
        if request.method == Method::BINDING {
            let response = answer::binding(&self.shared, request, client.address);
            return self.send(client, response);
        }
        let is_known = matches!(
            request.method,
            Method::ALLOCATE | Method::REFRESH | Method::CREATE_PERMISSION | Method::CHANNEL_BIND
        );
        if !is_known {
            self.shared.count(Count::BadRequests);
            return;
        }
        if self.is_duplicate(now, client, request) {
            return;
        }
        let identity = match self.shared.authenticate(now, client, request) {
            Ok(identity) => identity,
            Err(response) if self.challenges.take(now, client.address.ip()) => {
                return self.send(client, response);
            }
            Err(_) => return self.shared.count(Count::Unanswered),
        };
        let result = if request.method == Method::ALLOCATE {
            self.allocate(now, client, request, &identity)
        } else {
            Err(Refusal::AllocationMismatch)
        };
        if let Err(refusal) = result {
            self.shared.count(match refusal {
                Refusal::AllocationQuotaReached | Refusal::InsufficientCapacity => Count::Refused,
                _ => Count::BadRequests,
            });
            let response = Failure::new(request, refusal).signed(&identity);
            self.send(client, response);
        }
    }

    /// Returns whether a request needs no further answer: the client repeats it.
    fn is_duplicate(&mut self, now: Instant, client: Client, request: &Message<'_>) -> bool {
        let Some(remembered) = self.remembered.get(&client) else {
            return false;
        };
        match &remembered.response {
            Some(response) if remembered.transaction == request.transaction => {
                let response = response.clone();
                self.send(client, response);
            }
            Some(_) => return false,
            None if now.saturating_duration_since(remembered.at) >= STARTING => return false,
            None => {}
        }
        self.shared.count(Count::Duplicates);
        true
    }

    fn allocate(
        &mut self,
        now: Instant,
        client: Client,
        request: &Message<'_>,
        identity: &Identity,
    ) -> Result<(), Refusal> {
        let wanted = self.wanted(request)?;
        if self.shared.is_draining() {
            return Err(Refusal::InsufficientCapacity);
        }
        let permit = self.shared.quota.acquire(&identity.user);
        let permit = permit.map_err(|reached| match reached {
            QuotaReached::User => Refusal::AllocationQuotaReached,
            QuotaReached::Total => Refusal::InsufficientCapacity,
        })?;
        let allocation = Allocation::new(
            self.shared.clone(),
            now,
            client,
            (request.transaction, identity.clone()),
            permit,
            wanted,
        );
        self.remember(now, client, request.transaction, None);
        self.outputs
            .push_back(Output::Spawn(NewAllocation(allocation)));
        Ok(())
    }

    /// Reads what the client wants.
    fn wanted(&self, request: &Message<'_>) -> Result<Wanted, Refusal> {
        match request.get(Attribute::REQUESTED_TRANSPORT) {
            Some([UDP, _, _, _]) => {}
            Some([_, _, _, _]) => return Err(Refusal::UnsupportedTransport),
            _ => return Err(Refusal::BadRequest),
        }
        let family = match request.get(Attribute::REQUESTED_ADDRESS_FAMILY) {
            None => Family::V4,
            Some(value) => Family::read(value).ok_or(Refusal::AddressFamilyNotSupported)?,
        };
        let even_port = request.get(Attribute::EVEN_PORT);
        if let Some(token) = request.get(Attribute::RESERVATION_TOKEN) {
            // No token was ever given out.
            let is_valid = token.len() == 8 && even_port.is_none();
            return Err(if is_valid {
                Refusal::InsufficientCapacity
            } else {
                Refusal::BadRequest
            });
        }
        let even_port = match even_port {
            None => false,
            // The next port is to be reserved, which is not supported.
            Some([flags]) if flags & 0x80 != 0 => return Err(Refusal::InsufficientCapacity),
            Some([_]) => true,
            Some(_) => return Err(Refusal::BadRequest),
        };
        if !self.shared.config.families.contains(&family) {
            return Err(Refusal::AddressFamilyNotSupported);
        }
        let lifetime = match request.get(Attribute::LIFETIME) {
            None => None,
            Some(value) => Some(read_u32(value).ok_or(Refusal::BadRequest)?),
        };
        Ok(Wanted {
            family,
            even_port,
            lifetime: self.shared.config.lifetimes.grant(lifetime),
        })
    }

    fn remember(
        &mut self,
        at: Instant,
        client: Client,
        transaction: TransactionId,
        response: Option<Vec<u8>>,
    ) {
        if self.order.len() >= MOST_REMEMBERED {
            if let Some((oldest, client)) = self.order.pop_front() {
                self.forget(oldest, client);
            }
        }
        let remembered = Remembered {
            at,
            transaction,
            response,
        };
        self.remembered.insert(client, remembered);
        self.order.push_back((at, client));
    }

    /// Forgets what was remembered of a client at an instant, unless there is something newer.
    fn forget(&mut self, at: Instant, client: Client) {
        if self.remembered.get(&client).is_some_and(|it| it.at == at) {
            self.remembered.remove(&client);
        }
    }

    fn send(&mut self, client: Client, response: Vec<u8>) {
        let packet = Transmit::new(client.address, response).socket(client.socket);
        self.outputs.push_back(Output::Net(packet));
    }
}

impl Task for Listener {
    type Io = ListenerIo;

    fn on_tick(&mut self, now: Instant) {
        while let Some(&(at, client)) = self.order.front() {
            if now.saturating_duration_since(at) < KEPT {
                break;
            }
            self.order.pop_front();
            self.forget(at, client);
        }
    }

    fn on_input(&mut self, now: Instant, input: Input<'_, ListenerIo>) {
        match input {
            Input::Net(packet) => self.receive(now, &packet),
            Input::App(unused) => match unused {},
            Input::Bus(notice) => match notice.message {
                Notice::Ended { client, last: None } => {
                    self.remembered.remove(&client);
                }
                Notice::Ended {
                    client,
                    last: Some((transaction, response)),
                } => self.remember(now, client, transaction, Some(response)),
            },
        }
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<ListenerIo>> {
        self.outputs.pop_front()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.order.front().map(|(at, _)| *at + KEPT)
    }
}
