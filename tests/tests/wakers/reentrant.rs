//! Wakers that use the channel that calls them.

use super::*;

/// A waker that uses all operations of the channel that calls it.
#[derive(Clone)]
struct ReentrantWaker {
    client: WeakClient<u32, u32, ()>,
    server: Weak<Server<u32, u32, ()>>,
    times: Arc<AtomicUsize>,
    busy: Arc<AtomicBool>,
}

impl ReentrantWaker {
    fn new(server: &Arc<Server<u32, u32, ()>>, client: &Client<u32, u32, ()>) -> Self {
        Self {
            client: client.weak(),
            server: Arc::downgrade(server),
            times: Arc::default(),
            busy: Arc::default(),
        }
    }

    fn act(&self) {
        self.times.fetch_add(1, Ordering::SeqCst);
        // These operations may call the waker again.
        if self.busy.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(client) = self.client.upgrade() {
            let _ = (client.stats(), client.len(), client.is_closed());
            drop(client.clone());
            let _ = client.post(100).if_room().wait();
            let _ = client.post(101).urgent().if_room().wait();
            drop(client.request(102).if_room().submit().wait());
            let mut waiting = Box::pin(client.request(103).timeout(LONG).into_future());
            let _ = poll_once(&mut waiting);
        }
        if let Some(server) = self.server.upgrade() {
            let _ = (server.stats(), server.len());
            let mut waiting = Box::pin(server.async_wait());
            if let Poll::Ready(Ok((_, rctx))) = poll_once(&mut waiting) {
                let _ = rctx.reply(1);
            }
            let _ = server
                .try_pop()
                .map(|job| job.map(|(_, rctx)| rctx.fail(())));
            let _ = server.wait_timeout(Duration::ZERO);
            let waker = Waker::noop();
            let _ = server.poll_wait(&mut Context::from_waker(waker));
        }
        self.busy.store(false, Ordering::SeqCst);
    }

    fn waker(&self, when: fn(Box<dyn Fn() + Send + Sync>) -> Waker) -> Waker {
        let reentrant = self.clone();
        when(Box::new(move || reentrant.act()))
    }

    fn acted(&self) -> bool {
        self.times.load(Ordering::SeqCst) > 0
    }
}

fn poll_by<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn receiving(server: &Arc<Server<u32, u32, ()>>, _: &Client<u32, u32, ()>) -> Polled<'static> {
    let server = Arc::clone(server);
    Box::pin(async move { drop(server.async_wait().await) })
}

fn polling(server: &Arc<Server<u32, u32, ()>>, _: &Client<u32, u32, ()>) -> Polled<'static> {
    let server = Arc::downgrade(server);
    Box::pin(poll_fn(move |cx| match server.upgrade() {
        Some(server) => server.poll_wait(cx).map(drop),
        None => Poll::Ready(()),
    }))
}

fn asking(_: &Arc<Server<u32, u32, ()>>, client: &Client<u32, u32, ()>) -> Polled<'static> {
    let client = client.clone();
    Box::pin(async move { drop(client.request(1).timeout(LONG).await) })
}

fn posting(_: &Arc<Server<u32, u32, ()>>, client: &Client<u32, u32, ()>) -> Polled<'static> {
    let client = client.clone();
    Box::pin(async move { drop(client.post(1).timeout(LONG).await) })
}

