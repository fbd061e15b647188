//! A channel's life: callers and workers come and go, until either end has gone; then the books are compared.

use std::{
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use ump::{Builder, Spin, Stats};

use crate::{
    book::{Book, Ledger},
    callers::{Asks, Caller},
    dice::Dice,
    parcel::Message,
    watch::{Pulse, Watch},
    workers::{Gone, Requests, Worker, answer_elsewhere},
};

/// Threads block, tasks await.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Thread,
    Task,
}

/// Somebody who has gone.
enum Left {
    Caller(Kind),
    Worker(Kind, Gone),
}

struct Station {
    book: Arc<Book>,
    watch: Arc<Watch>,
    runtime: Handle,
    dice: Dice,
    left: mpsc::Sender<Left>,
    threads: Vec<JoinHandle<()>>,
}

/// Lives one life, and returns its books.
pub(crate) fn live(watch: &Arc<Watch>, runtime: &Handle, mut dice: Dice) -> Ledger {
    let capacity = match dice.roll(3) {
        0 => usize::MAX,
        1 => 1 + dice.size(4),
        _ => 64,
    };
    let spin = match dice.roll(4) {
        0 => Spin::Never,
        1 => Spin::UpTo(Duration::from_micros(dice.roll(50))),
        _ => Spin::Adaptive,
    };
    let builder = Builder::new().capacity(capacity).spin(spin);
    let (server, client) = builder.build().expect("not zero");
    let server_first = dice.one_in(2);
    let end = Instant::now() + Duration::from_millis(20 + dice.roll(600));
    let (left, leaving) = mpsc::channel();
    let pulse = watch.pulse();
    let mut station = Station {
        book: Arc::default(),
        watch: Arc::clone(watch),
        runtime: runtime.clone(),
        dice,
        left,
        threads: Vec::new(),
    };
    let stats = station.run(server, client, server_first, end, &leaving, &pulse);
    let ledger = Ledger::of(&station.book, &stats);
    if let Some(complaint) = ledger.complaint() {
        let Station { book, .. } = &station;
        watch.report(format!(
            "the books of a channel do not agree: {complaint} ({book:?}, {stats:?})"
        ));
    }
    if stats.queued > 0 || stats.taken > 0 {
        watch.report(format!(
            "requests are left on a channel that nobody uses: {stats:?}"
        ));
    }
    ledger
}

impl Station {
    fn run(
        &mut self,
        server: Requests,
        client: Asks,
        server_first: bool,
        end: Instant,
        leaving: &mpsc::Receiver<Left>,
        pulse: &Pulse,
    ) -> Stats {
        let server = Arc::new(server);
        let (elsewhere, jobs) = mpsc::channel();
        let dice = self.dice.fork();
        let answering = thread::spawn(move || answer_elsewhere(&jobs, dice));
        let (mut callers, mut workers) = (0, 0);
        for kind in self.crew() {
            self.caller(kind, &client, false);
            callers += 1;
        }
        for kind in self.crew() {
            self.worker(kind, &server, &elsewhere);
            workers += 1;
        }
        let (mut server, mut client) = (Some(server), Some(client));
        let mut stats = Stats::default();
        while callers + workers > 0 {
            pulse.beat("waits for somebody to leave a channel");
            let now_or_later = end.saturating_duration_since(Instant::now());
            let someone = if now_or_later.is_zero() || self.watch.is_over() {
                // The time is up for this end.
                if server_first {
                    drop(server.take());
                } else {
                    drop(client.take());
                }
                leaving.recv().ok()
            } else {
                leaving.recv_timeout(now_or_later).ok()
            };
            match someone {
                None => {}
                Some(Left::Caller(kind)) => match &client {
                    // Workers go when they have had enough, so there have to be requests.
                    Some(client)
                        if !client.is_closed() && (server_first || !self.watch.is_over()) =>
                    {
                        let until_closed = server_first && self.watch.is_over();
                        self.caller(kind, client, until_closed);
                    }
                    _ => callers -= 1,
                },
                Some(Left::Worker(kind, gone)) => match &server {
                    Some(server) if gone == Gone::Enough => self.worker(kind, server, &elsewhere),
                    _ => workers -= 1,
                },
            }
            self.threads.retain(|thread| !thread.is_finished());
        }
        for thread in self.threads.drain(..) {
            // It has told already that it panicked.
            let _ = thread.join();
        }
        pulse.beat("waits for what was passed on");
        drop(elsewhere);
        let _ = answering.join();
        // The one end that is left, or the one that ended last.
        if let Some(client) = &client {
            stats = client.stats();
        } else if let Some(server) = &server {
            stats = server.stats();
        }
        stats
    }

    /// One or two of each kind, or none of one of them.
    fn crew(&mut self) -> Vec<Kind> {
        let [threads, tasks] = [self.dice.size(3), self.dice.size(4)];
        let threads = if tasks == 0 { threads.max(1) } else { threads };
        let crew = [Kind::Thread].repeat(threads);
        crew.into_iter().chain([Kind::Task].repeat(tasks)).collect()
    }

    fn caller(&mut self, kind: Kind, client: &Asks, until_closed: bool) {
        let caller = Caller {
            client: client.clone(),
            book: Arc::clone(&self.book),
            watch: Arc::clone(&self.watch),
            dice: self.dice.fork(),
            quota: 1 + self.dice.size(3_000),
            until_closed,
        };
        let leaves = Leaves::new(&self.left, Left::Caller(kind));
        match kind {
            Kind::Thread => self.threads.push(thread::spawn(move || {
                let _leaves = leaves;
                caller.block();
            })),
            Kind::Task => drop(self.runtime.spawn(async move {
                let _leaves = leaves;
                caller.run().await;
            })),
        }
    }

    fn worker(
        &mut self,
        kind: Kind,
        server: &Arc<Requests>,
        elsewhere: &mpsc::Sender<(Message, crate::workers::Duty)>,
    ) {
        let worker = Worker {
            server: Arc::clone(server),
            watch: Arc::clone(&self.watch),
            dice: self.dice.fork(),
            quota: 1 + self.dice.size(3_000),
            elsewhere: elsewhere.clone(),
            runtime: self.runtime.clone(),
        };
        let mut leaves = Leaves::new(&self.left, Left::Worker(kind, Gone::NoClients));
        match kind {
            Kind::Thread => self.threads.push(thread::spawn(move || {
                let gone = worker.block();
                leaves.says(Left::Worker(kind, gone));
            })),
            Kind::Task => drop(self.runtime.spawn(async move {
                let gone = worker.run().await;
                leaves.says(Left::Worker(kind, gone));
            })),
        }
    }
}

/// Says who has left, when it is dropped: whether it came to its end or panicked.
struct Leaves {
    left: mpsc::Sender<Left>,
    who: Option<Left>,
}

impl Leaves {
    fn new(left: &mpsc::Sender<Left>, who: Left) -> Self {
        Self {
            left: left.clone(),
            who: Some(who),
        }
    }

    fn says(&mut self, who: Left) {
        self.who = Some(who);
    }
}

impl Drop for Leaves {
    fn drop(&mut self) {
        if let Some(who) = self.who.take() {
            // Who waits for it waits until the last has left.
            let _ = self.left.send(who);
        }
    }
}
