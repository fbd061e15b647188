//! The callers: threads that block, and tasks that await.
//!
//! A caller counts the outcomes that it waits for, and checks them against what it [`Expected`].
//! The outcomes of posts and of requests that it may abandon are counted by the handlers: see
//! [`Message`].

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use tokio::time;
use ump::{
    Client, Error, Gather, NoReply, PanicMessage, Request, RequestError, SendError, WaitReply, coop,
};

use crate::{
    counts::Observed,
    payload::{Action, Message, Payload},
    rng::Rng,
    watchdog::{Pulse, ReportPanic, Watchdog},
};

pub(crate) type SoakClient = Client<Message, Payload, Payload>;
type Pending = WaitReply<Payload, Payload, RequestError<Message, Payload>>;

/// The longest pause of a caller, in microseconds.
const PAUSE_MICROS: u64 = 200;

pub(crate) struct Caller {
    pub(crate) client: SoakClient,
    pub(crate) observed: Arc<Observed>,
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) rng: Rng,
    /// The number of requests to make; a caller may make a few more.
    pub(crate) quota: usize,
    /// Whether it goes on during the stop, until the server has gone.
    pub(crate) until_closed: bool,
}

/// The options of a request.
#[derive(Clone, Copy)]
struct Options {
    deadline: Option<Instant>,
    urgent: bool,
    if_room: bool,
}

impl Options {
    fn request(
        self,
        client: &SoakClient,
        message: Message,
    ) -> Request<'_, Message, Payload, Payload> {
        let mut request = client.request(message);
        if let Some(deadline) = self.deadline {
            request = request.deadline(deadline);
        }
        if self.urgent {
            request = request.urgent();
        }
        if self.if_room {
            request = request.if_room();
        }
        request
    }
}

/// The outcome that a caller expects of a request.
#[derive(Clone, Copy)]
struct Expected {
    number: u64,
    action: Action,
    timed: bool,
}

impl Caller {
    // ---- threads and tasks

    fn continues(&mut self) -> bool {
        self.quota = self.quota.saturating_sub(1);
        let over = self.watchdog.is_stopping() && !self.until_closed;
        self.quota > 0 && !over && !self.client.is_closed()
    }

    fn count(&self) {
        self.observed.made.add();
        self.watchdog.count();
    }

    fn message(&mut self, action: Action, counted_by_caller: bool) -> Message {
        self.count();
        Message {
            payload: Payload::new(&mut self.rng),
            action,
            counted_by_caller,
            handled: false,
            observed: Arc::clone(&self.observed),
        }
    }

    fn any_action(&mut self) -> Action {
        match self.rng.below(40) {
            0 => Action::Panic,
            1 | 2 => Action::Drop,
            3..8 => Action::Fail,
            _ => Action::Reply,
        }
    }

    fn expected(&mut self) -> (Message, Expected) {
        let action = self.any_action();
        let message = self.message(action, true);
        let expected = Expected {
            number: message.payload.number(),
            action,
            timed: false,
        };
        (message, expected)
    }

    /// Makes a request whose outcome only the handler knows.
    fn unobserved(&mut self) -> Message {
        let action = if self.rng.one_in(4) {
            Action::Fail
        } else {
            Action::Reply
        };
        self.message(action, false)
    }

    fn post(&mut self) -> Message {
        let action = self.any_action();
        self.message(action, false)
    }

    /// Chooses options, with a deadline once in `timed` times.
    fn options(&mut self, timed: u64) -> Options {
        Options {
            deadline: self.rng.one_in(timed).then(|| self.deadline()),
            urgent: self.rng.one_in(4),
            if_room: self.rng.one_in(4),
        }
    }

    fn deadline(&mut self) -> Instant {
        let time = match self.rng.below(4) {
            0 => Duration::ZERO,
            1 => self.rng.micros(100),
            2 => self.rng.micros(5_000),
            _ => Duration::from_secs(3600),
        };
        Instant::now() + time
    }

