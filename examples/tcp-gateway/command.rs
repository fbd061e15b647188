//! Commands: what they ask of the store, and the shapes of their replies.

use bytes::Bytes;

use crate::{
    glob::Glob,
    resp::{Command, encode},
    scan::Cursors,
    store::{
        key::Key,
        op::{Add, Condition, Count, Delete, Get, List, Op, Put, PutIf},
        ttl::Ttl,
    },
};

/// The largest number of keys that one `SCAN` reads.
const MAX_SCAN: usize = 1000;

/// The result of a command.
#[derive(Debug)]
pub(crate) enum Action {
    /// This reply, at once (after those of earlier commands).
    Reply(Vec<u8>),
    /// One request to the store.
    Ask(Op, Shape),
    /// The head of the reply, then these requests.
    AskAll(Vec<u8>, Vec<(Op, Shape)>),
    /// The statistics.
    Info,
    /// `OK`, and then the end of the connection.
    Quit,
}

/// How a reply of the store becomes a reply to the client.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A value, or null.
    Value,
    Ok,
    /// `OK` if it is true, null otherwise.
    OkOrNull,
    Integer,
    /// Part of a number: one if a key was deleted.
    Deleted(Part),
    /// Part of a number: one if this key is there.
    Exists(Key, Part),
    /// Keys and a cursor.
    Scan(Glob),
}

/// A part of a number that is the reply to one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// More parts follow.
    More,
    /// The sum is the reply.
    Last,
}

/// Why a command is refused: the text of the reply.
type Refusal = String;

/// Reads a command. `cursors` are those of the connection.
pub(crate) fn read(command: Command<'_>, cursors: &mut Cursors) -> Result<Action, Refusal> {
    let mut name = [0; 16];
    let given = command.get(0).unwrap_or_default();
    let Some(upper) = name.get_mut(..given.len()) else {
        return Err(unknown(given));
    };
    upper.copy_from_slice(given);
    upper.make_ascii_uppercase();
    let (least, most): (usize, usize) = match &*upper {
        b"PING" => (0, 1),
        b"QUIT" | b"COMMAND" | b"INFO" => (0, usize::MAX),
        b"DBSIZE" => (0, 0),
        b"ECHO" | b"GET" | b"INCR" | b"DECR" | b"SELECT" => (1, 1),
        b"INCRBY" | b"DECRBY" => (2, 2),
        b"SET" => (2, usize::MAX),
        b"DEL" | b"UNLINK" | b"EXISTS" | b"MGET" | b"SCAN" | b"CONFIG" | b"CLIENT" => {
            (1, usize::MAX)
        }
        _ => return Err(unknown(given)),
    };
    if !(least..=most).contains(&(command.len() - 1)) {
        let name = given.escape_ascii().to_string().to_lowercase();
        return Err(format!("wrong number of arguments for '{name}' command"));
    }
    let first = || key(command.get(1).unwrap_or_default());
    Ok(match &*upper {
        b"GET" => Action::Ask(Op::Get(Get(first()?)), Shape::Value),
        b"SET" => set(command)?,
        b"PING" => Action::Reply(match command.get(1) {
            None => b"+PONG\r\n".to_vec(),
            Some(text) => bulk(text),
        }),
        b"ECHO" => Action::Reply(bulk(command.get(1).unwrap_or_default())),
        b"INCR" => Action::Ask(Op::Add(Add(first()?, 1)), Shape::Integer),
        b"DECR" => Action::Ask(Op::Add(Add(first()?, -1)), Shape::Integer),
        b"INCRBY" => Action::Ask(
            Op::Add(Add(first()?, integer(command.get(2))?)),
            Shape::Integer,
        ),
        b"DECRBY" => {
            let number = integer(command.get(2))?.checked_neg();
            let number = number.ok_or("decrement would overflow")?;
            Action::Ask(Op::Add(Add(first()?, number)), Shape::Integer)
        }
        b"DEL" | b"UNLINK" => sum(command, |key, part| {
            (Op::Delete(Delete(key)), Shape::Deleted(part))
        })?,
        b"EXISTS" => sum(command, exists)?,
        b"MGET" => {
            let mut head = Vec::new();
            encode::array(&mut head, command.len() - 1);
            let get = |bytes| Ok((Op::Get(Get(key(bytes)?)), Shape::Value));
            let asks = command
                .arguments()
                .map(get)
                .collect::<Result<_, Refusal>>()?;
            Action::AskAll(head, asks)
        }
        b"SCAN" => scan(command, cursors)?,
        b"DBSIZE" => Action::Ask(Op::Count(Count), Shape::Integer),
        b"INFO" => Action::Info,
        b"QUIT" => Action::Quit,
        b"SELECT" => match command.get(1) {
            Some(b"0") => ok(),
            _ => return Err("DB index is out of range: there is only 0".to_owned()),
        },
        b"CONFIG" => config(command)?,
        b"CLIENT" => client(command)?,
        // `redis-cli` asks for the documentation of all commands, and does without.
        b"COMMAND" => Action::Reply(match command.get(1) {
            Some(sub) if sub.eq_ignore_ascii_case(b"COUNT") => b":0\r\n".to_vec(),
            _ => b"*0\r\n".to_vec(),
        }),
        _ => return Err(unknown(given)),
    })
}

fn unknown(name: &[u8]) -> Refusal {
    let shown = &name[..name.len().min(64)];
    format!("unknown command '{}'", shown.escape_ascii())
}

fn ok() -> Action {
    Action::Reply(b"+OK\r\n".to_vec())
}

