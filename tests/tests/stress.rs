//! Conservation under stress: a million requests of all kinds, from threads and tasks, to threads and tasks; and whatever becomes of
//! them, the books of the channel agree with those of everybody who took part, column by column.
//!
//! The choices come from a seed, which is printed and can be given: `UMP_SEED=7 cargo test -p tests --test stress`. The schedule is the
//! operating system's.

use std::{
    env,
    future::{IntoFuture, poll_fn},
    ops::{AddAssign, Range},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
        mpsc,
    },
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use futures_core::Stream;
use tests::{Census, Counted, must_end, poll_once};
use tokio::runtime::Runtime;
use ump::{
    Client, Error, Gather, NoReply, PanicMessage, Post, ReplyContext, Request, RequestError,
    SendError, Server, Stats, WaitReply, bounded,
};

/// xorshift64*: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        // Not zero, and far from its neighbours.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    /// A deadline that may well be missed, and at times is over already.
    fn deadline(&mut self) -> Instant {
        Instant::now() + Duration::from_micros(self.roll(200).saturating_sub(20))
    }
}

/// What a handler does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Reply,
    Fail,
    LetGo,
    Panic,
}

struct Message {
    id: usize,
    how: How,
    /// Answered by another thread than the one that took it.
    elsewhere: bool,
    post: bool,
    /// Its caller looks at the outcome, whatever it is; otherwise the handler keeps the book.
    told: bool,
    _counted: Counted,
}

struct Reply {
    id: usize,
    _counted: Counted,
}

type Requests = Server<Message, Reply, Reply>;
type Asks = Client<Message, Reply, Reply>;
type Pending = WaitReply<Reply, Reply, RequestError<Message, Reply>>;

/// One's own books: the columns of `Stats` as far as one knows them.
#[derive(Clone, Copy, Debug, Default)]
struct Book {
    accepted: u64,
    replied: u64,
    failed: u64,
    no_reply: u64,
    panicked: u64,
    server_disappeared: u64,
    timeout_queued: u64,
    timeout_taken: u64,
    cancelled_queued: u64,
    cancelled_taken: u64,
    refused: u64,
    /// Too late, or the server had gone: whether before or after it was accepted its caller cannot know.
    late: u64,
    /// Not executed: cancelled, or the server had gone before.
    gone_or_cancelled: u64,
}

impl AddAssign for Book {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.replied += other.replied;
        self.failed += other.failed;
        self.no_reply += other.no_reply;
        self.panicked += other.panicked;
        self.server_disappeared += other.server_disappeared;
        self.timeout_queued += other.timeout_queued;
        self.timeout_taken += other.timeout_taken;
        self.cancelled_queued += other.cancelled_queued;
        self.cancelled_taken += other.cancelled_taken;
        self.refused += other.refused;
        self.late += other.late;
        self.gone_or_cancelled += other.gone_or_cancelled;
    }
}

/// What all share.
struct Board {
    /// How often each message was handled.
    handled: Vec<AtomicU8>,
    messages: Census,
    replies: Census,
}

impl Board {
    fn was_handled(&self, id: usize) -> bool {
        self.handled[id].load(Ordering::SeqCst) > 0
    }
}

// ---- the server's side

/// One who handles requests.
struct Worker {
    board: Arc<Board>,
    elsewhere: Option<mpsc::Sender<(Message, ReplyContext<Reply, Reply>)>>,
    book: Book,
    handled: usize,
}

impl Worker {
    fn handle(&mut self, message: Message, rctx: ReplyContext<Reply, Reply>) {
        self.handled += 1;
        let before = self.board.handled[message.id].fetch_add(1, Ordering::SeqCst);
        assert_eq!(before, 0, "handled twice");
        assert_eq!(rctx.is_post(), message.post);
        assert!(!rctx.is_cancelled() || !message.told || rctx.deadline().is_some());
        match &self.elsewhere {
            Some(elsewhere) if message.elsewhere => elsewhere.send((message, rctx)).unwrap(),
            _ => self.finish(&message, rctx),
        }
    }

