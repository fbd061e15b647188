//! Waiters that are polled, woken and dropped in every order: while there is a request or room for
//! them, one of them is awake.

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Look(usize),
    Drop(usize),
    /// Polls by `poll_wait`.
    Poller,
    /// Makes a request, or room, for the waiters.
    Give,
    /// Takes that request or room away.
    Steal,
    /// Makes and takes a request, or room, by other means.
    Hold,
    Release,
}
use Step::*;

struct Waiting<F> {
    future: Option<F>,
    pending: bool,
    counter: std::sync::Arc<CountingWaker>,
    /// The number of its wake-ups at its last poll.
    seen: usize,
}

impl<F: Future + Unpin> Waiting<F> {
    fn new() -> Self {
        Self {
            future: None,
            pending: false,
            counter: CountingWaker::new(),
            seen: 0,
        }
    }

    fn poll(&mut self, start: impl FnOnce() -> F) {
        let future = self.future.get_or_insert_with(start);
        self.seen = self.counter.wakes();
        self.pending = poll_with(future, &self.counter).is_pending();
        if !self.pending {
            self.future = None;
        }
    }

    fn drop(&mut self) {
        self.future = None;
        self.pending = false;
        assert_eq!(self.counter.wakers(), 0);
    }

    fn is_awake(&self) -> bool {
        self.counter.wakes() > self.seen
    }
}

/// Checks that one waiter has been woken, if there is something and any waiter waits for it.
#[track_caller]
fn check<F: Future + Unpin>(something: bool, waiting: &[Waiting<F>], steps: &[Step]) {
    let mut waiters = waiting.iter().filter(|w| w.pending).peekable();
    if something && waiters.peek().is_some() {
        assert!(waiters.any(Waiting::is_awake), "{steps:?}");
    }
}

fn receivers<'s, F: Future + Unpin>(
    steps: &[Step],
    server: &'s Server<u32, u32, ()>,
    client: &Client<u32, u32, ()>,
    start: impl Fn(&'s Server<u32, u32, ()>) -> F,
) {
    let mut waiting: [Waiting<F>; 3] = [Waiting::new(), Waiting::new(), Waiting::new()];
    let poller = CountingWaker::new();
    let mut seen = None;
    let mut held = Vec::new();
    for step in steps {
        match *step {
            Look(k) => waiting[k].poll(|| start(server)),
            Drop(k) => waiting[k].drop(),
            Poller => {
                seen = Some(poller.wakes());
                let mut polling = poll_fn(|cx| server.poll_wait(cx).map(drop));
                if poll_with(&mut polling, &poller).is_ready() {
                    seen = None;
                }
            }
            Give => client.post(1).wait().unwrap(),
            Steal => drop(server.try_pop()),
            Hold => held.push(client.req_async(2).unwrap()),
            Release => drop(held.pop()),
        }
        check(!server.is_empty(), &waiting, steps);
        if let Some(seen) = seen {
            assert!(
                server.is_empty() || poller.wakes() > seen,
                "the poller: {steps:?}"
            );
        }
    }
    waiting.iter_mut().for_each(Waiting::drop);
    while server.try_pop().unwrap().is_some() {}
}

#[test]
fn async_wait_misses_no_wake_up() {
    // A waiter that is woken in vain keeps its place, so the same ends serve all sequences.
    let steps = [Look(0), Look(1), Look(2), Drop(0), Drop(1), Give, Steal];
    all_sequences(&steps, 6, |steps| {
        let (server, client) = channel();
        receivers(steps, &server, &client, |server| {
            Box::pin(server.async_wait())
        });
    });
}

#[test]
fn streams_and_poll_wait_miss_no_wake_up() {
    let steps = [Look(0), Look(1), Drop(0), Poller, Give, Hold, Release];
    all_sequences(&steps, 6, |steps| {
        let (server, client) = channel();
        receivers(steps, &server, &client, |server| {
            let mut requests = server.stream();
            poll_fn(move |cx| requests.poll_wait(cx).map(drop))
        });
    });
}

fn senders(steps: &[Step]) {
    let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
    let mut waiting = [Waiting::new(), Waiting::new(), Waiting::new()];
    let mut held = Vec::new();
    for step in steps {
        match *step {
            Look(k) => waiting[k].poll(|| client.post(1).into_future()),
            Drop(k) => waiting[k].drop(),
            Give => drop(server.try_pop()),
            Steal => drop(client.post(2).if_room().wait()),
            Hold => held.extend(client.request(3).if_room().submit().wait()),
            Release => drop(held.pop()),
            Poller => unreachable!("for receivers only"),
        }
        check(server.is_empty(), &waiting, steps);
    }
}

#[test]
fn a_sender_misses_no_wake_up() {
    let steps = [Look(0), Look(1), Look(2), Drop(0), Drop(1), Give, Steal];
    all_sequences(&steps, 6, senders);
    let steps = [Look(0), Look(1), Drop(0), Give, Steal, Hold, Release];
    all_sequences(&steps, 6, senders);
}
