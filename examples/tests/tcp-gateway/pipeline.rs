//! Many commands at once, bytes one at a time, and connections that are half closed.

use std::{io::Write, net::Shutdown, thread};

use redis_protocol::resp2::types::OwnedFrame::{self, Null};

use crate::support::{assert_error, encoded, number, ok, start, text, until};

#[test]
fn ten_thousand_commands_in_one_write_are_answered_in_order() {
    let (_folder, gateway) = start(&["--queue", "100"]);
    let mut client = gateway.connect();
    let mut all = Vec::new();
    for n in 0..5_000 {
        all.extend(encoded(&[
            "SET",
            &format!("key{}", n % 100),
            &format!("{n}"),
        ]));
        // Some need the store, some do not.
        all.extend(match n % 3 {
            0 => encoded(&["GET", &format!("key{}", n % 100)]),
            1 => encoded(&["ECHO", &format!("{n}")]),
            _ => encoded(&["EXISTS", &format!("key{}", n % 100), "none"]),
        });
    }
    let mut writer = client.stream.try_clone().expect("it can be cloned");
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&all).expect("it can be sent"));
        for n in 0..5_000 {
            assert_eq!(client.reply(), ok());
            let expected = if n % 3 == 2 {
                number(1)
            } else {
                text(&n.to_string())
            };
            assert_eq!(client.reply(), expected, "{n}");
        }
    });
    assert_eq!(client.ask(&["PING", "still here"]), text("still here"));
}

#[test]
fn input_may_come_byte_by_byte_and_inline() {
    let (_folder, gateway) = start(&[]);
    let mut client = gateway.connect();
    let mut all = encoded(&["SET", "a", "some text"]);
    all.extend(b"GET a\r\n\r\n*0\r\nset b \"two words\\n\"\nGET b\r\n");
    all.extend(encoded(&["MGET", "b", "c"]));
    for byte in all {
        client.send(&[byte]);
    }
    assert_eq!(client.reply(), ok());
    assert_eq!(client.reply(), text("some text"));
    assert_eq!(client.reply(), ok());
    assert_eq!(client.reply(), text("two words\n"));
    assert_eq!(
        client.reply(),
        OwnedFrame::Array(vec![text("two words\n"), Null])
    );
}

#[test]
fn a_half_closed_connection_gets_all_its_replies() {
    let (_folder, gateway) = start(&["--delay", "20ms"]);
    let mut client = gateway.connect();
    for n in 0..500 {
        client.send(&encoded(&["SET", &format!("{n}"), "x"]));
    }
    client.send(b"GET 499\r\nGET unfinished");
    client.shut_down();
    for _ in 0..500 {
        assert_eq!(client.reply(), ok());
    }
    assert_eq!(client.reply(), text("x"));
    assert_eq!(client.next(), None);
}

#[test]
fn what_was_received_is_executed_although_the_client_has_left() {
    let (_folder, gateway) = start(&["--delay", "20ms"]);
    let mut client = gateway.connect();
    for n in 0..500 {
        client.send(&encoded(&["SET", &format!("{n}"), "x"]));
    }
    client.stream.shutdown(Shutdown::Both).expect("it is open");
    drop(client);
    let mut other = gateway.connect();
    until("the last command", || {
        (other.ask(&["EXISTS", "499"]) == number(1)).then_some(())
    });
    assert_eq!(other.ask(&["DBSIZE"]), number(500));
    until("the end of the connection", || {
        (gateway.info("connected_clients") == 2).then_some(())
    });
}

#[test]
fn a_violation_of_the_protocol_is_named_and_ends_the_connection() {
    let (_folder, gateway) = start(&[]);
    for (input, error) in [
        (&b"*x\r\n"[..], "Protocol error: invalid multibulk length"),
        (b"*99999\r\n", "invalid multibulk length (at most 1024)"),
        (b"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"),
        (
            b"*1\r\n$1048577\r\n",
            "invalid bulk length (at most 1048576 bytes)",
        ),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n$4\r\nPINGPONG", "expected CRLF after a bulk string"),
        (b"SET a \"open\r\n", "unbalanced quotes in request"),
        (&vec![b'a'; 70_000], "too big inline request"),
    ] {
        let mut client = gateway.connect();
        client.send(b"PING\r\n");
        client.send(input);
        assert_eq!(client.reply(), OwnedFrame::SimpleString(b"PONG".to_vec()));
        assert_error(&client.reply(), error);
        assert_eq!(client.next(), None, "{error}");
    }
}

#[test]
fn several_loops_share_the_connections() {
    let (_folder, gateway) = start(&["--workers", "3"]);
    let mut clients: Vec<_> = (0..30).map(|_| gateway.connect()).collect();
    for (client, n) in clients.iter_mut().zip(1..) {
        assert_eq!(client.ask(&["INCR", "shared"]), number(n));
    }
    assert_eq!(gateway.info("connected_clients"), 31);
    drop(clients);
    gateway.stop();
}
