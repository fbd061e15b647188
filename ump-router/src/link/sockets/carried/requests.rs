//! A type of requests that travels.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use ump::{Executed, internal::catch_user_panic};

use super::{Calls, CarriedRequests, LocalCall, Outcome, OutgoingCall, Pending};
use crate::{
    error::{Error, LinkError, RequestError},
    link::{
        sockets::codec::{Coder, PayloadCodec},
        wire::{Codec, Failure},
    },
    protocol::{Bytes, RequestMessage},
    serve::{Claim, LinkCall, LinkCalls, LocalRequest, Servers},
    sync::Mutex,
    topic::Topic,
};

pub(super) struct RequestsOf<P: RequestMessage> {
    pub(super) servers: Arc<Servers<P>>,
    pub(super) coders: Coders<P>,
}

/// The functions that encode and decode requests, replies and errors.
pub(super) struct Coders<P: RequestMessage> {
    request: Coder<P>,
    answer: AnswerCoder<P::Reply, P::Error>,
}

struct AnswerCoder<R, E> {
    reply: Coder<R>,
    error: Coder<E>,
}

impl<P: RequestMessage> Coders<P> {
    pub(super) fn of<C>(codec: &C) -> Self
    where
        C: PayloadCodec<P> + PayloadCodec<P::Reply> + PayloadCodec<P::Error>,
    {
        Self {
            request: Coder::of(codec),
            answer: AnswerCoder {
                reply: Coder::of(codec),
                error: Coder::of(codec),
            },
        }
    }
}

impl<P: RequestMessage> Clone for Coders<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: RequestMessage> Copy for Coders<P> {}

impl<R, E> Clone for AnswerCoder<R, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, E> Copy for AnswerCoder<R, E> {}

impl<P: RequestMessage> CarriedRequests for RequestsOf<P> {
    fn prefix(&self) -> &'static str {
        P::PREFIX
    }

    fn codec(&self) -> Codec {
        self.coders.request.codec
    }

    fn local_topics(&self) -> Vec<Topic> {
        self.servers.local_topics()
    }

    #[cfg(feature = "bridge")]
    fn claimed_topics(&self) -> Vec<Topic> {
        self.servers.claimed_topics()
    }

    fn has_server(&self, topic: &Topic) -> bool {
        self.servers.has_local_server(topic)
    }

    fn calls(&self, link: &Arc<str>) -> Box<dyn Calls> {
        Box::new(CallsOf {
            calls: LinkCalls::new(&self.servers),
            coders: self.coders,
            link: Arc::clone(link),
        })
    }

    fn request(
        &self,
        topic: Topic,
        (codec, payload): (Codec, &[u8]),
        deadline: Option<Instant>,
    ) -> Result<Box<dyn LocalCall>, (Failure, String)> {
        let decoded = self.coders.request.decode(codec, payload);
        let message = decoded.map_err(|error| (Failure::Malformed, error.to_string()))?;
        match self.servers.request_local(topic, message, deadline) {
            Ok(request) => Ok(Box::new(LocalCallOf {
                request: Some(request),
                codec,
                coder: self.coders.answer,
            })),
            Err(message) => {
                catch_user_panic(|| drop(message));
                Err((Failure::NoServer, String::new()))
            }
        }
    }
}

/// The requests of this process for a link.
struct CallsOf<P: RequestMessage> {
    calls: LinkCalls<P>,
    coders: Coders<P>,
    link: Arc<str>,
}

impl<P: RequestMessage> Calls for CallsOf<P> {
    fn claim(&self, topic: Topic) -> Result<Claim, Error> {
        self.calls.claim(topic)
    }

