//! Cuts at every byte: of the link, and of the stream between two reads.

use ump::Executed;
use ump_router::link::{
    session::{Closed, Event, Outcome, Publication},
    wire::{Codec, Failure, GoodbyeReason, Status},
};

use crate::pair::{Pair, ROOM, call, payload, publication};

/// Runs three requests over a link that ends after so many bytes in each direction. Returns the
/// outcomes, and the requests that were executed.
fn run(mut left: [usize; 2]) -> (Vec<(u64, Outcome)>, Vec<u64>, bool) {
    let mut pair = Pair::open();
    for text in ["1", "2", "3"] {
        pair.ends[0].request(pair.now, &call(text, None)).unwrap();
    }
    let (mut outcomes, mut executed) = (Vec::new(), Vec::new());
    let mut is_whole = false;
    loop {
        let mut moved = 0;
        for (end, left) in left.iter_mut().enumerate() {
            let written = pair.write(end, (*left).min(7));
            *left -= written;
            moved += written + pair.read(end, 5);
        }
        for event in pair.take(1) {
            if let Event::Request {
                request, payload, ..
            } = event
            {
                assert!(pair.ends[1].take(pair.now, request));
                pair.write(1, 0); // so that it is told
                executed.push(request);
                pair.ends[1]
                    .reply(request, Codec::Raw, Ok(&payload))
                    .unwrap();
                moved += 1;
            }
        }
        if moved == 0 {
            is_whole |= left.iter().all(|left| *left > 0);
            break;
        }
    }
    for end in 0..2 {
        pair.ends[end].disconnected(pair.now);
        pair.ends[end].disconnected(pair.now);
        assert!(pair.ends[end].is_finished());
    }
    let mut is_closed = false;
    for event in pair.take(0) {
        match event {
            Event::Ended { request, outcome } => outcomes.push((request, outcome)),
            Event::Closed(Closed::Lost) => is_closed = true,
            Event::Taken { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(is_closed);
    assert_eq!(pair.ends[0].pending(), 0);
    (outcomes, executed, is_whole)
}

#[test]
fn each_request_ends_once_wherever_the_link_is_lost() {
    let mut whole = 0;
    for cut in 0..200 {
        for left in [[cut, 1000], [1000, cut]] {
            let (outcomes, executed, is_whole) = run(left);
            let mut ids: Vec<_> = outcomes.iter().map(|(id, _)| *id).collect();
            ids.sort_unstable();
            assert_eq!(ids, [1, 2, 3], "each once");
            for (id, outcome) in &outcomes {
                match outcome.executed() {
                    Executed::No => assert!(!executed.contains(id), "{left:?}: {outcomes:?}"),
                    Executed::Perhaps => {
                        assert!(matches!(outcome, Outcome::LinkLost(_)));
                        assert!(!is_whole);
                    }
                    Executed::Yes => assert!(executed.contains(id)),
                }
            }
            whole += usize::from(is_whole);
        }
    }
    assert!(whole > 0, "some cuts come after all bytes");
}

/// Lets an end send frames of most kinds. Returns what the other end is told if it reads so many
/// bytes first and then the rest, and how many bytes there are.
fn told(first: usize) -> (Vec<Event>, usize) {
    let mut pair = Pair::open();
    let id = pair.subscribe(0, "**", ROOM);
    let requests = [0; 4].map(|_| pair.ends[0].request(pair.now, &call("1", None)).unwrap());
    let pattern = "a/*".parse().unwrap();
    let unanswered = pair.ends[0].subscribe(&pattern, ROOM, true).unwrap();
    let claim = pair.ends[0].serve(&"b".parse().unwrap(), true).unwrap();
    pair.settle();
    pair.take(1);
    let (now, end) = (pair.now, &mut pair.ends[1]);
    end.answer_subscribe(unanswered, Status::Denied, "no")
        .unwrap();
    end.answer_serve(claim, Status::StandingBy, "").unwrap();
    end.subscribe(&"c/**".parse().unwrap(), ROOM, true).unwrap();
    end.serve(&"d".parse().unwrap(), true).unwrap();
    end.synced().unwrap();
    for (text, retain) in [("1", true), ("2", false)] {
        let message = Publication {
            retain,
            ..publication("e/f", text)
        };
        end.publish(&message, &[id]).unwrap();
    }
    end.unretain(&"e/f".parse().unwrap()).unwrap();
    assert!(requests.iter().all(|request| end.take(now, *request)));
    let [reply, refused, failed, _] = requests;
    end.reply(reply, Codec::Raw, Ok(&payload("yes"))).unwrap();
    end.reply(refused, Codec::Raw, Err(&payload("no"))).unwrap();
    end.fail(failed, Failure::NoReply, Executed::Perhaps, "why")
        .unwrap();
    end.request(now, &call("2", None)).unwrap();
    pair.write(1, usize::MAX);
    pair.ends[1].close(now, GoodbyeReason::ShuttingDown, "the end");
    pair.write(1, usize::MAX);
    let all = pair.wires[0].len();
    pair.read(0, first);
    pair.read(0, usize::MAX);
    (pair.take(0), all)
}

#[test]
fn a_stream_may_be_cut_at_every_byte() {
    let (whole, length) = told(usize::MAX);
    assert_eq!(whole.len(), 16, "{whole:?}");
    for first in 0..length {
        let (events, _) = told(first);
        assert_eq!(events, whole, "{first}");
    }
}
