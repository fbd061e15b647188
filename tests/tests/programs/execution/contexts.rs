//! The steps of handlers.

use std::task::Poll;

use tests::drop_in_a_panic;
use ump::Error;

use super::{Execution, RequestContext, Task};
use crate::{
    model::Mismatch,
    payload::Payload,
    program::{Step, Waker},
};

pub(super) struct CancelledTask {
    request: usize,
    task: Task<RequestContext>,
}

impl Execution {
    pub(super) fn context_step(&mut self, n: usize, step: Step) -> Result<(), Mismatch> {
        let (request, rctx) = &self.contexts[n];
        let request = *request;
        let cancelled = self.model.is_cancelled(request);
        match step {
            Step::IsCancelled(_) => {
                same!(rctx.is_cancelled(), cancelled, "whether it is cancelled");
            }
            Step::DropContext(_) => self.drop_context(n, false),
            Step::Panic(_) => self.drop_context(n, true),
            Step::Watch(_) => self.watch(n),
            _ => {
                let (_, rctx) = self.contexts.remove(n);
                let value = self.payload();
                let id = value.id();
                let ok = !matches!(step, Step::Fail(_) | Step::Answer(_, false));
                let taken = match step {
                    Step::Reply(_) => rctx.reply(value).map_err(|error| gone(&error)).is_ok(),
                    Step::Fail(_) => rctx.fail(value).map_err(|error| gone(&error)).is_ok(),
                    _ => {
                        let answer = if ok { Ok(value) } else { Err(value) };
                        match rctx.answer(answer) {
                            Ok(()) => true,
                            Err(back) => {
                                let back = back.map(Payload::open).map_err(Payload::open);
                                same!(back, if ok { Ok(id) } else { Err(id) }, "what came back");
                                false
                            }
                        }
                    }
                };
                same!(
                    taken,
                    self.model.answer(request, id, ok),
                    "whether it was taken"
                );
            }
        }
        Ok(())
    }

    pub(super) fn drop_context(&mut self, n: usize, panics: bool) {
        let (request, rctx) = self.contexts.remove(n);
        if panics {
            drop_in_a_panic(rctx);
        } else {
            drop(rctx);
        }
        self.model.drop_context(request, panics);
    }

    pub(super) fn watch(&mut self, n: usize) {
        let (request, mut rctx) = self.contexts.remove(n);
        let future = Box::pin(async move {
            rctx.cancelled().await;
            rctx
        });
        let counter = self.new_counter();
        self.watching.push(CancelledTask {
            request,
            task: Task { counter, future },
        });
    }

    pub(super) fn poll_watching(&mut self, n: usize, waker: Waker) -> Result<(), Mismatch> {
        let mut watching = self.watching.remove(n);
        self.counter(&mut watching.task.counter, waker);
        let counter = watching.task.counter;
        let (polled, own) = self.poll(watching.task.future.as_mut(), counter);
        same!(own, 0, "how often it woke itself");
        let expected = self.model.poll_watching(watching.request, counter);
        same!(
            polled.is_ready(),
            expected.is_ready(),
            "whether the caller is gone"
        );
        match polled {
            Poll::Ready(rctx) => self.contexts.push((watching.request, rctx)),
            Poll::Pending => self.watching.insert(n, watching),
        }
        Ok(())
    }

    pub(super) fn drop_watching(&mut self, n: usize) {
        let CancelledTask { request, task } = self.watching.remove(n);
        drop(task);
        self.model.stop_watching(request);
        self.model.drop_context(request, false);
    }
}

fn gone(error: &Error<Payload>) {
    assert!(
        matches!(error, Error::OriginDisappeared),
        "{:?}",
        error.executed()
    );
}
