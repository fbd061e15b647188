//! Request and reply by topic.

mod attempt;
mod call;
mod channel;
mod claim;
mod future;
mod options;
mod request;
mod server;
mod servers;
mod status;
mod target;
mod typed;

pub use self::{
    call::Call,
    claim::{Claim, ServeOptions},
    future::RequestFuture,
    request::Request,
    server::Server,
    status::ServerStatus,
    typed::Typed,
};
pub(crate) use self::{servers::Servers, target::Target};
