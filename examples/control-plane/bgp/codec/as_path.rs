//! `AS_PATH` (RFC 4271, 4.3), with systems of two or four octets (RFC 6793).

use std::fmt;

use super::{Cursor, open};

/// The kind of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentKind {
    Set,
    Sequence,
    /// Within a confederation (RFC 5065).
    ConfederationSequence,
    ConfederationSet,
}

impl SegmentKind {
    fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Set),
            2 => Some(Self::Sequence),
            3 => Some(Self::ConfederationSequence),
            4 => Some(Self::ConfederationSet),
            _ => None,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Set => 1,
            Self::Sequence => 2,
            Self::ConfederationSequence => 3,
            Self::ConfederationSet => 4,
        }
    }

    fn is_of_confederation(self) -> bool {
        matches!(self, Self::ConfederationSequence | Self::ConfederationSet)
    }
}

/// A segment of a path: 1 to 255 systems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) kind: SegmentKind,
    pub(crate) systems: Vec<u32>,
}

/// The systems that a route has passed, the last one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AsPath(pub(crate) Vec<Segment>);

/// The largest number of systems in a segment.
const SEGMENT: usize = 255;

impl AsPath {
    /// Decodes a path. `None` if it is malformed: an unknown kind of segment, an empty one, or one
    /// that does not end with the bytes.
    pub(super) fn decode(bytes: &[u8], four_octets: bool) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let mut segments = Vec::new();
        while !cursor.is_empty() {
            let kind = SegmentKind::of(cursor.u8()?)?;
            let count = cursor.u8()?;
            let system = |_| {
                if four_octets {
                    cursor.u32()
                } else {
                    cursor.u16().map(u32::from)
                }
            };
            let systems: Vec<_> = (0..count).map(system).collect::<Option<_>>()?;
            if systems.is_empty() {
                return None;
            }
            segments.push(Segment { kind, systems });
        }
        Some(Self(segments))
    }

    pub(super) fn encode(&self, four_octets: bool, into: &mut Vec<u8>) {
        for Segment { kind, systems } in &self.0 {
            for systems in systems.chunks(SEGMENT) {
                // At most 255.
                #[allow(clippy::cast_possible_truncation)]
                into.extend([kind.number(), systems.len() as u8]);
                for &system in systems {
                    if four_octets {
                        into.extend(system.to_be_bytes());
                    } else {
                        into.extend(open::two_octets(system).to_be_bytes());
                    }
                }
            }
        }
    }

    /// Returns whether a path with two octets loses something.
    pub(super) fn needs_four_octets(&self) -> bool {
        self.systems().any(|system| u16::try_from(system).is_err())
    }

    /// Returns whether the path has segments of a confederation.
    pub(crate) fn has_confederation(&self) -> bool {
        let mut segments = self.0.iter();
        segments.any(|segment| segment.kind.is_of_confederation())
    }

    /// Returns the path without segments of a confederation.
    pub(crate) fn without_confederation(&self) -> Self {
        let outside = |segment: &&Segment| !segment.kind.is_of_confederation();
        Self(self.0.iter().filter(outside).cloned().collect())
    }

    /// Returns the systems, in order.
    pub(crate) fn systems(&self) -> impl Iterator<Item = u32> + '_ {
        let all = self.0.iter().flat_map(|segment| &segment.systems);
        all.copied()
    }

    /// Returns the system that announced the route, if the path begins with a sequence.
    pub(crate) fn first(&self) -> Option<u32> {
        let first = self.0.first()?;
        let is_sequence = first.kind == SegmentKind::Sequence;
        is_sequence
            .then(|| first.systems.first().copied())
            .flatten()
    }

    /// Adds a system in front.
    #[must_use]
    pub(crate) fn prepend(mut self, system: u32) -> Self {
        match self.0.first_mut() {
            Some(first) if first.kind == SegmentKind::Sequence && first.systems.len() < SEGMENT => {
                first.systems.insert(0, system);
            }
            _ => self.0.insert(
                0,
                Segment {
                    kind: SegmentKind::Sequence,
                    systems: vec![system],
                },
            ),
        }
        self
    }

    /// Returns the number of systems for the comparison with `AS4_PATH` (RFC 6793, 4.2.3).
    fn length(&self) -> usize {
        let count = |segment: &Segment| match segment.kind {
            SegmentKind::Set => 1,
            SegmentKind::Sequence => segment.systems.len(),
            SegmentKind::ConfederationSequence | SegmentKind::ConfederationSet => 0,
        };
        self.0.iter().map(count).sum()
    }

    /// Puts the real systems of an `AS4_PATH` in place of the last ones. The path stays as it is if
    /// it is the shorter one.
    pub(super) fn merge(self, real: &Self) -> Self {
        let Some(mut keep) = self.length().checked_sub(real.length()) else {
            return self;
        };
        let mut merged = Vec::new();
        for Segment { kind, mut systems } in self.0 {
            if kind.is_of_confederation() {
                merged.push(Segment { kind, systems });
                continue;
            }
            if keep == 0 {
                break;
            }
            if kind == SegmentKind::Sequence {
                systems.truncate(keep);
                keep -= systems.len();
            } else {
                keep -= 1;
            }
            merged.push(Segment { kind, systems });
        }
        merged.extend(real.0.iter().cloned());
        // Two sequences in a row are one.
        let mut path: Vec<Segment> = Vec::new();
        for segment in merged {
            match path.last_mut() {
                Some(last)
                    if last.kind == SegmentKind::Sequence
                        && segment.kind == SegmentKind::Sequence
                        && last.systems.len() + segment.systems.len() <= SEGMENT =>
                {
                    last.systems.extend(segment.systems);
                }
                _ => path.push(segment),
            }
        }
        Self(path)
    }
}

impl fmt::Display for AsPath {
    /// Writes the path as `bgpdump` does: `64496 {64497,64498} (65001 65002) [65001,65002]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Segment { kind, systems }) in self.0.iter().enumerate() {
            let (open, between, close) = match kind {
                SegmentKind::Sequence => ("", " ", ""),
                SegmentKind::Set => ("{", ",", "}"),
                SegmentKind::ConfederationSequence => ("(", " ", ")"),
                SegmentKind::ConfederationSet => ("[", ",", "]"),
            };
            let systems: Vec<_> = systems.iter().map(ToString::to_string).collect();
            let space = if number == 0 { "" } else { " " };
            write!(f, "{space}{open}{}{close}", systems.join(between))?;
        }
        Ok(())
    }
}
