//! Those who answer: threads that block, and tasks that await. They share a server, come and go.

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
    dice::Dice,
    parcel::{How, Message, Parcel},
    watch::{Alive, Watch},
};

pub(crate) type Requests = Server<Message, Parcel, Parcel>;
pub(crate) type Duty = ReplyContext<Parcel, Parcel>;
pub(crate) type Job = (Message, Duty);

pub(crate) struct Worker {
    pub(crate) server: Arc<Requests>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) dice: Dice,
    /// Handles so many requests, or a few more, and goes.
    pub(crate) quota: usize,
    /// Who answers what is passed on.
    pub(crate) elsewhere: mpsc::Sender<Job>,
    pub(crate) runtime: Handle,
}

/// Why a worker went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    Enough,
    NoClients,
}

impl Worker {
    pub(crate) fn block(mut self) -> Gone {
        let _alive = Alive(Arc::clone(&self.watch), "a worker");
        let mut batch = Vec::new();
        while self.quota > 0 {
            let most = 1 + self.dice.size(32);
            let moment = self.dice.micros(200);
            let got = match self.dice.roll(8) {
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
                Err(_) => return Gone::NoClients,
            }
            for job in batch.drain(..) {
                self.handle(job);
            }
        }
        Gone::Enough
    }

    pub(crate) async fn run(mut self) -> Gone {
        let _alive = Alive(Arc::clone(&self.watch), "a worker");
        let server = Arc::clone(&self.server);
        let mut batch = Vec::new();
        let mut stream = server.stream();
        while self.quota > 0 {
            let most = 1 + self.dice.size(32);
            let moment = self.dice.micros(200);
            let got = match self.dice.roll(8) {
                0 => time::timeout(moment, server.async_wait())
                    .await
                    .map_or(Ok(None), |got| got.map(Some)),
                1 => server.try_pop(),
                2 | 3 => server.async_wait_many(&mut batch, most).await.map(|_| None),
                4 => {
                    let next = stream.next().await;
                    // It has a place in line, and may not be left there.
                    stream = server.stream();
                    next.map(Some).ok_or(Error::ClientsDisappeared)
                }
                // One task at a time may wait in this way.
                5 => time::timeout(moment, poll_fn(|cx| server.poll_wait(cx)))
                    .await
                    .map_or(Ok(None), |got| got.map(Some)),
                _ => server.async_wait().await.map(Some),
            };
            match got {
                Ok(job) => batch.extend(job),
                Err(_) => return Gone::NoClients,
            }
            for (message, mut rctx) in batch.drain(..) {
                if self.dice.one_in(16) {
                    let work = pin!(time::sleep(moment));
                    tokio::select! {
                        () = rctx.cancelled() => {}
                        () = work => {}
                    }
                }
                self.handle((message, rctx));
            }
            if self.dice.one_in(4) {
                tokio::task::yield_now().await;
            }
        }
        Gone::Enough
    }

    fn handle(&mut self, (mut message, mut rctx): Job) {
        self.quota = self.quota.saturating_sub(1);
        if mem::replace(&mut message.handled, true) {
            self.watch.report("a request was handled twice".to_owned());
        }
        if !message.parcel.is_whole() {
            self.watch.report("a message was written to".to_owned());
        }
        // One with a deadline would end by that.
        if rctx.deadline().is_none() && self.watch.is_to_forget() {
            mem::forget(rctx);
            return;
        }
        match self.dice.roll(64) {
            0 => {
                // A task that outlives this worker, and perhaps the server.
                let moment = self.dice.micros(2_000);
                let elsewhere = self.elsewhere.clone();
                self.runtime.spawn(async move {
                    let _ = time::timeout(moment, rctx.cancelled()).await;
                    let _ = elsewhere.send((message, rctx));
                });
                return;
            }
            1..5 => {
                // It is there for as long as somebody can send to it.
                let _ = self.elsewhere.send((message, rctx));
                return;
            }
            5 => {
                // Whoever has a deadline may well leave.
                let patience = if rctx.deadline().is_some() { 2_000 } else { 20 };
                rctx.wait_cancelled(self.dice.micros(patience));
            }
            _ => {}
        }
        answer((message, rctx));
    }
}

/// Does what the message says, and keeps the book if its caller does not.
pub(crate) fn answer((message, rctx): Job) {
    let book = &message.book;
    let post = rctx.is_post();
    let column = match message.how {
        How::Reply => match rctx.answer(Ok(message.parcel.answer())) {
            Ok(()) => &book.replied,
            Err(_) => &book.cancelled_taken,
        },
        How::Fail => match rctx.answer(Err(message.parcel.answer())) {
            Ok(()) => &book.failed,
            Err(_) => &book.cancelled_taken,
        },
        How::LetGo => {
            drop(rctx);
            if post { &book.replied } else { &book.no_reply }
        }
        How::Panic => {
            let panic = catch_unwind(AssertUnwindSafe(|| {
                let _rctx = rctx;
                // Without a message on the terminal.
                resume_unwind(Box::new(()));
            }));
            debug_assert!(panic.is_err());
            &book.panicked
        }
    };
    if !message.told {
        column.add();
    }
}

/// Answers what is passed on, for as long as there is somebody who may.
pub(crate) fn answer_elsewhere(jobs: &mpsc::Receiver<Job>, mut dice: Dice) {
    while let Ok(job) = jobs.recv() {
        if dice.one_in(64) {
            std::thread::sleep(Duration::from_micros(100));
        }
        answer(job);
    }
}
