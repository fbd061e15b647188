//! Those who answer.

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
    Duty, Server,
    actor::{Actor, block_on, join, look},
    book::{Answer, Message, Reply},
    chance::{any, below, one_in},
};

/// At most so many at a time.
const BATCH: usize = 3;
/// A time that passes when the model says so.
const SOME_TIME: Duration = Duration::from_secs(3600);

/// How a worker looks for requests.
#[derive(Clone, Copy, Debug)]
pub enum Look {
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
    /// Takes what is there.
    TryPop,
    /// Begins to await, and leaves.
    Leave,
    /// Polls the server itself, which knows only one who does.
    Poll,
}

/// Blocks for one after the other.
pub const STEADY: &[Look] = &[Look::Wait];

/// Does not stay.
pub const FLEETING: &[Look] = &[Look::Leave, Look::WaitTimeout, Look::TryPop];

/// In any way that several can take.
pub const ANY: &[Look] = &[
    Look::Wait,
    Look::WaitTimeout,
    Look::WaitMany,
    Look::Await,
    Look::AwaitMany,
    Look::Stream,
    Look::TryPop,
    Look::Leave,
];

/// In any way that one alone can take.
pub const ALONE: &[Look] = &[
    Look::Wait,
    Look::WaitTimeout,
    Look::WaitMany,
    Look::Await,
    Look::AwaitMany,
    Look::Stream,
    Look::TryPop,
    Look::Leave,
    Look::Poll,
];

/// Answers until no client is left, or about so many; then it lets go of the server.
pub async fn work(server: Arc<Server>, looks: &'static [Look], most: usize) {
    let mut helpers = Vec::new();
    let mut count = 0;
    while count < most {
        match serve(&server, any(looks), &mut helpers).await {
            Ok(served) => count += served,
            Err(_) => break,
        }
    }
    drop(server);
    join(helpers);
}

/// Looks so often, answers what it finds, and is never seen again.
pub async fn pass_by(server: Arc<Server>, looks: &'static [Look], times: usize) {
    let mut helpers = Vec::new();
    for _ in 0..times {
        let _ = serve(&server, any(looks), &mut helpers).await;
    }
    drop(server);
    join(helpers);
}

/// Answers what it finds by one look, and returns how many requests that were.
async fn serve(
    server: &Server,
    look: Look,
    helpers: &mut Vec<Actor<()>>,
) -> Result<usize, Error<Reply>> {
    // All that come at once are noted before anybody else runs.
    let note = |(message, duty): Job| (message.take(), duty);
    let mut taken: Vec<_> = take(server, look).await?.into_iter().map(note).collect();
    let count = taken.len();
    if one_in(4) {
        taken.reverse();
    }
    for (answer, duty) in taken {
        if one_in(8) {
            let n = helpers.len();
            helpers.push(Actor::nth(n, async move { handle(&answer, duty) }));
        } else {
            handle(&answer, duty);
        }
    }
    Ok(count)
}

type Job = (Message, Duty);

async fn take(server: &Server, way: Look) -> Result<Vec<Job>, Error<Reply>> {
    let mut batch = Vec::new();
    match way {
        Look::Wait => batch.push(server.wait()?),
        Look::WaitTimeout => batch.extend(server.wait_timeout(SOME_TIME)?),
        Look::WaitMany => {
            server.wait_many(&mut batch, BATCH)?;
        }
        Look::Await => batch.push(server.async_wait().await?),
        Look::AwaitMany => {
            server.async_wait_many(&mut batch, BATCH).await?;
        }
        Look::Stream => {
            let mut stream = server.stream();
            batch.push(poll_fn(|cx| stream.poll_wait(cx)).await?);
            if let Poll::Ready(Some(job)) =
                poll_fn(|cx| Poll::Ready(Pin::new(&mut stream).poll_next(cx))).await
            {
                batch.push(job);
            }
        }
        Look::Poll => batch.push(poll_fn(|cx| server.poll_wait(cx)).await?),
        Look::TryPop => {
            batch.extend(server.try_pop()?);
            shuttle::thread::yield_now();
        }
        Look::Leave => {
            let mut leaving = pin!(server.async_wait());
            if let Poll::Ready(taken) = look(1 + below(2), &mut leaving).await {
                batch.push(taken?);
            }
        }
    }
    Ok(batch)
}

/// Answers in some way, or not at all.
fn handle(answer: &Answer, mut duty: Duty) {
    match below(8) {
        0 => let_go(answer, duty),
        1 => {
            duty.wait_cancelled(SOME_TIME);
            reply(answer, duty);
        }
        2 => {
            let _ = block_on(async { look(1, &mut duty.cancelled()).await });
            reply(answer, duty);
        }
        3 => refuse(answer, duty),
        4 if duty.is_cancelled() => let_go(answer, duty),
        _ => reply(answer, duty),
    }
}

/// Does not answer. Whoever posts does not mind.
pub fn let_go(answer: &Answer, duty: Duty) {
    if duty.is_post() {
        answer.book().welcome(true);
    }
    drop(duty);
}

/// Answers with a reply.
pub fn reply(answer: &Answer, duty: Duty) {
    if duty.answer(Ok(answer.make())).is_ok() {
        answer.book().welcome(true);
    }
}

/// Answers with an error.
pub fn refuse(answer: &Answer, duty: Duty) {
    if duty.answer(Err(answer.make())).is_ok() {
        answer.book().welcome(false);
    }
}
