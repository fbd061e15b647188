//! The end of the service: on request, on failure, and when it cannot start.

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    process::Command,
};

use serde_json::json;

use crate::support::{FOR_EVER, Folder, Service, keys, program, raw, run, start, until};

#[test]
fn ctrl_c_answers_what_was_accepted_and_ends_with_0() {
    drains("INT");
}

#[test]
fn sigterm_answers_what_was_accepted_and_ends_with_0() {
    drains("TERM");
}

fn drains(signal: &str) {
    let (folder, mut service) = start(&["--timeout", "60s", "--delay", "500ms"]);
    let mut requests: Vec<_> = (0..20)
        .map(|n| raw::send_put(&service, &format!("/kv/{n:02}")))
        .collect();
    // An idle connection does not delay the stop.
    let _idle = TcpStream::connect(service.address()).expect("it listens");
    service.wait_for_count("accepted", 20);
    service.signal(signal);
    for request in &mut requests {
        assert_eq!(raw::receive(request).expect("an answer").status, 204);
    }
    assert_eq!(service.exit_code(), Some(0));
    service.wait_for_stderr("stopped: 20 requests accepted, 20 answered, 0 ended otherwise");

    let service = Service::start(&folder, &[]);
    assert_eq!(keys(&service.get("/kv").json()).len(), 20);
}

#[test]
fn a_stopping_service_ends_imports_with_their_count() {
    let (folder, mut service) = start(&[]);
    let mut stream =
        raw::send_head(service.address(), "POST", "/import", 1_000_000).expect("it listens");
    stream
        .write_all(b"{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",")
        .expect("it reads");
    service.wait_for_count("replied", 1);
    service.signal("INT");
    let response = raw::receive(&mut stream).expect("an answer");
    assert_eq!(response.status, 503);
    let report = response.json();
    assert_eq!(
        (&report["imported"], &report["line"]),
        (&json!(1), &json!(2)),
        "{report}"
    );
    assert_eq!(service.exit_code(), Some(0));

    let service = Service::start(&folder, &[]);
    assert_eq!(keys(&service.get("/kv").json()), ["a"]);
}

#[test]
fn an_unfinished_request_does_not_delay_the_stop() {
    let (_folder, mut service) = start(&["--timeout", "100ms"]);
    let _unfinished = raw::send_head(service.address(), "PUT", "/kv/a", 10).expect("it listens");
    service.signal("TERM");
    assert_eq!(service.exit_code(), Some(0));
}

#[test]
fn a_second_ctrl_c_ends_at_once_with_130() {
    let (_folder, mut service) = start(&["--timeout", "60s", "--delay", FOR_EVER]);
    let _taken = raw::send_put(&service, "/kv/a");
    service.wait_for_count("taken", 1);
    service.signal("INT");
    service.wait_for_stderr("stopping");
    until("the door to close", || {
        TcpStream::connect(service.address()).is_err().then_some(())
    });
    service.signal("INT");
    assert_eq!(service.exit_code(), Some(130));
}

#[test]
fn a_bad_argument_is_explained() {
    let cases: [(&[&str], &str); 19] = [
        (&["--queue", "0"], "0 is not in 1..=1000000"),
        (&["--queue=-1"], "--queue"),
        (&["--queue", "many"], "--queue"),
        (&["--timeout", "0ms"], "it must be from 1ms to 1day"),
        (&["--timeout", "5"], "time unit needed"),
        (&["--timeout", "99999999999999999999ms"], "--timeout"),
        (&["--delay", "soon"], "--delay"),
        (&["--panic-at", "0"], "--panic-at"),
        (&["--watchers", "0"], "--watchers"),
        (&["--keep-alive", "0ms"], "--keep-alive"),
        (&["--history=-1"], "--history"),
        (&["--connections", "0"], "--connections"),
        (&["--head-timeout", "0ms"], "--head-timeout"),
        (&["--client-timeout", "0ms"], "--client-timeout"),
        (&["--timeout"], "a value is required for '--timeout"),
        (&["--chaos=yes"], "unexpected value 'yes' for '--chaos'"),
        (&["--db="], "a value is required for '--db"),
        (&["--nonsense"], "unexpected argument '--nonsense'"),
        (&["kv.db"], "unexpected argument 'kv.db'"),
    ];
    let folder = Folder::new();
    for (flags, reason) in cases {
        let output = run(&folder, Command::new(program()).args(flags));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {said}");
        assert!(said.contains(reason), "{flags:?}: {said}");
        assert!(said.contains("try '--help'"), "{flags:?}: {said}");
        assert!(output.stdout.is_empty(), "{flags:?}");
    }
}

#[test]
fn help_is_printed_to_the_standard_output() {
    let output = run(&Folder::new(), Command::new(program()).arg("--help"));
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).contains("--listen <ADDR>"));
    assert!(output.stderr.is_empty());
}

#[test]
fn a_failed_start_is_explained_in_one_line() {
    let folder = Folder::new();
    let occupied = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let occupied = occupied.local_addr().expect("an address").to_string();
    fs::write(
        folder.path().join("text"),
        "this is no database. ".repeat(100),
    )
    .expect("a file can be made");
    let other =
        rusqlite::Connection::open(folder.path().join("other.db")).expect("a database can be made");
    other
        .execute_batch("CREATE TABLE kv (id INTEGER)")
        .expect("a table can be made");
    let running = Folder::new();
    let _running = Service::start(&running, &[]);
    let in_use = running.path().join("kv.db");
    let cases: [(&[&str], &str); 6] = [
        (&["--listen", "nowhere"], "nowhere"),
        (&["--listen", "127.0.0.1:99999"], "99999"),
        (&["--listen", &occupied], "in use"),
        (
            &["--listen", "127.0.0.1:0", "--db", "."],
            "cannot use . as the database",
        ),
        (
            &["--listen", "127.0.0.1:0", "--db", "text"],
            "not a database",
        ),
        (
            &["--listen", "127.0.0.1:0", "--db", "no/such/folder/kv.db"],
            "unable to open",
        ),
    ];
    let more: [(&[&str], &str); 2] = [
        (
            &["--listen", "127.0.0.1:0", "--db", "other.db"],
            "no such column",
        ),
        (
            &[
                "--listen",
                "127.0.0.1:0",
                "--db",
                in_use.to_str().expect("a plain path"),
            ],
            "locked",
        ),
    ];
    for (flags, reason) in cases.into_iter().chain(more) {
        let output = run(&folder, Command::new(program()).args(flags));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {said}");
        assert!(
            said.lines().count() == 1 && said.contains(reason),
            "{flags:?}: {said}"
        );
        assert!(output.stdout.is_empty(), "{flags:?}");
    }
    assert!(
        !folder.path().join("kv.db").exists(),
        "nothing is left behind"
    );
}
