//! A client of the server in virtual time.

use std::{net::SocketAddr, time::Duration};

use crate::{
    stun::{
        Class, Integrity, Key, Message, Method, PasswordAlgorithm, TransactionId, Writer,
        attribute::{Attribute, read_address, read_u32},
    },
    world::{REALM, SERVER, USERS, World},
};

/// How long a client waits for a response before it repeats the request, at first.
const FIRST_TIMEOUT: Duration = Duration::from_millis(500);

/// How often it repeats it.
const TRIES: u32 = 14;

pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    user: String,
    key: Key,
    pub(crate) nonce: Option<Vec<u8>>,
    transactions: u64,
    /// Whether it uses SHA-256.
    pub(crate) is_modern: bool,
}

/// A response, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) bytes: Vec<u8>,
    /// The code of the error, or zero.
    pub(crate) code: u16,
}

impl Response {
    fn new(bytes: Vec<u8>) -> Self {
        let message = Message::parse(&bytes).expect("the server sends messages");
        let code = match message.class {
            Class::Success => 0,
            Class::Error => match message.get(Attribute::ERROR_CODE) {
                Some([_, _, class, number, ..]) => u16::from(*class) * 100 + u16::from(*number),
                other => panic!("no error code: {other:?}"),
            },
            class => panic!("not a response: {class:?}"),
        };
        Self { bytes, code }
    }

    pub(crate) fn get(&self, kind: Attribute) -> Option<Vec<u8>> {
        let message = Message::parse(&self.bytes).expect("it was parsed before");
        message.get(kind).map(<[u8]>::to_vec)
    }

    pub(crate) fn address(&self, kind: Attribute) -> SocketAddr {
        let message = Message::parse(&self.bytes).expect("it was parsed before");
        let value = message.get(kind).expect("it has the address");
        read_address(value, &message.transaction).expect("it is an address")
    }

    pub(crate) fn lifetime(&self) -> u32 {
        let value = self.get(Attribute::LIFETIME).expect("it has a lifetime");
        read_u32(&value).expect("it is a number")
    }
}

/// Adds the attributes of a request.
pub(crate) type Attributes<'a> = &'a dyn Fn(Writer) -> Writer;

/// Asks for UDP, as each allocation has to.
pub(crate) fn udp(request: Writer) -> Writer {
    request.attribute(Attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0])
}

impl Client {
    /// Adds a client of a user, which exists or not.
    pub(crate) fn new(world: &mut World, address: SocketAddr, user: &str) -> Self {
        world.add_port(address);
        let password = USERS.iter().find(|(name, _)| *name == user);
        let password = password.map_or("guessed", |(_, password)| password);
        Self {
            address,
            user: user.to_owned(),
            key: Key::long_term(PasswordAlgorithm::Md5, user, REALM, password),
            nonce: None,
            transactions: 0,
            is_modern: false,
        }
    }

    /// Uses SHA-256 for the key and for the integrity.
    pub(crate) fn modern(mut self) -> Self {
        let (user, password) = USERS[0];
        self.key = Key::long_term(PasswordAlgorithm::Sha256, user, REALM, password);
        self.is_modern = true;
        self
    }

    /// Makes itself another user.
    pub(crate) fn set_user(&mut self, user: &str) {
        let password = USERS.iter().find(|(name, _)| *name == user).unwrap().1;
        user.clone_into(&mut self.user);
        self.key = Key::long_term(PasswordAlgorithm::Md5, user, REALM, password);
    }

    fn next_transaction(&mut self) -> TransactionId {
        self.transactions += 1;
        let mut id = [0; 12];
        id[..2].copy_from_slice(&self.address.port().to_be_bytes());
        id[4..].copy_from_slice(&self.transactions.to_be_bytes());
        TransactionId(id)
    }

    /// Writes a request, with credentials if there is a nonce.
    pub(crate) fn write(&mut self, method: Method, attributes: Attributes<'_>) -> Vec<u8> {
        let transaction = self.next_transaction();
        let mut request = attributes(Writer::new(method, Class::Request, transaction));
        if let Some(nonce) = &self.nonce {
            request = request
                .attribute(Attribute::USERNAME, self.user.as_bytes())
                .attribute(Attribute::REALM, REALM.as_bytes())
                .attribute(Attribute::NONCE, nonce);
            let integrity = if self.is_modern {
                request = request
                    .attribute(Attribute::PASSWORD_ALGORITHMS, &[0, 2, 0, 0, 0, 1, 0, 0])
                    .attribute(Attribute::PASSWORD_ALGORITHM, &[0, 2, 0, 0]);
                Integrity::Sha256
            } else {
                Integrity::Sha1
            };
            request = request.integrity(integrity, &self.key);
        }
        request.finish_with_fingerprint()
    }

