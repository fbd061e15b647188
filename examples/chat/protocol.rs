//! The messages on the router: lines, published to all subscribers, and requests to one member.

use std::convert::Infallible;

use ump_router::{Message, RequestMessage};

use crate::name::Name;

/// A line of text. Published on `<room>/<user>` it reaches one room, on `*/<user>` all rooms.
#[derive(Debug)]
pub(crate) struct Line(pub(crate) String);

impl Message for Line {
    const PREFIX: &'static str = "chat";
}

/// A request to a member: to one user on `<room>/<user>`, to the host on `<room>`.
#[derive(Debug)]
pub(crate) enum MemberRequest {
    /// Asks for the members of the room.
    List,
    /// Delivers a message that other members do not see.
    Tell { from: Name, text: String },
}

#[derive(Debug)]
pub(crate) enum MemberReply {
    /// The members in alphabetical order, and the one that replies.
    Members { from: Name, members: Vec<String> },
    /// The message was delivered to this user.
    Delivered(Name),
}

impl RequestMessage for MemberRequest {
    type Reply = MemberReply;
    type Error = Infallible;
    const PREFIX: &'static str = "member";
}
