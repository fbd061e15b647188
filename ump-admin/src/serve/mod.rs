//! Serves HTTP within limits: where, to whom, and how long.

mod address;
mod connection;
mod guard;
mod listener;

pub use self::address::{Address, AddressError};
pub(crate) use self::{
    connection::{Limits, serve},
    guard::{Access, Guard, Token},
    listener::Listener,
};
