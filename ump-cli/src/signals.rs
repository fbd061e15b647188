//! The signals that end the command.

use std::thread;

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::exit::Error;

/// Calls the function, in a thread, at the first SIGTERM or SIGINT. The second one kills.
pub(crate) fn on_stop(stop: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let failed = |error| Error::usage(format!("cannot watch for signals: {error}"));
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(failed)?;
    let run = move || {
        let mut arrived = signals.forever();
        if arrived.next().is_some() {
            stop();
        }
        if let Some(signal) = arrived.next() {
            // It ends the process.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    };
    let thread = thread::Builder::new().name("signals".to_owned()).spawn(run);
    thread.map_err(failed)?;
    Ok(())
}
