//! Messages between a fixed number of end-points, usually the workers of a program: to one, to all
//! others, or to those that subscribe to a channel.
//!
//! ```
//! use ump_server::bus::{Bus, Channel};
//!
//! let bus = Bus::new(3, 1_024); // three end-points, each with room for 1,024 messages
//! let [a, b, c] = [0, 1, 2].map(|number| bus.endpoint(number));
//! c.subscribe(Channel(7));
//!
//! a.send(1, "to b")?;
//! assert_eq!(a.broadcast("to b and c").delivered, 2);
//! assert_eq!(a.publish(Channel(7), "to c").delivered, 1);
//!
//! let mut messages = Vec::new();
//! b.take(&mut messages);
//! assert_eq!(messages, ["to b", "to b and c"]);
//! c.take(&mut messages);
//! assert_eq!(messages, ["to b and c", "to c"]);
//! # Ok::<(), ump_server::bus::NotSent<&str>>(())
//! ```
//!
//! # Bounds
//! Each end-point has a mailbox with a limit. A message that finds it full comes back to the sender
//! (from [`send`](Endpoint::send)), or is dropped (one of several copies). Both are
//! [counted](Endpoint::stats). Nothing blocks: two end-points that send to each other cannot
//! deadlock.
//!
//! # Batches
//! A receiver takes all its messages at once, and a sender can send many at once
//! ([`send_all`](Endpoint::send_all)); each is one short critical section. That is what makes a bus
//! fast between two cores: they exchange cache lines once for a batch, not once for a message.
//!
//! # No wake-up is lost
//! A mailbox calls its [`on_message`](Endpoint::on_message) callback for the first message since
//! the last [`take`](Endpoint::take). Whether it is the first is decided in the critical section
//! that adds the message, and reset in the one that takes the messages. So each message is taken by
//! a `take` that follows a call, or there is a call after it. The callback runs outside of the
//! lock.
//!
//! # Order
//! The messages of one end-point to another arrive in the order of sending.

mod endpoint;
mod mailbox;
mod subscriptions;

pub use self::{
    endpoint::{Bus, Delivery, Endpoint},
    mailbox::{MailboxStats, NotSent},
    subscriptions::Channel,
};
