//! The types of messages and requests that are used on a router, each with its prefix.
//!
//! The first use of a type makes its place, under the lock for writing, if its prefix keeps it apart from all others. From then on it is found
//! under the lock for reading.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use ump::Clock;

use crate::{
    error::{Error, ProtocolError},
    protocol::{Bytes, Message, Request},
    publish::Bus,
    serve::{Servers, Serving},
    status::{RetainedStatus, ServerStatus, Status, SubscriptionStatus},
    sync::{RwLock, Shared},
    topic::Topic,
    watch::{Change, Changes},
};

pub(crate) struct Protocols {
    places: RwLock<Places>,
    clock: Clock,
    changes: Changes,
}

struct Places {
    /// By the type of the place.
    by_type: HashMap<TypeId, Arc<dyn Place>, BuildHasherDefault<AsItIs>>,
    /// Whose prefixes are whose.
    messages: Vec<Prefix>,
    requests: Vec<Prefix>,
    is_closed: bool,
}

struct Prefix {
    prefix: &'static str,
    of: &'static str,
}

/// The place of a type: its [`Bus`], or its [`Servers`].
trait Place: Status + Any + Send + Sync {
    fn close(&self);
    fn as_any(&self) -> &dyn Any;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// A [`TypeId`] is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write_u64(&mut self, part: u64) {
        self.0 ^= part;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Should it be made of something else one day.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Protocols {
    pub(crate) fn new(clock: Clock) -> Self {
        let watchers = Arc::new(Bus::<Change>::new(clock.clone(), Changes::TOLD_TO_NOBODY));
        let changes = Changes::told_on(&watchers);
        let place = Arc::clone(&watchers) as Arc<dyn Place>;
        Self {
            places: RwLock::new(Places {
                by_type: HashMap::from_iter([(TypeId::of::<Bus<Change>>(), place)]),
                messages: Vec::new(),
                requests: Vec::new(),
                is_closed: false,
            }),
            clock,
            changes,
        }
    }

    pub(crate) fn bus<M: Message>(&self) -> Result<Arc<Bus<M>>, Error> {
        self.place(
            Bus::new,
            |places| &mut places.messages,
            Prefix {
                prefix: M::PREFIX,
                of: type_name::<M>(),
            },
            TypeId::of::<M>() == TypeId::of::<Bytes>(),
        )
    }

    pub(crate) fn servers_of<P: Request>(&self) -> Result<Arc<Servers<P>>, Error> {
        self.place(
            Servers::new,
            |places| &mut places.requests,
            Prefix {
                prefix: P::PREFIX,
                of: type_name::<P>(),
            },
            TypeId::of::<P>() == TypeId::of::<Bytes>(),
        )
    }

    /// Who serves a topic.
    pub(crate) fn server<P: Request>(&self, topic: &str) -> Option<Shared<Serving<P>>> {
        let places = self.places.read();
        let place = places.by_type.get(&TypeId::of::<Servers<P>>())?;
        let servers = place.as_any().downcast_ref::<Servers<P>>()?;
        servers.find(topic)
    }

    fn place<T: Place>(
        &self,
        make: impl FnOnce(Clock, Changes) -> T,
        prefixes: impl FnOnce(&mut Places) -> &mut Vec<Prefix>,
        prefix: Prefix,
        is_raw: bool,
    ) -> Result<Arc<T>, Error> {
        let id = TypeId::of::<T>();
        if let Some(place) = self.places.read().by_type.get(&id) {
            return Ok(downcast(Arc::clone(place)));
        }
        let mut places = self.places.write();
        if let Some(place) = places.by_type.get(&id) {
            return Ok(downcast(Arc::clone(place)));
        }
        if places.is_closed {
            return Err(Error::Closed);
        }
        // Bytes have no prefix, and are the only ones.
        if !is_raw {
            let prefixes = prefixes(&mut places);
            prefix.is_apart_from(prefixes)?;
            prefixes.push(prefix);
        }
        let place = Arc::new(make(self.clock.clone(), self.changes.clone()));
        let erased = Arc::clone(&place) as Arc<dyn Place>;
        places.by_type.insert(id, erased);
        Ok(place)
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

    fn list<T>(&self, add: impl Fn(&dyn Place, &mut Vec<T>)) -> Vec<T> {
        let mut list = Vec::new();
        for place in self.places.read().by_type.values() {
            add(&**place, &mut list);
        }
        list
    }

    pub(crate) fn close(&self) {
        let mut places = self.places.write();
        places.is_closed = true;
        let all: Vec<_> = places.by_type.values().map(Arc::clone).collect();
        drop(places);
        for place in all {
            place.close();
        }
    }
}

fn downcast<T: Place>(place: Arc<dyn Place>) -> Arc<T> {
    let place = place.into_any().downcast();
    place.expect("a place is found by its type")
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

impl<M: Message> Place for Bus<M> {
    fn close(&self) {
        self.close();
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl<P: Request> Place for Servers<P> {
    fn close(&self) {
        self.close();
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
