//! User code that panics where a loop runs it: in drops, wakers and clones. Each place has a row,
//! with each way to panic there.
//!
//! Each row asserts the same: the process continues, and each caller and joiner gets the outcome
//! that it would get without the panic.

use std::{
    future::Future,
    num::NonZeroUsize,
    ops::ControlFlow,
    panic::panic_any,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context as Polled, Poll, Wake, Waker},
    thread as os,
    time::Duration,
};

use ump_server::{
    Client, Context, JoinErrorKind, OnPanic, ReplyContext, Restart, SpawnError, TestClock,
    WeakClient,
    system::{Attributes, ComponentContext, Group, System},
    task, thread,
    ump::{NoReply, RequestError},
};

const LONG: Duration = Duration::from_secs(60);
const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// A panic payload.
#[derive(Clone, Copy, Debug)]
enum Throw {
    Text,
    /// A payload whose own drop panics.
    Bomb,
}

const WAYS: [Throw; 2] = [Throw::Text, Throw::Bomb];

impl Throw {
    fn throw(self) -> ! {
        match self {
            Self::Text => panic!("thrown"),
            Self::Bomb => panic_any(Bomb(Self::Text)),
        }
    }
}

/// Panics when it is dropped.
#[derive(Debug)]
struct Bomb(Throw);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.throw();
    }
}

/// Runs a case, which may hang if it fails.
fn bounded(case: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let runs = os::spawn(move || {
        case();
        let _ = done.send(());
    });
    let outcome = is_done.recv_timeout(LONG);
    assert!(outcome != Err(mpsc::RecvTimeoutError::Timeout), "it hangs");
    runs.join().expect("the case holds");
}

/// Makes a test of each function for each way to panic.
macro_rules! rows {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            for way in WAYS {
                bounded(move || rows::$name(way));
            }
        }
    )* };
}

rows! {
    ignored_value_of_a_pool_of_threads
    ignored_value_of_a_pool_of_tasks
    value_that_nobody_joins
    values_in_a_system_that_is_dropped
    tokens_of_timers_at_the_end
    token_that_can_be_neither_cloned_nor_dropped
    messages_left_in_a_batch
    term_and_drop_on_a_thread
    term_and_drop_on_a_task
    drop_after_term
    errors_of_the_factories_of_a_pool
    everything_when_the_runtime_is_shut_down
    call_that_panics_and_cannot_be_dropped
    waker_of_who_awaits_a_failure
    waker_of_who_awaits_a_failure_when_dropped
    waker_of_who_moves_a_test_clock
}

/// Ends the loop at its first request.
struct BreaksOff(Throw);

impl thread::Handler<(), (), (), Bomb> for BreaksOff {
    fn proc_req(&mut self, (): (), rctx: ReplyContext<'_, (), ()>) -> ControlFlow<Bomb> {
        let _ = rctx.reply(());
        ControlFlow::Break(Bomb(self.0))
    }

    fn term(&mut self, rv: Option<Bomb>) -> Option<Bomb> {
        rv.or_else(|| Some(Bomb(self.0)))
    }
}

impl task::Handler<(), (), (), Bomb> for BreaksOff {
    async fn proc_req(&mut self, (): (), rctx: ReplyContext<'_, (), ()>) -> ControlFlow<Bomb> {
        let _ = rctx.reply(());
        ControlFlow::Break(Bomb(self.0))
    }

    async fn term(&mut self, rv: Option<Bomb>) -> Option<Bomb> {
        rv.or_else(|| Some(Bomb(self.0)))
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).build().unwrap()
}

/// A handler that panics in the given way in `term` and when it is dropped.
struct Ends {
    in_term: Option<Throw>,
    in_drop: Throw,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.in_drop.throw();
    }
}

impl Ends {
    fn end(&self) {
        if let Some(way) = self.in_term {
            way.throw();
        }
    }
}

impl thread::Handler<(), (), ()> for Ends {
    fn proc_req(&mut self, (): (), rctx: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        let _ = rctx.reply(());
        ControlFlow::Continue(())
    }

    fn term(&mut self, _: Option<()>) -> Option<()> {
        self.end();
        Some(())
    }
}

impl task::Handler<(), (), ()> for Ends {
    async fn proc_req(&mut self, (): (), rctx: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
        let _ = rctx.reply(());
        ControlFlow::Continue(())
    }

    async fn term(&mut self, _: Option<()>) -> Option<()> {
        tokio::task::yield_now().await;
        self.end();
        Some(())
    }
}

fn has_panicked(error: &ump_server::JoinError, way: Throw) {
    let JoinErrorKind::Panicked(message) = error.kind() else {
        panic!("{error}");
    };
    let expected = matches!(way, Throw::Text).then_some("thrown");
    assert_eq!(message.as_str(), expected);
}

