//! A program that forks while threads of these crates run, and uses in the child the parts that
//! need such threads.
//!
//! `forks SCENE` exits with 0 if the child succeeds, with 1 if not, and with 2 if the child hangs
//! and is killed. Run by `tests/processes.rs`.

fn main() -> std::process::ExitCode {
    scenarios::main()
}

#[cfg(not(unix))]
mod scenarios {
    pub(super) fn main() -> std::process::ExitCode {
        std::process::ExitCode::SUCCESS
    }
}

#[cfg(unix)]
mod scenarios {
    use std::{
        env,
        future::{Future, IntoFuture, ready},
        ops::ControlFlow,
        panic::{AssertUnwindSafe, catch_unwind},
        process::{self, ExitCode},
        sync::{
            atomic::{AtomicBool, Ordering},
            mpsc,
        },
        thread::{self, sleep},
        time::{Duration, Instant},
    };

    use serde::{Deserialize, Serialize};
    use tests::{block_on, poll_once};
    use ump::{Clock, RequestError, channel};
    use ump_router::{
        RequestMessage, Router,
        link::{
            session::Timeouts,
            sockets::{ConnectOptions, ListenOptions},
        },
    };
    use ump_server::{Context, OnPanic, ReplyContext, Restart, task, thread as on_thread};

    /// Bounds the time of a child that hangs.
    const PATIENCE: Duration = Duration::from_secs(60);
    const SOON: Duration = Duration::from_millis(5);

    pub(super) fn main() -> ExitCode {
        let scenario = env::args().nth(1).unwrap_or_default();
        let ended = match scenario.as_str() {
            "deadline" => {
                awaited_deadline();
                in_child(awaited_deadline)
            }
            "armed-before" => armed_before(),
            "timers" => {
                timers_of_loops();
                in_child(timers_of_loops)
            }
            "watchdog" => {
                // Starts the parent's monitor thread before the fork.
                let (_client, _handle) = on_thread::Builder::new()
                    .watchdog(SOON)
                    .spawn(|_| Ok(on_thread::reply(|()| ())))
                    .unwrap();
                stall();
                in_child(stall)
            }
            "cycle" => {
                cycle();
                in_child(cycle)
            }
            "grandchild" => {
                awaited_deadline();
                in_child(|| {
                    awaited_deadline();
                    assert_eq!(in_child(timers_of_loops), Ended::Well);
                })
            }
            "handler" => in_handler(),
            "busy" => busy(),
            "links" => links(),
            other => panic!("no scenario {other}"),
        };
        ExitCode::from(ended as u8)
    }

