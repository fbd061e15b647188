//! Replies of the store, encoded for the client, until they are sent.

use ump::RequestError;

use crate::{
    command::{Part, Shape},
    resp::encode,
    scan::Cursors,
    store::op::{Op, Reply, StoreError},
};

/// An empty buffer is kept if it is not larger.
const KEPT: usize = 16 * 1024;

/// The replies that are to be sent, as bytes.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    output: Vec<u8>,
    sent: usize,
    /// The sum of the parts so far of the current command, or its first error.
    sum: i64,
    failed: Option<Vec<u8>>,
}

impl Replies {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    pub(crate) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    pub(crate) fn to_send(&self) -> &[u8] {
        &self.output[self.sent..]
    }

    /// Removes bytes that were sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent == self.output.len() {
            self.clear();
        } else if self.sent > self.output.len() / 2 {
            self.output.drain(..self.sent);
            self.sent = 0;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.sent = 0;
        self.output.clear();
        if self.output.capacity() > KEPT {
            self.output = Vec::new();
        }
    }

    /// Encodes the outcome of a request to the store.
    pub(crate) fn answer(
        &mut self,
        answer: Result<Reply, RequestError<Op, StoreError>>,
        shape: Shape,
        cursors: &mut Cursors,
    ) {
        let out = &mut self.output;
        let counted = match (answer, shape) {
            (Ok(Reply::Get(None) | Reply::PutIf(false)), _) => {
                return encode::null(out);
            }
            (Ok(Reply::Get(Some(value))), _) => return encode::bulk(out, value.as_ref()),
            (Ok(Reply::Put(()) | Reply::PutIf(true)), _) => return encode::simple(out, "OK"),
            (Ok(Reply::Add(sum)), _) => return encode::integer(out, sum.value),
            (Ok(Reply::Count(keys)), _) => {
                return encode::integer(out, i64::try_from(keys).unwrap_or(i64::MAX));
            }
            (Ok(Reply::Delete(existed)), Shape::Deleted(part)) => (Ok(existed), part),
            (Ok(Reply::List(list)), Shape::Exists(key, part)) => {
                let first = list.keys.first();
                (
                    Ok(first.is_some_and(|first| first.key == key.as_str())),
                    part,
                )
            }
            (Ok(Reply::List(list)), Shape::Scan(glob)) => {
                let cursor = list.next.map_or(0, |after| cursors.add(after));
                encode::array(out, 2);
                encode::bulk(out, cursor.to_string().as_bytes());
                let keys = list.keys.iter().map(|entry| &entry.key);
                let keys: Vec<_> = keys.filter(|key| glob.matches(key)).collect();
                encode::array(out, keys.len());
                for key in keys {
                    encode::bulk(out, key.as_bytes());
                }
                return;
            }
            (Ok(reply), shape) => unreachable!("{reply:?} does not answer {shape:?}"),
            (Err(error), Shape::Deleted(part) | Shape::Exists(_, part)) => (Err(error), part),
            (Err(error), _) => return encode_failure(out, error),
        };
        let (counts, part) = counted;
        match counts {
            Ok(counts) => self.sum += i64::from(counts),
            Err(error) => {
                let mut text = Vec::new();
                encode_failure(&mut text, error);
                self.failed.get_or_insert(text);
            }
        }
        if part == Part::Last {
            match self.failed.take() {
                None => encode::integer(out, self.sum),
                Some(text) => out.extend_from_slice(&text),
            }
            self.sum = 0;
        }
    }
}

fn encode_failure(out: &mut Vec<u8>, error: RequestError<Op, StoreError>) {
    let executed = error.executed();
    match error {
        RequestError::App(StoreError::OutOfMemory) => {
            encode::error_of(out, "OOM", StoreError::OutOfMemory);
        }
        RequestError::App(StoreError::NotANumber(why)) => encode::error(out, why),
        RequestError::App(error) => encode::error(out, format_args!("the store failed: {error}")),
        error => encode::error(out, format_args!("{error}; executed: {executed}")),
    }
}
