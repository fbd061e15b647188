//! The bus: changes that are published to other processes. The test is the hub.

use std::{io::Read, os::unix::net::UnixListener, path::PathBuf, sync::mpsc, thread};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ump_router::{
    Message, RecvError, Router, SubscribeOptions, Subscription, link::sockets::Listener,
};

use crate::support::{
    Folder, Service, TIMEOUT, program, run,
    sse::{Events, change},
    start, until,
};

/// A change as it comes over a link, whatever it is.
#[derive(Debug, Serialize, Deserialize)]
struct KeyChange(Value);

impl Message for KeyChange {
    const PREFIX: &str = "kv";
}

/// A hub, which a service publishes to.
struct Hub {
    router: Router,
    _listener: Listener,
}

impl Hub {
    fn listen(address: &str) -> Self {
        let router = Router::new();
        router.carry::<KeyChange>().expect("a type");
        // The hub before it may be about to end.
        let listener = until("the address", || router.listen(address).ok());
        Self {
            router,
            _listener: listener,
        }
    }

    fn subscribe(&self, pattern: &str) -> Subscription<KeyChange> {
        self.router.subscribe(pattern).expect("a pattern")
    }
}

/// The address of a hub.
struct Address(Folder);

impl Address {
    fn new() -> Self {
        Self(Folder::new())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("bus.sock")
    }

    fn text(&self) -> String {
        format!("unix:{}", self.path().display())
    }
}

/// Starts a service that publishes to a hub, and waits for its link.
fn publishing_to(address: &str) -> (Folder, Service) {
    let (folder, service) = start(&["--bus", address]);
    service.wait_for_stderr(&format!("kv: publishing changes to {address}"));
    (folder, service)
}

/// Receives the next change: its topic, and its fields without the id.
#[track_caller]
fn next(changes: &mut Subscription<KeyChange>) -> Result<(String, Value), RecvError> {
    let received = changes.recv().wait_timeout(TIMEOUT)?;
    let received = received.expect("a change in time");
    let mut fields = received.0.clone();
    fields.as_object_mut().expect("fields").remove("id");
    Ok((received.topic().to_string(), fields))
}

/// The number in the id of the next change.
#[track_caller]
fn next_number(changes: &mut Subscription<KeyChange>) -> Result<u64, RecvError> {
    let received = changes.recv().wait_timeout(TIMEOUT)?;
    let received = received.expect("a change in time");
    let id = received.0["id"].as_str().expect("an id");
    let number = id.split_once('-').map(|(_, number)| number.parse());
    Ok(number.expect("two parts").expect("a number"))
}

#[test]
fn each_change_is_published_to_the_bus() {
    let address = Address::new();
    let hub = Hub::listen(&address.text());
    let mut all = hub.subscribe("**");
    let mut users = hub.subscribe("users/*");
    let (_folder, service) = publishing_to(&address.text());
    service.put("/kv/users/1", b"Ada");
    service.put("/kv/a%20b*", b"");
    service.request("DELETE", "/kv/users/1", b"");
    service.request("DELETE", "/kv/users/1", b"");
    service.put("/kv/brief?ttl=1", b"v");
    let expected = json!({"event": "put", "key": "users/1", "bytes": 3});
    assert_eq!(next(&mut all), Ok(("users/1".to_owned(), expected.clone())));
    assert_eq!(next(&mut users), Ok(("users/1".to_owned(), expected)));
    let expected = json!({"event": "put", "key": "a b*", "bytes": 0});
    assert_eq!(next(&mut all), Ok(("a%20b%2A".to_owned(), expected)));
    let expected = json!({"event": "delete", "key": "users/1"});
    assert_eq!(next(&mut all), Ok(("users/1".to_owned(), expected.clone())));
    assert_eq!(next(&mut users), Ok(("users/1".to_owned(), expected)));
    let (topic, fields) = next(&mut all).expect("a change");
    assert_eq!((topic.as_str(), &fields["event"]), ("brief", &json!("put")));
    assert!(
        fields["expires"].as_u64() > Some(1_700_000_000_000),
        "{fields}"
    );
    let expected = json!({"event": "expire", "key": "brief"});
    assert_eq!(next(&mut all), Ok(("brief".to_owned(), expected)));
}

