//! A blocking request without a deadline: the caller cannot leave before the outcome, so its slot is on its stack.
//!
//! No allocation, and nobody else ever has to free it. What has to hold: the frame stays until the server's end has published
//! its outcome, also should the caller's thread unwind (the standard library's parking may panic while the thread ends); see [`Stay`].

use std::ptr::NonNull;

use crate::{
    channel::{Channel, Place},
    error::RequestError,
    send::send_blocking,
    slot::{Core, Entry, Lane, Memory, Slot, Terms},
    stats::Untaken,
    sync::Padded,
    ticket::outcome,
};

/// Asks and waits for the outcome. Waits for room as well, unless `if_room`.
pub(crate) fn ask<S, R, E>(
    channel: &Channel<S, R, E>,
    message: S,
    lane: Lane,
    if_room: bool,
) -> Result<R, RequestError<S, E>> {
    let terms = Terms {
        lane,
        deadline: None,
        post: false,
    };
    let memory = Memory {
        withdraw: on_the_stack_withdraw,
        free: on_the_stack_free,
    };
    // SAFETY: `common` is part of the channel, which we borrow for longer than the slot lives.
    let slot = Padded(unsafe { Slot::new(message, terms, channel.common(), memory) });
    let slot = &slot.0;
    let mut stay = Stay {
        channel,
        slot,
        sent: false,
    };
    let sent = send_blocking(channel, lane, None, if_room, |place: Place<'_>| {
        stay.sent = true;
        // SAFETY: the first entry of this slot, or the one before was refused and is void. `stay` keeps the slot alive.
        let offered = channel.send(unsafe { Entry::new(NonNull::from(slot)) }, place);
        stay.sent = offered.is_ok();
        offered
    });
    match sent {
        Ok(wake) => wake.fire(),
        // SAFETY: refused, so the slot is ours alone.
        Err(refusal) => return Err(refusal.with(unsafe { slot.message() }).into()),
    }
    slot.core.wait(None);
    stay.sent = false;
    // SAFETY: it is done, and asked for once.
    let verdict = unsafe { slot.core.verdict() };
    // SAFETY: the slot is ours alone, and only verdicts on requests that were not taken ask for the message.
    outcome(verdict, || unsafe { slot.message() })
}

/// Keeps the frame until nobody else can reach the slot.
struct Stay<'a, S, R, E> {
    channel: &'a Channel<S, R, E>,
    slot: &'a Slot<S, R, E>,
    /// The slot may be in the queue or in a handler's hands.
    sent: bool,
}

impl<S, R, E> Drop for Stay<'_, S, R, E> {
    fn drop(&mut self) {
        // SAFETY: alive, and sent to this channel.
        if self.sent && !unsafe { self.channel.withdraw(self.slot, Untaken::Cancelled) } {
            self.slot.core.wait(None);
        }
    }
}

/// Never called: only a [`Ticket`](crate::ticket::Ticket) withdraws by this way.
unsafe fn on_the_stack_withdraw<R, E>(_: NonNull<Core<R, E>>, _: Untaken) -> bool {
    unreachable!("a slot on the stack is withdrawn by its own frame")
}

/// Never called: a caller that cannot leave does not abandon its slot.
unsafe fn on_the_stack_free<R, E>(_: NonNull<Core<R, E>>) {
    unreachable!("a slot on the stack is never abandoned")
}
