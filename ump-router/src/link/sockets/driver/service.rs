//! The loop, which locks the links for each event.

use std::{ops::ControlFlow, sync::Arc};

use ump::{Clock, Spin};
use ump_server::{Context, ReplyContext, SpawnError, net::Event, thread};

use super::{LinkId, LinkSetupError, WakeClient, lock::Links};

/// The name of the loop, and of its thread.
pub(super) const NAME: &str = "ump-links";

pub(super) type LoopContext = Context<(), (), LinkSetupError, LinkId>;

/// The handler of the loop. A request says that something is ready which the links have polled.
pub(super) struct Loop(pub(super) Arc<Links>);

impl Loop {
    fn on_woken(&mut self) -> ControlFlow<()> {
        let mut driver = self.0.lock();
        driver.on_woken();
        if driver.is_shut_down() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// All links are lost if the loop ends by itself. A thread that leads one may have them still.
impl Drop for Loop {
    fn drop(&mut self) {
        self.0.lock().end();
    }
}

impl thread::Service for Loop {
    type Request = ();
    type Reply = ();
    /// Why it was not made.
    type Error = LinkSetupError;
    type Output = ();
    /// A link that has something to do at a time.
    type Timer = LinkId;

    fn handle(&mut self, (): (), _: ReplyContext<'_, (), LinkSetupError>) -> ControlFlow<()> {
        self.on_woken()
    }

    fn on_timer(&mut self, id: LinkId) -> ControlFlow<()> {
        self.0.lock().on_timer(id);
        ControlFlow::Continue(())
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        self.0.lock().on_socket(event);
        ControlFlow::Continue(())
    }
}

/// The same on a task: no call waits for anything.
#[cfg(feature = "tokio")]
impl ump_server::task::Service for Loop {
    type Request = ();
    type Reply = ();
    type Error = LinkSetupError;
    type Output = ();
    type Timer = LinkId;

    async fn handle(&mut self, (): (), _: ReplyContext<'_, (), LinkSetupError>) -> ControlFlow<()> {
        self.on_woken()
    }

    async fn on_timer(&mut self, id: LinkId) -> ControlFlow<()> {
        thread::Service::on_timer(self, id)
    }

    async fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        thread::Service::on_socket(self, event)
    }
}

/// Starts the loop on a thread of its own.
pub(super) fn spawn_on_thread(
    clock: Clock,
    make: impl FnMut(&LoopContext) -> Result<Loop, LinkSetupError> + Send + 'static,
) -> Result<WakeClient, LinkSetupError> {
    // It looks at its sockets instead.
    let builder = thread::Builder::new().name(NAME).spin(Spin::Never);
    let builder = builder.clock(clock);
    match builder.spawn_with(make) {
        Ok((client, _)) => Ok(client),
        Err(SpawnError::Handler(error)) => Err(error),
        Err(error) => Err(LinkSetupError::Thread(error.to_string())),
    }
}
