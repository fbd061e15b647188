//! The permissions and channels of an allocation, and when they expire.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use super::{Lifetimes, answer::Refusal};

/// The peers of an allocation.
#[derive(Debug)]
pub(super) struct Permissions {
    lifetimes: Lifetimes,
    /// The number of permissions that there may be, and of channels.
    most: usize,
    permitted: BTreeMap<IpAddr, Instant>,
    channels: BTreeMap<u16, Channel>,
    channel_of: BTreeMap<SocketAddr, u16>,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    peer: SocketAddr,
    expires: Instant,
}

impl Permissions {
    pub(super) fn new(lifetimes: Lifetimes, most: usize) -> Self {
        Self {
            lifetimes,
            most,
            permitted: BTreeMap::new(),
            channels: BTreeMap::new(),
            channel_of: BTreeMap::new(),
        }
    }

    /// Adds permissions for all these peers, or for none. Returns when they expire.
    pub(super) fn permit(&mut self, now: Instant, peers: &[IpAddr]) -> Result<Instant, Refusal> {
        self.remove_expired(now);
        let is_new = |peer: &&IpAddr| !self.permitted.contains_key(peer);
        let new = peers.iter().filter(is_new).count();
        if self.permitted.len() + new > self.most {
            return Err(Refusal::InsufficientCapacity);
        }
        let expires = now + self.lifetimes.permission;
        self.permitted
            .extend(peers.iter().map(|&peer| (peer, expires)));
        Ok(expires)
    }

    /// Binds a channel to a peer, which gets a permission. Returns when the first of the two
    /// expires.
    pub(super) fn bind(
        &mut self,
        now: Instant,
        number: u16,
        peer: SocketAddr,
    ) -> Result<Instant, Refusal> {
        self.remove_expired(now);
        let bound_to = self.channels.get(&number).map(|channel| channel.peer);
        let bound_by = self.channel_of.get(&peer).copied();
        if bound_to.is_some_and(|it| it != peer) || bound_by.is_some_and(|it| it != number) {
            return Err(Refusal::BadRequest);
        }
        if bound_to.is_none() && self.channels.len() >= self.most {
            return Err(Refusal::InsufficientCapacity);
        }
        let permission = self.permit(now, &[peer.ip()])?;
        let expires = now + self.lifetimes.channel;
        self.channels.insert(number, Channel { peer, expires });
        self.channel_of.insert(peer, number);
        Ok(expires.min(permission))
    }

    pub(super) fn is_permitted(&self, now: Instant, peer: IpAddr) -> bool {
        let expires = self.permitted.get(&peer);
        expires.is_some_and(|expires| *expires > now)
    }

    /// Returns the peer that a channel is bound to.
    pub(super) fn peer_of(&self, now: Instant, channel: u16) -> Option<SocketAddr> {
        let channel = self.channels.get(&channel)?;
        (channel.expires > now).then_some(channel.peer)
    }

    /// Returns the channel that is bound to a peer.
    pub(super) fn channel_of(&self, now: Instant, peer: SocketAddr) -> Option<u16> {
        let number = *self.channel_of.get(&peer)?;
        self.peer_of(now, number).map(|_| number)
    }

    pub(super) fn remove_expired(&mut self, now: Instant) {
        self.permitted.retain(|_, expires| *expires > now);
        self.channels.retain(|_, channel| channel.expires > now);
        let channels = &self.channels;
        self.channel_of
            .retain(|_, number| channels.contains_key(number));
    }

    /// Returns when the next permission or channel expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let permitted = self.permitted.values().copied();
        let channels = self.channels.values().map(|channel| channel.expires);
        permitted.chain(channels).min()
    }

    /// Returns the numbers of permissions and of channels.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.permitted.len(), self.channels.len())
    }
}
