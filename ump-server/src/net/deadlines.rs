//! The instants at which the loop looks at sockets.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    sync::Arc,
    time::Instant,
};

use super::{
    readiness::{BACKING_OFF, CONNECTING, DROPPED},
    socket::{Role, Socket},
};

/// With fewer deadlines than these, the loop does not look for those that no longer matter.
const FEW: usize = 64;

/// The deadlines of a loop.
///
/// A deadline stays when its connect is made or dropped. Those that no longer matter are removed
/// together, each time the number of deadlines has doubled since the last time: so this costs a
/// constant time for each, on average, and a long time-out does not keep many sockets alive.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<Deadline>>,
    /// The number of deadlines that mattered the last time.
    left: usize,
}

/// The instant at which the loop looks at a socket.
#[derive(Debug)]
struct Deadline(Instant, Arc<Socket>);

impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Deadline {}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl Deadlines {
    /// Returns the earliest instant. It may have passed.
    #[inline]
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(Deadline(at, _))| *at)
    }

    pub(super) fn push(&mut self, at: Instant, socket: Arc<Socket>) {
        if self.heap.len() >= self.left.max(FEW / 2) * 2 {
            self.heap
                .retain(|Reverse(Deadline(_, socket))| matters(socket));
            self.left = self.heap.len();
        }
        self.heap.push(Reverse(Deadline(at, socket)));
    }

    /// Removes and returns the socket with the earliest instant, if that is not after `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Arc<Socket>> {
        if self.next()? > now {
            return None;
        }
        let Reverse(Deadline(_, socket)) = self.heap.pop()?;
        Some(socket)
    }
}

/// Returns whether the loop still has a reason to look at the socket.
fn matters(socket: &Socket) -> bool {
    let waits_for = match &socket.role {
        Role::Plain => return false,
        Role::Listener(_) => BACKING_OFF,
        Role::Connecting(_) => CONNECTING,
    };
    let seen = socket.readiness.load();
    seen.has(waits_for) && !seen.has(DROPPED)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, TcpListener},
        time::Duration,
    };

    use ump::Clock;

    use super::*;
    use crate::net::{Connect, Event, Reactor, Sockets, TcpStream, poller::Poller};

    const MINUTE: Duration = Duration::from_secs(60);
    const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    struct Connects {
        sockets: Sockets,
        poller: Poller,
        listener: TcpListener,
    }

    impl Connects {
        fn new() -> Self {
            let reactor = Reactor::new(&"deadlines".into(), 0, &Clock::system(), || ());
            reactor.attach_thread();
            let sockets = Sockets::new(&reactor);
            let first = sockets.udp(ANY_PORT).expect("a free port");
            let poller = Poller::new(&reactor).expect("a socket was registered");
            drop(first);
            Self {
                sockets,
                poller,
                listener: TcpListener::bind(ANY_PORT).expect("a free port"),
            }
        }

        /// Begins a connect that may take a minute.
        fn connect(&mut self) -> TcpStream {
            let address = self.listener.local_addr().expect("it is bound");
            let how = Connect::new(address).timeout(MINUTE);
            let stream = self.sockets.connect(how).expect("it begins");
            self.poller.begin_turn();
            stream
        }

        /// Waits until the connection is made.
        fn finish(&mut self, stream: &TcpStream) {
            loop {
                while let Some((event, delivery)) = self.poller.next() {
                    drop(delivery);
                    if matches!(event, Event::Connected(id) if id == stream.id()) {
                        return;
                    }
                }
                self.poller.sleep(Some(Instant::now() + MINUTE));
                self.poller.begin_turn_after_sleep();
            }
        }

        fn kept(&self) -> usize {
            self.poller.deadlines.heap.len()
        }
    }

    #[test]
    fn connects_that_were_made_are_forgotten_before_their_time() {
        let mut connects = Connects::new();
        for _ in 0..500 {
            let stream = connects.connect();
            connects.finish(&stream);
            let _ = connects.listener.accept().expect("it was made");
            assert!(connects.kept() <= FEW, "{} are kept", connects.kept());
        }
    }

    #[test]
    fn connects_that_were_dropped_are_forgotten_before_their_time() {
        let mut connects = Connects::new();
        for _ in 0..500 {
            drop(connects.connect());
            assert!(connects.kept() <= FEW, "{} are kept", connects.kept());
        }
    }

    #[test]
    fn connects_in_progress_keep_their_deadlines() {
        let mut connects = Connects::new();
        // No turn reports that they are made, so the loop takes them for unfinished.
        let all: Vec<_> = (0..100).map(|_| connects.connect()).collect();
        assert_eq!(connects.kept(), all.len());
        drop(all);
        for _ in 0..100 {
            drop(connects.connect());
        }
        assert!(connects.kept() <= 2 * FEW, "{} are kept", connects.kept());
    }
}
