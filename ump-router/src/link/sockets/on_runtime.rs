//! The method of a router that chooses a runtime for its links.

use tokio::runtime::Handle;

use super::{driver::Runtime, error::LinkSetupError};
use crate::router::Router;

/// Links that a task of a tokio runtime drives. With the feature `tokio`.
impl Router {
    /// Lets a task of this tokio runtime drive the links of the router, instead of a thread of
    /// their own. Call it before the first link is made.
    ///
    /// This is for programs whose callers and servers are tasks: a task that awaits a reply, or
    /// serves, is woken by the thread that reads the link, and on a runtime with one thread, or if
    /// the runtime runs both on the same one, no other thread takes part. Nothing else changes.
    /// Threads that block read their link by themselves, as with a thread of the links.
    ///
    /// ```
    /// # use ump_router::{RequestMessage, Router};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Double(u32);
    /// # impl RequestMessage for Double {
    /// #     type Reply = u32;
    /// #     type Error = String;
    /// #     const PREFIX: &str = "double";
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let hub = Router::new();
    /// # hub.carry_requests::<Double>()?;
    /// # let listener = hub.listen("tcp:127.0.0.1:0")?;
    /// # let server = hub.serve::<Double>("here")?;
    /// # std::thread::spawn(move || {
    /// #     for (call, rctx) in &server {
    /// #         let _ = rctx.reply(call.message.0 * 2);
    /// #     }
    /// # });
    /// let router = Router::new();
    /// router.drive_links_on(&tokio::runtime::Handle::current())?;
    /// router.carry_requests::<Double>()?;
    /// let link = router.connect(listener.address())?;
    /// assert!(link.opened().await);
    /// assert_eq!(router.request("here", Double(21)).await.ok(), Some(42));
    /// # hub.close();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The runtime needs its IO driver (`enable_io`, or `enable_all`). While it does not run
    /// tasks, links only do what threads do that block for requests: so a thread on which a
    /// current-thread runtime runs must not block for what a link brings (`link.opened().wait()`),
    /// but await it. [`listen`](Self::listen) and [`connect`](Self::connect) do not wait for the
    /// task.
    ///
    /// When the **runtime is shut down**, all links are lost: requests on them end with
    /// [`RequestError::Link`](crate::RequestError::Link), subscriptions are told of the gap, the
    /// links are [closed](super::LinkState::Closed), and `listen` and `connect` return
    /// [`LinkSetupError::RuntimeShutDown`]. Then another runtime may be chosen.
    ///
    /// # Errors
    /// - [`LinkSetupError::AlreadyRunning`]: the router has, or had, a link or a listener.
    /// - [`LinkSetupError::Closed`]: the router was closed.
    ///
    /// If the runtime has no IO driver, `listen` and `connect` return [`LinkSetupError::Runtime`].
    pub fn drive_links_on(&self, runtime: &Handle) -> Result<(), LinkSetupError> {
        self.parts().1.drive_on(Runtime::new(runtime))
    }
}
