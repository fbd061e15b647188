//! Random programs of services, calls and a server: room is neither lost nor given twice, and no
//! service waits unwoken while there is room.

mod support;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use support::{CountingWaker, poll_ready_with};
use tower_service::Service;
use ump::{Client, Refused, ReplyContext, Server};
use ump_tower::{ClientService, ResponseFuture};

const CAPACITY: usize = 2;
const STEPS: usize = 60;
const PROGRAMS: u64 = 3_000;

/// A caller that waits for room, or not, as its own task.
#[derive(Debug)]
struct Task {
    waker: Arc<CountingWaker>,
    /// The wake-ups before it was polled.
    seen: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// It was not polled, and has no room.
    Idle,
    InLine,
    HasRoom,
    Sent,
}

impl Task {
    fn new(state: State) -> Self {
        Self {
            waker: CountingWaker::new(),
            seen: 0,
            state,
        }
    }

    fn begin(&mut self) {
        self.seen = self.waker.wakes();
    }

    fn is_woken(&self) -> bool {
        self.waker.wakes() > self.seen
    }
}

type TestService = ClientService<u32, u32, Refused>;

struct Program {
    random: u64,
    server: Server<u32, u32, Refused>,
    client: Client<u32, u32, Refused>,
    services: Vec<(TestService, Task)>,
    calls: Vec<(ResponseFuture<u32, u32, Refused>, Task)>,
    taken: Vec<ReplyContext<u32, Refused>>,
}

impl Program {
    fn new(seed: u64) -> Self {
        let (server, client) = ump::bounded(CAPACITY).unwrap();
        let services = (0..3).map(|_| (ClientService::new(client.clone()), Task::new(State::Idle)));
        Self {
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            server,
            services: services.collect(),
            client,
            calls: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// Returns a random number below `bound` (xorshift).
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 33).unwrap() % bound
    }

    fn step(&mut self) {
        match self.below(11) {
            0..=2 => {
                let index = self.below(self.services.len());
                self.poll_ready(index);
            }
            3..=4 => {
                let index = self.below(self.services.len());
                let (service, task) = &mut self.services[index];
                let state = match task.state {
                    State::HasRoom => State::HasRoom,
                    _ => State::Idle,
                };
                self.calls.push((service.call(1), Task::new(state)));
                task.state = State::Idle;
            }
            5 => {
                let index = self.below(self.services.len());
                let (service, task) = &mut self.services[index];
                service.release();
                task.state = State::Idle;
            }
            6 => {
                // A clone takes the place of the service, which is dropped.
                let index = self.below(self.services.len());
                let clone = self.services[index].0.clone();
                self.services[index] = (clone, Task::new(State::Idle));
            }
            7..=8 if !self.calls.is_empty() => {
                let index = self.below(self.calls.len());
                self.poll_call(index);
            }
            9 if !self.calls.is_empty() => {
                let index = self.below(self.calls.len());
                drop(self.calls.swap_remove(index));
            }
            _ => match self.server.try_pop().unwrap() {
                Some((_, reply)) if self.below(2) == 0 => drop(reply.reply(2)),
                Some((_, reply)) => self.taken.push(reply),
                None => self.taken.clear(),
            },
        }
    }

    fn poll_ready(&mut self, index: usize) {
        let (service, task) = &mut self.services[index];
        task.begin();
        let state = match poll_ready_with(service, &task.waker) {
            Poll::Ready(ready) => {
                ready.unwrap();
                State::HasRoom
            }
            Poll::Pending => State::InLine,
        };
        // A ready service stays ready.
        assert!(task.state != State::HasRoom || state == State::HasRoom);
        task.state = state;
    }

    fn poll_call(&mut self, index: usize) {
        let sent_before = self.client.stats().accepted;
        let (call, task) = &mut self.calls[index];
        task.begin();
        let waker = Waker::from(Arc::clone(&task.waker));
        let polled = Pin::new(call).poll(&mut Context::from_waker(&waker));
        let is_sent = self.client.stats().accepted > sent_before;
        // A call of a ready service does not wait for room.
        assert!(task.state != State::HasRoom || is_sent);
        if polled.is_ready() {
            assert!(is_sent || task.state == State::Sent);
            drop(self.calls.swap_remove(index));
        } else if is_sent || task.state == State::Sent {
            task.state = State::Sent;
        } else {
            task.state = State::InLine;
        }
    }

    fn tasks(&self) -> impl Iterator<Item = &Task> {
        let of_services = self.services.iter().map(|(_, task)| task);
        of_services.chain(self.calls.iter().map(|(_, task)| task))
    }

    fn check(&self) {
        let reserved = self.tasks().filter(|task| task.state == State::HasRoom);
        let reserved = reserved.count();
        assert_eq!(self.client.stats().reserved, reserved as u64);
        let used = self.server.len() + reserved;
        assert!(used <= CAPACITY);
        let (woken, asleep): (Vec<&Task>, Vec<&Task>) = self
            .tasks()
            .filter(|task| task.state == State::InLine)
            .partition(|task| task.is_woken());
        assert!(
            asleep.is_empty() || CAPACITY - used <= woken.len(),
            "there is room, and nobody is woken: {asleep:?}"
        );
    }

    /// Drops the clients' ends: all room is there again, and no waker stays.
    fn give_up(mut self) {
        let wakers: Vec<_> = self.tasks().map(|task| Arc::clone(&task.waker)).collect();
        self.services.clear();
        self.calls.clear();
        self.taken.clear();
        for waker in wakers {
            assert_eq!(Arc::strong_count(&waker), 1, "a waker stays");
        }
        assert!(self.server.is_empty(), "the calls were cancelled");
        let permits: Vec<_> = (0..CAPACITY)
            .map(|_| self.client.reserve().if_room().wait().unwrap())
            .collect();
        assert!(self.client.reserve().if_room().wait().is_err());
        drop(permits);
    }

    /// Drops the server's end: each task that waits is woken, and ends.
    fn close(mut self) {
        let Self { server, taken, .. } = &mut self;
        taken.clear();
        let closed = ump::channel().0;
        drop(std::mem::replace(server, closed));
        for (service, task) in &mut self.services {
            assert!(task.state != State::InLine || task.is_woken());
            assert!(matches!(
                poll_ready_with(service, &task.waker),
                Poll::Ready(Err(_))
            ));
        }
        for (mut call, task) in self.calls {
            let waits = matches!(task.state, State::InLine | State::Sent);
            assert!(!waits || task.is_woken());
            let waker = Waker::from(Arc::clone(&task.waker));
            let polled = Pin::new(&mut call).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_ready());
        }
        assert_eq!(self.client.stats().reserved, 0);
    }
}

#[test]
fn no_room_is_lost_and_no_wake_up() {
    for seed in 1..=PROGRAMS {
        // Without a limit: nothing yields for the sake of other tasks.
        ump::coop::with_budget(u32::MAX, || {
            let mut program = Program::new(seed);
            for _ in 0..STEPS {
                program.step();
                program.check();
            }
            if seed % 2 == 0 {
                program.give_up();
            } else {
                program.close();
            }
        });
    }
}
