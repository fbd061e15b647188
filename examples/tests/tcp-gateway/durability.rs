//! Acknowledged writes are kept, however the gateway ends.

use std::{thread, time::Duration};

use crate::support::{Folder, Gateway, assert_error, encoded, number, ok, start, text, until};

#[test]
fn a_killed_gateway_has_kept_what_it_acknowledged() {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder, &["--workers", "2"]);
    let address = gateway.address;
    // Clients write until the gateway dies, in pipelines, and note what was acknowledged.
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let mut client = gateway.connect();
            thread::spawn(move || {
                let mut acknowledged = 0;
                loop {
                    let commands = (0..20).flat_map(|n| {
                        let n = (acknowledged + n).to_string();
                        encoded(&["SET", &format!("{writer}:{n}"), &n])
                    });
                    let commands: Vec<u8> = commands.collect();
                    if std::io::Write::write_all(&mut client.stream, &commands).is_err() {
                        return acknowledged;
                    }
                    for _ in 0..20 {
                        match client.next() {
                            Some(reply) => assert_eq!(reply, ok()),
                            None => return acknowledged,
                        }
                        acknowledged += 1;
                    }
                }
            })
        })
        .collect();
    thread::sleep(Duration::from_millis(700));
    gateway.kill();
    let acknowledged: Vec<i64> = writers
        .into_iter()
        .map(|writer| writer.join().expect("it ends"))
        .collect();
    assert!(acknowledged.iter().sum::<i64>() > 0, "nothing was written");

    let gateway = Gateway::start(&folder, &["--listen", &address.to_string()]);
    let mut client = gateway.connect();
    for (writer, count) in acknowledged.iter().enumerate() {
        for n in 0..*count {
            assert_eq!(
                client.ask(&["GET", &format!("{writer}:{n}")]),
                text(&n.to_string())
            );
        }
    }
    gateway.stop();
}

#[test]
fn a_second_gateway_on_the_file_is_refused() {
    let (folder, _gateway) = start(&[]);
    let program = crate::process::program("tcp-gateway");
    let db = folder.path().join("gateway.db");
    let db = db.to_str().expect("a plain path");
    let end = crate::process::run(&program, &["--listen", "127.0.0.1:0", "--db", db], b"");
    assert_eq!(end.code, Some(1), "{end:?}");
    assert!(
        end.stderr.contains("as the database: database is locked"),
        "{end:?}"
    );
}

#[test]
fn what_cannot_be_is_explained() {
    let (_folder, gateway) = start(&[]);
    let program = crate::process::program("tcp-gateway");
    let address = gateway.address.to_string();
    let end = crate::process::run(&program, &["--db", ":memory:", "--listen", &address], b"");
    assert_eq!(end.code, Some(1), "{end:?}");
    let expected = format!("tcp-gateway: cannot bind a socket to {address}: ");
    assert!(
        end.stderr.starts_with(&expected) && end.stderr.contains("use port 0"),
        "{end:?}"
    );
    for (arguments, reason) in [
        (["--workers", "0"], "not in 1..=256"),
        (["--client-timeout", "0s"], "must be from 1ms"),
        (["--listen", "here"], "invalid socket address"),
        (["--port", "1"], "unexpected argument"),
    ] {
        let end = crate::process::run(&program, &arguments, b"");
        assert_eq!(end.code, Some(2), "{arguments:?}: {end:?}");
        assert!(end.stderr.contains(reason), "{end:?}");
    }
}

#[test]
fn a_stop_answers_what_was_taken() {
    let (_folder, gateway) = start(&["--delay", "300ms"]);
    let mut client = gateway.connect();
    let mut idle = gateway.connect();
    assert_eq!(idle.ask(&["PING", "x"]), text("x"));
    for n in 0..10 {
        client.send(&encoded(&["SET", &format!("{n}"), "x"]));
    }
    client.send(&encoded(&["INFO"]));
    let mut questions = 0;
    until("the commands to be taken", || {
        questions += 1;
        let taken = gateway.info("total_commands_processed") - questions;
        (taken == 12).then_some(())
    });
    gateway.stop();
    for _ in 0..10 {
        assert_eq!(client.reply(), ok());
    }
    client.reply();
    assert_eq!(client.next(), None);
    assert_eq!(idle.next(), None);
}

#[test]
fn a_panic_of_the_store_fails_what_it_had_in_hand_only() {
    let (_folder, gateway) = start(&["--panic-at", "2"]);
    let mut client = gateway.connect();
    assert_eq!(client.ask(&["SET", "a", "1"]), ok());
    assert_error(&client.ask(&["SET", "a", "2"]), "executed: perhaps");
    assert_eq!(client.ask(&["INCR", "a"]), number(2));
    let mut sum = gateway.connect();
    assert_eq!(sum.ask(&["DEL", "a", "b"]), number(1));
    let lines = gateway.stop();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("asked to panic at batch 2")),
        "{lines:?}"
    );
}
