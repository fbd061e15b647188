//! The run of one channel: callers and workers come and go until one end has gone; then the counts
//! are compared.

use std::{
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use ump::{Builder, Spin, Stats};

use crate::{
    callers::{Caller, SoakClient},
    counts::{Comparison, Observed},
    payload::Message,
    rng::Rng,
    watchdog::{Pulse, Watchdog},
    workers::{Exit, SoakServer, Worker, answer_handed_off},
};

/// Threads block; tasks await.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Thread,
    Task,
}

/// A participant that has exited.
enum Exited {
    Caller(Kind),
    Worker(Kind, Exit),
}

struct ChannelRun {
    observed: Arc<Observed>,
    watchdog: Arc<Watchdog>,
    runtime: Handle,
    rng: Rng,
    exited: mpsc::Sender<Exited>,
    threads: Vec<JoinHandle<()>>,
}

/// Runs one channel, and returns the comparison of its counts.
pub(crate) fn run(watchdog: &Arc<Watchdog>, runtime: &Handle, mut rng: Rng) -> Comparison {
    let capacity = match rng.below(3) {
        0 => usize::MAX,
        1 => 1 + rng.size(4),
        _ => 64,
    };
    let spin = match rng.below(4) {
        0 => Spin::Never,
        1 => Spin::UpTo(Duration::from_micros(rng.below(50))),
        _ => Spin::Adaptive,
    };
    let builder = Builder::new().capacity(capacity).spin(spin);
    let (server, client) = builder.build().expect("not zero");
    let server_first = rng.one_in(2);
    let end = Instant::now() + Duration::from_millis(20 + rng.below(600));
    let (exited, exits) = mpsc::channel();
    let pulse = watchdog.pulse();
    let mut run = ChannelRun {
        observed: Arc::default(),
        watchdog: Arc::clone(watchdog),
        runtime: runtime.clone(),
        rng,
        exited,
        threads: Vec::new(),
    };
    let stats = run.run(server, client, server_first, end, &exits, &pulse);
    let comparison = Comparison::of(&run.observed, &stats);
    if let Some(mismatch) = comparison.mismatch() {
        let ChannelRun { observed, .. } = &run;
        watchdog.report(format!(
            "the counts of a channel do not agree: {mismatch} ({observed:?}, {stats:?})"
        ));
    }
    if stats.queued > 0 || stats.taken > 0 {
        watchdog.report(format!(
            "requests are left on a channel without users: {stats:?}"
        ));
    }
    comparison
}

impl ChannelRun {
    fn run(
        &mut self,
        server: SoakServer,
        client: SoakClient,
        server_first: bool,
        end: Instant,
        exits: &mpsc::Receiver<Exited>,
        pulse: &Pulse,
    ) -> Stats {
        let server = Arc::new(server);
        let (handoff, jobs) = mpsc::channel();
        let rng = self.rng.fork();
        let answering = thread::spawn(move || answer_handed_off(&jobs, rng));
        let (mut callers, mut workers) = (0, 0);
        for kind in self.kinds() {
            self.caller(kind, &client, false);
            callers += 1;
        }
        for kind in self.kinds() {
            self.worker(kind, &server, &handoff);
            workers += 1;
        }
        let (mut server, mut client) = (Some(server), Some(client));
        let mut stats = Stats::default();
        while callers + workers > 0 {
            pulse.beat("waits for a participant to exit");
            let now_or_later = end.saturating_duration_since(Instant::now());
            let someone = if now_or_later.is_zero() || self.watchdog.is_stopping() {
                // It is time to drop this end.
                if server_first {
                    drop(server.take());
                } else {
                    drop(client.take());
                }
                exits.recv().ok()
            } else {
                exits.recv_timeout(now_or_later).ok()
            };
            match someone {
                None => {}
                Some(Exited::Caller(kind)) => match &client {
                    // Workers exit when they reach their quota, so there must be requests.
                    Some(client)
                        if !client.is_closed()
                            && (server_first || !self.watchdog.is_stopping()) =>
                    {
                        let until_closed = server_first && self.watchdog.is_stopping();
                        self.caller(kind, client, until_closed);
                    }
                    _ => callers -= 1,
                },
                Some(Exited::Worker(kind, exit)) => match &server {
                    Some(server) if exit == Exit::QuotaReached => {
                        self.worker(kind, server, &handoff);
                    }
                    _ => workers -= 1,
                },
            }
            self.threads.retain(|thread| !thread.is_finished());
        }
        for thread in self.threads.drain(..) {
            // A panic was reported by `ReportPanic`.
            let _ = thread.join();
        }
        pulse.beat("waits for the requests that were handed off");
        drop(handoff);
        let _ = answering.join();
        // Of the end that is left, or of the one that was dropped last.
        if let Some(client) = &client {
            stats = client.stats();
        } else if let Some(server) = &server {
            stats = server.stats();
        }
        stats
    }

    /// Chooses some participants of both kinds, at least one in all.
    fn kinds(&mut self) -> Vec<Kind> {
        let [threads, tasks] = [self.rng.size(3), self.rng.size(4)];
        let threads = if tasks == 0 { threads.max(1) } else { threads };
        let kinds = [Kind::Thread].repeat(threads);
        kinds
            .into_iter()
            .chain([Kind::Task].repeat(tasks))
            .collect()
    }

    fn caller(&mut self, kind: Kind, client: &SoakClient, until_closed: bool) {
        let caller = Caller {
            client: client.clone(),
            observed: Arc::clone(&self.observed),
            watchdog: Arc::clone(&self.watchdog),
            rng: self.rng.fork(),
            quota: 1 + self.rng.size(3_000),
            until_closed,
        };
        let exit_notice = NotifyExit::new(&self.exited, Exited::Caller(kind));
        match kind {
            Kind::Thread => self.threads.push(thread::spawn(move || {
                let _leaves = exit_notice;
                caller.block();
            })),
            Kind::Task => drop(self.runtime.spawn(async move {
                let _leaves = exit_notice;
                caller.run().await;
            })),
        }
    }

    fn worker(
        &mut self,
        kind: Kind,
        server: &Arc<SoakServer>,
        handoff: &mpsc::Sender<(Message, crate::workers::RequestContext)>,
    ) {
        let worker = Worker {
            server: Arc::clone(server),
            watchdog: Arc::clone(&self.watchdog),
            rng: self.rng.fork(),
            quota: 1 + self.rng.size(3_000),
            handoff: handoff.clone(),
            runtime: self.runtime.clone(),
        };
        let mut exit_notice = NotifyExit::new(&self.exited, Exited::Worker(kind, Exit::NoClients));
        match kind {
            Kind::Thread => self.threads.push(thread::spawn(move || {
                let exit = worker.block();
                exit_notice.set(Exited::Worker(kind, exit));
            })),
            Kind::Task => drop(self.runtime.spawn(async move {
                let exit = worker.run().await;
                exit_notice.set(Exited::Worker(kind, exit));
            })),
        }
    }
}

/// Reports on drop that a participant has exited, also after a panic.
struct NotifyExit {
    sender: mpsc::Sender<Exited>,
    exited: Option<Exited>,
}

impl NotifyExit {
    fn new(sender: &mpsc::Sender<Exited>, exited: Exited) -> Self {
        Self {
            sender: sender.clone(),
            exited: Some(exited),
        }
    }

    fn set(&mut self, exited: Exited) {
        self.exited = Some(exited);
    }
}

impl Drop for NotifyExit {
    fn drop(&mut self) {
        if let Some(exited) = self.exited.take() {
            // The receiver lives until the last participant has exited.
            let _ = self.sender.send(exited);
        }
    }
}
