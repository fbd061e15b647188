//! Clients that are slow, many, or both.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use redis_protocol::resp2::types::OwnedFrame;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    process,
    support::{Folder, Gateway, assert_error, encoded, ok, start, text, until},
};

/// More than the buffers of the gateway and of the system for one connection.
const MIB: usize = 1024 * 1024;

#[test]
fn a_client_that_does_not_read_has_to_wait_and_costs_little() {
    let (_folder, gateway) = start(&[]);
    let mut client = gateway.connect();
    let value = "x".repeat(30_000);
    assert_eq!(client.ask(&["SET", "large", &value]), ok());
    let before = gateway.memory();
    // The replies have 3 GB.
    let mut slow = gateway.connect();
    slow.stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .expect("it can be set");
    let commands = encoded(&["GET", "large"]).repeat(1000);
    let mut blocked = false;
    for _ in 0..4_000 {
        if slow.stream.write(&commands).is_err() {
            blocked = true;
            break;
        }
    }
    assert!(blocked, "the gateway takes everything");
    assert_eq!(
        client.ask(&["PING", "others are served"]),
        text("others are served")
    );
    if let (Some(before), Some(after)) = (before, gateway.memory()) {
        assert!(after < before + 40 * MIB, "{before} bytes became {after}");
    }
    // When it reads, it gets what it has asked for.
    for _ in 0..1000 {
        assert_eq!(slow.reply(), text(&value));
    }
}

#[test]
fn a_client_that_never_reads_is_cut() {
    let (_folder, gateway) = start(&["--client-timeout", "1s"]);
    let mut client = gateway.connect();
    assert_eq!(client.ask(&["SET", "large", &"x".repeat(30_000)]), ok());
    let mut slow = gateway.connect();
    slow.send(&encoded(&["GET", "large"]).repeat(1000));
    let mut half = gateway.connect();
    half.send(b"*2\r\n$3\r\nGET\r\n$5\r\nlar");
    until("the end of both", || {
        (gateway.info("cut_connections") == 2).then_some(())
    });
    assert_eq!(half.next(), None);
    // A connection between commands may be idle.
    assert_eq!(client.ask(&["EXISTS", "large"]), OwnedFrame::Integer(1));
}

#[test]
fn the_memory_of_all_is_limited() {
    let (_folder, gateway) = start(&["--memory", "8"]);
    let value = "x".repeat(MIB - 10);
    // Each holds nearly a MiB of a command that is not complete.
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = gateway.connect();
            client.send(format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${MIB}\r\n{value}").as_bytes());
            client
        })
        .collect();
    until("the limit", || {
        (gateway.info("cut_connections") >= 12).then_some(())
    });
    let mut other = gateway.connect();
    assert_eq!(other.ask(&["PING", "x"]), text("x"));
    drop(clients);
}

#[test]
fn values_that_the_store_has_not_taken_count_as_memory() {
    // The store is busy for ever.
    let (_folder, gateway) = start(&["--memory", "8", "--delay", "10m"]);
    let set = encoded(&["SET", "a", &"x".repeat(MIB)]);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = gateway.connect();
            client.send(&set);
            client
        })
        .collect();
    until("the limit", || {
        (gateway.info("cut_connections") >= 12).then_some(())
    });
    drop(clients);
    gateway.kill();
}

#[test]
fn a_client_that_sends_large_values_waits_for_the_store() {
    let (_folder, gateway) = start(&["--delay", "10m"]);
    let before = gateway.memory();
    let mut client = gateway.connect();
    client
        .stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .expect("it can be set");
    let set = encoded(&["SET", "a", &"x".repeat(MIB)]);
    let sent = (0..64)
        .take_while(|_| client.stream.write_all(&set).is_ok())
        .count();
    assert_eq!(gateway.connect().ask(&["PING", "x"]), text("x"));
    if let (Some(before), Some(after)) = (before, gateway.memory()) {
        let more = after.saturating_sub(before) / MIB;
        assert!(more < 30, "{sent} values were sent: {more} MiB more");
    }
    gateway.kill();
}

