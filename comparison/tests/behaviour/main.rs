//! The behaviour that all programs have in common, over HTTP, each a process of its own.
//!
//! Each function below is a row of the table in `docs/comparison.md`. It returns whether the
//! program has the property; where that is not so, it checks what the program does instead.

mod expected;
mod program;
mod table;

use std::thread;

use program::{Answer, CAPACITY, NEVER, Program, Request, SOON, TIGHT};

/// Makes a test of each function below for each program.
macro_rules! test_programs {
    ($($program:ident)*; $tests:tt) => {
        $(test_programs!(@ $program $tests);)*
    };
    (@ $program:ident ($($test:ident),* $(,)?)) => {
        mod $program {
            $(
                #[test]
                fn $test() {
                    let name = stringify!($program);
                    let holds = super::expected::holds(stringify!($test), name);
                    assert_eq!(super::$test(name), holds);
                }
            )*
        }
    };
}

test_programs!(ump tokio kameo actix ractor; (
    a_value_is_read_back,
    an_error_of_the_application_has_its_status,
    a_full_queue_is_503_at_once,
    a_request_that_expires_in_the_queue_is_504,
    an_expired_request_is_never_executed,
    an_expired_request_learns_that,
    an_expired_request_makes_room,
    a_request_that_expires_while_executed_is_504,
    a_panic_is_500_for_the_request_in_hand,
    a_panic_spares_the_queue,
    a_panic_closes_the_connection,
    a_restart_may_fail,
    an_overload_loses_nothing,
    a_signal_drains,
    an_executed_request_ends_before_the_process,
));

fn a_value_is_read_back(name: &str) -> bool {
    let program = Program::start(name, NEVER);
    assert_eq!(program.ask(&Request::put("a", "one")).status, 200);
    let answer = program.ask(&Request::get("a"));
    (answer.status, &*answer.body) == (200, "one")
}

fn an_error_of_the_application_has_its_status(name: &str) -> bool {
    let program = Program::start(name, NEVER);
    assert_eq!(program.ask(&Request::get("a")).status, 404);
    assert_eq!(program.ask(&Request::put("a", "one")).status, 200);
    assert_eq!(program.ask(&Request::put("a", "two")).status, 409);
    program.ask(&Request::get("a")).body == "one"
}

fn a_full_queue_is_503_at_once(name: &str) -> bool {
    let program = Program::start(name, NEVER);
    let (slow, at_gate) = program.hold(|gate| Request::put_slowly("slow", gate));
    // The refusals come while the store is at the gate.
    let (waiting, refused) = program.fill_queue(|_| Request::get("slow"));
    for answer in refused {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.retry_after.as_deref(), Some("1"));
        assert!(answer.tells_that_it_was_not_executed(), "{answer:?}");
    }
    assert_eq!(waiting.len(), CAPACITY);
    drop(at_gate);
    assert_eq!(slow.join().unwrap().status, 200);
    for (_, answer) in waiting {
        assert_eq!(answer.join().unwrap().status, 200);
    }
    true
}

/// Lets a request expire in the queue, and returns its response. Then the store goes on.
fn expire(program: &Program, request: &Request) -> Answer {
    let (slow, at_gate) = program.hold(|gate| Request::put_slowly("slow", gate));
    let late = program.ask(request);
    slow.join().unwrap();
    drop(at_gate);
    late
}

fn a_request_that_expires_in_the_queue_is_504(name: &str) -> bool {
    let program = Program::start(name, SOON);
    expire(&program, &Request::put("late", "")).status == 504
}

fn an_expired_request_is_never_executed(name: &str) -> bool {
    let program = Program::start(name, SOON);
    expire(&program, &Request::put("late", ""));
    // This request is behind the late one.
    assert_eq!(program.read("slow").status, 200);
    program.read("late").status == 404
}

fn an_expired_request_learns_that(name: &str) -> bool {
    let program = Program::start(name, SOON);
    let late = expire(&program, &Request::put("late", ""));
    late.tells_that_it_was_not_executed()
}

fn an_expired_request_makes_room(name: &str) -> bool {
    let program = Program::start(name, SOON);
    let (_slow, at_gate) = program.hold(|gate| Request::put_slowly("slow", gate));
    let queued: Vec<_> = (0..CAPACITY)
        .map(|_| program.submit(Request::get("slow")))
        .collect();
    for late in queued {
        assert_eq!(late.join().unwrap().status, 504);
    }
    // All callers have left. Either there is room for the next request, which expires as well, ...
    let next = program.ask(&Request::get("slow"));
    drop(at_gate);
    // ... or it is refused.
    assert!([503, 504].contains(&next.status), "{next:?}");
    next.status == 504
}

