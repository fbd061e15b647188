//! A program, executed: each step is done with a real channel, by polling by hand, and told to the model; then both are compared.

use std::{
    cell::RefCell,
    future::{Future, IntoFuture, poll_fn},
    mem,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tests::{
    Bell, block_on, drop_in_a_panic,
    ends::{Told, Why},
    eventually, pass, poll_once,
};
use ump::{
    Builder, Client, Error, ReplyContext, RequestError, SendError, Server, Spin, WaitReply,
    WeakClient,
};

use crate::{
    model::{Deserted, Made, Model, Outcome, Turn, Wrong},
    parcel::{Parcel, Register},
    program::{Before, Deadline, How, Program, Receive, Step, Terms, Waker},
};

type Asks = Client<Parcel, Parcel, Parcel>;
type Requests = Server<Parcel, Parcel, Parcel>;
type Duty = ReplyContext<Parcel, Parcel>;
type Job = (Parcel, Duty);

/// More than enough for what comes before a program.
const PRACTICE: u32 = 32;

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

/// A reply that is waited for, whichever the type of its error.
enum Reply {
    Plain(WaitReply<Parcel, Parcel>),
    Detailed(WaitReply<Parcel, Parcel, RequestError<Parcel, Parcel>>),
}

macro_rules! with_reply {
    ($reply:expr, $inner:ident => $body:expr) => {
        match $reply {
            Reply::Plain($inner) => $body,
            Reply::Detailed($inner) => $body,
        }
    };
}

macro_rules! try_reply {
    ($reply:expr, $inner:ident => $body:expr) => {
        match $reply {
            Reply::Plain($inner) => $body.map(outcome).map_err(Reply::Plain),
            Reply::Detailed($inner) => $body.map(outcome).map_err(Reply::Detailed),
        }
    };
}

/// A task: what it was last polled with, and what it does.
struct Task<T> {
    bell: usize,
    future: Pin<Box<dyn Future<Output = T>>>,
}

struct Asking {
    request: usize,
    client: usize,
    task: Task<Made<Reply>>,
}

struct Waiting {
    request: usize,
    bell: usize,
    reply: Reply,
}

struct Receiving {
    max: usize,
    again: bool,
    turn: Turn,
    task: Task<()>,
    /// What it has got.
    mail: Rc<RefCell<Option<Result<Vec<Job>, Deserted>>>>,
}

struct Watching {
    request: usize,
    task: Task<Duty>,
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

    // ---- the asking end

    fn clone_client(&mut self, n: u8) {
        if let Some(n) = choose(n, &self.clients) {
            let client = Asks::clone(&self.clients[n].1);
            let number = self.model.new_client();
            self.clients.push((number, Arc::new(client)));
        }
    }

    fn drop_client(&mut self, n: u8) {
        if let Some(n) = choose(n, &self.clients) {
            let (number, client) = self.clients.remove(n);
            drop(client);
            self.model.leave_client(number);
        }
    }

    fn upgrade(&mut self) -> Result<(), Wrong> {
        let client = self.weak.upgrade();
        same!(
            client.is_none(),
            self.model.is_deserted(),
            "whether no client is left"
        );
        if let Some(client) = client {
            let number = self.model.new_client();
            self.clients.push((number, Arc::new(client)));
        }
        Ok(())
    }

    fn instant(&self, deadline: Deadline) -> Option<Instant> {
        match deadline {
            Deadline::None => None,
            Deadline::Past => Some(self.start),
            Deadline::Near => Some(self.near),
            Deadline::Far => Some(self.start + tests::LONG * 60),
        }
    }

    fn ask(&mut self, n: u8, how: How, terms: Terms, poll: bool) -> Result<(), Wrong> {
        let Some(n) = choose(n, &self.clients) else {
            return Ok(());
        };
        let terms = match how {
            How::Areq | How::ReqAsync => Terms {
                urgent: false,
                if_room: false,
                deadline: Deadline::None,
            },
            _ => terms,
        };
        let (number, client) = self.clients[n].clone();
        let request = self.model.new_request(how, terms);
        let parcel = self.register.parcel();
        let blocks = self.model.would_block(request);
        let terms = tests::ends::Terms {
            deadline: self.instant(terms.deadline),
            urgent: terms.urgent,
            if_room: terms.if_room,
        };
        match how {
            How::ReqAsync | How::SubmitNow | How::PostNow if blocks => {
                // It would hang; so it is not made.
                drop(parcel);
                self.model.drop_asking(request);
                Ok(())
            }
            How::ReqAsync => {
                let reply = client.req_async(parcel).map(Reply::Plain).map_err(told);
                self.sent(request, reply)
            }
            How::SubmitNow => {
                let submitted = terms.request(&client, parcel).submit().wait();
                self.sent(request, submitted.map(Reply::Detailed).map_err(told))
            }
            How::PostNow => {
                let posted = terms.request(&client, parcel).post().wait();
                let made =
                    posted.map_or_else(|error| Made::Ended(Err(told(error))), |()| Made::Posted);
                same!(made, self.model.send_now(request), "a post");
                Ok(())
            }
            How::Areq | How::Await | How::Submit | How::Post => {
                let mut future = if how == How::Areq {
                    areq(client, parcel)
                } else {
                    task(client, parcel, how, terms)
                };
                assert!(poll_once(&mut future).is_pending(), "it is only made");
                self.model.use_client(number);
                let bell = self.new_bell();
                self.asking.push(Asking {
                    request,
                    client: number,
                    task: Task { bell, future },
                });
                if poll {
                    self.poll_asking(self.asking.len() - 1, Waker::Same)?;
                }
                Ok(())
            }
        }
    }

    /// A request was made by a call that returns at once.
    fn sent(
        &mut self,
        request: usize,
        sent: Result<Reply, Told<usize, usize>>,
    ) -> Result<(), Wrong> {
        let made = match sent {
            Ok(reply) => {
                let bell = self.new_bell();
                self.waiting.push(Waiting {
                    request,
                    bell,
                    reply,
                });
                Made::Accepted(())
            }
            Err(told) => Made::Ended(Err(told)),
        };
        same!(made, self.model.send_now(request), "a request");
        Ok(())
    }

    fn poll_asking(&mut self, n: usize, waker: Waker) -> Result<(), Wrong> {
        let mut asking = self.asking.remove(n);
        self.bell(&mut asking.task.bell, waker);
        let (made, own) = self.poll(asking.task.future.as_mut(), asking.task.bell);
        let expected = self
            .model
            .poll_asking(asking.request, asking.task.bell, own)?;
        let Poll::Ready(made) = made else {
            same!(Poll::Pending, expected, "a task that asks");
            self.asking.insert(n, asking);
            return Ok(());
        };
        self.model.leave_client(asking.client);
        let made = match made {
            Made::Accepted(reply) => {
                self.waiting.push(Waiting {
                    request: asking.request,
                    bell: asking.task.bell,
                    reply,
                });
                Made::Accepted(())
            }
            Made::Ended(outcome) => Made::Ended(outcome),
            Made::Posted => Made::Posted,
        };
        same!(Poll::Ready(made), expected, "a task that asks");
        Ok(())
    }

    fn drop_asking(&mut self, n: usize) {
        let asking = self.asking.remove(n);
        drop(asking.task);
        self.model.drop_asking(asking.request);
        self.model.leave_client(asking.client);
    }

    fn reply_step(&mut self, n: usize, step: Step) -> Result<(), Wrong> {
        if let Step::DropReply(_) = step {
            self.drop_reply(n);
            return Ok(());
        }
        let mut waiting = self.waiting.remove(n);
        let request = waiting.request;
        let ready = with_reply!(&waiting.reply, reply => reply.is_ready());
        same!(ready, self.model.is_ready(request), "whether it is ready");
        let left = match step {
            Step::PollReply(_, waker) => {
                self.bell(&mut waiting.bell, waker);
                let (polled, own) = match &mut waiting.reply {
                    Reply::Plain(reply) => {
                        let (polled, own) = self.poll(Pin::new(reply), waiting.bell);
                        (polled.map(outcome), own)
                    }
                    Reply::Detailed(reply) => {
                        let (polled, own) = self.poll(Pin::new(reply), waiting.bell);
                        (polled.map(outcome), own)
                    }
                };
                let expected = self.model.poll_waiting(request, waiting.bell, own)?;
                same!(polled, expected, "an outcome");
                polled.is_pending().then_some(waiting)
            }
            Step::Wait(_) if !ready && self.model.is_not_due(request) => Some(waiting),
            Step::Wait(_) => {
                let outcome = with_reply!(waiting.reply, reply => outcome(reply.wait()));
                same!(Some(outcome), self.model.look(request), "an outcome");
                None
            }
            _ => {
                let no_time = matches!(step, Step::WaitNoTime(_));
                let tried = if no_time {
                    try_reply!(waiting.reply, reply => reply.wait_timeout(Duration::ZERO))
                } else {
                    try_reply!(waiting.reply, reply => reply.try_get())
                };
                let expected = self.model.look(request);
                let left = match tried {
                    Ok(outcome) => {
                        same!(Some(outcome), expected, "an outcome");
                        None
                    }
                    Err(reply) => {
                        same!(None, expected, "an outcome");
                        if no_time {
                            self.model.forget_waker(request);
                        }
                        Some(reply)
                    }
                };
                let bell = waiting.bell;
                left.map(|reply| Waiting {
                    request,
                    bell,
                    reply,
                })
            }
        };
        if let Some(waiting) = left {
            self.waiting.insert(n, waiting);
        }
        Ok(())
    }

    fn drop_reply(&mut self, n: usize) {
        let waiting = self.waiting.remove(n);
        drop(waiting.reply);
        self.model.drop_reply(waiting.request);
    }

    // ---- the answering end

    /// Takes in a way that does not wait; `take` is told whether there is something.
    fn take(
        &mut self,
        max: usize,
        take: impl FnOnce(&Requests, bool) -> Result<Vec<Job>, Error<Parcel>>,
    ) -> Result<(), Wrong> {
        let Some(server) = self.server.clone() else {
            return Ok(());
        };
        let taken = take(&server, self.model.has_some()).map_err(|_| Deserted);
        let taken = self.keep(taken);
        let seen = taken.clone().unwrap_or_default();
        same!(taken, self.model.take(max, None, &seen), "what was taken");
        Ok(())
    }

    fn take_many(&mut self, max: usize) -> Result<(), Wrong> {
        self.take(max, |server, some| {
            let mut batch = Vec::new();
            if some || max == 0 {
                let count = server.wait_many(&mut batch, max)?;
                assert_eq!(count, batch.len());
                Ok(batch)
            } else {
                server.try_pop().map(Vec::from_iter)
            }
        })
    }

    /// Keeps the contexts; returns the messages, which are dropped.
    fn keep(&mut self, taken: Result<Vec<Job>, Deserted>) -> Result<Vec<usize>, Deserted> {
        let mut messages = Vec::new();
        for (message, rctx) in taken? {
            messages.push(message.id());
            let request = self.model.request_of(message.open());
            self.contexts
                .push((request.expect("one that was made"), rctx));
        }
        Ok(messages)
    }

    fn poll_server(&mut self, waker: Waker) -> Result<(), Wrong> {
        let Some(server) = self.server.clone() else {
            return Ok(());
        };
        let mut bell = self.poller;
        self.bell(&mut bell, waker);
        self.poller = bell;
        let (polled, own) = self.poll(pin!(poll_fn(|cx| server.poll_wait(cx))), bell);
        same!(own, 0, "how often it woke itself");
        let polled =
            polled.map(|taken| self.keep(taken.map(|job| vec![job]).map_err(|_| Deserted)));
        let seen = seen(&polled);
        same!(
            polled,
            self.model.poll_server(bell, &seen),
            "what was taken"
        );
        Ok(())
    }

    fn receive(&mut self, what: Receive, poll: bool) -> Result<(), Wrong> {
        let Some(server) = self.server.clone() else {
            return Ok(());
        };
        let mail = Rc::new(RefCell::new(None));
        let put = {
            let mail = Rc::clone(&mail);
            move |got: Result<Vec<Job>, Error<Parcel>>| {
                *mail.borrow_mut() = Some(got.map_err(|_| Deserted));
            }
        };
        let (max, again) = match what {
            Receive::One => (1, false),
            Receive::Many(max) => (usize::from(max), false),
            Receive::Stream => (1, true),
        };
        let mut future: Pin<Box<dyn Future<Output = ()>>> = match what {
            Receive::One => Box::pin(async move {
                let receiving = server.async_wait();
                pause().await;
                put(receiving.await.map(|job| vec![job]));
            }),
            Receive::Many(_) => Box::pin(async move {
                let mut batch = Vec::new();
                let receiving = server.async_wait_many(&mut batch, max);
                pause().await;
                let count = receiving.await;
                put(count.map(|count| {
                    assert_eq!(count, batch.len());
                    batch
                }));
            }),
            Receive::Stream => Box::pin(async move {
                let mut stream = server.stream();
                loop {
                    pause().await;
                    let got = poll_fn(|cx| stream.poll_wait(cx)).await;
                    let ends = got.is_err();
                    put(got.map(|job| vec![job]));
                    if ends {
                        break;
                    }
                }
            }),
        };
        assert!(poll_once(&mut future).is_pending(), "it is only made");
        self.model.use_server();
        let bell = self.new_bell();
        self.receiving.push(Receiving {
            max,
            again,
            turn: Turn::default(),
            task: Task { bell, future },
            mail,
        });
        if poll {
            self.poll_receiving(self.receiving.len() - 1, Waker::Same)?;
        }
        Ok(())
    }

    fn poll_receiving(&mut self, n: usize, waker: Waker) -> Result<(), Wrong> {
        let mut receiving = self.receiving.remove(n);
        self.bell(&mut receiving.task.bell, waker);
        let bell = receiving.task.bell;
        let (polled, own) = self.poll(receiving.task.future.as_mut(), bell);
        let mail = receiving.mail.borrow_mut().take();
        let got = mail.map_or(Poll::Pending, |mail| Poll::Ready(self.keep(mail)));
        let (seen, turn) = (seen(&got), &mut receiving.turn);
        let expected = self
            .model
            .poll_receiving(receiving.max, turn, bell, own, &seen)?;
        same!(got, expected, "what was taken");
        if polled.is_ready() {
            same!(got.is_ready(), true, "whether it has something to show");
            self.model.stop_receiving(receiving.turn);
            self.model.leave_server();
        } else {
            same!(
                receiving.again || got.is_pending(),
                true,
                "whether it goes on"
            );
            self.receiving.insert(n, receiving);
        }
        Ok(())
    }

    fn drop_receiving(&mut self, n: usize) {
        let Receiving { task, turn, .. } = self.receiving.remove(n);
        drop(task);
        self.model.stop_receiving(turn);
        self.model.leave_server();
    }

    fn drop_server(&mut self) {
        if let Some(server) = self.server.take() {
            drop(server);
            self.model.leave_server();
        }
    }

    // ---- contexts

    fn context_step(&mut self, n: usize, step: Step) -> Result<(), Wrong> {
        let (request, rctx) = &self.contexts[n];
        let request = *request;
        let cancelled = self.model.is_cancelled(request);
        match step {
            Step::IsCancelled(_) => {
                same!(rctx.is_cancelled(), cancelled, "whether it is cancelled");
            }
            Step::LetGo(_) => self.let_go(n, false),
            Step::Panic(_) => self.let_go(n, true),
            Step::Watch(_) => self.watch(n),
            _ => {
                let (_, rctx) = self.contexts.remove(n);
                let value = self.parcel();
                let id = value.id();
                let ok = !matches!(step, Step::Fail(_) | Step::Answer(_, false));
                let taken = match step {
                    Step::Reply(_) => rctx.reply(value).map_err(|error| gone(&error)).is_ok(),
                    Step::Fail(_) => rctx.fail(value).map_err(|error| gone(&error)).is_ok(),
                    _ => {
                        let answer = if ok { Ok(value) } else { Err(value) };
                        match rctx.answer(answer) {
                            Ok(()) => true,
                            Err(back) => {
                                let back = back.map(Parcel::open).map_err(Parcel::open);
                                same!(back, if ok { Ok(id) } else { Err(id) }, "what came back");
                                false
                            }
                        }
                    }
                };
                same!(
                    taken,
                    self.model.answer(request, id, ok),
                    "whether it was taken"
                );
            }
        }
        Ok(())
    }

    fn let_go(&mut self, n: usize, panics: bool) {
        let (request, rctx) = self.contexts.remove(n);
        if panics {
            drop_in_a_panic(rctx);
        } else {
            drop(rctx);
        }
        self.model.let_go(request, panics);
    }

    fn watch(&mut self, n: usize) {
        let (request, mut rctx) = self.contexts.remove(n);
        let future = Box::pin(async move {
            rctx.cancelled().await;
            rctx
        });
        let bell = self.new_bell();
        self.watching.push(Watching {
            request,
            task: Task { bell, future },
        });
    }

    fn poll_watching(&mut self, n: usize, waker: Waker) -> Result<(), Wrong> {
        let mut watching = self.watching.remove(n);
        self.bell(&mut watching.task.bell, waker);
        let bell = watching.task.bell;
        let (polled, own) = self.poll(watching.task.future.as_mut(), bell);
        same!(own, 0, "how often it woke itself");
        let expected = self.model.poll_watching(watching.request, bell);
        same!(
            polled.is_ready(),
            expected.is_ready(),
            "whether the caller is gone"
        );
        match polled {
            Poll::Ready(rctx) => self.contexts.push((watching.request, rctx)),
            Poll::Pending => self.watching.insert(n, watching),
        }
        Ok(())
    }

    fn drop_watching(&mut self, n: usize) {
        let Watching { request, task } = self.watching.remove(n);
        drop(task);
        self.model.stop_watching(request);
        self.model.let_go(request, false);
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

/// A task that asks without terms. It begins at the second poll.
fn areq(client: Arc<Asks>, parcel: Parcel) -> Pin<Box<dyn Future<Output = Made<Reply>>>> {
    Box::pin(async move {
        let asking = client.areq(parcel);
        pause().await;
        Made::Ended(outcome(asking.await))
    })
}

/// A task that asks on terms. It begins at the second poll.
fn task(
    client: Arc<Asks>,
    parcel: Parcel,
    how: How,
    terms: tests::ends::Terms,
) -> Pin<Box<dyn Future<Output = Made<Reply>>>> {
    Box::pin(async move {
        let request = terms.request(&client, parcel);
        match how {
            How::Post => {
                let post = request.post().into_future();
                pause().await;
                post.await.map_or_else(
                    |error: SendError<_>| Made::Ended(Err(told(error))),
                    |()| Made::Posted,
                )
            }
            How::Submit => {
                let submit = request.submit().into_future();
                pause().await;
                submit.await.map_or_else(
                    |error| Made::Ended(Err(told(error))),
                    |reply| Made::Accepted(Reply::Detailed(reply)),
                )
            }
            How::Await => {
                let asking = request.into_future();
                pause().await;
                Made::Ended(outcome(asking.await))
            }
            _ => unreachable!("see `areq`"),
        }
    })
}

/// What it is in numbers.
fn told(error: impl Into<Told<Parcel, Parcel>>) -> Told<usize, usize> {
    let told = error.into();
    Told {
        executed: told.executed,
        message: told.message.map(Parcel::open),
        why: match told.why {
            Why::App(error) => Why::App(error.open()),
            Why::NoReply(why) => Why::NoReply(why),
            Why::ServerDisappeared => Why::ServerDisappeared,
            Why::TimeoutQueued => Why::TimeoutQueued,
            Why::TimeoutTaken => Why::TimeoutTaken,
            Why::Full => Why::Full,
            Why::Else => Why::Else,
        },
    }
}

fn outcome(outcome: Result<Parcel, impl Into<Told<Parcel, Parcel>>>) -> Outcome {
    outcome.map(Parcel::open).map_err(told)
}

fn gone(error: &Error<Parcel>) {
    assert!(
        matches!(error, Error::OriginDisappeared),
        "{:?}",
        error.executed()
    );
}

fn seen(polled: &Poll<Result<Vec<usize>, Deserted>>) -> Vec<usize> {
    match polled {
        Poll::Ready(Ok(messages)) => messages.clone(),
        _ => Vec::new(),
    }
}
