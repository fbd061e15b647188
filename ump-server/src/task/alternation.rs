//! Which of two classes of events a loop looks at first: requests, or what its handler waits for.

/// The number of events of one class in a row while the other one may have some.
const IN_A_ROW: u32 = 16;

/// Whose turn it is. So a flood of one class keeps the other one waiting for [`IN_A_ROW`] events at
/// most.
#[derive(Debug, Default)]
pub(super) struct Alternation {
    /// Whether the loop looks at the handler's own events first.
    is_handlers_turn: bool,
    in_a_row: u32,
}

impl Alternation {
    #[inline]
    pub(super) fn is_handlers_turn(&self) -> bool {
        self.is_handlers_turn
    }

    /// Records a request. Only after several of them the loop polls the handler's own future before
    /// the next one, since most handlers have none.
    #[inline]
    pub(super) fn took_request(&mut self) {
        self.took(false);
    }

    /// Records an event of the handler's own.
    pub(super) fn took_event(&mut self) {
        self.took(true);
    }

    #[inline]
    fn took(&mut self, of_handler: bool) {
        if of_handler != self.is_handlers_turn {
            // The other class has nothing.
            self.in_a_row = 0;
            return;
        }
        self.in_a_row += 1;
        if self.in_a_row == IN_A_ROW {
            self.pass();
        }
    }

    /// Gives the turn to the other class.
    #[inline]
    pub(super) fn pass(&mut self) {
        self.is_handlers_turn = !self.is_handlers_turn;
        self.in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floods_of_both_classes_take_turns() {
        let mut turns = Alternation::default();
        let mut taken = Vec::new();
        for _ in 0..4 * IN_A_ROW {
            taken.push(turns.is_handlers_turn());
            if turns.is_handlers_turn() {
                turns.took_event();
            } else {
                turns.took_request();
            }
        }
        let row = |value| [value; IN_A_ROW as usize];
        let expected = [row(false), row(true), row(false), row(true)].concat();
        assert_eq!(taken, expected);
    }

    #[test]
    fn class_with_nothing_gives_its_turn_away() {
        let mut turns = Alternation::default();
        for _ in 0..3 * IN_A_ROW {
            turns.took_event(); // there was no request
            assert!(!turns.is_handlers_turn());
        }
        for _ in 0..IN_A_ROW {
            turns.took_request();
        }
        assert!(turns.is_handlers_turn());
        turns.pass(); // the handler's future is pending
        turns.took_request();
        assert!(!turns.is_handlers_turn());
    }
}
