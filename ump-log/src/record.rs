//! Records as they lie in a queue: fields by name and value in one run of bytes, texts not yet
//! escaped. The caller's thread encodes them; the thread of a sink decodes and formats them.
//!
//! ```text
//!   tag (1 byte) | length of the name (2) | name | value
//!   value: 8 bytes (integers, floats) | 1 byte (bool) | length (4), text | nothing (a span)
//! ```
//!
//! The fields of the event come first, then each span from the inner to the outer: its name, then
//! its fields.

use std::{
    error::Error,
    fmt::{self, Write},
};

use tracing::{
    Level,
    field::{Field, Visit},
};

const U64: u8 = 0;
const I64: u8 = 1;
const F64: u8 = 2;
const BOOL: u8 = 3;
/// A string that the caller passed as one.
const STR: u8 = 4;
/// What `Display` or `Debug` wrote.
const WRITTEN: u8 = 5;
const SPAN: u8 = 6;

/// The name of the field that says how many bytes of a record were cut.
pub(crate) const CUT: &str = "ump_log.cut_bytes";
/// Names are cut at this many bytes.
const LONGEST_NAME: usize = 255;

/// What a record has beside its fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    /// Microseconds since 1970, UTC.
    pub(crate) micros: u64,
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    pub(crate) file: Option<&'static str>,
    pub(crate) line: Option<u32>,
}

/// A record: its header, and its fields as they were encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) header: &'a Header,
    pub(crate) fields: &'a [u8],
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    U64(u64),
    I64(i64),
    F64(f64),
    Bool(bool),
    Str(&'a str),
    Written(&'a str),
    /// Not a value: the name is that of a span, and the fields that follow are its own.
    Span,
}

impl<'a> Record<'a> {
    /// Returns the message of the event, or an empty string.
    pub(crate) fn message(&self) -> &'a str {
        for (name, value) in items(self.fields) {
            match value {
                Value::Span => break,
                Value::Str(text) | Value::Written(text) if name == "message" => return text,
                _ => {}
            }
        }
        ""
    }

    /// Returns the fields of the event, without its message.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a> {
        items(self.fields)
            .take_while(|(_, value)| *value != Value::Span)
            .filter(|(name, _)| *name != "message")
    }

    /// Returns the spans around the event, the outermost first, each with its fields.
    pub(crate) fn spans(&self) -> Vec<(&'a str, Vec<(&'a str, Value<'a>)>)> {
        let mut spans: Vec<(&str, Vec<_>)> = Vec::new();
        for (name, value) in items(self.fields) {
            if value == Value::Span {
                spans.push((name, Vec::new()));
            } else if let Some((_, fields)) = spans.last_mut() {
                fields.push((name, value));
            }
        }
        spans.reverse();
        spans
    }
}

/// Returns what was encoded: fields and spans, in their order. Ends at bytes that are no field.
pub(crate) fn items(bytes: &[u8]) -> Items<'_> {
    Items { bytes }
}

#[derive(Clone, Debug)]
pub(crate) struct Items<'a> {
    bytes: &'a [u8],
}

impl<'a> Items<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn text(&mut self, length: usize) -> Option<&'a str> {
        std::str::from_utf8(self.take(length)?).ok()
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let [tag] = self.array()?;
        let length = u16::from_le_bytes(self.array()?);
        let name = self.text(length.into())?;
        let value = match tag {
            U64 => Value::U64(u64::from_le_bytes(self.array()?)),
            I64 => Value::I64(i64::from_le_bytes(self.array()?)),
            F64 => Value::F64(f64::from_le_bytes(self.array()?)),
            BOOL => Value::Bool(self.array()? == [1]),
            SPAN => Value::Span,
            STR | WRITTEN => {
                let length = u32::from_le_bytes(self.array()?);
                let text = self.text(length.try_into().ok()?)?;
                if tag == STR {
                    Value::Str(text)
                } else {
                    Value::Written(text)
                }
            }
            _ => return None,
        };
        Some((name, value))
    }
}

/// Encodes fields. Cuts texts once the record is longer than `limit` bytes, and counts the bytes
/// cut.
pub(crate) struct Encoder<'a> {
    pub(crate) bytes: &'a mut Vec<u8>,
    limit: usize,
    cut: u64,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(bytes: &'a mut Vec<u8>, limit: usize) -> Self {
        let cut = 0;
        Self { bytes, limit, cut }
    }

    /// Says in a field of its own how much was cut.
    pub(crate) fn finish(self) {
        if self.cut > 0 {
            head(self.bytes, U64, CUT);
            self.bytes.extend_from_slice(&self.cut.to_le_bytes());
        }
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.texts(STR, name, |out| out.write_str(text));
    }

    pub(crate) fn number(&mut self, name: &str, number: u64) {
        self.fixed(U64, name, &number.to_le_bytes());
    }

    /// Copies what was encoded earlier, such as the fields of a span, as far as it fits.
    pub(crate) fn encoded(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() <= self.limit {
            self.bytes.extend_from_slice(bytes);
        } else {
            self.cut += bytes.len() as u64;
        }
    }

    fn fixed(&mut self, tag: u8, name: &str, value: &[u8]) {
        if self.bytes.len() + name.len() + 16 <= self.limit {
            head(self.bytes, tag, name);
            self.bytes.extend_from_slice(value);
        } else {
            self.cut += (name.len() + value.len()) as u64;
        }
    }

    fn texts(&mut self, tag: u8, name: &str, write: impl FnOnce(&mut Cutting<'_>) -> fmt::Result) {
        if self.bytes.len() + name.len() + 16 > self.limit {
            self.cut += name.len() as u64;
            return;
        }
        head(self.bytes, tag, name);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let (bytes, limit) = (&mut *self.bytes, self.limit);
        let mut out = Cutting {
            bytes,
            limit,
            cut: 0,
        };
        // A `Debug` that fails leaves what it has written.
        let _ = write(&mut out);
        self.cut += out.cut;
        let length = self.bytes.len() - start - 4;
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        self.bytes[start..start + 4].copy_from_slice(&length);
    }
}

