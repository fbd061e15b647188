//! The public types that are errors, reports and statuses, with the traits that each has.

use std::{any::type_name, error::Error as StdError, fmt, hash::Hash};

use serde::{Serialize, de::DeserializeOwned};
use ump::{
    Error, Executed, NoReply, OsError, PanicMessage, Refused, RequestError, SendError, Stats,
    ZeroCapacity, hooks::Cycle,
};

use crate::Ask;

/// The traits that each type has.
fn is_data<T: Clone + fmt::Debug + PartialEq + Send + Sync + 'static>() -> &'static str {
    type_name::<T>()
}

fn is_error<T: StdError>() {}
fn is_exact<T: Eq + Hash>() {}
fn is_serializable<T: Serialize>() {}
fn is_read_back<T: DeserializeOwned>() {}

/// A row: the type, and its other traits.
macro_rules! table {
    ($($type:ty: $($property:ident)*;)*) => {
        &[$(|| {
            $($property::<$type>();)*
            is_data::<$type>()
        }),*]
    };
}

pub(crate) const TABLE: &[fn() -> &'static str] = table! {
    Error<Refused>: is_error is_exact is_serializable is_read_back;
    RequestError<u8, Refused>: is_error is_exact is_serializable is_read_back;
    SendError<u8>: is_error is_exact is_serializable is_read_back;
    ZeroCapacity: is_error is_exact is_serializable is_read_back;
    OsError: is_error is_exact is_serializable is_read_back;
    Cycle: is_error is_exact is_serializable is_read_back;
    Refused: is_error is_exact is_serializable is_read_back;
    NoReply: is_exact is_serializable is_read_back;
    PanicMessage: is_exact is_serializable is_read_back;
    Executed: is_exact is_serializable is_read_back;
    Stats: is_exact is_serializable is_read_back;
    ump::Spin: ;

    ump_server::JoinError: is_error is_exact is_serializable;
    ump_server::JoinErrorKind: is_error is_exact is_serializable;
    ump_server::LoopStartError: is_error is_exact is_serializable;
    ump_server::SpawnError<Refused>: is_error is_exact is_serializable;
    ump_server::AttributeRefused: is_error is_exact is_serializable;
    ump_server::WorkerStatus: is_exact is_serializable;
    ump_server::WorkerState: is_exact is_serializable;
    ump_server::InHand: is_exact is_serializable;
    ump_server::watchdog::Stall: is_exact is_serializable;
    ump_server::watchdog::Stage: is_exact is_serializable;
    ump_server::system::ConfigError: is_error is_exact is_serializable;
    ump_server::system::PlanError: is_error is_exact is_serializable;
    ump_server::system::LookupError: is_error is_exact is_serializable;
    ump_server::system::Failure: is_exact is_serializable;
    ump_server::system::Report: is_exact is_serializable;
    ump_server::system::StoppedInstance: is_exact is_serializable;
    ump_server::system::StopOutcome: is_exact is_serializable;
    ump_server::system::ComponentStatus: is_exact is_serializable;
    ump_server::system::InstanceStatus: is_exact is_serializable;
    ump_server::system::PastFailure: is_exact is_serializable;
    ump_server::system::PastStall: is_exact is_serializable;
    ump_server::system::State: is_exact is_serializable;
    ump_server::system::Strategy: is_exact is_serializable;
    ump_server::system::Escalation: is_exact is_serializable;
    ump_server::timer::Missed: is_exact;
    ump_server::FailureEvent: is_exact is_serializable;
    ump_server::Decision: is_exact is_serializable;
    ump_server::Stop: is_exact is_serializable;
    ump_server::OnPanic: ;
    ump_server::task::OnTimeout: is_exact is_serializable;

    ump_server::bus::Channel: is_exact;
    ump_server::bus::Delivery: ;
    ump_server::bus::MailboxStats: is_serializable;
    ump_server::bus::NotSent<u8>: is_error;
    ump_server::sans_io::BusInput<u8>: ;
    ump_server::sans_io::BusOutput<u8>: ;
    ump_server::sans_io::CloseReason: is_exact;
    ump_server::sans_io::Command<u8>: ;
    ump_server::sans_io::EngineStats: is_serializable;
    ump_server::sans_io::GroupFull<u8>: is_error;
    ump_server::sans_io::GroupStats: is_serializable;
    ump_server::sans_io::InputRefused<u8>: is_error;
    ump_server::sans_io::NamedTask: ;
    ump_server::sans_io::Origin: is_exact;
    ump_server::sans_io::Placement: ;
    ump_server::sans_io::RawPacket<'static>: ;
    ump_server::sans_io::Receive<'static>: ;
    ump_server::sans_io::Reply: ;
    ump_server::sans_io::Report<u8>: ;
    ump_server::sans_io::ShutDown: ;
    ump_server::sans_io::Shutdown: ;
    ump_server::sans_io::SocketError: is_error;
    ump_server::sans_io::SocketFailure: ;
    ump_server::sans_io::SocketNumber: is_exact;
    ump_server::sans_io::Spawn<u8>: ;
    ump_server::sans_io::StopReport<u8>: ;
    ump_server::sans_io::StoppedWorker: ;
    ump_server::sans_io::StreamConnect: ;
    ump_server::sans_io::StreamInput<'static>: ;
    ump_server::sans_io::StreamOutput: ;
    ump_server::sans_io::StuckTask: ;
    ump_server::sans_io::TaskAddress: is_exact;
    ump_server::sans_io::TaskEnd: is_serializable;
    ump_server::sans_io::Transmit: ;
    ump_server::sans_io::Turned: ;
    ump_server::sans_io::Unused: is_exact;
    ump_server::sans_io::WorkerEnd: ;
    ump_server::sans_io::WorkerFailure: ;
    ump_server::sans_io::WorkerSummary: ;

    ump_router::Error: is_error is_exact is_serializable;
    ump_router::ProtocolError: is_error is_exact is_serializable;
    ump_router::TopicError: is_error is_exact is_serializable;
    ump_router::TopicErrorKind: is_exact is_serializable;
    ump_router::PublishError<u8>: is_error is_exact is_serializable;
    ump_router::RequestError<Ask>: is_error is_serializable;
    ump_router::RequestErrorKind<Refused>: is_error is_exact is_serializable;
    ump_router::RecvError: is_error is_exact is_serializable;
    ump_router::Published: is_exact is_serializable;
    ump_router::WhenFull: is_exact is_serializable;
    ump_router::SubscriptionStatus: is_exact is_serializable;
    ump_router::SubscriptionOwner: is_exact is_serializable;
    ump_router::RetainedStatus: is_exact is_serializable;
    ump_router::ReceivedAs: is_exact is_serializable;
    ump_router::ServerStatus: is_exact is_serializable;
    ump_router::Change: is_exact is_serializable;
    ump_router::ChangeKind: is_exact is_serializable;
    ump_router::Call<Ask>: is_exact;
    ump_router::Topic: is_exact is_serializable is_read_back;
    ump_router::Pattern: is_exact is_serializable is_read_back;
    ump_router::topic::Relation: is_exact is_serializable;
    ump_router::topic::Conflict: is_exact;
    ump_router::topic::Place: is_exact;
    ump_router::Answer<Ask>: ;
    ump_router::routing::Input<u8>: ;
    ump_router::routing::Output<u8>: ;
    ump_router::routing::Outcome<u8>: is_exact is_serializable;
    ump_router::routing::Violation: is_error is_exact is_serializable;
    ump_router::routing::RequestId: is_exact is_serializable;
    ump_router::link::wire::Kind: is_exact;
    ump_router::link::wire::Limits: is_exact;
    ump_router::link::wire::Hello: is_exact;
    ump_router::link::wire::Message: ;
    ump_router::link::wire::RetainedChange: is_exact;
    ump_router::link::wire::Stamp: is_exact;
    ump_router::link::wire::WireError: is_error is_exact;
    ump_router::link::wire::Caps: ;
    ump_router::link::wire::Decoded: ;
    ump_router::link::session::Config: ;
    ump_router::link::session::Timeouts: is_exact;
    ump_router::link::session::Credit: is_exact;
    ump_router::link::session::Publication: is_exact;
    ump_router::link::session::Call: is_exact;
    ump_router::link::session::Event: ;
    ump_router::link::session::Outcome: is_exact;
    ump_router::link::session::Progress: is_exact;
    ump_router::link::session::Replica: is_exact;
    ump_router::link::session::Traffic: is_exact is_serializable;
    ump_router::link::session::Closed: is_error is_exact;
    ump_router::link::session::Rejected: is_error is_exact;
    ump_router::LinkError: is_error is_exact is_serializable;
};

