//! Access rules by identity.

use std::fmt;

use super::{Identity, Quotas, Who};
use crate::topic::Pattern;

/// What a rule allows or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Permission {
    /// To publish messages.
    Publish,
    /// To subscribe.
    Subscribe,
    /// To serve topics.
    Serve,
    /// To make requests.
    Request,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Publish, Self::Subscribe, Self::Serve, Self::Request];
}

/// What the peers of a listener, or of a link, may do.
///
/// Topics and patterns in rules are full names: the prefix of the type comes first
/// (`price/eth/eur`). The order of rules does not matter:
///
/// - An operation is refused if its pattern *intersects* one that is denied.
/// - Otherwise it is allowed if its pattern lies *within* one that is allowed
///   ([`Pattern::includes`]). So a subscription to `price/**` needs a rule for all of `price/**`.
/// - Otherwise the default decides.
///
/// A peer is told only the subscriptions within which it may publish, and of the topics that other
/// peers serve only those that it may request. It knows all topics that this router itself serves.
///
/// If the default is to deny, a peer that no rule allows anything is not accepted at all.
///
/// ```
/// use ump_router::link::sockets::{Permission, Quota, Quotas, Rules, Who};
///
/// let rules = Rules::deny_by_default()
///     .allow(Who::Uid(1000), Permission::ALL, "**".parse()?)
///     .allow(Who::Anyone, [Permission::Subscribe], "price/**".parse()?)
///     .deny(Who::Anyone, [Permission::Subscribe], "price/internal/**".parse()?)
///     .quotas(Who::Anyone, Quotas::new().limit(Quota::Connections, 64));
/// # let _ = rules;
/// # Ok::<(), ump_router::TopicError>(())
/// ```
///
/// They can be read from a configuration file: `Rules` is `serde::Deserialize`. In TOML:
///
/// ```toml
/// default = "deny"              # or "allow", which is the default
///
/// [[rules]]
/// who = "uid:1000"              # anyone, anonymous, uid:N, gid:N, tls:NAME
/// allow = ["publish", "subscribe", "serve", "request"]
/// topics = ["**"]
///
/// [[rules]]
/// who = "anyone"
/// deny = ["subscribe"]
/// topics = ["price/internal/**"]
///
/// [[quotas]]                    # the first that matches
/// who = "anyone"
/// connections = 64              # 256 if it is left out. Without limits if they are left out:
/// queued_bytes = 1048576        # also subscriptions, served_topics, pending_requests
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "super::text::RulesText")]
pub struct Rules {
    pub(super) denies_by_default: bool,
    pub(super) list: Vec<Rule>,
    pub(super) quotas: Vec<(Who, Quotas)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) who: Who,
    pub(super) allows: bool,
    pub(super) permissions: Vec<Permission>,
    pub(super) pattern: Pattern,
}

impl Rules {
    /// Returns rules that allow what no rule denies. This is the default.
    #[must_use]
    pub fn allow_by_default() -> Self {
        Self::default()
    }

    /// Returns rules that deny what no rule allows.
    #[must_use]
    pub fn deny_by_default() -> Self {
        Self {
            denies_by_default: true,
            ..Self::default()
        }
    }

    /// Adds a rule that allows something.
    #[must_use]
    pub fn allow(
        self,
        who: Who,
        permissions: impl IntoIterator<Item = Permission>,
        pattern: Pattern,
    ) -> Self {
        self.with(who, true, permissions, pattern)
    }

    /// Adds a rule that denies something.
    #[must_use]
    pub fn deny(
        self,
        who: Who,
        permissions: impl IntoIterator<Item = Permission>,
        pattern: Pattern,
    ) -> Self {
        self.with(who, false, permissions, pattern)
    }

    /// Sets the quotas of some peers. The first that match a peer are its quotas. A peer that none
    /// match has the default ones.
    #[must_use]
    pub fn quotas(mut self, who: Who, quotas: Quotas) -> Self {
        self.quotas.push((who, quotas));
        self
    }

    fn with(
        mut self,
        who: Who,
        allows: bool,
        permissions: impl IntoIterator<Item = Permission>,
        pattern: Pattern,
    ) -> Self {
        self.list.push(Rule {
            who,
            allows,
            permissions: permissions.into_iter().collect(),
            pattern,
        });
        self
    }

    /// Returns the quotas of a peer.
    #[must_use]
    pub fn quotas_of(&self, identity: &Identity) -> Quotas {
        let mut all = self.quotas.iter();
        let own = all.find(|(who, _)| who.matches(identity));
        own.map_or_else(Quotas::default, |(_, quotas)| *quotas)
    }