    fn finish(&mut self, message: &Message, rctx: ReplyContext<Reply, Reply>) {
        let value = Reply {
            id: message.id,
            _counted: self.board.replies.born(),
        };
        let book = &mut self.book;
        let column = match message.how {
            How::Reply => match rctx.answer(Ok(value)) {
                Ok(()) => &mut book.replied,
                Err(back) => {
                    assert!(back.is_ok_and(|reply| reply.id == message.id));
                    &mut book.cancelled_taken
                }
            },
            How::Fail => match rctx.answer(Err(value)) {
                Ok(()) => &mut book.failed,
                Err(back) => {
                    assert!(back.is_err_and(|reply| reply.id == message.id));
                    &mut book.cancelled_taken
                }
            },
            // Only those that are told and posts: otherwise nobody would know whether the caller had left before.
            How::LetGo => {
                drop(rctx);
                &mut book.replied
            }
            How::Panic => {
                let panic = catch_unwind(AssertUnwindSafe(|| {
                    let _rctx = rctx;
                    // Without a message on the terminal.
                    resume_unwind(Box::new(()));
                }));
                assert!(panic.is_err());
                &mut book.panicked
            }
        };
        if !message.told {
            *column += 1;
        }
    }

    /// Serves in all ways that block, until no client is left or so many have been handled.
    fn serve(mut self, server: &Requests, dice: &mut Dice, quota: usize) -> Book {
        let mut batch = Vec::new();
        while self.handled < quota {
            let job = match dice.roll(8) {
                0 => server.wait_timeout(Duration::from_micros(dice.roll(20))),
                1 => server.try_pop(),
                2 | 3 => match server
                    .wait_many(&mut batch, 1 + usize::try_from(dice.roll(16)).unwrap())
                {
                    Ok(_) => Ok(None),
                    Err(error) => Err(error),
                },
                4 => match server.iter().next() {
                    Some(job) => Ok(Some(job)),
                    None => Err(Error::ClientsDisappeared),
                },
                _ => server.wait().map(Some),
            };
            match job {
                Ok(job) => batch.extend(job),
                Err(Error::ClientsDisappeared) => break,
                Err(
                    Error::ServerDisappeared
                    | Error::OriginDisappeared
                    | Error::NoReply
                    | Error::App(_),
                ) => {
                    panic!("not an error of a server")
                }
            }
            for (message, rctx) in batch.drain(..) {
                self.handle(message, rctx);
            }
        }
        self.book
    }

    /// Serves in all ways that await; only one, the `poller`, can poll the server itself.
    async fn serve_async(
        mut self,
        server: &Requests,
        dice: &mut Dice,
        poller: bool,
        quota: usize,
    ) -> Book {
        let mut batch = Vec::new();
        let mut requests = server.stream();
        while self.handled < quota {
            let job = match dice.roll(8) {
                // Waits for a moment, and leaves.
                0 => match poll_once(&mut Box::pin(server.async_wait())) {
                    Poll::Ready(job) => job.map(Some),
                    Poll::Pending => {
                        tokio::task::yield_now().await;
                        Ok(None)
                    }
                },
                1 => server.async_wait().await.map(Some),
                2 | 3 => server.async_wait_many(&mut batch, 8).await.map(|_| None),
                4 => poll_fn(|cx| Pin::new(&mut requests).poll_next(cx))
                    .await
                    .map_or(Err(Error::ClientsDisappeared), |job| Ok(Some(job))),
                _ if poller => poll_fn(|cx| server.poll_wait(cx)).await.map(Some),
                _ => poll_fn(|cx| requests.poll_wait(cx)).await.map(Some),
            };
            match job {
                Ok(job) => batch.extend(job),
                Err(_) => break,
            }
            for (message, rctx) in batch.drain(..) {
                self.handle(message, rctx);
            }
        }
        self.book
    }
}

