//! The floors, without any channel: two threads, or two tasks, exchange one atomic.
//!
//! A floor has one client. The word is odd while the server is to act, and even while the client
//! is.

use std::{
    future::poll_fn,
    hint::spin_loop,
    marker::PhantomData,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Poll, Waker},
    thread::{self, Thread},
};

use tokio::task;

use super::{AsyncClient, AsyncServer, BlockingClient, BlockingServer, Contender, Role, Shape};
use crate::message::Message;

/// Tells the server that the client is gone.
const OVER: u64 = u64::MAX;

/// The two ends; `W` wakes one. Both are stored before they are needed: the server's before a
/// client calls, the client's when it calls.
struct Ends<W> {
    word: AtomicU64,
    client: OnceLock<W>,
    server: OnceLock<W>,
    wake: fn(&W),
}

/// The client end.
pub(crate) struct Lead<W>(Arc<Ends<W>>);

impl<W> Ends<W> {
    fn new(wake: fn(&W)) -> Arc<Self> {
        Arc::new(Self {
            word: AtomicU64::new(0),
            client: OnceLock::new(),
            server: OnceLock::new(),
            wake,
        })
    }

    /// Pairs with the loads of `question` and `reply`.
    fn put(&self, word: u64, other: &OnceLock<W>) {
        self.word.store(word, Ordering::Release);
        if let Some(other) = other.get() {
            (self.wake)(other);
        }
    }

    fn ask(&self, n: u64) {
        self.put(2 * n + 1, &self.server);
    }

    fn answer(&self, n: u64) {
        self.put(2 * n.answer(), &self.client);
    }

    fn reply(&self) -> Option<u64> {
        let word = self.word.load(Ordering::Acquire);
        word.is_multiple_of(2).then_some(word / 2)
    }

    fn question(&self) -> Option<u64> {
        let word = self.word.load(Ordering::Acquire);
        (word % 2 == 1 && word != OVER).then_some(word / 2)
    }

    fn is_over(&self) -> bool {
        self.word.load(Ordering::Relaxed) == OVER
    }
}

impl<W> Drop for Lead<W> {
    fn drop(&mut self) {
        self.0.put(OVER, &self.0.server);
    }
}

/// The way in which a thread waits for the other.
pub(crate) trait Wait: 'static {
    const NAME: &'static str;

    /// Waits after this many looks in vain.
    fn wait(times: u32);
    fn wake(other: &Thread);
}

/// Spins: both threads run all the time.
pub(crate) struct Spin;

impl Wait for Spin {
    const NAME: &'static str = "floor-spin";

    fn wait(times: u32) {
        // Were both on one CPU, by bad luck, each would spin until its time slice is over.
        if times < 10_000 {
            spin_loop();
        } else {
            thread::yield_now();
        }
    }

    fn wake(_other: &Thread) {}
}

/// Parks: the threads wake each other through the kernel.
pub(crate) struct Park;

impl Wait for Park {
    const NAME: &'static str = "floor-park";

    fn wait(_times: u32) {
        thread::park();
    }

    fn wake(other: &Thread) {
        other.unpark();
    }
}

/// Two threads.
pub(crate) struct Threads<W>(PhantomData<W>);

impl<W: Wait> Contender<u64> for Threads<W> {
    const ROLE: Role = Role::Floor;
    type Client = Arc<Lead<Thread>>;

    fn name() -> String {
        W::NAME.into()
    }
}

impl<W: Wait> BlockingClient<u64> for Threads<W> {
    fn ask(client: &mut Self::Client, n: u64) -> u64 {
        let ends = &client.0;
        ends.client.get_or_init(thread::current);
        ends.ask(n);
        let mut times = 0;
        loop {
            if let Some(reply) = ends.reply() {
                return reply;
            }
            W::wait(times);
            times += 1;
        }
    }
}

impl<W: Wait> BlockingServer<u64> for Threads<W> {
    fn start(_shape: Shape) -> (Self::Client, thread::JoinHandle<()>) {
        let ends = Ends::new(W::wake);
        let lead = Lead(Arc::clone(&ends));
        let server = thread::spawn(move || {
            let mut times = 0;
            while !ends.is_over() {
                if let Some(n) = ends.question() {
                    ends.answer(n);
                    times = 0;
                } else {
                    W::wait(times);
                    times = times.saturating_add(1);
                }
            }
        });
        lead.0.server.get_or_init(|| server.thread().clone());
        (Arc::new(lead), server)
    }
}

/// Two tasks yield to each other through their executor.
pub(crate) struct Yield;

impl Contender<u64> for Yield {
    const ROLE: Role = Role::Floor;
    type Client = Arc<Lead<Waker>>;

    fn name() -> String {
        "floor-yield".into()
    }
}

impl AsyncClient<u64> for Yield {
    async fn ask_async(client: &mut Self::Client, n: u64) -> u64 {
        let ends = &client.0;
        let mut asked = false;
        poll_fn(|cx| {
            if !asked {
                asked = true;
                ends.client.get_or_init(|| cx.waker().clone());
                ends.ask(n);
            }
            ends.reply().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl AsyncServer<u64> for Yield {
    async fn start_async(_shape: Shape) -> (Self::Client, task::JoinHandle<()>) {
        let ends = Ends::new(Waker::wake_by_ref);
        let lead = Lead(Arc::clone(&ends));
        let server = tokio::spawn(poll_fn(move |cx| {
            ends.server.get_or_init(|| cx.waker().clone());
            if ends.is_over() {
                return Poll::Ready(());
            }
            if let Some(n) = ends.question() {
                ends.answer(n);
            }
            Poll::Pending
        }));
        while lead.0.server.get().is_none() {
            task::yield_now().await;
        }
        (Arc::new(lead), server)
    }
}

/// The client does the work of the handler itself.
pub(crate) struct Call;

impl<M: Message> Contender<M> for Call {
    const ROLE: Role = Role::Floor;
    type Client = ();

    fn name() -> String {
        "floor-call".into()
    }
}

impl<M: Message> BlockingClient<M> for Call {
    fn ask((): &mut (), message: M) -> M {
        message.answer()
    }
}

impl<M: Message> BlockingServer<M> for Call {
    fn start(_shape: Shape) -> ((), thread::JoinHandle<()>) {
        ((), thread::spawn(|| ()))
    }
}
