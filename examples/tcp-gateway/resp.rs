//! The protocol of Redis clients (RESP2): an incremental parser of commands, and an encoder of
//! replies. Neither does any input or output.
//!
//! A command is an array of bulk strings, or an *inline* command: a line of words, for people.
//!
//! ```text
//! *2\r\n$3\r\nGET\r\n$1\r\na\r\n      the command GET a
//! GET a\r\n                           the same, inline
//! ```
//!
//! The parser remembers how far it has come, so input in single bytes costs no more than input in
//! one piece. What it keeps is bounded by the limits below.

use std::{fmt, ops::Range};

/// The longest bulk string, in bytes.
pub(crate) const MAX_BULK: usize = 1024 * 1024;

/// The largest number of strings in a command.
pub(crate) const MAX_ARGUMENTS: usize = 1024;

/// The longest command, in bytes.
pub(crate) const MAX_COMMAND: usize = 2 * MAX_BULK;

/// The longest inline command, in bytes.
pub(crate) const MAX_INLINE: usize = 64 * 1024;

/// The longest line that contains only a length.
const MAX_LENGTH_LINE: usize = 32;

/// A buffer that is empty is kept if it is not larger.
const KEPT: usize = 4 * 1024;

/// Violations of the protocol, after which nothing that follows can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProtocolError {
    /// The number of strings is no number, or too large.
    ArrayLength,
    /// The length of a string is no number, negative, or too large.
    BulkLength,
    /// A string does not begin with a dollar sign, but with this byte.
    NoDollar(u8),
    /// A string is longer than its length says.
    NoLineEnd,
    /// An inline command is too long.
    InlineLength,
    /// A quotation mark is missing in an inline command, or followed by another character.
    Quotes,
    /// The command has too many bytes.
    CommandLength,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            Self::ArrayLength => write!(f, "invalid multibulk length (at most {MAX_ARGUMENTS})"),
            Self::BulkLength => write!(f, "invalid bulk length (at most {MAX_BULK} bytes)"),
            Self::NoDollar(byte) => write!(f, "expected '$', got '{}'", byte.escape_ascii()),
            Self::NoLineEnd => f.write_str("expected CRLF after a bulk string"),
            Self::InlineLength => {
                write!(f, "too big inline request (at most {MAX_INLINE} bytes)")
            }
            Self::Quotes => f.write_str("unbalanced quotes in request"),
            Self::CommandLength => write!(f, "too big request (at most {MAX_COMMAND} bytes)"),
        }
    }
}

/// Parses commands out of a stream of bytes.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    buffer: Vec<u8>,
    /// The begin of the command that is being parsed.
    begin: usize,
    /// All before is parsed.
    parsed: usize,
    /// All before has been searched for the end of a line.
    searched: usize,
    /// The strings of the command so far, relative to `begin`.
    arguments: Vec<Range<usize>>,
    state: State,
    failed: Option<ProtocolError>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Begin,
    /// The length of a string comes next; this many strings are missing.
    Length(usize),
    /// A string of this length comes next; this many strings are missing, with this one.
    Bulk(usize, usize),
}

/// A command: its name and its arguments.
#[derive(Clone, Copy)]
pub(crate) struct Command<'a> {
    bytes: &'a [u8],
    arguments: &'a [Range<usize>],
}

impl<'a> Command<'a> {
    /// Returns the number of strings, with the name: at least one.
    pub(crate) fn len(&self) -> usize {
        self.arguments.len()
    }

    /// Returns a string; the name is the first.
    pub(crate) fn get(&self, index: usize) -> Option<&'a [u8]> {
        let range = self.arguments.get(index)?;
        Some(&self.bytes[range.clone()])
    }

    /// Iterates over the arguments after the name.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let Self { bytes, arguments } = *self;
        arguments[1..]
            .iter()
            .map(move |range| &bytes[range.clone()])
    }
}

