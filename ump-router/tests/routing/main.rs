//! The routing core against a reference that keeps everything in lists, in random programs; and the
//! core's guarantees.

mod late_answers;
mod program;
mod reference;
mod subject;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use ump_router::routing::Core;

use crate::{
    program::{direct, is_possible, step},
    reference::Reference,
    subject::Subject,
};

type Message = u32;

proptest! {
    #[test]
    fn a_core_matches_the_reference(steps in prop::collection::vec(step(), 1..100)) {
        let mut reference = Reference::default();
        let mut subject = Subject { core: Core::new(), peers: Vec::new(), requests: BTreeMap::new(), start: Instant::now() };
        for step in steps {
            let Some(step) = direct(step, &reference, &subject.requests) else {
                continue;
            };
            if !is_possible(&step, &reference.connected) {
                continue;
            }
            let can_be = reference.step(&step);
            let messages = reference.messages;
            prop_assert_eq!(subject.step(&step, reference.now, messages), can_be, "{:?}", step);
            let emitted = subject.emitted(&reference);
            prop_assert_eq!(emitted, std::mem::take(&mut reference.emitted), "{:?}", step);
            prop_assert_eq!(subject.core.pending(), reference.requests.len());
            let first = reference.requests.iter().filter_map(|request| request.deadline).min();
            let first = first.map(|first| subject.start + Duration::from_secs(first));
            prop_assert_eq!(subject.core.next_deadline(), first);
        }
    }
}
