//! Watchers: which changes they receive, in which order, and what happens to slow ones.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::json;

use crate::support::{
    Service, http, json_lines, raw,
    sse::{Event, Events, change, missed},
    start, until,
};

fn watchers(service: &Service) -> u64 {
    service.stats()["watchers"].as_u64().expect("a number")
}

#[test]
fn changes_are_sent_in_the_order_of_the_commits() {
    let (_folder, service) = start(&[]);
    let mut events = Events::of(&service, "kv/**");
    service.put("/kv/users/1", b"one");
    service.put("/kv/users/1", b"");
    service.put("/kv/greeting", b"hello");
    service.request("DELETE", "/kv/users/1", b"");
    let lines = ["a", "b"].map(|key| (format!("import/{key}"), "v".to_owned()));
    let imported = service.request("POST", "/import", json_lines(lines.into_iter()).as_bytes());
    assert_eq!(imported.status, 200);
    for expected in [
        change(1, "put", "users/1", Some(3)),
        change(2, "put", "users/1", Some(0)),
        change(3, "put", "greeting", Some(5)),
        change(4, "delete", "users/1", None),
        change(5, "put", "import/a", Some(1)),
        change(6, "put", "import/b", Some(1)),
    ] {
        assert_eq!(events.next(), expected);
    }
}

#[test]
fn a_new_watcher_sees_all_later_changes_without_a_gap() {
    let (_folder, service) = start(&["--db", ":memory:"]);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..3 {
            let (service, is_over) = (&service, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    service.put(&format!("/kv/others/{writer}"), b"v");
                }
            });
        }
        let _over = SetWhenDropped(&is_over);
        for watcher in 0..20 {
            let mut events = Events::of(&service, "kv/**");
            let key = format!("watchers/{watcher}");
            assert_eq!(service.put(&format!("/kv/{key}"), b"").status, 204);
            let mut last = None;
            loop {
                let Event { id, data, .. } = events.next();
                assert!(last.is_none_or(|last| id == Some(last + 1)), "{id:?}");
                last = id;
                if data["key"] == *key {
                    break;
                }
            }
        }
    });
}

/// Sets the flag also when an assertion fails, so that no thread runs for ever.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn events_report_the_expiry_time_and_the_expiry() {
    let (_folder, service) = start(&[]);
    let mut events = Events::of(&service, "kv/brief");
    service.put("/kv/brief?ttl=1", b"v");
    let put = events.next();
    assert_eq!(put.name, "put");
    assert!(
        put.data["expires"].as_u64() > Some(1_700_000_000_000),
        "{put:?}"
    );
    assert_eq!(events.next(), change(2, "expire", "brief", None));
    assert_eq!(service.get("/kv/brief").status, 404);
}

#[test]
fn requests_without_changes_send_no_event() {
    let (_folder, service) = start(&["--chaos"]);
    let mut events = Events::of(&service, "kv/**");
    assert_eq!(service.request("DELETE", "/kv/none", b"").status, 404);
    assert_eq!(service.get("/kv/none").status, 404);
    assert_eq!(service.put("/kv/a?ttl=soon", b"v").status, 400);
    assert_eq!(service.request("POST", "/debug/crash", b"").status, 500);
    service.put("/kv/a", b"v");
    assert_eq!(events.next(), change(1, "put", "a", Some(1)));
}

#[test]
fn a_restarted_store_goes_on_publishing_and_counting() {
    let (_folder, service) = start(&["--chaos"]);
    let mut events = Events::of(&service, "kv/**");
    service.put("/kv/a", b"v");
    service.request("POST", "/debug/crash", b"");
    service.put("/kv/b", b"v");
    assert_eq!(events.next(), change(1, "put", "a", Some(1)));
    assert_eq!(events.next(), change(2, "put", "b", Some(1)));
}

#[test]
fn a_pattern_selects_changes() {
    let (_folder, service) = start(&[]);
    let cases: [(&str, &[&str]); 7] = [
        ("kv/users/*", &["users/1", "users/2"]),
        (
            "kv/users/**",
            &["users", "users/1", "users/1/name", "users/2"],
        ),
        ("kv/*", &["users"]),
        ("kv/*/1", &["users/1", "rooms/1"]),
        ("kv/**/name", &["users/1/name"]),
        ("kv/users/2", &["users/2"]),
        ("kv", &[]),
    ];
    let mut watching = cases.map(|(pattern, keys)| (Events::of(&service, pattern), pattern, keys));
    for key in ["users", "users/1", "rooms/1", "users/1/name", "users/2"] {
        service.put(&format!("/kv/{key}"), b"v");
    }
    service.signal("INT");
    for (events, pattern, keys) in &mut watching {
        let got: Vec<_> = std::iter::from_fn(|| events.next_or_end())
            .map(|event| event.data["key"].as_str().expect("a key").to_owned())
            .collect();
        assert_eq!(got, *keys, "{pattern}");
    }
}

