//! The loop, which locks the links for each event.

use std::{ops::ControlFlow, sync::Arc};

use ump_server::{ReplyContext, net::Event, thread};

use super::{Command, Driver, LinkId, LinkSetupError, Reply};
use crate::sync::Mutex;

pub(super) struct Loop(pub(super) Arc<Mutex<Driver>>);

impl thread::Service for Loop {
    type Request = Command;
    type Reply = Reply;
    type Error = LinkSetupError;
    type Output = ();
    /// A link that has something to do at a time.
    type Timer = LinkId;

    fn handle(
        &mut self,
        command: Command,
        reply: ReplyContext<'_, Reply, LinkSetupError>,
    ) -> ControlFlow<()> {
        self.0.lock().handle(command, reply)
    }

    fn on_timer(&mut self, id: LinkId) -> ControlFlow<()> {
        self.0.lock().on_timer(id)
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        self.0.lock().on_socket(event)
    }
}
