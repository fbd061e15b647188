#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod claims;
mod error;
mod index;
mod notify;
mod presence;
mod protocol;
mod publish;
mod registry;
mod router;
pub mod routing;
mod serve;
mod sync;
mod timeout;
pub mod topic;
mod unwind;

pub use ump;

pub use crate::{
    error::{Error, ProtocolError, PublishError, RequestError, RequestErrorKind},
    presence::{Change, ChangeKind, RetainedStatus, ServerStatus, SubscriptionStatus},
    protocol::{Bytes, Message, RequestMessage},
    publish::{
        Publish, PublishFuture, Published, Received, RecvError, SubscribeOptions, Subscription,
        WhenFull,
    },
    router::Router,
    serve::{Call, Claim, Request, RequestFuture, ServeOptions, Server},
    topic::{Pattern, Topic, TopicError, TopicErrorKind},
};
