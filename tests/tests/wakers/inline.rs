//! Wakers that poll their future at once, on the thread that wakes them.

use super::*;

/// An executor inside a waker: when it is woken, it polls its future at once, on the thread that
/// wakes it.
struct Inline {
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    woken: AtomicBool,
    finished: AtomicBool,
}

impl Inline {
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let inline = Arc::new(Self {
            future: Mutex::new(Some(Box::pin(future))),
            woken: AtomicBool::new(false),
            finished: AtomicBool::new(false),
        });
        Arc::clone(&inline).wake();
        inline
    }

    fn is_finished(&self) -> bool {
        self.finished.load(Ordering::SeqCst)
    }
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self));
        while self.woken.load(Ordering::SeqCst) {
            // The future is being polled on this stack or by another thread, which will see the
            // wake-up.
            let Ok(mut future) = self.future.try_lock() else {
                return;
            };
            self.woken.store(false, Ordering::SeqCst);
            let Some(running) = &mut *future else {
                return;
            };
            let mut cx = Context::from_waker(&waker);
            if running.as_mut().poll(&mut cx).is_ready() {
                *future = None;
                self.finished.store(true, Ordering::SeqCst);
            }
        }
    }
}

mod polled_inline_by_its_waker {
    use super::*;

    fn echo(server: Server<u32, u32, ()>) -> Arc<Inline> {
        Inline::spawn(async move {
            while let Ok((n, rctx)) = server.async_wait().await {
                let _ = rctx.reply(n + 1);
            }
        })
    }

    #[test]
    fn a_server_answers_inside_its_blocking_client() {
        must_end(|| {
            let (server, client) = channel::<u32, u32, ()>();
            let server = echo(server);
            for n in 0..100 {
                assert_eq!(client.req(n), Ok(n + 1));
                let outcome = client.request(n).timeout(LONG).urgent().wait();
                assert_eq!(outcome.unwrap(), n + 1);
            }
            drop(client);
            assert!(server.is_finished());
        });
    }

    #[test]
    fn a_server_answers_on_the_stack_of_its_async_client() {
        must_end(|| {
            let (server, client) = channel::<u32, u32, ()>();
            let _server = echo(server);
            let outcome = poll_once(&mut Box::pin(client.areq(1)));
            assert_eq!(outcome, Poll::Ready(Ok(2)));
            let reply = client.req_async(2).unwrap();
            assert_eq!(reply.try_get().expect("answered"), Ok(3));
        });
    }

    #[test]
    fn a_client_goes_on_on_the_stack_of_the_handler() {
        must_end(|| {
            let (server, client) = channel::<u32, u32, ()>();
            let client = Inline::spawn(async move {
                for n in 0..100 {
                    assert_eq!(client.areq(n).await, Ok(n + 1));
                }
            });
            let mut handled = 0;
            while let Ok((n, rctx)) = server.wait() {
                rctx.reply(n + 1).unwrap();
                handled += 1;
            }
            assert_eq!(handled, 100);
            assert!(client.is_finished());
        });
    }

    #[test]
    fn senders_enter_inside_the_call_that_makes_room() {
        must_end(|| {
            let (server, client) = bounded::<u32, u32, ()>(1).unwrap();
            let senders: Vec<_> = (0..10)
                .map(|n| {
                    let client = client.clone();
                    Inline::spawn(async move { client.post(n).await.unwrap() })
                })
                .collect();
            drop(client);
            let order: Vec<_> = server.iter().map(|(n, _)| n).collect();
            assert_eq!(order, (0..10).collect::<Vec<_>>());
            assert!(senders.iter().all(|sender| sender.is_finished()));
        });
    }

    #[test]
    fn callers_end_on_the_stack_of_the_server_that_goes() {
        must_end(|| {
            let (server, client) = bounded::<u32, u32, ()>(2).unwrap();
            let callers: Vec<_> = (0..5)
                .map(|n| {
                    let client = client.clone();
                    Inline::spawn(async move {
                        let outcome = client.request(n).await;
                        assert!(
                            matches!(outcome, Err(RequestError::ServerDisappeared(m)) if m == n)
                        );
                        // This call is re-entrant.
                        let outcome = client.request(n).await;
                        assert!(
                            matches!(outcome, Err(RequestError::ServerDisappeared(m)) if m == n)
                        );
                    })
                })
                .collect();
            drop(server);
            assert!(callers.iter().all(|caller| caller.is_finished()));
            let stats = client.stats();
            assert_eq!((stats.accepted, stats.server_disappeared), (2, 2));
        });
    }

    #[test]
    fn a_handler_stops_inside_its_leaving_caller() {
        must_end(|| {
            let (server, client) = channel::<u32, u32, ()>();
            let reply = client.req_async(1).unwrap();
            let (_, mut rctx) = server.wait().unwrap();
            let handler = Inline::spawn(async move {
                rctx.cancelled().await;
                assert_eq!(rctx.answer(Ok(2)), Err(Ok(2)));
            });
            assert!(!handler.is_finished());
            drop(reply);
            assert!(handler.is_finished());
            assert_eq!(client.stats().cancelled_taken, 1);
        });
    }

    #[test]
    fn a_caller_ends_on_the_timer_thread() {
        must_end(|| {
            let (_server, client) = channel::<u32, u32, ()>();
            let count = client.clone();
            let caller = Inline::spawn(async move {
                let tiny = Duration::from_millis(1);
                for n in 0..3 {
                    let outcome = client.request(n).timeout(tiny).await;
                    assert!(matches!(outcome, Err(RequestError::TimeoutQueued(m)) if m == n));
                }
            });
            eventually(|| caller.is_finished());
            let stats = count.stats();
            assert_eq!(stats.timeout_queued + stats.refused, 3);
        });
    }

    #[test]
    fn a_chain_of_servers_works_on_one_stack() {
        must_end(|| {
            let (server, mut client) = channel::<u32, u32, ()>();
            let mut tasks = vec![echo(server)];
            for _ in 0..20 {
                let (server, front) = channel::<u32, u32, ()>();
                let back = std::mem::replace(&mut client, front);
                tasks.push(Inline::spawn(async move {
                    while let Ok((n, rctx)) = server.async_wait().await {
                        let _ = rctx.reply(back.areq(n).await.unwrap() + 1);
                    }
                }));
            }
            assert_eq!(client.req(0), Ok(21));
            drop(client);
            assert!(tasks.iter().all(|task| task.is_finished()));
        });
    }
}
