//! The steps of callers.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use tests::{
    ends::{Failure, Reason},
    poll_once,
};
use ump::{RequestError, SendError, WaitReply};

use super::{Execution, Task, TestClient, choose, pause};
use crate::{
    model::{Made, Mismatch, Outcome},
    payload::Payload,
    program::{Deadline, Options, RequestKind, Step, Waker},
};

/// A pending reply, for both error types.
pub(super) enum Reply {
    Plain(WaitReply<Payload, Payload>),
    Detailed(WaitReply<Payload, Payload, RequestError<Payload, Payload>>),
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

pub(super) struct RequestTask {
    request: usize,
    client: usize,
    task: Task<Made<Reply>>,
}

pub(super) struct PendingReply {
    request: usize,
    counter: usize,
    reply: Reply,
}

impl Execution {
    pub(super) fn clone_client(&mut self, n: u8) {
        if let Some(n) = choose(n, &self.clients) {
            let client = TestClient::clone(&self.clients[n].1);
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

    pub(super) fn upgrade(&mut self) -> Result<(), Mismatch> {
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

    pub(super) fn ask(
        &mut self,
        n: u8,
        kind: RequestKind,
        options: Options,
        poll: bool,
    ) -> Result<(), Mismatch> {
        let Some(n) = choose(n, &self.clients) else {
            return Ok(());
        };
        let options = match kind {
            RequestKind::Areq | RequestKind::ReqAsync => Options {
                urgent: false,
                if_room: false,
                deadline: Deadline::None,
            },
            _ => options,
        };
        let (number, client) = self.clients[n].clone();
        let request = self.model.new_request(kind, options);
        let payload = self.register.payload();
        let blocks = self.model.would_block(request);
        let options = tests::ends::Options {
            deadline: self.instant(options.deadline),
            urgent: options.urgent,
            if_room: options.if_room,
        };
        match kind {
            RequestKind::ReqAsync | RequestKind::SubmitNow | RequestKind::PostNow if blocks => {
                // The request would block for ever, so it is not made.
                drop(payload);
                self.model.drop_asking(request);
                Ok(())
            }
            RequestKind::ReqAsync => {
                let reply = client.req_async(payload).map(Reply::Plain).map_err(failure);
                self.sent(request, reply)
            }
            RequestKind::SubmitNow => {
                let submitted = options.request(&client, payload).submit().wait();
                self.sent(request, submitted.map(Reply::Detailed).map_err(failure))
            }
            RequestKind::PostNow => {
                let posted = options.request(&client, payload).post().wait();
                let made =
                    posted.map_or_else(|error| Made::Ended(Err(failure(error))), |()| Made::Posted);
                same!(made, self.model.send_now(request), "a post");
                Ok(())
            }
            RequestKind::Areq | RequestKind::Await | RequestKind::Submit | RequestKind::Post => {
                let mut future = if kind == RequestKind::Areq {
                    areq(client, payload)
                } else {
                    task(client, payload, kind, options)
                };
                assert!(poll_once(&mut future).is_pending(), "it is only made");
                self.model.use_client(number);
                let counter = self.new_counter();
                self.callers.push(RequestTask {
                    request,
                    client: number,
                    task: Task { counter, future },
                });
                if poll {
                    self.poll_asking(self.callers.len() - 1, Waker::Same)?;
                }
                Ok(())
            }
        }
    }

    /// Records a request that was made by a call that returns at once.
    pub(super) fn sent(
        &mut self,
        request: usize,
        sent: Result<Reply, Failure<usize, usize>>,
    ) -> Result<(), Mismatch> {
        let made = match sent {
            Ok(reply) => {
                let counter = self.new_counter();
                self.waiting.push(PendingReply {
                    request,
                    counter,
                    reply,
                });
                Made::Accepted(())
            }
            Err(failure) => Made::Ended(Err(failure)),
        };
        same!(made, self.model.send_now(request), "a request");
        Ok(())
    }

    pub(super) fn poll_asking(&mut self, n: usize, waker: Waker) -> Result<(), Mismatch> {
        let mut callers = self.callers.remove(n);
        self.counter(&mut callers.task.counter, waker);
        let (made, own) = self.poll(callers.task.future.as_mut(), callers.task.counter);
        let expected = self
            .model
            .poll_asking(callers.request, callers.task.counter, own)?;
        let Poll::Ready(made) = made else {
            same!(Poll::Pending, expected, "a task that asks");
            self.callers.insert(n, callers);
            return Ok(());
        };
        self.model.leave_client(callers.client);
        let made = match made {
            Made::Accepted(reply) => {
                self.waiting.push(PendingReply {
                    request: callers.request,
                    counter: callers.task.counter,
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
        let callers = self.callers.remove(n);
        drop(callers.task);
        self.model.drop_asking(callers.request);
        self.model.leave_client(callers.client);
    }

    pub(super) fn reply_step(&mut self, n: usize, step: Step) -> Result<(), Mismatch> {
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
                self.counter(&mut waiting.counter, waker);
                let (polled, own) = match &mut waiting.reply {
                    Reply::Plain(reply) => {
                        let (polled, own) = self.poll(Pin::new(reply), waiting.counter);
                        (polled.map(outcome), own)
                    }
                    Reply::Detailed(reply) => {
                        let (polled, own) = self.poll(Pin::new(reply), waiting.counter);
                        (polled.map(outcome), own)
                    }
                };
                let expected = self.model.poll_waiting(request, waiting.counter, own)?;
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
                let counter = waiting.counter;
                left.map(|reply| PendingReply {
                    request,
                    counter,
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

/// A task with a plain request. It starts at the second poll.
fn areq(client: Arc<TestClient>, payload: Payload) -> Pin<Box<dyn Future<Output = Made<Reply>>>> {
    Box::pin(async move {
        let callers = client.areq(payload);
        pause().await;
        Made::Ended(outcome(callers.await))
    })
}

/// A task with a request with options. It starts at the second poll.
fn task(
    client: Arc<TestClient>,
    payload: Payload,
    kind: RequestKind,
    options: tests::ends::Options,
) -> Pin<Box<dyn Future<Output = Made<Reply>>>> {
    Box::pin(async move {
        let request = options.request(&client, payload);
        match kind {
            RequestKind::Post => {
                let post = request.post().into_future();
                pause().await;
                post.await.map_or_else(
                    |error: SendError<_>| Made::Ended(Err(failure(error))),
                    |()| Made::Posted,
                )
            }
            RequestKind::Submit => {
                let submit = request.submit().into_future();
                pause().await;
                submit.await.map_or_else(
                    |error| Made::Ended(Err(failure(error))),
                    |reply| Made::Accepted(Reply::Detailed(reply)),
                )
            }
            RequestKind::Await => {
                let callers = request.into_future();
                pause().await;
                Made::Ended(outcome(callers.await))
            }
            _ => unreachable!("see `areq`"),
        }
    })
}

/// Converts an outcome to numbers.
fn failure(error: impl Into<Failure<Payload, Payload>>) -> Failure<usize, usize> {
    let failure = error.into();
    Failure {
        executed: failure.executed,
        message: failure.message.map(Payload::open),
        why: match failure.why {
            Reason::App(error) => Reason::App(error.open()),
            Reason::NoReply(why) => Reason::NoReply(why),
            Reason::ServerDisappeared => Reason::ServerDisappeared,
            Reason::TimeoutQueued => Reason::TimeoutQueued,
            Reason::TimeoutTaken => Reason::TimeoutTaken,
            Reason::Full => Reason::Full,
            Reason::Else => Reason::Else,
        },
    }
}

fn outcome(outcome: Result<Payload, impl Into<Failure<Payload, Payload>>>) -> Outcome {
    outcome.map(Payload::open).map_err(failure)
}
