//! Request and reply by topic.

mod answers;
mod attempt;
mod call;
mod channel;
mod claim;
mod future;
#[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
mod link;
mod options;
mod pinned;
mod request;
mod request_all;
mod server;
mod servers;
mod status;
mod target;
mod typed;
mod woken_queue;

#[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
pub(crate) use self::link::{LinkCall, LinkCalls, LinkContext, LocalRequest};
pub use self::{
    answers::{Answer, AnswerIter, AnswerStream, Answers},
    call::Call,
    claim::{Claim, ServeOptions},
    future::RequestFuture,
    pinned::PinnedClient,
    request::Request,
    request_all::{RequestAll, RequestAllFuture},
    server::{Server, ServerIter},
    status::ServerStatus,
    typed::Typed,
};
pub(crate) use self::{servers::Servers, target::Target};
