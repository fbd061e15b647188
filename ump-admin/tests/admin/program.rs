//! The program that is shown.

use std::{
    convert::Infallible,
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use ump_admin::Admin;
use ump_router::Router;
use ump_server::{
    OnPanic, ReplyContext, Restart, Stop,
    system::{Attributes, System},
    thread,
};

pub(crate) const TOKEN: &str = "correct-horse-battery";

/// The header of those who may act.
pub(crate) const AUTHORIZED: &str = "Authorization: Bearer correct-horse-battery";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ask {
    Echo(u8),
    /// Tells that it is in hand, and waits for the gate.
    Hold,
    Panic,
}

pub(crate) type Client = ump_server::Client<Ask, u8, Infallible>;

/// A component `store`, and `search`, which needs it.
pub(crate) struct Program {
    pub(crate) system: System,
    pub(crate) held: Receiver<()>,
    pub(crate) gate: Sender<()>,
}

impl Program {
    pub(crate) fn start() -> Self {
        Self::start_with(Attributes::new())
    }

    /// The same with a watchdog of `store`.
    pub(crate) fn start_watched() -> Self {
        Self::start_with(Attributes::new().watchdog(Duration::from_millis(20)))
    }

    fn start_with(store: Attributes) -> Self {
        let (gate, waits) = channel();
        let (holds, held) = channel();
        // Each handler that the factory makes waits at the same gate.
        let waits = Arc::new(Mutex::new(waits));
        let restart = Restart::new().pause(Duration::ZERO, Duration::ZERO);
        let attributes = store.capacity(4).on_panic(OnPanic::Restart(restart));
        let system = System::builder()
            .thread("store", attributes, move |_| {
                let (waits, holds) = (Arc::clone(&waits), holds.clone());
                Ok(move |ask: Ask, rctx: ReplyContext<'_, u8, Infallible>| {
                    let reply = match ask {
                        Ask::Echo(n) => n,
                        Ask::Hold => {
                            let _ = holds.send(());
                            // An error means that the test is over.
                            let _ = waits.lock().unwrap().recv();
                            0
                        }
                        Ask::Panic => panic!("as asked"),
                    };
                    let _ = rctx.reply(reply);
                    ControlFlow::<()>::Continue(())
                })
            })
            .thread("search", Attributes::new().needs("store"), |_| {
                Ok(thread::reply(|n: u8| n))
            })
            .start(Duration::from_secs(60))
            .wait()
            .unwrap();
        Self { system, held, gate }
    }

    pub(crate) fn client(&self) -> Client {
        self.system.client("store").unwrap()
    }

    pub(crate) fn admin(&self) -> Admin {
        Admin::new().system(&self.system)
    }

    pub(crate) fn stop(self) {
        drop(self.gate);
        let report = self
            .system
            .stop(Stop::Drain, Duration::from_secs(60))
            .wait();
        assert!(report.still_running().next().is_none(), "{report}");
    }
}

pub(crate) struct Price(#[expect(dead_code, reason = "nobody reads it")] pub(crate) u64);

impl ump_router::Message for Price {
    const PREFIX: &str = "price";
}

pub(crate) struct Double;

impl ump_router::RequestMessage for Double {
    type Reply = u64;
    type Error = Infallible;
    const PREFIX: &str = "double";
}

/// A router on which two prices are retained.
pub(crate) fn router() -> Router {
    let router = Router::new();
    for topic in ["eth/eur", "btc/eur"] {
        router.publish(topic, Price(1)).retain().wait().unwrap();
    }
    router
}