#[test]
fn an_encoded_topic_can_be_watched() {
    let (_folder, service) = start(&[]);
    let cases = [
        ("a%20b", "a b", "kv/a%20b", "kv/a%2520b"),
        ("users/%2A", "users/*", "kv/users/%2A", "kv/users/%252A"),
        ("100%25", "100%", "kv/100%25", "kv/100%2525"),
        ("a//b", "a//b", "kv/a/%2Fb", "kv/a/%252Fb"),
        ("%C3%A4", "ä", "kv/ä", "kv/%C3%A4"),
    ];
    for (path, key, topic, pattern) in cases {
        let mut events = Events::of(&service, pattern);
        assert_eq!(service.put(&format!("/kv/{path}"), b"").status, 204);
        let data = events.next().data;
        assert_eq!(data, json!({ "topic": topic, "key": key, "bytes": 0 }));
    }
}

#[test]
fn a_bad_pattern_gets_400_with_the_position() {
    let (_folder, service) = start(&[]);
    let cases = [
        ("topic=kv/us*ers", Some(5), "between \"kv/us\" and \"*ers\""),
        ("topic=kv//1", Some(3), "leave out a slash"),
        ("topic=kv/a%20b", Some(4), "' ' (space) is not allowed"),
        ("topic=users/*", None, "does not begin with kv"),
        ("topic=**", None, "kv/** all"),
        ("topic=", None, "does not begin with kv"),
        ("", None, "missing field `topic`"),
        ("topic=kv/*&since=3", None, "since"),
    ];
    for (query, position, reason) in cases {
        let response = service.get(&format!("/events?{query}"));
        assert_eq!(response.status, 400, "{query}");
        assert!(response.error().contains(reason), "{}", response.error());
        assert_eq!(response.json()["position"].as_u64(), position, "{query}");
    }
    assert_eq!(watchers(&service), 0);
}

#[test]
fn a_slow_watcher_learns_how_many_changes_it_missed() {
    const CHANGES: u64 = 10_000;
    let (_folder, service) = start(&["--db", ":memory:"]);
    // More than fits into all buffers, and no reads: the store goes on.
    let mut events = Events::of(&service, "kv/**");
    let long = "k".repeat(1000);
    let lines = (0..CHANGES).map(|n| (format!("{long}/{n}"), String::new()));
    let imported = service.request("POST", "/import", json_lines(lines).as_bytes());
    assert_eq!(imported.json(), json!({ "imported": CHANGES }));

    let (mut last, mut gaps) = (0, 0);
    while last < CHANGES {
        let event = events.next();
        if let Some(id) = event.id {
            assert_eq!(id, last + 1);
            last = id;
        } else {
            let changes = event.data["missed"].as_u64().expect("a number");
            assert_eq!(event, missed(Some(changes)));
            gaps += 1;
            last += changes;
        }
    }
    assert_ne!(gaps, 0, "nothing was missed");
}

#[test]
fn too_many_watchers_get_503_until_one_leaves() {
    let (_folder, service) = start(&["--watchers", "2", "--keep-alive", "10ms"]);
    let watching = [(); 2].map(|()| Events::of(&service, "kv/**"));
    let response = service.get("/events?topic=kv/**");
    assert_eq!(
        (response.status, response.error().as_str()),
        (503, "there are 2 watchers, and no more are allowed")
    );
    assert_eq!(response.header("retry-after"), Some("1"));
    drop(watching);
    until("their leaving to be noticed", || {
        (watchers(&service) == 0).then_some(())
    });
    let _next = Events::of(&service, "kv/**");
    assert_eq!(watchers(&service), 1);
}

#[test]
fn an_idle_watcher_is_sent_comments() {
    let (_folder, service) = start(&["--keep-alive", "10ms"]);
    let mut events = Events::of(&service, "kv/**");
    events.wait_for_comment();
    events.wait_for_comment();
    service.put("/kv/a", b"v");
    assert_eq!(events.next(), change(1, "put", "a", Some(1)));
}

#[test]
fn ctrl_c_ends_the_streams_after_all_changes() {
    // An unfinished request would delay the stop for longer than this test waits.
    let (_folder, mut service) = start(&["--timeout", "10m"]);
    let mut events = Events::of(&service, "kv/**");
    service.put("/kv/a", b"v");
    service.signal("INT");
    assert_eq!(service.exit_code(), Some(0));
    assert_eq!(events.next(), change(1, "put", "a", Some(1)));
    assert_eq!(events.next_or_end(), None);
}

#[test]
fn a_watcher_that_never_reads_does_not_delay_the_stop() {
    let (_folder, mut service) = start(&["--db", ":memory:", "--timeout", "5s"]);
    let _deaf =
        raw::send_head(service.address(), "GET", "/events?topic=kv/**", 0).expect("it listens");
    until("the watcher", || (watchers(&service) == 1).then_some(()));
    let long = "k".repeat(1000);
    let lines = (0..10_000).map(|n| (format!("{long}/{n}"), String::new()));
    let import = json_lines(lines);
    let imported = http::request(service.address(), "POST", "/import", import.as_bytes());
    assert_eq!(imported.expect("an answer").status, 200);
    service.signal("TERM");
    assert_eq!(service.exit_code(), Some(0));
    service.wait_for_stderr("closing connections that did not finish in time");
}
