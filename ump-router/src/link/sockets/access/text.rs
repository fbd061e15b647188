//! Rules in a configuration file.

use serde::Deserialize;

use super::{Permission, Quotas, Rules, Who, rules::Rule};

/// The reason why rules could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// It is not known which peers are meant.
    #[error("'{0}' names no peers: write anyone, anonymous, uid:NUMBER, gid:NUMBER or tls:NAME")]
    Who(String),
    /// A topic or pattern is not valid.
    #[error("{0}")]
    Topic(#[from] crate::TopicError),
    /// A rule allows and denies, or neither.
    #[error("rule {0} needs either `allow` or `deny`")]
    Effect(usize),
    /// A rule has no topics or no permissions.
    #[error("rule {0} has an empty list")]
    Empty(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RulesText {
    #[serde(default)]
    default: Default,
    #[serde(default)]
    rules: Vec<RuleText>,
    #[serde(default)]
    quotas: Vec<QuotasText>,
}

#[derive(Clone, Copy, Deserialize, std::default::Default)]
#[serde(rename_all = "snake_case")]
enum Default {
    #[default]
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    who: String,
    allow: Option<Vec<PermissionText>>,
    deny: Option<Vec<PermissionText>>,
    topics: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PermissionText {
    Publish,
    Subscribe,
    Serve,
    Request,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotasText {
    who: String,
    connections: Option<usize>,
    subscriptions: Option<usize>,
    served_topics: Option<usize>,
    pending_requests: Option<usize>,
    queued_bytes: Option<usize>,
    retained_messages: Option<usize>,
}

impl From<PermissionText> for Permission {
    fn from(text: PermissionText) -> Self {
        match text {
            PermissionText::Publish => Self::Publish,
            PermissionText::Subscribe => Self::Subscribe,
            PermissionText::Serve => Self::Serve,
            PermissionText::Request => Self::Request,
        }
    }
}

impl TryFrom<RulesText> for Rules {
    type Error = RulesError;

    fn try_from(text: RulesText) -> Result<Self, RulesError> {
        let mut rules = Self {
            denies_by_default: matches!(text.default, Default::Deny),
            ..Self::default()
        };
        for (rule, nth) in text.rules.into_iter().zip(1..) {
            let who: Who = rule.who.parse()?;
            let (allows, permissions) = match (rule.allow, rule.deny) {
                (Some(allowed), None) => (true, allowed),
                (None, Some(denied)) => (false, denied),
                _ => return Err(RulesError::Effect(nth)),
            };
            if permissions.is_empty() || rule.topics.is_empty() {
                return Err(RulesError::Empty(nth));
            }
            for topic in &rule.topics {
                rules.list.push(Rule {
                    who: who.clone(),
                    allows,
                    permissions: permissions.iter().copied().map(Into::into).collect(),
                    pattern: topic.parse()?,
                });
            }
        }
        for text in text.quotas {
            let default = Quotas::default();
            let quotas = Quotas {
                connections: text.connections.unwrap_or(default.connections),
                subscriptions: text.subscriptions.unwrap_or(default.subscriptions),
                served_topics: text.served_topics.unwrap_or(default.served_topics),
                pending_requests: text.pending_requests.unwrap_or(default.pending_requests),
                queued_bytes: text.queued_bytes.unwrap_or(default.queued_bytes),
                retained_messages: text.retained_messages.unwrap_or(default.retained_messages),
            };
            rules.quotas.push((text.who.parse()?, quotas));
        }
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use ciborium::cbor;

    use super::*;
    use crate::link::sockets::{Identity, Quota};

    fn read(value: Result<ciborium::Value, ciborium::value::Error>) -> Result<Rules, String> {
        let read = value.unwrap().deserialized::<Rules>();
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn rules_are_read_from_a_file() {
        let read = read(cbor!({
            "default" => "deny",
            "rules" => [
                { "who" => "uid:1000", "allow" => ["publish", "subscribe"], "topics" => ["a/**", "b"] },
                { "who" => "anyone", "deny" => ["serve", "request"], "topics" => ["c"] },
            ],
            "quotas" => [
                { "who" => "tls:meter.example", "connections" => 2 },
                { "who" => "anyone", "queued_bytes" => 1000 },
            ],
        }));
        let both = [Permission::Publish, Permission::Subscribe];
        let other = [Permission::Serve, Permission::Request];
        let expected = Rules::deny_by_default()
            .allow(Who::Uid(1000), both, "a/**".parse().unwrap())
            .allow(Who::Uid(1000), both, "b".parse().unwrap())
            .deny(Who::Anyone, other, "c".parse().unwrap())
            .quotas(
                Who::TlsName("meter.example".to_owned()),
                Quotas::new().limit(Quota::Connections, 2),
            )
            .quotas(Who::Anyone, Quotas::new().limit(Quota::QueuedBytes, 1000));
        assert_eq!(read.unwrap(), expected);
        let meter = Identity::Tls {
            names: vec!["meter.example".to_owned()],
        };
        assert_eq!(expected.quotas_of(&meter).connections, 2);
    }

    #[test]
    fn mistakes_in_a_file_are_named() {
        let rule = |who: &str, topic: &str| {
            read(cbor!({
                "rules" => [{ "who" => who, "allow" => ["serve"], "topics" => [topic] }],
            }))
        };
        assert!(rule("gid:7", "a").is_ok());
        assert!(
            rule("uid:x", "a")
                .unwrap_err()
                .contains("'uid:x' names no peers")
        );
        assert!(rule("anyone", &"x".repeat(3000)).is_err());
        let neither = read(cbor!({ "rules" => [{ "who" => "anyone", "topics" => ["a"] }] }));
        assert!(neither.unwrap_err().contains("rule 1 needs either"));
        let unknown = read(cbor!({ "defualt" => "deny" }));
        assert!(unknown.unwrap_err().contains("defualt"));
        let unknown = read(cbor!({ "default" => "maybe" }));
        assert!(unknown.unwrap_err().contains("maybe"));
    }
}