/// A waker that re-enters its channel, on every path that wakes, replaces or drops a waker.
macro_rules! reentrant {
    ($($name:ident: $when:expr;)*) => {$(
        mod $name {
            use super::*;

            /// Polls a future twice (so one waker is replaced), runs `event`, polls again, and
            /// drops everything.
            fn check_reentry<F: Future + Unpin>(
                (server, client): Ends,
                start: impl FnOnce(&Arc<Server<u32, u32, ()>>, &Client<u32, u32, ()>) -> F + Send + 'static,
                event: impl FnOnce(Arc<Server<u32, u32, ()>>, Client<u32, u32, ()>) + Send + 'static,
            ) {
                must_end(move || {
                    let server = Arc::new(server);
                    let reentrant = ReentrantWaker::new(&server, &client);
                    let waker = reentrant.waker($when);
                    let mut future = start(&server, &client);
                    let pending = poll_by(&mut future, &waker).is_pending()
                        && poll_by(&mut future, &waker).is_pending();
                    event(server, client);
                    if pending {
                        let _ = poll_by(&mut future, Waker::noop());
                    }
                    drop(future);
                    drop(waker);
                    assert!(reentrant.acted(), "the path was not taken");
                });
            }

            #[test]
            fn may_reenter_when_a_request_is_sent() {
                check_reentry(channel(), receiving, |_, client| client.post(1).wait().unwrap());
            }

            #[test]
            fn may_reenter_when_a_blocking_request_is_sent() {
                check_reentry(channel(), receiving, |server, client| {
                    thread::scope(|scope| {
                        let asking = scope.spawn(|| client.req(1));
                        // The waker may have answered the request already.
                        eventually(|| {
                            let _ = server.try_pop().map(|job| job.map(|(_, rctx)| rctx.reply(2)));
                            asking.is_finished()
                        });
                    });
                });
            }

            #[test]
            fn may_reenter_when_a_request_wakes_a_poller() {
                check_reentry(channel(), polling, |_, client| client.post(1).wait().unwrap());
            }

            #[test]
            fn may_reenter_when_the_last_client_is_dropped() {
                check_reentry(channel(), receiving, |_, client| drop(client));
            }

            #[test]
            fn may_reenter_when_the_last_drop_wakes_a_poller() {
                check_reentry(channel(), polling, |server, client| {
                    drop(client);
                    drop(server);
                });
            }

            #[test]
            fn may_reenter_when_the_request_is_answered() {
                let answer = |server: Arc<Server<u32, u32, ()>>, _| {
                    while let Some((n, rctx)) = server.try_pop().unwrap() {
                        let _ = rctx.reply(n + 1);
                    }
                };
                check_reentry(channel(), asking, answer);
            }

            #[test]
            fn may_reenter_when_the_context_is_dropped() {
                let drop_all = |server: Arc<Server<u32, u32, ()>>, _| {
                    while let Some(job) = server.try_pop().unwrap() {
                        drop(job);
                    }
                };
                check_reentry(channel(), asking, drop_all);
            }

            #[test]
            fn may_reenter_when_the_server_is_dropped() {
                check_reentry(channel(), asking, |server, _| drop(server));
            }

            #[test]
            fn may_reenter_when_the_server_drop_wakes_a_sender() {
                check_reentry(full(), posting, |server, _| drop(server));
            }

            #[test]
            fn may_reenter_when_a_taken_request_makes_room() {
                check_reentry(full(), posting, |server, _| drop(server.try_pop()));
            }

            #[test]
            fn may_reenter_when_a_withdrawn_request_makes_room() {
                let (server, client) = bounded(1).unwrap();
                let queued = client.req_async(1).unwrap();
                check_reentry((server, client), posting, |_, _| drop(queued));
            }

            #[test]
            fn may_reenter_when_an_expired_request_makes_room() {
                let (server, client) = bounded(1).unwrap();
                let at = Instant::now() + Duration::from_millis(50);
                client.post(1).deadline(at).wait().unwrap();
                check_reentry((server, client), posting, move |server, _| {
                    eventually(|| Instant::now() > at);
                    drop(server.try_pop());
                });
            }

            #[test]
            fn may_reenter_when_the_caller_leaves() {
                let (server, client) = channel();
                let reply = client.req_async(1).unwrap();
                let (_, mut rctx) = server.wait().unwrap();
                let cancelled = move |_: &_, _: &_| -> Polled<'static> {
                    Box::pin(async move { rctx.cancelled().await })
                };
                check_reentry((server, client), cancelled, |_, _| drop(reply));
            }

            #[test]
            fn may_reenter_when_a_gathered_reply_arrives() {
                let (server, client) = channel();
                let mut gather: Gather<_, _, _> = (0..3)
                    .map(|n| (n, client.req_async(n).unwrap()))
                    .collect();
                let gathering = move |_: &_, _: &_| -> Polled<'static> {
                    Box::pin(async move { while next(&mut gather).await.is_some() {} })
                };
                check_reentry((server, client), gathering, |server, _| {
                    let _ = server.try_pop().map(|job| job.map(|(n, rctx)| rctx.reply(n)));
                });
            }

            #[test]
            fn may_reenter_when_a_timer_fires() {
                let with_growing_time = |_: &_, client: &Client<u32, u32, ()>| -> Polled<'static> {
                    let client = client.clone();
                    let tiny = Duration::from_millis(50);
                    Box::pin(async move { drop(client.request(1).timeout(tiny).await) })
                };
                check_reentry(channel(), with_growing_time, |server, client| {
                    let at = Instant::now() + Duration::from_millis(50);
                    eventually(|| Instant::now() > at);
                    // This deadline passes after the timer above: the thread serves them in order.
                    let mut later = Box::pin(client.post(1).deadline(at).into_future());
                    let _ = poll_once(&mut later);
                    drop(server);
                });
            }
        }
    )*};
}

