//! Processes that reach each other through a hub, which knows none of their types.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Ump, run, run_with_input, serve};

#[test]
fn messages_go_from_process_to_process() {
    let (_hub, address) = serve();
    let args = ["sub", "--on", &address, "sensors/**", "-n", "5"];
    let sub = Ump::start_until(&args, "subscribed");
    let args = ["pub", "--on", &address, "sensors/room/1", "--wait", "30s"];
    for payload in [
        &["--text", "21.5"][..],
        &["--json-payload", "{\"celsius\":[21.5]}"],
        &["--text", "\u{1b}[2J", "--codec", "raw"],
    ] {
        let ran = run(&[&args[..], payload].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    }
    let ran = run_with_input(&[&args[..], &["-"]].concat(), "a\nb\n");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let ran = sub.end();
    let expected = "\
sensors/room/1 21.5
sensors/room/1 {\"celsius\":[21.5]}
sensors/room/1 \\u{1b}[2J
sensors/room/1 a
sensors/room/1 b
";
    assert_eq!((ran.code, ran.stdout.as_str()), (0, expected));
}

#[test]
fn a_file_keeps_its_bytes() {
    let (_hub, address) = serve();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bytes");
    std::fs::write(&file, [0, 0xff, 10]).unwrap();
    let args = ["sub", "--json", "--on", &address, "files/**", "-n", "1"];
    let sub = Ump::start_until(&args, "subscribed");
    let file = file.to_str().unwrap();
    let ran = run(&[
        "pub", "--on", &address, "files/a", "--file", file, "--wait", "30s",
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let message: Value = serde_json::from_str(&sub.end().stdout).unwrap();
    assert_eq!(
        (&message["codec"], &message["base64"]),
        (&json!("raw"), &json!("AP8K"))
    );
}

#[test]
fn requests_go_from_process_to_process() {
    let (_hub, address) = serve();
    let request = ["req", "--on", &address, "echo/hello", "--text", "hi"];
    assert_eq!(run(&request).code, 3);
    let command =
        "read word; test \"$word\" = hi && echo \"$word yourself\" || { echo no >&2; exit 1; }";
    let reply = ["reply", "--on", &address, "echo/hello", "--exec", command];
    let server = Ump::start_until(&reply, "serves");
    let ran = run(&request);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "hi yourself\n"));
    let ran = run(&["req", "--on", &address, "echo/hello", "--text", "ho"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, "ump: refused: no\n"));
    let ran = run(&["ls", "--on", &address]);
    assert_eq!(ran.stdout, "served       echo/hello\n");
    let ran = run(&reply);
    assert_eq!(ran.code, 1, "a second server: {ran:?}");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, 0);
    assert_eq!(run(&request).code, 3);
}

#[test]
fn a_killed_server_or_hub_ends_requests() {
    let (hub, address) = serve();
    let slow = [
        "reply",
        "--once",
        "--on",
        &address,
        "echo/slow",
        "--exec",
        "sleep 1000",
    ];
    let request = [
        "req",
        "--on",
        &address,
        "echo/slow",
        "--text",
        "hi",
        "--timeout",
        "1h",
    ];
    let mut server = Ump::start_until(&slow, "serves");
    let waiting = Ump::start(&request);
    assert_eq!(server.line(), "echo/slow hi");
    server.signal(Signal::KILL);
    assert_eq!(waiting.end().code, 4);
    drop(server);
    // The hub knows that it is gone, as the request has ended.
    let mut server = Ump::start_until(&slow, "serves");
    let waiting = Ump::start(&request);
    assert_eq!(server.line(), "echo/slow hi");
    hub.signal(Signal::KILL);
    assert_eq!(waiting.end().code, 4);
    assert_eq!(server.end().code, 4);
}

#[test]
fn bench_measures_through_the_hub() {
    let (_hub, address) = serve();
    let args = [
        "bench",
        "--on",
        &address,
        "--json",
        "--for",
        "50ms",
        "--clients",
        "2",
        "--subscribers",
        "2",
    ];
    let ran = run(&args);
    assert_eq!(ran.code, 0, "{ran:?}");
    let result: Value = serde_json::from_str(&ran.stdout).unwrap();
    let requests = &result["requests"];
    assert!(
        requests["done"].as_u64().unwrap() > 0 && requests["failed"] == json!(0),
        "{result}"
    );
    assert!(requests["micros"]["p50"].is_f64(), "{result}");
    let publications = &result["publications"];
    let number = |name: &str| publications[name].as_u64().unwrap();
    let accounted = number("delivered") + number("missed");
    assert_eq!(accounted, 2 * number("published"), "{result}");
}

#[test]
fn top_counts_topics() {
    let (_hub, address) = serve();
    let top = [
        "top",
        "--on",
        &address,
        "--json",
        "--interval",
        "50ms",
        "a/**",
    ];
    let mut top = Ump::start(&top);
    top.line();
    let ran = run(&[
        "pub", "--on", &address, "a/b", "--text", "x", "--repeat", "3", "--wait", "30s",
    ]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut table: Value;
    loop {
        table = serde_json::from_str(&top.line()).unwrap();
        if table["total"] == json!(3) {
            break;
        }
    }
    assert_eq!(table["topics"][0]["topic"], "a/b");
    drop(top);
    let ran = run(&["top", "--on", &address, "--interval", "10ms", "-n", "2"]);
    assert_eq!(
        (ran.code, ran.stdout.matches("msg/s").count()),
        (0, 2),
        "{ran:?}"
    );
}
