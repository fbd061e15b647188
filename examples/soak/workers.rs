//! The workers: threads that block and tasks that await. They share a server, and come and go.

use std::{
    future::poll_fn,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::{Arc, mpsc},
    time::Duration,
};

use futures_util::StreamExt;
use tokio::{runtime::Handle, time};
use ump::{Error, ReplyContext, Server};

use crate::{
    payload::{Action, Message, Payload},
    rng::Rng,
    watchdog::{ReportPanic, Watchdog},
};

pub(crate) type SoakServer = Server<Message, Payload, Payload>;
pub(crate) type RequestContext = ReplyContext<Payload, Payload>;
pub(crate) type Job = (Message, RequestContext);

pub(crate) struct Worker {
    pub(crate) server: Arc<SoakServer>,
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) rng: Rng,
    /// The number of requests to handle before it exits; it may handle a few more.
    pub(crate) quota: usize,
    /// Takes requests that are handed off.
    pub(crate) handoff: mpsc::Sender<Job>,
    pub(crate) runtime: Handle,
}

/// Why a worker exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    QuotaReached,
    NoClients,
}

impl Worker {
    pub(crate) fn block(mut self) -> Exit {
        let _report_panic = ReportPanic(Arc::clone(&self.watchdog), "a worker");
        let mut batch = Vec::new();
        while self.quota > 0 {
            let most = 1 + self.rng.size(32);
            let moment = self.rng.micros(200);
            let got = match self.rng.below(8) {
                0 => self.server.wait_timeout(moment),
                1 => self.server.try_pop(),
                2 | 3 => self.server.wait_many(&mut batch, most).map(|_| None),
                4 => self
                    .server
                    .iter()
                    .next()
                    .map(Some)
                    .ok_or(Error::ClientsDisappeared),
                _ => self.server.wait().map(Some),
            };
            match got {
                Ok(job) => batch.extend(job),
                Err(_) => return Exit::NoClients,
            }
            for job in batch.drain(..) {
                self.handle(job);
            }
        }
        Exit::QuotaReached
    }

    pub(crate) async fn run(mut self) -> Exit {
        let _report_panic = ReportPanic(Arc::clone(&self.watchdog), "a worker");
        let server = Arc::clone(&self.server);
        let mut batch = Vec::new();
        let mut stream = server.stream();
        while self.quota > 0 {
            let most = 1 + self.rng.size(32);
            let moment = self.rng.micros(200);
            let got = match self.rng.below(8) {
                0 => time::timeout(moment, server.async_wait())
                    .await
                    .map_or(Ok(None), |got| got.map(Some)),
                1 => server.try_pop(),
                2 | 3 => server.async_wait_many(&mut batch, most).await.map(|_| None),
                4 => {
                    let next = stream.next().await;
                    // A stream that is not polled must not stay in the wait queue.
                    stream = server.stream();
                    next.map(Some).ok_or(Error::ClientsDisappeared)
                }
                // Only one task at a time can wait by `poll_wait`.
                5 => time::timeout(moment, poll_fn(|cx| server.poll_wait(cx)))
                    .await
                    .map_or(Ok(None), |got| got.map(Some)),
                _ => server.async_wait().await.map(Some),
            };
            match got {
                Ok(job) => batch.extend(job),
                Err(_) => return Exit::NoClients,
            }
            for (message, mut rctx) in batch.drain(..) {
                if self.rng.one_in(16) {
                    let work = pin!(time::sleep(moment));
                    tokio::select! {
                        () = rctx.cancelled() => {}
                        () = work => {}
                    }
                }
                self.handle((message, rctx));
            }
            if self.rng.one_in(4) {
                tokio::task::yield_now().await;
            }
        }
        Exit::QuotaReached
    }

    fn handle(&mut self, (mut message, mut rctx): Job) {
        self.quota = self.quota.saturating_sub(1);
        if mem::replace(&mut message.handled, true) {
            self.watchdog
                .report("a request was handled twice".to_owned());
        }
        if !message.payload.is_intact() {
            self.watchdog.report("a message was written to".to_owned());
        }
        // A request with a deadline would still end at its deadline.
        if rctx.deadline().is_none() && self.watchdog.must_forget() {
            mem::forget(rctx);
            return;
        }
        match self.rng.below(64) {
            0 => {
                // A task that outlives this worker, and possibly the server.
                let moment = self.rng.micros(2_000);
                let handoff = self.handoff.clone();
                self.runtime.spawn(async move {
                    let _ = time::timeout(moment, rctx.cancelled()).await;
                    let _ = handoff.send((message, rctx));
                });
                return;
            }
            1..5 => {
                // The receiver lives as long as there are senders.
                let _ = self.handoff.send((message, rctx));
                return;
            }
            5 => {
                // A caller with a deadline may well leave.
                let micros = if rctx.deadline().is_some() { 2_000 } else { 20 };
                rctx.wait_cancelled(self.rng.micros(micros));
            }
            _ => {}
        }
        finish((message, rctx));
    }
}

/// Does what the message asks for, and counts the outcome if its caller does not.
pub(crate) fn finish((message, rctx): Job) {
    let observed = &message.observed;
    let post = rctx.is_post();
    let column = match message.action {
        Action::Reply => match rctx.answer(Ok(message.payload.reply())) {
            Ok(()) => &observed.replied,
            Err(_) => &observed.cancelled_taken,
        },
        Action::Fail => match rctx.answer(Err(message.payload.reply())) {
            Ok(()) => &observed.failed,
            Err(_) => &observed.cancelled_taken,
        },
        Action::Drop => {
            drop(rctx);
            if post {
                &observed.replied
            } else {
                &observed.no_reply
            }
        }
        Action::Panic => {
            let panic = catch_unwind(AssertUnwindSafe(|| {
                let _rctx = rctx;
                // Resuming does not call the panic hook.
                resume_unwind(Box::new(()));
            }));
            debug_assert!(panic.is_err());
            &observed.panicked
        }
    };
    if !message.counted_by_caller {
        column.add();
    }
}

/// Finishes the requests that are handed off, until all senders have gone.
pub(crate) fn answer_handed_off(jobs: &mpsc::Receiver<Job>, mut rng: Rng) {
    while let Ok(job) = jobs.recv() {
        if rng.one_in(64) {
            std::thread::sleep(Duration::from_micros(100));
        }
        finish(job);
    }
}
