//! Links on sockets: routers of different processes that tell each other what they have. Requires
//! the feature `link`, and unix.
//!
//! Each process has its own [`Router`](crate::Router), with the same interface as without links.
//! One [listens](crate::Router::listen), others [connect](crate::Router::connect). A type of
//! messages travels once the program [says so](crate::Router::carry), which is the only place where
//! serde is asked for; payloads are CBOR unless the program chooses another
//! [codec]. All other types stay at home. The requests of a typed
//! service travel with `#[service(topic = "double", derive(Serialize, Deserialize))]` and
//! `carry_requests::<DoublerRequest>()`.
//!
//! ```
//! use std::time::Duration;
//! use serde::{Deserialize, Serialize};
//! use ump_router::{Message, RequestMessage, Router};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Price(f64);
//! impl Message for Price {
//!     const PREFIX: &str = "price";
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! struct Double(u32);
//! impl RequestMessage for Double {
//!     type Reply = u32;
//!     type Error = String;
//!     const PREFIX: &str = "double";
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // One process:
//! let hub = Router::new();
//! hub.carry::<Price>()?;
//! hub.carry_requests::<Double>()?;
//! let listener = hub.listen("tcp:127.0.0.1:0")?; // or "unix:bus.sock"
//! let server = hub.serve::<Double>("here")?;
//! # let serving =
//! std::thread::spawn(move || {
//!     for (call, rctx) in &server {
//!         let _ = rctx.reply(call.message.0 * 2);
//!     }
//! });
//!
//! // Another one:
//! let leaf = Router::new();
//! leaf.carry::<Price>()?;
//! leaf.carry_requests::<Double>()?;
//! let link = leaf.connect(listener.address())?;
//! let request = leaf.request("here", Double(21)).wait_for_server();
//! assert_eq!(request.timeout(Duration::from_secs(5)).wait().ok(), Some(42));
//!
//! let mut prices = hub.subscribe::<Price>("eth/*")?;
//! // A publisher learns whether anybody listens, there or here.
//! leaf.watch_subscribers::<Price>("eth/eur")?.changed().wait()?;
//! leaf.publish("eth/eur", Price(3000.0)).wait()?;
//! assert_eq!(prices.recv().wait()?.0, 3000.0);
//! # drop(link);
//! # hub.close();
//! # serving.join().unwrap();
//! # Ok(())
//! # }
//! ```
//!
//! # What travels
//!
//! - **Subscriptions** of carried types are told to the other router. A message goes over the link
//!   once, if any subscription there matches, and reaches the subscriptions that had asked for it.
//!   (If it is almost as long as a frame, it goes again for subscriptions that had no place in it.)
//!   Publishers see a link as one subscription for each type. A subscription is told soon after it
//!   begins, before the topics that its router serves later, and before the requests, replies and
//!   messages that it sends later, also through a hub: what an answer to them publishes is
//!   received. (The peer says how many may be told at once, 256 by default; if that many are on
//!   their way, the rest follow when it has answered.)
//! - A carried type travels **both ways**: what another router publishes reaches the subscriptions
//!   here. A program that only publishes to others can do so on a second router, which has the link
//!   and no subscriptions.
//! - **Served topics** of carried types are claimed at the other router, where the link stands by
//!   if the topic has a server. So a second [`serve`](crate::Router::serve) of a topic is refused
//!   there as at home, and a [standby](crate::ServeOptions::standby) follows when the link or the
//!   server is gone. Two routers that take a topic while there is no link between them both keep
//!   it: each has its own server first, and that of the other one as a standby.
//! - **Requests** keep their promise: each ends in one outcome. Errors of the other router, and of
//!   the link, are [`RequestError::Link`](crate::RequestError::Link), which names the link. If the
//!   link is lost, all requests on it end at once; one that was not sent comes back with its
//!   message. A request is never sent twice. The time that is left travels, so no clocks are
//!   compared. A caller that leaves cancels the request there.
//! - **Gaps** are told: messages without room, and messages that could not be decoded ([codec]),
//!   are [`Missed`](crate::RecvError::Missed). When a link is lost, the subscriptions that it had
//!   are told once ([`Interrupted`](crate::RecvError::Interrupted)), in the place where messages
//!   may be missing. A router that closes its link sends what waits before, so the other one is
//!   told nothing, unless it had made the link itself: then it misses what comes until it is back.
//! - **Retained messages** of carried types are retained at both ends, also without a subscription.
//!   See [below](#retained-messages).
//!
//! A link that was lost is made again, after 25 to 50 ms at first and after 5 s at most, and tells
//! the subscriptions and served topics that there are then.
//!
//! # Hubs
//!
//! A router that listens is a hub: what one link brings goes on to the other links that it has
//! accepted, whether its own program carries the types or not. Payloads pass unread.
//!
//! - A message goes once to each link that wants it, and never back to its own.
//! - Requests go to the link that claimed the topic first, and others stand by, or are refused if
//!   they do not want to; a server in the hub's own process answers there. If the link of the
//!   server is lost, the requests at it end with [`Failure::ServerLost`](super::wire::Failure); if
//!   that of the caller is lost, they are cancelled. The hub never sends a request a second time,
//!   and answers with [`Failure::Full`](super::wire::Failure) if the server's link has no room for
//!   it.
//! - What has no room at one link is a gap there, and holds up no other link. When a link is lost,
//!   the subscriptions at the others that it could have sent to are told once.
//! - Hubs pass nothing on into links that they have connected themselves, nor out of them. So there
//!   are no circles, and a path has one hub. A hub that connects to another hub takes part there
//!   with its own process only.
//!
//! # Retained messages
//!
//! A router tells what it [retains](crate::Publish::retain) and removes. Other routers retain and
//! remove the same, so a later subscription there receives the last message of each topic first,
//! as one here does, and [`read_retained`](crate::Router::read_retained) has it, too. A
//! subscription that is there before receives each of them once: as
//! [`Retained`](crate::ReceivedAs::Retained) if it is older than the link, and as published
//! otherwise. Removals and ends of the [time to live](crate::Publish::retain_for) are told to the
//! subscriptions that [ask for it](crate::SubscribeOptions::removals).
//!
//! - **The last change of a topic wins**, whoever made it: by the clocks of the systems, but always
//!   after the changes that the router had seen. Of the same time, that of the router with the
//!   greater number wins. When a link is made again, both ends tell what they have: then they are
//!   equal. A message that comes after a newer one of its topic is not received. One whose time is
//!   more than a minute ahead of a hub's clock is refused there, and subscriptions receive it: keep
//!   the clocks together. A router follows the clock of a hub up to a day ahead; of two hubs it
//!   follows the clock that is ahead, and if that is by more than a minute, the other hub refuses
//!   what the router retains.
//! - **A hub** keeps the retained messages of its links, also of types that its program does not
//!   carry, and of programs that have ended: until they are replaced, removed or expired, or the
//!   hub ends. They are in its memory only.
//! - **The time that is left** travels, not a time of a clock.
//! - **Limits**: at most 65,536 messages and 64 MiB of all links together
//!   ([`ListenOptions::max_retained`], [`ConnectOptions::max_retained`]), and a
//!   [quota](Quota::RetainedMessages) for each peer, by default of a quarter of the messages; there
//!   is none of its bytes. What exceeds them is received by subscriptions, but not retained, and
//!   the publisher's router is told ([`LinkRefusal`]).
//! - **Removals and expiries are remembered**, so that older messages do not come back: by a
//!   process the last 16,384 of each type, and by a hub the last 16,384 of all, for a day. Of one
//!   peer a hub remembers the last 4,096, so one peer does not push out those of others, but four
//!   peers together can. If a removal is forgotten, an older message of the topic is retained again
//!   when a link brings it: from a router that was away, or late.
//! - **A message that cannot be decoded** is [missed](crate::RecvError::Missed), and nothing is
//!   retained on its topic in this process.
//! - **A slow link** gets a gap for a message that it has no room for, and the message later, as
//!   retained.
//! - **Rules**: to retain or remove takes the permission to publish, and a router is told of topics
//!   that it may subscribe to.
//!
//! The link needs a copy of each payload that this process has retained. Messages that are longer
//! than the frames of a peer (1 MiB) are not retained there.
//!
//! # Two links between two routers
//!
//! One of them is used, so nothing comes twice: the older of two that one router has connected, or
//! that of the router with the smaller number if each has connected one. The other stands by: it
//! is closed, connects again after some seconds, and at once when the one in use is lost. A router
//! whose link looks alive at the other end only, for example after a sleep, makes a new one, which
//! replaces the old.
//!
//! There is an exception: if each router has connected the other one, and the peers of the two
//! links have different users, certificates or addresses, as [`Quotas`] count them, **both links
//! are used, and messages come twice**. So it is if one connects over a unix socket and the other
//! over TCP. The number of a router is no secret, so it alone gives no peer the place of another.
//! Let one of the two routers connect, or both over sockets of the same kind, each with one
//! certificate.
//!
//! # What a link does
//!
//! [`Link::state`] and [`Link::watch`] tell whether a link connects, is open and with whom, stands
//! by, or waits to be made again and why. [`Link::status`] and [`Listener::links`] add what has
//! gone over each: frames, bytes, messages and gaps in both directions, and the bytes that wait. In
//! [`Router::subscriptions`](crate::Router::subscriptions), those of links have the name of theirs.
//!
//! # Compression
//!
//! With the feature `compression`, `ListenOptions::compression` and `ConnectOptions::compression`
//! offer it for a link, which is compressed if both ends do. It begins after both hellos, so after
//! the handshake of TLS. A hub decompresses what it passes on between links of which only one is
//! compressed. Limits and credit count what a payload takes when it is decompressed, so compression
//! gives a peer no more memory.
//!
//! # What does not
//!
//! - The link never waits for the room of a subscription, so [`WhenFull::Block`](crate::WhenFull)
//!   does not slow a publisher in another process: the message is missed.
//! - [`Bytes`](crate::Bytes), and requests to [all](crate::Router::request_all) servers of a
//!   pattern beyond those that were told, do not travel.
//!
//! # Who may connect, and what they may do
//!
//! A router listens with [`ListenOptions`]; `listen` takes the default ones.
//!
//! - A **unix socket** is for its user: its mode is 0600. The peer is known by the credentials that
//!   the system gives (Linux).
//! - **TLS** (`tls:HOST:PORT`, feature `tls`) authenticates both ends, by certificates:
//!   `TlsConfig`.
//! - **TCP** listens on loopback addresses only, unless the program says in plain words that it
//!   shall not. The peers are anonymous: any process of this machine can connect.
//!
//! [`Rules`] say which [`Identity`] may publish, subscribe, serve and request what, and how much it
//! may have at a time: [`Quotas`]. Those of a listener can be replaced while links are open
//! ([`Listener::set_rules`]). A peer has 256 connections at most, unless a quota says something
//! else. What is refused is told, with the rule or the quota: a request gets
//! [`Failure::Denied`](crate::link::wire::Failure) or `Full` in its error; for a
//! subscription, a served topic or a message the router publishes a [`LinkRefusal`]; a link has a
//! [`last_failure`](Link::last_failure).
//!
//! The hello of a peer has at most 1032 bytes, and has to come within 5 seconds, the handshake of
//! TLS included. At most 128 connections of a listener wait for one: the oldest makes room. No
//! frame of a peer ends anything but its own link, and an older one of the same router and the same
//! user, certificate or address.
//!
//! # How
//!
//! All links of a router are handled by one thread, which starts with the first `listen` or
//! `connect`: a loop of `ump-server` with its sockets. A router without links has no thread, and
//! its publishers and callers do nothing for them.
//!
//! With the feature `tokio`, the loop may be a task of a runtime instead:
//! [`Router::drive_links_on`](crate::Router::drive_links_on). So a reply or a request that is for
//! a task wakes no other thread before, if the runtime runs both on one thread.
//!
//! A single request is written by the thread of its caller, and a single reply by that of the
//! server. A thread that [blocks](crate::Request::wait) until its reply waits for the socket by
//! itself, in place of the loop, if the link has no other request; a thread that
//! [blocks](crate::Server::wait) until its next request does so, if the last two came by the same
//! link. Meanwhile it does the loop's part for that link: it decodes what else the link brings, and
//! wakes others. So do not hold a lock while you wait for a reply or a request if decoding or
//! encoding a message takes it.
// (The header of the implementation.)
//
//   Router ── Links ──▶ commands ──▶ Driver (the loop): listeners, links by id
//                                      │
//     the index of a bus ◀── Outbox ── Peer: one Session, one socket
//     the claims of a topic ◀── Claim ──┘ │ requests out: LinkCalls ─▶ Session ─▶ Pending
//                                         └ requests in: Session ─▶ LocalRequest
//                        Relay: what accepted links bring for each other. See `driver/relay/`.
//
// Whatever the loop polls (outboxes, requests, replies) gets a waker with a key. A wake-up puts the
// key into a list, and the first one posts a command to the loop. See `driver/wake.rs`.
//
// The driver is behind a lock. A thread that wakes the loop for a lone request or reply tries the
// lock, and writes by itself. See `driver/direct.rs`. A thread that blocks reads by itself. See
// `driver/leader.rs`.

mod access;
mod address;
mod blocking;
pub(crate) mod carried;
pub mod codec;
mod driver;
mod error;
mod handle;
mod limits;
mod links;
pub(crate) mod names;
#[cfg(feature = "tokio")]
mod on_runtime;
mod options;
mod refusal;
mod router;
mod status;
#[cfg(feature = "tls")]
mod tls;
mod watch;

#[cfg(feature = "tls")]
pub use self::tls::{TlsConfig, TlsError};
pub use self::{
    access::{Identity, Permission, Quota, Quotas, Rules, RulesError, Who},
    address::{Address, Endpoint},
    error::{LinkFailure, LinkSetupError},
    handle::{Closing, ClosingFuture, Link, Listener, Opened, OpenedFuture},
    options::{ConnectOptions, ListenOptions},
    refusal::LinkRefusal,
    status::{LinkState, LinkStatus},
    watch::{LinkChanged, LinkWatch},
};
pub(crate) use self::{blocking::while_blocking, driver::wait_for_request, links::Links};
