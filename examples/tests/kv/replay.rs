//! Watchers that reconnect, and streams of several topics: no change is repeated, reordered or
//! silently missing.

use crate::support::{
    Service, json_lines,
    sse::{Events, change, missed},
    start, until,
};

#[test]
fn a_stream_has_an_id_from_its_beginning() {
    let (_folder, service) = start(&[]);
    service.put("/kv/a", b"v");
    let mut events = Events::of(&service, "kv/**");
    assert!(events.wait_for_id().ends_with("-1"));
    assert_eq!(events.headers["cache-control"], "no-cache");
    assert_eq!(events.headers["x-accel-buffering"], "no");
}

#[test]
fn a_reconnected_watcher_gets_the_later_changes() {
    let (_folder, service) = start(&[]);
    let mut events = Events::of(&service, "kv/users/*");
    // The connection breaks before the first change.
    let id = events.wait_for_id();
    drop(events);
    service.put("/kv/users/1", b"v");
    service.put("/kv/greeting", b"hello");
    service.request("DELETE", "/kv/users/1", b"");
    let mut events = Events::after(&service, "kv/users/*", &id);
    assert_eq!(events.next(), change(1, "put", "users/1", Some(1)));
    let id = events.last_id.clone().expect("an id");
    assert_eq!(events.next(), change(3, "delete", "users/1", None));
    service.put("/kv/users/2", b"");
    assert_eq!(events.next(), change(4, "put", "users/2", Some(0)));

    let mut events = Events::after(&service, "kv/**", &id);
    assert_eq!(events.next(), change(2, "put", "greeting", Some(5)));
}

#[test]
fn a_change_no_longer_kept_is_a_gap() {
    let (folder, service) = start(&["--history", "2"]);
    let old = Events::of(&service, "kv/**").wait_for_id();
    for key in ["a", "b", "c"] {
        service.put(&format!("/kv/{key}"), b"v");
    }
    let run = old.split_once('-').expect("two parts").0;
    let known = format!("{run}-1");
    let future = format!("{run}-4");
    for (id, is_known) in [
        (known.as_str(), true),
        (&old, false),
        (&future, false),
        ("7", false),
        ("1-1", false),
        ("nonsense", false),
    ] {
        let mut events = Events::after(&service, "kv/**", id);
        if is_known {
            assert_eq!(events.next(), change(2, "put", "b", Some(1)));
            assert_eq!(events.next(), change(3, "put", "c", Some(1)));
        } else {
            assert_eq!(events.next(), missed(None), "{id}");
            assert!(events.wait_for_id().ends_with("-3"), "{id}");
        }
    }
    service.kill();
    // An id of another run is not valid in this one.
    let service = Service::start(&folder, &[]);
    service.put("/kv/a", b"v");
    let mut events = Events::after(&service, "kv/**", &format!("{run}-1"));
    assert_eq!(events.next(), missed(None));
    service.put("/kv/b", b"v");
    assert_eq!(events.next(), change(2, "put", "b", Some(1)));
}

#[test]
fn a_quiet_stream_keeps_its_id_up_to_date() {
    let (_folder, service) = start(&["--keep-alive", "10ms"]);
    let mut events = Events::of(&service, "kv/users/*");
    for n in 0..5 {
        service.put(&format!("/kv/others/{n}"), b"v");
    }
    until("an id of all changes", || {
        events.wait_for_id().ends_with("-5").then_some(())
    });
}

#[test]
fn a_stream_can_have_several_topics() {
    let (_folder, service) = start(&[]);
    let topics = "kv/users/*&topic=kv/greeting&topic=kv/*/1";
    let mut events = Events::of(&service, topics);
    let lines = (0..600).map(|n| {
        let key = match n % 4 {
            0 => "users/1".to_owned(),
            1 => "greeting".to_owned(),
            2 => format!("users/{n}"),
            _ => "others".to_owned(),
        };
        (key, String::new())
    });
    let imported = service.request("POST", "/import", json_lines(lines).as_bytes());
    assert_eq!(imported.status, 200);
    // Each change once, in order, whichever pattern matches it.
    for n in (1..=600).filter(|n| n % 4 != 0) {
        assert_eq!(events.next().id, Some(n));
    }
    let many = "topic=kv/a&".repeat(17);
    let response = service.get(&format!("/events?{many}topic=kv/b"));
    assert_eq!(response.status, 400);
    assert!(response.error().contains("at most 16"), "{response:?}");
}
