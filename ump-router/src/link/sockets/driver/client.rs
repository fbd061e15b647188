//! What the handles of a program have of the loop: the way in for commands.
//!
//! Commands are queued in a channel that the loop polls, as it polls all else. A thread that needs
//! an answer at once does not wait for the loop: it locks the links, and executes what is queued,
//! its own command last. So a thread of a runtime can listen and connect although the loop is a
//! task that only this thread could run.

use std::sync::{Arc, Weak};

use super::{
    Command, LinkSetupError, Reply, WakeClient,
    lock::{Links, is_locked_here},
};

pub(in super::super) type DriverRequest = ump::Request<'static, Command, Reply, LinkSetupError>;

/// The way to the loop of the links. The loop ends after this is dropped.
pub(in super::super) struct DriverClient {
    commands: Arc<ump::Client<Command, Reply, LinkSetupError>>,
    links: Weak<Links>,
    /// It keeps the loop.
    _wake: WakeClient,
    /// What a command gets when the loop has ended by itself.
    when_ended: LinkSetupError,
}

impl DriverClient {
    pub(super) fn new(
        commands: ump::Client<Command, Reply, LinkSetupError>,
        links: Weak<Links>,
        wake: WakeClient,
        when_ended: LinkSetupError,
    ) -> Arc<Self> {
        let commands = Arc::new(commands);
        Arc::new(Self {
            commands,
            links,
            _wake: wake,
            when_ended,
        })
    }

    /// Executes a command that is answered at once, after those that are queued. Not in code that
    /// runs under the lock.
    pub(in super::super) fn ask(&self, command: Command) -> Result<Reply, LinkSetupError> {
        if is_locked_here() {
            return Err(LinkSetupError::InCodeOfLinks);
        }
        let ended = || self.when_ended.clone();
        let pending = self.commands.req_async(command).map_err(|_| ended())?;
        if let Some(links) = self.links.upgrade() {
            links.lock().execute_queued();
        }
        // It was executed by now, under the lock, here or elsewhere.
        match pending.try_get() {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(ump::Error::App(error))) => Err(error),
            _ => Err(ended()),
        }
    }

    /// Queues a command. Nothing happens if the loop has ended.
    pub(in super::super) fn post(&self, command: Command) {
        // The queue has no bound, so this does not wait.
        let _ = self.commands.post(command).wait();
    }

    /// Begins a request whose answer may take long.
    pub(in super::super) fn request(&self, command: Command) -> DriverRequest {
        ump::Client::request_owned(Arc::clone(&self.commands), command)
    }

    /// Returns whether the loop has ended.
    pub(in super::super) fn has_ended(&self) -> bool {
        self.commands.is_closed()
    }

    /// Returns the error of a loop that has ended by itself.
    pub(in super::super) fn when_ended(&self) -> LinkSetupError {
        self.when_ended.clone()
    }
}
