//! `ump req`, and an exit code for each outcome.

use std::thread;

use serde_json::{Value, json};

use crate::support::{Double, Hub, Ump, run};

/// Serves `double/here`: doubles, refuses 0, forgets 1.
fn serve(hub: &Hub) -> thread::JoinHandle<()> {
    let server = hub.router.serve::<Double>("here").unwrap();
    thread::spawn(move || {
        for (call, rctx) in &server {
            match call.message.0 {
                0 => drop(rctx.fail("nothing to double".to_owned())),
                1 => drop(rctx),
                n => drop(rctx.reply(2 * n)),
            }
        }
    })
}

fn req(hub: &Hub, number: &str, more: &[&str]) -> crate::support::Ran {
    let args = [
        "req",
        "--on",
        &hub.unix,
        "double/here",
        "--json-payload",
        number,
    ];
    run(&[&args[..], more].concat())
}

#[test]
fn each_outcome_has_its_exit_code() {
    let hub = Hub::new();
    let ran = req(&hub, "21", &[]);
    assert_eq!(ran.code, 3, "nobody serves: {ran:?}");
    let serving = serve(&hub);
    let ran = req(&hub, "21", &[]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "42\n", "")
    );
    let ran = req(&hub, "0", &[]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (1, "ump: refused: nothing to double\n")
    );
    let ran = req(&hub, "1", &[]);
    assert_eq!(ran.code, 4, "the server has lost it: {ran:?}");
    let ran = req(&hub, "\"x\"", &[]);
    assert_eq!(ran.code, 1, "malformed: {ran:?}");
    let ran = req(&hub, "{", &[]);
    assert_eq!(ran.code, 2, "not JSON: {ran:?}");
    hub.router.close();
    serving.join().unwrap();
}

#[test]
fn json_has_each_outcome() {
    let hub = Hub::new();
    let serving = serve(&hub);
    let json = |number| {
        let ran = req(&hub, number, &["--json"]);
        assert_eq!(ran.stderr, "");
        let value: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(value["exit"], json!(ran.code));
        value
    };
    let reply =
        json!({"outcome": "reply", "executed": "yes", "codec": "cbor", "json": 42, "exit": 0});
    assert_eq!(json("21"), reply);
    let refused = json("0");
    assert_eq!(
        (&refused["outcome"], &refused["json"]),
        (&json!("refused"), &json!("nothing to double"))
    );
    let failed = json("1");
    assert_eq!(
        (&failed["outcome"], &failed["executed"]),
        (&json!("failed"), &json!("perhaps"))
    );
    hub.router.close();
    serving.join().unwrap();
}

#[test]
fn a_request_times_out() {
    let hub = Hub::new();
    let server = hub.router.serve::<Double>("here").unwrap();
    let ran = req(&hub, "2", &["--timeout", "100ms"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    drop(server);
}

#[test]
fn a_link_that_ends_is_lost() {
    let hub = Hub::new();
    let server = hub.router.serve::<Double>("here").unwrap();
    let args = ["sub", "--once", "--on", &hub.unix, "price/**"];
    let sub = Ump::start_until(&args, "subscribed");
    let waits = Ump::start(&[
        "req",
        "--on",
        &hub.unix,
        "double/here",
        "--json-payload",
        "2",
    ]);
    let taken = server.iter().next().unwrap();
    hub.router.close();
    assert_eq!(sub.end().code, 4);
    assert_eq!(waits.end().code, 4);
    drop(taken);
}

#[test]
fn who_cannot_connect_exits_with_6() {
    let folder = tempfile::tempdir().unwrap();
    let missing = format!("unix:{}", folder.path().join("none.sock").display());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("tcp:{}", listener.local_addr().unwrap());
    let free = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("tcp:{}", listener.local_addr().unwrap())
    };
    for address in [&missing, &silent, &free] {
        let ran = run(&["sub", "--on", address, "a", "--connect-timeout", "200ms"]);
        assert_eq!(ran.code, 6, "{ran:?}");
        let ran = run(&[
            "sub",
            "--json",
            "--on",
            address,
            "a",
            "--connect-timeout",
            "200ms",
        ]);
        let error: Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!((ran.code, &error["exit"]), (6, &json!(6)));
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    for args in [
        &["sub"][..],
        &["sub", "--on", "nowhere", "a"],
        &["sub", "--on", "unix:x", "a//b"],
        &["pub", "--on", "unix:x", "a"],
        &["pub", "--on", "unix:x", "a", "--text", "x", "-"],
        &["pub", "--on", "unix:x", "a", "--file", "/does/not/exist"],
        &["req", "--on", "unix:x", "a/*"],
        &["reply", "--on", "unix:x", "a"],
    ] {
        assert_eq!(run(args).code, 2, "{args:?}");
    }
}

#[test]
fn the_help_has_the_exit_codes() {
    let ran = run(&["--help"]);
    assert_eq!(ran.code, 0);
    for code in 0..=6 {
        assert!(
            ran.stdout.contains(&format!("\n  {code}  ")),
            "{}",
            ran.stdout
        );
    }
}
