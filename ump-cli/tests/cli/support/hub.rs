//! A router that listens.

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use ump_router::{Message, RequestMessage, Router, link::sockets::Listener};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Price(pub(crate) f64);

impl Message for Price {
    const PREFIX: &str = "price";
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Double(pub(crate) u32);

impl RequestMessage for Double {
    type Reply = u32;
    type Error = String;
    const PREFIX: &str = "double";
}

/// A router that carries both types and listens on a unix socket and on TCP.
pub(crate) struct Hub {
    pub(crate) router: Router,
    pub(crate) unix: String,
    pub(crate) tcp: String,
    _listeners: [Listener; 2],
    pub(crate) folder: TempDir,
}

impl Hub {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let router = Router::new();
        router.carry::<Price>().unwrap();
        router.carry_requests::<Double>().unwrap();
        let unix = format!("unix:{}", folder.path().join("bus.sock").display());
        let listeners = [&unix, "tcp:127.0.0.1:0"].map(|it| router.listen(it).unwrap());
        let tcp = listeners[1].address().to_string();
        Self {
            router,
            unix,
            tcp,
            _listeners: listeners,
            folder,
        }
    }
}
