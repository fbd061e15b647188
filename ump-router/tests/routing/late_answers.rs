//! Answers to requests that have ended, and to requests of another server.

use std::{
    iter,
    time::{Duration, Instant},
};

use ump_router::{
    Topic,
    routing::{Core, Input, Outcome, Output, Violation},
    ump::Executed,
};

use crate::Message;

fn topic() -> Topic {
    "a".parse().unwrap()
}

fn request(local_id: u64, deadline: Option<Instant>) -> Input<Message> {
    Input::Request {
        local_id,
        topic: topic(),
        message: 7,
        deadline,
        wait_for_server: false,
    }
}

#[test]
fn a_late_reply_is_ignored() {
    let (mut core, now) = (Core::new(), Instant::now());
    let (client, server) = (core.connect(), core.connect());
    core.handle(
        now,
        server,
        Input::Serve {
            topic: topic(),
            stand_by: false,
        },
    )
    .unwrap();
    let second = Duration::from_secs(1);
    core.handle(now, client, request(1, Some(now + second)))
        .unwrap();
    core.poll_output().unwrap();
    let Some((_, Output::Request { id, .. })) = core.poll_output() else {
        panic!()
    };
    core.advance(now + second);
    assert_eq!(core.poll_output(), Some((server, Output::Cancelled { id })));
    let outcome = Outcome::TimedOut(Executed::Perhaps);
    assert_eq!(
        core.poll_output(),
        Some((
            client,
            Output::Ended {
                local_id: 1,
                outcome
            }
        ))
    );
    core.handle(now + second, server, Input::Reply { id, reply: Ok(1) })
        .unwrap();
    assert_eq!(core.poll_output(), None);
}

#[test]
fn a_reply_to_a_foreign_request_is_a_violation() {
    let (mut core, now) = (Core::new(), Instant::now());
    let [client, server, other] = [(); 3].map(|()| core.connect());
    core.handle(
        now,
        server,
        Input::Serve {
            topic: topic(),
            stand_by: false,
        },
    )
    .unwrap();
    core.handle(now, client, request(1, None)).unwrap();
    core.poll_output().unwrap();
    let Some((_, Output::Request { id, .. })) = core.poll_output() else {
        panic!()
    };
    let forged = core.handle(now, other, Input::Reply { id, reply: Ok(1) });
    assert_eq!(forged, Err(Violation::WrongRequest(id)));
    assert_eq!(core.poll_output(), None);
    core.handle(now, server, Input::Reply { id, reply: Ok(2) })
        .unwrap();
    let ended = Output::Ended {
        local_id: 1,
        outcome: Outcome::Reply(2),
    };
    assert_eq!(core.poll_output(), Some((client, ended)));
}

#[test]
fn a_returned_request_does_not_come_back() {
    for leaves_by_disconnect in [false, true] {
        let (mut core, now) = (Core::new(), Instant::now());
        let [client, server, standby] = [(); 3].map(|()| core.connect());
        for (peer, stand_by) in [(server, false), (standby, true)] {
            let topic = topic();
            core.handle(now, peer, Input::Serve { topic, stand_by })
                .unwrap();
        }
        core.handle(now, client, request(1, None)).unwrap();
        let id = iter::from_fn(|| core.poll_output()).find_map(|(_, output)| match output {
            Output::Request { id, .. } => Some(id),
            _ => None,
        });
        let (id, message) = (id.unwrap(), 7);
        core.handle(now, server, Input::Return { id, message })
            .unwrap();
        if leaves_by_disconnect {
            core.disconnect(standby).unwrap();
        } else {
            core.handle(now, standby, Input::Leave { topic: topic() })
                .unwrap();
        }
        assert_eq!(core.poll_output(), None);
        core.handle(now, server, Input::Leave { topic: topic() })
            .unwrap();
        let ended = Output::Ended {
            local_id: 1,
            outcome: Outcome::ServerLost(Executed::No),
        };
        assert_eq!(core.poll_output(), Some((client, ended)));
    }
}
