//! Request and reply by topic.

mod call;
mod claim;
mod request;
mod server;
mod servers;

pub(crate) use self::servers::Servers;
pub use self::{
    call::Call,
    claim::{Claim, ServeOptions},
    request::{RequestBuilder, RequestFuture},
    server::Server,
};
