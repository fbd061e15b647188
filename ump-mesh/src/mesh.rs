//! A router in a mesh, from joining to leaving.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use ump_router::Router;

use crate::{
    config::Config,
    driver::Driver,
    error::MeshError,
    participant::{Participant, ParticipantId},
    settled::Settled,
    shared::{Key, Shared},
};

type StartRequest = ump::Request<'static, (), Arc<Shared>, MeshError>;

/// A router that has joined a mesh, until this is dropped or the router is closed.
///
/// It keeps the router open, as a clone of the router does.
#[must_use = "the router leaves the mesh when this is dropped"]
pub struct Mesh {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Mesh {
    /// Lets a router join a mesh, when the returned value is waited for (`.wait()`) or awaited.
    ///
    /// When it has joined, it does not know the other participants yet: they are there some
    /// milliseconds later. A request can [wait for its
    /// server](ump_router::Request::wait_for_server), a publisher can
    /// [watch](Router::watch_subscribers) for subscribers.
    pub fn join(router: &Router, config: Config) -> Joining {
        Joining(start(router, config))
    }

    /// Returns the number of this participant.
    #[must_use]
    pub fn id(&self) -> ParticipantId {
        self.shared.own
    }

    /// Returns the domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.shared.domain
    }

    /// Returns the other participants that are known now.
    #[must_use]
    pub fn participants(&self) -> Vec<Participant> {
        let participants = self.shared.participants.lock();
        participants.values().cloned().collect()
    }

    /// Returns how many patterns that this process subscribes to some known participant has not
    /// confirmed. What a participant publishes after it has confirmed a subscription is received,
    /// or counted as missed.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        self.shared.unconfirmed()
    }

    /// Waits until all participants that are known have confirmed all subscriptions that there are
    /// then: `.wait()` blocks the thread, `.await` suspends the task. Is false if that takes longer
    /// than the timeout.
    ///
    /// A participant that is not known yet confirms them when it meets this one.
    pub fn settled(&self, timeout: Duration) -> Settled<'_> {
        Settled::new(&self.shared, timeout)
    }

    /// Leaves the mesh, and blocks until that is done. It sends all messages that were published
    /// before, and ends the requests that are on their way.
    ///
    /// Dropping it does the same without waiting.
    pub fn leave(mut self) {
        self.shared.queue.wake(Key::Leave);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // an error if it has panicked
        }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.shared.queue.wake(Key::Leave);
    }
}

impl fmt::Debug for Mesh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mesh")
            .field("id", &self.shared.own)
            .field("domain", &self.shared.domain)
            .finish_non_exhaustive()
    }
}

struct Started {
    request: StartRequest,
    thread: thread::JoinHandle<()>,
}

/// Starts the thread, which opens zenoh: that blocks, and must not happen on a thread of tokio.
fn start(router: &Router, config: Config) -> Result<Started, MeshError> {
    let zenoh = config.resolve()?;
    let bridge = router.bridge(format!("mesh:{}", config.domain_name()));
    let bridge = bridge.map_err(|_| MeshError::Closed)?;
    let (server, client) = ump::channel();
    let run = move || {
        let Ok(((), context)) = ump::Server::wait(&server) else {
            return;
        };
        match Driver::open(bridge, &config, zenoh) {
            Ok(driver) => {
                // An error if the caller is gone: then the handle is, too.
                match context.reply(Arc::clone(driver.shared())) {
                    Ok(()) => driver.run(),
                    Err(_) => driver.leave(),
                }
            }
            Err(error) => {
                let _ = context.fail(error);
            }
        }
    };
    let thread = thread::Builder::new()
        .name("ump-mesh".to_owned())
        .spawn(run);
    let thread = thread.map_err(|error| MeshError::Thread(error.to_string()))?;
    let request = ump::Client::request_owned(Arc::new(client), ());
    Ok(Started { request, thread })
}

/// A router that joins. From [`Mesh::join`].
#[must_use = "it joins when it is waited for or awaited"]
pub struct Joining(Result<Started, MeshError>);

impl Joining {
    /// Joins, and blocks until that is done. Do not call it on a thread of an async runtime.
    ///
    /// # Errors
    /// - [`MeshError::Domain`], [`MeshError::Interface`], [`MeshError::NoCertificates`] or
    ///   [`MeshError::Config`]: the configuration is wrong.
    /// - [`MeshError::Open`]: zenoh could not be started, for example because an address is in use.
    /// - [`MeshError::Thread`]: the thread of the mesh could not be started.
    /// - [`MeshError::Closed`]: the router was closed.
    pub fn wait(self) -> Result<Mesh, MeshError> {
        let Started { request, thread } = self.0?;
        joined(request.wait(), Some(thread))
    }
}

impl IntoFuture for Joining {
    type Output = Result<Mesh, MeshError>;
    type IntoFuture = JoiningFuture;

    fn into_future(self) -> JoiningFuture {
        JoiningFuture(match self.0 {
            Ok(Started { request, thread }) => Ok((request.into_future(), Some(thread))),
            Err(error) => Err(Some(error)),
        })
    }
}

impl fmt::Debug for Joining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joining").finish_non_exhaustive()
    }
}

type StartFuture = ump::RequestFuture<'static, (), Arc<Shared>, MeshError>;

/// The future of [`Joining`]. Its output is that of [`Joining::wait`].
///
/// # Cancel safety
/// If it is dropped before, the router does not join, or leaves at once.
#[must_use = "futures do nothing unless awaited"]
pub struct JoiningFuture(Result<(StartFuture, Option<thread::JoinHandle<()>>), Option<MeshError>>);

impl Future for JoiningFuture {
    type Output = Result<Mesh, MeshError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok((request, thread)) => {
                let answer = std::task::ready!(Pin::new(request).poll(cx));
                Poll::Ready(joined(answer, thread.take()))
            }
            Err(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending, // it was ready before
            },
        }
    }
}

impl fmt::Debug for JoiningFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoiningFuture").finish_non_exhaustive()
    }
}

fn joined(
    answer: Result<Arc<Shared>, ump::RequestError<(), MeshError>>,
    thread: Option<thread::JoinHandle<()>>,
) -> Result<Mesh, MeshError> {
    match answer {
        Ok(shared) => Ok(Mesh { shared, thread }),
        Err(ump::RequestError::App(error)) => Err(error),
        Err(error) => Err(MeshError::Thread(error.to_string())),
    }
}
