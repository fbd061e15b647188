//! Callers: threads and tasks that make requests.

use std::{
    future::{IntoFuture, poll_fn},
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use futures_core::Stream;
use tests::poll_once;
use ump::{Error, Gather, NoReply, PanicMessage, Post, Request, RequestError, SendError};

use crate::{
    counts::Counts,
    messages::{Action, Message, Pending, Reply, Shared, StressClient},
    rng::Rng,
};

/// The reason why a caller does not learn the outcome of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unobserved {
    Post,
    PostWithDeadline,
    Dropped,
}

/// A caller makes requests.
pub(crate) struct Caller {
    pub(crate) shared: Arc<Shared>,
    pub(crate) client: StressClient,
    pub(crate) rng: Rng,
    pub(crate) ids: Range<usize>,
    pub(crate) counts: Counts,
    pub(crate) unobserved: Vec<(usize, Unobserved)>,
    /// Whether it knows that the server has gone.
    pub(crate) server_gone: bool,
    /// Whether its posts have deadlines. If so and the server goes, it is unknown whether they were
    /// late before.
    pub(crate) posts_expire: bool,
}

/// The id of a request and the action of its handler.
pub(crate) type Expected = (usize, Action);

impl Caller {
    pub(crate) fn continues(&self) -> bool {
        !self.server_gone && self.ids.len() >= 16
    }

    pub(crate) fn message(&mut self, observed: bool, post: bool) -> Message {
        // Without an observed outcome it is unknown whether the caller had left before the handler
        // dropped it.
        let action = match self.rng.below(if observed || post { 16 } else { 12 }) {
            0..9 => Action::Reply,
            9..12 => Action::Fail,
            12..15 => Action::Drop,
            _ => Action::Panic,
        };
        Message {
            id: self.ids.next().expect("looked before"),
            action,
            handoff: self.rng.one_in(8),
            post,
            observed,
            _counted: self.shared.messages.value(),
        }
    }

