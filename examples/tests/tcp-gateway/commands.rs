//! Each command, and what is refused.

use std::{thread, time::Duration};

use redis_protocol::resp2::types::OwnedFrame::{self, Array, Null, SimpleString};

use crate::support::{assert_error, number, ok, start, text, until};

#[test]
fn each_command_replies_as_redis_does() {
    let (_folder, gateway) = start(&[]);
    let mut client = gateway.connect();
    let cases: &[(&[&str], OwnedFrame)] = &[
        (&["PING"], SimpleString(b"PONG".to_vec())),
        (&["ping", "hello"], text("hello")),
        (&["ECHO", ""], text("")),
        (&["SELECT", "0"], ok()),
        (&["GET", "a"], Null),
        (&["SET", "a", "1"], ok()),
        (&["GET", "a"], text("1")),
        (&["SET", "a", "2", "NX"], Null),
        (&["SET", "b", "2", "XX"], Null),
        (&["SET", "a", "3", "XX"], ok()),
        (&["SET", "b", "4", "nx", "ex", "1000"], ok()),
        (&["SET", "c", "line\r\nend \0 \u{e9}"], ok()),
        (&["MGET", "a", "x", "b", "c"], {
            Array(vec![
                text("3"),
                Null,
                text("4"),
                text("line\r\nend \0 \u{e9}"),
            ])
        }),
        (&["EXISTS", "a", "b", "x", "a"], number(3)),
        (&["EXISTS", "aa"], number(0)),
        (&["INCR", "a"], number(4)),
        (&["INCRBY", "a", "-14"], number(-10)),
        (&["DECR", "new"], number(-1)),
        (&["DECRBY", "new", "9"], number(-10)),
        (&["GET", "new"], text("-10")),
        (&["DBSIZE"], number(4)),
        (&["DEL", "a", "x", "b", "a"], number(2)),
        (&["DBSIZE"], number(2)),
        (&["UNLINK", "new"], number(1)),
        (
            &["SET", "", "1"],
            OwnedFrame::Error("ERR the key is empty".to_owned()),
        ),
        (
            &["SCAN", "0"],
            Array(vec![text("0"), Array(vec![text("c")])]),
        ),
        (&["COMMAND", "DOCS"], Array(Vec::new())),
        (
            &["CONFIG", "GET", "save"],
            Array(vec![text("save"), text("")]),
        ),
        (
            &["CONFIG", "GET", "appendonly"],
            Array(vec![text("appendonly"), text("yes")]),
        ),
        (&["CONFIG", "GET", "other"], Array(Vec::new())),
        (&["CLIENT", "SETNAME", "me"], ok()),
    ];
    for (command, reply) in cases {
        assert_eq!(client.ask(command), *reply, "{command:?}");
    }
    assert_eq!(client.ask(&["QUIT"]), ok());
    assert_eq!(client.next(), None);
    let lines = gateway.stop();
    let last = lines.last().expect("a summary");
    assert_eq!(
        *last,
        format!("stopped: {} commands taken", cases.len() + 1)
    );
}

