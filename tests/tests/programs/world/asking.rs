//! The steps of those who ask.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use tests::{
    ends::{Told, Why},
    poll_once,
};
use ump::{RequestError, SendError, WaitReply};

use super::{Asks, Task, World, choose, pause};
use crate::{
    model::{Made, Outcome, Wrong},
    parcel::Parcel,
    program::{Deadline, How, Step, Terms, Waker},
};

/// A reply that is waited for, whichever the type of its error.
pub(super) enum Reply {
    Plain(WaitReply<Parcel, Parcel>),
    Detailed(WaitReply<Parcel, Parcel, RequestError<Parcel, Parcel>>),
}

macro_rules! with_reply {
    ($reply:expr, $inner:ident => $body:expr) => {
        match $reply {
            Reply::Plain($inner) => $body,
            Reply::Detailed($inner) => $body,
        }
    };
}

macro_rules! try_reply {
    ($reply:expr, $inner:ident => $body:expr) => {
        match $reply {
            Reply::Plain($inner) => $body.map(outcome).map_err(Reply::Plain),
            Reply::Detailed($inner) => $body.map(outcome).map_err(Reply::Detailed),
        }
    };
}

pub(super) struct Asking {
    request: usize,
    client: usize,
    task: Task<Made<Reply>>,
}

pub(super) struct Waiting {
    request: usize,
    bell: usize,
    reply: Reply,
}

impl World {
    pub(super) fn clone_client(&mut self, n: u8) {
        if let Some(n) = choose(n, &self.clients) {
            let client = Asks::clone(&self.clients[n].1);
            let number = self.model.new_client();
            self.clients.push((number, Arc::new(client)));
        }
    }

    pub(super) fn drop_client(&mut self, n: u8) {
        if let Some(n) = choose(n, &self.clients) {
            let (number, client) = self.clients.remove(n);
            drop(client);
            self.model.leave_client(number);
        }
    }

    pub(super) fn upgrade(&mut self) -> Result<(), Wrong> {
        let client = self.weak.upgrade();
        same!(
            client.is_none(),
            self.model.is_deserted(),
            "whether no client is left"
        );
        if let Some(client) = client {
            let number = self.model.new_client();
            self.clients.push((number, Arc::new(client)));
        }
        Ok(())
    }

    pub(super) fn instant(&self, deadline: Deadline) -> Option<Instant> {
        match deadline {
            Deadline::None => None,
            Deadline::Past => Some(self.start),
            Deadline::Near => Some(self.near),
            Deadline::Far => Some(self.start + tests::LONG * 60),
        }
    }

    pub(super) fn ask(&mut self, n: u8, how: How, terms: Terms, poll: bool) -> Result<(), Wrong> {
        let Some(n) = choose(n, &self.clients) else {
            return Ok(());
        };
        let terms = match how {
            How::Areq | How::ReqAsync => Terms {
                urgent: false,
                if_room: false,
                deadline: Deadline::None,
            },
            _ => terms,
        };
        let (number, client) = self.clients[n].clone();
        let request = self.model.new_request(how, terms);
        let parcel = self.register.parcel();
        let blocks = self.model.would_block(request);
        let terms = tests::ends::Terms {
            deadline: self.instant(terms.deadline),
            urgent: terms.urgent,
            if_room: terms.if_room,
        };
        match how {
            How::ReqAsync | How::SubmitNow | How::PostNow if blocks => {
                // It would hang; so it is not made.
                drop(parcel);
                self.model.drop_asking(request);
                Ok(())
            }
            How::ReqAsync => {
                let reply = client.req_async(parcel).map(Reply::Plain).map_err(told);
                self.sent(request, reply)
            }
            How::SubmitNow => {
                let submitted = terms.request(&client, parcel).submit().wait();
                self.sent(request, submitted.map(Reply::Detailed).map_err(told))
            }
            How::PostNow => {
                let posted = terms.request(&client, parcel).post().wait();
                let made =
                    posted.map_or_else(|error| Made::Ended(Err(told(error))), |()| Made::Posted);
                same!(made, self.model.send_now(request), "a post");
                Ok(())
            }
            How::Areq | How::Await | How::Submit | How::Post => {
                let mut future = if how == How::Areq {
                    areq(client, parcel)
                } else {
                    task(client, parcel, how, terms)
                };
                assert!(poll_once(&mut future).is_pending(), "it is only made");
                self.model.use_client(number);
                let bell = self.new_bell();
                self.asking.push(Asking {
                    request,
                    client: number,
                    task: Task { bell, future },
                });
                if poll {
                    self.poll_asking(self.asking.len() - 1, Waker::Same)?;
                }
                Ok(())
            }
        }
    }

    /// A request was made by a call that returns at once.
    pub(super) fn sent(
        &mut self,
        request: usize,
        sent: Result<Reply, Told<usize, usize>>,
    ) -> Result<(), Wrong> {
        let made = match sent {
            Ok(reply) => {
                let bell = self.new_bell();
                self.waiting.push(Waiting {
                    request,
                    bell,
                    reply,
                });
                Made::Accepted(())
            }
            Err(told) => Made::Ended(Err(told)),
        };
        same!(made, self.model.send_now(request), "a request");
        Ok(())
    }

