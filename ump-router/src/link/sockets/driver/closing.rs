//! Callers that wait until links are closed.

use std::collections::BTreeSet;

use super::{LinkId, LinkSetupError, Reply};

/// A caller that waits for something of a link.
pub(super) type Waiting = ump::ReplyContext<Reply, LinkSetupError>;

/// Those that wait until all links are gone that there were.
#[derive(Default)]
pub(super) struct Closers(Vec<Closer>);

struct Closer {
    caller: Waiting,
    /// The links that are still there.
    links: BTreeSet<LinkId>,
    /// Whether all peers have answered so far.
    is_complete: bool,
}

impl Closers {
    /// Adds a caller that waits for the end of these links.
    pub(super) fn push(&mut self, caller: Waiting, links: BTreeSet<LinkId>) {
        if links.is_empty() {
            return tell_closed(caller, true);
        }
        self.0.push(Closer {
            caller,
            links,
            is_complete: true,
        });
    }

    /// A link has ended; its peer has all that was sent, or may not.
    pub(super) fn link_ended(&mut self, link: LinkId, is_complete: bool) {
        for closer in &mut self.0 {
            if closer.links.remove(&link) {
                closer.is_complete &= is_complete;
            }
        }
        let all = std::mem::take(&mut self.0).into_iter();
        let (done, waiting): (Vec<_>, Vec<_>) = all.partition(|closer| closer.links.is_empty());
        self.0 = waiting;
        for closer in done {
            tell_closed(closer.caller, closer.is_complete);
        }
    }
}

/// Tells a caller that a link is closed, and whether the peer has all that was sent.
pub(super) fn tell_closed(caller: Waiting, is_complete: bool) {
    let answer = is_complete.then_some(Reply::Done);
    // An error if the caller is gone.
    let _ = caller.answer(answer.ok_or(LinkSetupError::Closed));
}
