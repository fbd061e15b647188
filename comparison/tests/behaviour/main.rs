//! The same behaviour of all programs, over HTTP, each a process of its own.

mod expected;
mod program;

use expected::Expected;
use program::{CAPACITY, Gate, NEVER, Program, Request, SOON};

/// Runs the functions below for a program.
macro_rules! test_program {
    ($name:ident, $($test:ident),* $(,)?) => {
        mod $name {
            $(
                #[test]
                fn $test() {
                    super::$test(super::expected::of(stringify!($name)));
                }
            )*
        }
    };
}

macro_rules! test_programs {
    ($($name:ident)*) => {
        $(test_program!(
            $name,
            a_value_is_read_back,
            an_error_of_the_application_has_its_status,
            a_full_queue_is_503_at_once,
            a_request_that_expires_in_the_queue_is_never_executed,
            an_expired_request_makes_room,
            a_request_that_expires_while_executed_is_504,
            a_panic_is_500_for_the_request_in_hand_only,
            a_restart_may_fail_once,
            a_signal_drains,
            an_executed_request_ends_before_the_process,
        );)*
    };
}

test_programs!(ump tokio kameo actix ractor);

fn a_value_is_read_back(program: &Expected) {
    let program = Program::start(program.name, NEVER);
    assert_eq!(program.ask(&Request::put("a", "one")).status, 200);
    let answer = program.ask(&Request::get("a"));
    assert_eq!((answer.status, &*answer.body), (200, "one"));
}

fn an_error_of_the_application_has_its_status(program: &Expected) {
    let program = Program::start(program.name, NEVER);
    assert_eq!(program.ask(&Request::get("a")).status, 404);
    assert_eq!(program.ask(&Request::put("a", "one")).status, 200);
    assert_eq!(program.ask(&Request::put("a", "two")).status, 409);
    assert_eq!(program.ask(&Request::get("a")).body, "one");
}

fn a_full_queue_is_503_at_once(program: &Expected) {
    let program = Program::start(program.name, NEVER);
    let gate = Gate::new();
    let slow = program.submit(Request::put_slowly("slow", &gate));
    let at_gate = gate.wait();
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
}

fn a_request_that_expires_in_the_queue_is_never_executed(expected: &Expected) {
    let program = Program::start(expected.name, SOON);
    let gate = Gate::new();
    let _slow = program.submit(Request::put_slowly("slow", &gate));
    let at_gate = gate.wait();
    let late = program.ask(&Request::put("late", ""));
    assert_eq!(late.status, 504, "{late:?}");
    assert_eq!(
        late.tells_that_it_was_not_executed(),
        expected.tells_whether_executed
    );
    drop(at_gate);
    // This request is behind the late one.
    assert_eq!(program.read("late").status, 404);
}

fn an_expired_request_makes_room(expected: &Expected) {
    let program = Program::start(expected.name, SOON);
    let gate = Gate::new();
    let _slow = program.submit(Request::put_slowly("slow", &gate));
    let at_gate = gate.wait();
    let queued: Vec<_> = (0..CAPACITY)
        .map(|_| program.submit(Request::get("slow")))
        .collect();
    for late in queued {
        assert_eq!(late.join().unwrap().status, 504);
    }
    // All callers have left. Is the queue empty?
    let next = program.ask(&Request::get("slow"));
    let status = if expected.expired_make_room { 504 } else { 503 };
    assert_eq!(next.status, status, "{next:?}");
    drop(at_gate);
}

fn a_request_that_expires_while_executed_is_504(program: &Expected) {
    let program = Program::start(program.name, SOON);
    let gate = Gate::new();
    let slow = program.submit(Request::put_slowly("slow", &gate));
    let at_gate = gate.wait();
    let late = slow.join().unwrap();
    assert_eq!(late.status, 504, "{late:?}");
    assert!(!late.tells_that_it_was_not_executed());
    drop(at_gate);
    // It is executed to its end, and the owner goes on.
    assert_eq!(program.read("slow").status, 200);
}

fn a_panic_is_500_for_the_request_in_hand_only(program: &Expected) {
    let mut program = Program::start(program.name, NEVER);
    assert_eq!(program.ask(&Request::put("a", "one")).status, 200);
    let openings = program.openings();
    let gate = Gate::new();
    let crash = program.submit(Request::crash(&gate));
    let at_gate = gate.wait();
    let (waiting, _) = program.fill_queue(|_| Request::get("a"));
    drop(at_gate);
    let answer = crash.join().unwrap();
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(!answer.body.contains("on purpose"), "{answer:?}");
    for (_, answer) in waiting {
        assert_eq!(answer.join().unwrap().body, "one");
    }
    // The transaction ended with its connection.
    assert_eq!(program.ask(&Request::get("half")).status, 404);
    program.stop("INT");
    assert!(program.wait().success());
    assert_eq!(program.openings(), openings + 1);
}

fn a_restart_may_fail_once(expected: &Expected) {
    let program = Program::start(expected.name, NEVER);
    let gate = Gate::new();
    let crash = program.submit(Request::crash(&gate));
    let at_gate = gate.wait();
    let (waiting, _) = program.fill_queue(|_| Request::get("a"));
    program.refuse_next_opening();
    drop(at_gate);
    assert_eq!(crash.join().unwrap().status, 500);
    for (_, answer) in waiting {
        let answer = answer.join().unwrap();
        let status = if expected.restart_may_fail { 404 } else { 500 };
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let status = if expected.restart_may_fail { 404 } else { 503 };
    assert_eq!(program.ask(&Request::get("a")).status, status);
}

fn a_signal_drains(program: &Expected) {
    let mut program = Program::start(program.name, NEVER);
    let gate = Gate::new();
    let slow = program.submit(Request::put_slowly("slow", &gate));
    let at_gate = gate.wait();
    let (waiting, refused) = program.fill_queue(|n| Request::put(&n.to_string(), "here"));
    program.stop("INT");
    drop(at_gate);
    assert_eq!(slow.join().unwrap().status, 200);
    let mut stored = Vec::new();
    for (n, answer) in waiting {
        assert_eq!(answer.join().unwrap().status, 200);
        stored.push(n);
    }
    assert!(program.wait().success());
    for n in 0..CAPACITY + refused.len() {
        let value = program.stored(&n.to_string());
        assert_eq!(value.is_some(), stored.contains(&n), "{n}");
    }
}

fn an_executed_request_ends_before_the_process(program: &Expected) {
    let mut program = Program::start(program.name, SOON);
    let gate = Gate::new();
    let slow = program.submit(Request::put_slowly("slow", &gate));
    let at_gate = gate.wait();
    assert_eq!(slow.join().unwrap().status, 504);
    // No caller waits any more.
    program.stop("TERM");
    drop(at_gate);
    assert!(program.wait().success());
    assert!(program.stored("slow").is_some());
}
