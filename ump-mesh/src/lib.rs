//! Routers of a network that find each other by themselves: the topics of [`ump_router`] over
//! [zenoh].
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use ump_mesh::{Config, Mesh};
//! use ump_router::{Message, Router};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Price(f64);
//! impl Message for Price {
//!     const PREFIX: &str = "price";
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let router = Router::new();
//! router.carry::<Price>()?; // this type travels
//! let mesh = Mesh::join(&router, Config::new()).wait()?; // or `.await`
//!
//! let mut prices = router.subscribe::<Price>("eth/*")?;
//! // Published by any program of the network that has joined.
//! println!("{}", prices.recv().wait()?.0);
//! # Ok(())
//! # }
//! ```
//!
//! From [`Mesh::join`] on, the types that [travel](ump_router::Router::carry) reach all routers of
//! the same [domain](Config::domain), and theirs reach this one. No address, port or file is needed
//! on one network. For how to use it, and what it does not do, see the README of this crate; for
//! other programs on the same zenoh network, `KEYS.md`.
//!
//! # What is promised
//!
//! - **Messages**: received and reported missed are what was sent. What nobody listens to does not
//!   leave the process. Messages of one topic from one participant keep their order, and come once.
//! - **Requests**: each ends once, in a reply or in a typed outcome. Without a server that is known
//!   at once ([`NoServer`](ump_router::RequestError::NoServer)); a participant that is lost ends
//!   the requests at it with [`ServerLost`](ump_router::link::wire::Failure::ServerLost), with the
//!   text whether the request was acknowledged. Deadlines and cancellation travel; a request is
//!   never sent twice.
//! - **Servers**: a topic has one server in the mesh, the others stand by. Two that claim it at the
//!   same time, or on both sides of a cut network, converge on one when they see each other: on
//!   the one that has begun to serve last, if they knew of each other. A request carries the epoch
//!   of the claim that it is for. A server that has lost its claim does not execute it: its claim
//!   has a new epoch, also if it serves again later.
//!
//! # An open mesh
//!
//! Without [TLS](Config::tls) **whoever reaches the network can join**: read all that travels,
//! publish and serve whatever it likes. The defaults bind to private addresses only and bound what
//! others can make this process do, and no more.
// (The design.)
//
//   Router ◀── Bridge (ump-router) ──▶ Driver: one thread ──▶ zenoh session
//                    ▲                    ▲    │ puts, tokens, subscribers
//                    │ messages           │    ▼
//                    └── callbacks ───────┴ Queue of events (bounded; callbacks wait for room)
//                        of zenoh           and of keys that were woken
//
// A callback of zenoh publishes a message straight into the router, which never waits. All else it
// puts into the queue. The thread alone has the state below, and alone sends: so what it sends to a
// participant keeps its order (all in one priority).
//
// # Keys
//
// The namespace of the session is `ump/DOMAIN`, and the port of multicast follows from the domain,
// so that two domains do not even connect. Below:
//
//   TOPIC                           messages; the attachment has the source, its number of the
//                                   topic, and the codec. Queries of plain zenoh programs.
//   @ump/1/p/ID/NAME/HOST/PID/MS    token: a participant
//   @ump/1/s/ID/N/PATTERN           token: its subscription number N
//   @ump/1/c/ID/EPOCH/TOPIC         token: its claim of a topic, which stands by
//   @ump/1/w/ID/EPOCH/TOPIC         token: its claim of a topic, which serves
//   @ump/1/l/ID/0/=                 token: it is about to leave
//   @ump/1/i/ID                     what one participant tells another: requests and their ends,
//                                   gaps, confirmations
//   @ump/1/b/ID                     the numbers of the topics that it has published on lately
//
// zenoh's wildcards do not match a fragment that begins with `@`, so no subscription of users sees
// `@ump`. A fragment of a topic that begins with `@` is escaped. See `keys.rs`.
//
// # Requests are puts, not queries
//
// zenoh 1.10 keeps a timer for each query until the time-out of the query has passed, also if it
// was answered, does not tell the other end that a query was dropped, and tells a killed server by
// silence. So a request is a put into the key of exactly one participant, and its end is a put
// back.
//
// # States and invariants
//
// 1. `Claims`: of the claims that serve, the one with the greatest term wins, and of these the
//    least participant; if none serves, the least (epoch, participant) is about to. The bridge has
//    the topic (so that servers of this process stand by) exactly if another participant wins; it
//    is asked only if it has told that it serves. A claim that has stepped down gets a greater
//    epoch, so that what was meant for it before is refused. See `claims.rs`.
// 2. `Pending`: a request of this process is in the table from before it is sent until it is
//    finished: by an end from its participant, by the loss of the participant, by its caller, or
//    because nobody acknowledged it in time. Each removal finishes it, once.
// 3. `Executing`: a request of another participant is in the table while it runs here. The loss of
//    the participant, or its cancel, removes it, which cancels it.
// 4. `Numbers`: a source counts its messages for each topic. A receiver counts what is missing
//    between two numbers, and before the first one it sees from `base`: the number of the topic
//    when the source saw the newest subscription. It does so only for subscriptions that the source
//    has confirmed, as others may have begun in the middle. See `numbers.rs`.
// 5. A token is declared after what it promises: the subscriber before the token of a subscription,
//    the inbox before all tokens.

mod claims;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod config;
mod driver;
mod envelope;
mod error;
mod interfaces;
mod keys;
mod mesh;
mod numbers;
mod participant;
mod progress;
mod queue;
mod settled;
mod shared;

pub use ump_router;
pub use zenoh;

pub use crate::{
    config::{Config, Tls, Transport},
    error::MeshError,
    keys::group,
    mesh::{Joining, JoiningFuture, Mesh},
    participant::{Participant, ParticipantId},
    settled::{Settled, SettledFuture},
};