    /// The end of a child.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Ended {
        Well = 0,
        Badly = 1,
        Never = 2,
    }

    /// Runs a function in a forked child.
    fn in_child(act: impl FnOnce()) -> Ended {
        in_child_while(act, || ())
    }

    /// Runs a function in a forked child, and another one in this process at the same time.
    fn in_child_while(act: impl FnOnce(), here: impl FnOnce()) -> Ended {
        // SAFETY: the child uses resources that other threads may hold at the fork only where that
        // is tested.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "it can fork");
        if child == 0 {
            let done = catch_unwind(AssertUnwindSafe(act));
            // SAFETY: `_exit` ends the process without running the cleanup of the parent's threads.
            unsafe { libc::_exit(i32::from(done.is_err())) };
        }
        here();
        let start = Instant::now();
        let mut status = 0;
        loop {
            // SAFETY: `status` is a valid pointer.
            match unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } {
                0 if start.elapsed() > PATIENCE => {
                    // SAFETY: it is our child, which was not waited for, so its id is not reused.
                    unsafe { libc::kill(child, libc::SIGKILL) };
                    // SAFETY: it is our child, which was not reaped, and `status` is a valid
                    // pointer.
                    unsafe { libc::waitpid(child, &raw mut status, 0) };
                    return Ended::Never;
                }
                0 => sleep(Duration::from_millis(1)),
                _ if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 => {
                    return Ended::Well;
                }
                _ => return Ended::Badly,
            }
        }
    }

    /// Awaits a request without a reply until its deadline, and then a sleep.
    fn awaited_deadline() {
        let (_server, client) = channel::<u32, u32, ()>();
        let late = block_on(client.request(1).timeout(SOON));
        assert!(matches!(late, Err(RequestError::TimeoutQueued(1))));
        let clock = Clock::system();
        block_on(clock.sleep_until(clock.now() + SOON)).expect("there is a thread");
    }

    /// Lets the child await futures that the parent has polled.
    fn armed_before() -> Ended {
        let clock = Clock::system();
        let (_server, client) = channel::<u32, u32, ()>();
        let at = clock.now() + Duration::from_millis(200);
        let mut sleep = clock.sleep_until(at);
        let mut request = client.request(1).deadline(at).into_future();
        assert!(poll_once(&mut sleep).is_pending() && poll_once(&mut request).is_pending());
        in_child(|| {
            block_on(sleep).expect("there is a thread");
            let late = block_on(request);
            assert!(matches!(late, Err(RequestError::TimeoutQueued(1))));
        })
    }

    /// A handler that ends at its third tick. Each request panics.
    struct Ticker(u32);

    impl on_thread::Handler<(), (), ()> for Ticker {
        fn proc_req(&mut self, (): (), _: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
            panic!("as asked")
        }

        fn on_timer(&mut self, (): ()) -> ControlFlow<()> {
            self.0 += 1;
            if self.0 < 3 {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        }
    }

    impl task::Handler<(), (), ()> for Ticker {
        async fn proc_req(&mut self, (): (), _: ReplyContext<'_, (), ()>) -> ControlFlow<()> {
            panic!("as asked")
        }

        async fn on_timer(&mut self, (): ()) -> ControlFlow<()> {
            on_thread::Handler::on_timer(self, ())
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a factory may refuse")]
    fn ticker(cx: &Context<(), (), ()>) -> Result<Ticker, ()> {
        cx.timers().every(SOON, ());
        Ok(Ticker(0))
    }

    /// Restarts a loop with timers after a pause: on a thread and on a task.
    fn timers_of_loops() {
        let policy = OnPanic::Restart(Restart::new().pause(SOON, SOON));
        let (client, handle) = on_thread::Builder::new()
            .on_panic(policy.clone())
            .spawn_with(ticker)
            .unwrap();
        assert!(client.req(()).is_err(), "it panics");
        assert_eq!(handle.join(), Ok(Some(())));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let builder = task::Builder::new().on_panic(policy);
            let (client, handle) = builder.spawn_with(ticker).unwrap();
            assert!(client.areq(()).await.is_err(), "it panics");
            assert_eq!(handle.await, Ok(Some(())));
        });
    }

    /// Watches a handler that returns when its stall was reported.
    fn stall() {
        let (report, reported) = mpsc::channel();
        let (client, handle) = on_thread::Builder::new()
            .watchdog(SOON)
            .on_stall(move |_| {
                let _ = report.send(());
            })
            .spawn(move |_| Ok(on_thread::answer(move |()| reported.recv().map_err(drop))))
            .unwrap();
        assert_eq!(client.req(()), Ok(()));
        drop(client);
        assert_eq!(handle.join(), Ok(None));
    }

    /// Watches such a handler on a task, which starts no thread.
    async fn stall_of_a_task() {
        let (report, reported) = mpsc::channel();
        let builder = task::Builder::new().watchdog(SOON).on_stall(move |_| {
            let _ = report.send(());
        });
        let (client, handle) = builder
            .spawn(move |_| Ok(task::answer(move |()| ready(reported.recv().map_err(drop)))))
            .unwrap();
        assert_eq!(client.areq(()).await, Ok(()));
        drop(client);
        assert_eq!(handle.await, Ok(None));
    }

    /// Serves by a handler that sends a request to itself.
    fn cycle() {
        let (client, _handle) = on_thread::Builder::new()
            .spawn(|client: &ump::Client<bool, bool, ()>| {
                let own = client.weak();
                Ok(on_thread::answer(move |ask: bool| {
                    let own = own.upgrade().expect("its client waits");
                    let asked = ask.then(|| own.request(false).wait());
                    Ok(matches!(asked, Some(Err(RequestError::WouldDeadlock(..)))))
                }))
            })
            .unwrap();
        assert_eq!(client.req(true), Ok(true));
    }

    /// Serves by such a handler on a task, which starts no thread.
    async fn cycle_of_a_task() {
        let builder = task::Builder::new();
        let (client, _handle) = builder
            .spawn(|client: &ump::Client<bool, bool, ()>| {
                let own = client.weak();
                Ok(task::answer(move |ask: bool| {
                    let own = own.upgrade().expect("its client waits");
                    async move {
                        let asked = if ask {
                            Some(own.request(false).await)
                        } else {
                            None
                        };
                        Ok(matches!(asked, Some(Err(RequestError::WouldDeadlock(..)))))
                    }
                }))
            })
            .unwrap();
        assert_eq!(client.areq(true).await, Ok(true));
    }

    /// Runs all scenarios in a child that a watched handler has forked.
    fn in_handler() -> Ended {
        let (client, _handle) = on_thread::Builder::new()
            .watchdog(Duration::from_secs(3600))
            .spawn(|_| {
                Ok(on_thread::reply(|()| {
                    in_child(|| {
                        awaited_deadline();
                        timers_of_loops();
                        stall();
                        cycle();
                    })
                }))
            })
            .unwrap();
        client.req(()).unwrap()
    }

    #[derive(Serialize, Deserialize)]
    struct Double(u64);

    impl RequestMessage for Double {
        type Reply = u64;
        type Error = ();
        const PREFIX: &str = "double";
    }

    /// Serves requests of a link in a row, so that this thread waits for the socket by itself, and
    /// now and then one of this process, whose thread wakes it.
    fn serve_a_link() {
        let [hub, leaf] = [Router::new(), Router::new()];
        for router in [&hub, &leaf] {
            router.carry_requests::<Double>().unwrap();
        }
        let server = hub.serve::<Double>("a").unwrap();
        // No ping wakes anybody.
        let timeouts = Timeouts {
            ping: 10 * PATIENCE,
            silence: 20 * PATIENCE,
            ..Timeouts::default()
        };
        let options = ListenOptions::new().timeouts(timeouts);
        let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
        let options = ConnectOptions::new().timeouts(timeouts);
        let link = leaf.connect_with(listener.address(), options).unwrap();
        let asking = thread::spawn(move || {
            for number in 0..100 {
                for from in [&leaf, &leaf, &leaf, &hub] {
                    let request = from.request("a", Double(number)).wait_for_server();
                    let reply = request.timeout(PATIENCE).wait();
                    assert_eq!(reply.ok(), Some(2 * number));
                }
            }
            drop(link);
            hub.close();
        });
        for (call, context) in &server {
            // The loop is idle then, most likely, so this thread writes the reply by itself.
            sleep(Duration::from_millis(1));
            let _ = context.reply(2 * call.message.0);
        }
        asking.join().unwrap();
    }

    /// Forks a thread that has waited for a link. The child has a link of its own.
    fn links() -> Ended {
        serve_a_link();
        in_child_while(serve_a_link, || {
            thread::spawn(|| {
                sleep(PATIENCE);
                process::exit(Ended::Never as i32); // this thread hangs
            });
            serve_a_link();
        })
    }

    /// Forks while other threads of the parent arm timers, look for cycles and start handlers, and
    /// so hold locks.
    ///
    /// None of them starts a thread or ends: that takes a lock of the standard library (its list of
    /// stacks with guard pages), and a child that inherits it hangs when it starts a thread itself.
    fn busy() -> Ended {
        const FORKS: u32 = 100;
        let is_over = &AtomicBool::new(false);
        let (is_busy, busy) = mpsc::channel();
        thread::scope(|scope| {
            let spawn = |act: &'static (dyn Fn() + Sync)| {
                let is_busy = is_busy.clone();
                scope.spawn(move || {
                    act();
                    is_busy.send(()).expect("it waits");
                    while !is_over.load(Ordering::Relaxed) {
                        act();
                    }
                });
            };
            spawn(&|| {
                let clock = Clock::system();
                let mut sleep = clock.sleep_until(clock.now() + SOON);
                let _ = poll_once(&mut sleep);
            });
            spawn(&|| on_one_thread(cycle_of_a_task()));
            spawn(&|| on_one_thread(stall_of_a_task()));
            // They are running by now, and so are the threads that they need: the timer and the
            // monitor.
            awaited_deadline();
            busy.iter().take(3).for_each(drop);
            let mut ended = Ended::Well;
            for _ in 0..FORKS {
                if ended == Ended::Well {
                    ended = in_child(|| {
                        awaited_deadline();
                        cycle();
                        stall();
                    });
                }
            }
            is_over.store(true, Ordering::Relaxed);
            ended
        })
    }

    fn on_one_thread(act: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(act);
    }
}
