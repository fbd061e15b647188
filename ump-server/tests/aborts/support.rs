//! A handler that gets stuck where it is asked to, and waits that do not hang.

use std::{future::pending, ops::ControlFlow, sync::mpsc, time::Duration};

use tokio::runtime::Runtime;
use ump_server::{
    ReplyContext, task,
    ump::{NoReply, RequestError},
};

pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The requests to the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Echo,
    /// Waits for ever while it owes the reply.
    Stick,
    /// Waits for ever after it has detached the reply context.
    Detach,
    /// Waits for ever after it has replied.
    Answer,
    /// Waits for ever after it has forgotten the reply context.
    Forget,
}

/// Reports where it is stuck, and what happens to it.
pub(crate) struct Sticks {
    pub(crate) events: mpsc::Sender<&'static str>,
    pub(crate) in_init: bool,
    pub(crate) in_term: bool,
}

impl Sticks {
    async fn stick(&self, at: &'static str) {
        self.events.send(at).unwrap();
        pending::<()>().await;
    }
}

impl Drop for Sticks {
    fn drop(&mut self) {
        let _ = self.events.send("dropped");
    }
}

impl task::Handler<Op, Op, (), &'static str> for Sticks {
    async fn init(&mut self, _: ump_server::WeakClient<Op, Op, ()>) {
        if self.in_init {
            self.stick("init").await;
        }
    }

    async fn proc_req(
        &mut self,
        op: Op,
        rctx: ReplyContext<'_, Op, ()>,
    ) -> ControlFlow<&'static str> {
        match op {
            Op::Echo => {
                let _ = rctx.reply(op);
            }
            Op::Stick => {
                let _rctx = rctx;
                self.stick("call").await;
            }
            Op::Detach => {
                let _rctx = rctx.detach();
                self.stick("call").await;
            }
            Op::Answer => {
                let _ = rctx.reply(op);
                self.stick("call").await;
            }
            Op::Forget => {
                std::mem::forget(rctx);
                self.stick("call").await;
            }
        }
        ControlFlow::Continue(())
    }

    async fn term(&mut self, _: Option<&'static str>) -> Option<&'static str> {
        if self.in_term {
            self.stick("term").await;
        }
        Some("term")
    }
}

pub(crate) fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).build().unwrap()
}

pub(crate) fn sticks() -> (Sticks, mpsc::Receiver<&'static str>) {
    let (events, stuck) = mpsc::channel();
    let handler = Sticks {
        events,
        in_init: false,
        in_term: false,
    };
    (handler, stuck)
}

/// Runs a wait that may hang, and fails if it does.
pub(crate) fn bounded<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || done.send(wait()));
    is_done.recv_timeout(LONG).expect("it does not hang")
}

pub(crate) fn why<S>(outcome: Result<Op, RequestError<S, ()>>) -> Result<Op, NoReply> {
    outcome.map_err(|error| match error {
        RequestError::NoReply(why) => why,
        other => panic!("{:?}", other.without_message()),
    })
}
