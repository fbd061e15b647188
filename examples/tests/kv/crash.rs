//! A store that panics is restarted; queued requests do not notice.

use serde_json::json;

use crate::support::{Service, keys, raw, start, until};

fn restarts(service: &Service) -> u64 {
    let restarts = &service.stats()["store"]["restarts"];
    restarts.as_u64().expect("a number")
}

#[test]
fn without_chaos_there_is_no_crash_route() {
    let (_folder, service) = start(&[]);
    let response = service.request("POST", "/debug/crash", b"");
    assert_eq!(
        (response.status, response.error()),
        (404, "no such route".to_owned())
    );
    assert_eq!(
        service.stats()["store"],
        json!({ "restarts": 0, "expiring": 0, "timers": 0 })
    );
}

#[test]
fn a_restarted_store_has_all_acknowledged_writes() {
    let (_folder, service) = start(&["--chaos"]);
    assert_eq!(service.put("/kv/a", b"1").status, 204);
    assert_eq!(service.put("/kv/b?ttl=100000", b"2").status, 204);
    let response = service.request("POST", "/debug/crash", b"");
    assert_eq!(response.status, 500);
    assert_eq!(
        response.json(),
        json!({
            "error": "the handler panicked: asked to by POST /debug/crash: a write may or may not have happened",
            "executed": "perhaps",
        })
    );
    assert_eq!(service.put("/kv/c", b"3").status, 204);
    assert_eq!(keys(&service.get("/kv").json()), ["a", "b", "c"]);
    assert_eq!(
        service.stats()["store"],
        json!({ "restarts": 1, "expiring": 1, "timers": 1 })
    );
    assert_eq!(service.count("panicked"), 1);
}

#[test]
fn requests_queued_during_a_panic_are_served_after_it() {
    let (_folder, service) = start(&["--chaos", "--timeout", "60s", "--delay", "500ms"]);
    // On a stalled machine both may be taken together; then it tries again.
    until("a request that is queued during a panic", || {
        let before = service.count("accepted");
        let mut crash =
            raw::send_head(service.address(), "POST", "/debug/crash", 0).expect("it listens");
        service.wait_for_count("accepted", before + 1);
        service.wait_for_count("queued", 0);
        let mut queued = raw::send_put(&service, "/kv/queued");
        assert_eq!(raw::receive(&mut crash).expect("an answer").status, 500);
        let queued = raw::receive(&mut queued).expect("an answer");
        (queued.status == 204).then_some(())
    });
    assert_eq!(service.get("/kv/queued").status, 200);
}

#[test]
fn a_write_in_a_panicking_batch_is_rolled_back() {
    let (_folder, service) = start(&["--chaos", "--timeout", "60s", "--delay", "500ms"]);
    // On a stalled machine the write may be taken alone; then it tries again.
    let mut attempt = 0;
    let path = until("a write taken together with what panics", || {
        attempt += 1;
        let before = service.count("accepted");
        let mut first = raw::send_put(&service, "/kv/first");
        service.wait_for_count("accepted", before + 1);
        service.wait_for_count("queued", 0);
        let path = format!("/kv/innocent-{attempt}");
        let mut write = raw::send_put(&service, &path);
        service.wait_for_count("accepted", before + 2);
        assert_eq!(service.request("POST", "/debug/crash", b"").status, 500);
        assert_eq!(raw::receive(&mut first).expect("an answer").status, 204);
        let write = raw::receive(&mut write).expect("an answer");
        (write.status == 500).then(|| {
            assert_eq!(write.json()["executed"], "perhaps");
            path
        })
    });
    assert_eq!(service.get(&path).status, 404);
}

#[test]
fn a_panic_at_a_batch_comes_once() {
    let (_folder, service) = start(&["--panic-at", "2"]);
    assert_eq!(service.put("/kv/a", b"v").status, 204);
    assert_eq!(service.put("/kv/b", b"v").status, 500);
    assert_eq!(service.put("/kv/c", b"v").status, 204);
    assert_eq!(keys(&service.get("/kv").json()), ["a", "c"]);
    assert_eq!(restarts(&service), 1);
}

#[test]
fn a_store_that_panics_too_often_ends_the_service() {
    let (folder, mut service) = start(&["--chaos"]);
    assert_eq!(service.put("/kv/a", b"v").status, 204);
    for _ in 0..=5 {
        assert_eq!(service.request("POST", "/debug/crash", b"").status, 500);
    }
    assert_eq!(service.exit_code(), Some(1));
    service.wait_for_stderr("component storage, instance 0, failed: it failed too often");

    let service = Service::start(&folder, &[]);
    assert_eq!(keys(&service.get("/kv").json()), ["a"]);
}
