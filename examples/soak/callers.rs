//! Those who ask: threads that block, and tasks that await.
//!
//! What they look at they book themselves (`told`); of what they post, or may leave, others keep the book: see [`Message`].

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
    book::Book,
    dice::Dice,
    parcel::{How, Message, Parcel},
    watch::{Alive, Pulse, Watch},
};

pub(crate) type Asks = Client<Message, Parcel, Parcel>;
type Pending = WaitReply<Parcel, Parcel, RequestError<Message, Parcel>>;

/// How long one waits for others in passing; not to be confused with a deadline.
const A_MOMENT: u64 = 200;

pub(crate) struct Caller {
    pub(crate) client: Asks,
    pub(crate) book: Arc<Book>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) dice: Dice,
    /// Makes so many requests, or a few more.
    pub(crate) quota: usize,
    /// Goes on when everything is to come to an end, until the server has gone.
    pub(crate) until_closed: bool,
}

/// What is said about a request when it is made.
#[derive(Clone, Copy)]
struct Terms {
    deadline: Option<Instant>,
    urgent: bool,
    if_room: bool,
}

impl Terms {
    fn request(self, client: &Asks, message: Message) -> Request<'_, Message, Parcel, Parcel> {
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

/// A request that its caller wants to know the outcome of.
#[derive(Clone, Copy)]
struct Told {
    number: u64,
    how: How,
    timed: bool,
}

impl Caller {
    // ---- what both kinds do

    fn goes_on(&mut self) -> bool {
        self.quota = self.quota.saturating_sub(1);
        let over = self.watch.is_over() && !self.until_closed;
        self.quota > 0 && !over && !self.client.is_closed()
    }

    fn count(&self) {
        self.book.made.add();
        self.watch.count();
    }

    fn message(&mut self, how: How, told: bool) -> Message {
        self.count();
        Message {
            parcel: Parcel::new(&mut self.dice),
            how,
            told,
            handled: false,
            book: Arc::clone(&self.book),
        }
    }

    fn any_how(&mut self) -> How {
        match self.dice.roll(40) {
            0 => How::Panic,
            1 | 2 => How::LetGo,
            3..8 => How::Fail,
            _ => How::Reply,
        }
    }

    fn told(&mut self) -> (Message, Told) {
        let how = self.any_how();
        let message = self.message(how, true);
        let told = Told {
            number: message.parcel.number(),
            how,
            timed: false,
        };
        (message, told)
    }

    /// One of which only the handler can know how it ended.
    fn untold(&mut self) -> Message {
        let how = if self.dice.one_in(4) {
            How::Fail
        } else {
            How::Reply
        };
        self.message(how, false)
    }

    fn post(&mut self) -> Message {
        let how = self.any_how();
        self.message(how, false)
    }

    /// With a deadline once in so many times.
    fn terms(&mut self, timed: u64) -> Terms {
        Terms {
            deadline: self.dice.one_in(timed).then(|| self.deadline()),
            urgent: self.dice.one_in(4),
            if_room: self.dice.one_in(4),
        }
    }

    fn deadline(&mut self) -> Instant {
        let time = match self.dice.roll(4) {
            0 => Duration::ZERO,
            1 => self.dice.micros(100),
            2 => self.dice.micros(5_000),
            _ => Duration::from_secs(3600),
        };
        Instant::now() + time
    }

    /// Books an outcome, and checks that it is one of this request.
    fn note(&self, told: Told, outcome: &Result<Parcel, RequestError<Message, Parcel>>) {
        let Told { number, how, timed } = told;
        let belongs = |parcel: &Parcel| parcel.number() == number && parcel.is_whole();
        let (column, fits) = match outcome {
            Ok(reply) => (&self.book.replied, how == How::Reply && belongs(reply)),
            Err(RequestError::App(error)) => {
                (&self.book.failed, how == How::Fail && belongs(error))
            }
            Err(RequestError::NoReply(NoReply::Dropped)) => {
                (&self.book.no_reply, how == How::LetGo)
            }
            Err(RequestError::NoReply(_)) => (&self.book.panicked, how == How::Panic),
            Err(RequestError::TimeoutTaken) => (&self.book.timeout_taken, timed),
            Err(RequestError::TimeoutQueued(message)) => {
                (&self.book.late, timed && belongs(&message.parcel))
            }
            Err(RequestError::ServerDisappeared(message)) => (
                &self.book.gone,
                self.client.is_closed() && belongs(&message.parcel),
            ),
            Err(RequestError::Full(message)) => (
                &self.book.full,
                self.client.capacity().is_some() && belongs(&message.parcel),
            ),
            // None of these is to happen.
            Err(
                RequestError::NoTimer(..)
                | RequestError::WouldDeadlock(..)
                | RequestError::WouldDeadlockTaken(_),
            ) => (&self.book.full, false),
        };
        column.add();
        if !fits {
            self.watch.report(format!(
                "a request that was to end in {how:?} ended in {outcome:?}"
            ));
        }
    }

