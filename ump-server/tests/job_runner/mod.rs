//! Servers that run a given job, and reply with its outcome.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::{future::Future, num::NonZeroUsize, ops::ControlFlow, pin::Pin, time::Duration};

use tokio::{
    runtime::{Builder as RuntimeBuilder, Runtime},
    sync::oneshot,
};
use ump_server::{
    Client, JoinHandle, Refused, ReplyContext, Stop, task, thread,
    ump::{self, RequestError, Stats},
};

/// Longer than any step of a test that passes.
pub(crate) const LONG: Duration = Duration::from_secs(60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) type TextFuture = Pin<Box<dyn Future<Output = String> + Send>>;
pub(crate) type JobClient = Client<Job, String, Refused>;
pub(crate) type Duty = ump::ReplyContext<String, Refused>;
type Given = Box<dyn FnOnce(Duty) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;
type Lent = Box<
    dyn FnOnce(ReplyContext<'_, String, Refused>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>
        + Send,
>;

pub(crate) enum Job {
    /// On tasks only.
    Await(TextFuture),
    /// Blocks, also on a task.
    Do(Box<dyn FnOnce() -> String + Send>),
    /// On tasks only: replies elsewhere.
    GiveAway(Given),
    /// On tasks only: replies within the call.
    Lend(Lent),
}

pub(crate) fn awaiting(text: impl Future<Output = String> + Send + 'static) -> Job {
    Job::Await(Box::pin(text))
}

pub(crate) fn blocking(f: impl FnOnce() -> String + Send + 'static) -> Job {
    Job::Do(Box::new(f))
}

pub(crate) fn giving_away<F>(f: impl FnOnce(Duty) -> F + Send + 'static) -> Job
where
    F: Future<Output = ()> + Send + 'static,
{
    Job::GiveAway(Box::new(|duty| Box::pin(f(duty))))
}

pub(crate) fn fine() -> Job {
    blocking(|| "fine".to_owned())
}

#[derive(Clone)]
pub(crate) struct JobRunner;

impl thread::Handler<Job, String, Refused> for JobRunner {
    fn proc_req(&mut self, job: Job, rctx: ReplyContext<'_, String, Refused>) -> ControlFlow<()> {
        let Job::Do(job) = job else {
            unreachable!("only tasks await")
        };
        let _ = rctx.reply(job());
        ControlFlow::Continue(())
    }
}

impl task::Handler<Job, String, Refused> for JobRunner {
    async fn proc_req(
        &mut self,
        job: Job,
        rctx: ReplyContext<'_, String, Refused>,
    ) -> ControlFlow<()> {
        match job {
            Job::Await(text) => drop(rctx.reply(text.await)),
            Job::Do(job) => drop(rctx.reply(job())),
            Job::GiveAway(job) => job(rctx.detach()).await,
            Job::Lend(job) => job(rctx).await,
        }
        ControlFlow::Continue(())
    }
}

/// A server that is stopped at the end of the test, although other servers may have clients of it.
pub(crate) struct Running(pub(crate) JobClient, JoinHandle<()>);

impl Running {
    pub(crate) fn new((client, handle): (JobClient, JoinHandle<()>)) -> Self {
        Self(client, handle)
    }

    /// Stops the server. Queued requests are rejected.
    pub(crate) fn stop(&self) {
        self.1.stopper().stop(Stop::Refuse);
    }

    /// Returns a client for another server.
    pub(crate) fn client(&self) -> JobClient {
        self.0.clone()
    }

    /// Checks that each request is counted in exactly one place, and returns the statistics.
    pub(crate) fn checked_stats(&self) -> Stats {
        let stats = self.0.stats();
        let places = stats.queued + stats.taken + stats.ended();
        assert_eq!(stats.accepted, places, "{stats:?}");
        stats
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn on_task(name: &str) -> Running {
    task_pool(name, 1)
}

pub(crate) fn task_pool(name: &str, workers: usize) -> Running {
    task_by(task::Builder::new().name(name), workers)
}

pub(crate) fn task_by(builder: task::Builder, workers: usize) -> Running {
    let workers = NonZeroUsize::new(workers).unwrap();
    Running::new(builder.spawn_pool(workers, |_| Ok(JobRunner)).unwrap())
}

pub(crate) fn on_thread(name: &str) -> Running {
    thread_by(thread::Builder::new().name(name))
}

pub(crate) fn thread_by(builder: thread::Builder) -> Running {
    Running::new(builder.spawn_with(|_| Ok(JobRunner)).unwrap())
}

pub(crate) async fn ask(client: &JobClient, job: Job) -> String {
    outcome_text(client.request(job).await)
}

pub(crate) fn outcome_text(outcome: Result<String, RequestError<Job, Refused>>) -> String {
    match outcome {
        Ok(reply) => reply,
        Err(RequestError::WouldDeadlock(_, cycle)) => format!("deadlock: {cycle}"),
        Err(RequestError::WouldDeadlockTaken(cycle)) => format!("deadlock, taken: {cycle}"),
        Err(error) => error.to_string(),
    }
}

/// Asserts that the outcome is a deadlock with this cycle. The caller that falls asleep last gets
/// it, with the cycle as seen from there; it need not be the last one to send its request. If the
/// next server has the request in hand, the outcome is `WouldDeadlockTaken`.
#[track_caller]
pub(crate) fn assert_deadlock(outcome: &str, cycle: &[&str]) {
    let suffix = outcome.strip_prefix("deadlock");
    let suffix = suffix.map(|it| it.strip_prefix(", taken").unwrap_or(it));
    let is_deadlock = (0..cycle.len()).any(|first| {
        let mut names = cycle.to_vec();
        names.rotate_left(first);
        names.push(names[0]);
        suffix == Some(&format!(": {}", names.join(" → ")))
    });
    assert!(is_deadlock, "{outcome}");
}

/// Lets all other tasks on this thread run, and gives those on other threads some time.
pub(crate) async fn let_others_run() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Waits for something other than a request, until the sender sends.
pub(crate) async fn when(goes: oneshot::Receiver<()>) -> String {
    goes.await.unwrap();
    "from elsewhere".to_owned()
}

pub(crate) fn runtime(threads: usize) -> Runtime {
    let mut builder = match threads {
        1 => RuntimeBuilder::new_current_thread(),
        _ => RuntimeBuilder::new_multi_thread(),
    };
    builder
        .worker_threads(threads)
        .enable_time()
        .build()
        .unwrap()
}

/// Runs the test on its own runtime. A test that hangs fails.
pub(crate) fn must_end(threads: usize, test: impl Future<Output = ()>) {
    runtime(threads).block_on(async {
        let ended = tokio::time::timeout(LONG, test).await;
        ended.expect("it hangs");
    });
}

/// Makes a test for a runtime of one thread and one for several threads.
#[allow(unused_macros, reason = "not every test needs it")]
macro_rules! on_each_runtime {
    ($($test:ident),+ $(,)?) => {
        mod one_thread {
            $(#[test] fn $test() { crate::job_runner::must_end(1, super::$test()); })+
        }
        mod several_threads {
            $(#[test] fn $test() { crate::job_runner::must_end(2, super::$test()); })+
        }
    };
}
