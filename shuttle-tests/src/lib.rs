//! The common parts of the models. Without `--cfg shuttle` this package is empty.
//!
//! A model has actors, which are threads and tasks (`actor`): callers (`caller`) that make random
//! kinds of requests, and workers (`worker`) that receive and handle them in random ways. A tracker
//! (`tracker`) records what happens to each message, and is compared with the channel's `Stats` at
//! the end. `explore` runs a model under many schedules, or replays one, which the allocator
//! (`quarantine`) makes deterministic.
#![cfg(shuttle)]

pub mod actor;
pub mod caller;
pub mod explore;
pub mod quarantine;
pub mod rng;
pub mod tracker;
pub mod worker;

pub use explore::explore;

/// A server of tracked messages.
pub type Server = ump::Server<tracker::Message, tracker::Reply, tracker::Reply>;

/// A client of it.
pub type Client = ump::Client<tracker::Message, tracker::Reply, tracker::Reply>;

/// A weak client of it.
pub type WeakClient = ump::WeakClient<tracker::Message, tracker::Reply, tracker::Reply>;

/// The context of a request.
pub type RequestContext = ump::ReplyContext<tracker::Reply, tracker::Reply>;