    /// Makes a request with random options. If the caller may leave, the request has no deadline,
    /// because it would be unknown whether the request was late before.
    pub(crate) fn request<'c>(
        &mut self,
        client: &'c StressClient,
        observed: bool,
    ) -> (Expected, Request<'c, Message, Reply, Reply>) {
        let message = self.message(observed, false);
        let of = (message.id, message.action);
        let mut request = client.request(message);
        if self.rng.one_in(4) {
            request = request.urgent();
        }
        if self.rng.one_in(8) {
            request = request.if_room();
        }
        if observed && self.rng.one_in(4) {
            request = request.deadline(self.rng.deadline());
        }
        (of, request)
    }

    /// Makes a post with random options.
    pub(crate) fn post<'c>(
        &mut self,
        client: &'c StressClient,
    ) -> (usize, Unobserved, Post<'c, Message, Reply, Reply>) {
        let message = self.message(false, true);
        let id = message.id;
        let mut post = client.post(message);
        let mut unobserved = Unobserved::Post;
        if self.rng.one_in(4) {
            post = post.urgent();
        }
        if self.rng.one_in(8) {
            post = post.if_room();
        }
        if self.posts_expire && self.rng.one_in(4) {
            post = post.deadline(self.rng.deadline());
            unobserved = Unobserved::PostWithDeadline;
        }
        (id, unobserved, post)
    }

    /// Counts the result of `submit` or `post`.
    pub(crate) fn sent<T>(&mut self, id: usize, sent: Result<T, SendError<Message>>) -> Option<T> {
        match sent {
            Ok(sent) => {
                self.counts.accepted += 1;
                Some(sent)
            }
            Err(error) => {
                self.counts.refused += 1;
                self.server_gone |= matches!(error, SendError::ServerDisappeared(_));
                self.not_executed(id, &error.into_message());
                None
            }
        }
    }

    pub(crate) fn not_executed(&self, id: usize, message: &Message) {
        assert_eq!(message.id, id, "another's message");
        assert!(!self.shared.was_handled(id), "executed and handed back");
    }

    /// Counts the outcome of a request that had been accepted.
    pub(crate) fn observe(
        &mut self,
        (id, action): Expected,
        outcome: Result<Reply, RequestError<Message, Reply>>,
    ) {
        let counts = &mut self.counts;
        match outcome {
            Ok(reply) => {
                assert_eq!((reply.id, action), (id, Action::Reply));
                assert!(self.shared.was_handled(id));
                counts.replied += 1;
            }
            Err(RequestError::App(reply)) => {
                assert_eq!((reply.id, action), (id, Action::Fail));
                assert!(self.shared.was_handled(id));
                counts.failed += 1;
            }
            Err(RequestError::NoReply(why)) => {
                let (expected, column) = match why {
                    NoReply::Dropped => (Action::Drop, &mut counts.no_reply),
                    NoReply::Panicked(_) => (Action::Panic, &mut counts.panicked),
                    other => panic!("nobody does that: {other}"),
                };
                assert_eq!(action, expected);
                *column += 1;
            }
            Err(RequestError::ServerDisappeared(message)) => {
                counts.server_disappeared += 1;
                self.server_gone = true;
                self.not_executed(id, &message);
            }
            Err(RequestError::TimeoutQueued(message)) => {
                counts.timeout_queued += 1;
                self.not_executed(id, &message);
            }
            Err(RequestError::TimeoutTaken) => counts.timeout_taken += 1,
            Err(RequestError::Full(_) | RequestError::NoTimer(..)) => panic!("it was accepted"),
            Err(RequestError::WouldDeadlock(..) | RequestError::WouldDeadlockTaken(_)) => {
                panic!("nobody watches")
            }
        }
    }

    /// Counts the outcome of a request that was sent and awaited in one call.
    pub(crate) fn observe_call(
        &mut self,
        of: Expected,
        outcome: Result<Reply, RequestError<Message, Reply>>,
    ) {
        match outcome {
            Err(RequestError::Full(message)) => {
                self.counts.refused += 1;
                self.not_executed(of.0, &message);
            }
            Err(RequestError::TimeoutQueued(message)) => {
                self.counts.late += 1;
                self.not_executed(of.0, &message);
            }
            Err(RequestError::ServerDisappeared(message)) => {
                self.counts.late += 1;
                self.server_gone = true;
                self.not_executed(of.0, &message);
            }
            outcome => {
                self.counts.accepted += 1;
                self.observe(of, outcome);
            }
        }
    }

    /// Counts the outcome of a plain call, whose error has less detail.
    pub(crate) fn observe_plain_call(
        &mut self,
        of: Expected,
        outcome: Result<Reply, Error<Reply>>,
    ) {
        let error = match outcome {
            Ok(reply) => return self.observe_call(of, Ok(reply)),
            Err(error) => error,
        };
        let error = match error {
            Error::App(reply) => RequestError::App(reply),
            Error::NoReply if of.1 == Action::Panic => {
                RequestError::NoReply(NoReply::Panicked(PanicMessage::default()))
            }
            Error::NoReply => RequestError::NoReply(NoReply::Dropped),
            Error::ServerDisappeared => {
                self.counts.late += 1;
                self.server_gone = true;
                assert!(!self.shared.was_handled(of.0));
                return;
            }
            Error::OriginDisappeared | Error::ClientsDisappeared => panic!("not a client's error"),
        };
        self.observe_call(of, Err(error));
    }

    pub(crate) fn leaves(&mut self, id: usize, reply: Pending) {
        self.unobserved.push((id, Unobserved::Dropped));
        (0..self.rng.below(100)).for_each(|_| std::hint::spin_loop());
        drop(reply);
    }

    pub(crate) fn step(&mut self) {
        let client = self.client.clone();
        match self.rng.below(16) {
            0..3 => {
                let message = self.message(true, false);
                let of = (message.id, message.action);
                let outcome = client.req(message);
                self.observe_plain_call(of, outcome);
            }
            3..6 => {
                let (of, request) = self.request(&client, true);
                let outcome = request.wait();
                self.observe_call(of, outcome);
            }
            6..9 => {
                let (id, unobserved, post) = self.post(&client);
                let sent = post.wait();
                if self.sent(id, sent).is_some() {
                    self.unobserved.push((id, unobserved));
                }
            }
            9 => {
                // Sends, does something else, and looks in again.
                let (of, request) = self.request(&client, true);
                let sent = request.submit().wait();
                let Some(mut reply) = self.sent(of.0, sent) else {
                    return;
                };
                let outcome = loop {
                    let moment = Duration::from_micros(self.rng.below(30));
                    match reply.try_get().or_else(|reply| reply.wait_timeout(moment)) {
                        Ok(outcome) => break outcome,
                        Err(again) => reply = again,
                    }
                };
                self.observe(of, outcome);
            }
            10 => {
                // Sends, and leaves.
                let (of, request) = self.request(&client, false);
                let sent = request.submit().wait();
                if let Some(reply) = self.sent(of.0, sent) {
                    self.leaves(of.0, reply);
                }
            }
            11 => {
                let again = client.weak().upgrade().expect("a client is here");
                drop(client);
                drop(again);
            }
            _ => {
                let mut gather = Gather::new();
                for _ in 0..self.rng.below(12) {
                    let (of, request) = self.request(&client, true);
                    let sent = request.submit().wait();
                    if let Some(reply) = self.sent(of.0, sent) {
                        gather.push(of, reply);
                    }
                }
                while !gather.is_empty() {
                    let next = match self.rng.below(4) {
                        0 => gather.try_next(),
                        1 => gather.wait_timeout(Duration::from_micros(20)),
                        _ => gather.wait(),
                    };
                    if let Some((of, outcome)) = next {
                        self.observe(of, outcome);
                    }
                }
            }
        }
    }

    pub(crate) async fn step_async(&mut self) {
        let client = self.client.clone();
        match self.rng.below(16) {
            0..3 => {
                let message = self.message(true, false);
                let of = (message.id, message.action);
                let outcome = client.areq(message).await;
                self.observe_plain_call(of, outcome);
            }
            3..6 => {
                let (of, request) = self.request(&client, true);
                let outcome = request.await;
                self.observe_call(of, outcome);
            }
            6..9 => {
                let (id, unobserved, post) = self.post(&client);
                let sent = post.await;
                if self.sent(id, sent).is_some() {
                    self.unobserved.push((id, unobserved));
                }
            }
            9 => {
                // Waits for room with a few polls by hand, then leaves.
                let (of, request) = self.request(&client, false);
                let mut sending = request.submit().into_future();
                let mut sent = poll_once(&mut sending);
                for _ in 0..self.rng.below(4) {
                    if sent.is_pending() {
                        tokio::task::yield_now().await;
                        sent = poll_once(&mut sending);
                    }
                }
                match sent {
                    Poll::Pending => self.counts.refused += 1,
                    Poll::Ready(sent) => {
                        if let Some(reply) = self.sent(of.0, sent) {
                            self.leaves(of.0, reply);
                        }
                    }
                }
            }
            10 => {
                // Sends, polls a few times, and leaves.
                let (of, request) = self.request(&client, false);
                let sent = request.submit().await;
                if let Some(mut reply) = self.sent(of.0, sent) {
                    for _ in 0..self.rng.below(4) {
                        if poll_once(&mut reply).is_ready() {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                    // The caller leaves even if the reply was ready: the handler counts that.
                    self.leaves(of.0, reply);
                }
            }
            11 => {
                let (of, request) = self.request(&client, true);
                let sent = request.submit().await;
                if let Some(reply) = self.sent(of.0, sent) {
                    let outcome = reply.wait_async().await;
                    self.observe(of, outcome);
                }
            }
            _ => {
                let mut gather = Gather::new();
                for _ in 0..self.rng.below(12) {
                    let (of, request) = self.request(&client, true);
                    let sent = request.submit().await;
                    if let Some(reply) = self.sent(of.0, sent) {
                        gather.push(of, reply);
                    }
                }
                while let Some((of, outcome)) =
                    poll_fn(|cx| Pin::new(&mut gather).poll_next(cx)).await
                {
                    self.observe(of, outcome);
                }
            }
        }
    }
}
