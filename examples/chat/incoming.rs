//! What a user receives.

use ump_router::{RecvError, Subscription};

use crate::{
    name::{Name, user_of},
    protocol::Line,
};

#[derive(Debug)]
pub(crate) struct Incoming {
    /// The room, or the pattern of the subscription.
    pub(crate) source: String,
    pub(crate) text: String,
}

impl Incoming {
    pub(crate) fn in_room(room: &Name, text: String) -> Self {
        let source = room.to_string();
        Self { source, text }
    }
}

/// Receives the lines of other users that are queued in a subscription.
pub(crate) fn receive(
    subscription: &mut Subscription<Line>,
    user: &Name,
    incoming: &mut Vec<Incoming>,
) {
    loop {
        let text = match subscription.try_recv() {
            Ok(Some(line)) if user_of(line.topic()) == user.as_str() => continue,
            Ok(Some(line)) => format!("{}: {}", line.topic(), line.0),
            Err(RecvError::Missed(lines)) => format!("missed {lines} lines"),
            Ok(None) | Err(_) => return,
        };
        let source = subscription.pattern().to_string();
        incoming.push(Incoming { source, text });
    }
}
