//! A user: the rooms where one is, and to what one listens besides.

use ump_router::{Pattern, Router, Subscription};

use crate::{
    error::ChatError,
    hearing::{Heard, lines},
    name::Name,
    protocol::Line,
    seat::Seat,
};

#[derive(Debug)]
pub(crate) struct User {
    name: Name,
    /// The user speaks in the last one.
    seats: Vec<Seat>,
    listens: Vec<Subscription<Line>>,
}

impl User {
    pub(crate) fn new(name: Name) -> Self {
        Self {
            name,
            seats: Vec::new(),
            listens: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// Where the user speaks.
    pub(crate) fn room(&self) -> Result<&Name, ChatError> {
        match self.seats.last() {
            Some(seat) => Ok(seat.room()),
            None => Err(ChatError::Nowhere(self.name.clone())),
        }
    }

    /// Takes a seat in the room, or turns back to it.
    pub(crate) fn join(&mut self, router: &Router, room: Name) -> Result<String, ChatError> {
        let seat = match self.seat_in(&room) {
            Some(index) => self.seats.remove(index),
            None => Seat::new(router, room, self.name.clone())?,
        };
        let (name, room) = (&self.name, seat.room());
        let said = if seat.is_host() {
            format!("{name} is in {room}, as its host")
        } else {
            format!("{name} is in {room}, and stands by to be its host")
        };
        self.seats.push(seat);
        Ok(said)
    }

    pub(crate) fn leave(&mut self, room: Option<Name>) -> Result<String, ChatError> {
        let room = room.map_or_else(|| self.room().cloned(), Ok)?;
        let Some(index) = self.seat_in(&room) else {
            let user = self.name.clone();
            return Err(ChatError::NotThere { user, room });
        };
        self.seats.remove(index).leave();
        Ok(format!("{} has left {room}", self.name))
    }

    pub(crate) fn listen(
        &mut self,
        router: &Router,
        pattern: &Pattern,
    ) -> Result<String, ChatError> {
        self.listens.push(router.subscribe(pattern)?);
        Ok(format!("{} listens to {pattern}", self.name))
    }

    pub(crate) fn ignore(&mut self, pattern: &Pattern) -> Result<String, ChatError> {
        let of = |subscription: &Subscription<Line>| subscription.pattern() == pattern;
        let Some(index) = self.listens.iter().position(of) else {
            let (user, pattern) = (self.name.clone(), pattern.to_string());
            return Err(ChatError::NotListening { user, pattern });
        };
        self.listens.remove(index);
        Ok(format!("{} listens to {pattern} no more", self.name))
    }

    /// How many of the user's own subscriptions something reaches that is said there.
    pub(crate) fn ears(&self, topic: &Pattern) -> usize {
        let seats = self.seats.iter().map(Seat::lines);
        let all = seats.chain(&self.listens);
        all.filter(|lines| lines.pattern().meets(topic)).count()
    }

    /// What has come to the user since this was last called.
    pub(crate) fn hear(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        for seat in &mut self.seats {
            seat.hear(&mut heard);
        }
        for subscription in &mut self.listens {
            lines(subscription, &self.name, &mut heard);
        }
        heard
    }

    fn seat_in(&self, room: &Name) -> Option<usize> {
        self.seats.iter().position(|seat| seat.room() == room)
    }
}
