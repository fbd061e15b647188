//! All ways of waiting for requests, alone and in pools, and the end when no client is left.

mod clients;
mod every_way;
mod many;
mod pools;
mod streams;
mod timed;

use std::{
    collections::HashSet,
    pin::{Pin, pin},
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use futures_core::Stream;
use tests::{
    CountingWaker, LONG, assert_balanced, block_on, ends::*, eventually, for_each, must_end, pass,
    poll_once, poll_with, stats_with,
};
use ump::{Client, Error, ReplyContext, Server};

type Ends = (Server<u32, u32, ()>, Client<u32, u32, ()>);
type Job = (u32, ReplyContext<u32, ()>);

fn post(client: &Client<u32, u32, ()>, messages: impl IntoIterator<Item = u32>) {
    for message in messages {
        client.post(message).wait().unwrap();
    }
}

fn messages(batch: &[Job]) -> Vec<u32> {
    batch.iter().map(|(n, _)| *n).collect()
}

fn poll_stream<T: Stream + Unpin>(
    stream: &mut T,
    counter: &Arc<CountingWaker>,
) -> Poll<Option<T::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(&counter.waker()))
}
