//! Events of any kind: whose turn it is, what cuts a wait, and what ends it.

use std::{
    future::pending,
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::mpsc;
use ump_server::{
    JoinErrorKind, OnPanic, Refused, ReplyContext, Restart, Stop,
    task::{Builder, Handler, Service, serve},
};

use crate::in_time;

/// The events, in order.
type Log = Arc<Mutex<Vec<&'static str>>>;

/// Logs requests and messages of a channel.
struct Logger {
    log: Log,
    messages: mpsc::UnboundedReceiver<&'static str>,
    message: Option<&'static str>,
    /// Whether each call gives way to other tasks.
    yields: bool,
}

impl Service for Logger {
    type Request = &'static str;
    type Reply = ();
    type Error = Refused;
    type Output = ();
    type Timer = ();

    async fn handle(
        &mut self,
        request: &'static str,
        reply: ReplyContext<'_, (), Refused>,
    ) -> ControlFlow<()> {
        if self.yields {
            tokio::task::yield_now().await;
        }
        self.log.lock().unwrap().push(request);
        let _ = reply.reply(());
        ControlFlow::Continue(())
    }

    async fn ready(&mut self) {
        // Nothing is awaited after it was received.
        self.message = self.messages.recv().await;
        if self.message.is_none() {
            pending::<()>().await;
        }
    }

    async fn on_ready(&mut self) -> ControlFlow<()> {
        if self.yields {
            tokio::task::yield_now().await;
        }
        match self.message.take() {
            Some("panic") => panic!("as asked"),
            Some("wait") => pending().await,
            message => self.log.lock().unwrap().extend(message),
        }
        ControlFlow::Continue(())
    }
}

struct Logged {
    log: Log,
    messages: mpsc::UnboundedSender<&'static str>,
}

fn logger(yields: bool) -> (Logger, Logged) {
    let (messages, receiver) = mpsc::unbounded_channel();
    let log = Log::default();
    let logged = Logged {
        log: Arc::clone(&log),
        messages,
    };
    let logger = Logger {
        log,
        messages: receiver,
        message: None,
        yields,
    };
    (logger, logged)
}

/// Returns the longest run of the same entry, up to the last entry of the other kind.
fn longest_wait(log: &[&str], of: &str) -> usize {
    let last = log.iter().rposition(|entry| *entry == of).unwrap();
    let rows = log[..last].split(|entry| *entry == of);
    rows.map(<[_]>::len).max().unwrap_or(0)
}

#[tokio::test]
async fn floods_of_requests_and_events_take_turns() {
    for yields in [false, true] {
        let (logger, logged) = logger(yields);
        let (client, handle) = serve(logger);
        for _ in 0..500 {
            client.post("request").wait().unwrap();
            logged.messages.send("event").unwrap();
        }
        while logged.log.lock().unwrap().len() < 1000 {
            in_time(tokio::task::yield_now()).await;
        }
        let log = logged.log.lock().unwrap().clone();
        for of in ["request", "event"] {
            assert_eq!(log.iter().filter(|entry| **entry == of).count(), 500);
            // 16, and again if the channel yields for the sake of other tasks.
            let longest = longest_wait(&log, of);
            assert!(longest <= 40, "{longest} before {of}");
        }
        drop(client);
        assert_eq!(in_time(handle).await, Ok(None));
    }
}

#[tokio::test]
async fn a_request_drops_the_wait_and_loses_no_event() {
    let (logger, logged) = logger(false);
    let (client, _handle) = serve(logger);
    for _ in 0..200 {
        client.areq("request").await.unwrap();
        logged.messages.send("event").unwrap();
        tokio::task::yield_now().await;
    }
    let all = async {
        while logged.log.lock().unwrap().len() < 400 {
            tokio::task::yield_now().await;
        }
    };
    in_time(all).await;
}

#[tokio::test]
async fn a_handler_that_is_always_ready_lets_others_run() {
    /// So many events pass only if other tasks are kept waiting.
    const MANY: u64 = 500_000;

    /// Is ready at once, always.
    struct Busy(u64);

    impl Handler<(), u64, Refused> for Busy {
        async fn proc_req(
            &mut self,
            (): (),
            reply: ReplyContext<'_, u64, Refused>,
        ) -> ControlFlow<()> {
            let _ = reply.reply(self.0);
            ControlFlow::Continue(())
        }

        async fn ready(&mut self) {}

        async fn on_ready(&mut self) -> ControlFlow<()> {
            self.0 += 1;
            // All tasks share this thread, so the test itself could not end in time.
            assert!(self.0 < MANY, "no other task runs");
            ControlFlow::Continue(())
        }
    }

    let (client, handle) = serve(Busy(0));
    let other = tokio::spawn(async { tokio::task::yield_now().await });
    in_time(other).await.unwrap();
    let first = in_time(client.areq(())).await.unwrap();
    let second = in_time(client.areq(())).await.unwrap();
    assert!(second > first);
    drop(client);
    assert_eq!(in_time(handle).await, Ok(None));
}

#[tokio::test]
async fn stops_end_the_wait_and_an_abort_the_call() {
    for how in [Stop::Drain, Stop::Refuse, Stop::Abort] {
        let (logger, _logged) = logger(false);
        let (client, handle) = serve(logger);
        client.areq("request").await.unwrap();
        handle.stopper().stop(how);
        assert_eq!(in_time(handle).await, Ok(None));
    }
    let (logger, logged) = logger(false);
    let (client, handle) = serve(logger);
    logged.messages.send("wait").unwrap();
    let stopper = handle.stopper();
    let in_call = async {
        while stopper.workers()[0].in_hand.is_none() {
            tokio::task::yield_now().await;
        }
    };
    in_time(in_call).await;
    assert_eq!(stopper.workers()[0].in_hand.unwrap().kind, "on_ready");
    stopper.stop(Stop::Abort);
    assert_eq!(in_time(handle).await, Ok(None));
    assert!(client.areq("request").await.is_err());
}

#[tokio::test]
async fn a_panic_is_one_of_the_handler() {
    let (logger, logged) = logger(false);
    let (client, handle) = serve(logger);
    logged.messages.send("panic").unwrap();
    let error = in_time(handle).await.unwrap_err();
    assert!(
        matches!(error.kind(), JoinErrorKind::Panicked(_)),
        "{error}"
    );
    assert!(client.areq("request").await.is_err());
}

/// Panics in `ready`, the first time.
struct PanicsOnce(u64);

impl Service for PanicsOnce {
    type Request = ();
    type Reply = u64;
    type Error = Refused;
    type Output = ();
    type Timer = ();

    async fn handle(&mut self, (): (), reply: ReplyContext<'_, u64, Refused>) -> ControlFlow<()> {
        let _ = reply.reply(self.0);
        ControlFlow::Continue(())
    }

    async fn ready(&mut self) {
        assert_ne!(self.0, 0, "the first handler panics");
        pending::<()>().await;
    }
}

#[tokio::test]
async fn a_handler_whose_wait_panics_is_rebuilt() {
    let restart = Restart::new().pause(Duration::ZERO, Duration::ZERO);
    let builder = Builder::new().on_panic(OnPanic::Restart(restart));
    let (client, _handle) = builder
        .spawn_with(|cx| Ok(PanicsOnce(cx.restarts())))
        .unwrap();
    let rebuilt = async { while client.areq(()).await != Ok(1) {} };
    in_time(rebuilt).await;
}

#[tokio::test]
async fn a_panicking_drop_of_the_wait_concerns_no_request() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("as asked");
        }
    }

    struct Trap;

    impl Handler<(), u64, Refused> for Trap {
        async fn proc_req(
            &mut self,
            (): (),
            reply: ReplyContext<'_, u64, Refused>,
        ) -> ControlFlow<()> {
            let _ = reply.reply(7);
            ControlFlow::Continue(())
        }

        async fn ready(&mut self) {
            let _bomb = Bomb;
            pending::<()>().await;
        }
    }

    let (client, _handle) = serve(Trap);
    tokio::task::yield_now().await;
    for _ in 0..3 {
        assert_eq!(in_time(client.areq(())).await, Ok(7));
        tokio::task::yield_now().await; // it waits again
    }
    // The end of the loop drops it as well.
}

#[tokio::test]
async fn others_of_a_pool_serve_while_one_handles_its_event() {
    let (one, logged) = logger(false);
    let one = Mutex::new(Some(one));
    let (client, _handle) = Builder::new()
        .spawn_pool(NonZeroUsize::new(2).unwrap(), move |_| {
            let one = one.lock().unwrap().take();
            Ok(one.unwrap_or_else(|| logger(false).0))
        })
        .unwrap();
    tokio::task::yield_now().await; // both wait for requests
    logged.messages.send("wait").unwrap();
    for _ in 0..50 {
        in_time(client.areq("request")).await.unwrap();
    }
}
