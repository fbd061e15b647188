//! What the processes do: each serves, requests, publishes and subscribes, until it is killed or
//! told to finish.

use std::{
    future::{Future, IntoFuture},
    io::{BufRead, stdin},
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use ump::Executed;
use ump_router::{RecvError, RequestError, Router, ServeOptions, SubscribeOptions, WhenFull};

use super::{
    LEAVES, Random,
    ledger::{Entry, Ledger, Outcome},
};
use crate::support::{Double, LONG, Price, carrying};

/// What a process is.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    /// Its number, which no other process has.
    pub(crate) process: u64,
    /// The hub is 0.
    pub(crate) slot: u64,
    pub(crate) addresses: Vec<String>,
}

impl Role {
    fn is_hub(&self) -> bool {
        self.slot == 0
    }

    /// The first leaves serve, the others do not.
    fn is_server(&self) -> bool {
        (1..=2).contains(&self.slot)
    }
}

struct Process {
    role: Role,
    router: Router,
    ledger: Ledger,
    next: AtomicU64,
    is_finishing: AtomicBool,
}

/// Runs until the standard input ends. A line tells it to finish.
pub(crate) fn run(role: Role, ledger: &Path) {
    let process = Arc::new(Process {
        router: carrying(),
        ledger: Ledger::open(ledger),
        next: AtomicU64::new(role.process << 32),
        is_finishing: AtomicBool::new(false),
        role,
    });
    let (router, role) = (&process.router, &process.role);
    let mut handlers = Vec::new();
    if role.is_hub() {
        handlers.push(router.serve::<Double>("hub").unwrap());
    } else if role.is_server() {
        let own = format!("server/{}", role.slot);
        let standby = || ServeOptions::new().standby();
        // The former process may be known still.
        handlers.push(router.serve_with::<Double>(own, standby()).unwrap());
        handlers.push(router.serve_with::<Double>("shared", standby()).unwrap());
    }
    for server in handlers {
        let process = Arc::clone(&process);
        thread::spawn(move || {
            for (call, rctx) in &server {
                process.execute(&call.message, rctx);
            }
        });
    }
    for slot in 0..=LEAVES {
        let process = Arc::clone(&process);
        thread::spawn(move || process.receive(slot));
    }
    let mut workers = Vec::new();
    for nth in 0..3 {
        let process = Arc::clone(&process);
        workers.push(thread::spawn(move || {
            process.make_requests(Random::new(process.role.process * 8 + nth));
            0
        }));
    }
    let publisher = Arc::clone(&process);
    workers.push(thread::spawn(move || publisher.publish()));

    let mut listeners = Vec::new();
    let mut links = Vec::new();
    for address in &role.addresses {
        if role.is_hub() {
            let listen = || router.listen(address).ok();
            let retry = || thread::sleep(Duration::from_millis(5));
            let listener = std::iter::repeat_with(listen).inspect(|_| retry());
            listeners.extend(listener.flatten().next());
        } else {
            links.push(router.connect(address).unwrap());
        }
    }
    let mut lines = stdin().lock().lines();
    if lines.next().is_some() {
        process.is_finishing.store(true, Ordering::Relaxed);
        let published = workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum();
        process.ledger.write(Entry::Finished {
            process: process.role.process,
            published,
        });
        lines.for_each(drop);
    }
    std::process::exit(0);
}

impl Process {
    fn is_finishing(&self) -> bool {
        self.is_finishing.load(Ordering::Relaxed)
    }

