//! The numbers of topics, in both directions.
//!
//! A definition is encoded directly before the first frame that uses it, and frames that use topics
//! are never reordered after that. So a number can be redefined at any time.

use std::collections::{BTreeMap, HashMap};

use crate::topic::Pattern;

/// The topics that this end defined.
#[derive(Debug, Default)]
pub(super) struct NamesOut {
    numbers: HashMap<Pattern, u32>,
    /// By number.
    names: Vec<Pattern>,
    /// The maximum number of names.
    limit: u32,
    /// The number to be redefined next.
    next: usize,
    /// The last topic that was looked up: often many frames in a row have the same.
    last: Option<(Pattern, u32)>,
}

impl NamesOut {
    /// This end needs no more numbers than this, whatever the peer allows.
    const MAX: u32 = 4096;

    pub(super) fn set_limit(&mut self, limit: u32) {
        self.limit = limit.clamp(1, Self::MAX);
    }

    /// Returns the number of a topic, and whether it is to be defined.
    pub(super) fn number(&mut self, name: &Pattern) -> (u32, bool) {
        match &self.last {
            Some((last, number)) if last == name => return (*number, false),
            _ => {}
        }
        let known = self.numbers.get(name).copied();
        let number = known.unwrap_or_else(|| self.define(name));
        self.last = Some((name.clone(), number));
        (number, known.is_none())
    }

    fn define(&mut self, name: &Pattern) -> u32 {
        let number = if self.names.len() < self.limit as usize {
            self.names.push(name.clone());
            self.names.len() - 1
        } else {
            let number = self.next % self.names.len();
            self.next = number + 1;
            let old = std::mem::replace(&mut self.names[number], name.clone());
            self.numbers.remove(&old);
            number
        };
        // The limit is a `u32`.
        let number = u32::try_from(number).unwrap_or(0);
        self.numbers.insert(name.clone(), number);
        number
    }
}

/// The topics that the peer defined.
#[derive(Debug, Default)]
pub(super) struct NamesIn {
    names: BTreeMap<u32, Pattern>,
}

impl NamesIn {
    pub(super) fn define(&mut self, number: u32, name: Pattern) {
        self.names.insert(number, name);
    }

    pub(super) fn get(&self, number: u32) -> Option<&Pattern> {
        self.names.get(&number)
    }
}
