//! The types of messages and requests in use on a router, each with its prefix.
//!
//! The first use of a type registers it, if its prefix keeps it apart from all others. From then on
//! it is found without a lock.

mod by_type;
mod prefixes;

use std::{
    any::{TypeId, type_name},
    sync::Arc,
};

use ump::Clock;

use self::{
    by_type::ByType,
    prefixes::{PrefixOwner, Prefixes},
};
use crate::{
    error::Error,
    presence::{Change, ChangeAnnouncer, ChangeSink},
    protocol::{Bytes, Message, RequestMessage},
    publish::{Bus, RetainedStatus, SubscriptionStatus},
    serve::{ServerStatus, Servers, Target},
    sync::Mutex,
    topic::{IntoPattern, IntoTopic, Pattern, full_name::check_written},
};

pub(crate) struct Registry {
    types: ByType<dyn Registered>,
    /// Locked while a type is registered.
    registration: Mutex<Registration>,
    clock: Clock,
    changes: ChangeAnnouncer,
}

#[derive(Default)]
struct Registration {
    messages: Prefixes,
    requests: Prefixes,
    is_closed: bool,
}

/// The value that is registered for a type: its [`Bus`], or its [`Servers`].
trait Registered: Send + Sync {
    fn close(&self);

    fn list_subscriptions(&self, _list: &mut Vec<SubscriptionStatus>) {}

    fn list_retained(&self, _list: &mut Vec<RetainedStatus>) {}

    fn list_servers(&self, _list: &mut Vec<ServerStatus>) {}

    /// Removes the retained message of a status, if it is of this type. Returns whether there was
    /// one.
    fn remove_retained(&self, _status: &RetainedStatus) -> Result<bool, Error> {
        Ok(false)
    }
}

impl Registry {
    pub(crate) fn new(clock: Clock) -> Self {
        let change_bus = Arc::new(Bus::<Change>::new(clock.clone(), ChangeAnnouncer::DISABLED));
        let changes = ChangeAnnouncer::new(Arc::clone(&change_bus) as Arc<dyn ChangeSink>);
        let types = ByType::<dyn Registered>::new();
        types.add(Arc::clone(&change_bus), change_bus);
        Self {
            types,
            registration: Mutex::new(Registration::default()),
            clock,
            changes,
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns the bus of a type of messages.
    pub(crate) fn bus<M: Message>(&self) -> Result<&Arc<Bus<M>>, Error> {
        self.find_or_register(
            Bus::new,
            |registration| &mut registration.messages,
            PrefixOwner {
                prefix: M::PREFIX,
                type_name: type_name::<M>(),
            },
            TypeId::of::<M>() == TypeId::of::<Bytes>(),
        )
    }

    /// Returns the servers of a type of requests.
    pub(crate) fn servers_of<P: RequestMessage>(&self) -> Result<&Arc<Servers<P>>, Error> {
        self.find_or_register(
            Servers::new,
            |registration| &mut registration.requests,
            PrefixOwner {
                prefix: P::PREFIX,
                type_name: type_name::<P>(),
            },
            TypeId::of::<P>() == TypeId::of::<Bytes>(),
        )
    }

    /// Returns where a request on a topic goes.
    pub(crate) fn target<P: RequestMessage>(&self, topic: impl IntoTopic) -> Target<P> {
        // A topic that has a server is valid, so that its text need not be checked.
        let servers = self.types.find::<Servers<P>>();
        let serving = servers.and_then(|servers| servers.find(topic.as_text()));
        match serving {
            Some(serving) => Target::Server(serving),
            None => Target::without_server(self.servers_of(), topic),
        }
    }

    /// Returns where a request to all servers of a pattern goes.
    pub(crate) fn targets<P: RequestMessage>(
        &self,
        pattern: impl IntoPattern,
    ) -> Result<(Arc<Servers<P>>, Pattern), Error> {
        let servers = self.servers_of()?;
        let pattern = pattern.into_pattern()?;
        check_written(P::PREFIX, &pattern)?;
        Ok((Arc::clone(servers), pattern))
    }

    fn find_or_register<T: Registered + 'static>(
        &self,
        make: impl FnOnce(Clock, ChangeAnnouncer) -> T,
        prefixes: impl FnOnce(&mut Registration) -> &mut Prefixes,
        owner: PrefixOwner,
        is_bytes: bool,
    ) -> Result<&Arc<T>, Error> {
        if let Some(found) = self.types.find() {
            return Ok(found);
        }
        let mut registration = self.registration.lock();
        if let Some(found) = self.types.find() {
            return Ok(found);
        }
        if registration.is_closed {
            return Err(Error::Closed);
        }
        // `Bytes` is the only type without a prefix.
        if !is_bytes {
            prefixes(&mut registration).add(owner)?;
        }
        let registered = Arc::new(make(self.clock.clone(), self.changes.clone()));
        self.types.add(Arc::clone(&registered), registered);
        Ok(self.types.find().expect("the type was added above"))
    }

    pub(crate) fn subscriptions(&self) -> Vec<SubscriptionStatus> {
        self.list(|registered, list| registered.list_subscriptions(list))
    }

    pub(crate) fn retained(&self) -> Vec<RetainedStatus> {
        self.list(|registered, list| registered.list_retained(list))
    }

    pub(crate) fn remove_retained(&self, status: &RetainedStatus) -> Result<bool, Error> {
        for registered in self.types.iter() {
            if registered.remove_retained(status)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn servers(&self) -> Vec<ServerStatus> {
        self.list(|registered, list| registered.list_servers(list))
    }

    fn list<T>(&self, add: impl Fn(&dyn Registered, &mut Vec<T>)) -> Vec<T> {
        let mut list = Vec::new();
        for registered in self.types.iter() {
            add(registered, &mut list);
        }
        list
    }

    pub(crate) fn close(&self) {
        // No type is registered after this.
        self.registration.lock().is_closed = true;
        for registered in self.types.iter() {
            registered.close();
        }
    }
}

impl<M: Message> Registered for Bus<M> {
    fn close(&self) {
        self.close();
    }

    fn list_subscriptions(&self, list: &mut Vec<SubscriptionStatus>) {
        self.list_subscriptions(list);
    }

    fn list_retained(&self, list: &mut Vec<RetainedStatus>) {
        self.list_retained(list);
    }

    fn remove_retained(&self, status: &RetainedStatus) -> Result<bool, Error> {
        self.remove_listed(status)
    }
}

impl<P: RequestMessage> Registered for Servers<P> {
    fn close(&self) {
        self.close();
    }

    fn list_servers(&self, list: &mut Vec<ServerStatus>) {
        self.list(list);
    }
}
