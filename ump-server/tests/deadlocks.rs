//! A request that would wait for itself ends in `WouldDeadlock`; all others are sent.

use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::{Arc, Barrier, Mutex, mpsc},
    thread,
    time::Duration,
};

use ump_server::{
    Client, JoinHandle, Refused, ReplyContext, Stop, WeakClient,
    thread::{Builder, Handler},
    ump::{self, RequestError},
};

/// Longer than any step of a test that passes.
const LONG: Duration = Duration::from_secs(60);

/// A job that a server runs. The server replies with its outcome.
enum Job {
    Do(Box<dyn FnOnce() -> String + Send>),
    GiveAway(Box<dyn FnOnce(ump::ReplyContext<String, Refused>) + Send>),
}

type JobClient = Client<Job, String, Refused>;

#[derive(Clone)]
struct JobRunner;

impl Handler<Job, String, Refused> for JobRunner {
    fn proc_req(&mut self, job: Job, rctx: ReplyContext<'_, String, Refused>) -> ControlFlow<()> {
        match job {
            Job::Do(job) => drop(rctx.reply(job())),
            Job::GiveAway(job) => job(rctx.detach()),
        }
        ControlFlow::Continue(())
    }
}

fn job(f: impl FnOnce() -> String + Send + 'static) -> Job {
    Job::Do(Box::new(f))
}

/// A server that is stopped at the end of the test, although other servers may have clients of it.
struct Running(JobClient, JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.1.stopper().stop(Stop::Refuse);
    }
}

fn server(name: &str) -> Running {
    pool(name, 1)
}

fn pool(name: &str, workers: usize) -> Running {
    let workers = NonZeroUsize::new(workers).unwrap();
    let (client, handle) = Builder::new()
        .name(name)
        .spawn_pool(workers, |_| Ok(JobRunner))
        .unwrap();
    Running(client, handle)
}

/// Sends a request, and returns its outcome as text.
fn ask(client: &JobClient, request: Job) -> String {
    outcome_text(client.request(request).wait())
}

fn outcome_text(outcome: Result<String, RequestError<Job, Refused>>) -> String {
    match outcome {
        Ok(reply) => reply,
        Err(RequestError::WouldDeadlock(_, cycle)) => format!("deadlock: {cycle}"),
        Err(RequestError::WouldDeadlockTaken(cycle)) => format!("deadlock, taken: {cycle}"),
        Err(error) => error.to_string(),
    }
}

/// Returns whether the outcome is a deadlock with this cycle. The caller that falls asleep last
/// gets it, with the cycle as seen from there; it need not be the last one to send its request. If
/// the next server has the request in hand, the outcome is `WouldDeadlockTaken`.
fn is_deadlock(outcome: &str, cycle: &[&str]) -> bool {
    let suffix = outcome.strip_prefix("deadlock");
    let suffix = suffix.map(|it| it.strip_prefix(", taken").unwrap_or(it));
    (0..cycle.len()).any(|first| {
        let mut names = cycle.to_vec();
        names.rotate_left(first);
        names.push(names[0]);
        suffix == Some(&format!(": {}", names.join(" → ")))
    })
}

fn fine() -> Job {
    job(|| "fine".to_owned())
}

#[test]
fn request_to_itself_is_a_deadlock() {
    let own = server("own");
    let client = own.0.clone();
    assert_eq!(
        ask(&own.0, job(move || ask(&client, fine()))),
        "deadlock: own → own"
    );
    assert_eq!(ask(&own.0, fine()), "fine", "the loop goes on");
    assert_eq!(own.0.stats().would_deadlock_queued, 1);
}

#[test]
fn request_to_itself_with_a_deadline_is_a_deadlock() {
    let own = server("own");
    let client = own.0.clone();
    let asking = job(move || outcome_text(client.request(fine()).timeout(LONG).wait()));
    assert_eq!(ask(&own.0, asking), "deadlock: own → own");
}

#[test]
fn the_plain_call_has_an_error_too() {
    let own = server("own");
    let client = own.0.clone();
    let asking = job(move || client.req(fine()).unwrap_err().to_string());
    assert!(ask(&own.0, asking).starts_with("no reply"));
}

#[test]
fn closing_a_cycle_fails_and_the_others_are_answered() {
    let (a, b, c) = (server("a"), server("b"), server("c"));
    let (to_a, to_b, to_c) = (a.0.clone(), b.0.clone(), c.0.clone());
    let outcome = ask(
        &a.0,
        job(move || {
            ask(
                &to_b,
                job(move || ask(&to_c, job(move || ask(&to_a, fine())))),
            )
        }),
    );
    assert!(is_deadlock(&outcome, &["a", "b", "c"]), "{outcome}");
}

