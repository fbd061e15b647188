//! The messages on the router: lines, published to all subscribers, and requests to one member.

use ump_router::{Message, RequestMessage};

use crate::membership::{MemberRefusal, MemberReply, MemberRequest};

/// A line of text. Published on `<room>/<user>` it reaches one room, on `*/<user>` all rooms.
#[derive(Debug)]
pub(crate) struct Line(pub(crate) String);

impl Message for Line {
    const PREFIX: &'static str = "chat";
}

/// A request to a member: to one user on `<room>/<user>`, to the host on `<room>`.
impl RequestMessage for MemberRequest {
    type Reply = MemberReply;
    type Error = MemberRefusal;
    const PREFIX: &'static str = "member";
}
