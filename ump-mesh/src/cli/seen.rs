//! What the tokens of a network say, of all domains and versions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use crate::{
    claims::Role,
    keys::{self, Token},
    participant::ParticipantId,
};

/// What is seen.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// Those of the domain.
    pub(crate) programs: BTreeMap<ParticipantId, Program>,
    /// The other domains, escaped as in keys, with the ids of the programs in each.
    pub(crate) domains: BTreeMap<String, BTreeSet<String>>,
    /// The other versions of the mesh in the domain, with the ids of the programs that have each.
    pub(crate) versions: BTreeMap<String, BTreeSet<String>>,
}

/// A program of the domain.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Program {
    /// Not there if it is a plain zenoh program.
    pub(crate) participant: Option<Named>,
    pub(crate) subscriptions: BTreeSet<String>,
    pub(crate) serves: BTreeSet<String>,
    pub(crate) stands_by: BTreeSet<String>,
}

/// What a participant calls itself.
#[derive(Debug, PartialEq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) joined: SystemTime,
}

impl Seen {
    /// Reads the keys of tokens, which begin with the namespace. `namespace` is that of the domain.
    pub(crate) fn read<'a>(keys: impl IntoIterator<Item = &'a str>, namespace: &str) -> Self {
        let mut seen = Self::default();
        for key in keys {
            // ump/DOMAIN/@ump/VERSION/KIND/ID/...
            let mut parts = key.splitn(3, '/');
            let (Some(_), Some(domain), Some(own)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let mut parts = own.split('/').skip(1);
            let (version, _kind, id) = (parts.next(), parts.next(), parts.next());
            let (Some(version), Some(id)) = (version, id) else {
                continue;
            };
            let rest = key.strip_prefix(namespace);
            if !rest.is_some_and(|rest| rest.starts_with('/')) {
                let programs = seen.domains.entry(domain.to_owned()).or_default();
                programs.insert(id.to_owned());
            } else if version != keys::VERSION {
                let programs = seen.versions.entry(version.to_owned()).or_default();
                programs.insert(id.to_owned());
            } else if let Some(token) = Token::parse(own) {
                seen.add(token);
            }
        }
        seen
    }

    fn add(&mut self, token: Token) {
        match token {
            Token::Participant {
                id,
                name,
                host,
                pid,
                joined,
            } => {
                self.programs.entry(id).or_default().participant = Some(Named {
                    name,
                    host,
                    pid,
                    joined,
                });
            }
            Token::Subscription { id, pattern, .. } => {
                let program = self.programs.entry(id).or_default();
                program.subscriptions.insert(pattern.as_str().to_owned());
            }
            Token::Claim {
                id, topic, role, ..
            } => {
                let program = self.programs.entry(id).or_default();
                let topics = match role {
                    Role::Serves => &mut program.serves,
                    Role::StandsBy => &mut program.stands_by,
                };
                topics.insert(topic.as_str().to_owned());
            }
            Token::Leaving { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_by_domain_and_version() {
        let seen = Seen::read(
            [
                "ump/plant/@ump/1/p/2a/=chat/=here/7/1000",
                "ump/plant/@ump/1/s/2a/1/=price/=%2a%2a",
                "ump/plant/@ump/1/w/2a/65536/=double/=a",
                "ump/plant/@ump/1/c/2b/1/=double/=a",
                "ump/plant/@ump/1/l/2a/0/=",
                "ump/plant/@ump/1/new/2a/1/=a",
                "ump/plant/@ump/2/p/2c/anything",
                "ump/plants/@ump/1/p/2d/=x/=y/7/1000",
                "ump/plants/@ump/1/s/2d/1/=a",
                "ump/plant",
                "ump/plant/@ump/1",
            ],
            "ump/plant",
        );
        let set = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect();
        let first = &seen.programs[&ParticipantId(0x2a)];
        let named = first.participant.as_ref().unwrap();
        assert_eq!((&named.name[..], &named.host[..]), ("chat", "here"));
        assert_eq!(first.subscriptions, set(&["price/**"]));
        assert_eq!(
            (&first.serves, first.stands_by.len()),
            (&set(&["double/a"]), 0)
        );
        let second = &seen.programs[&ParticipantId(0x2b)];
        assert_eq!(
            (&second.participant, &second.stands_by),
            (&None, &set(&["double/a"]))
        );
        assert_eq!(seen.programs.len(), 2);
        assert_eq!(
            seen.versions,
            BTreeMap::from([("2".to_owned(), set(&["2c"]))])
        );
        assert_eq!(
            seen.domains,
            BTreeMap::from([("plants".to_owned(), set(&["2d"]))])
        );
    }
}
