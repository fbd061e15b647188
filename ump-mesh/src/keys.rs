//! The keys of zenoh, below the namespace of a domain.
//!
//! ```text
//!   topic or pattern of ump   ──key()──▶  key expression     (a leading `@` or `%` is escaped)
//!                             ◀─name()──
//!   token: @ump/1/KIND/ID/FIELDS/...     each field with `%XX` for all but letters, digits, `-._`
//! ```

use std::time::{Duration, SystemTime};

use ump_router::{
    Pattern, Topic,
    bridge::{full_pattern, full_topic},
};

use crate::{claims::Role, error::MeshError, participant::ParticipantId};

/// Before all keys that are not topics. The number is that of the version.
const BASE: &str = "@ump/1";

/// The version in `BASE`.
#[cfg(feature = "cli")]
pub(crate) const VERSION: &str = "1";

/// All tokens.
pub(crate) const TOKENS: &str = "@ump/1/**";

/// The numbers that all participants tell.
pub(crate) const ALL_BEATS: &str = "@ump/1/b/*";

/// The longest domain, in bytes.
const MAX_DOMAIN: usize = 64;

/// The multicast group of zenoh.
const GROUP: &str = "224.0.0.224";

/// The ports of domains: below those that systems choose by themselves.
const FIRST_PORT: u32 = 27_000;
const PORTS: u32 = 4_000;

pub(crate) fn check_domain(domain: &str) -> Result<(), MeshError> {
    let topic = domain.parse::<Topic>().ok();
    let is_one = topic.is_some_and(|topic| topic.fragments().count() == 1 && !topic.is_empty());
    if is_one && domain.len() <= MAX_DOMAIN {
        Ok(())
    } else {
        Err(MeshError::Domain(domain.to_owned()))
    }
}

/// The namespace of a domain.
pub(crate) fn namespace(domain: &str) -> String {
    format!("ump/{}", escaped(domain))
}

/// Returns the multicast group and port on which the participants of a domain find each other, for
/// plain zenoh programs (`scouting/multicast/address`), and for firewalls.
#[must_use]
pub fn group(domain: &str) -> String {
    // FNV-1a, which is simple to compute elsewhere.
    let hash = domain.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{GROUP}:{}", FIRST_PORT + hash % PORTS)
}

/// The key expression of a full name.
pub(crate) fn key(name: &Pattern) -> String {
    let fragments = name.as_str().split('/');
    let escaped = fragments.map(|fragment| match fragment.as_bytes().first() {
        Some(b'@') => format!("%40{}", &fragment[1..]),
        Some(b'%') => format!("%25{}", &fragment[1..]),
        _ => fragment.to_owned(),
    });
    escaped.collect::<Vec<_>>().join("/")
}

/// The full name of a key expression, if it is one.
pub(crate) fn name(key: &str) -> Option<Pattern> {
    let fragments = key.split('/').map(|fragment| {
        if let Some(rest) = fragment.strip_prefix("%40") {
            Some(format!("@{rest}"))
        } else if let Some(rest) = fragment.strip_prefix("%25") {
            Some(format!("%{rest}"))
        } else {
            (!fragment.starts_with(['@', '%'])).then(|| fragment.to_owned())
        }
    });
    let fragments: Option<Vec<_>> = fragments.collect();
    full_pattern(&fragments?.join("/")).ok()
}

/// The key under which others send a `Tell` to one participant.
pub(crate) fn inbox(id: ParticipantId) -> String {
    format!("{BASE}/i/{id}")
}

