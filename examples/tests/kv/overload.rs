//! Overload, deadlines and disconnected callers: each request has one outcome, on which caller and
//! counters agree.

use std::{collections::HashMap, sync::Mutex, thread};

use serde_json::json;

use crate::support::{FOR_EVER, Service, count, keys, raw, start, until};

#[test]
fn a_write_refused_by_a_full_queue_never_happens() {
    let (folder, service) = start(&["--queue", "1", "--timeout", "60s", "--delay", FOR_EVER]);
    let _taken = raw::send_put(&service, "/kv/taken");
    service.wait_for_count("taken", 1);
    let _queued = raw::send_put(&service, "/kv/queued");
    service.wait_for_count("queued", 1);

    let refused = service.put("/kv/refused", b"v");
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(
        refused.json(),
        json!({ "error": "the queue is full", "executed": "no" })
    );
    assert_eq!(service.count("refused"), 1);
    assert_eq!(
        service.stats()["queue"],
        json!({ "depth": 1, "capacity": 1 })
    );

    service.kill();
    let service = Service::start(&folder, &[]);
    assert_eq!(keys(&service.get("/kv").json()), [""; 0]);
    assert_eq!(service.put("/kv/refused", b"v").status, 204);
}

#[test]
fn a_write_timed_out_in_the_queue_never_happens() {
    let (folder, mut service) = start(&["--timeout", "200ms", "--delay", "1s"]);
    // The store holds one request beyond its deadline while another is queued. If the machine
    // stalls for a second, the other is taken as well; then it tries again.
    let (taken, queued) = until("a request that is late in the queue", || {
        let before = count(&service.wait_until_quiet(), "accepted");
        let mut first = raw::send_put(&service, "/kv/taken");
        service.wait_for_count("accepted", before + 1);
        let second = service.put("/kv/queued", b"v");
        let first = raw::receive(&mut first).expect("an answer");
        (second.json()["executed"] == "no" && first.json()["executed"] == "perhaps")
            .then_some((first, second))
    });
    assert_eq!((taken.status, queued.status), (504, 504));
    assert!(
        taken.error().contains("may have happened"),
        "{}",
        taken.error()
    );
    assert!(
        queued.error().contains("will not be executed"),
        "{}",
        queued.error()
    );

    let stats = service.wait_until_quiet();
    assert!(
        count(&stats, "timeout_taken") >= 1 && count(&stats, "timeout_queued") >= 1,
        "{stats}"
    );
    assert_eq!(count(&stats, "replied"), 0);
    // It stops when it has nothing left to do. Both keys are absent: the deadline of the taken
    // request had passed before it was executed.
    service.signal("TERM");
    assert_eq!(service.exit_code(), Some(0));
    let service = Service::start(&folder, &[]);
    assert_eq!(keys(&service.get("/kv").json()), [""; 0]);
}

#[test]
fn a_disconnected_caller_revokes_its_queued_write() {
    let (folder, mut service) = start(&["--timeout", "60s", "--delay", "1s"]);
    // The store holds one request while the caller of the next one disconnects. If the machine
    // stalls for a second, the next one is executed as well; then it tries again.
    let mut attempt = 0;
    let gone = until("a request cancelled in the queue", || {
        attempt += 1;
        let before = count(&service.wait_until_quiet(), "accepted");
        let mut first = raw::send_put(&service, "/kv/stays");
        service.wait_for_count("accepted", before + 1);
        let gone = format!("/kv/gone-{attempt}");
        let second = raw::send_put(&service, &gone);
        service.wait_for_count("accepted", before + 2);
        drop(second);
        assert_eq!(raw::receive(&mut first).expect("an answer").status, 204);
        (count(&service.wait_until_quiet(), "cancelled_queued") == 1).then_some(gone)
    });
    service.signal("TERM");
    assert_eq!(service.exit_code(), Some(0));

    let service = Service::start(&folder, &[]);
    assert_eq!(service.get("/kv/stays").status, 200);
    assert_eq!(service.get(&gone).status, 404);
}

#[test]
fn a_read_sees_the_write_that_was_queued_before_it() {
    let (_folder, service) = start(&["--timeout", "60s", "--delay", "500ms"]);
    let mut first = raw::send_put(&service, "/kv/a");
    service.wait_for_count("accepted", 1);
    let mut write = raw::send_put(&service, "/kv/b");
    service.wait_for_count("accepted", 2);
    assert_eq!(service.get("/kv/b").body, b"v");
    assert_eq!(raw::receive(&mut first).expect("an answer").status, 204);
    assert_eq!(raw::receive(&mut write).expect("an answer").status, 204);
}

#[test]
fn the_counters_add_up_whatever_the_load() {
    let (_folder, service) = start(&["--queue", "2", "--timeout", "150ms", "--delay", "100ms"]);
    let statuses = Mutex::new(HashMap::<u16, u64>::new());
    thread::scope(|scope| {
        for n in 0..12 {
            let (service, statuses) = (&service, &statuses);
            scope.spawn(move || {
                for _ in 0..5 {
                    let status = service.put(&format!("/kv/{n}"), b"v").status;
                    *statuses
                        .lock()
                        .expect("no panic")
                        .entry(status)
                        .or_default() += 1;
                }
            });
        }
    });
    let stats = service.wait_until_quiet();
    let sum = |names: &[&str]| names.iter().map(|name| count(&stats, name)).sum::<u64>();
    let ended = [
        "replied",
        "failed",
        "no_reply",
        "panicked",
        "server_disappeared",
        "timeout_queued",
        "timeout_taken",
        "cancelled_queued",
        "cancelled_taken",
        "would_deadlock_queued",
        "would_deadlock_taken",
    ];
    assert_eq!(count(&stats, "accepted"), sum(&ended), "{stats}");
    assert_eq!(sum(&["accepted", "refused"]), 60, "{stats}");

    let statuses = statuses.into_inner().expect("no panic");
    let got = |status: u16| statuses.get(&status).copied().unwrap_or(0);
    assert_eq!(got(204) + got(503) + got(504), 60, "{statuses:?}");
    assert_eq!(got(204), count(&stats, "replied"), "{statuses:?} {stats}");
    // The store itself fails requests whose callers have left.
    assert_eq!(
        got(503) + got(504),
        sum(&["refused", "timeout_queued", "timeout_taken", "failed"]),
        "{statuses:?} {stats}"
    );
    assert!(stats["latency_us"]["samples"].as_u64() > Some(0));
}
