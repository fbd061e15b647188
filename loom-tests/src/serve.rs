//! Ways to serve. Each function takes requests until no client is left.
#![expect(missing_docs, reason = "their names say it")]

use std::future::poll_fn;

use crate::{
    Counted, block_on,
    end::{Answerer, Reply},
    some_day,
};

/// Handles one taken request.
pub type Handle<'a> = &'a mut dyn FnMut((Counted, Reply));

pub fn waiting(server: &Answerer, handle: Handle<'_>) {
    server.iter().for_each(handle);
}

pub fn by_deadline(server: &Answerer, handle: Handle<'_>) {
    if let Ok(Some(job)) = server.wait_deadline(some_day()) {
        handle(job);
    }
    server.iter().for_each(handle);
}

pub fn many_at_a_time(server: &Answerer, handle: Handle<'_>) {
    let mut batch = Vec::new();
    while server.wait_many(&mut batch, 2).is_ok() {
        batch.drain(..).for_each(&mut *handle);
    }
}

pub fn awaiting(server: &Answerer, handle: Handle<'_>) {
    while let Ok(job) = block_on::quietly(server.async_wait()) {
        handle(job);
    }
}

pub fn awaiting_many(server: &Answerer, handle: Handle<'_>) {
    let mut batch = Vec::new();
    while block_on::quietly(server.async_wait_many(&mut batch, 2)).is_ok() {
        batch.drain(..).for_each(&mut *handle);
    }
}

pub fn by_a_stream(server: &Answerer, handle: Handle<'_>) {
    let mut requests = server.stream();
    while let Ok(job) = block_on::quietly(poll_fn(|cx| requests.poll_wait(cx))) {
        handle(job);
    }
}

pub fn polling(server: &Answerer, handle: Handle<'_>) {
    while let Ok(job) = block_on::quietly(poll_fn(|cx| server.poll_wait(cx))) {
        handle(job);
    }
}

pub fn awaiting_nervously(server: &Answerer, handle: Handle<'_>) {
    while let Ok(job) = block_on::nervously(server.async_wait()) {
        handle(job);
    }
}

pub fn polling_nervously(server: &Answerer, handle: Handle<'_>) {
    while let Ok(job) = block_on::nervously(poll_fn(|cx| server.poll_wait(cx))) {
        handle(job);
    }
}

/// Calls `try_pop` once, then blocks.
pub fn popping(server: &Answerer, handle: Handle<'_>) {
    if let Ok(Some(job)) = server.try_pop() {
        handle(job);
    }
    server.iter().for_each(handle);
}
