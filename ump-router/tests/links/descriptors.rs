//! A process that has no file descriptors left goes on when there are some again.

use std::{
    io::{ErrorKind, Read},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit, setrlimit};
use ump_router::link::{session::Timeouts, sockets::ListenOptions};

use crate::support::{Double, KillOnDrop, LONG, SocketPath, await_server, carrying, serve};

const ADDRESS: &str = "UMP_LINKS_DESCRIPTORS";
const LIMIT: u64 = 48;

/// What another process does, if this one is it.
#[test]
fn child_process() {
    let Ok(address) = std::env::var(ADDRESS) else {
        return;
    };
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(LIMIT);
    setrlimit(Resource::Nofile, limit).unwrap();
    let hub = carrying();
    let server = serve(&hub, "a");
    let timeouts = Timeouts {
        hello: Duration::MAX,
        ..Timeouts::default()
    };
    let options = ListenOptions::new().timeouts(timeouts);
    let _listener = hub.listen_with(&address, options).unwrap();
    // Until the test ends.
    let _ = std::io::stdin().read(&mut [0]);
    hub.close();
    server.join().unwrap();
}

#[test]
fn a_listener_without_descriptors_accepts_again_when_there_are_some() {
    let path = SocketPath::new();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "descriptors::child_process", "--nocapture"])
        .env(ADDRESS, path.address())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let _child = KillOnDrop(child);
    let begun = Instant::now();
    let first = loop {
        match UnixStream::connect(&path.0) {
            Ok(stream) => break stream,
            Err(error) => assert!(begun.elapsed() < LONG, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut silent = vec![first];
    while silent.len() < 2 * usize::try_from(LIMIT).unwrap() {
        silent.push(UnixStream::connect(&path.0).unwrap());
    }
    // The first one is accepted, so it gets a hello; the last one cannot be.
    silent[0].set_read_timeout(Some(LONG)).unwrap();
    assert!(silent[0].read(&mut [0; 8]).unwrap() > 0);
    let last = silent.last_mut().unwrap();
    last.set_nonblocking(true).unwrap();
    let error = last.read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let leaf = carrying();
    let link = leaf.connect(path.address()).unwrap();
    assert!(!link.opened().timeout(Duration::from_millis(50)).wait());
    drop(silent);
    assert!(
        link.opened().timeout(LONG).wait(),
        "{:?}",
        link.last_failure()
    );
    await_server(&leaf, "a");
    assert_eq!(leaf.request("a", Double(4)).wait().unwrap(), 8);
}
