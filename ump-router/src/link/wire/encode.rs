//! Encodes messages.

use std::time::Duration;

use ump::Executed;

use super::{
    HEADER, MAGIC, MAX_CONTROL, MAX_TEXT,
    error::WireError,
    message::{Hello, Message},
    values::Status,
};
use crate::topic::Pattern;

/// Flags that a receiver may ignore have the bits 0 to 3.
pub(super) const FLAG_0: u8 = 0x01;
pub(super) const FLAG_1: u8 = 0x02;

/// The time of a request without a deadline.
pub(super) const NO_DEADLINE: u64 = u64::MAX;

/// Appends the frame of a message.
///
/// # Errors
/// [`WireError::TooLong`]: the message does not fit into a frame. Nothing is appended.
pub fn encode(message: &Message, out: &mut Vec<u8>) -> Result<(), WireError> {
    let start = out.len();
    out.extend([0; HEADER]);
    let (flags, payload) = fields(message, out);
    let kind = message.kind();
    let head = out.len() - start - HEADER;
    let length = head + payload.len();
    let cap = if kind.is_bulk() {
        u32::MAX as usize
    } else {
        MAX_CONTROL
    };
    let (Ok(head), Ok(length), true) = (u16::try_from(head), u32::try_from(length), length <= cap)
    else {
        out.truncate(start);
        return Err(WireError::TooLong { kind, length, cap });
    };
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    out[start + 4] = kind.0;
    out[start + 5] = flags;
    out[start + 6..start + 8].copy_from_slice(&head.to_be_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

/// Appends the fields. Returns the flags and the payload.
fn fields<'a>(message: &'a Message, out: &mut Vec<u8>) -> (u8, &'a [u8]) {
    match message {
        Message::Hello(it) => hello(it, out),
        Message::Goodbye {
            reason,
            last_request,
            text: reason_text,
        } => {
            out.push(reason.code());
            out.extend(last_request.to_be_bytes());
            text(reason_text, out);
        }
        Message::Ping { token } | Message::Pong { token } => out.extend(token.to_be_bytes()),
        Message::Topic { number, topic } => {
            out.extend(number.to_be_bytes());
            name(topic.as_str(), out);
        }
        Message::Subscribe {
            id,
            retained,
            messages,
            bytes,
            pattern,
        } => {
            out.extend(id.to_be_bytes());
            out.extend(messages.to_be_bytes());
            out.extend(bytes.to_be_bytes());
            name(pattern.as_str(), out);
            return (if_set(*retained, FLAG_0), &[]);
        }
        Message::Subscribed {
            id,
            status,
            text: t,
        }
        | Message::Served {
            id,
            status,
            text: t,
        } => {
            out.extend(id.to_be_bytes());
            out.push(status.code());
            text(t, out);
        }
        Message::Unsubscribe { id } | Message::Leave { id } => out.extend(id.to_be_bytes()),
        Message::Credit {
            id,
            messages,
            bytes,
        } => {
            out.extend(id.to_be_bytes());
            out.extend(messages.to_be_bytes());
            out.extend(bytes.to_be_bytes());
        }
        Message::Window { bytes } => out.extend(bytes.to_be_bytes()),
        Message::Gap { id, missed } => {
            out.extend(id.to_be_bytes());
            out.extend(missed.to_be_bytes());
        }
        Message::Serve {
            id,
            stand_by,
            topic,
        } => {
            out.extend(id.to_be_bytes());
            name(topic.as_str(), out);
            return (if_set(*stand_by, FLAG_0), &[]);
        }
        Message::Taken { request } => out.extend(request.to_be_bytes()),
        Message::Cancel { request, expired } => {
            out.extend(request.to_be_bytes());
            return (if_set(*expired, FLAG_0), &[]);
        }
        Message::Outcome {
            request,
            failure,
            executed,
            text: t,
        } => {
            out.extend(request.to_be_bytes());
            out.push(failure.code());
            out.push(match executed {
                Executed::No => 0,
                Executed::Perhaps => 1,
                Executed::Yes => 2,
            });
            text(t, out);
        }
        Message::Unretain { topic } => name(topic.as_str(), out),
        Message::Refused {
            status,
            topic,
            text: t,
        } => refused(*status, topic, t, out),
        Message::Synced => {}
        _ => return bulk_fields(message, out),
    }
    (0, &[])
}

/// Appends the fields of a bulk frame.
fn bulk_fields<'a>(message: &'a Message, out: &mut Vec<u8>) -> (u8, &'a [u8]) {
    match message {
        Message::Publish {
            topic,
            retain,
            retained,
            codec,
            to,
            payload,
        } => {
            out.extend(topic.to_be_bytes());
            out.push(codec.code());
            // The frame is refused if there are more: the fields are too long.
            out.extend(u16::try_from(to.len()).unwrap_or(u16::MAX).to_be_bytes());
            for id in to {
                out.extend(id.to_be_bytes());
            }
            (if_set(*retain, FLAG_0) | if_set(*retained, FLAG_1), payload)
        }
        Message::Request {
            request,
            topic,
            remaining,
            codec,
            payload,
        } => {
            out.extend(request.to_be_bytes());
            out.extend(topic.to_be_bytes());
            out.extend(remaining.map_or(NO_DEADLINE, micros).to_be_bytes());
            out.push(codec.code());
            (0, payload)
        }
        Message::Reply {
            request,
            refused,
            codec,
            payload,
        } => {
            out.extend(request.to_be_bytes());
            out.push(codec.code());
            (if_set(*refused, FLAG_0), payload)
        }
        Message::Replicate(change) => {
            name(change.topic.as_str(), out);
            out.extend(change.stamp.time.to_be_bytes());
            out.extend(change.stamp.router.to_be_bytes());
            out.extend(change.remaining.map_or(NO_DEADLINE, micros).to_be_bytes());
            out.push(change.codec.code());
            let flags = if_set(change.removed, FLAG_0) | if_set(change.retained, FLAG_1);
            (flags, &change.payload)
        }
        _ => (0, &[]),
    }
}

fn hello(hello: &Hello, out: &mut Vec<u8>) {
    out.extend(MAGIC.to_be_bytes());
    out.extend(hello.min_version.to_be_bytes());
    out.extend(hello.max_version.to_be_bytes());
    out.extend(hello.features.to_be_bytes());
    out.extend(hello.required.to_be_bytes());
    let limits = &hello.limits;
    for limit in [
        limits.frame,
        limits.topics,
        limits.subscriptions,
        limits.claims,
        limits.requests,
        limits.operations,
    ] {
        out.extend(limit.to_be_bytes());
    }
    out.extend(limits.window.to_be_bytes());
    out.extend(hello.router.to_be_bytes());
    text(&hello.name, out);
}

fn if_set(is_set: bool, flag: u8) -> u8 {
    if is_set { flag } else { 0 }
}

/// A time in whole microseconds, rounded up so that a deadline is never early.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1000))
        .map_or(NO_DEADLINE - 1, |it| it.min(NO_DEADLINE - 1))
}

/// Appends the name of a topic or pattern: it is within the limits of names.
fn name(name: &str, out: &mut Vec<u8>) {
    out.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(name.bytes());
}

fn refused(status: Status, topic: &Pattern, reason: &str, out: &mut Vec<u8>) {
    out.push(status.code());
    name(topic.as_str(), out);
    text(reason, out);
}

/// Appends a text for people, cut to its maximum.
fn text(text: &str, out: &mut Vec<u8>) {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    name(&text[..end], out);
}