fn bulk(text: &[u8]) -> Vec<u8> {
    let mut reply = Vec::with_capacity(text.len() + 16);
    encode::bulk(&mut reply, text);
    reply
}

/// Parses a key: text in UTF-8, of the store's length.
fn key(bytes: &[u8]) -> Result<Key, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the key is not UTF-8")?;
    Key::try_from(text.to_owned())
}

fn integer(bytes: Option<&[u8]>) -> Result<i64, Refusal> {
    let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| "value is not an integer or out of range".to_owned())
}

/// `SET key value [EX seconds | PX milliseconds] [NX | XX]`
fn set(command: Command<'_>) -> Result<Action, Refusal> {
    const SYNTAX: &str = "syntax error";
    let mut arguments = command.arguments();
    let (Some(name), Some(value)) = (arguments.next(), arguments.next()) else {
        return Err(SYNTAX.to_owned());
    };
    let (mut ttl, mut condition) = (None, None);
    while let Some(option) = arguments.next() {
        let unit = match option.to_ascii_uppercase().as_slice() {
            b"NX" if condition.is_none() => {
                condition = Some(Condition::Absent);
                continue;
            }
            b"XX" if condition.is_none() => {
                condition = Some(Condition::Present);
                continue;
            }
            b"EX" if ttl.is_none() => 1000,
            b"PX" if ttl.is_none() => 1,
            _ => return Err(SYNTAX.to_owned()),
        };
        let time = integer(Some(arguments.next().ok_or(SYNTAX)?))?;
        let time = u64::try_from(time)
            .ok()
            .and_then(|time| time.checked_mul(unit));
        let parsed = time.and_then(|time| Ttl::from_milliseconds(time).ok());
        let why = "invalid expire time in 'set' command: more than 0, and up to ten years";
        ttl = Some(parsed.ok_or(why)?);
    }
    let put = Put(key(name)?, ttl, Bytes::copy_from_slice(value));
    Ok(match condition {
        None => Action::Ask(Op::Put(put), Shape::Ok),
        Some(condition) => Action::Ask(Op::PutIf(PutIf(put, condition)), Shape::OkOrNull),
    })
}

/// Asks once for each key; the sum of the answers is the reply.
fn sum(command: Command<'_>, ask: fn(Key, Part) -> (Op, Shape)) -> Result<Action, Refusal> {
    let last = command.len() - 2;
    let part = |index| {
        if index == last {
            Part::Last
        } else {
            Part::More
        }
    };
    let asks = command.arguments().enumerate();
    let asks = asks.map(|(index, bytes)| Ok(ask(key(bytes)?, part(index))));
    Ok(Action::AskAll(
        Vec::new(),
        asks.collect::<Result<_, Refusal>>()?,
    ))
}

/// The first key that begins with a key is that key, if it is there. No value is read.
fn exists(key: Key, part: Part) -> (Op, Shape) {
    let list = List {
        prefix: key.as_str().to_owned(),
        after: None,
        limit: 1,
    };
    (Op::List(list), Shape::Exists(key, part))
}

/// `SCAN cursor [MATCH pattern] [COUNT count]`
fn scan(command: Command<'_>, cursors: &mut Cursors) -> Result<Action, Refusal> {
    let mut arguments = command.arguments();
    let cursor = integer(arguments.next()).map_err(|_| "invalid cursor")?;
    let (mut glob, mut limit) = (Glob::all(), 10);
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or("syntax error")?;
        match option.to_ascii_uppercase().as_slice() {
            b"MATCH" => glob = Glob::new(value)?,
            b"COUNT" => match integer(Some(value))?.try_into() {
                Ok(count @ 1..) => limit = MAX_SCAN.min(count),
                _ => return Err("COUNT must be at least 1".to_owned()),
            },
            _ => return Err("syntax error".to_owned()),
        }
    }
    let after =
        match cursor {
            0 => None,
            cursor => Some(cursors.take(cursor).ok_or(
                "the cursor is unknown: it was used, is of another connection, or too old",
            )?),
        };
    let list = List {
        prefix: glob.prefix().to_owned(),
        after,
        limit,
    };
    Ok(Action::Ask(Op::List(list), Shape::Scan(glob)))
}

/// `redis-benchmark` asks for two settings.
fn config(command: Command<'_>) -> Result<Action, Refusal> {
    let mut arguments = command.arguments();
    if !arguments
        .next()
        .is_some_and(|sub| sub.eq_ignore_ascii_case(b"GET"))
    {
        return Err("only CONFIG GET is known".to_owned());
    }
    let mut found = Vec::new();
    for name in arguments {
        match name.to_ascii_lowercase().as_slice() {
            b"save" => found.extend([&b"save"[..], b""]),
            b"appendonly" => found.extend([&b"appendonly"[..], b"yes"]),
            _ => {}
        }
    }
    let mut reply = Vec::new();
    encode::array(&mut reply, found.len());
    for text in found {
        encode::bulk(&mut reply, text);
    }
    Ok(Action::Reply(reply))
}

/// Client libraries introduce themselves.
fn client(command: Command<'_>) -> Result<Action, Refusal> {
    let sub = command.get(1).unwrap_or_default();
    let is_known = [&b"SETNAME"[..], b"SETINFO"]
        .iter()
        .any(|known| sub.eq_ignore_ascii_case(known));
    if is_known {
        Ok(ok())
    } else {
        Err("only CLIENT SETNAME and SETINFO are known".to_owned())
    }
}
