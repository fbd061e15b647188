//! The threads that serve.

use std::{sync::Arc, task::Poll, time::Duration};

use tests::{block_on, drop_in_a_panic, poll_once};
use ump::Error;

use super::{Answer, Handle, Handled, Job, Serve, Take, TestServer};
use crate::payload::Register;

pub(super) struct Worker {
    pub(super) server: Arc<TestServer>,
    pub(super) register: Register,
    pub(super) handled: Vec<Handled>,
    pub(super) later: Vec<Job>,
}

impl Worker {
    pub(super) fn serve(mut self, kind: &Serve) -> Vec<Handled> {
        for take in kind.takes.iter().cycle() {
            if kind.quota.is_some_and(|quota| self.handled.len() >= quota) {
                break;
            }
            let Ok(jobs) = self.take(*take) else { break };
            for job in jobs {
                self.handle(job);
            }
        }
        self.catch_up();
        self.handled
    }

    fn take(&mut self, take: Take) -> Result<Vec<Job>, Error<Answer>> {
        let server = Arc::clone(&self.server);
        let mut batch = Vec::new();
        if !self.later.is_empty() {
            // The worker replies before it may sleep.
            let job = server.try_pop()?;
            if job.is_none() {
                self.catch_up();
            }
            return Ok(Vec::from_iter(job));
        }
        match take {
            Take::Wait => batch.push(server.wait()?),
            Take::AsyncWait => batch.push(block_on(server.async_wait())?),
            Take::Many(max) => drop(server.wait_many(&mut batch, max)?),
            Take::AsyncMany(max) => drop(block_on(server.async_wait_many(&mut batch, max))?),
            Take::TryPop => batch.extend(server.try_pop()?),
            Take::NoTime => batch.extend(server.wait_timeout(Duration::ZERO)?),
            Take::Leave => {
                let mut waiting = Box::pin(server.async_wait());
                if let Poll::Ready(job) = poll_once(&mut waiting) {
                    batch.push(job?);
                }
            }
        }
        Ok(batch)
    }

    fn handle(&mut self, (message, rctx): Job) {
        let mut handled = Handled {
            message: message.payload.id(),
            client: message.client,
            number: message.number,
            urgent: message.ask.urgent,
            taken: None,
        };
        let answer = Answer {
            of: handled.message,
            _payload: self.register.payload(),
        };
        match message.ask.handle {
            Handle::Reply => handled.taken = Some(rctx.answer(Ok(answer)).is_ok()),
            Handle::Fail => handled.taken = Some(rctx.answer(Err(answer)).is_ok()),
            Handle::DropContext => drop(rctx),
            Handle::Panic => drop_in_a_panic(rctx),
            Handle::Later => self.later.push((message, rctx)),
        }
        self.handled.push(handled);
    }

    fn catch_up(&mut self) {
        for (message, rctx) in self.later.drain(..) {
            let answer = Answer {
                of: message.payload.id(),
                _payload: self.register.payload(),
            };
            let taken = rctx.answer(Ok(answer)).is_ok();
            let id = message.payload.id();
            let handled = self.handled.iter_mut().find(|h| h.message == id);
            handled.expect("it was").taken = Some(taken);
        }
    }
}