    #[cfg(feature = "bridge")]
    fn claim_first(&self, topic: Topic) -> Result<Claim, Error> {
        self.calls.claim_first(topic)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<OutgoingCall>> {
        let link = &self.link;
        let Coders { request, answer } = self.coders;
        self.calls.poll_next(cx).map(|call| {
            let call = call?;
            Some(OutgoingCall {
                topic: call.topic.clone(),
                deadline: call.context.deadline(),
                codec: request.codec,
                payload: request.encode(request.codec, &call.message),
                pending: Box::new(PendingCall::new(call, answer, Arc::clone(link))),
            })
        })
    }
}

/// A request of this process that has no outcome yet.
struct PendingCall {
    /// Ends when the caller is gone, or when the outcome is there.
    waits: Pin<Box<dyn Future<Output = ()> + Send>>,
    outcome: Arc<Mutex<Option<Outcome>>>,
    deadline: Option<Instant>,
}

impl PendingCall {
    fn new<P: RequestMessage>(
        call: LinkCall<P>,
        coder: AnswerCoder<P::Reply, P::Error>,
        link: Arc<str>,
    ) -> Self {
        let outcome = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&outcome);
        let deadline = call.context.deadline();
        let waits = Box::pin(async move {
            let LinkCall {
                message,
                mut context,
                ..
            } = call;
            let ended = {
                let mut cancelled = context.cancelled();
                poll_fn(|cx| {
                    let ended = slot.lock().take();
                    match ended {
                        Some(ended) => Poll::Ready(Some(ended)),
                        None => Pin::new(&mut cancelled).poll(cx).map(|()| None),
                    }
                })
                .await
            };
            let error = |failure, executed, text| LinkError {
                link,
                failure,
                executed,
                text,
            };
            let answer = match ended {
                Some(Outcome::Reply(codec, payload)) => coder.reply.decode(codec, &payload).map(Ok),
                Some(Outcome::Refused(codec, payload)) => {
                    coder.error.decode(codec, &payload).map(Err)
                }
                Some(Outcome::Failed(failure, executed, text)) => {
                    let back = (executed == Executed::No).then_some(message);
                    context.fail(back, error(failure, executed, text));
                    return;
                }
                None => {
                    catch_user_panic(|| drop(message));
                    // The caller is gone, or is about to learn the same from its own deadline.
                    let timed_out = error(Failure::TimedOut, Executed::Perhaps, String::new());
                    context.fail(None, timed_out);
                    return;
                }
            };
            catch_user_panic(|| drop(message));
            match answer {
                Ok(answer) => context.answer(answer),
                Err(undecodable) => {
                    let text = format!("the answer could not be decoded: {undecodable}");
                    context.fail(None, error(Failure::Malformed, Executed::Yes, text));
                }
            }
        });
        Self {
            waits,
            outcome,
            deadline,
        }
    }
}

impl Pending for PendingCall {
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.waits.as_mut().poll(cx)
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn finish(mut self: Box<Self>, outcome: Outcome) {
        *self.outcome.lock() = Some(outcome);
        let mut cx = Context::from_waker(Waker::noop());
        let polled = self.waits.as_mut().poll(&mut cx);
        debug_assert!(polled.is_ready(), "an outcome ends the wait");
    }
}

/// A request that a link brought.
struct LocalCallOf<P: RequestMessage> {
    /// `None` when it has ended.
    request: Option<LocalRequest<P>>,
    /// The codec of the request, and of its answer.
    codec: Codec,
    coder: AnswerCoder<P::Reply, P::Error>,
}

impl<P: RequestMessage> LocalCall for LocalCallOf<P> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Some(request) = &mut self.request else {
            return Poll::Pending;
        };
        let Poll::Ready(outcome) = Pin::new(request).poll(cx) else {
            return Poll::Pending;
        };
        self.request = None;
        let (codec, coder) = (self.codec, self.coder);
        Poll::Ready(match outcome {
            Ok(reply) => {
                let payload = coder.reply.encode(codec, &reply);
                catch_user_panic(|| drop(reply));
                encoded(payload, |payload| Outcome::Reply(codec, payload))
            }
            Err(error) => failed(error, |error| {
                let payload = coder.error.encode(codec, error);
                encoded(payload, |payload| Outcome::Refused(codec, payload))
            }),
        })
    }
}

fn encoded(payload: Option<Bytes>, outcome: impl FnOnce(Bytes) -> Outcome) -> Outcome {
    match payload {
        Some(payload) => outcome(payload),
        None => Outcome::Failed(
            Failure::Malformed,
            Executed::Yes,
            "the answer could not be encoded".to_owned(),
        ),
    }
}

fn failed<P: RequestMessage>(
    error: RequestError<P>,
    refused: impl FnOnce(&P::Error) -> Outcome,
) -> Outcome {
    use ump::RequestError as Ended;
    let executed = error.executed();
    let failure = match &error {
        RequestError::Ended(Ended::App(refusal)) => {
            let outcome = refused(refusal);
            catch_user_panic(|| drop(error));
            return outcome;
        }
        RequestError::Ended(error) => match error {
            Ended::ServerDisappeared(_) => Failure::ServerLost,
            Ended::TimeoutQueued(_) | Ended::TimeoutTaken => Failure::TimedOut,
            Ended::WouldDeadlock(..) | Ended::WouldDeadlockTaken(_) => Failure::WouldDeadlock,
            Ended::Full(_) => Failure::Full,
            _ => Failure::NoReply,
        },
        _ => Failure::NoServer,
    };
    let text = match &error {
        RequestError::Ended(Ended::NoReply(reason)) => reason.to_string(),
        _ => String::new(),
    };
    catch_user_panic(|| drop(error));
    Outcome::Failed(failure, executed, text)
}
