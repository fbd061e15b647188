//! Slow, silent and numerous clients do not delay others.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{
    FOR_EVER, Folder, Service, TIMEOUT, json_lines, program, raw, sse::Events, start, until,
};

fn connect(service: &Service) -> TcpStream {
    raw::connect(service.address()).expect("it listens")
}

/// Reads until the service closes or resets the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1024]) {
        Ok(0) => true,
        Ok(_) => is_closed(stream),
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn silent_connections_make_way_for_new_ones() {
    // 80 descriptors, and far more connections.
    let folder = Folder::new();
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 80; exec \"$0\" \"$@\""])
        .arg(program());
    let service = Service::start_as(limited, &folder, &["--head-timeout", FOR_EVER, "--chaos"]);
    let mut silent = Vec::new();
    for n in 0..300 {
        let mut stream = connect(&service);
        if n % 2 == 0 {
            // Half a head, or an idle connection. It may have been evicted already.
            let _ = stream.write_all(b"PUT /kv/a HTTP/1.1\r\nHost: local");
        } else {
            let _ = stream.write_all(b"GET /kv/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }
        silent.push(stream);
    }
    for n in 0..50 {
        assert_eq!(service.put(&format!("/kv/{n}"), b"v").status, 204);
    }
    // Descriptors are left for the database and its copies.
    assert_eq!(service.request("POST", "/debug/crash", b"").status, 500);
    assert_eq!(service.put("/kv/b", b"v").status, 204);
    assert_eq!(service.get("/backup").status, 200);
    assert!(is_closed(&mut silent[0]), "the oldest was let go");
}

#[test]
fn if_all_connections_are_busy_one_more_gets_503() {
    let (_folder, service) = start(&[
        "--connections",
        "3",
        "--delay",
        FOR_EVER,
        "--timeout",
        FOR_EVER,
    ]);
    let _writing = [
        raw::send_put(&service, "/kv/a"),
        raw::send_put(&service, "/kv/b"),
    ];
    service.wait_for_count("accepted", 2);
    let events = Events::of(&service, "kv/**");
    let response = until("all to be busy", || {
        let response = service.get("/kv/c");
        (response.status == 503).then_some(response)
    });
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(
        response.json(),
        json!({ "error": "all of 3 connections are busy", "executed": "no" })
    );
    drop(events);
    // The connection is free when the disconnect is noticed.
    until("the place of the watcher", || {
        (service.get("/stats").status == 200).then_some(())
    });
}

#[test]
fn a_head_has_to_come_in_time() {
    let (_folder, service) = start(&["--head-timeout", "300ms"]);
    let mut half = connect(&service);
    half.write_all(b"GET /stats HTTP/1.1\r\nHost: loc")
        .expect("it reads");
    let mut dripping = connect(&service);
    let drip = dripping.try_clone().expect("it can be");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut drip = drip;
            let head = b"GET /stats HTTP/1.1\r\nHost: localhost\r\nX-More: ";
            let endless = head.iter().chain(std::iter::repeat(&b'x'));
            for byte in endless {
                if drip.write_all(&[*byte]).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        assert!(is_closed(&mut half));
        assert!(is_closed(&mut dripping));
    });
    // The same holds for the next head on a connection.
    let mut idle = connect(&service);
    idle.write_all(b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("it reads");
    assert!(is_closed(&mut idle));
}

#[test]
fn a_body_that_drips_is_ended() {
    let (_folder, service) = start(&["--client-timeout", "1s"]);
    for (method, path, first) in [
        ("PUT", "/kv/a", ""),
        ("POST", "/import", "{\"key\":\"k\",\"value\":\"v\"}\n{"),
    ] {
        let mut stream =
            raw::send_head(service.address(), method, path, 1_000_000).expect("it listens");
        stream.write_all(first.as_bytes()).expect("it reads");
        let mut drip = stream.try_clone().expect("it can be");
        let dripping = thread::spawn(move || {
            let deadline = Instant::now() + TIMEOUT;
            // At this rate the body would take a day.
            while drip.write_all(b" ").is_ok() {
                assert!(Instant::now() < deadline, "it takes all of it");
                thread::sleep(Duration::from_millis(50));
            }
        });
        let response = raw::receive(&mut stream).expect("an answer");
        assert_eq!(response.status, 408, "{path}");
        assert!(response.error().contains("too slowly"), "{response:?}");
        drop(stream);
        dripping.join().expect("it ended");
    }
    assert_eq!(service.get("/kv/a").status, 404);
    assert_eq!(
        service.get("/kv/k").status,
        200,
        "what was imported before stays"
    );
}

#[test]
fn a_slow_client_that_goes_on_is_served() {
    let (_folder, service) = start(&["--client-timeout", "2s"]);
    let value = vec![b'v'; 200_000];
    let mut stream =
        raw::send_head(service.address(), "PUT", "/kv/a", value.len()).expect("it listens");
    for part in value.chunks(10_000) {
        stream.write_all(part).expect("it reads");
        thread::sleep(Duration::from_millis(150));
    }
    assert_eq!(raw::receive(&mut stream).expect("an answer").status, 204);
    assert!(service.get("/kv/a").body == value);
}

#[test]
fn clients_that_never_read_cost_little_and_are_ended() {
    const CLIENTS: usize = 200;
    let (_folder, service) = start(&["--db", ":memory:", "--client-timeout", "8s"]);
    for n in 0..CLIENTS {
        let value = vec![b'v'; 1024 * 1024];
        assert_eq!(service.put(&format!("/kv/{n}"), &value).status, 204);
    }
    service.put("/kv/small", b"v");
    let before = service.memory();
    let accepted = service.count("accepted");
    let deaf: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let path = format!("/kv/{n}");
            let mut stream = connect(&service);
            // The system buffers a few values, so each client requests many.
            for _ in 0..30 {
                let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            }
            stream
        })
        .collect();
    service.wait_for_at_least("accepted", accepted + CLIENTS as u64);
    // Waits until all are stuck.
    let mut last = 0;
    until("no more requests", || {
        thread::sleep(Duration::from_millis(500));
        let accepted = service.count("accepted");
        let is_over = accepted == last;
        last = accepted;
        is_over.then_some(())
    });
    assert_eq!(service.get("/kv/small").body, b"v", "others are served");
    let more = service.memory().saturating_sub(before);
    assert!(more < 100 << 20, "{} MiB more", more >> 20);
    // When they are ended, their memory is free for others.
    until("room for a value", || {
        (service.get("/kv/0").status == 200).then_some(())
    });
    drop(deaf);
}