    /// Counts an outcome, and checks that it is the expected one.
    fn record(
        &self,
        expected: Expected,
        outcome: &Result<Payload, RequestError<Message, Payload>>,
    ) {
        let Expected {
            number,
            action,
            timed,
        } = expected;
        let belongs = |payload: &Payload| payload.number() == number && payload.is_intact();
        let (column, fits) = match outcome {
            Ok(reply) => (
                &self.observed.replied,
                action == Action::Reply && belongs(reply),
            ),
            Err(RequestError::App(error)) => (
                &self.observed.failed,
                action == Action::Fail && belongs(error),
            ),
            Err(RequestError::NoReply(NoReply::Dropped)) => {
                (&self.observed.no_reply, action == Action::Drop)
            }
            Err(RequestError::NoReply(_)) => (&self.observed.panicked, action == Action::Panic),
            Err(RequestError::TimeoutTaken) => (&self.observed.timeout_taken, timed),
            Err(RequestError::TimeoutQueued(message)) => {
                (&self.observed.late, timed && belongs(&message.payload))
            }
            Err(RequestError::ServerDisappeared(message)) => (
                &self.observed.server_gone,
                self.client.is_closed() && belongs(&message.payload),
            ),
            Err(RequestError::Full(message)) => (
                &self.observed.full,
                self.client.capacity().is_some() && belongs(&message.payload),
            ),
            // These never happen here.
            Err(
                RequestError::NoTimer(..)
                | RequestError::WouldDeadlock(..)
                | RequestError::WouldDeadlockTaken(_),
            ) => (&self.observed.full, false),
        };
        column.add();
        if !fits {
            self.watchdog.report(format!(
                "a request that was to end in {action:?} ended in {outcome:?}"
            ));
        }
    }

    /// Counts an outcome whose error has less detail.
    fn record_plain(&self, expected: Expected, outcome: Result<Payload, Error<Payload>>) {
        let outcome = match outcome {
            Ok(reply) => Ok(reply),
            Err(Error::App(error)) => Err(RequestError::App(error)),
            Err(Error::NoReply) if expected.action == Action::Panic => Err(RequestError::NoReply(
                NoReply::Panicked(PanicMessage::default()),
            )),
            Err(Error::NoReply) => Err(RequestError::NoReply(NoReply::Dropped)),
            Err(Error::ServerDisappeared) => {
                self.observed.server_gone.add();
                return;
            }
            Err(error) => {
                self.watchdog
                    .report(format!("not an error of a request: {error:?}"));
                return;
            }
        };
        self.record(expected, &outcome);
    }

    fn record_unsent(&self, expected: Expected, error: SendError<Message>) {
        self.record(expected, &Err(error.into()));
    }

    // ---- threads

    pub(crate) fn block(mut self) {
        let _report_panic = ReportPanic(Arc::clone(&self.watchdog), "a caller");
        let pulse = self.watchdog.pulse();
        while self.continues() {
            match self.rng.below(16) {
                0..5 => {
                    let (message, expected) = self.expected();
                    pulse.beat("req");
                    self.record_plain(expected, self.client.req(message));
                }
                5 | 6 => self.request_and_wait(&pulse),
                7 => {
                    let (message, expected) = self.expected();
                    pulse.beat("req_async, wait");
                    match self.client.req_async(message) {
                        Ok(reply) => self.record_plain(expected, reply.wait()),
                        Err(error) => self.record_plain(expected, Err(error)),
                    }
                }
                8 => self.submit_and_look(&pulse),
                9 => self.submit_and_leave(&pulse),
                10 | 11 => self.post_and_forget(&pulse),
                12 => self.gather(&pulse),
                13 => self.client = self.client.clone(),
                14 => {
                    let weak = self.client.weak();
                    if let Some(client) = weak.upgrade() {
                        self.client = client;
                    }
                }
                _ => std::thread::sleep(self.rng.micros(PAUSE_MICROS)),
            }
        }
    }

    fn request_and_wait(&mut self, pulse: &Pulse) {
        let (message, mut expected) = self.expected();
        let options = self.options(2);
        expected.timed = options.deadline.is_some();
        pulse.beat("request, wait");
        let outcome = options.request(&self.client, message).wait();
        self.record(expected, &outcome);
    }

    fn submit(&mut self) -> Option<(Expected, Pending)> {
        let (message, mut expected) = self.expected();
        let options = self.options(4);
        expected.timed = options.deadline.is_some();
        match options.request(&self.client, message).submit().wait() {
            Ok(reply) => Some((expected, reply)),
            Err(error) => {
                self.record_unsent(expected, error);
                None
            }
        }
    }

    fn submit_and_look(&mut self, pulse: &Pulse) {
        pulse.beat("submit, look");
        let Some((expected, mut reply)) = self.submit() else {
            return;
        };
        let outcome = loop {
            let looked = if self.rng.one_in(2) {
                reply.try_get()
            } else {
                reply.wait_timeout(self.rng.micros(PAUSE_MICROS))
            };
            match looked {
                Ok(outcome) => break outcome,
                Err(again) => reply = again,
            }
        };
        self.record(expected, &outcome);
    }

