//! A type of requests that travels.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use serde::{Serialize, de::DeserializeOwned};
use ump::{Executed, internal::catch_user_panic};

use super::{Calls, CarriedRequests, LocalCall, Malformed, Outcome, OutgoingCall, Pending, codec};
use crate::{
    error::{Error, LinkError, RequestError},
    link::wire::Failure,
    protocol::{Bytes, RequestMessage},
    serve::{Claim, LinkCall, LinkCalls, LocalRequest, Servers},
    sync::Mutex,
    topic::Topic,
};

pub(super) struct RequestsOf<P: RequestMessage>(pub(super) Arc<Servers<P>>);

impl<P> CarriedRequests for RequestsOf<P>
where
    P: RequestMessage + Serialize + DeserializeOwned,
    P::Reply: Serialize + DeserializeOwned,
    P::Error: Serialize + DeserializeOwned,
{
    fn prefix(&self) -> &'static str {
        P::PREFIX
    }

    fn local_topics(&self) -> Vec<Topic> {
        self.0.local_topics()
    }

    fn has_server(&self, topic: &Topic) -> bool {
        self.0.has_local_server(topic)
    }

    fn calls(&self, link: &Arc<str>) -> Box<dyn Calls> {
        Box::new(CallsOf {
            calls: LinkCalls::new(&self.0),
            link: Arc::clone(link),
        })
    }

    fn request(
        &self,
        topic: Topic,
        payload: &[u8],
        deadline: Option<Instant>,
    ) -> Result<Box<dyn LocalCall>, Failure> {
        let message = codec::decode::<P>(payload).map_err(|Malformed| Failure::Malformed)?;
        match self.0.request_local(topic, message, deadline) {
            Ok(request) => Ok(Box::new(Some(request))),
            Err(message) => {
                catch_user_panic(|| drop(message));
                Err(Failure::NoServer)
            }
        }
    }
}

/// The requests of this process for a link.
struct CallsOf<P: RequestMessage> {
    calls: LinkCalls<P>,
    link: Arc<str>,
}

impl<P> Calls for CallsOf<P>
where
    P: RequestMessage + Serialize,
    P::Reply: DeserializeOwned,
    P::Error: DeserializeOwned,
{
    fn claim(&self, topic: Topic) -> Result<Claim, Error> {
        self.calls.claim(topic)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<OutgoingCall>> {
        let link = &self.link;
        self.calls.poll_next(cx).map(|call| {
            let call = call?;
            Some(OutgoingCall {
                topic: call.topic.clone(),
                deadline: call.context.deadline(),
                payload: codec::encode(&call.message),
                pending: Box::new(PendingCall::new(call, Arc::clone(link))),
            })
        })
    }
}

/// A request of this process that has no outcome yet.
struct PendingCall {
    /// Ends when the caller is gone, or when the outcome is there.
    waits: Pin<Box<dyn Future<Output = ()> + Send>>,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

impl PendingCall {
    fn new<P>(call: LinkCall<P>, link: Arc<str>) -> Self
    where
        P: RequestMessage,
        P::Reply: DeserializeOwned,
        P::Error: DeserializeOwned,
    {
        let outcome = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&outcome);
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
                Some(Outcome::Reply(payload)) => codec::decode(&payload).map(Ok),
                Some(Outcome::Refused(payload)) => codec::decode(&payload).map(Err),
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
            if let Ok(answer) = answer {
                context.answer(answer);
            } else {
                let text = "the answer could not be decoded".to_owned();
                context.fail(None, error(Failure::Malformed, Executed::Yes, text));
            }
        });
        Self { waits, outcome }
    }
}

impl Pending for PendingCall {
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.waits.as_mut().poll(cx)
    }

    fn finish(mut self: Box<Self>, outcome: Outcome) {
        *self.outcome.lock() = Some(outcome);
        let mut cx = Context::from_waker(Waker::noop());
        let polled = self.waits.as_mut().poll(&mut cx);
        debug_assert!(polled.is_ready(), "an outcome ends the wait");
    }
}

/// A request that a link brought. `None` when it has ended.
impl<P> LocalCall for Option<LocalRequest<P>>
where
    P: RequestMessage,
    P::Reply: Serialize,
    P::Error: Serialize,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Some(request) = self else {
            return Poll::Pending;
        };
        let Poll::Ready(outcome) = Pin::new(request).poll(cx) else {
            return Poll::Pending;
        };
        *self = None;
        Poll::Ready(match outcome {
            Ok(reply) => {
                let outcome = encoded(&reply, Outcome::Reply);
                catch_user_panic(|| drop(reply));
                outcome
            }
            Err(error) => failed(error),
        })
    }
}

fn encoded<T: Serialize>(value: &T, outcome: impl FnOnce(Bytes) -> Outcome) -> Outcome {
    match codec::encode(value) {
        Ok(payload) => outcome(payload),
        Err(Malformed) => Outcome::Failed(
            Failure::Malformed,
            Executed::Yes,
            "the answer could not be encoded".to_owned(),
        ),
    }
}

fn failed<P>(error: RequestError<P>) -> Outcome
where
    P: RequestMessage,
    P::Error: Serialize,
{
    use ump::RequestError as Ended;
    let executed = error.executed();
    let failure = match &error {
        RequestError::Ended(Ended::App(refusal)) => {
            let outcome = encoded(refusal, Outcome::Refused);
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
