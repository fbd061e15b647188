//! Statistics of all loops, and the limit of connections.
// ORDERING: of all operations here: pairs with nothing; counts.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

use crate::connection::Store;

#[derive(Debug)]
pub(crate) struct Totals {
    begin: Instant,
    /// The maximum number of connections.
    most: usize,
    connections: AtomicUsize,
    accepted: AtomicU64,
    refused: AtomicU64,
    cut: AtomicU64,
    commands: AtomicU64,
}

impl Totals {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            begin: Instant::now(),
            most,
            connections: AtomicUsize::new(0),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            commands: AtomicU64::new(0),
        }
    }

    /// Counts a connection, if there may be one more. [`closed`](Self::closed) follows.
    pub(crate) fn try_open(&self) -> bool {
        let before = self.connections.fetch_add(1, Relaxed);
        let may = before < self.most;
        if may {
            self.accepted.fetch_add(1, Relaxed);
        } else {
            self.connections.fetch_sub(1, Relaxed);
            self.refused.fetch_add(1, Relaxed);
        }
        may
    }

    pub(crate) fn closed(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    /// Counts a connection that the gateway cuts.
    pub(crate) fn cut(&self) {
        self.cut.fetch_add(1, Relaxed);
    }

    pub(crate) fn command(&self) {
        self.commands.fetch_add(1, Relaxed);
    }

    pub(crate) fn commands(&self) -> u64 {
        self.commands.load(Relaxed)
    }

    /// Returns the reply to `INFO`.
    pub(crate) fn info(&self, store: &Store) -> String {
        let uptime = self.begin.elapsed().as_secs();
        let [connected, most] = [self.connections.load(Relaxed), self.most];
        let [accepted, refused, cut, commands] =
            [&self.accepted, &self.refused, &self.cut, &self.commands].map(|n| n.load(Relaxed));
        let requests = store.stats();
        let lines = [
            format!("# Server\r\ntcp_gateway:1\r\nuptime_in_seconds:{uptime}"),
            format!("# Clients\r\nconnected_clients:{connected}\r\nmaxclients:{most}"),
            format!("# Stats\r\ntotal_connections_received:{accepted}"),
            format!("rejected_connections:{refused}\r\ncut_connections:{cut}"),
            format!("total_commands_processed:{commands}"),
            format!(
                "# Store\r\nqueued:{}\r\nreplied:{}",
                store.len(),
                requests.replied
            ),
            format!(
                "ended_otherwise:{}\r\n",
                requests.ended() - requests.replied
            ),
        ];
        lines.join("\r\n")
    }
}
