//! The thread that serves, and its handle.

use std::{
    fmt, io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};

use super::{error::ListenError, systemd};
use crate::{
    api::{self, App},
    serve::{self, Address, Guard, Limits, Listener, Token},
};

/// How long a stop waits for requests in hand, and then for calls that block.
const GRACE: Duration = Duration::from_secs(1);

/// The threads for what may block: links, sections and exporters.
const BLOCKING_THREADS: usize = 4;

/// Serves until it is dropped or [stopped](Self::stop). From
/// [`Admin::listen`](crate::Admin::listen).
///
/// Dropping it stops the admin surface and waits for that, about two seconds at most.
#[must_use = "the admin surface stops when this is dropped"]
pub struct AdminHandle {
    address: Address,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl AdminHandle {
    pub(super) fn start(
        app: App,
        (address, token, hosts): (Address, Option<Token>, Vec<String>),
        limits: Limits,
        tells_systemd: bool,
    ) -> Result<Self, ListenError> {
        let bind = |source| ListenError::Bind {
            address: address.to_string(),
            source,
        };
        let listener = Listener::bind(&address).map_err(bind)?;
        let address = listener.address().map_err(bind)?;
        let guard = Guard::new(token, !address.is_local(), hosts);
        let runtime = runtime().map_err(ListenError::Start)?;
        if tells_systemd {
            systemd::check().map_err(ListenError::Systemd)?;
        }
        let (stop, stopping) = watch::channel(false);
        let app = Arc::new(app);
        let router = api::router(Arc::clone(&app), guard, limits, stopping.clone());
        let serving = move || {
            lower_priority();
            // Binding to the runtime fails for lack of descriptors or memory only.
            let _: io::Result<()> = runtime.block_on(async {
                let listener = listener.into_async()?;
                let telling = async {
                    if tells_systemd {
                        systemd::tell(&app, stopping.clone()).await;
                    }
                };
                let serving = serve::serve(listener, router, limits, stopping.clone(), GRACE);
                tokio::join!(serving, telling);
                Ok(())
            });
            runtime.shutdown_timeout(GRACE);
        };
        let thread = thread::Builder::new()
            .name("ump-admin".to_owned())
            .spawn(serving)
            .map_err(ListenError::Start)?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Returns the address, with the port that the system has chosen for port 0.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Stops the admin surface, and waits until it has ended: open streams of events end, requests
    /// in hand have a second to finish, and calls that block a second more.
    pub fn stop(mut self) {
        self.end();
    }

    /// Waits until the admin surface has ended by itself, which it does only if it panics. For
    /// programs that do nothing else.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic was reported by the hook.
            let _ = thread.join();
        }
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for AdminHandle {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for AdminHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminHandle")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("ump-admin-read")
        .on_thread_start(lower_priority)
        .build()
}

/// Lowers the priority of this thread, so that a busy program comes first. On Linux, where each
/// thread has its own. A failure costs nothing but that.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 10);
}
