//! Raw packets over the TUN interfaces of the loop, in a network namespace.

use std::{
    collections::VecDeque,
    env, fs,
    net::Ipv4Addr,
    process::{self, Command},
    sync::mpsc,
    time::{Duration, Instant},
};

use ump_server::{
    sans_io::{
        Component, Input, Io, Limits, LoopTun, Output, RawPackets, Report, ShutDown, SocketError,
        Spawn, Task, TunOptions, Unused,
    },
    thread::Builder,
};

#[path = "../../src/sans_io/doc/icmp.rs"]
#[allow(missing_docs, unreachable_pub, missing_debug_implementations)]
mod icmp;

use self::icmp::Echo;

const MINUTE: Duration = Duration::from_secs(60);

/// Runs a program with a time limit. `None` if it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<process::Output> {
    let output = Command::new("timeout")
        .args(["150", program])
        .args(arguments)
        .output()
        .ok()?;
    (output.status.code() != Some(127)).then_some(output)
}

fn skipped(why: &str) {
    println!("skipped: {why}");
}

fn in_namespace(flag: &str, command: &[&str]) -> process::Output {
    let arguments = [&["--net", flag, "--"][..], command].concat();
    run("unshare", &arguments).unwrap()
}

/// Returns whether interfaces can be created, and says why not.
fn is_permitted() -> bool {
    let mut device = fs::File::options();
    let opened = device.read(true).write(true).open("/dev/net/tun");
    if let Err(error) = &opened {
        skipped(&format!("/dev/net/tun: {error}"));
    }
    opened.is_ok()
}

/// Runs a test of this file, which is ignored otherwise, in a network namespace of its own.
fn in_a_namespace(test: &str) {
    if run("unshare", &["--version"]).is_none() {
        return skipped("unshare is not installed");
    }
    // As root, or as the root of a user namespace.
    let flags = ["--net", "--map-root-user"];
    let is_permitted = |flag: &&str| in_namespace(flag, &["true"]).status.success();
    let Some(flag) = flags.into_iter().find(is_permitted) else {
        return skipped("no network namespace is permitted");
    };
    let exe = env::current_exe().unwrap();
    let own = ["--exact", test, "--ignored", "--nocapture"];
    let exe = [exe.to_str().unwrap()];
    let output = in_namespace(flag, &[&exe[..], &own].concat());
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
}

#[test]
fn a_task_answers_pings() {
    in_a_namespace("loop_tun::inside_a_task_answers_pings");
}

#[test]
#[ignore = "it is run in a network namespace"]
fn inside_a_task_answers_pings() {
    if !is_permitted() {
        return;
    }
    let (report, reports) = mpsc::channel();
    let spawned = Builder::new().spawn_with(move |cx| {
        let mut tun = LoopTun::new(cx.sockets());
        let options = TunOptions::tun().name("ump0").mtu(1_400);
        let first = tun.open(options.address(Ipv4Addr::new(10, 9, 0, 1), 24))?;
        assert_eq!(tun.name(first), Some("ump0"));
        tun.open(TunOptions::tun().address(Ipv4Addr::new(10, 9, 1, 1), 24))?;
        let report = report.clone();
        let report = move |it| drop(report.send(it));
        Ok(Component::<Echo, _>::new(cx, Limits::new(), tun, report))
    });
    let (client, _handle) = spawned.unwrap();
    client.ask(Spawn(Echo::default())).wait().unwrap();
    let ping = |arguments: &[&str]| run("ping", arguments);
    let Some(output) = ping(&["-c", "3", "-i", "0.2", "-W", "10", "10.9.0.2"]) else {
        return skipped("ping is not installed");
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains(" 3 received"), "{text}");
    // A packet that is as long as the interface takes.
    let whole = ping(&["-c", "1", "-s", "1372", "-M", "do", "-W", "10", "10.9.0.9"]);
    assert!(whole.unwrap().status.success());

    // The interface is removed: a report, and the other one goes on.
    let Some(output) = run("ip", &["link", "delete", "ump0"]) else {
        return skipped("ip is not installed");
    };
    assert!(output.status.success(), "{output:?}");
    let Report::SocketFailed(failure) = reports.recv_timeout(MINUTE).unwrap() else {
        panic!("the interface is gone");
    };
    assert_eq!(
        (failure.socket.0, failure.reason),
        (0, SocketError::InterfaceGone)
    );
    let other = ping(&["-c", "1", "-W", "10", "10.9.1.2"]);
    assert!(other.unwrap().status.success());
    assert_eq!(client.ask(ShutDown(MINUTE)).wait().unwrap(), []);
    assert!(reports.try_recv().is_err());
}

#[test]
fn frames_of_a_tap_are_received() {
    in_a_namespace("loop_tun::inside_frames_of_a_tap_are_received");
}

#[test]
#[ignore = "it is run in a network namespace"]
fn inside_frames_of_a_tap_are_received() {
    if !is_permitted() {
        return;
    }
    let (report, reports) = mpsc::channel();
    let spawned = Builder::new().spawn_with(move |cx| {
        let mut tap = LoopTun::new(cx.sockets());
        let options = TunOptions::tap().name("ump1");
        tap.open(options.address(Ipv4Addr::new(10, 9, 2, 1), 24))?;
        let report = report.clone();
        let report = move |it| drop(report.send(it));
        Ok(Component::<Frames, _>::new(cx, Limits::new(), tap, report))
    });
    let (client, _handle) = spawned.unwrap();
    client.ask(Spawn(Frames::default())).wait().unwrap();
    // Nobody answers: the system asks for the hardware address.
    if run("ping", &["-c", "1", "-W", "1", "10.9.2.2"]).is_none() {
        return skipped("ping is not installed");
    }
    loop {
        let report = reports.recv_timeout(MINUTE).unwrap();
        let Report::Event { event, .. } = report else {
            panic!("{report:?}");
        };
        if event[..6] == [255; 6] && event[12..14] == [8, 6] {
            break;
        }
    }
}

/// Its events are the frames.
#[derive(Default)]
struct Frames(VecDeque<Output<FramesIo>>);

type FramesIo = Io<Unused, Vec<u8>, Unused, Unused, RawPackets>;

impl Task for Frames {
    type Io = FramesIo;

    fn on_tick(&mut self, _: Instant) {}

    fn on_input(&mut self, _: Instant, input: Input<'_, FramesIo>) {
        let Input::Net(packet) = input;
        let frame = packet.payload.into_vec();
        self.0.push_back(Output::App(frame));
    }

    fn pop_output(&mut self, _: Instant) -> Option<Output<FramesIo>> {
        self.0.pop_front()
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }
}