reentrant! {
    a_waker_that_re_enters_when_woken: Hook::on_wake;
    a_waker_that_re_enters_when_cloned: Hook::on_clone;
    a_waker_that_re_enters_when_dropped: Hook::on_drop;
}

#[test]
fn a_waker_may_re_enter_when_its_future_is_dropped() {
    type Start = fn(&Arc<Server<u32, u32, ()>>, &Client<u32, u32, ()>) -> Polled<'static>;
    let cases: [(Start, fn() -> Ends); 4] = [
        (receiving, channel),
        (polling, channel),
        (asking, channel),
        (posting, full),
    ];
    for (start, ends) in cases {
        must_end(move || {
            let (server, client) = ends();
            let server = Arc::new(server);
            let reentrant = ReentrantWaker::new(&server, &client);
            let waker = reentrant.waker(Hook::on_drop);
            let mut future = start(&server, &client);
            assert!(poll_by(&mut future, &waker).is_pending());
            assert!(!reentrant.acted());
            drop(future);
            drop((server, client));
            assert!(reentrant.acted());
        });
    }
}

#[test]
fn a_waker_may_re_enter_when_served_unwoken() {
    must_end(|| {
        let (server, client) = bounded(1).unwrap();
        let server = Arc::new(server);
        let reentrant = ReentrantWaker::new(&server, &client);
        let waker = reentrant.waker(Hook::on_drop);
        let (mut first, mut second) = (receiving(&server, &client), receiving(&server, &client));
        assert!(poll_once(&mut first).is_pending());
        assert!(poll_by(&mut second, &waker).is_pending());
        client.post(1).wait().unwrap();
        assert!(!reentrant.acted());
        assert!(poll_once(&mut second).is_ready());
        assert!(reentrant.acted());
        drop(first);
    });
    must_end(|| {
        let (server, client) = full();
        let server = Arc::new(server);
        let reentrant = ReentrantWaker::new(&server, &client);
        let waker = reentrant.waker(Hook::on_drop);
        let (mut first, mut second) = (posting(&server, &client), posting(&server, &client));
        assert!(poll_once(&mut first).is_pending());
        assert!(poll_by(&mut second, &waker).is_pending());
        drop(server.try_pop());
        assert!(!reentrant.acted());
        assert!(poll_once(&mut second).is_ready());
        assert!(reentrant.acted());
    });
}