    /// Sends a request until it is answered.
    pub(crate) fn exchange(&mut self, world: &mut World, request: &[u8]) -> Response {
        let transaction = Message::parse(request).unwrap().transaction;
        for n in 0..TRIES {
            world.send(self.address, SERVER, request);
            world.run_for(FIRST_TIMEOUT * 2_u32.pow(n.min(4)));
            for (from, datagram) in world.received(self.address) {
                let answers = |it: Message<'_>| {
                    it.transaction == transaction && it.class != Class::Indication
                };
                if from == SERVER && Message::parse(&datagram).is_ok_and(answers) {
                    return Response::new(datagram);
                }
            }
        }
        panic!("there is no response");
    }

    /// Sends a request, and again with the nonce that the server wants.
    pub(crate) fn ask(
        &mut self,
        world: &mut World,
        method: Method,
        attributes: Attributes<'_>,
    ) -> Response {
        for _ in 0..2 {
            let request = self.write(method, attributes);
            let response = self.exchange(world, &request);
            match response.code {
                401 if self.nonce.is_none() => {}
                438 => {}
                _ => {
                    self.check_signature(&response);
                    return response;
                }
            }
            let realm = response.get(Attribute::REALM);
            assert_eq!(realm.as_deref(), Some(REALM.as_bytes()));
            self.nonce = response.get(Attribute::NONCE);
        }
        panic!("the server does not want its own nonce");
    }

    /// Checks that a response to a request with valid credentials is signed.
    fn check_signature(&self, response: &Response) {
        let message = Message::parse(&response.bytes).unwrap();
        if message.method != Method::BINDING && response.code != 401 && response.code != 400 {
            let integrity = message.integrity().expect("it is signed");
            assert_eq!(integrity == Integrity::Sha256, self.is_modern);
            assert!(message.verify(integrity, &self.key));
        }
    }

    /// Makes an allocation, and returns its address.
    pub(crate) fn allocate(&mut self, world: &mut World) -> SocketAddr {
        let response = self.ask(world, Method::ALLOCATE, &udp);
        assert_eq!(response.code, 0);
        assert_eq!(
            response.address(Attribute::XOR_MAPPED_ADDRESS),
            self.address
        );
        response.address(Attribute::XOR_RELAYED_ADDRESS)
    }

    pub(crate) fn refresh(&mut self, world: &mut World, lifetime: u32) -> Response {
        self.ask(world, Method::REFRESH, &|request| {
            request.attribute(Attribute::LIFETIME, &lifetime.to_be_bytes())
        })
    }

    pub(crate) fn permit(&mut self, world: &mut World, peer: SocketAddr) -> u16 {
        let response = self.ask(world, Method::CREATE_PERMISSION, &|request| {
            request.address(Attribute::XOR_PEER_ADDRESS, peer)
        });
        response.code
    }

    pub(crate) fn bind(&mut self, world: &mut World, channel: u16, peer: SocketAddr) -> u16 {
        let response = self.ask(world, Method::CHANNEL_BIND, &|request| {
            let [high, low] = channel.to_be_bytes();
            request
                .attribute(Attribute::CHANNEL_NUMBER, &[high, low, 0, 0])
                .address(Attribute::XOR_PEER_ADDRESS, peer)
        });
        response.code
    }

    /// Sends data to a peer by an indication.
    pub(crate) fn indicate(&mut self, world: &mut World, peer: SocketAddr, data: &[u8]) {
        let transaction = self.next_transaction();
        let indication = Writer::new(Method::SEND, Class::Indication, transaction)
            .address(Attribute::XOR_PEER_ADDRESS, peer)
            .attribute(Attribute::DATA, data)
            .finish();
        world.send(self.address, SERVER, indication);
    }

    /// Returns the data of the indications that it has received.
    pub(crate) fn indicated(&self, world: &mut World) -> Vec<(SocketAddr, Vec<u8>)> {
        let received = world.received(self.address).into_iter();
        let data = received.filter_map(|(_, datagram)| {
            let message = Message::parse(&datagram).ok()?;
            let is_data = (message.method, message.class) == (Method::DATA, Class::Indication);
            let peer = message.get(Attribute::XOR_PEER_ADDRESS)?;
            let peer = read_address(peer, &message.transaction)?;
            let data = message.get(Attribute::DATA)?.to_vec();
            is_data.then_some((peer, data))
        });
        data.collect()
    }
}
