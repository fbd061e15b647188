//! What the contenders with a bus have in common.

use std::{
    error::Error,
    future::Future,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use crate::children::{self, LISTENS, Process, Skipped};

/// The topic that is served, and the one that is published.
pub(crate) const TOPIC: &str = "bench/echo";

/// After so many deliveries a process of subscribers writes a byte.
pub(crate) const BATCH: u64 = 256;

/// The kind of the sockets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unix,
    Tcp,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::Tcp => "tcp",
        }
    }
}

pub(crate) type Failed = Box<dyn Error + Send + Sync>;

/// Asks one request after the other; clones ask at the same time, by the same connection.
pub(crate) trait Caller: Clone + Send + Sync + 'static {
    /// Returns the reply, which is the payload.
    fn request(&self, payload: &Bytes) -> impl Future<Output = Result<Bytes, Failed>> + Send;
}

pub(crate) trait Publisher: Send + Sync + 'static {
    /// Publishes so many messages, none of which has arrived when this ends.
    fn publish(
        &self,
        payload: &Bytes,
        times: u64,
    ) -> impl Future<Output = Result<(), Failed>> + Send;
}

/// Counts deliveries, and tells the process that publishes.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<AtomicU64>);

impl Heard {
    pub(crate) fn add(&self, count: u64) {
        let before = self.0.fetch_add(count, Relaxed);
        let batches = (before + count) / BATCH - before / BATCH;
        if batches > 0 {
            let mut output = std::io::stdout().lock();
            let bytes = vec![b'.'; usize::try_from(batches).unwrap_or(0)];
            // An error if that process is gone.
            let _ = output.write_all(&bytes).and_then(|()| output.flush());
        }
    }
}

/// A bus with clients in other processes.
pub(crate) trait Peer: 'static {
    const NAME: &str;
    type Caller: Caller;
    type Publisher: Publisher;

    /// Starts the process of the bus, which may serve the topic itself.
    fn bus(kind: Kind, serves: bool) -> Result<Process, Skipped>;

    /// Is the bus in this process, if it is a library.
    fn be_bus(address: &str, serves: bool) -> impl Future<Output = Result<(), Failed>>;

    /// Serves the topic for ever: sends the payload back.
    fn serve(address: &str) -> impl Future<Output = Result<(), Failed>>;

    /// Subscribes by so many connections for ever.
    fn subscribe(
        address: &str,
        count: usize,
        heard: Heard,
    ) -> impl Future<Output = Result<(), Failed>>;

    fn caller(address: &str) -> impl Future<Output = Result<Self::Caller, Failed>>;

    fn publisher(address: &str) -> impl Future<Output = Result<Self::Publisher, Failed>>;
}

/// Starts this program as the bus of a peer that is a library.
pub(crate) fn own_bus<P: Peer>(kind: Kind, serves: bool) -> Result<Process, Skipped> {
    let address = children::any_address(kind);
    let serves = if serves { "serves" } else { "relays" };
    Process::of(&["bus", P::NAME, LISTENS, &address, serves])
}

/// Plays a role of a peer.
pub(crate) fn play<P: Peer>(what: &str, arguments: &[&str]) -> Result<(), Failed> {
    let runtime = one_thread();
    match (what, arguments) {
        ("bus", [LISTENS, address, serves]) => {
            runtime.block_on(P::be_bus(address, *serves == "serves"))?;
        }
        ("server", [address]) => runtime.block_on(P::serve(address))?,
        ("subscribers", [address, count]) => {
            runtime.block_on(P::subscribe(address, count.parse()?, Heard::default()))?;
        }
        _ => return Err("no such role of a peer".into()),
    }
    Ok(())
}

pub(crate) fn one_thread() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

pub(crate) fn two_threads() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}