#[test]
fn a_waker_may_set_and_cancel_timers() {
    for when in [Hook::on_wake, Hook::on_clone, Hook::on_drop] {
        must_end(move || {
            let (_server, client) = channel::<u32, u32, ()>();
            let (_other_server, other) = channel::<u32, u32, ()>();
            let times = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&times);
            let act: Box<dyn Fn() + Send + Sync> = Box::new(move || {
                let mut asking = other.request(1).timeout(LONG).into_future();
                assert!(poll_once(&mut asking).is_pending());
                assert!(poll_once(&mut asking).is_pending());
                drop(asking);
                counted.fetch_add(1, Ordering::SeqCst);
            });
            let waker = when(act);
            let at = Instant::now() + Duration::from_millis(50);
            let mut asking = client.request(1).deadline(at).into_future();
            assert!(poll_by(&mut asking, &waker).is_pending());
            assert!(poll_by(&mut asking, &waker).is_pending());
            // The waker is called at the latest when the timer fires.
            eventually(|| times.load(Ordering::SeqCst) > 0);
            eventually(|| Instant::now() > at);
            let outcome = poll_by(&mut asking, &waker);
            assert!(matches!(
                outcome,
                Poll::Ready(Err(RequestError::TimeoutQueued(1)))
            ));
            drop(waker);
            // The channel still works.
            let tiny = Duration::from_millis(1);
            assert!(tests::block_on(client.request(2).timeout(tiny)).is_err());
        });
    }
}

#[test]
fn a_replaced_waker_may_answer_its_request() {
    must_end(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let mut reply = client.req_async(1).unwrap();
        let (n, rctx) = server.wait().unwrap();
        let rctx = Mutex::new(Some(rctx));
        let waker = Hook::on_drop(move || {
            if let Some(rctx) = rctx.lock().unwrap().take() {
                rctx.reply(n + 1).unwrap();
            }
        });
        assert!(poll_by(&mut reply, &waker).is_pending());
        let counter = CountingWaker::new();
        assert!(poll_with(&mut reply, &counter).is_pending());
        assert_eq!(counter.wakes(), 1);
        assert_eq!(poll_with(&mut reply, &counter), Poll::Ready(Ok(2)));
    });
}

#[test]
fn a_replaced_waker_may_cancel_its_request() {
    must_end(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let reply = Mutex::new(Some(client.req_async(1).unwrap()));
        let (_, mut rctx) = server.wait().unwrap();
        let waker = Hook::on_drop(move || drop(reply.lock().unwrap().take()));
        let mut cancelled = rctx.cancelled();
        assert!(poll_by(&mut cancelled, &waker).is_pending());
        let counter = CountingWaker::new();
        assert!(poll_with(&mut cancelled, &counter).is_pending());
        assert_eq!(counter.wakes(), 1);
        assert!(poll_with(&mut cancelled, &counter).is_ready());
    });
}

#[test]
fn a_waker_may_drop_the_last_client() {
    must_end(|| {
        let (server, client) = channel::<u32, u32, ()>();
        let mut reply = client.req_async(1).unwrap();
        let (n, rctx) = server.wait().unwrap();
        let last = Mutex::new(Some(client));
        let waker = Hook::on_wake(move || drop(last.lock().unwrap().take()));
        assert!(poll_by(&mut reply, &waker).is_pending());
        let counter = CountingWaker::new();
        let mut receiving = Box::pin(server.async_wait());
        assert!(poll_with(&mut receiving, &counter).is_pending());
        rctx.reply(n + 1).unwrap();
        assert_eq!(counter.wakes(), 1);
        assert!(matches!(
            poll_with(&mut receiving, &counter),
            Poll::Ready(Err(_))
        ));
        assert_eq!(poll_once(&mut reply), Poll::Ready(Ok(2)));
    });
}

#[test]
fn a_waker_may_own_and_drop_the_server() {
    must_end(|| {
        let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
        client.post(0).wait().unwrap();
        let slot = Arc::new(Mutex::new(None));
        let inside = Arc::clone(&slot);
        let waker = Hook::on_wake(move || drop(inside.lock().unwrap().take()));
        let mut sending = Box::pin(client.post(1).into_future());
        assert!(poll_by(&mut sending, &waker).is_pending());
        // Taking makes room, which wakes the sender, whose waker drops the server.
        let server = Arc::new(server);
        *slot.lock().unwrap() = Some(Arc::clone(&server));
        drop(server.try_pop());
        drop(server);
        assert!(client.is_closed());
        let Poll::Ready(Err(SendError::ServerDisappeared(1))) = poll_once(&mut sending) else {
            panic!("the server is gone");
        };
    });
}
