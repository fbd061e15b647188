//! The lines that users say, which the router publishes to all subscribers.

use serde::{Deserialize, Serialize};
use ump_router::Message;

/// A line of text. Published on `<room>/<user>` it reaches one room, on `*/<user>` all rooms.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line(pub(crate) String);

impl Message for Line {
    const PREFIX: &'static str = "chat";
}
