//! The messages that a user receives.

use std::task::{Context, Poll};

use ump_router::{Pattern, RecvError, Subscription};

use crate::{
    name::{Name, user_of},
    protocol::Line,
};

#[derive(Debug)]
pub(crate) enum Incoming {
    /// A line of another user.
    Line {
        /// The pattern of the subscription.
        pattern: Pattern,
        topic: Pattern,
        text: String,
    },
    /// News of a room, or of the subscription with a pattern.
    Notice { source: String, text: String },
    /// A link was lost: lines of other processes may be missing.
    Interrupted { source: String },
}

impl Incoming {
    pub(crate) fn in_room(room: &Name, text: String) -> Self {
        let source = room.to_string();
        Self::Notice { source, text }
    }

    /// Returns the room or the pattern of the subscription.
    pub(crate) fn source(&self) -> &str {
        match self {
            Self::Line { pattern, .. } => pattern.as_str(),
            Self::Notice { source, .. } | Self::Interrupted { source } => source,
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Self::Line { topic, text, .. } => format!("{topic}: {text}"),
            Self::Notice { text, .. } => text.clone(),
            Self::Interrupted { .. } => "lines may be missing".to_owned(),
        }
    }
}

/// Receives the lines of other users that are queued in a subscription. Registers the waker for the
/// next one.
pub(crate) fn receive(
    subscription: &mut Subscription<Line>,
    user: &Name,
    incoming: &mut Vec<Incoming>,
    cx: &mut Context<'_>,
) {
    let pattern = subscription.pattern().clone();
    let notice = |text| Incoming::Notice {
        source: pattern.to_string(),
        text,
    };
    while let Poll::Ready(received) = subscription.poll_recv(cx) {
        incoming.push(match received {
            Ok(line) if user_of(line.topic()) == user.as_str() => continue,
            Ok(line) => Incoming::Line {
                pattern: pattern.clone(),
                topic: line.topic().clone(),
                text: line.0.clone(),
            },
            Err(RecvError::Missed(1)) => notice("missed 1 line".to_owned()),
            Err(RecvError::Missed(lines)) => notice(format!("missed {lines} lines")),
            Err(RecvError::Interrupted) => Incoming::Interrupted {
                source: pattern.to_string(),
            },
            Err(_) => return,
        });
    }
}