/// The types of sockets in a loop.
#[cfg(unix)]
pub(crate) const SOCKETS: &[fn() -> &'static str] = table! {
    ump_server::net::Address: is_exact is_serializable;
    ump_server::net::Datagram: is_exact;
    ump_server::net::Interest: is_exact;
    ump_server::net::Operation: is_exact is_serializable;
    ump_server::net::Received<'static>: ;
    ump_server::net::SendTo<'static>: is_exact;
    ump_server::net::SocketKind: is_exact is_serializable;
    ump_server::net::SocketStatus: is_exact is_serializable;
    ump_server::net::Spread: is_exact is_serializable is_read_back;
    ump_router::bridge::Announced: is_exact;
    ump_router::bridge::Outcome: is_exact;
    ump_router::bridge::Outgoing: is_exact;
    ump_router::link::sockets::Address: is_exact;
    ump_router::link::sockets::Identity: is_exact;
    ump_router::link::sockets::LinkFailure: is_error is_exact;
    ump_router::link::sockets::LinkRefusal: is_exact;
    ump_router::link::sockets::LinkState: is_exact;
    ump_router::link::sockets::LinkStatus: is_exact;
    ump_router::link::sockets::LinkSetupError: is_error is_exact;
    ump_router::link::sockets::Permission: is_exact;
    ump_router::link::sockets::Quota: is_exact;
    ump_router::link::sockets::Quotas: is_exact;
    ump_router::link::sockets::RulesError: is_error is_exact;
    ump_router::link::sockets::TlsError: is_error is_exact;
    ump_router::link::sockets::Who: is_exact;
};
#[cfg(not(unix))]
pub(crate) const SOCKETS: &[fn() -> &'static str] = &[];

/// The types that cannot be cloned or compared, and the reason.
pub(crate) const EXEMPT: &[(&str, &str)] = &[
    (
        "ump_server::system::report::error::StartError",
        "has a factory's own error in it, a boxed one",
    ),
    (
        "ump_server::system::report::error::StartFailure",
        "has a factory's own error in it, a boxed one",
    ),
    (
        "ump_server::net::error::Error",
        "has the error of the system in it, which cannot be compared",
    ),
    (
        "ump_server::net::event::Event",
        "has a connection in it that was accepted",
    ),
    (
        "ump_server::net::readiness::Pending",
        "is public in models only",
    ),
    (
        "ump_server::worker::schedule::OnRefusal",
        "is a choice with a closure in it",
    ),
    (
        "ump_server::worker::handler_shape::ByTypes",
        "is a type without values, for the shape of a trait",
    ),
    (
        "ump_server::sans_io::doc::ping::Pong",
        "is of an example in the documentation",
    ),
    (
        "ump_server::sans_io::group::output::GroupOutput",
        "has what a user's task puts out in it",
    ),
    (
        "ump_server::sans_io::io::Input",
        "has what a user's task takes in it",
    ),
    (
        "ump_server::sans_io::io::Output",
        "has what a user's task puts out in it",
    ),
    (
        "ump_server::sans_io::packet::Datagrams",
        "is a type without values, for the kind of a network",
    ),
    (
        "ump_server::sans_io::packet::NoNetwork",
        "is a type without values, for the kind of a network",
    ),
    (
        "ump_server::sans_io::raw_packet::RawPackets",
        "is a type without values, for the kind of a network",
    ),
    (
        "ump_server::sans_io::request::Refused",
        "has a user's task in it",
    ),
    (
        "ump_server::sans_io::request::Request",
        "has a user's task in it",
    ),
    ("ump_server::sans_io::sockets::UdpSockets", "owns sockets"),
    (
        "ump_server::sans_io::streams::values::Streams",
        "is a type without values, for the kind of a network",
    ),
    (
        "ump::hooks::wait::Goal",
        "is for writers of loops, and no report",
    ),
    (
        "ump::hooks::watcher::Driven",
        "has a watcher and a waker in it, for writers of loops",
    ),
];
