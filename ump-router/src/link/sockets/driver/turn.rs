//! What a link does in a turn, and what follows from it at other links.

use std::collections::BTreeMap;

use super::{
    Driver, LinkId, Shared,
    peer::{Ends, Peer},
    relay::{FromLink, Name, Sessions},
};
use crate::{
    link::{session::Session, sockets::access::Permission},
    topic::Pattern,
};

impl Driver {
    /// Does what a link has to do now, and removes it if it is over.
    pub(super) fn pump(&mut self, id: LinkId) {
        self.act(id, |_, _| {});
    }

    /// The same, after `first`, and then for the links that it has something for.
    pub(super) fn act(&mut self, id: LinkId, first: impl FnOnce(&mut Peer, &Shared)) {
        self.act_alone(id, first);
        self.pump_touched();
    }

    /// Does what the links have to do that something was noted for.
    pub(super) fn pump_touched(&mut self) {
        while let Some(id) = self
            .touched
            .pop_first()
            .or_else(|| self.relay.next_touched())
        {
            self.act_alone(id, |_, _| {});
        }
    }

    fn act_alone(&mut self, id: LinkId, first: impl FnOnce(&mut Peer, &Shared)) {
        let Some(peer) = self.links.get_mut(&id) else {
            return;
        };
        let socket = peer.socket();
        first(peer, &self.shared);
        self.relay.tell(&mut self.links, id);
        let Some(peer) = self.links.get_mut(&id) else {
            return;
        };
        if self.relay.is_told(id) {
            peer.for_others.mark_told();
        }
        let ends = peer.pump(&self.shared);
        let awaits_feed = peer.replication.awaits_feed();
        let begins_to_hold = peer.takes_to_hold();
        let for_others = peer.for_others.take();
        let (has_opened, has_ended) = (peer.take_opened(), peer.take_ended());
        if let (Some(socket), None) = (socket, peer.socket()) {
            self.by_socket.remove(&socket);
        }
        if !for_others.is_empty() {
            let now = self.shared.clock.now();
            for one in for_others {
                match &one {
                    FromLink::Retained(replica) => {
                        self.pass_on_retained(id, replica);
                    }
                    FromLink::NotRetained(publication) => {
                        self.pass_on_not_retained(id, publication);
                    }
                    _ => {}
                }
                self.relay.pass_on(&mut self.links, now, id, one);
            }
        }
        self.spread_news();
        if begins_to_hold {
            self.note_held_lead(id);
        }
        self.relay.tell_rejected(&mut self.links, id);
        if awaits_feed {
            // Before the changes are taken: what is stamped later is in the outboxes of the link.
            let time = self.shared.replicas.clock.last();
            self.feed_all_retained();
            if let Some(peer) = self.links.get_mut(&id) {
                peer.replication.fed(&self.shared, time);
                self.touched.insert(id);
            }
        }
        if ends == Ends::ForGood {
            self.remove(id);
        }
        if has_opened {
            self.listeners.opened(id);
            self.look_for_twin(id);
        } else if has_ended {
            self.end_standby(id);
        }
        self.publish_state(id);
    }

    /// Tells those that watch a link what it does now, if that has changed.
    pub(super) fn publish_state(&mut self, id: LinkId) {
        if let Some(peer) = self.links.get_mut(&id) {
            peer.publish_state();
        }
    }

    /// Removes a link that is over.
    fn remove(&mut self, id: LinkId) {
        let Some(mut peer) = self.links.remove(&id) else {
            return;
        };
        self.listeners.ended(id);
        self.routers.remove(id);
        self.standbys.remove(&id);
        let standby = self.standby_of(id);
        if let Some(standby) = standby.and_then(|standby| self.links.get_mut(&standby)) {
            for opener in peer.take_openers() {
                standby.await_open(opener);
            }
        }
        self.closers.link_ended(id, peer.finish(&self.shared));
    }

    pub(super) fn pump_all(&mut self) {
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            self.pump(id);
        }
    }
}

impl Sessions for BTreeMap<LinkId, Peer> {
    fn session(&mut self, link: LinkId) -> Option<&mut Session> {
        self.get_mut(&link)?.session()
    }

    fn may_be_told(&self, link: LinkId, name: &Name) -> bool {
        let peer = self.get(&link);
        peer.is_some_and(|peer| match name {
            Name::Pattern(pattern) => peer.may_be_told(Permission::Publish, pattern),
            Name::Topic(topic) => peer.may_be_told(Permission::Request, &Pattern::from(topic)),
        })
    }

    fn has_queue_room(&mut self, link: LinkId) -> bool {
        self.get_mut(&link).is_none_or(Peer::has_queue_room)
    }

    fn forget_claim(&mut self, link: LinkId, claim: u32) {
        if let Some(peer) = self.get_mut(&link) {
            peer.forget_claim(claim);
        }
    }
}
