//! A program, executed: each step is done with a real channel, by polling by hand, and told to the model; then both are compared.

macro_rules! same {
    ($real:expr, $model:expr, $what:literal) => {
        match (&$real, &$model) {
            (real, model) if real == model => {}
            (real, model) => {
                return Err(format!("{}: {real:?}, but should be {model:?}", $what));
            }
        }
    };
}

mod answering;
mod asking;
mod contexts;

use std::{
    future::{Future, poll_fn},
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tests::{Bell, block_on, eventually, pass, poll_once};
use ump::{Builder, Client, Error, ReplyContext, Server, Spin, WeakClient};

use self::{
    answering::Receiving,
    asking::{Asking, Waiting},
    contexts::Watching,
};
use crate::{
    model::{Model, Wrong},
    parcel::{Parcel, Register},
    program::{Before, Deadline, How, Program, Step, Waker},
};

type Asks = Client<Parcel, Parcel, Parcel>;
type Requests = Server<Parcel, Parcel, Parcel>;
type Duty = ReplyContext<Parcel, Parcel>;
type Job = (Parcel, Duty);

/// More than enough for what comes before a program.
const PRACTICE: u32 = 32;

/// A task: what it was last polled with, and what it does.
struct Task<T> {
    bell: usize,
    future: Pin<Box<dyn Future<Output = T>>>,
}

pub(crate) struct World {
    model: Model,
    register: Register,
    bells: Vec<Arc<Bell>>,
    start: Instant,
    near: Instant,
    passed: bool,
    weak: WeakClient<Parcel, Parcel, Parcel>,
    clients: Vec<(usize, Arc<Asks>)>,
    server: Option<Arc<Requests>>,
    /// The bell of the one who polls the server in place.
    poller: usize,
    asking: Vec<Asking>,
    waiting: Vec<Waiting>,
    receiving: Vec<Receiving>,
    contexts: Vec<(usize, Duty)>,
    watching: Vec<Watching>,
}

/// Executes a program. None if it took too long: a deadline that was to be near was over before the program said so.
pub(crate) fn run(program: &Program, time: Duration) -> Option<Result<(), Wrong>> {
    let mut world = World::new(program, Instant::now() + time);
    let result = world.run(program);
    let hurried = world.passed || Instant::now() < world.near || !uses_near(program);
    (hurried || result.is_ok()).then_some(result)
}

fn uses_near(program: &Program) -> bool {
    program.steps.iter().any(|step| match step {
        Step::Ask { terms, .. } | Step::Crowd { terms, .. } => terms.deadline == Deadline::Near,
        _ => false,
    })
}

impl World {
    fn new(program: &Program, near: Instant) -> Self {
        let capacity = program.capacity.unwrap_or(usize::MAX);
        let builder = Builder::new().capacity(capacity).spin(program.spin);
        let (server, client) = builder.build().expect("not zero");
        let mut model = Model::new(program.capacity, program.spin != Spin::Never);
        let bell = model.new_bell();
        Self {
            model,
            register: Register::default(),
            bells: vec![Bell::new()],
            start: Instant::now(),
            near,
            passed: false,
            weak: client.weak(),
            clients: vec![(0, Arc::new(client))],
            server: Some(Arc::new(server)),
            poller: bell,
            asking: Vec::new(),
            waiting: Vec::new(),
            receiving: Vec::new(),
            contexts: Vec::new(),
            watching: Vec::new(),
        }
    }

    fn run(&mut self, program: &Program) -> Result<(), Wrong> {
        self.practise(program.before);
        let steps = program.steps.iter().enumerate();
        for (at, step) in steps {
            self.step(*step)
                .and_then(|()| self.compare())
                .and_then(|()| if program.watched { self.look() } else { Ok(()) })
                .map_err(|wrong| format!("step {at}, {step:?}: {wrong}"))?;
        }
        self.finish()
            .map_err(|wrong| format!("at the end: {wrong}"))
    }

    // ---- before and after

    fn practise(&mut self, before: Before) {
        let server = self.server.clone().expect("it begins with one");
        let client = Arc::clone(&self.clients[0].1);
        let (rounds, tasks) = match before {
            Before::Nothing => return,
            Before::Tasks => (PRACTICE, true),
            Before::Thread => (4, false),
        };
        for _ in 0..rounds {
            let mut taking = Box::pin(server.async_wait());
            if tasks {
                assert!(poll_once(&mut taking).is_pending());
            }
            let mut asking = pin!(client.areq(self.parcel()));
            assert!(poll_once(&mut asking).is_pending());
            let (message, rctx) = if tasks {
                block_on(taking).expect("it has asked")
            } else {
                server.wait().expect("it has asked")
            };
            assert!(rctx.reply(message).is_ok());
            assert!(poll_once(&mut asking).is_ready());
            let parcel = self.model.deaths.len() - 1;
            self.model.deaths[parcel] += 1;
        }
        let rounds = u64::from(rounds);
        self.model.stats.accepted = rounds;
        self.model.stats.replied = rounds;
        self.model.practised(PRACTICE);
    }

    fn parcel(&mut self) -> Parcel {
        self.model.new_parcel();
        self.register.parcel()
    }

    /// Everybody goes.
    fn finish(&mut self) -> Result<(), Wrong> {
        while !self.receiving.is_empty() {
            self.drop_receiving(0);
            self.compare()?;
        }
        self.drop_server();
        self.compare()?;
        while !self.asking.is_empty() {
            self.drop_asking(0);
            self.compare()?;
        }
        while !self.waiting.is_empty() {
            self.drop_reply(0);
            self.compare()?;
        }
        while !self.watching.is_empty() {
            self.drop_watching(0);
            self.compare()?;
        }
        while !self.contexts.is_empty() {
            self.let_go(0, false);
            self.compare()?;
        }
        self.look()?;
        self.clients.clear();
        let deaths = self.register.deaths();
        same!(deaths, vec![1; deaths.len()], "drops");
        let wakers: Vec<_> = self.bells.iter().map(Bell::wakers).collect();
        same!(wakers, vec![0; wakers.len()], "wakers that are left");
        Ok(())
    }

    // ---- comparing

    fn compare(&mut self) -> Result<(), Wrong> {
        let rings: Vec<_> = self.bells.iter().map(|bell| bell.rings()).collect();
        for (bell, real) in rings.iter().enumerate() {
            let least = self.model.rings[bell];
            let most = least + mem::take(&mut self.model.spare[bell]);
            if !(least..=most).contains(real) {
                return Err(format!(
                    "waker {bell} was woken {real} times, but should have been {least} to {most} times"
                ));
            }
        }
        self.model.rings = rings;
        same!(self.register.deaths(), self.model.deaths, "drops");
        Ok(())
    }

    /// Looks at the books.
    fn look(&self) -> Result<(), Wrong> {
        let (stats, len) = match (&self.server, self.clients.first()) {
            (Some(server), _) => (server.stats(), server.len()),
            (_, Some((_, client))) => {
                same!(client.is_closed(), !self.model.is_open(), "closed");
                (client.stats(), client.len())
            }
            _ => return Ok(()),
        };
        let books = self.model.books();
        same!(stats, books, "the books");
        same!(len, self.model.len(), "length");
        same!(
            stats.accepted,
            stats.queued + stats.taken + stats.ended(),
            "the balance"
        );
        Ok(())
    }

    // ---- bells

    fn new_bell(&mut self) -> usize {
        self.bells.push(Bell::new());
        self.model.new_bell()
    }

    fn bell(&mut self, bell: &mut usize, waker: Waker) {
        if let Waker::Fresh = waker {
            *bell = self.new_bell();
        }
    }

    /// Polls, and returns as well how often what was polled woke itself.
    fn poll<F: Future + ?Sized>(
        &mut self,
        future: Pin<&mut F>,
        bell: usize,
    ) -> (Poll<F::Output>, usize) {
        let before = self.bells[bell].rings();
        let waker = self.bells[bell].waker();
        let polled = future.poll(&mut Context::from_waker(&waker));
        let own = self.bells[bell].rings() - before;
        self.model.rings[bell] += own;
        (polled, own)
    }

    // ---- the steps

    fn step(&mut self, step: Step) -> Result<(), Wrong> {
        match step {
            Step::CloneClient(n) => self.clone_client(n),
            Step::DropClient(n) => self.drop_client(n),
            Step::Upgrade => return self.upgrade(),
            Step::Ask {
                client,
                how,
                terms,
                poll,
            } => return self.ask(client, how, terms, poll),
            Step::Crowd { size, terms } => {
                for _ in 0..size {
                    self.ask(0, How::PostNow, terms, false)?;
                }
            }
            Step::PollAsking(n, waker) => {
                if let Some(n) = choose(n, &self.asking) {
                    return self.poll_asking(n, waker);
                }
            }
            Step::DropAsking(n) => {
                if let Some(n) = choose(n, &self.asking) {
                    self.drop_asking(n);
                }
            }
            Step::PollReply(n, _)
            | Step::TryGet(n)
            | Step::WaitNoTime(n)
            | Step::Wait(n)
            | Step::DropReply(n) => {
                if let Some(n) = choose(n, &self.waiting) {
                    return self.reply_step(n, step);
                }
            }
            Step::TryPop => return self.take(1, |server, _| server.try_pop().map(Vec::from_iter)),
            Step::Take => {
                return self.take(1, |server, some| {
                    let job = if some {
                        server.wait().map(Some)
                    } else {
                        server.wait_timeout(Duration::ZERO)
                    };
                    job.map(Vec::from_iter)
                });
            }
            Step::Next => {
                return self.take(1, |server, some| {
                    if some {
                        server
                            .iter()
                            .next()
                            .map(|job| vec![job])
                            .ok_or(Error::ClientsDisappeared)
                    } else {
                        server.wait_deadline(Instant::now()).map(Vec::from_iter)
                    }
                });
            }
            Step::TakeMany(max) => return self.take_many(usize::from(max)),
            Step::PollServer(waker) => return self.poll_server(waker),
            Step::Receive(what, poll) => return self.receive(what, poll),
            Step::PollReceiving(n, waker) => {
                if let Some(n) = choose(n, &self.receiving) {
                    return self.poll_receiving(n, waker);
                }
            }
            Step::DropReceiving(n) => {
                if let Some(n) = choose(n, &self.receiving) {
                    self.drop_receiving(n);
                }
            }
            Step::DropServer => self.drop_server(),
            Step::Reply(n)
            | Step::Fail(n)
            | Step::Answer(n, _)
            | Step::LetGo(n)
            | Step::Panic(n)
            | Step::IsCancelled(n)
            | Step::Watch(n) => {
                if let Some(n) = choose(n, &self.contexts) {
                    return self.context_step(n, step);
                }
            }
            Step::PollWatching(n, waker) => {
                if let Some(n) = choose(n, &self.watching) {
                    return self.poll_watching(n, waker);
                }
            }
            Step::DropWatching(n) => {
                if let Some(n) = choose(n, &self.watching) {
                    self.drop_watching(n);
                }
            }
            Step::Pass => self.pass(),
            Step::Look => return self.look(),
        }
        Ok(())
    }

    // ---- time

    /// Lets the near deadline pass, and waits until all have been woken who are to be woken then.
    fn pass(&mut self) {
        if mem::replace(&mut self.passed, true) {
            return;
        }
        // Whoever hurries too little has it behind already: then it is not that which is to be tested.
        self.passed = Instant::now() < self.near;
        pass(self.near);
        self.model.pass();
        let (bells, rings) = (&self.bells, &self.model.rings);
        eventually(|| {
            let mut all = bells.iter().zip(rings);
            all.all(|(bell, rings)| bell.rings() >= *rings)
        });
    }
}

/// One of them, if there are any.
fn choose<T>(n: u8, among: &[T]) -> Option<usize> {
    usize::from(n).checked_rem(among.len())
}

/// Pending once, for a task to be made and not to begin.
fn pause() -> impl Future<Output = ()> {
    let mut paused = false;
    poll_fn(move |_| {
        if mem::replace(&mut paused, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
}
