//! A route as a neighbour announces it, and the order in which routes are preferred.
//!
//! The order is that of BGP (RFC 4271, 9.1.2.2) for the attributes here: the higher preference, the
//! shorter path, the lower origin, the lower MED (also between different systems), the lower cost
//! of the way to the next hop, the lower address of the neighbour. A route whose next hop is
//! unresolved is never used.

use std::{cmp::Reverse, fmt, net::IpAddr, str::FromStr, sync::Arc};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attributes {
    pub(crate) path: AsPath,
    pub(crate) origin: Origin,
    pub(crate) next_hop: IpAddr,
    pub(crate) preference: u32,
    pub(crate) med: u32,
    pub(crate) scope: Scope,
}

/// The neighbours to which a route may be advertised (RFC 1997).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    Everybody,
    /// The neighbours in our own system.
    Internal,
    Nobody,
}

/// A route and the neighbour that announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) from: IpAddr,
    pub(crate) attributes: Attributes,
    /// The table sets it.
    pub(crate) interior: Interior,
}

/// The way to a next hop within our system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Interior {
    /// Without a topology all next hops are equally near.
    #[default]
    Unknown,
    Cost(u64),
    /// No network with the next hop can be reached.
    Unresolved,
}

impl Path {
    pub(crate) fn new(from: IpAddr, attributes: Attributes) -> Self {
        let interior = Interior::default();
        Self {
            from,
            attributes,
            interior,
        }
    }

    pub(crate) fn is_resolved(&self) -> bool {
        self.interior != Interior::Unresolved
    }

    /// Returns the sort key: the best path has the smallest, and no two neighbours have the same.
    pub(crate) fn rank(&self) -> impl Ord + use<> {
        let Attributes {
            path,
            origin,
            preference,
            med,
            ..
        } = &self.attributes;
        (
            !self.is_resolved(),
            (Reverse(*preference), path.length, *origin, *med),
            self.interior,
            self.from,
        )
    }
}

/// The systems that a route has passed, the last one first, as `bgpdump` prints them.
///
/// | segment | printed | counts |
/// |---|---|--:|
/// | sequence | `64496 64497` | each |
/// | set, whose order is unknown | `{64496,64497}` | 1 |
/// | sequence within a confederation | `(65001 65002)` | 0 |
/// | set within a confederation | `[65001,65002]` | 0 |
///
/// See RFC 4271, 9.1.2.2, and RFC 5065, 5.3. The path of a route is empty if it originates in our
/// system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct AsPath {
    /// Shared, because a message has one path for many prefixes.
    text: Arc<str>,
    length: usize,
}

/// The text contains something that is not a segment.
#[derive(Debug)]
pub(crate) struct NotAPath;

impl FromStr for AsPath {
    type Err = NotAPath;

    fn from_str(text: &str) -> Result<Self, NotAPath> {
        let mut length = 0;
        let mut rest = text.trim();
        while let Some(first) = rest.chars().next() {
            let (end, counts) = match first {
                '{' => ('}', 1),
                '(' => (')', 0),
                '[' => (']', 0),
                _ => {
                    let (hop, after) = rest.split_once(' ').unwrap_or((rest, ""));
                    system(hop).ok_or(NotAPath)?;
                    length += 1;
                    rest = after.trim_start();
                    continue;
                }
            };
            let (members, after) = rest[1..].split_once(end).ok_or(NotAPath)?;
            if !members.split([',', ' ']).all(|hop| system(hop).is_some()) {
                return Err(NotAPath);
            }
            // A space separates segments.
            if !after.is_empty() && !after.starts_with(' ') {
                return Err(NotAPath);
            }
            length += counts;
            rest = after.trim_start();
        }
        Ok(Self {
            text: text.trim().into(),
            length,
        })
    }
}

impl AsPath {
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns the segments: the bracket that opens it, if there is one, and the text of its
    /// members.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (Option<char>, &str)> {
        let mut rest = &*self.text;
        std::iter::from_fn(move || {
            rest = rest.trim_start();
            let open = rest.chars().next()?;
            let is_sequence = !matches!(open, '{' | '(' | '[');
            if is_sequence {
                let end = rest.find(['{', '(', '[']).unwrap_or(rest.len());
                let (members, after) = rest.split_at(end);
                rest = after;
                return Some((None, members));
            }
            let end = rest.find(['}', ')', ']']).unwrap_or(rest.len());
            let members = &rest[1..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            Some((Some(open), members))
        })
    }
}

/// Parses the number of a system, plain or with a dot between its halves (RFC 5396).
pub(crate) fn system(text: &str) -> Option<u32> {
    let number = |text: &str| {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<u32>().ok()).flatten()
    };
    match text.split_once('.') {
        None => number(text),
        Some((high, low)) => {
            let half = |text| number(text).and_then(|n| u16::try_from(n).ok());
            Some(u32::from(half(high)?) << 16 | u32::from(half(low)?))
        }
    }
}

impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            return f.write_str("(empty)");
        }
        self.text.fmt(f)
    }
}

/// How the first system of the path learned of the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Origin {
    Igp,
    Egp,
    Incomplete,
}

/// The text is none of the three origins.
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
        let Self {
            from,
            attributes,
            interior,
        } = self;
        write!(
            f,
            "via {} from {from}, path {}, preference {}, MED {}",
            attributes.next_hop, attributes.path, attributes.preference, attributes.med
        )?;
        match interior {
            Interior::Unknown => Ok(()),
            Interior::Cost(cost) => write!(f, ", cost {cost}"),
            Interior::Unresolved => f.write_str(", unresolved"),
        }
    }
}
