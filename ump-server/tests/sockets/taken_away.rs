//! Sockets that the system takes away: the interface goes, or the administrator kills them. In
//! network namespaces, where that is permitted.
#![cfg(target_os = "linux")]

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{TcpListener as StdTcpListener, TcpStream as StdTcpStream, UdpSocket as StdUdpSocket},
    process::{Command, Stdio},
    sync::mpsc::Receiver,
    time::Duration,
};

use ump_server::net::{Connect, Event, Operation, UdpSocket};

use crate::support::{ANY_PORT, Echo, Loop, PATIENCE, Recorder, eventually, next, recorder};

/// Runs a test in a process of its own, and in a network namespace of which it is the
/// administrator. Skips it if a program is missing or namespaces are forbidden.
fn in_a_namespace(name: &str, test: impl FnOnce()) {
    const INSIDE: &str = "UMP_SERVER_TEST_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        run("ip", "link set lo up");
        return test();
    }
    let mut probe = Command::new("unshare");
    probe.args(["--user", "--map-root-user", "--net"]);
    probe.args(["ip", "link", "set", "lo", "up"]);
    let probed = probe.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !probed.is_ok_and(|status| status.success()) {
        skip("`unshare` and `ip` cannot make a network namespace here");
        return;
    }
    let me = std::env::current_exe().expect("the test itself");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--kill-child"]);
    command.arg(me);
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]);
    let status = command.env(INSIDE, "1").status().expect("it starts");
    assert!(status.success(), "{name}: {status}");
}

fn skip(why: &str) {
    // Not by `eprintln`, whose output the test harness keeps to itself.
    let _ = writeln!(io::stderr(), "skipped: {why}");
}

/// Runs a program with arguments that contain no blanks.
fn run(program: &str, arguments: &str) {
    let status = Command::new(program)
        .args(arguments.split(' '))
        .stdout(Stdio::null())
        .status();
    let status = status.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program} {arguments}: {status}");
}

/// Adds an interface with the address 10.77.0.1. At the other end of its cable nobody answers.
fn add_interface() {
    run("ip", "link add v1 type veth peer name v2");
    run("ip", "addr add 10.77.0.1/24 dev v1");
    run("ip", "link set v1 up");
    run("ip", "link set v2 up");
}

/// Checks that the loop takes requests, and that new sockets work.
fn goes_on<K: Send + 'static>(host: &Loop<Recorder<K>>, events: &Receiver<Event>) {
    let udp = host.with(|world| world.sockets.udp(ANY_PORT).unwrap());
    let peer = StdUdpSocket::bind(ANY_PORT).unwrap();
    let address = udp.local_addr().unwrap();
    peer.send_to(b"hello", address).unwrap();
    let is_its = |event: Event| matches!(event, Event::Readable(id) if id == udp.id());
    while !is_its(next(events)) {}
    assert_eq!(udp.recv_from(&mut [0; 8]).unwrap().len, 5);
}

#[test]
fn an_interface_that_goes_away_is_a_typed_error() {
    in_a_namespace(
        "taken_away::an_interface_that_goes_away_is_a_typed_error",
        || {
            add_interface();
            let (host, events) = recorder(|sockets| {
                let connect = Connect::new(([10, 77, 0, 2], 9)).timeout(Duration::from_secs(1));
                (
                    sockets.udp(([10, 77, 0, 1], 0)).unwrap(),
                    sockets.listen(([10, 77, 0, 1], 0)).unwrap(),
                    sockets.connect(connect).expect("it is in progress"),
                )
            });
            let send = |udp: &UdpSocket| udp.send_to(b"hello", ([10, 77, 0, 2], 9).into());
            assert!(host.with(move |world| send(&world.kept.0)).is_ok());
            let id = host.with(|world| world.kept.2.id());
            run("ip", "link del v1");

            let error = host.with(move |world| send(&world.kept.0)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
            let errors = host.with(|world| world.kept.0.status().errors);
            assert!(errors >= 1);
            let failed = loop {
                match next(&events) {
                    Event::Error(error) if error.operation() == Operation::Connect => break error,
                    Event::Error(error) => assert_eq!(error.operation(), Operation::Receive),
                    _ => {}
                }
            };
            assert_eq!(failed.socket(), Some(id));
            let kinds = [
                ErrorKind::TimedOut,
                ErrorKind::HostUnreachable,
                ErrorKind::NetworkUnreachable,
            ];
            assert!(kinds.contains(&failed.kind()), "{failed}");
            // A new socket on it is refused with the reason.
            let refused = host.with(|world| world.sockets.udp(([10, 77, 0, 1], 0)).map(drop));
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::AddrNotAvailable);
            assert!(refused.to_string().contains("no interface"), "{refused}");
            goes_on(&host, &events);
            host.end();
        },
    );
}

