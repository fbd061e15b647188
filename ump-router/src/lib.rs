#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(all(feature = "bridge", unix, not(any(loom, shuttle))))]
pub mod bridge;
mod claims;
mod close_handle;
mod deferred;
mod error;
pub mod index;
pub mod link;
mod notify;
mod operator;
mod presence;
mod protocol;
mod publish;
mod registry;
mod router;
pub mod routing;
mod select;
mod serve;
mod stamp;
mod sync;
pub mod topic;
mod topic_client;

pub use ump;

pub use crate::{
    close_handle::CloseHandle,
    error::{Error, LinkError, ProtocolError, PublishError, RequestError, RequestErrorKind},
    presence::{Change, ChangeKind},
    protocol::{Bytes, Message, RequestMessage},
    publish::{
        Changed, Iter, Messages, Publish, PublishFuture, Published, Received, ReceivedAs, Recv,
        RecvError, RetainedMessages, RetainedStatus, SubscribeOptions, SubscriberWatch,
        Subscription, SubscriptionOwner, SubscriptionStatus, WatchIter, WatchStream, WhenFull,
    },
    router::Router,
    select::{Arm, NextRequest, Select, SelectFuture, Selecting},
    serve::{
        Answer, AnswerIter, AnswerStream, Answers, Call, Claim, PinnedClient, Request, RequestAll,
        RequestAllFuture, RequestFuture, ServeOptions, Server, ServerIter, ServerStatus, Typed,
    },
    topic::{Pattern, Topic, TopicError, TopicErrorKind},
    topic_client::TopicClient,
};
