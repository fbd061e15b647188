//! What the models share. Built without `--cfg shuttle` this package is empty.
//!
//! A model is a cast of actors, threads and tasks (`actor`): callers (`caller`) that ask in ways left to chance, and workers (`worker`) that
//! answer likewise. All that they do is written down in a book (`book`), which is compared with the channel's own `Stats` when
//! the curtain has fallen. `explore` runs a model under many schedules, and replays one. The allocator (`quarantine`) sees
//! to it that this is possible.
#![cfg(shuttle)]

pub mod actor;
pub mod book;
pub mod caller;
pub mod chance;
pub mod explore;
pub mod quarantine;
pub mod worker;

pub use explore::explore;

/// A server that answers messages of a book.
pub type Server = ump::Server<book::Message, book::Reply, book::Reply>;

/// A client of it.
pub type Client = ump::Client<book::Message, book::Reply, book::Reply>;

/// The same, which does not keep the channel alive.
pub type WeakClient = ump::WeakClient<book::Message, book::Reply, book::Reply>;

/// The duty to answer a message.
pub type Duty = ump::ReplyContext<book::Reply, book::Reply>;
