//! Servers that run a given job, and reply with its outcome.

use std::{
    future::Future, num::NonZeroUsize, ops::ControlFlow, pin::Pin, sync::mpsc,
    thread as std_thread, time::Duration,
};

use ump_server::{
    Client, JoinHandle, Refused, ReplyContext, Stop, WeakClient, task, thread,
    ump::{Error, RequestError, SendError, hooks::Cycle},
};

/// Longer than any step of a test that passes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) type JobClient = Client<Job, String, Refused>;
type TextFuture = Pin<Box<dyn Future<Output = String> + Send>>;

pub(crate) enum Job {
    Nothing,
    /// Gets a client of the server itself. Blocks, also on a task.
    Do(Box<dyn FnOnce(JobClient) -> String + Send>),
    /// On tasks only.
    Await(Box<dyn FnOnce(JobClient) -> TextFuture + Send>),
}

pub(crate) fn job(f: impl FnOnce(JobClient) -> String + Send + 'static) -> Job {
    Job::Do(Box::new(f))
}

pub(crate) fn awaiting<F>(f: impl FnOnce(JobClient) -> F + Send + 'static) -> Job
where
    F: Future<Output = String> + Send + 'static,
{
    Job::Await(Box::new(|own| Box::pin(f(own))))
}

#[derive(Clone)]
pub(crate) struct JobRunner(pub(crate) WeakClient<Job, String, Refused>);

impl thread::Handler<Job, String, Refused> for JobRunner {
    fn proc_req(&mut self, job: Job, rctx: ReplyContext<'_, String, Refused>) -> ControlFlow<()> {
        let text = match job {
            Job::Nothing => "fine".to_owned(),
            Job::Do(job) => job(self.0.upgrade().expect("the caller has a client")),
            Job::Await(_) => unreachable!("only tasks await"),
        };
        let _ = rctx.reply(text);
        ControlFlow::Continue(())
    }
}

impl task::Handler<Job, String, Refused> for JobRunner {
    async fn proc_req(
        &mut self,
        job: Job,
        rctx: ReplyContext<'_, String, Refused>,
    ) -> ControlFlow<()> {
        let text = match job {
            Job::Nothing => "fine".to_owned(),
            Job::Do(job) => job(self.0.upgrade().expect("the caller has a client")),
            Job::Await(job) => job(self.0.upgrade().expect("the caller has a client")).await,
        };
        let _ = rctx.reply(text);
        ControlFlow::Continue(())
    }
}

/// A server that is stopped at the end of the test, although other servers may have clients of it.
pub(crate) struct Running(pub(crate) JobClient, pub(crate) Option<JoinHandle<()>>);

impl Running {
    pub(crate) fn new((client, handle): (JobClient, JoinHandle<()>)) -> Self {
        Self(client, Some(handle))
    }

    pub(crate) fn client(&self) -> JobClient {
        self.0.clone()
    }

    pub(crate) fn take_handle(&mut self) -> JoinHandle<()> {
        self.1.take().expect("it is taken once")
    }

    /// Runs a job on the server, and returns its outcome as text.
    pub(crate) fn run(&self, job: Job) -> String {
        outcome(self.0.request(job).wait())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(handle) = &self.1 {
            handle.stopper().stop(Stop::Refuse);
        }
    }
}

/// Spawns a loop on a thread, whose queue holds `capacity` requests.
pub(crate) fn on_thread(name: &str, capacity: usize) -> Running {
    pool(name, 1, capacity)
}

pub(crate) fn pool(name: &str, workers: usize, capacity: usize) -> Running {
    let workers = NonZeroUsize::new(workers).unwrap();
    let builder = thread::Builder::new().name(name).capacity(capacity);
    let made = builder.spawn_pool(workers, |cx| Ok(JobRunner(cx.weak_client())));
    Running::new(made.unwrap())
}

/// Spawns a loop on a task, whose queue holds `capacity` requests.
pub(crate) fn on_task(name: &str, capacity: usize) -> Running {
    task_pool(name, 1, capacity)
}

pub(crate) fn task_pool(name: &str, workers: usize, capacity: usize) -> Running {
    let workers = NonZeroUsize::new(workers).unwrap();
    let builder = task::Builder::new().name(name).capacity(capacity);
    let made = builder.spawn_pool(workers, |cx| Ok(JobRunner(cx.weak_client())));
    Running::new(made.unwrap())
}

pub(crate) fn cycle(cycle: &Cycle) -> String {
    format!("deadlock: {cycle}")
}

pub(crate) fn outcome(outcome: Result<String, RequestError<Job, Refused>>) -> String {
    match outcome {
        Ok(text) => text,
        Err(error) => error.cycle().map_or_else(|| error.to_string(), self::cycle),
    }
}

pub(crate) fn plain(outcome: Result<String, Error<Refused>>) -> String {
    outcome.unwrap_or_else(|error| error.to_string())
}

pub(crate) fn sent<T>(outcome: Result<T, SendError<Job>>) -> String {
    match outcome {
        Ok(_) => "sent".to_owned(),
        Err(SendError::WouldDeadlock(_, cycle)) => self::cycle(&cycle),
        Err(error) => error.to_string(),
    }
}

/// Asserts that the outcome is a deadlock with this cycle, which may begin at any of the names.
#[track_caller]
pub(crate) fn assert_deadlock(text: &str, names: &[&str]) {
    let is_deadlock = (0..names.len()).any(|first| {
        let mut names = names.to_vec();
        names.rotate_left(first);
        names.push(names[0]);
        text == format!("deadlock: {}", names.join(" → "))
    });
    assert!(is_deadlock, "{text}");
}

/// Runs a test on a thread, within a runtime. A test that hangs fails.
pub(crate) fn must_end(test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = std_thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        {
            let _entered = runtime.enter();
            test();
        }
        runtime.shutdown_background();
        let _ = done.send(());
    });
    match ended.recv_timeout(LONG) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => thread.join().unwrap(),
    }
}
