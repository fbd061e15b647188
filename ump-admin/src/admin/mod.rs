//! What a program configures, and the handle that it gets.

mod builder;
mod error;
mod handle;
mod systemd;

pub use self::{builder::Admin, error::ListenError, handle::AdminHandle};
