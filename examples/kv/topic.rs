//! The topic on which the changes of a key are published: what comes after `kv/` in it is the key, in which what a topic cannot have is
//! percent-encoded, as in a path.
//!
//! | key | topic | |
//! |---|---|---|
//! | `users/42` | `kv/users/42` | the bucket is what precedes the first slash |
//! | `users/42/name` | `kv/users/42/name` | further slashes are slashes, too |
//! | `greeting` | `kv/greeting` | in no bucket |
//! | `a b*` | `kv/a%20b%2A` | white space, control characters and `* $ ? # %` are encoded |
//! | `/a//b/` | `kv/%2Fa/%2Fb%2F` | and a slash beside which there would be nothing |
//!
//! So no two keys have the same topic, and who decodes what comes after `kv/` has the key. There are two limits: all slashes after the 62nd are
//! encoded, and a topic that would be longer than topics can be is cut, and then ends in a bare `%`. No other does; an event has the whole key
//! besides.

use std::fmt::Write;

use ump_router::Topic;

/// The first fragment of all topics here.
pub(crate) const PREFIX: &str = "kv";

/// What is left of a topic's limits after `kv/`.
const MAX_LENGTH: usize = Topic::MAX_LENGTH - PREFIX.len() - 1;
const MAX_FRAGMENTS: usize = Topic::MAX_FRAGMENTS - 1;

/// Without the prefix. The key is not empty.
pub(crate) fn of(key: &str) -> Topic {
    let text = if is_plain(key) {
        key.to_owned() // nearly always
    } else {
        encoded(key)
    };
    Topic::try_from(text).expect("what a topic cannot have is encoded, or cut off")
}

/// Is it a topic as it is? `false` if in doubt.
fn is_plain(key: &str) -> bool {
    let may_stay =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'$' | b'?' | b'#' | b'%');
    key.len() <= MAX_LENGTH
        && key.bytes().all(may_stay)
        && key.split('/').all(|fragment| !fragment.is_empty())
        && key.split('/').count() <= MAX_FRAGMENTS
}

fn encoded(key: &str) -> String {
    let mut topic = String::with_capacity(key.len());
    let mut fragments = 1;
    // How much of it can be kept if it has to be cut.
    let mut fits = 0;
    let mut rest = key.chars();
    while let Some(character) = rest.next() {
        match character {
            '/' if fragments < MAX_FRAGMENTS && is_between(&topic, rest.as_str()) => {
                fragments += 1;
                topic.push('/');
            }
            '/' | '%' | '*' | '$' | '?' | '#' => encode(character, &mut topic),
            _ if character.is_whitespace() || character.is_control() => {
                encode(character, &mut topic);
            }
            _ => topic.push(character),
        }
        if topic.len() < MAX_LENGTH {
            fits = topic.len();
        }
    }
    if topic.len() > MAX_LENGTH {
        topic.truncate(fits);
        topic.push('%');
    }
    topic
}

/// Whether a slash separates something from something. What follows is not empty fragments: a slash that begins one is encoded.
fn is_between(before: &str, after: &str) -> bool {
    !before.is_empty() && !before.ends_with('/') && !after.is_empty()
}

fn encode(character: char, topic: &mut String) {
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        write!(topic, "%{byte:02X}").expect("a string takes all");
    }
}