fn a_request_that_expires_while_executed_is_504(name: &str) -> bool {
    let program = Program::start(name, SOON);
    let (slow, at_gate) = program.hold(|gate| Request::put_slowly("slow", gate));
    let late = slow.join().unwrap();
    assert!(!late.tells_that_it_was_not_executed());
    drop(at_gate);
    // It is executed to its end, and the owner goes on.
    assert_eq!(program.read("slow").status, 200);
    late.status == 504
}

/// Lets the store panic while the queue is full, and calls `before` before that. Returns the
/// responses of the request in hand and of those in the queue.
fn crash(program: &Program, before: impl FnOnce()) -> (Answer, Vec<Answer>) {
    let (crash, at_gate) = program.hold(Request::crash);
    let (waiting, _) = program.fill_queue(|_| Request::get("a"));
    before();
    drop(at_gate);
    let in_hand = crash.join().unwrap();
    let queued = waiting.into_iter().map(|(_, answer)| answer.join());
    (in_hand, queued.map(Result::unwrap).collect())
}

fn a_panic_is_500_for_the_request_in_hand(name: &str) -> bool {
    let program = Program::start(name, NEVER);
    let (in_hand, _) = crash(&program, || ());
    assert!(!in_hand.body.contains("on purpose"), "{in_hand:?}");
    in_hand.status == 500
}

fn a_panic_spares_the_queue(name: &str) -> bool {
    let program = Program::start(name, NEVER);
    let (_, queued) = crash(&program, || ());
    queued.iter().all(|answer| answer.status == 404)
}

fn a_panic_closes_the_connection(name: &str) -> bool {
    let mut program = Program::start(name, NEVER);
    // By this request the program has opened it.
    assert_eq!(program.ask(&Request::get("half")).status, 404);
    let openings = program.openings();
    crash(&program, || ());
    // Its transaction has ended with it.
    assert_eq!(program.ask(&Request::get("half")).status, 404);
    assert_eq!(program.ask(&Request::put("half", "whole")).status, 200);
    program.stop("INT");
    assert!(program.wait().success());
    assert_eq!(program.stored("half").as_deref(), Some("whole"));
    program.openings() == openings + 1
}

fn a_restart_may_fail(name: &str) -> bool {
    let program = Program::start(name, NEVER);
    let (_, queued) = crash(&program, || program.refuse_next_opening());
    queued.iter().all(|answer| answer.status == 404)
}

fn an_overload_loses_nothing(name: &str) -> bool {
    const CLIENTS: usize = 8;
    const REQUESTS: usize = 20;
    let mut program = Program::start(name, TIGHT);
    let key = |client, n| format!("{client}-{n}");
    let answers: Vec<Vec<Answer>> = thread::scope(|scope| {
        let program = &program;
        let clients = (0..CLIENTS).map(|client| {
            let put = move |n| program.ask(&Request::put(&key(client, n), "here"));
            scope.spawn(move || (0..REQUESTS).map(put).collect())
        });
        let clients: Vec<_> = clients.collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    program.stop("TERM");
    assert!(program.wait().success());
    for (client, answers) in answers.iter().enumerate() {
        for (n, answer) in answers.iter().enumerate() {
            let stored = program.stored(&key(client, n)).is_some();
            assert!([200, 503, 504].contains(&answer.status), "{answer:?}");
            if answer.status == 200 {
                assert!(stored, "{answer:?}");
            } else if answer.tells_that_it_was_not_executed() {
                assert!(!stored, "{answer:?}");
            }
        }
    }
    true
}

fn a_signal_drains(name: &str) -> bool {
    let mut program = Program::start(name, NEVER);
    let (slow, at_gate) = program.hold(|gate| Request::put_slowly("slow", gate));
    let (waiting, refused) = program.fill_queue(|n| Request::put(&n.to_string(), "here"));
    program.stop("INT");
    drop(at_gate);
    assert_eq!(slow.join().unwrap().status, 200);
    let mut accepted = Vec::new();
    for (n, answer) in waiting {
        assert_eq!(answer.join().unwrap().status, 200);
        accepted.push(n);
    }
    assert!(program.wait().success());
    (0..CAPACITY + refused.len())
        .all(|n| program.stored(&n.to_string()).is_some() == accepted.contains(&n))
}

fn an_executed_request_ends_before_the_process(name: &str) -> bool {
    let mut program = Program::start(name, SOON);
    let (slow, at_gate) = program.hold(|gate| Request::put_slowly("slow", gate));
    assert_eq!(slow.join().unwrap().status, 504);
    // No caller waits any more.
    program.stop("TERM");
    drop(at_gate);
    assert!(program.wait().success());
    program.stored("slow").is_some()
}
