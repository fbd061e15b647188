//! Many sockets, and none of the processor's time for idle ones.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::support::{Echo, Loop, PATIENCE, alone, eventually, limit_descriptors};

const MANY: usize = 10_000;

/// Returns the resident memory in KiB, and the processor's time in ticks; `None` where the system
/// does not tell.
fn usage() -> Option<(usize, u64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let resident = resident.trim().trim_end_matches(" kB").parse().ok()?;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((resident, ticks()? + ticks()?))
}

/// Runs in a process of its own: it needs many descriptors. The clients are another one.
#[test]
#[ignore = "a part of another test"]
fn process_of_many_clients() {
    assert!(limit_descriptors(MANY as u64 + 100));
    let port = std::env::var("UMP_SERVER_TEST_PORT")
        .unwrap()
        .parse()
        .unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut peers: Vec<_> = (0..MANY)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    println!("connected");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    for peer in &mut peers {
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.write_all(b"x").unwrap();
    }
    for peer in &mut peers {
        peer.read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn ten_thousand_sockets_share_a_loop() {
    alone("limits::ten_thousand_sockets_share_a_loop", || {
        if !limit_descriptors(MANY as u64 + 100) {
            return println!(
                "skipped: the hard limit of open files is below {}",
                MANY + 100
            );
        }
        let host = Loop::spawn(Echo::new);
        let before = usage();
        let mut clients = Command::new(std::env::current_exe().unwrap())
            .args([
                "limits::process_of_many_clients",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env("UMP_SERVER_TEST_PORT", host.address().port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        eventually(&host, "all accepted", |echo| echo.accepted == MANY);
        assert_eq!(host.handle.stopper().sockets().len(), MANY + 1);
        if let (Some((kib, _)), Some((now, ticks))) = (before, usage()) {
            println!(
                "{} bytes a socket, with its echo",
                (now - kib) * 1024 / MANY
            );
            thread::sleep(Duration::from_millis(500));
            let idle = usage().unwrap().1 - ticks;
            assert!(idle <= 5, "{idle} ticks of the processor in half a second");
        }
        writeln!(clients.stdin.take().unwrap()).unwrap();
        assert!(clients.wait().unwrap().success());
        eventually(&host, "all closed", |echo| echo.connections.is_empty());
        host.end();
    });
}

#[test]
fn timers_below_a_millisecond_neither_spin_nor_come_early() {
    alone(
        "limits::timers_below_a_millisecond_neither_spin_nor_come_early",
        || {
            let host = Loop::spawn(|cx| {
                cx.timers().every(Duration::from_micros(2_300), 0);
                Echo::new(cx)
            });
            let begin = std::time::Instant::now();
            let before = usage();
            eventually(&host, "a hundred timers", |echo| {
                thread::sleep(Duration::from_millis(50)); // so that nobody asks all the time
                echo.timers >= 100
            });
            assert!(begin.elapsed() >= Duration::from_micros(2_300) * 99);
            if let (Some((_, before)), Some((_, after))) = (before, usage()) {
                let spent = Duration::from_millis((after - before) * 10);
                assert!(
                    spent < begin.elapsed() / 2,
                    "{spent:?} of {:?}",
                    begin.elapsed()
                );
            }
            host.end();
        },
    );
}

#[test]
#[cfg(target_os = "linux")]
fn signals_do_not_put_off_a_timer() {
    alone("limits::signals_do_not_put_off_a_timer", || {
        let host = Loop::spawn(|cx| {
            cx.timers().once(Duration::from_millis(300), 0);
            Echo::new(cx)
        });
        // Stopping and continuing interrupts `epoll_wait`, without a handler of signals.
        let me = std::process::id().to_string();
        let script = "i=0; while [ $i -lt 500 ]; do kill -STOP $0; kill -CONT $0; i=$((i+1)); done";
        let mut signals = Command::new("sh")
            .args(["-c", script, &me])
            .spawn()
            .unwrap();
        let begin = std::time::Instant::now();
        while host.with(|echo| echo.timers) == 0 {
            thread::sleep(Duration::from_millis(10));
            assert!(begin.elapsed() < PATIENCE);
        }
        assert!(begin.elapsed() >= Duration::from_millis(290));
        signals.wait().unwrap();
        host.end();
    });
}
