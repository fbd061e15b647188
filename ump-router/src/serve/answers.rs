//! The answers to a request to all servers of a pattern, gathered as they come.
//!
//! Each server gets a request of its own, with its own outcome. The futures of these requests are
//! kept in one place. Each has a waker that puts its number into a queue, so that an outcome costs
//! the same however many requests are under way.
//!
//! # Invariants
//!
//! 1. A request that has its own waker and has not ended is polled once after each wake-up: its
//!    number is in the queue from the wake-up on until then. (See `woken_queue.rs`.)
//! 2. If the requests have the waker of the owner instead of their own, `has_owners_waker` is set,
//!    and all of them are polled the next time.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    iter::FusedIterator,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use futures_core::{FusedStream, Stream};
use ump::{
    Clock,
    coop::{self, Coop},
    hooks::{self, MANY},
    internal::catch_user_panic,
};

use super::{future::RequestFuture, woken_queue::WokenQueue};
use crate::{error::RequestError, protocol::RequestMessage, topic::Topic};

/// The outcome of the request to one server, of a request to all of them.
pub struct Answer<P: RequestMessage> {
    /// The topic of the server, without the prefix of its type.
    pub topic: Topic,
    /// The reply, or the error, of the request to this topic.
    pub outcome: Result<P::Reply, RequestError<P>>,
}

/// The answers to a request to all servers of a pattern, in the order in which the requests end.
/// From [`RequestAll::send`](super::RequestAll::send).
///
/// [`iter`](Self::iter) blocks for each answer, [`stream`](Self::stream) awaits each; it is a
/// stream itself, too. All end when each server has answered.
///
/// # Cancel safety
/// Dropping a future of the next answer loses nothing. Dropping this cancels the requests that have
/// not ended.
#[must_use = "dropping it cancels the requests"]
pub struct Answers<P: RequestMessage> {
    /// The requests that have not ended, by number.
    requests: Vec<Option<Pending<P>>>,
    /// How many have not ended.
    open: usize,
    ended: VecDeque<Answer<P>>,
    woken: Arc<WokenQueue>,
    /// The requests have the waker of the owner, rather than their own.
    has_owners_waker: bool,
    clock: Clock,
    coop: Coop,
}

struct Pending<P: RequestMessage> {
    topic: Topic,
    request: RequestFuture<P>,
    waker: Waker,
}

impl<P: RequestMessage> Answers<P> {
    pub(super) fn new(clock: Clock, count: usize) -> Self {
        Self {
            requests: Vec::with_capacity(count),
            open: 0,
            ended: VecDeque::new(),
            woken: WokenQueue::new(count),
            has_owners_waker: false,
            clock,
            coop: Coop::new(),
        }
    }

    /// Makes one of the requests.
    pub(super) fn push(&mut self, topic: Topic, request: RequestFuture<P>) {
        let number = self.requests.len();
        let waker = self.woken.waker(number);
        self.requests.push(Some(Pending {
            topic,
            request,
            waker,
        }));
        self.open += 1;
        self.poll_request(number);
    }

    /// Polls a request with its own waker, and keeps its answer if it has ended.
    fn poll_request(&mut self, number: usize) {
        self.poll_with(number, None);
    }

    /// Polls a request with this waker, or else with its own.
    fn poll_with(&mut self, number: usize, owner: Option<&Waker>) {
        // A waker may be woken after its request has ended.
        let Some(pending) = &mut self.requests[number] else {
            return;
        };
        let Pending { request, waker, .. } = pending;
        let mut cx = Context::from_waker(owner.unwrap_or(waker));
        // The budget is spent for answers, not for requests that are looked at.
        let polled = coop::with_budget(coop::BUDGET, || Pin::new(request).poll(&mut cx));
        let Poll::Ready(outcome) = polled else {
            return;
        };
        if let Some(Pending { topic, .. }) = self.requests[number].take() {
            self.open -= 1;
            self.ended.push_back(Answer { topic, outcome });
        }
    }

    /// Polls all requests that have not ended, each with its own waker or with that of the owner.
    fn poll_all(&mut self, owner: Option<&Waker>) {
        self.has_owners_waker = owner.is_some();
        for number in 0..self.requests.len() {
            self.poll_with(number, owner);
        }
    }

    /// Returns the next answer, if there is one already.
    pub fn try_next(&mut self) -> Option<Answer<P>> {
        if self.has_owners_waker {
            self.poll_all(None);
        }
        self.poll_woken();
        self.ended.pop_front()
    }

    /// Polls the requests that were woken until one has ended, each once. One that wakes itself, to
    /// let other tasks run first, has its turn the next time.
    fn poll_woken(&mut self) {
        let mut woken = self.woken.len();
        while woken > 0 && self.ended.is_empty() {
            let Some(number) = self.woken.pop() else {
                return;
            };
            self.poll_request(number);
            woken -= 1;
        }
    }

