//! A request to all servers of a pattern: its options, and its future for all answers.

use std::{
    fmt,
    future::{Future, IntoFuture},
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use super::{
    answers::{Answer, Answers},
    attempt::Attempt,
    future::RequestFuture,
    options::RequestOptions,
    servers::Servers,
    target::Target,
};
use crate::{
    error::{Error, RequestError},
    protocol::RequestMessage,
    topic::Pattern,
};

/// A request to all servers of a pattern: choose the options, then [`send`](Self::send) it to
/// gather the answers as they come, or call [`wait`](Self::wait) or `.await` it for all of them.
/// From [`Router::request_all`](crate::Router::request_all).
///
/// Each topic of the pattern that has a server when the request is sent gives one [`Answer`]: a
/// reply, or a definite error, as a [request](crate::Router::request) to this topic. Servers that
/// come later are not asked, except one that follows a server that has left.
#[must_use = "nothing is sent before `send`, `wait` or `.await`"]
pub struct RequestAll<P: RequestMessage + Clone> {
    target: Result<(Arc<Servers<P>>, Pattern), Error>,
    message: P,
    options: RequestOptions,
}

impl<P: RequestMessage + Clone> RequestAll<P> {
    pub(crate) fn new(
        target: Result<(Arc<Servers<P>>, Pattern), Error>,
        message: P,
        caller: &'static Location<'static>,
    ) -> Self {
        Self {
            target,
            message,
            options: RequestOptions::new(caller),
        }
    }

    /// Sets the deadline of all requests to this time from now, by the clock of the router; see
    /// [`ump::Request::timeout`]. A channel that was passed to
    /// [`Router::serve_by`](crate::Router::serve_by) has to be by the same clock.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Ok((servers, _)) = &self.target {
            self.options.deadline = servers.clock().now().checked_add(timeout);
        }
        self
    }

    /// Sets the deadline of all requests; see [`Request::deadline`](crate::Request::deadline).
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.options.deadline = Some(deadline);
        self
    }

    /// Lets the requests overtake normal ones; see [`ump::Request::urgent`].
    pub fn urgent(mut self) -> Self {
        self.options.is_urgent = true;
        self
    }

    /// Does not wait for room in the queue of a server: if it is full, the request to it ends at
    /// once; see [`ump::Request::if_room`].
    pub fn if_room(mut self) -> Self {
        self.options.if_room = true;
        self
    }

    /// Sends a request to each server, and returns the answers as they come. It never waits.
    ///
    /// The message is cloned for each server but the last. If no topic of the pattern has a server,
    /// there is no answer.
    ///
    /// # Errors
    /// [`RequestError::NotMade`], with the message: the pattern or the type is not valid, or the
    /// router was closed.
    pub fn send(self) -> Result<Answers<P>, RequestError<P>> {
        let Self {
            target,
            message,
            options,
        } = self;
        let (servers, pattern) = match target {
            Ok(target) => target,
            Err(error) => return Err(RequestError::NotMade(message, error)),
        };
        let found = servers.matching(&pattern);
        // A closed router has no servers. It may have been closed just before the look-up.
        if found.is_empty() && servers.is_closed() {
            return Err(RequestError::NotMade(message, Error::Closed));
        }
        let mut answers = Answers::new(servers.clock().clone(), found.len());
        let mut message = Some(message);
        let last = found.len().saturating_sub(1);
        for (nth, serving) in found.into_iter().enumerate() {
            let own = if nth == last {
                message.take()
            } else {
                message.clone()
            };
            let Some(own) = own else { break };
            let topic = serving.topic.clone();
            let attempt = Attempt::with_options(Target::Server(serving), own, options);
            answers.push(topic, RequestFuture::new(attempt));
        }
        Ok(answers)
    }

    /// Sends the requests, and blocks until all of them have ended. The answers come in the order
    /// in which the requests ended.
    ///
    /// # Errors
    /// As [`send`](Self::send). The error of a single server is in its answer.
    pub fn wait(self) -> Result<Vec<Answer<P>>, RequestError<P>> {
        let mut answers = self.send()?;
        Ok(answers.iter().collect())
    }
}

impl<P: RequestMessage + Clone> IntoFuture for RequestAll<P> {
    type Output = Result<Vec<Answer<P>>, RequestError<P>>;
    type IntoFuture = RequestAllFuture<P>;

    fn into_future(self) -> RequestAllFuture<P> {
        RequestAllFuture {
            state: State::New(Some(self)),
        }
    }
}

impl<P: RequestMessage + Clone> fmt::Debug for RequestAll<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = self.target.as_ref().map(|(_, pattern)| pattern);
        f.debug_struct("RequestAll")
            .field("pattern", &pattern)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The future of a [`RequestAll`], which sends the requests and gathers all answers.
///
/// # Cancel safety
/// If it is dropped, the requests that have not ended are cancelled, each as a
/// [`Request`](crate::Request) is, and the answers that have come are lost.
///
/// # Panics
/// Panics if the future is polled after it was ready.
#[must_use = "futures do nothing unless awaited"]
pub struct RequestAllFuture<P: RequestMessage + Clone> {
    state: State<P>,
}

enum State<P: RequestMessage + Clone> {
    New(Option<RequestAll<P>>),
    Sent(Answers<P>, Vec<Answer<P>>),
}

// Nothing in it is pinned.
impl<P: RequestMessage + Clone> Unpin for RequestAllFuture<P> {}

impl<P: RequestMessage + Clone> Future for RequestAllFuture<P> {
    type Output = Result<Vec<Answer<P>>, RequestError<P>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::New(request) = &mut self.state {
            let request = request.take();
            let request = request.expect("`RequestAllFuture` polled after it was ready");
            self.state = State::Sent(request.send()?, Vec::new());
        }
        let State::Sent(answers, all) = &mut self.state else {
            unreachable!("the requests were sent above");
        };
        while let Some(answer) = ready!(answers.poll_answer(cx)) {
            all.push(answer);
        }
        let all = std::mem::take(all);
        self.state = State::New(None);
        Poll::Ready(Ok(all))
    }
}

impl<P: RequestMessage + Clone> fmt::Debug for RequestAllFuture<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestAllFuture(..)")
    }
}
