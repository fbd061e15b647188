//! Workers: threads and tasks that handle requests.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, atomic::Ordering, mpsc},
    task::Poll,
    time::Duration,
};

use futures_core::Stream;
use tests::poll_once;
use ump::{Error, ReplyContext};

use crate::{
    counts::Counts,
    messages::{Action, Message, Reply, Shared, StressServer},
    rng::Rng,
};

/// A worker handles requests.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) handoff: Option<mpsc::Sender<(Message, ReplyContext<Reply, Reply>)>>,
    pub(crate) counts: Counts,
    pub(crate) handled: usize,
}

impl Worker {
    pub(crate) fn handle(&mut self, message: Message, rctx: ReplyContext<Reply, Reply>) {
        self.handled += 1;
        let before = self.shared.handled[message.id].fetch_add(1, Ordering::SeqCst);
        assert_eq!(before, 0, "handled twice");
        assert_eq!(rctx.is_post(), message.post);
        assert!(!rctx.is_cancelled() || !message.observed || rctx.deadline().is_some());
        match &self.handoff {
            Some(handoff) if message.handoff => handoff.send((message, rctx)).unwrap(),
            _ => self.finish(&message, rctx),
        }
    }

    pub(crate) fn finish(&mut self, message: &Message, rctx: ReplyContext<Reply, Reply>) {
        let value = Reply {
            id: message.id,
            _counted: self.shared.replies.value(),
        };
        let counts = &mut self.counts;
        let column = match message.action {
            Action::Reply => match rctx.answer(Ok(value)) {
                Ok(()) => &mut counts.replied,
                Err(back) => {
                    assert!(back.is_ok_and(|reply| reply.id == message.id));
                    &mut counts.cancelled_taken
                }
            },
            Action::Fail => match rctx.answer(Err(value)) {
                Ok(()) => &mut counts.failed,
                Err(back) => {
                    assert!(back.is_err_and(|reply| reply.id == message.id));
                    &mut counts.cancelled_taken
                }
            },
            // The worker counts this only for posts and for requests whose caller waits. Otherwise
            // it is unknown whether the caller had left before.
            Action::Drop => {
                drop(rctx);
                &mut counts.replied
            }
            Action::Panic => {
                let panic = catch_unwind(AssertUnwindSafe(|| {
                    let _rctx = rctx;
                    // Resuming does not call the panic hook.
                    resume_unwind(Box::new(()));
                }));
                assert!(panic.is_err());
                &mut counts.panicked
            }
        };
        if !message.observed {
            *column += 1;
        }
    }

    /// Serves in all blocking ways, until no client is left or the quota is reached.
    pub(crate) fn serve(mut self, server: &StressServer, rng: &mut Rng, quota: usize) -> Counts {
        let mut batch = Vec::new();
        while self.handled < quota {
            let job = match rng.below(8) {
                0 => server.wait_timeout(Duration::from_micros(rng.below(20))),
                1 => server.try_pop(),
                2 | 3 => match server
                    .wait_many(&mut batch, 1 + usize::try_from(rng.below(16)).unwrap())
                {
                    Ok(_) => Ok(None),
                    Err(error) => Err(error),
                },
                4 => match server.iter().next() {
                    Some(job) => Ok(Some(job)),
                    None => Err(Error::ClientsDisappeared),
                },
                _ => server.wait().map(Some),
            };
            match job {
                Ok(job) => batch.extend(job),
                Err(Error::ClientsDisappeared) => break,
                Err(
                    Error::ServerDisappeared
                    | Error::OriginDisappeared
                    | Error::NoReply
                    | Error::App(_),
                ) => {
                    panic!("not an error of a server")
                }
            }
            for (message, rctx) in batch.drain(..) {
                self.handle(message, rctx);
            }
        }
        self.counts
    }

    /// Serves in all async ways. Only one task, the `poller`, polls the server itself.
    pub(crate) async fn serve_async(
        mut self,
        server: &StressServer,
        rng: &mut Rng,
        poller: bool,
        quota: usize,
    ) -> Counts {
        let mut batch = Vec::new();
        let mut requests = server.stream();
        while self.handled < quota {
            let job = match rng.below(8) {
                // Polls once and leaves.
                0 => match poll_once(&mut Box::pin(server.async_wait())) {
                    Poll::Ready(job) => job.map(Some),
                    Poll::Pending => {
                        tokio::task::yield_now().await;
                        Ok(None)
                    }
                },
                1 => server.async_wait().await.map(Some),
                2 | 3 => server.async_wait_many(&mut batch, 8).await.map(|_| None),
                4 => poll_fn(|cx| Pin::new(&mut requests).poll_next(cx))
                    .await
                    .map_or(Err(Error::ClientsDisappeared), |job| Ok(Some(job))),
                _ if poller => poll_fn(|cx| server.poll_wait(cx)).await.map(Some),
                _ => poll_fn(|cx| requests.poll_wait(cx)).await.map(Some),
            };
            match job {
                Ok(job) => batch.extend(job),
                Err(_) => break,
            }
            for (message, rctx) in batch.drain(..) {
                self.handle(message, rctx);
            }
        }
        self.counts
    }
}
