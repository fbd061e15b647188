//! Request and reply by topic.

mod attempt;
mod call;
mod claim;
mod future;
mod request;
mod server;
mod servers;
mod status;
mod target;

pub use self::{
    call::Call,
    claim::{Claim, ServeOptions},
    future::RequestFuture,
    request::Request,
    server::Server,
    status::ServerStatus,
};
pub(crate) use self::{servers::Servers, target::Target};