    /// The same for one of which less is told.
    fn note_plain(&self, told: Told, outcome: Result<Parcel, Error<Parcel>>) {
        let outcome = match outcome {
            Ok(reply) => Ok(reply),
            Err(Error::App(error)) => Err(RequestError::App(error)),
            Err(Error::NoReply) if told.how == How::Panic => Err(RequestError::NoReply(
                NoReply::Panicked(PanicMessage::default()),
            )),
            Err(Error::NoReply) => Err(RequestError::NoReply(NoReply::Dropped)),
            Err(Error::ServerDisappeared) => {
                self.book.gone.add();
                return;
            }
            Err(error) => {
                self.watch
                    .report(format!("not an error of a request: {error:?}"));
                return;
            }
        };
        self.note(told, &outcome);
    }

    fn note_unsent(&self, told: Told, error: SendError<Message>) {
        self.note(told, &Err(error.into()));
    }

    // ---- threads

    pub(crate) fn block(mut self) {
        let _alive = Alive(Arc::clone(&self.watch), "a caller");
        let pulse = self.watch.pulse();
        while self.goes_on() {
            match self.dice.roll(16) {
                0..5 => {
                    let (message, told) = self.told();
                    pulse.beat("req");
                    self.note_plain(told, self.client.req(message));
                }
                5 | 6 => self.request_and_wait(&pulse),
                7 => {
                    let (message, told) = self.told();
                    pulse.beat("req_async, wait");
                    match self.client.req_async(message) {
                        Ok(reply) => self.note_plain(told, reply.wait()),
                        Err(error) => self.note_plain(told, Err(error)),
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
                _ => std::thread::sleep(self.dice.micros(A_MOMENT)),
            }
        }
    }

    fn request_and_wait(&mut self, pulse: &Pulse) {
        let (message, mut told) = self.told();
        let terms = self.terms(2);
        told.timed = terms.deadline.is_some();
        pulse.beat("request, wait");
        let outcome = terms.request(&self.client, message).wait();
        self.note(told, &outcome);
    }

    fn submit(&mut self) -> Option<(Told, Pending)> {
        let (message, mut told) = self.told();
        let terms = self.terms(4);
        told.timed = terms.deadline.is_some();
        match terms.request(&self.client, message).submit().wait() {
            Ok(reply) => Some((told, reply)),
            Err(error) => {
                self.note_unsent(told, error);
                None
            }
        }
    }

    fn submit_and_look(&mut self, pulse: &Pulse) {
        pulse.beat("submit, look");
        let Some((told, mut reply)) = self.submit() else {
            return;
        };
        let outcome = loop {
            let looked = if self.dice.one_in(2) {
                reply.try_get()
            } else {
                reply.wait_timeout(self.dice.micros(A_MOMENT))
            };
            match looked {
                Ok(outcome) => break outcome,
                Err(again) => reply = again,
            }
        };
        self.note(told, &outcome);
    }

    fn submit_and_leave(&mut self, pulse: &Pulse) {
        let message = self.untold();
        pulse.beat("submit, leave");
        let Ok(reply) = self.client.request(message).submit().wait() else {
            return;
        };
        match self.dice.roll(3) {
            0 => drop(reply),
            1 => drop(reply.wait_timeout(self.dice.micros(A_MOMENT))),
            _ => {
                let _ = reply.try_get();
            }
        }
    }

    fn post_and_forget(&mut self, pulse: &Pulse) {
        let message = self.post();
        let terms = self.terms(8);
        pulse.beat("post");
        // Not let in, its message is dropped, and is in the book.
        let _ = terms.request(&self.client, message).post().wait();
    }

    fn gather(&mut self, pulse: &Pulse) {
        let mut replies = Gather::new();
        for _ in 0..self.dice.roll(24) {
            pulse.beat("submit, gather");
            if let Some((told, reply)) = self.submit() {
                replies.push(told, reply);
            }
        }
        pulse.beat("gather");
        while !replies.is_empty() {
            let next = match self.dice.roll(3) {
                0 => replies.try_next(),
                1 => replies.wait_timeout(self.dice.micros(A_MOMENT)),
                _ => replies.wait(),
            };
            if let Some((told, outcome)) = next {
                self.note(told, &outcome);
            }
        }
    }

    // ---- tasks

    pub(crate) async fn run(mut self) {
        let _alive = Alive(Arc::clone(&self.watch), "a caller");
        let pulse = self.watch.pulse();
        while self.goes_on() {
            match self.dice.roll(16) {
                0..5 => {
                    let (message, told) = self.told();
                    pulse.beat("areq");
                    let outcome = self.client.areq(message).await;
                    self.note_plain(told, outcome);
                }
                5 | 6 => self.request_and_await(&pulse).await,
                7 => self.two_at_a_time(&pulse).await,
                8 | 9 => self.areq_and_leave(&pulse).await,
                10 => self.poll_once_and_leave(&pulse).await,
                11 => self.post_in_a_task(&pulse).await,
                12 => self.gather_in_a_task(&pulse).await,
                13 => self.client = self.client.clone(),
                14 => tokio::task::yield_now().await,
                _ => time::sleep(self.dice.micros(A_MOMENT)).await,
            }
        }
    }

    async fn request_and_await(&mut self, pulse: &Pulse) {
        let (message, mut told) = self.told();
        let terms = self.terms(2);
        told.timed = terms.deadline.is_some();
        pulse.beat("request, await");
        let outcome = terms.request(&self.client, message).await;
        self.note(told, &outcome);
    }

    async fn two_at_a_time(&mut self, pulse: &Pulse) {
        let [(one, told_one), (two, told_two)] = [self.told(), self.told()];
        pulse.beat("two areqs");
        let both = tokio::join!(self.client.areq(one), self.client.areq(two));
        self.note_plain(told_one, both.0);
        self.note_plain(told_two, both.1);
    }

    async fn areq_and_leave(&mut self, pulse: &Pulse) {
        let message = self.untold();
        let moment = self.dice.micros(A_MOMENT);
        pulse.beat("areq, leave");
        let mut asking = Box::pin(self.client.areq(message));
        let sent = poll_fn(|cx| poll_to_send(&mut asking, cx));
        let _ = time::timeout(moment, sent).await;
    }

    async fn poll_once_and_leave(&mut self, pulse: &Pulse) {
        let message = self.untold();
        pulse.beat("areq, leave at once");
        let mut asking = Box::pin(self.client.areq(message));
        poll_fn(|cx| Poll::Ready(poll_to_send(&mut asking, cx).is_ready())).await;
    }

    async fn post_in_a_task(&mut self, pulse: &Pulse) {
        let message = self.post();
        let terms = self.terms(8);
        pulse.beat("post, await");
        let _ = terms.request(&self.client, message).post().await;
    }

    async fn gather_in_a_task(&mut self, pulse: &Pulse) {
        let mut replies = Gather::new();
        for _ in 0..self.dice.roll(24) {
            let (message, told) = self.told();
            pulse.beat("submit, gather");
            match self.client.request(message).submit().await {
                Ok(reply) => replies.push(told, reply),
                Err(error) => self.note_unsent(told, error),
            }
        }
        pulse.beat("gather in a task");
        while let Some((told, outcome)) = Pin::new(&mut replies).next().await {
            self.note(told, &outcome);
        }
    }
}

/// Polls with a budget of its own: a poll that yields would send nothing, so that the channel could not count what the caller has.
fn poll_to_send<F: Future + ?Sized>(
    future: &mut Pin<Box<F>>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    coop::with_budget(1, || future.as_mut().poll(cx))
}