    /// Polls for the next answer. Returns `None` when all requests have ended and their answers
    /// were returned.
    ///
    /// Of two tasks that poll, only the later one is woken.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer<P>>> {
        let mut coop = std::mem::take(&mut self.coop);
        let answer = coop.poll(cx, |cx| self.poll_without_budget(cx));
        self.coop = coop;
        answer
    }

    fn poll_without_budget(&mut self, cx: &Context<'_>) -> Poll<Option<Answer<P>>> {
        if self.open <= MANY && hooks::current().is_some() {
            return self.poll_watched(cx);
        }
        if let Some(answer) = self.try_next() {
            return Poll::Ready(Some(answer));
        }
        if self.open == 0 {
            return Poll::Ready(None);
        }
        if !self.woken.register(cx.waker()) {
            // A request was woken meanwhile, or lets other tasks run.
            catch_user_panic(|| cx.waker().wake_by_ref());
        }
        Poll::Pending
    }

    /// Polls within a handler. Its loop follows the waker of the handler, to know what the handler
    /// waits for: it could be itself. So each request gets this waker, and all of them are looked
    /// at.
    #[cold]
    fn poll_watched(&mut self, cx: &Context<'_>) -> Poll<Option<Answer<P>>> {
        if self.ended.is_empty() {
            self.poll_all(Some(cx.waker()));
        }
        match self.ended.pop_front() {
            None if self.open > 0 => Poll::Pending,
            answer => Poll::Ready(answer),
        }
    }

    /// Returns an iterator over the answers, which blocks for each. It ends when all requests have
    /// ended.
    #[must_use = "iterators are lazy"]
    pub fn iter(&mut self) -> AnswerIter<'_, P> {
        AnswerIter(self)
    }

    /// Returns a stream of the answers, which has the same items as [`iter`](Self::iter).
    #[must_use = "streams do nothing unless polled"]
    pub fn stream(&mut self) -> AnswerStream<'_, P> {
        AnswerStream(self)
    }

    /// Returns the number of answers that are still to be returned.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open + self.ended.len()
    }

    /// Returns whether all answers were returned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn wait_next(&mut self) -> Option<Answer<P>> {
        let clock = self.clock.clone();
        let answer = clock.block_on(poll_fn(|cx| self.poll_without_budget(cx)), None);
        answer.flatten()
    }
}

/// Yields what [`stream`](Answers::stream) yields.
impl<P: RequestMessage> Stream for Answers<P> {
    type Item = Answer<P>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Answer<P>>> {
        self.poll_answer(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<P: RequestMessage> FusedStream for Answers<P> {
    fn is_terminated(&self) -> bool {
        self.is_empty()
    }
}

// Nothing in it is pinned.
impl<P: RequestMessage> Unpin for Answers<P> {}

/// Blocks for each answer, as [`iter`](Answers::iter) does.
#[expect(
    clippy::into_iter_without_iter,
    reason = "gathering needs `&mut self`, so `iter` is what would be `iter_mut`"
)]
impl<'a, P: RequestMessage> IntoIterator for &'a mut Answers<P> {
    type Item = Answer<P>;
    type IntoIter = AnswerIter<'a, P>;

    fn into_iter(self) -> AnswerIter<'a, P> {
        self.iter()
    }
}

/// A blocking iterator over [`Answers`]. From [`Answers::iter`].
pub struct AnswerIter<'a, P: RequestMessage>(&'a mut Answers<P>);

impl<P: RequestMessage> Iterator for AnswerIter<'_, P> {
    type Item = Answer<P>;

    fn next(&mut self) -> Option<Answer<P>> {
        self.0.wait_next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}

impl<P: RequestMessage> ExactSizeIterator for AnswerIter<'_, P> {}

impl<P: RequestMessage> FusedIterator for AnswerIter<'_, P> {}

/// A stream of [`Answers`]. From [`Answers::stream`].
#[must_use = "streams do nothing unless polled"]
pub struct AnswerStream<'a, P: RequestMessage>(&'a mut Answers<P>);

impl<P: RequestMessage> Stream for AnswerStream<'_, P> {
    type Item = Answer<P>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Answer<P>>> {
        self.0.poll_answer(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}

impl<P: RequestMessage> FusedStream for AnswerStream<'_, P> {
    fn is_terminated(&self) -> bool {
        self.0.is_empty()
    }
}

impl<P: RequestMessage> Clone for Answer<P>
where
    P::Reply: Clone,
    RequestError<P>: Clone,
{
    fn clone(&self) -> Self {
        Self {
            topic: self.topic.clone(),
            outcome: self.outcome.clone(),
        }
    }
}

impl<P: RequestMessage> PartialEq for Answer<P>
where
    P::Reply: PartialEq,
    RequestError<P>: PartialEq,
{
    fn eq(&self, other: &Self) -> bool {
        self.topic == other.topic && self.outcome == other.outcome
    }
}

impl<P: RequestMessage> fmt::Debug for Answer<P>
where
    P::Reply: fmt::Debug,
    P::Error: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("topic", &self.topic)
            .field("outcome", &self.outcome)
            .finish()
    }
}

impl<P: RequestMessage> fmt::Debug for Answers<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl<P: RequestMessage> fmt::Debug for AnswerIter<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnswerIter").field(self.0).finish()
    }
}

impl<P: RequestMessage> fmt::Debug for AnswerStream<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnswerStream").field(self.0).finish()
    }
}
