//! A type of requests that travels.

use std::{
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
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
    serve::{Claim, LinkCall, LinkCalls, LinkContext, LocalRequest, Servers},
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
            let LinkCall {
                topic,
                message,
                context,
            } = call?;
            Some(OutgoingCall {
                topic,
                deadline: context.deadline(),
                codec: request.codec,
                payload: request.encode(request.codec, &message),
                pending: Box::new(PendingCall {
                    message,
                    context,
                    coder: answer,
                    link: Arc::clone(link),
                }),
            })
        })
    }
}

/// A request of this process that has no outcome yet.
struct PendingCall<P: RequestMessage> {
    message: P,
    context: LinkContext<P>,
    coder: AnswerCoder<P::Reply, P::Error>,
    link: Arc<str>,
}

impl<P: RequestMessage> Pending for PendingCall<P> {
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.context.poll_cancelled(cx)
    }

    fn deadline(&self) -> Option<Instant> {
        self.context.deadline()
    }

    fn finish(self: Box<Self>, outcome: Outcome) {
        let Self {
            message,
            context,
            coder,
            link,
        } = *self;
        let error = |failure, executed, text| LinkError {
            link,
            failure,
            executed,
            text,
        };
        if let Outcome::Failed(failure, Executed::No, text) = outcome {
            return context.fail(Some(message), error(failure, Executed::No, text));
        }
        catch_user_panic(|| drop(message));
        let answer = match outcome {
            Outcome::Reply(codec, payload) => coder.reply.decode(codec, &payload).map(Ok),
            Outcome::Refused(codec, payload) => coder.error.decode(codec, &payload).map(Err),
            Outcome::Failed(failure, executed, text) => {
                return context.fail(None, error(failure, executed, text));
            }
        };
        match answer {
            Ok(answer) => context.answer(answer),
            Err(undecodable) => {
                let text = format!("the answer could not be decoded: {undecodable}");
                context.fail(None, error(Failure::Malformed, Executed::Yes, text));
            }
        }
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
