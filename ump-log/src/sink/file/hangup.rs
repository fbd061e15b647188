//! The signal after which a file is opened anew.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::{SigId, consts::SIGHUP, flag, low_level::unregister};

/// Notes whether `SIGHUP` came.
#[derive(Debug)]
pub(crate) struct Hangup {
    came: Arc<AtomicBool>,
    id: SigId,
}

impl Hangup {
    pub(crate) fn register() -> io::Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        let id = flag::register(SIGHUP, Arc::clone(&came))?;
        Ok(Self { came, id })
    }

    pub(super) fn came(&self) -> bool {
        // ORDERING: pairs with nothing: the flag alone counts.
        self.came.load(Ordering::Relaxed)
    }

    pub(super) fn clear(&self) {
        // ORDERING: pairs with nothing, as above.
        self.came.store(false, Ordering::Relaxed);
    }
}

impl Drop for Hangup {
    fn drop(&mut self) {
        unregister(self.id);
    }
}
