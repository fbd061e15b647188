//! What goes over the router: lines, for all who listen, and what is asked of one seat.

use std::convert::Infallible;

use ump_router::{Message, Request};

use crate::name::Name;

/// What somebody says. On `<room>/<user>` it is said in one room, on `*/<user>` in all of them at once. Who says it is in the topic.
#[derive(Debug)]
pub(crate) struct Line(pub(crate) String);

impl Message for Line {
    const PREFIX: &'static str = "chat";
}

/// What is asked of a seat: on `<room>/<user>` of that user's, on `<room>` of the host's.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Who is in the room?
    Who,
    /// Something that the others need not know.
    Tell { from: Name, text: String },
}

#[derive(Debug)]
pub(crate) enum Answer {
    /// All who are in the room, in the order of the alphabet; and who says so.
    There { says: Name, users: Vec<String> },
    /// It has come to this user.
    Told(Name),
}

impl Request for Ask {
    type Reply = Answer;
    type Error = Infallible;
    const PREFIX: &'static str = "seat";
}