    /// Checks whether a peer may do something with a topic or pattern, a full name.
    ///
    /// # Errors
    /// The explanation, for people, if it may not. It names the rule.
    pub fn check(
        &self,
        identity: &Identity,
        permission: Permission,
        pattern: &Pattern,
    ) -> Result<(), String> {
        if self.list.is_empty() && !self.denies_by_default {
            return Ok(());
        }
        let own =
            |rule: &&Rule| rule.permissions.contains(&permission) && rule.who.matches(identity);
        let mut is_allowed = !self.denies_by_default;
        for rule in self.list.iter().filter(own) {
            if !rule.allows && rule.pattern.intersects(pattern) {
                return Err(format!(
                    "a rule denies {} to {permission} {}",
                    rule.who, rule.pattern
                ));
            }
            is_allowed |= rule.allows && rule.pattern.includes(pattern);
        }
        if is_allowed {
            Ok(())
        } else {
            Err(format!("no rule allows {identity} to {permission} this"))
        }
    }

    /// Returns whether a peer may do something on some topics within a pattern.
    pub(in super::super) fn may_within(
        &self,
        identity: &Identity,
        permission: Permission,
        pattern: &Pattern,
    ) -> bool {
        let own =
            |rule: &&Rule| rule.permissions.contains(&permission) && rule.who.matches(identity);
        let mut is_allowed = !self.denies_by_default;
        for rule in self.list.iter().filter(own) {
            if !rule.allows && rule.pattern.includes(pattern) {
                return false;
            }
            is_allowed |= rule.allows && rule.pattern.intersects(pattern);
        }
        is_allowed
    }

    /// Checks whether a peer may do anything at all.
    pub(in super::super) fn admit(&self, identity: &Identity) -> Result<(), String> {
        let mut rules = self.list.iter().filter(|rule| rule.allows);
        if !self.denies_by_default || rules.any(|rule| rule.who.matches(identity)) {
            Ok(())
        } else {
            Err(format!("no rule allows anything to {identity}"))
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe to",
            Self::Serve => "serve",
            Self::Request => "request",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(uid: u32) -> Identity {
        Identity::Unix {
            uid,
            gid: 7,
            pid: 1,
        }
    }

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    fn may(rules: &Rules, identity: &Identity, text: &str) -> bool {
        let asked = pattern(text);
        rules.check(identity, Permission::Subscribe, &asked).is_ok()
    }

    #[test]
    fn a_subscription_must_lie_within_what_is_allowed() {
        let rules = Rules::deny_by_default().allow(
            Who::Uid(1),
            [Permission::Subscribe],
            pattern("price/**"),
        );
        assert!(may(&rules, &unix(1), "price/eth"));
        assert!(may(&rules, &unix(1), "price/**"));
        assert!(may(&rules, &unix(1), "price/*/eur"));
        assert!(!may(&rules, &unix(1), "**"));
        assert!(!may(&rules, &unix(1), "*/eth"));
        assert!(!may(&rules, &unix(2), "price/eth"));
        let asked = pattern("price/eth");
        assert!(rules.check(&unix(1), Permission::Publish, &asked).is_err());
    }

    #[test]
    fn what_intersects_a_denied_pattern_is_denied() {
        let rules =
            Rules::allow_by_default().deny(Who::Gid(7), Permission::ALL, pattern("secret/**"));
        assert!(may(&rules, &unix(1), "price/**"));
        assert!(!may(&rules, &unix(1), "secret/a"));
        assert!(!may(&rules, &unix(1), "**"));
        let anonymous = Identity::Anonymous { address: None };
        assert!(may(&rules, &anonymous, "secret/a"));
    }

    #[test]
    fn a_pattern_may_have_allowed_topics_in_it() {
        let rules = Rules::deny_by_default()
            .allow(Who::Uid(1), [Permission::Publish], pattern("price/eth/*"))
            .deny(Who::Gid(7), [Permission::Publish], pattern("price/eth/a"));
        let publish = Permission::Publish;
        let may = |uid, text| rules.may_within(&unix(uid), publish, &pattern(text));
        assert!(may(1, "**"));
        assert!(may(1, "price/*/b"));
        assert!(!may(1, "price/eth/a"));
        assert!(!may(1, "price/btc/*"));
        assert!(!may(2, "**"));
    }

    #[test]
    fn the_order_of_rules_does_not_matter() {
        let denied = |rules: Rules| rules.deny(Who::Anyone, Permission::ALL, pattern("a/b"));
        let allowed = |rules: Rules| rules.allow(Who::Anyone, Permission::ALL, pattern("a/*"));
        for rules in [
            denied(allowed(Rules::deny_by_default())),
            allowed(denied(Rules::deny_by_default())),
        ] {
            assert!(may(&rules, &unix(1), "a/c"));
            assert!(!may(&rules, &unix(1), "a/b"));
            assert!(!may(&rules, &unix(1), "a/*"));
        }
    }

    #[test]
    fn an_identity_without_any_rule_is_not_admitted() {
        let rules = Rules::deny_by_default()
            .allow(Who::TlsName("a".to_owned()), Permission::ALL, pattern("**"))
            .deny(Who::Anyone, [Permission::Serve], pattern("**"));
        let tls = |name: &str| Identity::Tls {
            names: vec![name.to_owned()],
        };
        assert!(rules.admit(&tls("a")).is_ok());
        assert!(rules.admit(&tls("b")).is_err());
        assert!(Rules::allow_by_default().admit(&tls("b")).is_ok());
    }
}