#[test]
fn a_slow_reader_does_not_make_way_for_silent_ones() {
    const VALUES: usize = 60;
    const LENGTH: usize = 1024 * 1024;
    let (_folder, service) = start(&["--db", ":memory:", "--connections", "24"]);
    assert_eq!(service.put("/kv/long", &vec![b'v'; LENGTH]).status, 204);
    let mut reader = connect(&service);
    for _ in 0..VALUES {
        reader
            .write_all(b"GET /kv/long HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("it reads");
    }
    // Far more than the allowed connections, each opened after the reader has made progress.
    let mut silent = Vec::new();
    let mut part = vec![0; LENGTH];
    for n in 0..VALUES {
        let read = reader.read_exact(&mut part);
        read.unwrap_or_else(|e| panic!("it had to make way after {n} values: {e}"));
        silent.push(connect(&service));
    }
    assert!(is_closed(&mut silent[0]), "the oldest was let go");
}

#[test]
fn a_watcher_that_never_reads_is_ended() {
    let (_folder, service) = start(&["--db", ":memory:", "--client-timeout", "500ms"]);
    let _deaf =
        raw::send_head(service.address(), "GET", "/events?topic=kv/**", 0).expect("it listens");
    let watchers = || service.stats()["watchers"].as_u64();
    until("the watcher", || (watchers() == Some(1)).then_some(()));
    let long = "k".repeat(1000);
    let mut n = 0;
    until("its end", || {
        let keys = (n..n + 1000).map(|n| (format!("{long}{n}"), String::new()));
        n += 1000;
        let imported = service.request("POST", "/import", json_lines(keys).as_bytes());
        assert_eq!(imported.status, 200);
        (watchers() == Some(0)).then_some(())
    });
}

impl Service {
    /// Returns the resident bytes of the process.
    fn memory(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("Linux tells");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number
            .and_then(|number| number.parse::<usize>().ok())
            .expect("a number")
            * 1024
    }
}
