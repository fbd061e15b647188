//! Services with typed methods, from outside: on every kind of loop, and behind a topic.

mod batches;
mod calls;
mod generics;
mod loops;
mod names;
mod outcomes;
mod shapes;
mod starting;
mod timers;
mod topics;
