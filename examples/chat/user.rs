//! A user: the rooms it is in, and its other subscriptions.

use std::task::{Context, Waker};

use ump_router::{Pattern, Router, Subscription};

use crate::{
    error::ChatError,
    incoming::{Incoming, receive},
    membership::Membership,
    name::Name,
    protocol::Line,
};

#[derive(Debug)]
pub(crate) struct User {
    name: Name,
    /// The last one is that of the current room.
    memberships: Vec<Membership>,
    subscriptions: Vec<Subscription<Line>>,
}

impl User {
    pub(crate) fn new(name: Name) -> Self {
        Self {
            name,
            memberships: Vec::new(),
            subscriptions: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// Returns the current room.
    pub(crate) fn room(&self) -> Result<&Name, ChatError> {
        match self.memberships.last() {
            Some(membership) => Ok(membership.room()),
            None => Err(ChatError::InNoRoom(self.name.clone())),
        }
    }

    /// Joins a room, or switches to it.
    pub(crate) fn join(
        &mut self,
        router: &Router,
        room: Name,
        waker: &Waker,
    ) -> Result<String, ChatError> {
        let membership = match self.position(&room) {
            Some(index) => self.memberships.remove(index),
            None => Membership::new(router, room, self.name.clone(), waker)?,
        };
        let (name, room) = (&self.name, membership.room());
        let role = if membership.is_host() {
            "host"
        } else {
            "standby"
        };
        let output = format!("{name} is in {room}, as {role}");
        self.memberships.push(membership);
        Ok(output)
    }

    pub(crate) fn leave(&mut self, room: Option<Name>) -> Result<String, ChatError> {
        let room = room.map_or_else(|| self.room().cloned(), Ok)?;
        let Some(index) = self.position(&room) else {
            let user = self.name.clone();
            return Err(ChatError::NotAMember { user, room });
        };
        self.memberships.remove(index).leave();
        Ok(format!("{} has left {room}", self.name))
    }

    pub(crate) fn listen(
        &mut self,
        router: &Router,
        pattern: &Pattern,
    ) -> Result<String, ChatError> {
        self.subscriptions.push(router.subscribe(pattern)?);
        Ok(format!("{} listens to {pattern}", self.name))
    }

    pub(crate) fn ignore(&mut self, pattern: &Pattern) -> Result<String, ChatError> {
        let matches = |subscription: &Subscription<Line>| subscription.pattern() == pattern;
        let Some(index) = self.subscriptions.iter().position(matches) else {
            let (user, pattern) = (self.name.clone(), pattern.to_string());
            return Err(ChatError::NotListening { user, pattern });
        };
        self.subscriptions.remove(index);
        Ok(format!("{} no longer listens to {pattern}", self.name))
    }

    /// Counts the user's subscriptions that a line on this topic reaches.
    pub(crate) fn count_subscriptions(&self, topic: &Pattern) -> usize {
        let in_rooms = self.memberships.iter().map(Membership::lines);
        let all = in_rooms.chain(&self.subscriptions);
        all.filter(|lines| lines.pattern().intersects(topic))
            .count()
    }

    /// Receives what is queued for the user. Registers the waker for what comes next.
    pub(crate) fn receive(&mut self, cx: &mut Context<'_>) -> Vec<Incoming> {
        let mut incoming = Vec::new();
        for membership in &mut self.memberships {
            membership.receive(&mut incoming, cx);
        }
        for subscription in &mut self.subscriptions {
            receive(subscription, &self.name, &mut incoming, cx);
        }
        incoming
    }

    fn position(&self, room: &Name) -> Option<usize> {
        self.memberships
            .iter()
            .position(|membership| membership.room() == room)
    }
}
