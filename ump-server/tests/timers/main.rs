//! Timers as seen by a thread that arms them and by the author of a loop. Time is an argument; no
//! test waits.

mod once;
mod periodic;
mod rounds;
mod sleeping;
mod support;
mod tokens;
