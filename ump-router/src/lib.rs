#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod claims;
mod deferred;
mod error;
pub mod index;
mod notify;
mod presence;
mod protocol;
mod publish;
mod registry;
mod router;
pub mod routing;
mod serve;
mod sync;
pub mod topic;
mod topic_client;

pub use ump;

pub use crate::{
    error::{Error, ProtocolError, PublishError, RequestError, RequestErrorKind},
    presence::{Change, ChangeKind},
    protocol::{Bytes, Message, RequestMessage},
    publish::{
        Iter, Messages, Publish, PublishFuture, Published, Received, Recv, RecvError,
        RetainedStatus, SubscribeOptions, Subscription, SubscriptionStatus, WhenFull,
    },
    router::Router,
    serve::{Call, Claim, Request, RequestFuture, ServeOptions, Server, ServerStatus, Typed},
    topic::{Pattern, Topic, TopicError, TopicErrorKind},
    topic_client::TopicClient,
};
