//! Clients of one server of a topic.

use proptest::sample::Index;
use ump_router::{Error, PinnedClient};

use super::{
    Serving,
    requests::{Ask, CallOptions},
};
use crate::name::Name;

/// The source file of the requests of these clients.
pub(super) const FILE: &str = file!();

/// A client of one server.
pub(super) struct Pinned {
    real: PinnedClient<Ask>,
    topic: Name,
    server: u32,
}

impl Serving {
    pub(crate) fn pin(&mut self, topic: &Name) {
        let real = self.router.pin::<Ask>(topic.text());
        if self.is_closed {
            assert_eq!(real.unwrap_err(), Error::Closed);
            return;
        }
        let (real, server) = (real.unwrap(), self.server_of(topic));
        assert_eq!(real.is_some(), server.is_some());
        if let (Some(real), Some(server)) = (real, server) {
            self.pinned.push(Pinned {
                real,
                topic: topic.clone(),
                server,
            });
        }
    }

    pub(crate) fn unpin(&mut self, nth: Index) {
        if !self.pinned.is_empty() {
            self.pinned.swap_remove(nth.index(self.pinned.len()));
        }
    }

    pub(crate) fn ask_pinned(&mut self, nth: Index, call_options: CallOptions, begins: bool) {
        if self.pinned.is_empty() {
            return;
        }
        let message = self.message();
        let Pinned {
            real,
            topic,
            server,
        } = &self.pinned[nth.index(self.pinned.len())];
        let (request, topic, server) = (real.request(message), topic.clone(), *server);
        self.make(request, &topic, Some(server), call_options, begins);
    }

    pub(super) fn check_pinned(&self) {
        for Pinned {
            real,
            topic,
            server,
        } in &self.pinned
        {
            assert_eq!(real.has_left(), self.server_of(topic) != Some(*server));
        }
    }
}
