//! The steps of receivers.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
};

use tests::poll_once;
use ump::Error;

use super::{Execution, Job, Task, TestServer, pause};
use crate::{
    model::{Deserted, Mismatch, WaiterKey},
    payload::Payload,
    program::{Receive, Waker},
};

pub(super) struct ReceiveTask {
    max: usize,
    again: bool,
    key: WaiterKey,
    task: Task<()>,
    /// The result of a receiver.
    mail: Rc<RefCell<Option<Result<Vec<Job>, Deserted>>>>,
}

impl Execution {
    /// Takes without waiting; `take` learns whether there is a request.
    pub(super) fn take(
        &mut self,
        max: usize,
        take: impl FnOnce(&TestServer, bool) -> Result<Vec<Job>, Error<Payload>>,
    ) -> Result<(), Mismatch> {
        let Some(server) = self.server.clone() else {
            return Ok(());
        };
        let taken = take(&server, self.model.has_some()).map_err(|_| Deserted);
        let taken = self.keep(taken);
        let seen = taken.clone().unwrap_or_default();
        same!(taken, self.model.take(max, None, &seen), "what was taken");
        Ok(())
    }

    pub(super) fn take_many(&mut self, max: usize) -> Result<(), Mismatch> {
        self.take(max, |server, some| {
            let mut batch = Vec::new();
            if some || max == 0 {
                let count = server.wait_many(&mut batch, max)?;
                assert_eq!(count, batch.len());
                return Ok(batch);
            }
            while batch.len() < max {
                match server.try_pop() {
                    Ok(Some(job)) => batch.push(job),
                    Err(error) if batch.is_empty() => return Err(error),
                    Ok(None) | Err(_) => break,
                }
            }
            Ok(batch)
        })
    }

    /// Keeps the contexts, and returns the messages.
    pub(super) fn keep(
        &mut self,
        taken: Result<Vec<Job>, Deserted>,
    ) -> Result<Vec<usize>, Deserted> {
        let mut messages = Vec::new();
        for (message, rctx) in taken? {
            messages.push(message.id());
            let request = self.model.request_of(message.open());
            self.contexts
                .push((request.expect("one that was made"), rctx));
        }
        Ok(messages)
    }

    pub(super) fn poll_server(&mut self, waker: Waker) -> Result<(), Mismatch> {
        let Some(server) = self.server.clone() else {
            return Ok(());
        };
        let mut counter = self.poller;
        self.counter(&mut counter, waker);
        self.poller = counter;
        let (polled, own) = self.poll(pin!(poll_fn(|cx| server.poll_wait(cx))), counter);
        same!(own, 0, "how often it woke itself");
        let polled =
            polled.map(|taken| self.keep(taken.map(|job| vec![job]).map_err(|_| Deserted)));
        let seen = seen(&polled);
        same!(
            polled,
            self.model.poll_server(counter, &seen),
            "what was taken"
        );
        Ok(())
    }

    pub(super) fn receive(&mut self, what: Receive, poll: bool) -> Result<(), Mismatch> {
        let Some(server) = self.server.clone() else {
            return Ok(());
        };
        let mail = Rc::new(RefCell::new(None));
        let put = {
            let mail = Rc::clone(&mail);
            move |got: Result<Vec<Job>, Error<Payload>>| {
                *mail.borrow_mut() = Some(got.map_err(|_| Deserted));
            }
        };
        let (max, again) = match what {
            Receive::One => (1, false),
            Receive::Many(max) => (usize::from(max), false),
            Receive::Stream => (1, true),
        };
        let mut future: Pin<Box<dyn Future<Output = ()>>> = match what {
            Receive::One => Box::pin(async move {
                let receiving = server.async_wait();
                pause().await;
                put(receiving.await.map(|job| vec![job]));
            }),
            Receive::Many(_) => Box::pin(async move {
                let mut batch = Vec::new();
                let receiving = server.async_wait_many(&mut batch, max);
                pause().await;
                let count = receiving.await;
                put(count.map(|count| {
                    assert_eq!(count, batch.len());
                    batch
                }));
            }),
            Receive::Stream => Box::pin(async move {
                let mut stream = server.stream();
                loop {
                    pause().await;
                    let got = poll_fn(|cx| stream.poll_wait(cx)).await;
                    let ends = got.is_err();
                    put(got.map(|job| vec![job]));
                    if ends {
                        break;
                    }
                }
            }),
        };
        assert!(poll_once(&mut future).is_pending(), "it is only made");
        self.model.use_server();
        let counter = self.new_counter();
        self.receiving.push(ReceiveTask {
            max,
            again,
            key: WaiterKey::default(),
            task: Task { counter, future },
            mail,
        });
        if poll {
            self.poll_receiving(self.receiving.len() - 1, Waker::Same)?;
        }
        Ok(())
    }

    pub(super) fn poll_receiving(&mut self, n: usize, waker: Waker) -> Result<(), Mismatch> {
        let mut receiving = self.receiving.remove(n);
        self.counter(&mut receiving.task.counter, waker);
        let counter = receiving.task.counter;
        let (polled, own) = self.poll(receiving.task.future.as_mut(), counter);
        let mail = receiving.mail.borrow_mut().take();
        let got = mail.map_or(Poll::Pending, |mail| Poll::Ready(self.keep(mail)));
        let (seen, key) = (seen(&got), &mut receiving.key);
        let expected = self
            .model
            .poll_receiving(receiving.max, key, counter, own, &seen)?;
        same!(got, expected, "what was taken");
        if polled.is_ready() {
            same!(got.is_ready(), true, "whether it has something to show");
            self.model.stop_receiving(receiving.key);
            self.model.leave_server();
        } else {
            same!(
                receiving.again || got.is_pending(),
                true,
                "whether it goes on"
            );
            self.receiving.insert(n, receiving);
        }
        Ok(())
    }

    pub(super) fn drop_receiving(&mut self, n: usize) {
        let ReceiveTask { task, key, .. } = self.receiving.remove(n);
        drop(task);
        self.model.stop_receiving(key);
        self.model.leave_server();
    }

    pub(super) fn drop_server(&mut self) {
        if let Some(server) = self.server.take() {
            drop(server);
            self.model.leave_server();
        }
    }
}

fn seen(polled: &Poll<Result<Vec<usize>, Deserted>>) -> Vec<usize> {
    match polled {
        Poll::Ready(Ok(messages)) => messages.clone(),
        _ => Vec::new(),
    }
}
