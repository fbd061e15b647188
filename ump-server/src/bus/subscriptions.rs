//! Which end-points subscribe to which channel.

use std::collections::BTreeMap;

use crate::sync::Mutex;

/// The number of a channel, to which end-points (and tasks) subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(pub u64);

#[derive(Default)]
pub(super) struct Subscriptions {
    /// The end-points of each channel that has any, in their order.
    channels: Mutex<BTreeMap<Channel, Vec<usize>>>,
}

impl Subscriptions {
    pub(super) fn add(&self, channel: Channel, endpoint: usize) -> bool {
        let mut channels = self.channels.lock();
        let endpoints = channels.entry(channel).or_default();
        match endpoints.binary_search(&endpoint) {
            Ok(_) => false,
            Err(at) => {
                endpoints.insert(at, endpoint);
                true
            }
        }
    }

    pub(super) fn remove(&self, channel: Channel, endpoint: usize) -> bool {
        let mut channels = self.channels.lock();
        let Some(endpoints) = channels.get_mut(&channel) else {
            return false;
        };
        let Ok(at) = endpoints.binary_search(&endpoint) else {
            return false;
        };
        endpoints.remove(at);
        if endpoints.is_empty() {
            channels.remove(&channel);
        }
        true
    }

    /// Removes all subscriptions of an end-point.
    pub(super) fn remove_all(&self, endpoint: usize) {
        self.channels.lock().retain(|_, endpoints| {
            endpoints.retain(|&other| other != endpoint);
            !endpoints.is_empty()
        });
    }

    /// Returns the end-points of a channel without `except`.
    pub(super) fn of(&self, channel: Channel, except: usize) -> Vec<usize> {
        let channels = self.channels.lock();
        let endpoints = channels.get(&channel).map_or(&[][..], Vec::as_slice);
        endpoints
            .iter()
            .copied()
            .filter(|&endpoint| endpoint != except)
            .collect()
    }
}
