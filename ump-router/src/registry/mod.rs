//! The types of messages and requests that are used on a router, each with its prefix.
//!
//! The first use of a type makes its place, if its prefix keeps it apart from all others. From then on it is found without a lock.

mod by_type;

use std::{
    any::{TypeId, type_name},
    sync::Arc,
};

use ump::Clock;

use self::by_type::ByType;
use crate::{
    error::{Error, ProtocolError},
    presence::{Change, ChangeAnnouncer, RetainedStatus, ServerStatus, Status, SubscriptionStatus},
    protocol::{Bytes, Message, RequestMessage},
    publish::Bus,
    serve::{Servers, Serving},
    sync::{Mutex, Shared},
    topic::Topic,
};

pub(crate) struct Registry {
    places: ByType<dyn Registered>,
    /// Held by who makes a place.
    taken: Mutex<Prefixes>,
    clock: Clock,
    changes: ChangeAnnouncer,
}

/// Whose prefixes are whose.
#[derive(Default)]
struct Prefixes {
    by_messages: Vec<Prefix>,
    by_requests: Vec<Prefix>,
    is_closed: bool,
}

struct Prefix {
    prefix: &'static str,
    of: &'static str,
}

/// The place of a type: its [`Bus`], or its [`Servers`].
trait Registered: Status + Send + Sync {
    fn close(&self);
}

impl Registry {
    pub(crate) fn new(clock: Clock) -> Self {
        let watchers = Arc::new(Bus::<Change>::new(clock.clone(), ChangeAnnouncer::DISABLED));
        let changes = ChangeAnnouncer::new(&watchers);
        let places = ByType::<dyn Registered>::new();
        places.add(Arc::clone(&watchers), watchers);
        Self {
            places,
            taken: Mutex::new(Prefixes::default()),
            clock,
            changes,
        }
    }

    pub(crate) fn bus<M: Message>(&self) -> Result<&Arc<Bus<M>>, Error> {
        self.place(
            Bus::new,
            |taken| &mut taken.by_messages,
            Prefix {
                prefix: M::PREFIX,
                of: type_name::<M>(),
            },
            TypeId::of::<M>() == TypeId::of::<Bytes>(),
        )
    }

    pub(crate) fn servers_of<P: RequestMessage>(&self) -> Result<&Arc<Servers<P>>, Error> {
        self.place(
            Servers::new,
            |taken| &mut taken.by_requests,
            Prefix {
                prefix: P::PREFIX,
                of: type_name::<P>(),
            },
            TypeId::of::<P>() == TypeId::of::<Bytes>(),
        )
    }

    /// Who serves a topic.
    pub(crate) fn server<P: RequestMessage>(&self, topic: &str) -> Option<Shared<Serving<P>>> {
        self.places.find::<Servers<P>>()?.find(topic)
    }

    fn place<T: Registered + 'static>(
        &self,
        make: impl FnOnce(Clock, ChangeAnnouncer) -> T,
        prefixes: impl FnOnce(&mut Prefixes) -> &mut Vec<Prefix>,
        prefix: Prefix,
        is_raw: bool,
    ) -> Result<&Arc<T>, Error> {
        if let Some(place) = self.places.find() {
            return Ok(place);
        }
        let mut taken = self.taken.lock();
        if let Some(place) = self.places.find() {
            return Ok(place);
        }
        if taken.is_closed {
            return Err(Error::Closed);
        }
        // Bytes have no prefix, and are the only ones.
        if !is_raw {
            let prefixes = prefixes(&mut taken);
            prefix.is_apart_from(prefixes)?;
            prefixes.push(prefix);
        }
        let place = Arc::new(make(self.clock.clone(), self.changes.clone()));
        self.places.add(Arc::clone(&place), place);
        Ok(self.places.find().expect("it was added"))
    }

    pub(crate) fn subscriptions(&self) -> Vec<SubscriptionStatus> {
        self.list(Status::subscriptions)
    }

    pub(crate) fn retained(&self) -> Vec<RetainedStatus> {
        self.list(Status::retained)
    }

    pub(crate) fn servers(&self) -> Vec<ServerStatus> {
        self.list(Status::servers)
    }

    fn list<T>(&self, add: impl Fn(&(dyn Registered + 'static), &mut Vec<T>)) -> Vec<T> {
        let mut list = Vec::new();
        for place in self.places.iter() {
            add(place, &mut list);
        }
        list
    }

    pub(crate) fn close(&self) {
        // No place is made after this.
        self.taken.lock().is_closed = true;
        for place in self.places.iter() {
            place.close();
        }
    }
}

impl Prefix {
    fn is_apart_from(&self, others: &[Self]) -> Result<(), ProtocolError> {
        let Self { prefix, of } = *self;
        let is_topic = Topic::check(if prefix.is_empty() { "/" } else { prefix });
        is_topic.map_err(|error| ProtocolError::Prefix { of, error })?;
        let begins_with = |name: &str, with: &str| {
            let rest = name.strip_prefix(with);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let overlaps =
            |other: &&Self| begins_with(prefix, other.prefix) || begins_with(other.prefix, prefix);
        match others.iter().find(overlaps) {
            None => Ok(()),
            Some(other) => Err(ProtocolError::Overlap {
                of,
                prefix,
                with: other.of,
                its_prefix: other.prefix,
            }),
        }
    }
}

impl<M: Message> Registered for Bus<M> {
    fn close(&self) {
        self.close();
    }
}

impl<P: RequestMessage> Registered for Servers<P> {
    fn close(&self) {
        self.close();
    }
}
