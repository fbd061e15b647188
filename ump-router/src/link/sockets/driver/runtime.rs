//! What runs the loop: a thread, or a task of a tokio runtime.

use tokio::runtime::Handle;
use ump::{Clock, Spin};
use ump_server::{SpawnError, net::Error, task};

use super::{
    LinkSetupError, WakeClient,
    service::{Loop, LoopContext, NAME, spawn_on_thread},
};

/// The runtime of the loop, if it is a task.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Runtime(Option<Handle>);

impl Runtime {
    pub(in super::super) fn new(handle: &Handle) -> Self {
        Self(Some(handle.clone()))
    }

    /// Starts the loop.
    pub(super) fn spawn(
        &self,
        clock: Clock,
        mut make: impl FnMut(&LoopContext) -> Result<Loop, LinkSetupError> + Send + 'static,
    ) -> Result<WakeClient, LinkSetupError> {
        let Some(runtime) = &self.0 else {
            return spawn_on_thread(clock, make);
        };
        let on = runtime.clone();
        // What it waits for comes from sockets. If it yielded before it sleeps, it and a server
        // that yields on the same thread would each take the other one for a reason to stay awake.
        let builder = task::Builder::new().name(NAME).spin(Spin::Never);
        let builder = builder.clock(clock);
        let spawned = builder
            .runtime(runtime.clone())
            .spawn_with(move |cx: &LoopContext| {
                // Not only when the first socket is made, which may be later, and on the loop.
                let activated = cx.sockets().activate();
                activated.map_err(|error| why(&on, &error))?;
                make(cx)
            });
        match spawned {
            Ok((client, _)) => Ok(client),
            Err(SpawnError::Handler(error)) => Err(error),
            Err(SpawnError::RuntimeShutDown) => Err(LinkSetupError::RuntimeShutDown),
            Err(error) => Err(LinkSetupError::Runtime(error.to_string())),
        }
    }

    /// Returns the error of a loop that has ended by itself.
    pub(super) fn when_ended(&self) -> LinkSetupError {
        match self.0 {
            Some(_) => LinkSetupError::RuntimeShutDown,
            None => LinkSetupError::Closed,
        }
    }
}

/// Returns why a runtime cannot wait for sockets.
fn why(runtime: &Handle, error: &Error) -> LinkSetupError {
    // One that was shut down drops what it is given.
    let task = runtime.spawn(std::future::pending::<()>());
    if task.is_finished() {
        return LinkSetupError::RuntimeShutDown;
    }
    task.abort();
    LinkSetupError::Runtime(error.io().to_string())
}