#[test]
fn a_client_that_does_not_read_leaves_the_budget_of_the_store_to_others() {
    let (_folder, gateway) = start(&["--client-timeout", "10m"]);
    let mut client = gateway.connect();
    assert_eq!(client.ask(&["SET", "large", &"x".repeat(MIB)]), ok());
    // As many values as the budget allows.
    let mut slow = gateway.connect();
    slow.send(&encoded(&["GET", "large"]).repeat(100));
    until("the replies", || {
        (gateway.info("replied") >= 65).then_some(())
    });
    until("a value", || {
        let reply = client.ask(&["GET", "large"]);
        matches!(reply, OwnedFrame::BulkString(_)).then_some(())
    });
}

#[test]
fn a_command_for_many_large_values_is_answered_piece_by_piece() {
    let (_folder, gateway) = start(&["--memory", "100"]);
    let mut client = gateway.connect();
    let value = "x".repeat(MIB);
    assert_eq!(client.ask(&["SET", "large", &value]), ok());
    // The replies have more than the store's budget for values, and the memory of the loop.
    let mut command = vec!["large"; 201];
    command[0] = "MGET";
    client.send(&encoded(&command));
    let mut line = String::new();
    let mut reader = BufReader::with_capacity(MIB, &client.stream);
    reader.read_line(&mut line).expect("the head");
    assert_eq!(line, "*200\r\n");
    let mut bulk = vec![0; format!("${MIB}\r\n").len() + MIB + 2];
    for n in 0..200 {
        reader.read_exact(&mut bulk).expect("a value");
        let begin = String::from_utf8_lossy(&bulk[..20]);
        assert!(begin.starts_with("$1048576\r\nx"), "{n}: {begin}");
        assert!(bulk.ends_with(b"x\r\n"), "{n}");
    }
}

#[test]
fn one_connection_too_many_is_refused() {
    let (_folder, gateway) = start(&["--connections", "3"]);
    let mut clients: Vec<_> = (0..3).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(&["PING", "x"]), text("x"));
    }
    let mut one_more = gateway.connect();
    assert_error(&one_more.reply(), "max number of clients reached");
    assert_eq!(one_more.next(), None);
    clients.pop();
    until("a free place", || {
        let mut next = gateway.connect();
        next.stream.write_all(b"PING x\r\n").ok()?;
        (next.next() == Some(text("x"))).then_some(())
    });
}

#[test]
fn with_few_descriptors_the_limit_of_connections_is_lower() {
    let folder = Folder::new();
    let mut command = Command::new("sh");
    let program = process::program("tcp-gateway");
    command
        .args(["-c", "ulimit -n 100; exec \"$0\" \"$@\""])
        .arg(program);
    let gateway = Gateway::start_as(&mut command, &folder, &[]);
    let clients: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(gateway.address))
        .collect();
    until("the refusals", || {
        let mut client = gateway.connect();
        matches!(client.next(), Some(OwnedFrame::Error(_))).then_some(())
    });
    drop(clients);
    until("a free place", || {
        let mut next = gateway.connect();
        next.stream.write_all(b"SET a x\r\n").ok()?;
        (next.next() == Some(ok())).then_some(())
    });
    let lines = gateway.stop();
    assert!(lines[0].contains("at most 50 connections"), "{lines:?}");
}

#[test]
fn ten_thousand_connections_are_served() {
    const CONNECTIONS: usize = 10_000;
    let needed = CONNECTIONS as u64 + 200;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < needed) {
        let limit = Rlimit {
            current: Some(needed),
            maximum,
        };
        if setrlimit(Resource::Nofile, limit).is_err() {
            println!("skipped: at most {maximum:?} descriptors are allowed, not {needed}");
            return;
        }
    }
    let (_folder, gateway) = start(&["--workers", "2", "--connections", "20000"]);
    let before = gateway.memory();
    let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| gateway.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        let key = format!("key{}", n % 100);
        client.send(&[encoded(&["SET", &key, "x"]), encoded(&["GET", &key])].concat());
    }
    for client in &mut clients {
        assert_eq!(client.reply(), ok());
        assert_eq!(client.reply(), text("x"));
    }
    assert_eq!(gateway.info("connected_clients"), CONNECTIONS as u64 + 1);
    if let (Some(before), Some(after)) = (before, gateway.memory()) {
        let each = after.saturating_sub(before) / CONNECTIONS;
        println!("{each} bytes for each connection");
        assert!(each < 8 * 1024, "{each} bytes for each connection");
    }
    drop(clients);
    until("their end", || {
        (gateway.info("connected_clients") == 1).then_some(())
    });
    gateway.stop();
}
