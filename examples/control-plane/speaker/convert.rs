//! Converts routes between messages and the table.

use std::{net::IpAddr, sync::Arc};

use crate::{
    bgp::codec::{self, Segment, SegmentKind},
    path::{self, AsPath, Attributes, Origin, Scope},
};

/// The preference of a route without one.
const PREFERENCE: u32 = 100;

/// Makes the attributes of a route in the table.
pub(super) fn received(received: &codec::Attributes, next_hop: IpAddr) -> Option<Attributes> {
    let has = |community| received.communities.contains(&community);
    Some(Attributes {
        path: received.path.to_string().parse().ok()?,
        origin: match received.origin {
            codec::Origin::Igp => Origin::Igp,
            codec::Origin::Egp => Origin::Egp,
            codec::Origin::Incomplete => Origin::Incomplete,
        },
        next_hop,
        preference: received.preference.unwrap_or(PREFERENCE),
        med: received.med.unwrap_or(0),
        scope: if has(codec::Attributes::NO_ADVERTISE) {
            Scope::Nobody
        } else if has(codec::Attributes::NO_EXPORT) || has(codec::Attributes::NO_EXPORT_SUBCONFED) {
            Scope::Internal
        } else {
            Scope::Everybody
        },
    })
}

/// Makes the attributes that are advertised to a neighbour. Returns `None` if the route must not be
/// advertised, as it has passed the neighbour's system, or if the path has no room.
pub(super) fn sent(
    attributes: &Attributes,
    local_system: u32,
    peer_system: u32,
) -> Option<Arc<codec::Attributes>> {
    let is_internal = local_system == peer_system;
    let mut path = to_wire(&attributes.path)?;
    if path.systems().any(|system| system == peer_system) {
        return None;
    }
    if !is_internal {
        // Segments of a confederation do not leave it (RFC 5065, 4.1).
        path = path.without_confederation().prepend(local_system);
    }
    let communities = match attributes.scope {
        Scope::Everybody => Vec::new(),
        Scope::Internal => vec![codec::Attributes::NO_EXPORT],
        Scope::Nobody => return None,
    };
    if !is_internal && !communities.is_empty() {
        return None;
    }
    Some(Arc::new(codec::Attributes {
        origin: match attributes.origin {
            Origin::Igp => codec::Origin::Igp,
            Origin::Egp => codec::Origin::Egp,
            Origin::Incomplete => codec::Origin::Incomplete,
        },
        path,
        med: None,
        preference: is_internal.then_some(attributes.preference),
        communities,
    }))
}

fn to_wire(path: &AsPath) -> Option<codec::AsPath> {
    let mut segments: Vec<Segment> = Vec::new();
    for (open, members) in path.segments() {
        let kind = match open {
            Some('{') => SegmentKind::Set,
            Some('(') => SegmentKind::ConfederationSequence,
            Some('[') => SegmentKind::ConfederationSet,
            _ => SegmentKind::Sequence,
        };
        let words = members.split([',', ' ']).filter(|word| !word.is_empty());
        let systems: Vec<_> = words.map(path::system).collect::<Option<_>>()?;
        for systems in systems.chunks(255) {
            let systems = systems.to_vec();
            segments.push(Segment { kind, systems });
        }
    }
    Some(codec::AsPath(segments))
}