    pub(super) fn poll_asking(&mut self, n: usize, waker: Waker) -> Result<(), Wrong> {
        let mut asking = self.asking.remove(n);
        self.bell(&mut asking.task.bell, waker);
        let (made, own) = self.poll(asking.task.future.as_mut(), asking.task.bell);
        let expected = self
            .model
            .poll_asking(asking.request, asking.task.bell, own)?;
        let Poll::Ready(made) = made else {
            same!(Poll::Pending, expected, "a task that asks");
            self.asking.insert(n, asking);
            return Ok(());
        };
        self.model.leave_client(asking.client);
        let made = match made {
            Made::Accepted(reply) => {
                self.waiting.push(Waiting {
                    request: asking.request,
                    bell: asking.task.bell,
                    reply,
                });
                Made::Accepted(())
            }
            Made::Ended(outcome) => Made::Ended(outcome),
            Made::Posted => Made::Posted,
        };
        same!(Poll::Ready(made), expected, "a task that asks");
        Ok(())
    }

    pub(super) fn drop_asking(&mut self, n: usize) {
        let asking = self.asking.remove(n);
        drop(asking.task);
        self.model.drop_asking(asking.request);
        self.model.leave_client(asking.client);
    }

    pub(super) fn reply_step(&mut self, n: usize, step: Step) -> Result<(), Wrong> {
        if let Step::DropReply(_) = step {
            self.drop_reply(n);
            return Ok(());
        }
        let mut waiting = self.waiting.remove(n);
        let request = waiting.request;
        let ready = with_reply!(&waiting.reply, reply => reply.is_ready());
        same!(ready, self.model.is_ready(request), "whether it is ready");
        let left = match step {
            Step::PollReply(_, waker) => {
                self.bell(&mut waiting.bell, waker);
                let (polled, own) = match &mut waiting.reply {
                    Reply::Plain(reply) => {
                        let (polled, own) = self.poll(Pin::new(reply), waiting.bell);
                        (polled.map(outcome), own)
                    }
                    Reply::Detailed(reply) => {
                        let (polled, own) = self.poll(Pin::new(reply), waiting.bell);
                        (polled.map(outcome), own)
                    }
                };
                let expected = self.model.poll_waiting(request, waiting.bell, own)?;
                same!(polled, expected, "an outcome");
                polled.is_pending().then_some(waiting)
            }
            Step::Wait(_) if !ready && self.model.is_not_due(request) => Some(waiting),
            Step::Wait(_) => {
                let outcome = with_reply!(waiting.reply, reply => outcome(reply.wait()));
                same!(Some(outcome), self.model.look(request), "an outcome");
                None
            }
            _ => {
                let no_time = matches!(step, Step::WaitNoTime(_));
                let tried = if no_time {
                    try_reply!(waiting.reply, reply => reply.wait_timeout(Duration::ZERO))
                } else {
                    try_reply!(waiting.reply, reply => reply.try_get())
                };
                let expected = self.model.look(request);
                let left = match tried {
                    Ok(outcome) => {
                        same!(Some(outcome), expected, "an outcome");
                        None
                    }
                    Err(reply) => {
                        same!(None, expected, "an outcome");
                        if no_time {
                            self.model.forget_waker(request);
                        }
                        Some(reply)
                    }
                };
                let bell = waiting.bell;
                left.map(|reply| Waiting {
                    request,
                    bell,
                    reply,
                })
            }
        };
        if let Some(waiting) = left {
            self.waiting.insert(n, waiting);
        }
        Ok(())
    }

    pub(super) fn drop_reply(&mut self, n: usize) {
        let waiting = self.waiting.remove(n);
        drop(waiting.reply);
        self.model.drop_reply(waiting.request);
    }
}

/// A task that asks without terms. It begins at the second poll.
fn areq(client: Arc<Asks>, parcel: Parcel) -> Pin<Box<dyn Future<Output = Made<Reply>>>> {
    Box::pin(async move {
        let asking = client.areq(parcel);
        pause().await;
        Made::Ended(outcome(asking.await))
    })
}

/// A task that asks on terms. It begins at the second poll.
fn task(
    client: Arc<Asks>,
    parcel: Parcel,
    how: How,
    terms: tests::ends::Terms,
) -> Pin<Box<dyn Future<Output = Made<Reply>>>> {
    Box::pin(async move {
        let request = terms.request(&client, parcel);
        match how {
            How::Post => {
                let post = request.post().into_future();
                pause().await;
                post.await.map_or_else(
                    |error: SendError<_>| Made::Ended(Err(told(error))),
                    |()| Made::Posted,
                )
            }
            How::Submit => {
                let submit = request.submit().into_future();
                pause().await;
                submit.await.map_or_else(
                    |error| Made::Ended(Err(told(error))),
                    |reply| Made::Accepted(Reply::Detailed(reply)),
                )
            }
            How::Await => {
                let asking = request.into_future();
                pause().await;
                Made::Ended(outcome(asking.await))
            }
            _ => unreachable!("see `areq`"),
        }
    })
}

/// What it is in numbers.
fn told(error: impl Into<Told<Parcel, Parcel>>) -> Told<usize, usize> {
    let told = error.into();
    Told {
        executed: told.executed,
        message: told.message.map(Parcel::open),
        why: match told.why {
            Why::App(error) => Why::App(error.open()),
            Why::NoReply(why) => Why::NoReply(why),
            Why::ServerDisappeared => Why::ServerDisappeared,
            Why::TimeoutQueued => Why::TimeoutQueued,
            Why::TimeoutTaken => Why::TimeoutTaken,
            Why::Full => Why::Full,
            Why::Else => Why::Else,
        },
    }
}

fn outcome(outcome: Result<Parcel, impl Into<Told<Parcel, Parcel>>>) -> Outcome {
    outcome.map(Parcel::open).map_err(told)
}
