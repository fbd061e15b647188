//! A route as a neighbour announces it, and which of several is the best.
//!
//! Like BGP's decision (RFC 4271, 9.1.2.2), as far as the attributes go that are here: the higher preference, the shorter path, the lower origin, the lower MED
//! (whoever it comes from), the lower address of the neighbour.

use std::{cmp::Reverse, fmt, net::IpAddr, str::FromStr};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) path: AsPath,
    pub(crate) origin: Origin,
    pub(crate) next_hop: IpAddr,
    pub(crate) preference: u32,
    pub(crate) med: u32,
}

/// A route, and who announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) from: IpAddr,
    pub(crate) attributes: Attributes,
}

impl Path {
    /// The best has the smallest; no two neighbours have the same.
    pub(crate) fn rank(&self) -> impl Ord + use<> {
        let Attributes {
            path,
            origin,
            preference,
            med,
            ..
        } = &self.attributes;
        (Reverse(*preference), path.length, *origin, *med, self.from)
    }
}

/// The systems through which a route came, the last one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AsPath {
    text: Box<str>,
    /// A set, whose order is unknown, counts as one.
    length: usize,
}

/// It has something in it that is neither a number nor a set of numbers.
#[derive(Debug)]
pub(crate) struct NotAPath;

impl FromStr for AsPath {
    type Err = NotAPath;

    fn from_str(text: &str) -> Result<Self, NotAPath> {
        let is_number = |text: &str| text.parse::<u32>().is_ok();
        let is_set = |text: &str| {
            let inner = text
                .strip_prefix('{')
                .and_then(|text| text.strip_suffix('}'));
            inner.is_some_and(|inner| inner.split(',').all(is_number))
        };
        if text.split(' ').all(|hop| is_number(hop) || is_set(hop)) {
            Ok(Self {
                text: text.into(),
                length: text.split(' ').count(),
            })
        } else {
            Err(NotAPath)
        }
    }
}

impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// How the first of them came to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    Igp,
    Egp,
    Incomplete,
}

/// It is none of the three.
#[derive(Debug)]
pub(crate) struct NotAnOrigin;

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        match text {
            "IGP" => Ok(Self::Igp),
            "EGP" => Ok(Self::Egp),
            "INCOMPLETE" => Ok(Self::Incomplete),
            _ => Err(NotAnOrigin),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, attributes } = self;
        write!(
            f,
            "via {} from {from}, path {}, preference {}, MED {}",
            attributes.next_hop, attributes.path, attributes.preference, attributes.med
        )
    }
}
