//! `POST /import`: a stream of JSON lines of any length, in constant memory.
//!
//! Each line is a request of its own. It is submitted as soon as it is read, so that many share a transaction, and its
//! reply is collected later, in order. A submission waits for room in the queue, and nothing more is read meanwhile: that
//! is how a slow disk slows the sender down.

use std::{collections::VecDeque, io, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::StatusCode,
};
use futures_util::TryStreamExt;
use output::log;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};
use tokio_util::io::StreamReader;
use ump::{Client, RequestError, WaitReply};

use crate::{
    error::ApiError,
    http::{self, App},
    key::Key,
    op::{Op, Reply, StoreError},
    store::{MAX_BATCH, MAX_VALUE},
    ttl::Ttl,
};

/// In bytes. JSON may need six of them for one of a value.
const MAX_LINE: usize = 8 * MAX_VALUE;

/// How many bytes of values may be under way at once.
const MAX_BYTES: usize = 4 * MAX_VALUE;

/// A line of progress is printed after so many lines.
const PROGRESS: u64 = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: Key,
    value: String,
    ttl: Option<Ttl>,
}

pub(crate) async fn import(State(app): State<App>, body: Body) -> Result<Json<Value>, ApiError> {
    let _one_of_them = app.imports.try_acquire().map_err(|_| {
        let text = "there are enough imports at a time already";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text).with("executed", "no")
    })?;
    let mut import = Import::new(app.client()?, app.timeout);
    let read = tokio::select! {
        read = import.read(body) => read,
        () = http::stopped(app.stopping.clone()) => Err(ApiError::stopping()),
    };
    // The lines that were accepted come to their end, whatever ended the reading.
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
    /// Submitted, and not settled yet.
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
    reply: WaitReply<Reply, StoreError, RequestError<Op, StoreError>>,
}

impl Import {
    fn new(client: Client<Op, Reply, StoreError>, timeout: Duration) -> Self {
        // Half of the queue is left to others: they do not wait for room, but are refused.
        let half = client.capacity().map_or(MAX_BATCH, |capacity| capacity / 2);
        Self {
            client,
            timeout,
            pending: VecDeque::new(),
            max_pending: half.clamp(1, MAX_BATCH),
            line: 0,
            imported: 0,
            failed: None,
        }
    }

    /// Reads and submits, until the end or the first failure. An error is about the line being read.
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
                .map_err(broken)?;
            match length {
                0 => return Ok(()),
                _ if length > MAX_LINE => {
                    return Err(ApiError::bad_request("the line is too long"));
                }
                _ if text.trim_ascii().is_empty() => continue,
                _ => {}
            }
            if let Some(form) = other_form(&text) {
                return Err(ApiError::bad_request(form));
            }
            // Without its end: a line that is cut would end in the next one.
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
            self.submit(Op::Put(key, ttl, Bytes::from(value)), bytes)
                .await?;
        }
    }

    async fn make_room(&mut self, bytes: usize) {
        let under_way =
            |pending: &VecDeque<Pending>| pending.iter().map(|line| line.bytes).sum::<usize>();
        while self.pending.len() >= self.max_pending || under_way(&self.pending) + bytes > MAX_BYTES
        {
            self.settle().await;
        }
    }

    /// Submits the line being read, with a value of so many bytes.
    async fn submit(&mut self, op: Op, bytes: usize) -> Result<(), ApiError> {
        let reply = self
            .client
            .request(op)
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
        // Only now: if this future is dropped while it waits, the line is still pending.
        self.pending.pop_front();
        match outcome {
            Ok(_) => {
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

/// The body did not come to its end.
fn broken(error: io::Error) -> ApiError {
    match error.downcast::<axum::Error>() {
        Ok(error) => error.into(),
        Err(error) => ApiError::bad_request(format!("the body broke off: {error}")),
    }
}

/// What a line is instead of JSON in UTF-8, if its first bytes show it.
fn other_form(line: &[u8]) -> Option<&'static str> {
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

/// What is wrong with a line. As `serde_json` sees only that one, it would call it line 1.
fn reason(error: &serde_json::Error) -> String {
    error
        .to_string()
        .replace(" at line 1 column ", " at column ")
}
