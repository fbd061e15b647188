#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod by_type;
pub mod core;
mod error;
mod in_time;
mod index;
mod names;
mod protocol;
mod protocols;
mod publish;
mod router;
mod serve;
mod shield;
mod signal;
mod status;
mod sync;
pub mod topic;
mod watch;

pub use ump;

pub use crate::{
    error::{Error, ProtocolError, PublishError, RequestError, RequestErrorKind},
    protocol::{Bytes, Message, Request},
    publish::{
        Publish, PublishFuture, Published, Received, RecvError, SubscribeOptions, Subscription,
        WhenFull,
    },
    router::Router,
    serve::{Call, Claim, RequestBuilder, RequestFuture, ServeOptions, Server},
    status::{RetainedStatus, ServerStatus, SubscriptionStatus},
    topic::{Pattern, Topic, TopicError, TopicErrorKind},
    watch::{Change, ChangeKind},
};