impl Parser {
    /// Adds input.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.begin > 0 && self.begin >= self.buffer.len() / 2 {
            self.buffer.drain(..self.begin);
            self.parsed -= self.begin;
            self.searched = self.searched.saturating_sub(self.begin);
            self.begin = 0;
        }
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Returns the number of bytes that are not part of a returned command.
    pub(crate) fn buffered(&self) -> usize {
        self.buffer.len() - self.begin
    }

    /// Returns the next command, or `None` if its end is still to come.
    ///
    /// After an error there are no further commands, only the error again.
    pub(crate) fn next(&mut self) -> Result<Option<Command<'_>>, ProtocolError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.finish_last();
        match self.parse() {
            Ok(true) => {
                let command = Command {
                    bytes: &self.buffer[self.begin..self.parsed],
                    arguments: &self.arguments,
                };
                Ok(Some(command))
            }
            Ok(false) => Ok(None),
            Err(error) => {
                self.failed = Some(error);
                self.buffer = Vec::new();
                (self.begin, self.parsed, self.searched) = (0, 0, 0);
                Err(error)
            }
        }
    }

    /// Forgets the command that was returned last.
    fn finish_last(&mut self) {
        if !matches!(self.state, State::Begin) {
            return;
        }
        self.begin = self.parsed;
        self.arguments.clear();
        if self.begin == self.buffer.len() {
            (self.begin, self.parsed, self.searched) = (0, 0, 0);
            self.buffer.clear();
            if self.buffer.capacity() > KEPT {
                self.buffer = Vec::new();
            }
        }
    }

    /// Returns whether a command is complete.
    fn parse(&mut self) -> Result<bool, ProtocolError> {
        loop {
            if self.parsed - self.begin > MAX_COMMAND {
                return Err(ProtocolError::CommandLength);
            }
            match self.state {
                State::Begin => match self.buffer.get(self.parsed) {
                    None => return Ok(false),
                    Some(b'*') => {
                        let Some(line) = self.length_line(ProtocolError::ArrayLength)? else {
                            return Ok(false);
                        };
                        match number(&self.buffer[line]) {
                            // Redis ignores these.
                            Some(count) if count <= 0 => self.begin = self.parsed,
                            Some(count) => match usize::try_from(count) {
                                Ok(count) if count <= MAX_ARGUMENTS => {
                                    self.state = State::Length(count);
                                }
                                _ => return Err(ProtocolError::ArrayLength),
                            },
                            None => return Err(ProtocolError::ArrayLength),
                        }
                    }
                    Some(_) => {
                        let Some(line) = self.line(MAX_INLINE, ProtocolError::InlineLength)? else {
                            return Ok(false);
                        };
                        self.split(line)?;
                        if !self.arguments.is_empty() {
                            return Ok(true);
                        }
                        self.begin = self.parsed;
                    }
                },
                State::Length(missing) => {
                    match self.buffer.get(self.parsed) {
                        None => return Ok(false),
                        Some(b'$') => {}
                        Some(byte) => return Err(ProtocolError::NoDollar(*byte)),
                    }
                    let Some(line) = self.length_line(ProtocolError::BulkLength)? else {
                        return Ok(false);
                    };
                    let length = number(&self.buffer[line]).and_then(|n| usize::try_from(n).ok());
                    match length {
                        Some(length) if length <= MAX_BULK => {
                            self.state = State::Bulk(length, missing);
                        }
                        _ => return Err(ProtocolError::BulkLength),
                    }
                }
                State::Bulk(length, missing) => {
                    let end = self.parsed + length;
                    let Some(after) = self.buffer.get(end..end + 2) else {
                        return Ok(false);
                    };
                    if after != b"\r\n" {
                        return Err(ProtocolError::NoLineEnd);
                    }
                    self.arguments
                        .push(self.parsed - self.begin..end - self.begin);
                    self.parsed = end + 2;
                    if missing == 1 {
                        self.state = State::Begin;
                        return Ok(true);
                    }
                    self.state = State::Length(missing - 1);
                }
            }
        }
    }

    /// Returns the range of the number in a line such as `*3` or `$5`, if the line is complete.
    fn length_line(&mut self, error: ProtocolError) -> Result<Option<Range<usize>>, ProtocolError> {
        let line = self.line(MAX_LENGTH_LINE, error)?;
        Ok(line.map(|line| line.start + 1..line.end))
    }

    /// Returns the range of a line without its end, and goes to the next, if it is complete. A line
    /// that is too long is an error.
    fn line(
        &mut self,
        most: usize,
        error: ProtocolError,
    ) -> Result<Option<Range<usize>>, ProtocolError> {
        let from = self.searched.max(self.parsed);
        let newline = self.buffer[from..].iter().position(|&byte| byte == b'\n');
        let end = newline.map_or(self.buffer.len(), |at| from + at);
        self.searched = end;
        if end - self.parsed > most {
            return Err(error);
        }
        if newline.is_none() {
            return Ok(None);
        }
        let begin = self.parsed;
        self.parsed = end + 1;
        let has_return = end > begin && self.buffer[end - 1] == b'\r';
        Ok(Some(begin..end - usize::from(has_return)))
    }

    /// Splits an inline command into words. A word may be quoted; escapes are replaced in place, as
    /// they only become shorter.
    fn split(&mut self, line: Range<usize>) -> Result<(), ProtocolError> {
        let (mut read, mut write, end) = (line.start, line.start, line.end);
        let bytes = &mut self.buffer;
        loop {
            while read < end && bytes[read].is_ascii_whitespace() {
                read += 1;
            }
            if read == end {
                return Ok(());
            }
            if self.arguments.len() == MAX_ARGUMENTS {
                return Err(ProtocolError::ArrayLength);
            }
            let begin = write;
            let mut quote = None;
            while read < end {
                let byte = bytes[read];
                read += 1;
                match (quote, byte) {
                    (None, b'"' | b'\'') => {
                        quote = Some(byte);
                        continue;
                    }
                    (None, byte) if byte.is_ascii_whitespace() => break,
                    (Some(mark), byte) if mark == byte => {
                        if read < end && !bytes[read].is_ascii_whitespace() {
                            return Err(ProtocolError::Quotes);
                        }
                        quote = None;
                        break;
                    }
                    (Some(mark), b'\\') if read < end => {
                        let (escaped, length) = unescape(mark, &bytes[read..end]);
                        bytes[write] = escaped;
                        write += 1;
                        read += length;
                        continue;
                    }
                    _ => {}
                }
                bytes[write] = byte;
                write += 1;
            }
            if quote.is_some() {
                return Err(ProtocolError::Quotes);
            }
            self.arguments.push(begin - self.begin..write - self.begin);
        }
    }
}

