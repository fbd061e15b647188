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

pub(crate) type Own = Client<Job, String, Refused>;
type Said = Pin<Box<dyn Future<Output = String> + Send>>;

pub(crate) enum Job {
    Nothing,
    /// Gets a client of the server itself. Blocks, also on a task.
    Do(Box<dyn FnOnce(Own) -> String + Send>),
    /// On tasks only.
    Await(Box<dyn FnOnce(Own) -> Said + Send>),
}

pub(crate) fn job(f: impl FnOnce(Own) -> String + Send + 'static) -> Job {
    Job::Do(Box::new(f))
}

pub(crate) fn awaiting<F>(f: impl FnOnce(Own) -> F + Send + 'static) -> Job
where
    F: Future<Output = String> + Send + 'static,
{
    Job::Await(Box::new(|own| Box::pin(f(own))))
}

#[derive(Clone)]
pub(crate) struct Obedient(pub(crate) WeakClient<Job, String, Refused>);

impl thread::Handler<Job, String, Refused> for Obedient {
    fn proc_req(&mut self, job: Job, rctx: ReplyContext<'_, String, Refused>) -> ControlFlow<()> {
        let said = match job {
            Job::Nothing => "fine".to_owned(),
            Job::Do(job) => job(self.0.upgrade().expect("somebody asks")),
            Job::Await(_) => unreachable!("only tasks await"),
        };
        let _ = rctx.reply(said);
        ControlFlow::Continue(())
    }
}

impl task::Handler<Job, String, Refused> for Obedient {
    async fn proc_req(
        &mut self,
        job: Job,
        rctx: ReplyContext<'_, String, Refused>,
    ) -> ControlFlow<()> {
        let said = match job {
            Job::Nothing => "fine".to_owned(),
            Job::Do(job) => job(self.0.upgrade().expect("somebody asks")),
            Job::Await(job) => job(self.0.upgrade().expect("somebody asks")).await,
        };
        let _ = rctx.reply(said);
        ControlFlow::Continue(())
    }
}

/// A server that is stopped at the end of the test, although other servers may have clients of it.
pub(crate) struct Running(pub(crate) Own, pub(crate) Option<JoinHandle<()>>);

impl Running {
    pub(crate) fn new((client, handle): (Own, JoinHandle<()>)) -> Self {
        Self(client, Some(handle))
    }

    pub(crate) fn client(&self) -> Own {
        self.0.clone()
    }

    pub(crate) fn take_handle(&mut self) -> JoinHandle<()> {
        self.1.take().expect("it is taken once")
    }

    /// Runs a job on the server, and returns its outcome as text.
    pub(crate) fn told_to(&self, job: Job) -> String {
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
    let made = builder.spawn_pool(workers, |cx: &ump_server::Context<_, _, _>| {
        Ok(Obedient(cx.weak_client()))
    });
    Running::new(made.unwrap())
}

/// Spawns a loop on a task, whose queue holds `capacity` requests.
pub(crate) fn on_task(name: &str, capacity: usize) -> Running {
    task_pool(name, 1, capacity)
}

pub(crate) fn task_pool(name: &str, workers: usize, capacity: usize) -> Running {
    let workers = NonZeroUsize::new(workers).unwrap();
    let builder = task::Builder::new().name(name).capacity(capacity);
    let made = builder.spawn_pool(workers, |cx: &ump_server::Context<_, _, _>| {
        Ok(Obedient(cx.weak_client()))
    });
    Running::new(made.unwrap())
}

pub(crate) fn cycle(cycle: &Cycle) -> String {
    format!("deadlock: {cycle}")
}

pub(crate) fn outcome(outcome: Result<String, RequestError<Job, Refused>>) -> String {
    match outcome {
        Ok(said) => said,
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
pub(crate) fn assert_told(said: &str, names: &[&str]) {
    let told = (0..names.len()).any(|first| {
        let mut names = names.to_vec();
        names.rotate_left(first);
        names.push(names[0]);
        said == format!("deadlock: {}", names.join(" → "))
    });
    assert!(told, "{said}");
}

/// Runs a scene on a thread, within a runtime. A scene that hangs fails.
pub(crate) fn must_end(scene: impl FnOnce() + Send + 'static) {
    let (tell, ended) = mpsc::channel();
    let thread = std_thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        {
            let _entered = runtime.enter();
            scene();
        }
        runtime.shutdown_background();
        let _ = tell.send(());
    });
    match ended.recv_timeout(LONG) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => thread.join().unwrap(),
    }
}
