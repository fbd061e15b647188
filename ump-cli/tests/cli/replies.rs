//! `ump reply`.

use std::{iter, time::Duration};

use rustix::process::Signal;
use ump_router::RequestError;

use crate::support::{Double, Hub, Ump};

const TIMEOUT: Duration = Duration::from_secs(30);

fn reply(hub: &Hub, more: &[&str]) -> Ump {
    let args = ["reply", "--on", &hub.unix, "double/here"];
    Ump::start_until(&[&args[..], more].concat(), "serves")
}

#[test]
fn a_fixed_reply_is_sent() {
    let hub = Hub::new();
    let mut reply = reply(&hub, &["--json-payload", "42", "-n", "1"]);
    let request = hub.router.request("here", Double(21)).timeout(TIMEOUT);
    assert_eq!(request.wait().unwrap(), 42);
    assert_eq!(reply.line(), "double/here 21");
    assert_eq!(reply.end().code, 0);
}

#[test]
fn a_command_replies_or_refuses() {
    let hub = Hub::new();
    let command = "read n; test $n -gt 0 || { echo too small >&2; exit 3; }; echo $((2 * n))";
    let reply = reply(&hub, &["--exec", command, "--json-output"]);
    let ask = |n| {
        hub.router
            .request("here", Double(n))
            .timeout(TIMEOUT)
            .wait()
    };
    assert_eq!(ask(21).unwrap(), 42);
    let refused = ask(0).unwrap_err();
    assert!(refused.to_string().contains("too small"), "{refused}");
    reply.signal(Signal::TERM);
    assert_eq!(reply.end().code, 0);
    assert!(matches!(ask(1), Err(RequestError::NoServer(_))));
}

#[test]
fn a_command_is_killed_when_its_caller_leaves() {
    let hub = Hub::new();
    let file = hub.folder.path().join("pid");
    let command = format!(
        "echo $$ > {0}.new; mv {0}.new {0}; sleep 1000",
        file.display()
    );
    let reply = reply(&hub, &["--exec", &command, "-n", "1"]);
    let short = Duration::from_millis(500);
    let request = hub.router.request("here", Double(1)).timeout(short);
    assert!(request.wait().unwrap_err().is_timeout());
    // Without its command the service goes on.
    let second = hub.router.request("here", Double(1)).timeout(short);
    assert!(second.wait().unwrap_err().is_timeout());
    drop(reply);
}

#[test]
fn a_topic_has_one_server_or_a_standby() {
    let hub = Hub::new();
    let first = reply(&hub, &["--json-payload", "1"]);
    let args = [
        "reply",
        "--on",
        &hub.unix,
        "double/here",
        "--json-payload",
        "2",
        "--stand-by",
    ];
    let _standby = Ump::start_until(&args, "stands by");
    drop(first); // killed
    // The hub may not know it yet.
    let mut ask = || {
        let request = hub.router.request("here", Double(21));
        request.wait_for_server().timeout(TIMEOUT).wait().ok()
    };
    let reply = iter::repeat_with(&mut ask).flatten().next();
    assert_eq!(reply, Some(2));
}

#[test]
fn a_killed_server_is_lost() {
    let hub = Hub::new();
    let mut server = reply(&hub, &["--exec", "sleep 1000"]);
    let request = hub.router.request("here", Double(1)).timeout(TIMEOUT);
    let waiting = std::thread::spawn(move || request.wait());
    assert_eq!(server.line(), "double/here 1");
    server.signal(Signal::KILL);
    let lost = waiting.join().unwrap().unwrap_err();
    assert!(
        matches!(lost, RequestError::Link(..)) && !lost.is_timeout(),
        "{lost}"
    );
}

#[test]
fn an_output_without_end_is_cut_and_fails_the_request() {
    let hub = Hub::new();
    let mut reply = reply(&hub, &["--exec", "cat /dev/zero", "-n", "1"]);
    let request = hub.router.request("here", Double(1)).timeout(TIMEOUT);
    let failed = request.wait().unwrap_err();
    assert!(!failed.is_timeout(), "{failed}");
    reply.wait_for("too long");
    assert_eq!(reply.end().code, 0);
}

#[test]
fn what_a_command_leaves_behind_is_killed() {
    let hub = Hub::new();
    let fifo = hub.folder.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    // The background keeps the fifo open.
    let command = format!("sleep 1000 <&- >{} 2>&1 & echo 42", fifo.display());
    let (sender, is_closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(std::fs::read(fifo)));
    let _reply = reply(&hub, &["--exec", &command, "--json-output"]);
    let request = hub.router.request("here", Double(1)).timeout(TIMEOUT);
    assert_eq!(request.wait().unwrap(), 42);
    is_closed.recv_timeout(TIMEOUT).unwrap().unwrap();
}

#[test]
fn a_killed_command_counts_until_its_output_is_closed() {
    let hub = Hub::new();
    let [fifo, started] = ["fifo", "started"].map(|it| hub.folder.path().join(it));
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    // It leaves the group, and keeps the output open.
    let command = format!(
        "read n; test $n = 2 || {{ setsid sh -c 'echo > {}; read x <{}' & wait; }}; echo 42",
        started.display(),
        fifo.display()
    );
    let options = ["--exec", &command, "--json-output", "--jobs", "1"];
    let _reply = reply(&hub, &options);
    let ask = |n, timeout| {
        let request = hub.router.request("here", Double(n));
        request.timeout(timeout).wait()
    };
    let short = Duration::from_millis(500);
    while !started.exists() {
        assert!(ask(1, short).unwrap_err().is_timeout());
    }
    assert!(ask(2, short).unwrap_err().is_timeout());
    std::fs::write(&fifo, "\n").unwrap();
    assert_eq!(ask(2, TIMEOUT).unwrap(), 42);
}
