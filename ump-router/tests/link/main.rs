//! The wire protocol, and sessions back to back in virtual time.

mod codec;
#[cfg(feature = "compression")]
mod compression;
mod day;
mod document;
mod ends;
mod flow;
mod hostile;
mod loss;
mod pair;
mod programs;
mod progress;
#[cfg(unix)]
mod python;
mod replicas;
mod requests;
