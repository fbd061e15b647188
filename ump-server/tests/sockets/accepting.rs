//! Listeners: all connections, whatever happens to some of them.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use socket2::SockRef;

use crate::support::{Echo, Loop, PATIENCE, alone, connect, eventually, limit_descriptors};

#[test]
fn connections_that_come_at_once_are_all_accepted() {
    let host = Loop::spawn(Echo::new);
    let address = host.address();
    for _ in 0..5 {
        host.with(|echo| echo.listener.pause());
        let before = host.with(|echo| echo.accepted);
        let mut peers: Vec<_> = (0..100).map(|_| connect(address)).collect();
        host.with(|echo| echo.listener.resume());
        for peer in &mut peers {
            peer.write_all(b"x").unwrap();
            peer.read_exact(&mut [0]).unwrap();
        }
        assert_eq!(host.with(|echo| echo.accepted), before + 100);
    }
    host.end();
}

#[test]
fn a_connection_that_is_reset_before_it_is_accepted_ends_nothing() {
    let host = Loop::spawn(Echo::new);
    let address = host.address();
    host.with(|echo| echo.listener.pause());
    for _ in 0..10 {
        let peer = connect(address);
        SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
    }
    let mut peer = connect(address);
    host.with(|echo| echo.listener.resume());
    peer.write_all(b"x").unwrap();
    peer.read_exact(&mut [0]).unwrap();
    eventually(&host, "the others are closed", |echo| {
        echo.connections.len() == 1
    });
    host.end();
}

/// The number of descriptors of the process that runs out of them.
const FEW: u64 = 64;

/// Runs in a process of its own, for [`a_listener_survives_a_lack_of_descriptors`].
#[test]
#[ignore = "a part of another test"]
fn process_with_few_descriptors() {
    assert!(limit_descriptors(FEW));
    let host = Loop::spawn(Echo::new);
    println!("\nport {}", host.address().port());
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).unwrap() > 0 {
        let (errors, exhaustions) = host.with(|echo| {
            let exhaustions = echo.errors.iter().filter(|error| error.is_exhaustion());
            (echo.errors.len(), exhaustions.count())
        });
        println!("errors {errors} {exhaustions}");
    }
    host.end();
}

#[test]
fn a_listener_survives_a_lack_of_descriptors() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "accepting::process_with_few_descriptors",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut value = |key: &str| loop {
        let line = lines.next().unwrap().unwrap();
        if let Some(value) = line.strip_prefix(key) {
            return value.to_owned();
        }
    };
    let port: u16 = value("port ").parse().unwrap();
    let connect = |_| {
        let mut peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.write_all(b"x").unwrap();
        peer
    };
    let mut peers: Vec<_> = (0..100).map(connect).collect();
    let mut stdin = child.stdin.take().unwrap();
    let mut errors = || {
        writeln!(stdin).unwrap();
        let errors = value("errors ");
        let (all, exhaustions) = errors.split_once(' ').unwrap();
        (
            all.parse::<u32>().unwrap(),
            exhaustions.parse::<u32>().unwrap(),
        )
    };
    while errors().0 == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    // The rest waits. When the first ones leave, there are descriptors again, and they are served.
    let waiting = peers.split_off(60);
    drop(peers);
    for mut peer in waiting {
        peer.read_exact(&mut [0]).unwrap();
    }
    let (all, exhaustions) = errors();
    assert_eq!(all, exhaustions);
    assert!(all < 1000, "{all} attempts: it does not pause");
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn accepted_connections_leave_no_descriptors() {
    alone(
        "accepting::accepted_connections_leave_no_descriptors",
        || {
            let Some(before) = crate::support::descriptors() else {
                return println!("skipped: the system does not tell the number of descriptors");
            };
            let host = Loop::spawn(Echo::new);
            let address = host.address();
            for round in 0..10 {
                let mut peers: Vec<_> = (0..50).map(|_| connect(address)).collect();
                for (n, peer) in peers.iter_mut().enumerate() {
                    peer.write_all(b"x").unwrap();
                    if n % 3 != 0 {
                        peer.read_exact(&mut [0]).unwrap();
                    } else if n % 2 == 0 {
                        SockRef::from(&*peer)
                            .set_linger(Some(Duration::ZERO))
                            .unwrap();
                    }
                }
                drop(peers);
                eventually(&host, "closed", move |echo| {
                    echo.connections.is_empty() && echo.accepted == 50 * (round + 1)
                });
            }
            host.end();
            assert_eq!(crate::support::descriptors(), Some(before));
        },
    );
}