/// Never ends, and panics when it is dropped.
struct Stuck(Throw);

impl Future for Stuck {
    type Output = ControlFlow<()>;

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut Polled<'_>) -> Poll<Self::Output> {
        Poll::Pending
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.throw();
    }
}

/// Panics when it is polled, and when it is dropped.
struct Hopeless(Throw);

impl Future for Hopeless {
    type Output = ControlFlow<()>;

    fn poll(self: std::pin::Pin<&mut Self>, _: &mut Polled<'_>) -> Poll<Self::Output> {
        self.0.throw();
    }
}

impl Drop for Hopeless {
    fn drop(&mut self) {
        self.0.throw();
    }
}

/// A handler whose pending calls are dropped with it, each with a bomb.
struct Waits {
    called: mpsc::Sender<()>,
    way: Throw,
    _bomb: Bomb,
}

impl task::Handler<(), (), ()> for Waits {
    fn proc_req(
        &mut self,
        (): (),
        rctx: ReplyContext<'_, (), ()>,
    ) -> impl Future<Output = ControlFlow<()>> + Send {
        self.called.send(()).unwrap();
        let stuck = Stuck(self.way);
        async move {
            let _rctx = rctx;
            stuck.await
        }
    }
}

/// A waker that panics when it is called.
struct Woken(Throw);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.throw();
    }
}

/// A waker that panics when its last reference is dropped, also after it was called.
struct Dropped(Throw);

impl Wake for Dropped {
    fn wake(self: Arc<Self>) {
        drop(self);
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.throw();
    }
}

mod rows {
    use super::*;

    pub(super) fn ignored_value_of_a_pool_of_threads(way: Throw) {
        let (client, handle) = thread::Builder::new()
            .spawn_pool(TWO, move |_: &Context<_, _, _>| Ok::<_, ()>(BreaksOff(way)))
            .unwrap();
        client.req(()).unwrap();
        let outcome = handle.join().expect("one of them said something");
        std::mem::forget(outcome.expect("each of them did"));
    }

    pub(super) fn ignored_value_of_a_pool_of_tasks(way: Throw) {
        let runtime = runtime();
        let (client, handle) = task::Builder::new()
            .runtime(runtime.handle().clone())
            .spawn_pool(TWO, move |_: &Context<_, _, _>| Ok::<_, ()>(BreaksOff(way)))
            .unwrap();
        client.req(()).unwrap();
        let outcome = handle.join().expect("one of them said something");
        std::mem::forget(outcome.expect("each of them did"));
    }

    pub(super) fn value_that_nobody_joins(way: Throw) {
        let clock = TestClock::new();
        let (client, handle) = thread::Builder::new()
            .test_clock(&clock)
            .spawn(move |_: &Client<(), (), ()>| Ok(BreaksOff(way)))
            .unwrap();
        drop(handle);
        client.req(()).unwrap();
        client.closed().wait();
        clock.advance(LONG);
    }

    pub(super) fn values_in_a_system_that_is_dropped(way: Throw) {
        let make = move |_: &ComponentContext<(), (), ()>| Ok(BreaksOff(way));
        let system = System::builder()
            .thread("a", Attributes::new(), make)
            .thread("b", Attributes::new(), make)
            .start(LONG)
            .wait()
            .unwrap();
        for name in ["a", "b"] {
            let client = system.client::<(), (), ()>(name).unwrap();
            client.req(()).unwrap();
            client.closed().wait();
        }
        drop(system);
    }

    pub(super) fn tokens_of_timers_at_the_end(way: Throw) {
        let (client, handle) = thread::Builder::new()
            .spawn_with(move |cx: &Context<(), (), (), Bomb>| {
                for _ in 0..3 {
                    cx.timers().once(LONG, Bomb(way));
                }
                Ok(Answers)
            })
            .unwrap();
        client.req(()).unwrap();
        drop(client);
        assert_eq!(handle.join(), Ok(None));
    }

    /// The token of a periodic timer.
    #[derive(Debug)]
    struct Fragile(Bomb, mpsc::Sender<()>);

    impl Clone for Fragile {
        fn clone(&self) -> Self {
            self.1.send(()).unwrap();
            self.0.0.throw();
        }
    }

    pub(super) fn token_that_can_be_neither_cloned_nor_dropped(way: Throw) {
        let (cloned, is_cloned) = mpsc::channel();
        let (client, handle) = thread::Builder::new()
            .on_panic(OnPanic::Continue)
            .spawn_with(move |cx: &Context<(), (), (), Fragile>| {
                let token = Fragile(Bomb(way), cloned.clone());
                cx.timers().every(Duration::from_millis(1), token);
                Ok(Answers)
            })
            .unwrap();
        is_cloned.recv_timeout(LONG).unwrap();
        client.req(()).unwrap();
        drop(client);
        assert_eq!(handle.join(), Ok(None));
    }

