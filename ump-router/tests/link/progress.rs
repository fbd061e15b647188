//! Two ends that write at each other over pipes that hold little: all of it arrives.

use std::collections::VecDeque;

use proptest::{collection::vec, prelude::*};
use ump_router::{
    Bytes,
    link::{
        session::{Call, Config, Credit, Event, Outcome, Publication},
        wire::{Codec, Limits},
    },
};

use crate::pair::{Pair, config};

/// What an end has to do: a request or a publication, with a payload of so many bytes.
#[derive(Clone, Copy, Debug)]
struct Task {
    is_request: bool,
    length: usize,
}

/// What an end has done, and what it was told.
#[derive(Default)]
struct Ledger {
    tasks: VecDeque<Task>,
    requests: usize,
    replies: usize,
    published: u64,
    /// Of the other end's publications.
    received: u64,
    missed: u64,
}

fn narrow(router: u128) -> Config {
    Config {
        limits: Limits {
            frame: 1000,
            window: 2016,
            requests: 3,
            ..Limits::default()
        },
        queued_publications: 2500,
        queued_calls: 2500,
        ..config(router)
    }
}

/// Does the next task of an end, if the session lets it.
fn advance(pair: &mut Pair, end: usize, ledger: &mut Ledger, subscription: u32) {
    let Some(task) = ledger.tasks.front() else {
        return;
    };
    let payload = Bytes::from(vec![7_u8; task.length]);
    if task.is_request {
        let call = Call {
            topic: "echo".parse().unwrap(),
            deadline: None,
            codec: Codec::Raw,
            payload,
        };
        if pair.ends[end].request(pair.now, &call).is_err() {
            return; // when others have ended
        }
        ledger.requests += 1;
    } else {
        let message = Publication::new("a".parse().unwrap(), Codec::Raw, payload);
        pair.ends[end].publish(&message, &[subscription]).unwrap();
        ledger.published += 1;
    }
    ledger.tasks.pop_front();
}

fn handle(pair: &mut Pair, end: usize, ledger: &mut Ledger, event: Event) {
    let session = &mut pair.ends[end];
    match event {
        Event::Request {
            request, payload, ..
        } => {
            assert!(session.take(pair.now, request));
            let replied = session.reply(request, Codec::Raw, Ok(&payload));
            assert_eq!(replied, Ok(()));
        }
        Event::Message { to, payload, .. } => {
            ledger.received += 1;
            session.consumed(to[0], 1, payload.len() as u64).unwrap();
        }
        Event::Gap { missed, .. } => ledger.missed += missed,
        Event::Ended { outcome, .. } => {
            assert!(matches!(outcome, Outcome::Reply { .. }), "{outcome:?}");
            ledger.replies += 1;
        }
        Event::Taken { .. } => {}
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn two_ends_that_write_at_each_other_finish(
        pipes in [8..300_usize, 8..300_usize],
        pieces in [8..300_usize, 8..300_usize],
        tasks in [vec((any::<bool>(), 0..900_usize), 0..25), vec((any::<bool>(), 0..900_usize), 0..25)],
    ) {
        let mut pair = Pair::opened([narrow(1), narrow(2)]);
        let credit = Credit { messages: 3, bytes: 2000 };
        let first = pair.subscribe(0, "**", credit);
        let second = pair.subscribe(1, "**", credit);
        let mut ledgers = tasks.map(|tasks| Ledger {
            tasks: tasks
                .into_iter()
                .map(|(is_request, length)| Task { is_request, length })
                .collect(),
            ..Ledger::default()
        });
        let mut rounds = 0;
        let is_done = |ledgers: &[Ledger; 2]| {
            (0..2).all(|end| {
                let (this, other) = (&ledgers[end], &ledgers[1 - end]);
                let arrived = other.received + other.missed;
                this.tasks.is_empty() && this.replies == this.requests && arrived == this.published
            })
        };
        while !is_done(&ledgers) {
            rounds += 1;
            prop_assert!(rounds < 50_000, "no end in sight");
            for end in 0..2 {
                advance(&mut pair, end, &mut ledgers[end], [second, first][end]);
                // The pipe may be full.
                let room = pipes[end].saturating_sub(pair.wires[1 - end].len());
                pair.write(end, room);
                pair.read(end, pieces[end]);
                for event in pair.take(end) {
                    handle(&mut pair, end, &mut ledgers[end], event);
                }
                prop_assert!(pair.ends[end].buffered() < 60_000);
            }
        }
        for end in &pair.ends {
            prop_assert!(end.is_open());
        }
    }
}