#[test]
fn a_connection_over_an_interface_that_is_gone_ends() {
    in_a_namespace(
        "taken_away::a_connection_over_an_interface_that_is_gone_ends",
        || {
            add_interface();
            let listener = StdTcpListener::bind("10.77.0.1:0").unwrap();
            let stream = StdTcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let _peer = listener.accept().unwrap();
            // Without it the system tries for a quarter of an hour.
            let patience = Some(Duration::from_millis(300));
            let set = socket2::SockRef::from(&stream).set_tcp_user_timeout(patience);
            set.unwrap();
            let (host, events) = recorder(|sockets| sockets.adopt_tcp(stream).unwrap());
            run("ip", "link del v1");
            host.with(|world| assert_eq!(world.kept.write(b"hello").unwrap(), 5));
            let id = host.with(|world| world.kept.id());
            assert_eq!(next(&events).socket(), Some(id));
            let error = host.with(|world| {
                world.kept.pause_reading();
                world.kept.read(&mut [0; 8]).unwrap_err()
            });
            let kinds = [
                ErrorKind::TimedOut,
                ErrorKind::HostUnreachable,
                ErrorKind::NetworkUnreachable,
            ];
            assert!(kinds.contains(&error.kind()), "{error}");
            goes_on(&host, &events);
            host.end();
        },
    );
}

/// Kills sockets, as the administrator can. Returns whether the kernel is able to.
fn kill(of: &str) -> bool {
    let mut command = Command::new("ss");
    command.args(["-K", "-H"]).args(of.split(' '));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn sockets_that_are_killed_end_and_the_loop_goes_on() {
    in_a_namespace(
        "taken_away::sockets_that_are_killed_end_and_the_loop_goes_on",
        || {
            let host = Loop::spawn(Echo::new);
            let port = host.address().port();
            let mut peer = host.connect();
            let mut echoes = |bytes: &[u8]| {
                peer.write_all(bytes)?;
                peer.read_exact(&mut vec![0; bytes.len()])
            };
            echoes(b"hello").unwrap();
            let killed = kill(&format!("-t state established sport = :{port}"));
            if !killed || echoes(b"hello").is_ok() {
                return skip("`ss -K` cannot kill sockets here");
            }
            eventually(&host, "the connection is over", |echo| {
                echo.connections.is_empty()
            });
            // Others go on, until the listener is killed as well.
            let mut other = host.connect();
            other.write_all(b"x").unwrap();
            other.read_exact(&mut [0]).unwrap();
            assert!(kill(&format!("-t state listening sport = :{port}")));
            eventually(&host, "the listener reports it", |echo| {
                let mut errors = echo.errors.iter();
                errors.any(|error| error.operation() == Operation::Accept)
            });
            let listener = host.with(|echo| echo.listener.id());
            let named = host.with(|echo| echo.errors[0].socket());
            assert_eq!(named, Some(listener));
            other.write_all(b"x").unwrap();
            other.read_exact(&mut [0]).unwrap();
            host.end();
        },
    );
}

#[test]
fn a_killed_socket_for_datagrams_is_an_error_of_its_read() {
    in_a_namespace(
        "taken_away::a_killed_socket_for_datagrams_is_an_error_of_its_read",
        || {
            let (host, events) = recorder(|sockets| sockets.udp(ANY_PORT).unwrap());
            let port = host.with(|world| world.kept.local_addr().unwrap().port());
            let killed = kill(&format!("-u -a sport = :{port}"));
            let Ok(event) = events.recv_timeout(if killed {
                PATIENCE / 20
            } else {
                Duration::ZERO
            }) else {
                return skip("`ss -K` cannot kill sockets here");
            };
            let id = host.with(|world| world.kept.id());
            assert_eq!(event.socket(), Some(id));
            let error = host.with(|world| {
                world.kept.pause_reading();
                world.kept.recv_from(&mut [0; 8]).unwrap_err()
            });
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
            goes_on(&host, &events);
            host.end();
        },
    );
}
