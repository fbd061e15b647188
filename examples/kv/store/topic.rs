//! The topic on which the changes of a key are published: `kv/` and the key, in which characters
//! that a topic cannot contain are percent-encoded, as in a path.
//!
//! | key | topic | |
//! |---|---|---|
//! | `users/42` | `kv/users/42` | the bucket is the part before the first slash |
//! | `users/42/name` | `kv/users/42/name` | further slashes are kept |
//! | `greeting` | `kv/greeting` | in no bucket |
//! | `a b*` | `kv/a%20b%2A` | white space, control characters and `* $ ? # %` are encoded |
//! | `/a//b/` | `kv/%2Fa/%2Fb%2F` | and slashes next to an empty fragment |
//!
//! So no two keys have the same topic, and decoding the part after `kv/` yields the key. There are
//! two limits: slashes after the 62nd are encoded, and a topic that would be too long is cut and
//! ends in a bare `%`. No other topic does. An event contains the whole key.

use std::fmt::Write;

use ump_router::Topic;

/// The first fragment of all topics.
pub(crate) const PREFIX: &str = "kv";

/// The limits of a topic after `kv/`.
const MAX_LENGTH: usize = Topic::MAX_LENGTH - PREFIX.len() - 1;
const MAX_FRAGMENTS: usize = Topic::MAX_FRAGMENTS - 1;

/// Returns the topic of a key that is not empty, without the prefix.
pub(crate) fn of(key: &str) -> Topic {
    let text = if is_plain(key) {
        key.to_owned()
    } else {
        encoded(key)
    };
    Topic::try_from(text).expect("invalid characters are encoded, and the length is limited")
}

/// Returns whether the key certainly is a topic as it is.
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
    // The length that is kept if the topic is cut.
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

/// Returns whether a slash between these texts has a fragment on both sides.
fn is_between(before: &str, after: &str) -> bool {
    !before.is_empty() && !before.ends_with('/') && !after.is_empty()
}

fn encode(character: char, topic: &mut String) {
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        write!(topic, "%{byte:02X}").expect("a string takes all");
    }
}
