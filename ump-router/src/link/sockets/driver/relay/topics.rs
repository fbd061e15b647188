//! Topics that links serve.

use super::{Name, Relay, Sessions, Side, remove};
use crate::{
    link::{
        session::{Rejected, Session},
        sockets::driver::LinkId,
        wire::Status,
    },
    topic::Topic,
};

impl Relay {
    /// A link claims a topic. If the hub has no answer of its own, because it does not carry the
    /// type, the first claim of a link serves, and others stand by if they want to.
    pub(super) fn on_serve(
        &mut self,
        sessions: &mut impl Sessions,
        link: LinkId,
        (id, topic): (u32, Topic),
        unanswered: Option<bool>,
    ) {
        let Some(side) = self.sides.get_mut(&link) else {
            return;
        };
        if let Some(may_stand_by) = unanswered {
            let status = match self.topics.contains_key(&topic) {
                false => Status::Accepted,
                true if may_stand_by => Status::StandingBy,
                true => Status::Taken,
            };
            if let Some(session) = sessions.session(link) {
                let _ = session.answer_serve(id, status, ""); // an error if it has ended
                self.touched.insert(link);
            }
            if status == Status::Taken {
                return sessions.forget_claim(link, id);
            }
        }
        side.claims.insert(id, topic.clone());
        let claims = self.topics.entry(topic.clone()).or_default();
        claims.push((link, id));
        self.changed(link, &Name::Topic(topic));
    }

    /// A link gives up a claim. The next one is told that it serves.
    pub(super) fn on_leave(&mut self, sessions: &mut impl Sessions, link: LinkId, id: u32) {
        let side = self.sides.get_mut(&link);
        let Some(topic) = side.and_then(|side| side.claims.remove(&id)) else {
            return;
        };
        let server = |relay: &Self| relay.topics.get(&topic).and_then(|it| it.first().copied());
        let former = server(self);
        remove(&mut self.topics, &topic, (link, id));
        let next = server(self);
        if let Some((link, id)) = next.filter(|_| next != former) {
            if let Some(session) = sessions.session(link) {
                let _ = session.answer_serve(id, Status::Accepted, "");
                self.touched.insert(link);
            }
        }
        self.changed(link, &Name::Topic(topic));
    }

    /// A link is lost: it serves no topics any more.
    pub(super) fn end_claims(&mut self, sessions: &mut impl Sessions, link: LinkId) {
        let Some(side) = self.sides.get(&link) else {
            return;
        };
        for id in side.claims.keys().copied().collect::<Vec<_>>() {
            self.on_leave(sessions, link, id);
        }
    }

    /// Returns the link that is asked: the first one that claimed the topic, without the caller's.
    pub(super) fn server_of(&self, topic: &Topic, caller: LinkId) -> Option<LinkId> {
        let mut claims = self.topics.get(topic)?.iter();
        let (link, _) = claims.find(|(link, _)| *link != caller)?;
        Some(*link)
    }
}

impl Side {
    /// Tells the link that others serve a topic, or do no more. Fails if it cannot be told.
    pub(super) fn tell_topic(
        &mut self,
        session: &mut Session,
        topic: &Topic,
        is_wanted: bool,
    ) -> Result<(), Rejected> {
        match (is_wanted, self.told_topics.get(topic)) {
            (true, None) => {
                let id = session.serve(topic, true)?;
                self.told_topics.insert(topic.clone(), id);
            }
            (false, Some(&id)) => {
                self.told_topics.remove(topic);
                let _ = session.leave(id); // an error if it was refused
            }
            _ => {}
        }
        Ok(())
    }
}