// ---- the clients' side

/// Why nobody tells its caller how a request ended.
#[derive(Clone, Copy, Debug)]
enum Untold {
    Post,
    PostWithDeadline,
    Dropped,
}

/// One who asks.
struct Caller {
    board: Arc<Board>,
    client: Asks,
    dice: Dice,
    ids: Range<usize>,
    book: Book,
    untold: Vec<(usize, Untold)>,
    /// It has been told that the server is gone.
    gone: bool,
    /// Whether its posts have deadlines. (If the server goes, nobody could say whether they were late before.)
    posts_expire: bool,
}

/// A request and what is to become of it.
type Of = (usize, How);

impl Caller {
    fn goes_on(&self) -> bool {
        !self.gone && self.ids.len() >= 16
    }

    fn message(&mut self, told: bool, post: bool) -> Message {
        // Of what nobody tells, nobody would know whether the caller had left before the handler let go.
        let how = match self.dice.roll(if told || post { 16 } else { 12 }) {
            0..9 => How::Reply,
            9..12 => How::Fail,
            12..15 => How::LetGo,
            _ => How::Panic,
        };
        Message {
            id: self.ids.next().expect("looked before"),
            how,
            elsewhere: self.dice.one_in(8),
            post,
            told,
            _counted: self.board.messages.born(),
        }
    }

