//! Ways to send a request. Each function sends one.
#![expect(missing_docs, reason = "their names say it")]

use std::{future::IntoFuture, task::Poll};

use crate::{
    Counted, block_on,
    end::{Asker, Ended},
    poll_once, some_day,
};

#[must_use]
pub fn blocking(client: &Asker, message: Counted) -> Ended {
    Ended::of(message.name(), client.request(message).wait())
}

#[must_use]
pub fn awaiting(client: &Asker, message: Counted) -> Ended {
    let name = message.name();
    Ended::of(
        name,
        block_on::quietly(client.request(message).into_future()),
    )
}

#[must_use]
pub fn awaiting_nervously(client: &Asker, message: Counted) -> Ended {
    let name = message.name();
    Ended::of(
        name,
        block_on::nervously(client.request(message).into_future()),
    )
}

#[must_use]
pub fn polling_once_and_leaving(client: &Asker, message: Counted) -> Ended {
    let name = message.name();
    match poll_once(&mut client.request(message).into_future()) {
        Poll::Ready(outcome) => Ended::of(name, outcome),
        Poll::Pending => Ended::Left,
    }
}

#[must_use]
pub fn polling_twice_and_leaving(client: &Asker, message: Counted) -> Ended {
    let name = message.name();
    let mut asking = client.request(message).into_future();
    for _ in 0..2 {
        if let Poll::Ready(outcome) = poll_once(&mut asking) {
            return Ended::of(name, outcome);
        }
    }
    Ended::Left
}

#[must_use]
pub fn submitting_and_waiting(client: &Asker, message: Counted) -> Ended {
    let name = message.name();
    match client.request(message).submit().wait() {
        Ok(reply) => Ended::of(name, reply.wait()),
        Err(error) => Ended::unsent(name, error),
    }
}

#[must_use]
pub fn submitting_and_awaiting(client: &Asker, message: Counted) -> Ended {
    let name = message.name();
    match block_on::quietly(client.request(message).submit().into_future()) {
        Ok(reply) => Ended::of(name, block_on::quietly(reply)),
        Err(error) => Ended::unsent(name, error),
    }
}

#[must_use]
pub fn submitting_and_leaving(client: &Asker, message: Counted) -> Ended {
    let name = message.name();
    match client.request(message).submit().wait() {
        Ok(_reply) => Ended::Left,
        Err(error) => Ended::unsent(name, error),
    }
}

#[must_use]
pub fn with_a_deadline(client: &Asker, message: Counted) -> Ended {
    let name = message.name();
    Ended::of(name, client.request(message).deadline(some_day()).wait())
}

#[must_use]
pub fn awaiting_with_a_deadline(client: &Asker, message: Counted) -> Ended {
    let name = message.name();
    let request = client.request(message).deadline(some_day());
    Ended::of(name, block_on::quietly(request.into_future()))
}

#[must_use]
pub fn urgently(client: &Asker, message: Counted) -> Ended {
    Ended::of(message.name(), client.request(message).urgent().wait())
}

#[must_use]
pub fn awaiting_urgently(client: &Asker, message: Counted) -> Ended {
    let name = message.name();
    Ended::of(
        name,
        block_on::quietly(client.request(message).urgent().into_future()),
    )
}

#[must_use]
pub fn posting(client: &Asker, message: Counted) -> Ended {
    let name = message.name();
    match client.post(message).wait() {
        Ok(()) => Ended::Left,
        Err(error) => Ended::unsent(name, error),
    }
}
