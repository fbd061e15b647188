//! Code of users that links run while they are locked, and which uses the same links: no call waits
//! for that code.

use std::{
    cell::Cell,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Wake, Waker},
    time::{Duration, Instant},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ump_router::{
    Message, Router, ServeOptions,
    link::sockets::{Link, LinkSetupError, LinkState, Listener, Rules},
};

use crate::support::{Double, LONG, Price, SocketPath, carrying};

/// What a piece of code does, once.
type Once = Mutex<Option<Box<dyn FnOnce() + Send>>>;

static ENCODED: Once = Mutex::new(None);
static DECODED: Once = Mutex::new(None);
static DROPPED: Once = Mutex::new(None);

thread_local! {
    /// This thread publishes. It may be the last that holds a message.
    static PUBLISHES: Cell<bool> = const { Cell::new(false) };
}

fn run(once: &Once) {
    let run = once.lock().unwrap().take();
    if let Some(run) = run {
        run();
    }
}

#[derive(Debug)]
struct Reenters;

impl Message for Reenters {
    const PREFIX: &str = "reenters";
}

impl Serialize for Reenters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        run(&ENCODED);
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Reenters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer)?;
        run(&DECODED);
        Ok(Self)
    }
}

impl Drop for Reenters {
    fn drop(&mut self) {
        if !PUBLISHES.get() {
            run(&DROPPED);
        }
    }
}

/// A waker of a task.
struct Runs(Once);

impl Wake for Runs {
    fn wake(self: Arc<Self>) {
        run(&self.0);
    }
}

/// A router with a link and a listener of its own.
struct End {
    router: Router,
    link: Link,
    listener: Listener,
}

impl End {
    /// Calls all that a router has of its links, and some of the rest.
    fn use_all(&self) {
        let Self {
            router,
            link,
            listener,
        } = self;
        let path = SocketPath::new();
        let in_code = |error: LinkSetupError| {
            assert_eq!(error, LinkSetupError::InCodeOfLinks);
        };
        in_code(router.listen(path.address()).unwrap_err());
        in_code(router.connect(path.address()).unwrap_err());
        listener.set_rules(Rules::allow_by_default());
        assert!(listener.links().is_empty());
        assert!(matches!(link.state(), LinkState::Open { .. }));
        assert_eq!(link.status().state, link.state());
        assert_eq!(link.last_failure(), None);
        assert!(!link.opened().wait());
        assert!(!router.close_links().wait());
        router.carry::<Reenters>().unwrap();
        drop(router.subscribe::<Price>("here").unwrap());
        let standby = ServeOptions::new().standby();
        drop(router.serve_with::<Double>("here", standby).unwrap());
        router.publish("here", Price(1)).wait().unwrap();
        let _ = (router.subscriptions(), router.servers());
    }

    /// Returns what uses all, and says when it has.
    fn using(self, used: mpsc::Sender<Router>) -> Box<dyn FnOnce() + Send> {
        Box::new(move || {
            self.use_all();
            let Self { router, .. } = self; // the link and the listener are dropped here
            used.send(router).unwrap();
        })
    }
}

/// Two ends of a link, and what the second one has a link to.
fn ends() -> (End, End, (Router, Listener)) {
    let new = || {
        let router = carrying();
        router.carry::<Reenters>().unwrap();
        let listener = router.listen("tcp:127.0.0.1:0").unwrap();
        (router, listener)
    };
    let linked = |(router, listener): (Router, Listener), to: &Listener| {
        let link = router.connect(to.address()).unwrap();
        assert!(link.opened().timeout(LONG).wait());
        End {
            router,
            link,
            listener,
        }
    };
    let third = new();
    let to = linked(new(), &third.1);
    (linked(new(), &to.listener), to, third)
}

#[test]
fn code_that_links_run_may_use_them() {
    PUBLISHES.set(true);
    let subscribe = |router: &Router| router.subscribe::<Reenters>("a").unwrap();
    for once in [&ENCODED, &DECODED, &DROPPED] {
        let (from, to, _third) = ends();
        let subscription = subscribe(&to.router);
        let mut watch = from.router.watch_subscribers::<Reenters>("a").unwrap();
        assert_eq!(watch.changed().wait_timeout(LONG).unwrap(), Some(true));
        let (used, done) = mpsc::channel();
        let publisher = from.router.clone();
        let (user, _other) = if std::ptr::eq(once, &raw const DECODED) {
            (to, from)
        } else {
            (from, to)
        };
        *once.lock().unwrap() = Some(user.using(used));
        let start = Instant::now();
        let router = loop {
            publisher.publish("a", Reenters).wait().unwrap();
            if let Ok(router) = done.recv_timeout(Duration::from_millis(100)) {
                break router;
            }
            assert!(start.elapsed() < LONG, "no call waits");
        };
        router.publish("b", Price(2)).wait().unwrap();
        drop(subscription);
    }
    // A task that is woken by what a link brings.
    let (from, to, _third) = ends();
    let mut subscription = subscribe(&to.router);
    let mut watch = from.router.watch_subscribers::<Reenters>("a").unwrap();
    assert_eq!(watch.changed().wait_timeout(LONG).unwrap(), Some(true));
    let (used, done) = mpsc::channel();
    let waker = Waker::from(Arc::new(Runs(Mutex::new(Some(to.using(used))))));
    let polled = subscription.poll_recv(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    from.router.publish("a", Reenters).wait().unwrap();
    done.recv_timeout(LONG).expect("no call waits");
}