#[test]
fn a_pool_with_a_free_worker_is_no_deadlock() {
    let own = pool("own", 2);
    let client = own.0.clone();
    assert_eq!(ask(&own.0, job(move || ask(&client, fine()))), "fine");
}

#[test]
fn pool_whose_workers_all_wait_for_it_is_a_deadlock() {
    let own = pool("own", 2);
    let first = own.0.clone();
    let outcome = ask(
        &own.0,
        job(move || {
            let second = first.clone();
            ask(&first, job(move || ask(&second, fine())))
        }),
    );
    assert!(is_deadlock(&outcome, &["own"]), "{outcome}");
}

/// Channels that exist one after the other may have the same address.
#[test]
fn short_lived_loops_are_distinguished() {
    for _ in 0..1000 {
        let own = server("own");
        let client = own.0.clone();
        let asking = job(move || outcome_text(client.request(fine()).timeout(LONG).wait()));
        assert_eq!(ask(&own.0, asking), "deadlock: own → own");
    }
}

/// The first worker sends a request when it begins. The second one is made after that.
#[test]
fn a_worker_that_is_still_being_made_may_answer() {
    struct Early(Option<mpsc::Sender<()>>);

    impl Handler<(), (), Refused> for Early {
        fn init(&mut self, own: WeakClient<(), (), Refused>) {
            if let Some(go) = self.0.take() {
                let reply = own.upgrade().unwrap().request(()).submit().wait().unwrap();
                go.send(()).unwrap();
                let outcome = reply.wait();
                assert!(outcome.is_ok(), "{outcome:?}");
            }
        }

        fn proc_req(&mut self, (): (), rctx: ReplyContext<'_, (), Refused>) -> ControlFlow<()> {
            let _ = rctx.reply(());
            ControlFlow::Continue(())
        }
    }

    let (go, goes) = mpsc::channel();
    let goes = Mutex::new(goes);
    let two = NonZeroUsize::new(2).unwrap();
    let pool = Builder::new().spawn_pool(two, move |cx| {
        if cx.worker() == 0 {
            return Ok(Early(Some(go.clone())));
        }
        goes.lock().unwrap().recv().unwrap();
        Ok(Early(None))
    });
    let (client, handle) = pool.unwrap();
    assert_eq!(client.req(()), Ok(()));
    drop(client);
    handle.join().unwrap();
}

/// The context is lent to a scoped thread and detached there: the detection sees that.
#[test]
fn context_sent_to_another_thread_is_no_deadlock() {
    struct Lends(Option<mpsc::Sender<String>>, JobClient);

    impl Handler<(), String, Refused> for Lends {
        fn proc_req(&mut self, (): (), rctx: ReplyContext<'_, String, Refused>) -> ControlFlow<()> {
            let duty = thread::scope(|scope| scope.spawn(|| rctx.detach()).join().unwrap());
            let (go, goes) = mpsc::channel::<()>();
            thread::spawn(move || {
                let _ = goes.recv_timeout(Duration::from_millis(20));
                duty.reply("from elsewhere".to_owned()).unwrap();
            });
            self.0.take().unwrap().send(ask(&self.1, fine())).unwrap();
            drop(go);
            ControlFlow::Continue(())
        }
    }

    let a = server("a");
    let (sender, receiver) = mpsc::channel();
    let to_a = a.0.clone();
    let (b, _handle) = Builder::new()
        .name("b")
        .spawn(move |_| Ok(Lends(Some(sender), to_a)))
        .unwrap();
    let outcome = ask(&a.0, job(move || b.req(()).unwrap()));
    assert_eq!(outcome, "from elsewhere");
    assert_eq!(receiver.recv().unwrap(), "fine");
}

#[test]
fn detached_context_is_no_deadlock() {
    let (a, b) = (server("a"), server("b"));
    let (to_a, to_b) = (a.0.clone(), b.0.clone());
    let (sender, receiver) = mpsc::channel();
    let outcome = ask(
        &a.0,
        job(move || {
            let give_away = Job::GiveAway(Box::new(move |rctx| {
                let (go, wait) = mpsc::channel::<()>();
                let elsewhere = thread::spawn(move || {
                    // Replies once the caller is asleep, or never.
                    let _ = wait.recv_timeout(Duration::from_millis(20));
                    rctx.reply("from elsewhere".to_owned())
                });
                // It is served once `a` is done, which does not need this reply.
                sender.send(ask(&to_a, fine())).unwrap();
                drop(go);
                elsewhere.join().unwrap().unwrap();
            }));
            ask(&to_b, give_away)
        }),
    );
    assert_eq!(outcome, "from elsewhere");
    assert_eq!(receiver.recv().unwrap(), "fine");
}

