//! What a thread has for [leading](super::leader): its parker, and the link that it serves.
//!
//! A forked child has a copy of the parent's thread, with the same descriptors. It forgets them.

use std::{
    cell::RefCell,
    sync::{Arc, Weak},
};

use ump::PerProcess;
use ump_server::net::Parker;

use super::{LinkId, lock::Links};

/// The address of its value tells a process from its ancestors.
static PROCESS: PerProcess<u8> = PerProcess::new();

thread_local! {
    static STATE: RefCell<Option<ThreadState>> = const { RefCell::new(None) };
}

struct ThreadState {
    process: usize,
    parker: Option<Arc<Parker>>,
    /// The link whose request this thread has answered last.
    asker: Option<(Weak<Links>, LinkId)>,
    /// How many of its requests in a row, up to two.
    streak: u8,
    /// It was answered since the thread has waited last.
    is_new: bool,
}

fn process() -> Option<usize> {
    let value = PROCESS.get(u8::default).ok()?;
    Some(std::ptr::from_ref(value).addr())
}

impl ThreadState {
    fn new(process: usize) -> Self {
        Self {
            process,
            parker: None,
            asker: None,
            streak: 0,
            is_new: false,
        }
    }

    /// Uses the state of this thread. Not if the thread ends, and its values are dropped.
    fn with<T>(use_it: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let process = process()?;
        let used = STATE.try_with(|state| {
            let mut state = state.borrow_mut();
            let state = match &mut *state {
                Some(state) if state.process == process => state,
                other => other.insert(Self::new(process)),
            };
            use_it(state)
        });
        used.ok().flatten()
    }
}

/// Returns the parker of this thread, which waits for nothing yet. `None` if the system has no more
/// descriptors.
pub(super) fn parker() -> Option<Arc<Parker>> {
    ThreadState::with(|state| {
        if state.parker.is_none() {
            state.parker = Some(Arc::new(Parker::new().ok()?));
        }
        let parker = state.parker.clone()?;
        parker.clear(); // of what it was woken for in the last wait
        Some(parker)
    })
}

/// This thread has answered a request of a link.
pub(super) fn answered(links: &Arc<Links>, id: LinkId) {
    ThreadState::with(|state| {
        let asker = state.asker.as_ref();
        let is_same =
            asker.is_some_and(|(of, known)| *known == id && of.as_ptr() == Arc::as_ptr(links));
        if is_same {
            state.streak = 2;
        } else {
            state.asker = Some((Arc::downgrade(links), id));
            state.streak = 1;
        }
        state.is_new = true;
        Some(())
    });
}

/// Returns the link from which the next request of this thread is to be expected: that of the last
/// two, if it has answered one since the last call.
pub(super) fn expected() -> Option<(Arc<Links>, LinkId)> {
    // A thread that has answered no link has no state.
    if !STATE.try_with(|state| state.borrow().is_some()).ok()? {
        return None;
    }
    ThreadState::with(|state| {
        if !std::mem::take(&mut state.is_new) {
            state.asker = None; // it has answered others since
            state.streak = 0;
        }
        let (links, id) = state.asker.as_ref().filter(|_| state.streak == 2)?;
        Some((links.upgrade()?, *id))
    })
}