    fn execute(self: &Arc<Self>, message: &Double, rctx: ump::ReplyContext<u64, String>) {
        let Double(number) = *message;
        self.ledger.write(Entry::Executed { number });
        let answer = if number % 10 == 0 {
            Err("divisible by ten".to_owned())
        } else {
            Ok(2 * number)
        };
        match number % 16 {
            0 => drop(rctx),
            1 => {
                thread::sleep(Duration::from_millis(2));
                let _ = rctx.answer(answer);
            }
            2 => {
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(5));
                    let _ = rctx.answer(answer);
                });
            }
            _ => {
                let _ = rctx.answer(answer);
            }
        }
    }

    fn make_requests(&self, mut random: Random) {
        let topics = [
            "hub", "hub", "server/1", "server/2", "shared", "shared", "nobody",
        ];
        while !self.is_finishing() {
            let topic = *random.one_of(&topics);
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.ledger.write(Entry::Asked { number });
            let timeout = Duration::from_millis(1 << random.below(8));
            let request = self.router.request(topic, Double(number)).timeout(timeout);
            let outcome = match random.below(8) {
                0 => polled(
                    request.into_future(),
                    Duration::from_micros(random.below(3000)),
                ),
                1 => Some(request.wait_for_server().wait()),
                2 => Some(request.wait()),
                _ => Some(request.timeout(LONG).wait()),
            };
            let outcome = outcome.map_or(Outcome::Dropped, |outcome| outcome_of(number, outcome));
            self.ledger.write(Entry::Ended { number, outcome });
            if outcome != Outcome::Replied {
                thread::sleep(Duration::from_micros(random.below(3000)));
            }
        }
    }

    /// Publishes numbers in bursts. Returns how many.
    fn publish(&self) -> u64 {
        let topic = format!("tick/{}", self.role.slot);
        let mut random = Random::new(self.role.process);
        let mut published = 0;
        while !self.is_finishing() {
            for _ in 0..random.below(20) {
                let price = Price(self.role.process << 32 | published);
                self.router.publish(&*topic, price).wait().unwrap();
                published += 1;
            }
            thread::sleep(Duration::from_millis(random.below(6)));
        }
        published
    }

    /// Receives what the process in a slot publishes.
    fn receive(&self, slot: u64) {
        let options = match slot % 3 {
            0 => SubscribeOptions::new(),
            1 => SubscribeOptions::new()
                .capacity(8)
                .when_full(WhenFull::DropOldest),
            _ => SubscribeOptions::new()
                .capacity(8)
                .when_full(WhenFull::DropNewest),
        };
        let topic = format!("tick/{slot}");
        let subscription = self.router.subscribe_with::<Price>(topic, options);
        let mut subscription = subscription.unwrap();
        let id = self.role.process << 32 | slot;
        // The last number, and how many are missing after it.
        let mut last: Option<u64> = None;
        let mut missed = 0;
        let mut is_written = true;
        loop {
            let received = subscription.recv().wait_timeout(Duration::from_millis(20));
            match received {
                Ok(Some(price)) => {
                    let value = price.0;
                    let wrong = Entry::Wrong {
                        subscription: id,
                        value,
                    };
                    // More may be reported as missing than were, if a queue for a link overflows.
                    if last.is_some_and(|last| value <= last || value > last + 1 + missed) {
                        self.ledger.write(wrong);
                    }
                    (last, missed, is_written) = (Some(value), 0, false);
                }
                Err(RecvError::Missed(count)) => (missed, is_written) = (missed + count, false),
                Err(RecvError::Interrupted) => (last, missed, is_written) = (None, 0, false),
                Ok(None) if !is_written => {
                    is_written = true;
                    self.ledger.write(Entry::Received {
                        subscription: id,
                        last: last.map_or(0, |last| last + missed),
                    });
                }
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }
}

/// Polls a request for a time at most, then drops it.
fn polled<F: Future>(request: F, time: Duration) -> Option<F::Output> {
    let mut request = pin!(request);
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Ready(outcome) = request.as_mut().poll(&mut cx) {
        return Some(outcome);
    }
    thread::sleep(time);
    match request.poll(&mut cx) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

fn outcome_of(number: u64, outcome: Result<u64, RequestError<Double>>) -> Outcome {
    let error = match outcome {
        Ok(reply) if reply == 2 * number => return Outcome::Replied,
        Ok(_) => return Outcome::Wrong,
        Err(RequestError::Ended(ump::RequestError::App(_))) => return Outcome::Refused,
        Err(error) => error,
    };
    match error.executed() {
        // It comes back.
        Executed::No if error.into_message() == Some(Double(number)) => Outcome::NotExecuted,
        Executed::No => Outcome::Wrong,
        Executed::Yes => Outcome::Executed,
        Executed::Perhaps => Outcome::Perhaps,
    }
}
