//! The links of each router that has one.

use std::collections::{BTreeSet, HashMap};

use super::LinkId;

/// Links by the numbers of the routers at their other ends, as these say themselves.
#[derive(Default)]
pub(super) struct Routers {
    links: BTreeSet<(u128, LinkId)>,
    numbers: HashMap<LinkId, u128>,
}

impl Routers {
    /// A link has opened.
    pub(super) fn insert(&mut self, router: u128, link: LinkId) {
        self.remove(link);
        self.links.insert((router, link));
        self.numbers.insert(link, router);
    }

    /// A link has ended, or was none of a router.
    pub(super) fn remove(&mut self, link: LinkId) {
        if let Some(router) = self.numbers.remove(&link) {
            self.links.remove(&(router, link));
        }
    }

    /// Returns the links of a router, in order.
    pub(super) fn links(&self, router: u128) -> impl Iterator<Item = LinkId> + '_ {
        let all = (router, LinkId(0))..=(router, LinkId(u64::MAX));
        self.links.range(all).map(|(_, link)| *link)
    }
}
