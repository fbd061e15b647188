//! The system's log, by datagrams to the socket of journald or of a syslog daemon.

use std::{
    io,
    io::Write as _,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use tracing::Level;

use super::{Sink, pending::Pending};
use crate::{
    format::{body, escaped},
    record::{CUT, Record, Value},
};

/// A send that waits longer for room in the daemon's queue fails, and is tried again later.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);
/// Longer values of journald's fields are cut, so that a record fits in a datagram.
const LONGEST_VALUE: usize = 32 * 1024;
/// The fields of a record after which no more follow.
const LONGEST_RECORD: usize = 128 * 1024;
/// A syslog message is cut at this size: what rsyslog takes by default.
const LONGEST_LINE: usize = 8 * 1024;

/// A socket of the system's log.
#[derive(Debug)]
pub(crate) struct Datagrams {
    path: PathBuf,
    identifier: String,
    protocol: Protocol,
    socket: Option<UnixDatagram>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    /// journald's own: fields by name.
    Journald,
    /// That of RFC 3164 without the time, which the daemon adds. The facility is 0 to 23.
    Syslog(u8),
}

impl Datagrams {
    pub(crate) fn connect(path: &Path, identifier: String, protocol: Protocol) -> io::Result<Self> {
        let mut this = Self {
            path: path.to_owned(),
            identifier,
            protocol,
            socket: None,
        };
        this.socket()?;
        Ok(this)
    }

    fn socket(&mut self) -> io::Result<&UnixDatagram> {
        if self.socket.is_none() {
            let socket = UnixDatagram::unbound()?;
            socket.connect(&self.path)?;
            socket.set_write_timeout(Some(SEND_TIMEOUT))?;
            self.socket = Some(socket);
        }
        self.socket
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Sink for Datagrams {
    fn format(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        match self.protocol {
            Protocol::Journald => journald(record, &self.identifier, out),
            Protocol::Syslog(facility) => syslog(record, &self.identifier, facility, out),
        }
    }

    fn write(&mut self, pending: &Pending) -> io::Result<usize> {
        let sent = self.socket()?.send(pending.first());
        if sent
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
        {
            // The daemon was started anew: the next attempt connects again.
            self.socket = None;
        }
        sent
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.socket = None;
        Ok(())
    }
}

fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

fn syslog(record: &Record<'_>, identifier: &str, facility: u8, out: &mut Vec<u8>) {
    let start = out.len();
    let priority = facility * 8 + severity(record.header.level);
    let _ = write!(out, "<{priority}>");
    escaped(identifier, out);
    let _ = write!(out, "[{}]: ", process::id());
    body(record, out);
    if out.len() - start > LONGEST_LINE {
        let mut end = start + LONGEST_LINE;
        // A continuation byte of UTF-8 is not the first of a character.
        while out[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        let cut = out.len() - end;
        out.truncate(end);
        let _ = write!(out, " {CUT}={cut}");
    }
}

fn journald(record: &Record<'_>, identifier: &str, out: &mut Vec<u8>) {
    let header = record.header;
    let start = out.len();
    let mut cut = 0;
    put("PRIORITY", &[b'0' + severity(header.level)], out);
    put("SYSLOG_IDENTIFIER", identifier.as_bytes(), out);
    put("TARGET", header.target.as_bytes(), out);
    cut += put("MESSAGE", record.message().as_bytes(), out);
    if let Some(file) = header.file {
        put("CODE_FILE", file.as_bytes(), out);
    }
    if let Some(line) = header.line {
        put("CODE_LINE", line.to_string().as_bytes(), out);
    }
    let spans = record.spans();
    let inner_first = spans
        .into_iter()
        .rev()
        .flat_map(|(name, fields)| [("span", Value::Written(name))].into_iter().chain(fields));
    for (name, value) in record.fields().chain(inner_first) {
        let text = match value {
            Value::Str(text) | Value::Written(text) => text.to_owned(),
            Value::U64(number) if name == CUT => {
                cut += usize::try_from(number).unwrap_or(0);
                continue;
            }
            Value::U64(number) => number.to_string(),
            Value::I64(number) => number.to_string(),
            Value::F64(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Span => continue,
        };
        if out.len() - start > LONGEST_RECORD {
            cut += text.len();
        } else if name == "span" {
            cut += put("SPAN_NAME", text.as_bytes(), out);
        } else {
            cut += put(&field_name(name), text.as_bytes(), out);
        }
    }
    if cut > 0 {
        put(&field_name(CUT), cut.to_string().as_bytes(), out);
    }
}

/// Returns a name that journald accepts: capital letters, digits and underscores, at most 64.
fn field_name(name: &str) -> String {
    let letters = name
        .chars()
        .map(|letter| match letter.to_ascii_uppercase() {
            letter @ ('A'..='Z' | '0'..='9') => letter,
            _ => '_',
        });
    "F_".chars().chain(letters).take(64).collect()
}

/// Appends a field. Returns how many bytes were cut.
fn put(name: &str, value: &[u8], out: &mut Vec<u8>) -> usize {
    let kept = &value[..value.len().min(LONGEST_VALUE)];
    out.extend_from_slice(name.as_bytes());
    if kept.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(kept.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(kept);
    out.push(b'\n');
    value.len() - kept.len()
}