    fn submit_and_leave(&mut self, pulse: &Pulse) {
        let message = self.unobserved();
        pulse.beat("submit, leave");
        let Ok(reply) = self.client.request(message).submit().wait() else {
            return;
        };
        match self.rng.below(3) {
            0 => drop(reply),
            1 => drop(reply.wait_timeout(self.rng.micros(PAUSE_MICROS))),
            _ => {
                let _ = reply.try_get();
            }
        }
    }

    fn post_and_forget(&mut self, pulse: &Pulse) {
        let message = self.post();
        let options = self.options(8);
        pulse.beat("post");
        // If it is not accepted, the drop of its message counts it.
        let _ = options.request(&self.client, message).post().wait();
    }

    fn gather(&mut self, pulse: &Pulse) {
        let mut replies = Gather::new();
        for _ in 0..self.rng.below(24) {
            pulse.beat("submit, gather");
            if let Some((expected, reply)) = self.submit() {
                replies.push(expected, reply);
            }
        }
        pulse.beat("gather");
        while !replies.is_empty() {
            let next = match self.rng.below(3) {
                0 => replies.try_next(),
                1 => replies.wait_timeout(self.rng.micros(PAUSE_MICROS)),
                _ => replies.wait(),
            };
            if let Some((expected, outcome)) = next {
                self.record(expected, &outcome);
            }
        }
    }

    // ---- tasks

    pub(crate) async fn run(mut self) {
        let _report_panic = ReportPanic(Arc::clone(&self.watchdog), "a caller");
        let pulse = self.watchdog.pulse();
        while self.continues() {
            match self.rng.below(16) {
                0..5 => {
                    let (message, expected) = self.expected();
                    pulse.beat("areq");
                    let outcome = self.client.areq(message).await;
                    self.record_plain(expected, outcome);
                }
                5 | 6 => self.request_and_await(&pulse).await,
                7 => self.two_at_a_time(&pulse).await,
                8 | 9 => self.areq_and_leave(&pulse).await,
                10 => self.poll_once_and_leave(&pulse).await,
                11 => self.post_in_a_task(&pulse).await,
                12 => self.gather_in_a_task(&pulse).await,
                13 => self.client = self.client.clone(),
                14 => tokio::task::yield_now().await,
                _ => time::sleep(self.rng.micros(PAUSE_MICROS)).await,
            }
        }
    }

    async fn request_and_await(&mut self, pulse: &Pulse) {
        let (message, mut expected) = self.expected();
        let options = self.options(2);
        expected.timed = options.deadline.is_some();
        pulse.beat("request, await");
        let outcome = options.request(&self.client, message).await;
        self.record(expected, &outcome);
    }

    async fn two_at_a_time(&mut self, pulse: &Pulse) {
        let [(one, expected_one), (two, expected_two)] = [self.expected(), self.expected()];
        pulse.beat("two areqs");
        let both = tokio::join!(self.client.areq(one), self.client.areq(two));
        self.record_plain(expected_one, both.0);
        self.record_plain(expected_two, both.1);
    }

    async fn areq_and_leave(&mut self, pulse: &Pulse) {
        let message = self.unobserved();
        let moment = self.rng.micros(PAUSE_MICROS);
        pulse.beat("areq, leave");
        let mut asking = Box::pin(self.client.areq(message));
        let sent = poll_fn(|cx| poll_to_send(&mut asking, cx));
        let _ = time::timeout(moment, sent).await;
    }

    async fn poll_once_and_leave(&mut self, pulse: &Pulse) {
        let message = self.unobserved();
        pulse.beat("areq, leave at once");
        let mut asking = Box::pin(self.client.areq(message));
        poll_fn(|cx| Poll::Ready(poll_to_send(&mut asking, cx).is_ready())).await;
    }

    async fn post_in_a_task(&mut self, pulse: &Pulse) {
        let message = self.post();
        let options = self.options(8);
        pulse.beat("post, await");
        let _ = options.request(&self.client, message).post().await;
    }

    async fn gather_in_a_task(&mut self, pulse: &Pulse) {
        let mut replies = Gather::new();
        for _ in 0..self.rng.below(24) {
            let (message, expected) = self.expected();
            pulse.beat("submit, gather");
            match self.client.request(message).submit().await {
                Ok(reply) => replies.push(expected, reply),
                Err(error) => self.record_unsent(expected, error),
            }
        }
        pulse.beat("gather in a task");
        while let Some((expected, outcome)) = Pin::new(&mut replies).next().await {
            self.record(expected, &outcome);
        }
    }
}

/// Polls with its own budget. A poll that yields would send nothing, and the channel could not
/// count the request that the caller has counted.
fn poll_to_send<F: Future + ?Sized>(
    future: &mut Pin<Box<F>>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    coop::with_budget(1, || future.as_mut().poll(cx))
}
