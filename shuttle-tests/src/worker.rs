//! Workers.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use futures_core::Stream;
use ump::Error;

use crate::{
    RequestContext, Server,
    actor::{Actor, block_on, join, poll_times},
    rng::{any, below, one_in},
    tracker::{Message, Reply, ReplyToken},
};

/// The largest batch.
const BATCH: usize = 3;
/// A time that passes when the schedule lets it.
const SOME_TIME: Duration = Duration::from_secs(3600);

/// How a worker receives requests.
#[derive(Clone, Copy, Debug)]
pub enum ReceiveKind {
    /// Blocks.
    Wait,
    /// Blocks for a while.
    WaitTimeout,
    /// Blocks for several.
    WaitMany,
    /// Awaits.
    Await,
    /// Awaits several.
    AwaitMany,
    /// Takes them from a stream.
    Stream,
    /// Takes a queued request.
    TryPop,
    /// Starts to await, and leaves.
    Leave,
    /// Polls the server itself, which only one task can do.
    Poll,
}

/// Blocks for one request after the other.
pub const STEADY: &[ReceiveKind] = &[ReceiveKind::Wait];

/// Ways that do not wait for long.
pub const BRIEF: &[ReceiveKind] = &[
    ReceiveKind::Leave,
    ReceiveKind::WaitTimeout,
    ReceiveKind::TryPop,
];

/// All ways that several workers can use.
pub const ANY: &[ReceiveKind] = &[
    ReceiveKind::Wait,
    ReceiveKind::WaitTimeout,
    ReceiveKind::WaitMany,
    ReceiveKind::Await,
    ReceiveKind::AwaitMany,
    ReceiveKind::Stream,
    ReceiveKind::TryPop,
    ReceiveKind::Leave,
];

/// All ways that a single worker can use.
pub const SINGLE: &[ReceiveKind] = &[
    ReceiveKind::Wait,
    ReceiveKind::WaitTimeout,
    ReceiveKind::WaitMany,
    ReceiveKind::Await,
    ReceiveKind::AwaitMany,
    ReceiveKind::Stream,
    ReceiveKind::TryPop,
    ReceiveKind::Leave,
    ReceiveKind::Poll,
];

/// Serves until no client is left, or up to about `most` requests, then drops the server.
pub async fn work(server: Arc<Server>, kinds: &'static [ReceiveKind], most: usize) {
    let mut helpers = Vec::new();
    let mut count = 0;
    while count < most {
        match serve(&server, any(kinds), &mut helpers).await {
            Ok(served) => count += served,
            Err(_) => break,
        }
    }
    drop(server);
    join(helpers);
}

/// Receives a number of times, handles the requests, and drops the server.
pub async fn work_briefly(server: Arc<Server>, kinds: &'static [ReceiveKind], times: usize) {
    let mut helpers = Vec::new();
    for _ in 0..times {
        let _ = serve(&server, any(kinds), &mut helpers).await;
    }
    drop(server);
    join(helpers);
}

/// Receives once, handles the requests, and returns their number.
async fn serve(
    server: &Server,
    kind: ReceiveKind,
    helpers: &mut Vec<Actor<()>>,
) -> Result<usize, Error<Reply>> {
    // The whole batch is recorded before another thread runs.
    let note = |(message, rctx): Job| (message.take(), rctx);
    let mut taken: Vec<_> = take(server, kind).await?.into_iter().map(note).collect();
    let count = taken.len();
    if one_in(4) {
        taken.reverse();
    }
    for (token, rctx) in taken {
        if one_in(8) {
            let n = helpers.len();
            helpers.push(Actor::nth(n, async move { handle(&token, rctx) }));
        } else {
            handle(&token, rctx);
        }
    }
    Ok(count)
}

type Job = (Message, RequestContext);

async fn take(server: &Server, kind: ReceiveKind) -> Result<Vec<Job>, Error<Reply>> {
    let mut batch = Vec::new();
    match kind {
        ReceiveKind::Wait => batch.push(server.wait()?),
        ReceiveKind::WaitTimeout => batch.extend(server.wait_timeout(SOME_TIME)?),
        ReceiveKind::WaitMany => {
            server.wait_many(&mut batch, BATCH)?;
        }
        ReceiveKind::Await => batch.push(server.async_wait().await?),
        ReceiveKind::AwaitMany => {
            server.async_wait_many(&mut batch, BATCH).await?;
        }
        ReceiveKind::Stream => {
            let mut stream = server.stream();
            batch.push(poll_fn(|cx| stream.poll_wait(cx)).await?);
            if let Poll::Ready(Some(job)) =
                poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_next(cx))).await
            {
                batch.push(job);
            }
        }
        ReceiveKind::Poll => batch.push(poll_fn(|cx| server.poll_wait(cx)).await?),
        ReceiveKind::TryPop => {
            batch.extend(server.try_pop()?);
            shuttle::thread::yield_now();
        }
        ReceiveKind::Leave => {
            let mut leaving = pin!(server.async_wait());
            if let Poll::Ready(taken) = poll_times(1 + below(2), &mut leaving).await {
                batch.push(taken?);
            }
        }
    }
    Ok(batch)
}

/// Handles a request in a random way.
fn handle(token: &ReplyToken, mut rctx: RequestContext) {
    match below(8) {
        0 => drop_request(token, rctx),
        1 => {
            rctx.wait_cancelled(SOME_TIME);
            reply(token, rctx);
        }
        2 => {
            let _ = block_on(async { poll_times(1, &mut rctx.cancelled()).await });
            reply(token, rctx);
        }
        3 => fail(token, rctx),
        4 if rctx.is_cancelled() => drop_request(token, rctx),
        _ => reply(token, rctx),
    }
}

/// Drops a request without a reply. For a post that counts as a reply.
pub fn drop_request(token: &ReplyToken, rctx: RequestContext) {
    if rctx.is_post() {
        token.tracker().accept(true);
    }
    drop(rctx);
}

/// Replies.
pub fn reply(token: &ReplyToken, rctx: RequestContext) {
    if rctx.answer(Ok(token.make())).is_ok() {
        token.tracker().accept(true);
    }
}

/// Replies with an error.
pub fn fail(token: &ReplyToken, rctx: RequestContext) {
    if rctx.answer(Err(token.make())).is_ok() {
        token.tracker().accept(false);
    }
}
