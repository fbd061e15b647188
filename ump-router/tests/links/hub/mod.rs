//! Three routers: two leaves, and the hub that both are linked to. All in one process, with real
//! sockets.

mod messages;
mod requests;
mod retained;
mod twins;

use std::time::Duration;

use ump_router::{
    Router,
    link::{
        session::Timeouts,
        sockets::{Link, ListenOptions, Listener},
    },
};

use crate::support::{LONG, SocketPath, carrying};

/// The hub and its links.
pub(super) struct Star {
    pub(super) one: Router,
    pub(super) other: Router,
    pub(super) hub: Router,
    pub(super) listener: Listener,
    _links: [Link; 2],
    _path: SocketPath,
}

impl Star {
    pub(super) fn new(address: &str, path: SocketPath, hub: Router) -> Self {
        // A peer that reads nothing is not lost in the middle of a test on a busy machine: that
        // would be a gap at the others.
        let patience = Duration::from_secs(3600);
        let timeouts = Timeouts {
            silence: patience,
            write: patience,
            ..Timeouts::default()
        };
        let options = ListenOptions::new().timeouts(timeouts);
        let listener = hub.listen_with(address, options).unwrap();
        let join = || {
            let leaf = carrying();
            let link = leaf.connect(listener.address()).unwrap();
            assert!(link.opened().timeout(LONG).wait());
            (leaf, link)
        };
        let (one, one_link) = join();
        let (other, other_link) = join();
        Self {
            one,
            other,
            hub,
            listener,
            _links: [one_link, other_link],
            _path: path,
        }
    }

    /// Over TCP.
    pub(super) fn over_tcp(hub: Router) -> Self {
        Self::new("tcp:127.0.0.1:0", SocketPath::new(), hub)
    }

    /// Another leaf.
    pub(super) fn join(&self) -> (Router, Link) {
        let leaf = carrying();
        let link = leaf.connect(self.listener.address()).unwrap();
        assert!(link.opened().timeout(LONG).wait());
        (leaf, link)
    }
}

/// Runs a test with a unix socket and with TCP, with a hub that carries the types and with one that
/// knows nothing of them.
pub(super) fn on_each_star(test: impl Fn(&Star)) {
    for is_tcp in [false, true] {
        for is_carrying in [false, true] {
            let path = SocketPath::new();
            let address = if is_tcp {
                "tcp:127.0.0.1:0".to_owned()
            } else {
                path.address()
            };
            let hub = if is_carrying {
                carrying()
            } else {
                crate::support::router()
            };
            test(&Star::new(&address, path, hub));
        }
    }
}
