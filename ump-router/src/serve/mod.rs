//! Request and reply by topic.

mod call;
mod claim;
mod request;
mod server;
mod servers;
mod serving;

pub use self::{
    call::Call,
    claim::{Claim, ServeOptions},
    request::{RequestBuilder, RequestFuture},
    server::Server,
};
pub(crate) use self::{servers::Servers, serving::Serving};
