//! Lines for people.

use std::io::Write as _;

use super::{escape, time};
use crate::record::{Record, Value};

pub(super) fn write(record: &Record<'_>, out: &mut Vec<u8>) {
    let header = record.header;
    // Writing to memory does not fail.
    let _ = write!(out, "{} {:>5} ", time(header.micros), header.level.as_str());
    body(record, out);
}

/// Appends the line without its time and level.
pub(crate) fn body(record: &Record<'_>, out: &mut Vec<u8>) {
    let spans = record.spans();
    for (name, fields) in &spans {
        escaped(name, out);
        if !fields.is_empty() {
            out.push(b'{');
            pairs(fields.iter().copied(), out);
            out.push(b'}');
        }
        out.push(b':');
    }
    if !spans.is_empty() {
        out.push(b' ');
    }
    escaped(record.header.target, out);
    out.extend_from_slice(b": ");
    let message = record.message();
    escaped(message, out);
    let mut fields = record.fields().peekable();
    if fields.peek().is_some() && !message.is_empty() {
        out.push(b' ');
    }
    pairs(fields, out);
}

/// Appends `name=value` for each field, with spaces in between.
fn pairs<'a>(fields: impl Iterator<Item = (&'a str, Value<'a>)>, out: &mut Vec<u8>) {
    for (n, (name, value)) in fields.enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        escaped(name, out);
        out.push(b'=');
        let _ = match value {
            Value::U64(number) => write!(out, "{number}"),
            Value::I64(number) => write!(out, "{number}"),
            Value::F64(number) => write!(out, "{number:?}"),
            Value::Bool(value) => write!(out, "{value}"),
            Value::Str(text) | Value::Written(text) => {
                quoted(text, out);
                Ok(())
            }
            Value::Span => Ok(()),
        };
    }
}

/// Appends a value, in quotes if it could be taken for several fields.
fn quoted(text: &str, out: &mut Vec<u8>) {
    let is_ambiguous =
        |letter: char| matches!(letter, ' ' | '"' | '=' | '{' | '}') || escape::is_unsafe(letter);
    let is_word =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'/' | b':' | b'_');
    if !text.is_empty() && (text.bytes().all(is_word) || !text.contains(is_ambiguous)) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let must_escape = |letter| matches!(letter, '"' | '\\') || escape::is_unsafe(letter);
    out.push(b'"');
    escape::push(text, out, must_escape, |letter, out| match letter {
        '"' | '\\' => out.extend_from_slice(&[b'\\', letter as u8]),
        _ => escape_letter(letter, out),
    });
    out.push(b'"');
}

/// Appends a text without quotes.
pub(crate) fn escaped(text: &str, out: &mut Vec<u8>) {
    escape::push(text, out, escape::is_unsafe, escape_letter);
}

fn escape_letter(letter: char, out: &mut Vec<u8>) {
    let _ = match letter {
        '\n' | '\r' | '\t' => write!(out, "{}", letter.escape_default()),
        _ => write!(out, "{}", letter.escape_unicode()),
    };
}
