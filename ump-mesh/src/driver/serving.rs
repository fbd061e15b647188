//! The claims of this process, and who serves.

use ump_router::{Pattern, Topic};
use zenoh::{Wait as _, liveliness::LivelinessToken, query::Queryable};

use super::{Driver, callbacks};
use crate::{
    claims::{Review, Role},
    keys::Token,
    shared::Key,
};

/// A claim of this process, as others see it.
pub(super) struct OwnClaim {
    epoch: u64,
    _token: LivelinessToken,
    /// For plain zenoh programs, while the claim serves.
    _queryable: Option<Queryable<()>>,
}

impl OwnClaim {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl Driver {
    pub(super) fn claim(&mut self, topic: &Topic) {
        let epoch = self.claims.claim(topic);
        if !self.review(topic) {
            self.tell_claim(topic, epoch, Role::StandsBy);
        }
    }

    pub(super) fn release(&mut self, topic: &Topic) {
        self.own_claims.remove(topic);
        self.claims.release(topic);
        self.review(topic);
    }

    /// Looks who serves a topic now. Returns whether the claim of this process has changed its
    /// role.
    pub(super) fn review(&mut self, topic: &Topic) -> bool {
        let review = self.claims.review(topic);
        self.follow(topic, review)
    }

    /// Renews the claims of all topics that this process serves: others have had the right to serve
    /// them meanwhile.
    pub(super) fn renew_claims(&mut self) {
        for topic in self.claims.served() {
            let review = self.claims.renew(&topic);
            self.follow(&topic, review);
            self.review(&topic);
        }
    }

    fn follow(&mut self, topic: &Topic, review: Review) -> bool {
        // The servers of this process first, so that none serves that has stepped down.
        if self.claims.stands_by(topic) {
            if self.servers.add(topic.clone()) {
                self.shared.queue.wake(Key::Servers);
            }
        } else {
            self.servers.remove(topic);
        }
        match review {
            Review::Same => return false,
            Review::Serves { epoch } => self.tell_claim(topic, epoch, Role::Serves),
            Review::SteppedDown { epoch } => {
                self.tell_claim(topic, epoch, Role::StandsBy);
                self.end_requests_on(topic);
            }
        }
        true
    }

    /// Tells a claim to others, instead of the former one of the topic.
    fn tell_claim(&mut self, topic: &Topic, epoch: u64, role: Role) {
        let queryable = match role {
            Role::Serves => {
                let pattern = Pattern::from(topic);
                callbacks::queries(&self.session, &self.shared, &pattern).ok()
            }
            Role::StandsBy => None,
        };
        let token = Token::Claim {
            id: self.shared.own,
            epoch,
            topic: topic.clone(),
            role,
        };
        // An error if the session was closed. The new token is there before the former one goes.
        if let Ok(token) = self.session.liveliness().declare_token(token.key()).wait() {
            let own = OwnClaim {
                epoch,
                _token: token,
                _queryable: queryable,
            };
            self.own_claims.insert(topic.clone(), own);
        }
    }
}
