//! The messages for one end-point.
//!
//! # Invariants
//!
//! 1. `is_announced` is set if and only if the callback was called, or is about to be called, for a
//!    message that has not been taken.
//! 2. `messages.len() <= capacity`.

use std::{fmt, mem, sync::Arc};

use crate::sync::Mutex;

/// The callback of a mailbox for new messages.
type OnMessage = Arc<dyn Fn() + Send + Sync>;

pub(super) struct Mailbox<M> {
    state: Mutex<State<M>>,
}

struct State<M> {
    messages: Vec<M>,
    capacity: usize,
    is_announced: bool,
    is_closed: bool,
    on_message: Option<OnMessage>,
    accepted: u64,
    full: u64,
    closed: u64,
}

/// The counters of an end-point's mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct MailboxStats {
    /// The number of messages that have not been taken.
    pub queued: usize,
    /// The number of messages that have been accepted.
    pub accepted: u64,
    /// The number of messages that found the mailbox full.
    pub full: u64,
    /// The number of messages that found the end-point closed, or were queued when it was closed.
    pub closed: u64,
}

/// A message that was not sent, and why. The message comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotSent<M> {
    /// The mailbox of the receiver is full.
    Full(M),
    /// The receiver is closed, or does not exist.
    Closed(M),
}

impl<M> NotSent<M> {
    /// Returns the message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }
}

impl<M> fmt::Debug for NotSent<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<M> fmt::Display for NotSent<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the mailbox of the receiver is full",
            Self::Closed(_) => "the receiver is closed",
        })
    }
}

impl<M> std::error::Error for NotSent<M> {}

impl<M> Mailbox<M> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                messages: Vec::new(),
                capacity,
                is_announced: false,
                is_closed: false,
                on_message: None,
                accepted: 0,
                full: 0,
                closed: 0,
            }),
        }
    }

    /// Adds a message.
    pub(super) fn add(&self, message: M) -> Result<(), NotSent<M>> {
        let mut state = self.state.lock();
        if state.is_closed {
            state.closed += 1;
            return Err(NotSent::Closed(message));
        }
        if state.messages.len() >= state.capacity {
            state.full += 1;
            return Err(NotSent::Full(message));
        }
        state.messages.push(message);
        state.accepted += 1;
        let announce = state.announce();
        drop(state);
        call(announce);
        Ok(())
    }

    /// Adds the first of these messages, as many as there is room for, and removes them from
    /// `messages`. Returns how many.
    pub(super) fn add_all(&self, messages: &mut Vec<M>) -> usize {
        if messages.is_empty() {
            return 0;
        }
        let mut state = self.state.lock();
        if state.is_closed {
            state.closed += messages.len() as u64;
            return 0;
        }
        let room = state.capacity - state.messages.len();
        let added = messages.len().min(room);
        state.full += (messages.len() - added) as u64;
        state.accepted += added as u64;
        state.messages.extend(messages.drain(..added));
        let announce = if added > 0 { state.announce() } else { None };
        drop(state);
        call(announce);
        added
    }

    /// Takes all messages. `into` is empty; its memory is used for the next ones.
    pub(super) fn take(&self, into: &mut Vec<M>) {
        let mut state = self.state.lock();
        state.is_announced = false;
        mem::swap(&mut state.messages, into);
    }

    /// Sets the callback. Calls it if there are messages.
    pub(super) fn on_message(&self, call_back: Option<OnMessage>) {
        let mut state = self.state.lock();
        let replaced = mem::replace(&mut state.on_message, call_back);
        state.is_announced = false;
        let announce = if state.messages.is_empty() {
            None
        } else {
            state.announce()
        };
        drop(state);
        drop(replaced);
        call(announce);
    }

    /// Closes the mailbox. Returns its messages and its callback, to be dropped outside of the
    /// lock.
    pub(super) fn close(&self) -> (Vec<M>, impl Sized + use<M>) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let messages = mem::take(&mut state.messages);
        state.closed += messages.len() as u64;
        let on_message = state.on_message.take();
        (messages, on_message)
    }

    pub(super) fn open(&self) {
        self.state.lock().is_closed = false;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    pub(super) fn stats(&self) -> MailboxStats {
        let state = self.state.lock();
        MailboxStats {
            queued: state.messages.len(),
            accepted: state.accepted,
            full: state.full,
            closed: state.closed,
        }
    }
}

impl<M> State<M> {
    /// Returns the callback if it is to be called for a message that was added.
    fn announce(&mut self) -> Option<OnMessage> {
        if mem::replace(&mut self.is_announced, true) {
            return None;
        }
        self.on_message.clone()
    }
}

/// Calls the callback. The lock is not held.
fn call(announce: Option<OnMessage>) {
    if let Some(on_message) = announce {
        on_message();
    }
}
