//! What the ends of links, claims and requests mean for the exit code.

use ump_router::link::{
    session::Closed,
    wire::{Failure, GoodbyeReason, Status},
};

use crate::exit::{Error, Exit};

/// Returns the error of a link that is over.
pub(crate) fn closed_error(closed: &Closed) -> Error {
    let exit = match closed {
        Closed::Peer {
            reason: GoodbyeReason::Denied,
            ..
        } => Exit::NotAllowed,
        _ => Exit::Lost,
    };
    let text = match closed {
        Closed::Peer {
            reason: GoodbyeReason::ShuttingDown,
            text,
        } if text.is_empty() => "the server shuts down".to_owned(),
        Closed::Peer {
            reason: GoodbyeReason::ShuttingDown,
            text,
        } => format!("the server shuts down: {text}"),
        Closed::Peer {
            reason: GoodbyeReason::Done,
            ..
        } => "the server closed the link".to_owned(),
        Closed::Peer {
            reason: GoodbyeReason::Denied,
            text,
        } => with_text("the server does not accept this end", text),
        other => other.to_string(),
    };
    Error::new(exit, text)
}

/// Returns the error of a link that was not opened.
pub(super) fn refused_link(closed: &Closed, failure: Option<&str>) -> Error {
    let text = match closed {
        Closed::Lost if failure.is_some() => failure.unwrap_or_default().to_owned(),
        Closed::Lost => "the server ended the connection before its hello".to_owned(),
        other => closed_error(other).text,
    };
    Error::new(Exit::NotAllowed, text)
}

/// Returns the error of a link that was made again and not opened: the link is lost still, unless
/// the hub will not have it.
pub(super) fn reopened_error(closed: &Closed, failure: Option<&str>) -> Error {
    let is_for_good = matches!(
        closed,
        Closed::Incompatible(..)
            | Closed::Peer {
                reason: GoodbyeReason::Denied
                    | GoodbyeReason::Version
                    | GoodbyeReason::Feature
                    | GoodbyeReason::OwnRouter,
                ..
            }
    );
    let error = refused_link(closed, failure);
    let exit = if is_for_good { error.exit } else { Exit::Lost };
    Error::new(exit, error.text)
}

/// Returns the error of a refused subscription or claim, or `None` if it was accepted.
pub(crate) fn status_error(what: &str, status: Status, text: &str) -> Option<Error> {
    let (exit, reason) = match status {
        Status::Accepted | Status::StandingBy => return None,
        Status::Taken => (Exit::Refused, "another server has the topic".to_owned()),
        Status::Denied => (Exit::NotAllowed, "the rules do not allow it".to_owned()),
        Status::Quota => (Exit::Refused, "a quota is used up".to_owned()),
        Status::Lost => (Exit::Lost, "the claim was lost".to_owned()),
        other => (Exit::Refused, format!("status {}", other.code())),
    };
    let text = with_text(&reason, text);
    Some(Error::new(exit, format!("{what}: {text}")))
}

/// Returns the exit code of a request without a reply.
pub(crate) fn failure_exit(failure: Failure) -> Exit {
    match failure {
        Failure::NoServer => Exit::NoServer,
        Failure::NoReply | Failure::ServerLost | Failure::LinkLost | Failure::Cancelled => {
            Exit::Lost
        }
        Failure::TimedOut => Exit::TimedOut,
        Failure::Denied => Exit::NotAllowed,
        _ => Exit::Refused,
    }
}

/// Returns the text of a failure, with the explanation of the server if there is one.
pub(crate) fn refusal_text(failure: Failure, text: &str) -> String {
    with_text(&failure.to_string(), text)
}

fn with_text(reason: &str, text: &str) -> String {
    if text.is_empty() {
        reason.to_owned()
    } else {
        format!("{reason} ({text})")
    }
}
