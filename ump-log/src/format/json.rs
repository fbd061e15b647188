//! Lines for programs.

use std::io::Write as _;

use super::{escape, time};
use crate::record::{Record, Value};

pub(super) fn write(record: &Record<'_>, out: &mut Vec<u8>) {
    let header = record.header;
    // Writing to memory does not fail.
    let _ = write!(
        out,
        "{{\"time\":\"{}\",\"level\":\"{}\",\"target\":",
        time(header.micros),
        header.level
    );
    string(header.target, out);
    out.extend_from_slice(b",\"message\":");
    string(record.message(), out);
    let mut fields = record.fields().peekable();
    if fields.peek().is_some() {
        out.extend_from_slice(b",\"fields\":{");
        for (n, (name, value)) in fields.enumerate() {
            if n > 0 {
                out.push(b',');
            }
            string(name, out);
            out.push(b':');
            self::value(value, out);
        }
        out.push(b'}');
    }
    let spans = record.spans();
    if !spans.is_empty() {
        out.extend_from_slice(b",\"spans\":[");
        for (n, (name, fields)) in spans.into_iter().enumerate() {
            out.extend_from_slice(if n > 0 { b",{\"name\":" } else { b"{\"name\":" });
            string(name, out);
            for (name, value) in fields {
                out.push(b',');
                string(if name == "name" { "name_" } else { name }, out);
                out.push(b':');
                self::value(value, out);
            }
            out.push(b'}');
        }
        out.push(b']');
    }
    out.push(b'}');
}

fn value(value: Value<'_>, out: &mut Vec<u8>) {
    let _ = match value {
        Value::U64(number) => write!(out, "{number}"),
        Value::I64(number) => write!(out, "{number}"),
        Value::F64(number) if number.is_finite() => write!(out, "{number:?}"),
        Value::F64(number) => write!(out, "\"{number}\""),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Str(text) | Value::Written(text) => {
            string(text, out);
            Ok(())
        }
        Value::Span => write!(out, "null"),
    };
}

fn string(text: &str, out: &mut Vec<u8>) {
    let must_escape = |letter| matches!(letter, '"' | '\\') || escape::is_unsafe(letter);
    out.push(b'"');
    escape::push(text, out, must_escape, |letter, out| {
        let _ = match letter {
            '"' | '\\' => write!(out, "\\{letter}"),
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            // All that are escaped are of the first 65,536.
            _ => write!(out, "\\u{:04x}", u32::from(letter)),
        };
    });
    out.push(b'"');
}
