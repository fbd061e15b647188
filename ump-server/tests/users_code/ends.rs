//! Panics at the end of a loop: in `term`, in the drop of the handler, of its calls and of its
//! factory.

use std::{
    future::Future,
    ops::ControlFlow,
    sync::mpsc,
    task::{Context as Polled, Poll},
};

use ump_server::{Client, JoinErrorKind, OnPanic, ReplyContext, task, thread, ump::RequestError};

use crate::support::{Bomb, LONG, Throw, in_each_way, runtime};

in_each_way! {
    term_and_drop_on_a_thread
    term_and_drop_on_a_task
    drop_after_term
    everything_when_the_runtime_is_shut_down
    call_that_panics_and_cannot_be_dropped
}

/// A handler that panics in the given way in `term` and when it is dropped.
struct Ends {
    in_term: Option<Throw>,
    in_drop: Throw,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.in_drop.throw();
    }
}

impl Ends {
    fn end(&self) {
        if let Some(way) = self.in_term {
            way.throw();
        }
    }
}

impl thread::Handler<(), (), ()> for Ends {
    fn proc_req(&mut self, (): (), rctx: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        let _ = rctx.reply(());
        ControlFlow::Continue(())
    }

    fn term(&mut self, _: Option<()>) -> Option<()> {
        self.end();
        Some(())
    }
}

impl task::Handler<(), (), ()> for Ends {
    async fn proc_req(&mut self, (): (), rctx: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        let _ = rctx.reply(());
        ControlFlow::Continue(())
    }

    async fn term(&mut self, _: Option<()>) -> Option<()> {
        tokio::task::yield_now().await;
        self.end();
        Some(())
    }
}

fn has_panicked(error: &ump_server::JoinError, way: Throw) {
    let JoinErrorKind::Panicked(message) = error.kind() else {
        panic!("{error}");
    };
    let expected = matches!(way, Throw::Text).then_some("thrown");
    assert_eq!(message.as_str(), expected);
}

fn term_and_drop_on_a_thread(way: Throw) {
    let ends = Ends {
        in_term: Some(way),
        in_drop: Throw::Bomb,
    };
    let (client, handle) = thread::spawn(move |_: &Client<(), (), ()>| Ok(ends)).unwrap();
    drop(client);
    has_panicked(&handle.join().unwrap_err(), way);
}

fn term_and_drop_on_a_task(way: Throw) {
    let runtime = runtime();
    let ends = Ends {
        in_term: Some(way),
        in_drop: Throw::Bomb,
    };
    let (client, handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn(move |_: &Client<(), (), ()>| Ok(ends))
        .unwrap();
    drop(client);
    has_panicked(&handle.join().unwrap_err(), way);
}

fn drop_after_term(way: Throw) {
    let ends = Ends {
        in_term: None,
        in_drop: way,
    };
    let (client, handle) = thread::spawn(move |_: &Client<(), (), ()>| Ok(ends)).unwrap();
    drop(client);
    has_panicked(&handle.join().unwrap_err(), way);
}

/// Never ends, and panics when it is dropped.
struct Stuck(Throw);

impl Future for Stuck {
    type Output = ControlFlow<()>;

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut Polled<'_>) -> Poll<Self::Output> {
        Poll::Pending
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.throw();
    }
}

/// A handler whose pending calls are dropped with it, each with a bomb.
struct Waits {
    called: mpsc::Sender<()>,
    way: Throw,
    _bomb: Bomb,
}

impl task::Handler<(), (), ()> for Waits {
    fn proc_req(
        &mut self,
        (): (),
        rctx: ReplyContext<'_, (), ()>,
    ) -> impl Future<Output = ControlFlow<()>> + Send {
        self.called.send(()).unwrap();
        let stuck = Stuck(self.way);
        async move {
            let _rctx = rctx;
            stuck.await
        }
    }
}

fn everything_when_the_runtime_is_shut_down(way: Throw) {
    let runtime = runtime();
    let (called, is_called) = mpsc::channel();
    let of_the_factory = Bomb(way);
    let (client, handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn_with(move |_| {
            let _ = &of_the_factory;
            Ok(Waits {
                called: called.clone(),
                way,
                _bomb: Bomb(way),
            })
        })
        .unwrap();
    let asked = client.request(()).submit().wait().unwrap();
    is_called.recv_timeout(LONG).unwrap();
    drop(runtime);
    assert!(matches!(asked.wait(), Err(RequestError::NoReply(_))));
    let error = handle.join().unwrap_err();
    assert_eq!(*error.kind(), JoinErrorKind::Aborted);
}

/// Panics when it is polled, and when it is dropped.
struct Hopeless(Throw);

impl Future for Hopeless {
    type Output = ControlFlow<()>;

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut Polled<'_>) -> Poll<Self::Output> {
        self.0.throw();
    }
}

impl Drop for Hopeless {
    fn drop(&mut self) {
        self.0.throw();
    }
}

fn call_that_panics_and_cannot_be_dropped(way: Throw) {
    let runtime = runtime();
    let (client, handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .on_panic(OnPanic::Continue)
        .spawn(move |_: &Client<(), (), ()>| {
            Ok(move |(): (), rctx: ump_server::ump::ReplyContext<(), ()>| {
                drop(rctx);
                Hopeless(way)
            })
        })
        .unwrap();
    for _ in 0..2 {
        let outcome = client.request(()).wait();
        assert!(matches!(outcome, Err(RequestError::NoReply(_))));
    }
    drop(client);
    assert_eq!(handle.join(), Ok(None));
}