#[test]
fn wait_that_times_out_first_is_waited_for() {
    let (a, b) = (server("a"), server("b"));
    let (to_a, to_b) = (a.0.clone(), b.0.clone());
    let (sender, receiver) = mpsc::channel();
    let outcome = ask(
        &a.0,
        job(move || {
            let asking = job(move || {
                sender.send(ask(&to_a, fine())).unwrap();
                String::new()
            });
            let timeout = Duration::from_millis(20);
            outcome_text(to_b.request(asking).timeout(timeout).wait())
        }),
    );
    // If `b` was the first to sleep, `a` knows that it gets no reply before it gives up.
    let is_late = outcome.starts_with("the deadline passed");
    assert!(is_late || is_deadlock(&outcome, &["a", "b"]), "{outcome}");
    assert_eq!(receiver.recv().unwrap(), "fine");
}

#[test]
fn wait_with_a_later_deadline_is_a_deadlock() {
    let (a, b) = (server("a"), server("b"));
    let (to_a, to_b) = (a.0.clone(), b.0.clone());
    let outcome = ask(
        &a.0,
        job(move || {
            let asking = job(move || {
                outcome_text(
                    to_a.request(fine())
                        .timeout(Duration::from_millis(50))
                        .wait(),
                )
            });
            outcome_text(to_b.request(asking).timeout(LONG).wait())
        }),
    );
    // If it was the first to sleep, its own deadline ends it.
    let is_late = outcome.starts_with("the deadline passed");
    assert!(is_late || is_deadlock(&outcome, &["a", "b"]), "{outcome}");
}

#[test]
fn a_server_without_a_loop_is_not_known() {
    let own = server("own");
    let (server, client) = ump::channel::<u32, u32, Refused>();
    let by_hand = thread::spawn(move || {
        for (n, rctx) in &server {
            let _ = rctx.reply(n + 1);
        }
    });
    let asking = job(move || client.req(1).unwrap().to_string());
    assert_eq!(ask(&own.0, asking), "2");
    by_hand.join().unwrap();
}

/// Whichever falls asleep last gets the deadlock; neither hangs.
#[test]
fn simultaneous_requests_to_each_other_both_end() {
    let (a, b) = (server("a"), server("b"));
    for _ in 0..200 {
        let meeting = Arc::new(Barrier::new(2));
        let cross = |from: &Running, to: &Running| {
            let (to, meeting) = (to.0.clone(), Arc::clone(&meeting));
            from.0
                .req_async(job(move || {
                    meeting.wait();
                    ask(&to, fine())
                }))
                .unwrap()
        };
        let outcomes = [cross(&a, &b), cross(&b, &a)].map(|reply| reply.wait().unwrap());
        let deadlocks = outcomes
            .iter()
            .filter(|it| it.starts_with("deadlock"))
            .count();
        let answered = outcomes.iter().filter(|it| *it == "fine").count();
        assert_eq!((deadlocks, answered), (1, 1), "{outcomes:?}");
    }
}

#[test]
fn deadlock_is_detected_after_a_restart() {
    use ump_server::{OnPanic, Restart};
    let restart = Restart::new().pause(Duration::ZERO, Duration::ZERO);
    let (client, handle) = Builder::new()
        .name("own")
        .on_panic(OnPanic::Restart(restart))
        .spawn_with(|_| Ok(JobRunner))
        .unwrap();
    let own = Running(client, handle);
    assert!(ask(&own.0, job(|| panic!("once"))).ends_with("once"));
    let again = own.0.clone();
    assert_eq!(
        ask(&own.0, job(move || ask(&again, fine()))),
        "deadlock: own → own"
    );
}

#[cfg(feature = "tokio")]
#[test]
fn task_that_blocks_on_its_own_server_is_a_deadlock() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (client, handle) = ump_server::task::Builder::new()
        .name("task")
        .spawn_with(|_| {
            Ok(
                |job: Job, rctx: ump::ReplyContext<String, Refused>| async move {
                    if let Job::Do(job) = job {
                        tokio::task::yield_now().await;
                        let _ = rctx.reply(job());
                    }
                    ControlFlow::Continue(())
                },
            )
        })
        .unwrap();
    let own = Running(client, handle);
    let again = own.0.clone();
    assert_eq!(
        ask(&own.0, job(move || ask(&again, fine()))),
        "deadlock: task → task"
    );
}
