//! `ump serve`.

use rustix::process::Signal;

use crate::support::{Ump, run, serve};

fn subscribe(address: &str) -> Ump {
    Ump::start_until(&["sub", "--once", "--on", address, "a/**"], "subscribed")
}

#[test]
fn sigterm_says_goodbye() {
    for signal in [Signal::TERM, Signal::INT] {
        let (hub, address) = serve();
        let sub = subscribe(&address);
        hub.signal(signal);
        let ran = hub.end();
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        let ran = sub.end();
        assert_eq!(ran.code, 4);
        assert!(ran.stderr.contains("the server closed the link"), "{ran:?}");
    }
}

#[test]
fn a_killed_hub_is_a_lost_link() {
    let (hub, address) = serve();
    let sub = subscribe(&address);
    let reply = ["reply", "--once", "--on", &address, "echo/a", "--text", "x"];
    let reply = Ump::start_until(&reply, "serves");
    hub.signal(Signal::KILL);
    for process in [sub, reply] {
        let ran = process.end();
        assert_eq!(ran.code, 4);
        assert!(ran.stderr.contains("lost"), "{ran:?}");
    }
    assert_eq!(run(&["ls", "--on", &address]).code, 6);
}

#[test]
fn an_address_in_use_or_wrong_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("unix:{}", folder.path().join("bus.sock").display());
    let mut hub = Ump::start(&["serve", "--listen", &address]);
    assert_eq!(hub.line(), format!("listening on {address}"));
    assert_eq!(run(&["serve", "--listen", &address]).code, 2);
    assert_eq!(run(&["serve", "--listen", "nowhere"]).code, 2);
    assert_eq!(run(&["serve", "--listen", "tcp:0.0.0.0:0"]).code, 2);
    assert_eq!(run(&["serve"]).code, 2);
}

#[test]
fn sighup_ends_nothing() {
    let (hub, address) = serve();
    hub.signal(Signal::HUP);
    let sub = subscribe(&address);
    hub.signal(Signal::TERM);
    assert_eq!(hub.end().code, 0);
    assert_eq!(sub.end().code, 4);
}

#[cfg(target_os = "linux")]
#[test]
fn the_limit_of_descriptors_is_raised() {
    let script = "ulimit -S -n 64; exec \"$0\" serve --listen tcp:127.0.0.1:0";
    let mut hub = Ump::start_by("sh", &["-c", script, env!("CARGO_BIN_EXE_ump")]);
    hub.line();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", hub.id())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<_> = line.unwrap().split_whitespace().skip(3).collect();
    assert_eq!(numbers[0], numbers[1], "{limits}");
}
