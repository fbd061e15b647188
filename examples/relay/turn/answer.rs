//! The responses to requests.

use std::net::SocketAddr;

use super::{
    Count, Shared,
    credentials::{Identity, PASSWORD_ALGORITHMS},
};
use crate::stun::{Class, Message, Method, TransactionId, Writer, attribute::Attribute};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    BadRequest,
    Unauthorized,
    Forbidden,
    UnknownAttribute,
    AllocationMismatch,
    StaleNonce,
    AddressFamilyNotSupported,
    WrongCredentials,
    UnsupportedTransport,
    PeerAddressFamilyMismatch,
    AllocationQuotaReached,
    InsufficientCapacity,
}

impl Refusal {
    fn code(self) -> (u16, &'static str) {
        match self {
            Self::BadRequest => (400, "Bad Request"),
            Self::Unauthorized => (401, "Unauthenticated"),
            Self::Forbidden => (403, "Forbidden"),
            Self::UnknownAttribute => (420, "Unknown Attribute"),
            Self::AllocationMismatch => (437, "Allocation Mismatch"),
            Self::StaleNonce => (438, "Stale Nonce"),
            Self::AddressFamilyNotSupported => (440, "Address Family not Supported"),
            Self::WrongCredentials => (441, "Wrong Credentials"),
            Self::UnsupportedTransport => (442, "Unsupported Transport Protocol"),
            Self::PeerAddressFamilyMismatch => (443, "Peer Address Family Mismatch"),
            Self::AllocationQuotaReached => (486, "Allocation Quota Reached"),
            Self::InsufficientCapacity => (508, "Insufficient Capacity"),
        }
    }
}

/// The response to a request that is refused.
#[must_use]
pub(super) struct Failure(Writer);

impl Failure {
    pub(super) fn new(request: &Message<'_>, refusal: Refusal) -> Self {
        Self::of(request.method, request.transaction, refusal)
    }

    pub(super) fn of(method: Method, transaction: TransactionId, refusal: Refusal) -> Self {
        let (code, reason) = refusal.code();
        Self(Writer::new(method, Class::Error, transaction).error(code, reason))
    }

    /// Lists the attributes that the server does not know.
    pub(super) fn unknown(self, unknown: &[Attribute]) -> Self {
        let types: Vec<u8> = unknown.iter().flat_map(|it| it.0.to_be_bytes()).collect();
        Self(self.0.attribute(Attribute::UNKNOWN_ATTRIBUTES, &types))
    }

    /// Tells the client what it needs to authenticate itself.
    pub(super) fn challenge(self, realm: &str, nonce: &str) -> Vec<u8> {
        let response = self
            .0
            .attribute(Attribute::REALM, realm.as_bytes())
            .attribute(Attribute::NONCE, nonce.as_bytes())
            .attribute(Attribute::PASSWORD_ALGORITHMS, &PASSWORD_ALGORITHMS);
        response.finish_with_fingerprint()
    }

    pub(super) fn signed(self, identity: &Identity) -> Vec<u8> {
        identity.sign(self.0).finish_with_fingerprint()
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0.finish_with_fingerprint()
    }
}

/// Returns the response to a binding request, which tells the client its address.
pub(super) fn binding(shared: &Shared, request: &Message<'_>, client: SocketAddr) -> Vec<u8> {
    let unknown = request.unknown_attributes();
    if !unknown.is_empty() {
        shared.count(Count::BadRequests);
        let failure = Failure::new(request, Refusal::UnknownAttribute);
        return failure.unknown(&unknown).finish();
    }
    shared.count(Count::Bindings);
    Writer::response(request, Class::Success)
        .address(Attribute::XOR_MAPPED_ADDRESS, client)
        .finish_with_fingerprint()
}
