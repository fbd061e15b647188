//! Timers as whoever arms them and whoever writes a loop sees them. Time is an argument; nothing here waits.

mod once;
mod periodic;
mod rounds;
mod sleeping;
mod support;
mod tokens;
