//! A process with both ends of a link, which is stopped for longer than a peer may be silent.
//!
//! The process is this test, run once more: see `child_process`.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use ump_router::link::{
    session::Timeouts,
    sockets::{ConnectOptions, ListenOptions},
};

use crate::support::{KillOnDrop, LONG, SocketPath, await_told, carrying, next, publish};

const CHILD: &str = "UMP_LINKS_STOPPED";

const SILENCE: Duration = Duration::from_secs(3);

/// What the process does, if this one is it.
#[test]
fn child_process() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let timeouts = Timeouts {
        ping: Duration::from_secs(1),
        silence: SILENCE,
        ..Timeouts::default()
    };
    let path = SocketPath::new();
    let (hub, leaf) = (carrying(), carrying());
    let options = ListenOptions::new().timeouts(timeouts);
    let _listener = hub.listen_with(path.address(), options).unwrap();
    let options = ConnectOptions::new().timeouts(timeouts);
    let link = leaf.connect_with(path.address(), options).unwrap();
    assert!(link.opened().timeout(LONG).wait());
    let mut prices = leaf.subscribe("a").unwrap();
    await_told(&hub, "price/a");
    println!("\nready");
    for line in std::io::stdin().lines() {
        publish(&hub, "a", line.unwrap().parse().unwrap());
        println!("\n{:?}", next(&mut prices));
    }
}

#[test]
fn a_link_whose_ends_were_both_stopped_is_kept() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stopped::child_process", "--nocapture"])
        .env(CHILD, "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = KillOnDrop(child);
    let mut input = child.0.stdin.take().unwrap();
    let mut output = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut says = |text: &str| {
        let said = output.find(|line| {
            let line = line.as_ref().unwrap();
            line == "ready" || line.starts_with("Ok") || line.starts_with("Err")
        });
        assert_eq!(said.unwrap().unwrap(), text);
    };
    says("ready");
    let id = Pid::from_child(&child.0);
    kill_process(id, Signal::STOP).unwrap();
    thread::sleep(SILENCE + Duration::from_secs(2));
    kill_process(id, Signal::CONT).unwrap();
    // Its loops have looked at their deadlines by then.
    thread::sleep(Duration::from_millis(500));
    for price in 1..3 {
        writeln!(input, "{price}").unwrap();
        says(&format!("Ok({price})"));
    }
}