    struct Answers;

    impl<T> thread::Handler<(), (), (), (), T> for Answers {
        fn proc_req(&mut self, (): (), rctx: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
            let _ = rctx.reply(());
            ControlFlow::Continue(())
        }
    }

    /// Leaves all requests in the batch if any of them has a bomb.
    struct Leaves(Option<mpsc::Receiver<()>>);

    impl thread::BatchService for Leaves {
        type Request = Option<Bomb>;
        type Reply = ();
        type Error = ();
        type Output = ();
        type Timer = ();

        fn init(&mut self, _: WeakClient<Option<Bomb>, (), ()>) {
            if let Some(go) = self.0.take() {
                let _ = go.recv();
            }
        }

        fn handle(&mut self, batch: &mut thread::Batch<Option<Bomb>, (), ()>) -> ControlFlow<()> {
            if batch.iter().all(|(bomb, _)| bomb.is_none()) {
                for (_, rctx) in batch.drain() {
                    let _ = rctx.reply(());
                }
            }
            ControlFlow::Continue(())
        }
    }

    pub(super) fn messages_left_in_a_batch(way: Throw) {
        let (go, gone) = mpsc::channel();
        let mut gone = Some(gone);
        let (client, handle) = thread::Builder::new()
            .spawn_batches(NonZeroUsize::MAX, move |_: &Context<_, _, _>| {
                Ok::<_, ()>(Leaves(gone.take()))
            })
            .unwrap();
        let asked: Vec<_> = (0..3)
            .map(|_| client.request(Some(Bomb(way))).submit().wait().unwrap())
            .collect();
        go.send(()).unwrap();
        for asked in asked {
            let outcome = asked.wait();
            assert!(matches!(
                outcome,
                Err(RequestError::NoReply(NoReply::Dropped))
            ));
        }
        assert_eq!(client.req(None), Ok(()));
        drop(client);
        assert_eq!(handle.join(), Ok(None));
    }

    pub(super) fn term_and_drop_on_a_thread(way: Throw) {
        let ends = Ends {
            in_term: Some(way),
            in_drop: Throw::Bomb,
        };
        let (client, handle) = thread::spawn(move |_: &Client<(), (), ()>| Ok(ends)).unwrap();
        drop(client);
        has_panicked(&handle.join().unwrap_err(), way);
    }

    pub(super) fn term_and_drop_on_a_task(way: Throw) {
        let runtime = runtime();
        let ends = Ends {
            in_term: Some(way),
            in_drop: Throw::Bomb,
        };
        let (client, handle) = task::Builder::new()
            .runtime(runtime.handle().clone())
            .spawn(move |_: &Client<(), (), ()>| Ok(ends))
            .unwrap();
        drop(client);
        has_panicked(&handle.join().unwrap_err(), way);
    }

    pub(super) fn drop_after_term(way: Throw) {
        let ends = Ends {
            in_term: None,
            in_drop: way,
        };
        let (client, handle) = thread::spawn(move |_: &Client<(), (), ()>| Ok(ends)).unwrap();
        drop(client);
        has_panicked(&handle.join().unwrap_err(), way);
    }

    pub(super) fn errors_of_the_factories_of_a_pool(way: Throw) {
        let spawned = thread::Builder::new().spawn_pool(
            NonZeroUsize::new(3).unwrap(),
            move |_: &Context<(), (), Bomb>| -> Result<Unmade, Bomb> { Err(Bomb(way)) },
        );
        let Err(SpawnError::Handler(error)) = spawned else {
            panic!("it says which error");
        };
        std::mem::forget(error);
    }

    struct Unmade;

    impl thread::Handler<(), (), Bomb> for Unmade {
        fn proc_req(&mut self, (): (), _: ReplyContext<'_, (), Bomb>) -> ControlFlow<()> {
            unreachable!()
        }
    }

    pub(super) fn everything_when_the_runtime_is_shut_down(way: Throw) {
        let runtime = runtime();
        let (called, is_called) = mpsc::channel();
        let of_the_factory = Bomb(way);
        let (client, handle) = task::Builder::new()
            .runtime(runtime.handle().clone())
            .spawn_with(move |_: &Context<(), (), ()>| {
                let _ = &of_the_factory;
                Ok(Waits {
                    called: called.clone(),
                    way,
                    _bomb: Bomb(way),
                })
            })
            .unwrap();
        let asked = client.request(()).submit().wait().unwrap();
        is_called.recv_timeout(LONG).unwrap();
        drop(runtime);
        assert!(matches!(asked.wait(), Err(RequestError::NoReply(_))));
        let error = handle.join().unwrap_err();
        assert_eq!(*error.kind(), JoinErrorKind::Aborted);
    }