/// The key of the numbers of a participant.
pub(crate) fn beat(id: ParticipantId) -> String {
    format!("{BASE}/b/{id}")
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Token {
    Participant {
        id: ParticipantId,
        name: String,
        host: String,
        pid: u32,
        joined: SystemTime,
    },
    Subscription {
        id: ParticipantId,
        number: u64,
        pattern: Pattern,
    },
    Claim {
        id: ParticipantId,
        epoch: u64,
        topic: Topic,
        role: Role,
    },
    /// The participant is about to leave, so that nothing of it is missing.
    Leaving { id: ParticipantId },
}

impl Token {
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Participant {
                id,
                name,
                host,
                pid,
                joined,
            } => {
                let since = joined.duration_since(SystemTime::UNIX_EPOCH);
                let since = since.unwrap_or_default().as_millis();
                let (name, host) = (field(name), field(host));
                format!("{BASE}/p/{id}/{name}/{host}/{pid}/{since}")
            }
            Self::Subscription {
                id,
                number,
                pattern,
            } => format!("{BASE}/s/{id}/{number}/{}", fields(pattern.as_str())),
            Self::Claim {
                id,
                epoch,
                topic,
                role,
            } => {
                let kind = match role {
                    Role::StandsBy => 'c',
                    Role::Serves => 'w',
                };
                format!("{BASE}/{kind}/{id}/{epoch}/{}", fields(topic.as_str()))
            }
            Self::Leaving { id } => format!("{BASE}/l/{id}/0/="),
        }
    }

    /// Reads a key. `None` if it is no token of this version.
    pub(crate) fn parse(key: &str) -> Option<Self> {
        let rest = key.strip_prefix(BASE)?.strip_prefix('/')?;
        let mut parts = rest.splitn(4, '/');
        let (kind, id, first) = (parts.next()?, parts.next()?, parts.next()?);
        let id = ParticipantId(u128::from_str_radix(id, 16).ok()?);
        let rest = parts.next()?;
        match kind {
            "p" => {
                let mut parts = rest.split('/');
                let (host, pid, since) = (parts.next()?, parts.next()?, parts.next()?);
                let since = Duration::from_millis(since.parse().ok()?);
                Some(Self::Participant {
                    id,
                    name: text(first)?,
                    host: text(host)?,
                    pid: pid.parse().ok()?,
                    joined: SystemTime::UNIX_EPOCH.checked_add(since)?,
                })
            }
            "s" => Some(Self::Subscription {
                id,
                number: first.parse().ok()?,
                pattern: full_pattern(&texts(rest)?).ok()?,
            }),
            "c" | "w" => Some(Self::Claim {
                id,
                epoch: first.parse().ok()?,
                topic: full_topic(&texts(rest)?).ok()?,
                role: match kind {
                    "w" => Role::Serves,
                    _ => Role::StandsBy,
                },
            }),
            "l" => Some(Self::Leaving { id }),
            _ => None,
        }
    }
}

/// A text as one fragment of a key, which is never empty.
fn field(text: &str) -> String {
    format!("={}", escaped(text))
}

fn fields(name: &str) -> String {
    name.split('/').map(field).collect::<Vec<_>>().join("/")
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.extend(format!("%{byte:02x}").chars());
        }
    }
    escaped
}

fn text(field: &str) -> Option<String> {
    let mut bytes = field.strip_prefix('=')?.bytes();
    let mut text = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            text.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            text.push(byte);
        }
    }
    String::from_utf8(text).ok()
}

fn texts(fields: &str) -> Option<String> {
    let texts: Option<Vec<_>> = fields.split('/').map(text).collect();
    Some(texts?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_survives_its_key() {
        for text in [
            "a/b", "@a/b@", "%40/x", "a/*/**", "ä/%", "%25", "@", "", "a%/b",
        ] {
            let name_of = name(&key(&pattern(text)));
            assert_eq!(name_of, Some(pattern(text)), "{text}");
        }
        assert_eq!(key(&pattern("@ump/1")), "%40ump/1");
        assert_eq!(name("@ump/1/b/7"), None);
        assert_eq!(name("a/%41"), None, "not one of these");
    }

    #[test]
    fn a_token_survives_its_key() {
        let id = ParticipantId(0x2a);
        let joined = SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567);
        let named = |name: &str| Token::Participant {
            id,
            name: name.to_owned(),
            host: String::new(),
            pid: 7,
            joined,
        };
        let subscription = |text: &str| Token::Subscription {
            id,
            number: 3,
            pattern: pattern(text),
        };
        let claim = |text: &str, role| Token::Claim {
            id,
            epoch: u64::MAX,
            topic: text.parse().unwrap(),
            role,
        };
        let all = [
            named("a program/with @ * and ä"),
            named(""),
            subscription("a/*/**"),
            subscription("**"),
            subscription(""),
            claim("@a/b", Role::StandsBy),
            claim("a", Role::Serves),
            Token::Leaving { id },
        ];
        for token in all {
            assert_eq!(Token::parse(&token.key()), Some(token.clone()), "{token:?}");
        }
    }

    #[test]
    fn a_foreign_key_is_no_token() {
        let id = "0000000000000000000000000000002a";
        for key in [
            "",
            "a/b",
            "@ump/2/p/1/=a/=b/1/1",
            "@ump/1/p",
            "@ump/1/x/1/2/3",
            "@ump/1/p/zz/=a/=b/1/1",
            "@ump/1/p/1/a/b/1/1",
            "@ump/1/p/1/=a/=b/1",
            "@ump/1/s/1/1/=%2",
            "@ump/1/s/1/1/=%zz",
            "@ump/1/s/1/1/=%ff",
            "@ump/1/s/1/-1/=a",
            "@ump/1/c/1/1/=%2a",
            &format!("@ump/1/p/{id}{id}/=a/=b/1/1"),
        ] {
            assert_eq!(Token::parse(key), None, "{key}");
        }
    }

    #[test]
    fn each_domain_has_a_namespace_and_a_port() {
        assert!(check_domain("default").is_ok());
        for domain in ["", "a/b", "a b", "*", &"x".repeat(65)] {
            assert!(check_domain(domain).is_err(), "{domain}");
        }
        assert_eq!(namespace("a@b"), "ump/a%40b");
        assert_eq!(group("default"), "224.0.0.224:27894");
        assert_ne!(group("default"), group("test"));
    }
}