fn head(bytes: &mut Vec<u8>, tag: u8, name: &str) {
    let name = &name[..name.floor_boundary(LONGEST_NAME)];
    let length = u16::try_from(name.len()).unwrap_or(0).to_le_bytes();
    bytes.extend_from_slice(&[tag, length[0], length[1]]);
    bytes.extend_from_slice(name.as_bytes());
}

/// Encodes the name of a span, before its fields.
pub(crate) fn begin_span(bytes: &mut Vec<u8>, name: &str) {
    head(bytes, SPAN, name);
}

/// Removes all but the last field of each name from the fields of a span.
pub(crate) fn keep_latest(bytes: &mut Vec<u8>) {
    let mut kept: Vec<(&str, &[u8])> = Vec::new();
    let mut all = items(bytes);
    let mut rest = all.bytes;
    while let Some((name, _)) = all.next() {
        let length = rest.len() - all.bytes.len();
        let (one, after) = rest.split_at(length);
        rest = after;
        match kept.iter_mut().find(|(other, _)| *other == name) {
            Some((_, bytes)) => *bytes = one,
            None => kept.push((name, one)),
        }
    }
    *bytes = kept.into_iter().flat_map(|(_, one)| one).copied().collect();
}

/// Writes text up to a limit, and counts the rest.
struct Cutting<'a> {
    bytes: &'a mut Vec<u8>,
    limit: usize,
    cut: u64,
}

impl Write for Cutting<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.limit.saturating_sub(self.bytes.len());
        // After a cut nothing follows: the text is a beginning.
        let room = if self.cut > 0 { 0 } else { room };
        let kept = text.floor_boundary(room);
        self.bytes.extend_from_slice(&text.as_bytes()[..kept]);
        self.cut += (text.len() - kept) as u64;
        Ok(())
    }
}

trait FloorBoundary {
    /// Returns the largest index of at most `index` where a character begins.
    fn floor_boundary(&self, index: usize) -> usize;
}

impl FloorBoundary for str {
    fn floor_boundary(&self, index: usize) -> usize {
        if index >= self.len() {
            return self.len();
        }
        (0..=index)
            .rev()
            .find(|at| self.is_char_boundary(*at))
            .unwrap_or(0)
    }
}

impl Visit for Encoder<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fixed(F64, field.name(), &value.to_le_bytes());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fixed(I64, field.name(), &value.to_le_bytes());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fixed(U64, field.name(), &value.to_le_bytes());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fixed(BOOL, field.name(), &[value.into()]);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.texts(WRITTEN, field.name(), |out| {
            write!(out, "{value}")?;
            let mut source = value.source();
            while let Some(error) = source {
                write!(out, ": {error}")?;
                source = error.source();
            }
            Ok(())
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.texts(WRITTEN, field.name(), |out| write!(out, "{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(limit: usize, encode: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, limit);
        encode(&mut encoder);
        encoder.finish();
        bytes
    }

    #[test]
    fn a_text_is_cut_between_characters_and_said_so() {
        let bytes = encoded(30, |encoder| encoder.text("a", &"é".repeat(20)));
        let fields: Vec<_> = items(&bytes).collect();
        let expected = "é".repeat(11);
        assert_eq!(fields[0], ("a", Value::Str(&expected)));
        assert_eq!(fields[1], (CUT, Value::U64(18)));
    }

    #[test]
    fn fields_without_room_are_counted() {
        let bytes = encoded(20, |encoder| {
            encoder.text("a", "x");
            encoder.number("b", 1);
            encoder.text("c", "y");
        });
        let fields: Vec<_> = items(&bytes).collect();
        assert_eq!(fields, [("a", Value::Str("x")), (CUT, Value::U64(10))]);
    }

    #[test]
    fn the_latest_field_of_a_name_is_kept() {
        let mut bytes = encoded(1000, |encoder| {
            encoder.number("a", 1);
            encoder.number("b", 2);
            encoder.number("a", 3);
        });
        keep_latest(&mut bytes);
        let fields: Vec<_> = items(&bytes).collect();
        assert_eq!(fields, [("a", Value::U64(3)), ("b", Value::U64(2))]);
    }

    #[test]
    fn bytes_that_are_no_field_end_the_fields() {
        let bytes = encoded(1000, |encoder| encoder.text("name", "value"));
        for end in 0..bytes.len() {
            assert_eq!(items(&bytes[..end]).count(), 0);
        }
        assert_eq!(items(&[9, 0, 0, 1]).count(), 0);
    }
}
