//! `POST /import`: a stream of JSON lines of any length, in constant memory.
//!
//! Each line is a request to the store. It is submitted as soon as it is read, so that many lines
//! share a transaction; its reply is collected later, in order. While a submission waits for room
//! in the queue, nothing more is read: this is how a slow disk slows the client down.

use std::{collections::VecDeque, io, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
};
use cli::log;
use futures_util::TryStreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use tokio_util::io::StreamReader;
use ump::{Client, RequestError, Typed, WaitReply};

use crate::{
    error::ApiError,
    key::Key,
    op::{Op, Put, Reply, StoreError},
    stopping::{Stopping, stopped},
    store::{MAX_BATCH, MAX_VALUE},
    ttl::Ttl,
};

/// The longest line, in bytes. JSON may need six of them for one byte of a value.
const MAX_LINE: usize = 8 * MAX_VALUE;

/// The most bytes of values that are pending at a time.
const MAX_PENDING_BYTES: usize = 4 * MAX_VALUE;

/// The number of lines between two lines of progress.
const PROGRESS: u64 = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: Key,
    value: String,
    ttl: Option<Ttl>,
}

pub(crate) async fn import(
    client: Client<Op, Reply, StoreError>,
    timeout: Duration,
    stopping: Stopping,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let mut import = Import::new(client, timeout);
    let read = tokio::select! {
        read = import.read(body) => read,
        () = stopped(stopping) => Err(ApiError::stopping()),
    };
    // The lines that were submitted are settled, whatever ended the reading.
    while !import.pending.is_empty() {
        import.settle().await;
    }
    let failed = match (import.failed, read) {
        (Some(error), _) => Some(error),
        (None, Err(error)) => Some(error.with("line", import.line)),
        (None, Ok(())) => None,
    };
    let imported = import.imported;
    match failed {
        None => {
            log!("import: {imported} lines, done");
            Ok(Json(json!({ "imported": imported })))
        }
        Some(error) => {
            log!("import: {imported} lines, ended early: {}", error.text());
            Err(error.with("imported", imported))
        }
    }
}

#[derive(Debug)]
struct Import {
    client: Client<Op, Reply, StoreError>,
    timeout: Duration,
    /// The lines submitted and not yet settled.
    pending: VecDeque<Pending>,
    max_pending: usize,
    /// The line being read, counted from one.
    line: u64,
    imported: u64,
    /// The first submitted line that failed.
    failed: Option<ApiError>,
}

#[derive(Debug)]
struct Pending {
    line: u64,
    bytes: usize,
    reply: Typed<WaitReply<Reply, StoreError, RequestError<Op, StoreError>>, Put>,
}

impl Import {
    fn new(client: Client<Op, Reply, StoreError>, timeout: Duration) -> Self {
        // Half of the queue is left to other requests, which do not wait for room but are refused.
        let half = client.capacity().unwrap_or(usize::MAX) / 2;
        Self {
            client,
            timeout,
            pending: VecDeque::new(),
            max_pending: half.clamp(1, MAX_BATCH.get()),
            line: 0,
            imported: 0,
            failed: None,
        }
    }

    /// Reads and submits lines, until the end or the first failure. An error is that of the line
    /// being read.
    async fn read(&mut self, body: Body) -> Result<(), ApiError> {
        let mut body = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
        let mut text = Vec::new();
        loop {
            self.line += 1;
            text.clear();
            let limit = MAX_LINE as u64 + 1;
            let length = (&mut body)
                .take(limit)
                .read_until(b'\n', &mut text)
                .await
                .map_err(body_error)?;
            match length {
                0 => return Ok(()),
                _ if length > MAX_LINE => {
                    return Err(ApiError::bad_request("the line is too long"));
                }
                _ if text.trim_ascii().is_empty() => continue,
                _ => {}
            }
            if let Some(format) = other_format(&text) {
                return Err(ApiError::bad_request(format));
            }
            // Without the line end, so that the column of an error stays on this line.
            let line = text.trim_ascii_end();
            let Line { key, value, ttl } =
                serde_json::from_slice(line).map_err(|e| ApiError::bad_request(reason(&e)))?;
            if value.len() > MAX_VALUE {
                return Err(ApiError::value_too_long());
            }
            let bytes = value.len();
            self.make_room(bytes).await;
            if self.failed.is_some() {
                return Ok(());
            }
            self.submit(Put(key, ttl, Bytes::from(value)), bytes)
                .await?;
        }
    }

    async fn make_room(&mut self, bytes: usize) {
        let pending_bytes =
            |pending: &VecDeque<Pending>| pending.iter().map(|line| line.bytes).sum::<usize>();
        while self.pending.len() >= self.max_pending
            || pending_bytes(&self.pending) + bytes > MAX_PENDING_BYTES
        {
            self.settle().await;
        }
    }

    /// Submits the line being read, whose value has this length.
    async fn submit(&mut self, put: Put, bytes: usize) -> Result<(), ApiError> {
        let reply = self
            .client
            .ask(put)
            .timeout(self.timeout)
            .submit()
            .await
            .map_err(RequestError::from)?;
        self.pending.push_back(Pending {
            line: self.line,
            bytes,
            reply,
        });
        Ok(())
    }

    /// Waits for the outcome of the oldest pending line.
    async fn settle(&mut self) {
        let Some(oldest) = self.pending.front_mut() else {
            return;
        };
        let outcome = (&mut oldest.reply).await;
        let line = oldest.line;
        // Not before: if this future is dropped while it waits, the line stays pending.
        self.pending.pop_front();
        match outcome {
            Ok(()) => {
                self.imported += 1;
                if self.imported % PROGRESS == 0 {
                    log!("import: {} lines so far", self.imported);
                }
            }
            Err(error) => {
                self.failed
                    .get_or_insert_with(|| ApiError::from(error).with("line", line));
            }
        }
    }
}

/// Makes the error of a body that broke off.
fn body_error(error: io::Error) -> ApiError {
    match error.downcast::<axum::Error>() {
        Ok(error) => error.into(),
        Err(error) => ApiError::bad_request(format!("the body broke off: {error}")),
    }
}

/// Recognises other formats than JSON lines in UTF-8 by their first bytes.
fn other_format(line: &[u8]) -> Option<&'static str> {
    match line {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, _, ..] | [_, 0, 0, 0, ..] => {
            Some("the line is in UTF-32; an import is in UTF-8")
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => {
            Some("the line is in UTF-16; an import is in UTF-8")
        }
        [0xef, 0xbb, 0xbf, ..] => {
            Some("the line begins with a byte-order mark, which JSON must not have: leave it out")
        }
        [0x1e, ..] => Some(
            "the line begins with a record separator (0x1E), as in a JSON text sequence (RFC 7464): \
            an import has lines without it",
        ),
        [0x1f, 0x8b, ..] => Some("the body is compressed; an import is plain text"),
        _ => None,
    }
}

/// Describes what is wrong with a line. `serde_json` sees only this line and would call it line 1.
fn reason(error: &serde_json::Error) -> String {
    error
        .to_string()
        .replace(" at line 1 column ", " at column ")
}
