//! What runs the loop without the feature `tokio`: a thread.

use ump::Clock;

use super::{
    LinkSetupError, WakeClient,
    service::{Loop, LoopContext, spawn_on_thread},
};

/// There is none.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Runtime;

#[allow(clippy::unused_self, reason = "as those of the other one")]
impl Runtime {
    /// Starts the loop.
    pub(super) fn spawn(
        &self,
        clock: Clock,
        make: impl FnMut(&LoopContext) -> Result<Loop, LinkSetupError> + Send + 'static,
    ) -> Result<WakeClient, LinkSetupError> {
        spawn_on_thread(clock, make)
    }

    /// Returns the error of a loop that has ended by itself.
    pub(super) fn when_ended(&self) -> LinkSetupError {
        LinkSetupError::Closed
    }
}
