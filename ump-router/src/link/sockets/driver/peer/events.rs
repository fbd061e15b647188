//! What a link does with the events of its session.

use ump::Executed;

use super::{Incoming, Interest, Peer, Reply, Shared, connection::Opened, timing::FIRST_PAUSE};
use crate::link::{
    session::{Closed, Event, Outcome, Publication, Replica},
    sockets::{access::Permission, driver::relay::FromLink, error::LinkFailure},
    wire::{Failure, GoodbyeReason, Status},
};

impl Peer {
    pub(super) fn on_event(&mut self, shared: &Shared, event: Event) {
        // Whoever in this process learns of the event finds the subscriptions that came before it.
        if !matches!(event, Event::Subscribe { .. } | Event::Unsubscribe { .. }) {
            self.interest.refresh_outboxes(shared);
        }
        let Some(connection) = &mut self.connection else {
            return;
        };
        match event {
            Event::Opened {
                hello, features, ..
            } => {
                self.replication.open(shared, features, hello.router);
                connection.opened = Some(Opened {
                    router: hello.router,
                    program: hello.name,
                    since: shared.clock.now(),
                    max_pending: hello.limits.requests as usize,
                    is_used: self.for_others.is_accepted(),
                });
                self.has_opened = true;
                let (router, owner) = (hello.router, self.access.owner());
                self.for_others.push(FromLink::Opened { router, owner });
                self.pause = FIRST_PAUSE;
                self.last_failure = None;
            }
            Event::Synced => {
                self.for_others.push(FromLink::Synced);
                connection.synced.there = true;
                for opener in self.openers.drain(..) {
                    let _ = opener.reply(Reply::Done); // an error if the caller is gone
                }
            }
            Event::Subscribe {
                id,
                pattern,
                retained,
            } => self.on_subscribe(shared, id, pattern, retained),
            Event::Unsubscribe { id } => self.on_unsubscribe(shared, id),
            event @ Event::Message { .. } => self.on_message(shared, event),
            Event::Replicate(replica) => self.on_replicate(shared, replica),
            Event::Unretain { topic } => self.on_replicate(shared, Replica::removal(topic)),
            Event::Gap { id, missed } => {
                self.interest.on_gap(shared, id, missed);
                self.for_others.push(FromLink::Gap { id, missed });
            }
            event @ Event::Serve { .. } => self.on_serve(shared, event),
            Event::Leave { id } => {
                self.requests.on_leave(id);
                self.for_others.push(FromLink::Leave(id));
            }
            event @ Event::Request { .. } => self.on_request(shared, event),
            Event::Withdrawn { request } => {
                self.requests.on_withdrawn(request);
                self.for_others.push(FromLink::Withdrawn(request));
            }
            Event::Ended { request, outcome } => {
                if let Outcome::LinkLost(_) = outcome {
                    self.requests.end_claims();
                }
                if let Some(outcome) = self.requests.on_ended(request, outcome) {
                    self.for_others.push(FromLink::Ended { request, outcome });
                }
            }
            Event::Closed(closed) => {
                self.has_ended |= connection.opened.is_some();
                connection.opened = None;
                self.requests.end();
                let is_complete = self.target.is_none() && is_complete(&closed);
                self.for_others.push(FromLink::Closed { is_complete });
                if !is_complete {
                    self.interest.interrupt(shared);
                }
                self.interest = Interest::new(&self.name);
                self.replication.end();
                match connection.tls_failure.take() {
                    Some(text) => self.last_failure = Some(LinkFailure::Tls(text)),
                    None if closed == Closed::Local => {}
                    None => self.last_failure = Some(LinkFailure::Ended(closed)),
                }
            }
            // If there was no room to tell all, there may be after an answer: `tell` looks.
            Event::Subscribed { id, status, text } => {
                if let Some(own) = self.interest.on_subscribed(shared, id, status) {
                    self.refused(shared, Permission::Subscribe, &own, (status, text));
                }
            }
            Event::Served { id, status, text } => {
                if let Some(own) = self.requests.on_served(id, status) {
                    self.refused(shared, Permission::Serve, &own, (status, text));
                }
            }
            Event::Refused {
                status,
                topic,
                text,
            } => self.refused(shared, Permission::Publish, &topic, (status, text)),
            Event::Taken { .. } => {}
        }
    }

    fn on_unsubscribe(&mut self, shared: &Shared, id: u32) {
        self.replication.end_backlog(id);
        self.interest.on_unsubscribe(shared, id);
        self.for_others.push(FromLink::Unsubscribe(id));
    }

    fn on_message(&mut self, shared: &Shared, event: Event) {
        let Event::Message {
            to,
            topic,
            retain,
            codec,
            payload,
            ..
        } = event
        else {
            return;
        };
        if let Err(refusal) = self.access.check(Permission::Publish, &topic) {
            return self.deny_message((&to, &topic), payload.len(), &refusal);
        }
        let Some(session) = self.connection.as_mut().and_then(|it| it.session.as_mut()) else {
            return;
        };
        if let Some(topic) = topic.as_topic().filter(|_| retain) {
            for id in &to {
                let _ = session.consumed(*id, 1, payload.len() as u64); // an error if it has ended
            }
            let replica = Replica::new(topic.clone(), codec, payload);
            return self.on_replicate(shared, replica);
        }
        self.interest
            .on_message(shared, session, (&to, &topic), (codec, &payload));
        if !to.iter().all(|id| self.interest.is_own(*id)) {
            let publication = Publication::new(topic, codec, payload);
            self.for_others.push(FromLink::Message { to, publication });
        }
    }

    fn on_serve(&mut self, shared: &Shared, event: Event) {
        let Event::Serve {
            id,
            topic,
            stand_by,
        } = event
        else {
            return;
        };
        if !self.admits_claim(id, &topic) {
            return;
        }
        let Some(session) = self.connection.as_mut().and_then(|it| it.session.as_mut()) else {
            return;
        };
        let claim = (id, topic.clone());
        let status = self.requests.on_serve(shared, &self.name, claim, stand_by);
        // If the type does not travel, only other links may ask.
        let status = status.or((!self.for_others.is_accepted()).then_some(Status::Accepted));
        if let Some(status) = status {
            let _ = session.answer_serve(id, status, "");
        }
        if matches!(status, None | Some(Status::Accepted | Status::StandingBy)) {
            let unanswered = status.is_none().then_some(stand_by);
            self.for_others.push(FromLink::Serve {
                id,
                topic,
                unanswered,
            });
        }
        self.count();
    }

    fn on_request(&mut self, shared: &Shared, event: Event) {
        let Event::Request {
            request,
            topic,
            deadline,
            codec,
            payload,
        } = event
        else {
            return;
        };
        if !self.admits_request(request, &topic) {
            return;
        }
        let Some(session) = self.connection.as_mut().and_then(|it| it.session.as_mut()) else {
            return;
        };
        let incoming = Incoming {
            request,
            topic,
            deadline,
            codec,
            payload,
        };
        let unanswered = self.requests.on_request(shared, session, self.id, incoming);
        match unanswered {
            Some(incoming) if self.for_others.is_accepted() => {
                self.for_others.push(FromLink::Request(incoming));
            }
            Some(_) => {
                let _ = session.fail(request, Failure::NoServer, Executed::No, "");
            }
            None => {}
        }
    }
}

/// Returns whether the peer has left on purpose: before its goodbye came all that it had to send.
fn is_complete(closed: &Closed) -> bool {
    matches!(
        closed,
        Closed::Peer {
            reason: GoodbyeReason::Done | GoodbyeReason::ShuttingDown,
            ..
        }
    )
}
