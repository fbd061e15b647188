//! The state word of a slot: its bits, and what they mean together. The module above has the table.

#![forbid(unsafe_code)]

use crate::stats::Ending;

pub(super) const PENDING: u32 = 0;

pub(super) const LOCKED: u32 = 1;

pub(super) const CALLER: u32 = 1 << 1;

pub(super) const HANDLER: u32 = 1 << 2;

pub(super) const DONE: u32 = 1 << 3;

pub(super) const ABANDONED: u32 = 1 << 4;

pub(super) const ARMED: u32 = 1 << 5;

pub(super) const DISARMING: u32 = 1 << 6;

pub(super) const HANDED: u32 = 1 << 7;

pub(super) const ORPHAN: u32 = 1 << 8;

pub(super) const COMMITTED: u32 = 1 << 9;

pub(super) const PARITY: u32 = 1 << 10;

pub(super) const TIMED: u32 = 1 << 11;

pub(super) const ENDING: u32 = 7 << ENDING_SHIFT;

pub(super) const ENDING_SHIFT: u32 = 12;

/// The bits that outlast a request.
pub(super) const LASTING: u32 = ARMED | DISARMING | PARITY;

/// The bits that keep the server's end from publishing by one exchange.
pub(super) const INVOLVED: u32 = LOCKED | CALLER | HANDLER | ABANDONED;

/// The parity of a request that was handed over: it tells the request from the one before in the
/// same slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parity(pub(crate) u32);

/// Returns whether the committed request has been accepted, which the slot itself does not record.
#[inline]
pub(super) fn is_accepted(bits: u32, last: Parity) -> bool {
    bits & (HANDED | COMMITTED) == HANDED | COMMITTED && bits & PARITY == last.0
}

/// Returns whether there is a request that was handed over and not accepted.
#[inline]
pub(super) fn is_handed(bits: u32, last: Parity) -> bool {
    bits & HANDED != 0 && !is_accepted(bits, last)
}

/// Returns the ending in the bits, unless a request has been accepted since, with which it was
/// counted.
pub(super) fn uncounted(bits: u32, last: Parity) -> Option<Ending> {
    ending(bits).filter(|_| !is_accepted(bits, last))
}

/// Encodes an ending in the bits of the state word.
#[inline]
pub(super) fn code(ending: Option<Ending>) -> u32 {
    ending.map_or(0, |ending| (ending as u32 + 1) << ENDING_SHIFT)
}

/// Decodes the ending in the bits of the state word.
#[inline]
pub(super) fn ending(bits: u32) -> Option<Ending> {
    let code = (bits & ENDING) >> ENDING_SHIFT;
    Ending::ALL.get((code as usize).wrapping_sub(1)).copied()
}
