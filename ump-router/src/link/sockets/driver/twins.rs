//! Two links between the same two routers: one is used, and the other stands by.
//!
//! With both, each message would come twice. The hellos have the numbers of the routers, so both
//! ends see it, and follow the same rules:
//!
//! - The router that has connected a link decides, before it tells anything over it. If it has
//!   connected another one, the older is used.
//! - If each of them has connected one, that of the router with the smaller number is used.
//! - A link that stands by is closed, and made again when the other one is lost, or after some
//!   seconds.
//!
//! The number of a router is no secret. So a link that was accepted is the twin of another one only
//! if both are of the same owner: otherwise a peer could take the place of another one. Two links
//! that this router has connected are twins by the number alone, also over different kinds of
//! sockets: it has chosen both peers.
//!
//! A link can be lost at the end that has connected it, and look alive at the other one. Then a new
//! link of the same router tells what it has, which a standby never does, and [replaces] the old.
//!
//! [replaces]: super::relay::Relay

use std::sync::Arc;

use super::{Driver, LinkId, peer::Peer};

impl Driver {
    /// A session has opened. Decides whether the link is used.
    pub(super) fn look_for_twin(&mut self, id: LinkId) {
        self.shared.note_changes(); // it is told what there is now
        self.spread_news();
        let Some(peer) = self.links.get(&id) else {
            return;
        };
        let (router, is_kept) = (peer.router(), peer.is_kept());
        let owner = peer.owner();
        let decides = |router: u128| self.shared.router > router;
        let same_router = router.into_iter().flat_map(|it| self.routers.links(it));
        let mut standby = None;
        for other in same_router.filter(|other| *other != id) {
            let Some(twin) = self.links.get(&other).filter(|it| it.router() == router) else {
                continue;
            };
            match (is_kept, twin.is_kept()) {
                (true, true) => standby = Some((id, other)),
                _ if twin.owner() != owner => {}
                (true, false) if router.is_some_and(decides) => standby = Some((id, other)),
                (false, true) if router.is_some_and(decides) => standby = Some((other, id)),
                _ => {}
            }
        }
        match router {
            Some(router) => self.routers.insert(router, id),
            None => self.routers.remove(id),
        }
        if let Some((standby, used)) = standby {
            self.stand_by(standby, used);
        }
        if let Some(peer) = self.links.get_mut(&id) {
            peer.use_link();
            self.touched.insert(id);
        }
    }

    fn stand_by(&mut self, standby: LinkId, used: LinkId) {
        let Some(name) = self.links.get(&used).map(|used| Arc::clone(used.name())) else {
            return;
        };
        let Some(peer) = self.links.get_mut(&standby) else {
            return;
        };
        let openers = peer.stand_by(&self.shared, (used, name));
        self.standbys.insert(standby);
        self.touched.insert(standby);
        if let Some(used) = self.links.get_mut(&used) {
            for opener in openers {
                used.await_open(opener);
            }
        }
    }

    /// A link is lost: those that stand by for it connect.
    pub(super) fn end_standby(&mut self, id: LinkId) {
        self.routers.remove(id);
        let (links, shared) = (&mut self.links, &self.shared);
        self.standbys.retain(|standby| {
            let peer = links.get_mut(standby);
            peer.is_some_and(|peer| peer.end_standby(shared, id))
        });
    }

    /// Returns a link that stands by for this one.
    pub(super) fn standby_of(&self, id: LinkId) -> Option<LinkId> {
        let twin = |standby: &LinkId| self.links.get(standby).and_then(Peer::twin);
        let mut standbys = self.standbys.iter().copied();
        standbys.find(|standby| twin(standby) == Some(id))
    }

    /// Returns a link, or the one for which it stands by.
    pub(super) fn in_use(&mut self, id: LinkId) -> Option<&mut Peer> {
        let twin = self.links.get(&id)?.twin();
        let twin = twin.filter(|twin| self.links.contains_key(twin));
        self.links.get_mut(&twin.unwrap_or(id))
    }
}
