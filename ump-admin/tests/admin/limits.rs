//! Clients that do not keep to the rules.

use std::time::Duration;

use ump_admin::Admin;

use crate::client::{Connection, get, request};

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn garbage_is_answered_or_closed() {
    let admin = Admin::new().listen("127.0.0.1:0").unwrap();
    for garbage in [
        "\r\n\r\n\r\n\0\0\0",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\x02\0",
        "GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut connection = Connection::open(&admin);
        connection.send(garbage);
        if let Some(response) = connection.head() {
            assert!(
                (400..500).contains(&response.status),
                "{garbage:?}: {response:?}"
            );
        }
    }
    get(&admin, "/health").expect(200);
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let admin = Admin::new().listen("127.0.0.1:0").unwrap();
    let mut connection = Connection::open(&admin);
    connection.send("GET / HTTP/1.1\r\nHost: localhost\r\n");
    connection.send(&format!("X: {}\r\n\r\n", "y".repeat(1 << 20)));
    if let Some(response) = connection.head() {
        assert_eq!(response.status, 431);
    }
    get(&admin, "/health").expect(200);
}

#[test]
fn a_slow_head_and_an_idle_connection_are_closed() {
    let admin = Admin::new()
        .head_timeout(SHORT)
        .listen("127.0.0.1:0")
        .unwrap();
    let mut silent = Connection::open(&admin);
    let mut slow = Connection::open(&admin);
    slow.send("GET / HTTP/1.1\r\nHo");
    let mut idle = Connection::open(&admin);
    idle.send("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(idle.receive().unwrap().status, 200);
    for connection in [&mut silent, &mut slow, &mut idle] {
        connection.wait_for_end();
    }
}

/// The head of a request with a body of this length.
fn head_of_stop(length: usize) -> String {
    format!(
        "POST /api/components/store/stop HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer correct-horse-battery\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

#[test]
fn a_slow_body_is_refused() {
    let admin = Admin::new()
        .token("correct-horse-battery")
        .request_timeout(SHORT)
        .listen("127.0.0.1:0")
        .unwrap();
    let mut connection = Connection::open(&admin);
    connection.send(&head_of_stop(10));
    connection.send("{");
    assert_eq!(connection.receive().unwrap().status, 408);
}

#[test]
fn a_body_that_is_too_long_is_refused() {
    let admin = Admin::new()
        .token("correct-horse-battery")
        .listen("127.0.0.1:0")
        .unwrap();
    let mut connection = Connection::open(&admin);
    connection.send(&head_of_stop(1_000_000_000));
    connection.send(&" ".repeat(300_000));
    assert_eq!(connection.receive().unwrap().status, 413);
    get(&admin, "/health").expect(200);
}

#[test]
fn one_connection_too_many_is_closed() {
    let admin = Admin::new()
        .max_connections(2)
        .listen("127.0.0.1:0")
        .unwrap();
    let hello = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut two = [Connection::open(&admin), Connection::open(&admin)];
    for connection in &mut two {
        connection.send(hello);
        assert_eq!(connection.receive().unwrap().status, 200);
    }
    let mut third = Connection::open(&admin);
    third.send(hello);
    assert!(third.head().is_none());
    drop(two);
    // The place is free when the admin surface has seen the end.
    loop {
        let mut again = Connection::open(&admin);
        again.send(hello);
        if again.receive().is_some() {
            break;
        }
    }
}

#[test]
fn a_page_is_found_with_a_query_and_by_head() {
    let admin = Admin::new().listen("127.0.0.1:0").unwrap();
    get(&admin, "/?theme=dark").expect(200);
    let mut connection = Connection::open(&admin);
    connection.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(connection.head().unwrap().status, 200);
    request(&admin, "OPTIONS /", &[], "").expect(405);
}