#[test]
fn the_service_works_without_its_bus_and_gets_it_back() {
    let address = Address::new();
    let (_folder, service) = start(&["--bus", &address.text()]);
    service.wait_for_stderr(&format!("kv: no bus at {}", address.text()));
    assert_eq!(service.put("/kv/a", b"unheard").status, 204);
    let mut number = 1;
    for _ in 0..3 {
        let hub = Hub::listen(&address.text());
        let mut changes = hub.subscribe("**");
        // It has the link when a change arrives.
        let mut last = loop {
            assert_eq!(service.put("/kv/a", b"perhaps").status, 204);
            number += 1;
            if !changes.is_empty() {
                break next_number(&mut changes).expect("a change");
            }
        };
        // From here on there are no gaps.
        while last < number {
            let next = next_number(&mut changes).expect("a change");
            assert_eq!(next, last + 1);
            last = next;
        }
        hub.router.close();
        drop(hub);
        assert_eq!(service.put("/kv/a", b"unheard").status, 204);
        number += 1;
    }
}

#[test]
fn a_slow_subscriber_learns_what_it_missed() {
    let address = Address::new();
    let hub = Hub::listen(&address.text());
    let options = SubscribeOptions::new().capacity(4);
    let subscribed = hub.router.subscribe_with::<KeyChange>("**", options);
    let mut slow = subscribed.expect("a pattern");
    let mut other = hub.subscribe("**");
    let (_folder, service) = publishing_to(&address.text());
    for _ in 0..100 {
        service.put("/kv/a", b"v");
        next(&mut other).expect("no gap");
    }
    assert_eq!(next_number(&mut slow), Err(RecvError::Missed(96)));
    for number in 97..=100 {
        assert_eq!(next_number(&mut slow), Ok(number));
    }
}

#[test]
fn a_bus_that_says_nothing_delays_no_client() {
    let address = Address::new();
    let listener = UnixListener::bind(address.path()).expect("a socket");
    let (sender, connected) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // Neither reads nor writes until the service has ended.
            if sender.send(stream).is_err() {
                return;
            }
        }
    });
    let (_folder, mut service) = start(&["--bus", &address.text()]);
    let mut stream = connected.recv().expect("it connects").expect("it connects");
    for number in 0..200 {
        let status = service.put(&format!("/kv/{number}"), b"v").status;
        assert_eq!(status, 204);
    }
    service.signal("TERM");
    assert_eq!(service.exit_code(), Some(0));
    let mut hello = Vec::new();
    stream.read_to_end(&mut hello).expect("it has ended");
    assert!(!hello.is_empty());
}

#[test]
fn the_last_changes_reach_the_bus() {
    let address = Address::new();
    let hub = Hub::listen(&address.text());
    let mut changes = hub.subscribe("**");
    let (_folder, mut service) = publishing_to(&address.text());
    for _ in 0..500 {
        service.put("/kv/a", b"v");
    }
    service.signal("TERM");
    assert_eq!(service.exit_code(), Some(0));
    for number in 1..=500 {
        assert_eq!(next_number(&mut changes), Ok(number));
    }
}

#[test]
fn other_processes_cannot_publish_to_watchers() {
    let address = Address::new();
    let hub = Hub::listen(&address.text());
    let (_folder, service) = publishing_to(&address.text());
    let mut events = Events::of(&service, "kv/**");
    let forged = KeyChange(json!({"id": "1-1", "event": "put", "key": "forged", "bytes": 1}));
    let published = hub.router.publish("forged", forged).wait();
    assert_eq!(published.expect("it is published").matched, 0);
    service.put("/kv/a", b"v");
    assert_eq!(events.next(), change(1, "put", "a", Some(1)));
}

#[test]
fn an_address_that_is_none_is_refused() {
    let folder = Folder::new();
    for address in ["bus.sock", "unix:", "tcp:localhost", "http://localhost"] {
        let mut command = std::process::Command::new(program());
        let output = run(&folder, command.args(["--bus", address]));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains("is not an address of a link: write unix:PATH"),
            "{error}"
        );
    }
}