#[test]
fn what_cannot_be_is_refused_and_the_connection_goes_on() {
    let (_folder, gateway) = start(&[]);
    let mut client = gateway.connect();
    let long = "k".repeat(1025);
    assert_eq!(client.ask(&["SET", "word", "abc"]), ok());
    assert_eq!(client.ask(&["SET", "most", &i64::MAX.to_string()]), ok());
    let cases: &[(&[&str], &str)] = &[
        (&["FLUSHALL"], "ERR unknown command 'FLUSHALL'"),
        (
            &["a command of many words"],
            "ERR unknown command 'a command of many words'",
        ),
        (&["GET"], "ERR wrong number of arguments for 'get' command"),
        (&["GET", "a", "b"], "wrong number of arguments"),
        (&["SET", "a"], "wrong number of arguments for 'set' command"),
        (&["DBSIZE", "a"], "wrong number of arguments"),
        (&["SET", "a", "1", "EX"], "ERR syntax error"),
        (&["SET", "a", "1", "NX", "XX"], "ERR syntax error"),
        (&["SET", "a", "1", "EX", "1", "PX", "1"], "ERR syntax error"),
        (
            &["SET", "a", "1", "EX", "0"],
            "ERR invalid expire time in 'set' command",
        ),
        (&["SET", "a", "1", "PX", "-5"], "ERR invalid expire time"),
        (
            &["SET", "a", "1", "EX", "9223372036854775807"],
            "ERR invalid expire time",
        ),
        (
            &["SET", "a", "1", "EX", "soon"],
            "ERR value is not an integer",
        ),
        (&["SET", "a", "1", "KEEPTTL"], "ERR syntax error"),
        (
            &["SET", &long, "1"],
            "ERR the key has 1025 bytes, more than 1024",
        ),
        (&["MGET", "a", ""], "ERR the key is empty"),
        (&["INCR", "word"], "ERR the value is not an integer"),
        (&["INCR", "most"], "ERR the sum is too large"),
        (&["INCRBY", "word", "x"], "ERR value is not an integer"),
        (
            &["DECRBY", "word", "-9223372036854775808"],
            "ERR decrement would overflow",
        ),
        (&["SELECT", "1"], "ERR DB index is out of range"),
        (&["SCAN", "7"], "ERR the cursor is unknown"),
        (&["SCAN", "x"], "ERR invalid cursor"),
        (&["SCAN", "0", "COUNT", "0"], "COUNT must be at least 1"),
        (&["SCAN", "0", "TYPE"], "ERR syntax error"),
        (
            &["CONFIG", "SET", "save", ""],
            "ERR only CONFIG GET is known",
        ),
        (&["CLIENT", "LIST"], "ERR only CLIENT SETNAME"),
        (&["two\r\nlines"], "ERR unknown command 'two\\r\\nlines'"),
    ];
    for (command, error) in cases {
        assert_error(&client.ask(command), error);
    }
    client.send(b"*2\r\n$3\r\nGET\r\n$2\r\n\xff\xfe\r\n");
    assert_error(&client.reply(), "the key is not UTF-8");
    assert_eq!(client.ask(&["GET", "a"]), Null);
    assert_eq!(client.ask(&["GET", "word"]), text("abc"));
}

#[test]
fn keys_expire() {
    let (_folder, gateway) = start(&[]);
    let mut client = gateway.connect();
    assert_eq!(client.ask(&["SET", "brief", "5", "PX", "3000"]), ok());
    assert_eq!(client.ask(&["INCR", "brief"]), number(6)); // which keeps the time
    assert_eq!(client.ask(&["SET", "long", "5", "EX", "1000"]), ok());
    until("the end of the key", || {
        (client.ask(&["GET", "brief"]) == Null).then_some(())
    });
    thread::sleep(Duration::from_millis(5));
    assert_eq!(client.ask(&["EXISTS", "brief", "long"]), number(1));
    assert_eq!(client.ask(&["SET", "brief", "again", "NX"]), ok());
}

#[test]
fn a_scan_returns_each_matching_key_once() {
    let (_folder, gateway) = start(&[]);
    let mut client = gateway.connect();
    for n in 0..250 {
        assert_eq!(client.ask(&["SET", &format!("user:{n:03}"), "x"]), ok());
    }
    assert_eq!(client.ask(&["SET", "other", "x"]), ok());
    let mut scan = |pattern: &str, count: &str| {
        let (mut cursor, mut keys) = ("0".to_owned(), Vec::new());
        loop {
            let reply = client.ask(&["SCAN", &cursor, "MATCH", pattern, "COUNT", count]);
            let Array(parts) = reply else {
                panic!("{reply:?}")
            };
            let [OwnedFrame::BulkString(next), Array(some)] = &parts[..] else {
                panic!("{parts:?}")
            };
            for key in some {
                let OwnedFrame::BulkString(key) = key else {
                    panic!("{key:?}")
                };
                keys.push(String::from_utf8(key.clone()).expect("text"));
            }
            cursor = String::from_utf8(next.clone()).expect("text");
            if cursor == "0" {
                return keys;
            }
        }
    };
    let all: Vec<_> = (0..250).map(|n| format!("user:{n:03}")).collect();
    assert_eq!(scan("user:*", "7"), all);
    assert_eq!(scan("user:*", "100000"), all);
    assert_eq!(scan("*", "50").len(), 251);
    assert_eq!(scan("user:00?", "10").len(), 10);
    assert_eq!(scan("*[13]7", "10").len(), 6);
    assert_eq!(scan("o*r", "10"), ["other"]);
    assert_eq!(scan("user:1", "10").len(), 0);
}