    /// A request on any terms. (Without a deadline if nobody tells, as nobody could say whether it was late before its caller left.)
    fn request<'c>(
        &mut self,
        client: &'c Asks,
        told: bool,
    ) -> (Of, Request<'c, Message, Reply, Reply>) {
        let message = self.message(told, false);
        let of = (message.id, message.how);
        let mut request = client.request(message);
        if self.dice.one_in(4) {
            request = request.urgent();
        }
        if self.dice.one_in(8) {
            request = request.if_room();
        }
        if told && self.dice.one_in(4) {
            request = request.deadline(self.dice.deadline());
        }
        (of, request)
    }

    /// A post on any terms.
    fn post<'c>(&mut self, client: &'c Asks) -> (usize, Untold, Post<'c, Message, Reply, Reply>) {
        let message = self.message(false, true);
        let id = message.id;
        let mut post = client.post(message);
        let mut untold = Untold::Post;
        if self.dice.one_in(4) {
            post = post.urgent();
        }
        if self.dice.one_in(8) {
            post = post.if_room();
        }
        if self.posts_expire && self.dice.one_in(4) {
            post = post.deadline(self.dice.deadline());
            untold = Untold::PostWithDeadline;
        }
        (id, untold, post)
    }

    /// Notes what `submit` or `post` said.
    fn sent<T>(&mut self, id: usize, sent: Result<T, SendError<Message>>) -> Option<T> {
        match sent {
            Ok(sent) => {
                self.book.accepted += 1;
                Some(sent)
            }
            Err(error) => {
                self.book.refused += 1;
                self.gone |= matches!(error, SendError::ServerDisappeared(_));
                self.not_executed(id, &error.into_message());
                None
            }
        }
    }

    fn not_executed(&self, id: usize, message: &Message) {
        assert_eq!(message.id, id, "another's message");
        assert!(!self.board.was_handled(id), "executed and handed back");
    }

    /// Notes the outcome of a request that had been accepted.
    fn told(&mut self, (id, how): Of, outcome: Result<Reply, RequestError<Message, Reply>>) {
        let book = &mut self.book;
        match outcome {
            Ok(reply) => {
                assert_eq!((reply.id, how), (id, How::Reply));
                assert!(self.board.was_handled(id));
                book.replied += 1;
            }
            Err(RequestError::App(reply)) => {
                assert_eq!((reply.id, how), (id, How::Fail));
                assert!(self.board.was_handled(id));
                book.failed += 1;
            }
            Err(RequestError::NoReply(why)) => {
                let (expected, column) = match why {
                    NoReply::Dropped => (How::LetGo, &mut book.no_reply),
                    NoReply::Panicked(_) => (How::Panic, &mut book.panicked),
                    other => panic!("nobody does that: {other}"),
                };
                assert_eq!(how, expected);
                *column += 1;
            }
            Err(RequestError::ServerDisappeared(message)) => {
                book.server_disappeared += 1;
                self.gone = true;
                self.not_executed(id, &message);
            }
            Err(RequestError::TimeoutQueued(message)) => {
                book.timeout_queued += 1;
                self.not_executed(id, &message);
            }
            Err(RequestError::TimeoutTaken) => book.timeout_taken += 1,
            Err(RequestError::Full(_) | RequestError::NoTimer(..)) => panic!("it was accepted"),
            Err(RequestError::WouldDeadlock(..) | RequestError::WouldDeadlockTaken(_)) => {
                panic!("nobody watches")
            }
        }
    }

    /// Notes the outcome of a request that was sent and waited for in one go.
    fn told_all(&mut self, of: Of, outcome: Result<Reply, RequestError<Message, Reply>>) {
        match outcome {
            Err(RequestError::Full(message)) => {
                self.book.refused += 1;
                self.not_executed(of.0, &message);
            }
            Err(RequestError::TimeoutQueued(message)) => {
                self.book.late += 1;
                self.not_executed(of.0, &message);
            }
            Err(RequestError::ServerDisappeared(message)) => {
                self.book.late += 1;
                self.gone = true;
                self.not_executed(of.0, &message);
            }
            outcome => {
                self.book.accepted += 1;
                self.told(of, outcome);
            }
        }
    }

    /// The same for those that are told less.
    fn told_plainly(&mut self, of: Of, outcome: Result<Reply, Error<Reply>>) {
        let error = match outcome {
            Ok(reply) => return self.told_all(of, Ok(reply)),
            Err(error) => error,
        };
        let error = match error {
            Error::App(reply) => RequestError::App(reply),
            Error::NoReply if of.1 == How::Panic => {
                RequestError::NoReply(NoReply::Panicked(PanicMessage::default()))
            }
            Error::NoReply => RequestError::NoReply(NoReply::Dropped),
            Error::ServerDisappeared => {
                self.book.late += 1;
                self.gone = true;
                assert!(!self.board.was_handled(of.0));
                return;
            }
            Error::OriginDisappeared | Error::ClientsDisappeared => panic!("not a client's error"),
        };
        self.told_all(of, Err(error));
    }

    fn leaves(&mut self, id: usize, reply: Pending) {
        self.untold.push((id, Untold::Dropped));
        (0..self.dice.roll(100)).for_each(|_| std::hint::spin_loop());
        drop(reply);
    }

    fn step(&mut self) {
        let client = self.client.clone();
        match self.dice.roll(16) {
            0..3 => {
                let message = self.message(true, false);
                let of = (message.id, message.how);
                let outcome = client.req(message);
                self.told_plainly(of, outcome);
            }
            3..6 => {
                let (of, request) = self.request(&client, true);
                let outcome = request.wait();
                self.told_all(of, outcome);
            }
            6..9 => {
                let (id, untold, post) = self.post(&client);
                let sent = post.wait();
                if self.sent(id, sent).is_some() {
                    self.untold.push((id, untold));
                }
            }
            9 => {
                // Sends, does something else, and looks in again.
                let (of, request) = self.request(&client, true);
                let sent = request.submit().wait();
                let Some(mut reply) = self.sent(of.0, sent) else {
                    return;
                };
                let outcome = loop {
                    let moment = Duration::from_micros(self.dice.roll(30));
                    match reply.try_get().or_else(|reply| reply.wait_timeout(moment)) {
                        Ok(outcome) => break outcome,
                        Err(again) => reply = again,
                    }
                };
                self.told(of, outcome);
            }
            10 => {
                // Sends, and leaves.
                let (of, request) = self.request(&client, false);
                let sent = request.submit().wait();
                if let Some(reply) = self.sent(of.0, sent) {
                    self.leaves(of.0, reply);
                }
            }
            11 => {
                let again = client.weak().upgrade().expect("a client is here");
                drop(client);
                drop(again);
            }
            _ => {
                let mut gather = Gather::new();
                for _ in 0..self.dice.roll(12) {
                    let (of, request) = self.request(&client, true);
                    let sent = request.submit().wait();
                    if let Some(reply) = self.sent(of.0, sent) {
                        gather.push(of, reply);
                    }
                }
                while !gather.is_empty() {
                    let next = match self.dice.roll(4) {
                        0 => gather.try_next(),
                        1 => gather.wait_timeout(Duration::from_micros(20)),
                        _ => gather.wait(),
                    };
                    if let Some((of, outcome)) = next {
                        self.told(of, outcome);
                    }
                }
            }
        }
    }

    async fn step_async(&mut self) {
        let client = self.client.clone();
        match self.dice.roll(16) {
            0..3 => {
                let message = self.message(true, false);
                let of = (message.id, message.how);
                let outcome = client.areq(message).await;
                self.told_plainly(of, outcome);
            }
            3..6 => {
                let (of, request) = self.request(&client, true);
                let outcome = request.await;
                self.told_all(of, outcome);
            }
            6..9 => {
                let (id, untold, post) = self.post(&client);
                let sent = post.await;
                if self.sent(id, sent).is_some() {
                    self.untold.push((id, untold));
                }
            }
            9 => {
                // Waits for room, polled by hand now and then, and leaves if that does not help.
                let (of, request) = self.request(&client, false);
                let mut sending = request.submit().into_future();
                let mut sent = poll_once(&mut sending);
                for _ in 0..self.dice.roll(4) {
                    if sent.is_pending() {
                        tokio::task::yield_now().await;
                        sent = poll_once(&mut sending);
                    }
                }
                match sent {
                    Poll::Pending => self.book.refused += 1,
                    Poll::Ready(sent) => {
                        if let Some(reply) = self.sent(of.0, sent) {
                            self.leaves(of.0, reply);
                        }
                    }
                }
            }
            10 => {
                // Sends, polls now and then, and leaves.
                let (of, request) = self.request(&client, false);
                let sent = request.submit().await;
                if let Some(mut reply) = self.sent(of.0, sent) {
                    for _ in 0..self.dice.roll(4) {
                        if poll_once(&mut reply).is_ready() {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                    // Also if it was ready: that it was, the handler knows.
                    self.leaves(of.0, reply);
                }
            }
            11 => {
                let (of, request) = self.request(&client, true);
                let sent = request.submit().await;
                if let Some(reply) = self.sent(of.0, sent) {
                    let outcome = reply.wait_async().await;
                    self.told(of, outcome);
                }
            }
            _ => {
                let mut gather = Gather::new();
                for _ in 0..self.dice.roll(12) {
                    let (of, request) = self.request(&client, true);
                    let sent = request.submit().await;
                    if let Some(reply) = self.sent(of.0, sent) {
                        gather.push(of, reply);
                    }
                }
                while let Some((of, outcome)) =
                    poll_fn(|cx| Pin::new(&mut gather).poll_next(cx)).await
                {
                    self.told(of, outcome);
                }
            }
        }
    }
}

// ---- the whole

struct Plan {
    seed: u64,
    capacity: usize,
    /// Threads and tasks that ask.
    callers: [usize; 2],
    /// Requests that each of them makes.
    each: usize,
    /// Threads and tasks that serve.
    workers: [usize; 2],
    /// Requests that each of them handles before it leaves; the last one takes the server along.
    quota: usize,
}

impl Plan {
    fn server_goes(&self) -> bool {
        self.quota < usize::MAX
    }
}

/// One who takes part, on a thread or as a task.
enum Party<T> {
    Thread(thread::JoinHandle<T>),
    Task(tokio::task::JoinHandle<T>),
}

impl<T> Party<T> {
    fn end(self, runtime: &Runtime) -> T {
        match self {
            Self::Thread(thread) => thread.join().unwrap(),
            Self::Task(task) => runtime.block_on(task).unwrap(),
        }
    }
}

fn start_workers(
    plan: &Plan,
    board: &Arc<Board>,
    runtime: &Runtime,
    server: &Arc<Requests>,
    mut dice: impl FnMut() -> Dice,
) -> Vec<Party<Book>> {
    let quota = plan.quota;
    let (elsewhere, from_elsewhere) = mpsc::channel();
    let worker = |elsewhere| Worker {
        board: Arc::clone(board),
        elsewhere,
        book: Book::default(),
        handled: 0,
    };
    let mut deputy = worker(None);
    let deputy = Party::Thread(thread::spawn(move || {
        for (message, rctx) in from_elsewhere {
            deputy.finish(&message, rctx);
        }
        deputy.book
    }));
    let worker = || (worker(Some(elsewhere.clone())), Arc::clone(server));
    let mut parties = vec![deputy];
    for _ in 0..plan.workers[0] {
        let ((worker, server), mut dice) = (worker(), dice());
        parties.push(Party::Thread(thread::spawn(move || {
            worker.serve(&server, &mut dice, quota)
        })));
    }
    for place in 0..plan.workers[1] {
        let ((worker, server), mut dice) = (worker(), dice());
        parties.push(Party::Task(runtime.spawn(async move {
            let poller = place == 0;
            worker.serve_async(&server, &mut dice, poller, quota).await
        })));
    }
    parties
}

fn start_callers(
    plan: &Plan,
    board: &Arc<Board>,
    runtime: &Runtime,
    client: &Asks,
    mut dice: impl FnMut() -> Dice,
) -> Vec<Party<(Book, Vec<(usize, Untold)>)>> {
    let mut ids = (0..).map(|n| n * plan.each..(n + 1) * plan.each);
    let mut caller = || Caller {
        board: Arc::clone(board),
        client: client.clone(),
        dice: dice(),
        ids: ids.next().unwrap(),
        book: Book::default(),
        untold: Vec::new(),
        gone: false,
        posts_expire: !plan.server_goes(),
    };
    let mut parties = Vec::new();
    for _ in 0..plan.callers[0] {
        let mut caller = caller();
        parties.push(Party::Thread(thread::spawn(move || {
            while caller.goes_on() {
                caller.step();
            }
            (caller.book, caller.untold)
        })));
    }
    for _ in 0..plan.callers[1] {
        let mut caller = caller();
        parties.push(Party::Task(runtime.spawn(async move {
            while caller.goes_on() {
                caller.step_async().await;
            }
            (caller.book, caller.untold)
        })));
    }
    parties
}

/// Plays it and compares the books. Returns those of the channel.
fn run(plan: &Plan) -> Stats {
    let board = Arc::new(Board {
        handled: (0..(plan.callers[0] + plan.callers[1]) * plan.each)
            .map(|_| AtomicU8::new(0))
            .collect(),
        messages: Census::default(),
        replies: Census::default(),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let mut seeds = plan.seed..;
    let mut dice = || Dice::new(seeds.next().unwrap());

    let (server, client) = bounded(plan.capacity).unwrap();
    let server = Arc::new(server);
    let workers = start_workers(plan, &board, &runtime, &server, &mut dice);
    let callers = start_callers(plan, &board, &runtime, &client, &mut dice);
    // One end stays to look at the books: not the one whose going is the end.
    let stay: Box<dyn Fn() -> Stats> = if plan.server_goes() {
        drop(server);
        Box::new(move || client.stats())
    } else {
        drop(client);
        Box::new(move || server.stats())
    };

    let mut told = Book::default();
    let mut untold = Vec::new();
    for caller in callers {
        let (book, without_end) = caller.end(&runtime);
        told += book;
        untold.extend(without_end);
    }
    for worker in workers {
        told += worker.end(&runtime);
    }
    for (id, why) in untold {
        if !board.was_handled(id) {
            *match why {
                Untold::Post => &mut told.server_disappeared,
                Untold::PostWithDeadline => &mut told.timeout_queued,
                // Its caller or the server, whichever went first.
                Untold::Dropped if plan.server_goes() => &mut told.gone_or_cancelled,
                Untold::Dropped => &mut told.cancelled_queued,
            } += 1;
        }
    }
    let stats = stay();
    println!("{stats:?}");
    compare(&told, &stats, plan.server_goes());
    assert_eq!(board.messages.deaths(), board.messages.births());
    assert_eq!(board.replies.deaths(), board.replies.births());
    stats
}

/// The books of all who took part, and those of the channel.
fn compare(told: &Book, stats: &Stats, server_goes: bool) {
    assert_eq!((stats.queued, stats.taken), (0, 0));
    assert_eq!(stats.accepted, stats.ended());
    assert_eq!(told.replied, stats.replied);
    assert_eq!(told.failed, stats.failed);
    assert_eq!(told.no_reply, stats.no_reply);
    assert_eq!(told.panicked, stats.panicked);
    assert_eq!(told.timeout_taken, stats.timeout_taken);
    assert_eq!(told.cancelled_taken, stats.cancelled_taken);
    // Of what was late or found the server gone, one half is in each of these.
    let late_accepted = stats.accepted - told.accepted;
    let late_refused = stats.refused - told.refused;
    assert_eq!(late_accepted + late_refused, told.late);
    if server_goes {
        assert_eq!(
            told.cancelled_queued
                + told.server_disappeared
                + told.timeout_queued
                + told.gone_or_cancelled
                + late_accepted,
            stats.cancelled_queued + stats.server_disappeared + stats.timeout_queued
        );
        assert!(stats.server_disappeared >= told.server_disappeared);
    } else {
        assert_eq!(told.cancelled_queued, stats.cancelled_queued);
        assert_eq!(told.timeout_queued + late_accepted, stats.timeout_queued);
        assert_eq!((told.server_disappeared, stats.server_disappeared), (0, 0));
    }
}

fn seed() -> u64 {
    let seed = env::var("UMP_SEED").map_or(20_260, |seed| seed.parse().unwrap());
    println!("UMP_SEED={seed}");
    seed
}

#[test]
fn a_million_requests_of_all_kinds_end_exactly_once() {
    must_end(|| {
        let stats = run(&Plan {
            seed: seed(),
            capacity: 32,
            callers: [3, 4],
            each: 150_000,
            workers: [2, 2],
            quota: usize::MAX,
        });
        assert!(stats.accepted >= 900_000, "{stats:?}");
        assert!(stats.accepted + stats.refused >= 1_000_000, "{stats:?}");
    });
}

#[test]
fn all_kinds_end_once_through_a_queue_of_one() {
    must_end(|| {
        run(&Plan {
            seed: seed(),
            capacity: 1,
            callers: [3, 3],
            each: 20_000,
            workers: [1, 1],
            quota: usize::MAX,
        });
    });
}

#[test]
fn all_kinds_end_once_through_an_unbounded_queue() {
    must_end(|| {
        let stats = run(&Plan {
            seed: seed(),
            capacity: usize::MAX,
            callers: [3, 3],
            each: 20_000,
            workers: [2, 2],
            quota: usize::MAX,
        });
        // Only what came with a deadline in the past.
        assert!(stats.refused < 20_000, "{stats:?}");
    });
}

#[test]
fn all_kinds_end_once_when_the_server_goes() {
    must_end(|| {
        let seed = seed();
        for round in 0..60 {
            run(&Plan {
                seed: seed + 1000 * round,
                capacity: 1 + usize::try_from(round).unwrap() % 8,
                callers: [2, 2],
                each: 2_000,
                workers: [1, 1],
                quota: 200,
            });
        }
    });
}