    pub(super) fn call_that_panics_and_cannot_be_dropped(way: Throw) {
        let runtime = runtime();
        let (client, handle) = task::Builder::new()
            .runtime(runtime.handle().clone())
            .on_panic(OnPanic::Continue)
            .spawn(move |_: &Client<(), (), ()>| {
                Ok(move |(): (), rctx: ump_server::ump::ReplyContext<(), ()>| {
                    drop(rctx);
                    Hopeless(way)
                })
            })
            .unwrap();
        for _ in 0..2 {
            let outcome = client.request(()).wait();
            assert!(matches!(outcome, Err(RequestError::NoReply(_))));
        }
        drop(client);
        assert_eq!(handle.join(), Ok(None));
    }

    /// Starts a system with two components in a group that gives up at once.
    fn fails() -> System {
        let group = Group::new("pair")
            .members(["a", "b"])
            .restart(Restart::new().limit(0, LONG));
        let panics = |_: &ComponentContext<(), (), ()>| {
            Ok(
                |(): (), rctx: ReplyContext<'_, (), ()>| -> ControlFlow<()> {
                    drop(rctx);
                    panic!("as asked")
                },
            )
        };
        System::builder()
            .thread("a", Attributes::new(), panics)
            .thread("b", Attributes::new(), panics)
            .group(group)
            .start(LONG)
            .wait()
            .unwrap()
    }

    /// Makes one component of the group fail while these wakers wait for it.
    fn told_by<const N: usize>(system: &System, wakers: [Waker; N]) {
        let mut waiting: Vec<_> = wakers.iter().map(|_| system.failed()).collect();
        for (waiting, waker) in waiting.iter_mut().zip(wakers) {
            let polled = pin!(waiting).poll(&mut Polled::from_waker(&waker));
            assert!(polled.is_pending());
            // The thread that calls the last waker drops it.
        }
        let client = system.client::<(), (), ()>("a").unwrap();
        let other = system.client::<(), (), ()>("b").unwrap();
        assert!(client.req(()).is_err());
        other.closed().wait();
        assert_eq!(system.failed().wait().component, "a");
        for waiting in waiting {
            assert_eq!(waiting.wait().component, "a");
        }
    }

    pub(super) fn waker_of_who_awaits_a_failure(way: Throw) {
        let system = fails();
        let healthy = Arc::new(Counts::default());
        told_by(
            &system,
            [
                Arc::new(Woken(way)).into(),
                Arc::new(Woken(way)).into(),
                Arc::clone(&healthy).into(),
            ],
        );
        assert_eq!(healthy.0.load(Ordering::SeqCst), 1);
    }

    pub(super) fn waker_of_who_awaits_a_failure_when_dropped(way: Throw) {
        let system = fails();
        told_by(
            &system,
            [Arc::new(Dropped(way)).into(), Arc::new(Dropped(way)).into()],
        );
    }

    #[derive(Default)]
    struct Counts(AtomicUsize);

    impl Wake for Counts {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(super) fn waker_of_who_moves_a_test_clock(way: Throw) {
        let clock = TestClock::new();
        let (go, gone) = mpsc::channel::<()>();
        let (is_here, here) = mpsc::channel();
        let (client, handle) = thread::Builder::new()
            .test_clock(&clock)
            .spawn(move |_: &Client<(), (), ()>| {
                Ok(move |(): (), rctx: ReplyContext<'_, (), ()>| {
                    is_here.send(()).unwrap();
                    let _ = gone.recv();
                    let _ = rctx.reply(());
                    ControlFlow::<()>::Continue(())
                })
            })
            .unwrap();
        let asked = client.req_async(()).unwrap();
        here.recv().unwrap();
        // The loop is busy. It calls these wakers once it is idle.
        let mut waiting: Vec<_> = (0..2)
            .map(|_| Box::pin(clock.advance_async(LONG)))
            .collect();
        let broken: Waker = Arc::new(Woken(way)).into();
        for waiting in &mut waiting {
            let polled = waiting.as_mut().poll(&mut Polled::from_waker(&broken));
            assert!(polled.is_pending());
        }
        go.send(()).unwrap();
        assert_eq!(asked.wait(), Ok(()));
        drop(waiting);
        clock.advance(LONG);
        drop(client);
        assert_eq!(handle.join(), Ok(None));
    }
}