/// Returns the character for what follows a backslash, and the length of that.
fn unescape(mark: u8, after: &[u8]) -> (u8, usize) {
    if mark == b'\'' {
        return match after {
            [b'\'', ..] => (b'\'', 1),
            _ => (b'\\', 0),
        };
    }
    match after {
        [b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            let digit = |byte: &u8| match byte {
                b'0'..=b'9' => byte - b'0',
                _ => (byte | 0x20) - b'a' + 10,
            };
            (digit(high) << 4 | digit(low), 3)
        }
        [b'n', ..] => (b'\n', 1),
        [b'r', ..] => (b'\r', 1),
        [b't', ..] => (b'\t', 1),
        [b'b', ..] => (8, 1),
        [b'a', ..] => (7, 1),
        [byte, ..] => (*byte, 1),
        [] => (b'\\', 0),
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    match digits.first() {
        // `parse` accepts it, the protocol does not.
        Some(b'+') | None => None,
        _ => std::str::from_utf8(digits).ok()?.parse().ok(),
    }
}

/// Appends a reply to a buffer.
pub(crate) mod encode {
    use std::fmt::Display;
    use std::io::Write;

    /// Appends a simple string, which has no line ends.
    pub(crate) fn simple(out: &mut Vec<u8>, text: &str) {
        out.push(b'+');
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Appends an error of no special kind.
    pub(crate) fn error(out: &mut Vec<u8>, text: impl Display) {
        error_of(out, "ERR", text);
    }

    /// Appends an error whose kind programs can tell by a code.
    pub(crate) fn error_of(out: &mut Vec<u8>, code: &str, text: impl Display) {
        let text = format!("-{code} {text}");
        // A line end would begin another reply.
        out.extend(text.bytes().map(|byte| match byte {
            b'\r' | b'\n' => b' ',
            byte => byte,
        }));
        out.extend_from_slice(b"\r\n");
    }

    pub(crate) fn integer(out: &mut Vec<u8>, number: i64) {
        length(out, b':', number);
    }

    pub(crate) fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
        length(out, b'$', bytes.len());
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }

    pub(crate) fn null(out: &mut Vec<u8>) {
        out.extend_from_slice(b"$-1\r\n");
    }

    /// Appends the head of an array, whose elements follow.
    pub(crate) fn array(out: &mut Vec<u8>, elements: usize) {
        length(out, b'*', elements);
    }

    fn length(out: &mut Vec<u8>, kind: u8, number: impl Display) {
        out.push(kind);
        write!(out, "{number}\r\n").expect("a vector takes all");
    }
}
