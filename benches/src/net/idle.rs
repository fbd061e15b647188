//! Ten thousand idle connections: the memory of each, and the CPU time of all.
//!
//! Each contender has a process of its own, and its clients another one: a process has too few
//! descriptors for both ends.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Error, Read as _, Result, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{Command, Stdio},
    sync::atomic::Ordering::Relaxed,
    thread,
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::servers::{Reads, Server, bare_mio, on_a_loop, on_tokio};
use crate::{children, sample::Usage};

const CONNECTIONS: usize = 10_000;
/// The descriptors that a process has besides.
const OTHERS: u64 = 100;
/// The name of the process of the clients.
const CLIENTS: &str = "net-clients";
const PORT: &str = "UMP_BENCHES_PORT";

#[derive(Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(super) name: String,
    connections: usize,
    /// Resident bytes of each connection, which has echoed once.
    pub(super) bytes: usize,
    pub(super) seconds: u64,
    /// CPU time of the whole process meanwhile.
    pub(super) milliseconds: f64,
}

/// The name of the child process, the name of the contender, and its server.
type Contender = (&'static str, &'static str, fn() -> Server);

const CONTENDERS: [Contender; 3] = [
    ("net-mio", "mio by hand", || bare_mio(Reads::Short)),
    ("net-tokio", "tokio", || on_tokio(None)),
    ("net-loop", "a loop of `ump-server`", || on_a_loop(None)),
];

/// Measures each in a process of its own, one after the other.
pub(super) fn measure_all(quick: bool) -> Result<Vec<Idle>> {
    if !cfg!(target_os = "linux") {
        cli::log!("resident memory is only read on Linux: idle connections are left out");
        return Ok(Vec::new());
    }
    let child = |(child, _, _): Contender| {
        let mut args = vec!["--child".into(), child.into()];
        args.extend(quick.then(|| "--quick".into()));
        children::run(&args)
    };
    CONTENDERS.map(child).into_iter().collect()
}

/// Runs the child process of this name, if it is one of these. Returns what it has measured, or
/// nothing for the clients.
pub(crate) fn child(name: &str, seconds: u64) -> Option<Result<Option<Idle>>> {
    if name == CLIENTS {
        return Some(be_clients().map(|()| None));
    }
    let (_, name, server) = CONTENDERS.into_iter().find(|(child, ..)| *child == name)?;
    Some(measure(name, server, seconds).map(Some))
}

fn measure(name: &str, server: fn() -> Server, seconds: u64) -> Result<Idle> {
    allow_descriptors()?;
    let server = server();
    let before = resident_bytes()?;
    let mut clients = Command::new(env::current_exe()?)
        .args(["--child", CLIENTS])
        .env(PORT, server.address.port().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut ready = String::new();
    let output = clients.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut ready)?;
    if ready != "ready\n" {
        return Err(Error::other(format!(
            "the clients failed: {}",
            clients.wait()?
        )));
    }
    assert_eq!(server.accepted.load(Relaxed), CONNECTIONS);
    let bytes = resident_bytes()?.saturating_sub(before) / CONNECTIONS;
    let usage = Usage::now();
    thread::sleep(Duration::from_secs(seconds));
    let milliseconds = (Usage::now() - usage).cpu().as_secs_f64() * 1e3;
    drop(clients.stdin.take());
    clients.wait()?;
    Ok(Idle {
        name: name.into(),
        connections: CONNECTIONS,
        bytes,
        seconds,
        milliseconds,
    })
}

/// Connects, echoes once by each connection, says so, and ends when its input does.
fn be_clients() -> Result<()> {
    allow_descriptors()?;
    let port = env::var(PORT).map_err(Error::other)?;
    let port = port.parse().map_err(Error::other)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(&[1])?;
        stream.read_exact(&mut [0])?;
        streams.push(stream);
    }
    cli::print("ready\n").map_err(Error::other)?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn allow_descriptors() -> Result<()> {
    let needed = CONNECTIONS as u64 + OTHERS;
    let (now, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if now < needed {
        setrlimit(Resource::RLIMIT_NOFILE, needed.min(most), most)?;
    }
    Ok(())
}

fn resident_bytes() -> Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.trim().strip_suffix(" kB"));
    let kib: Option<usize> = kib.and_then(|text| text.parse().ok());
    let kib = kib.ok_or_else(|| Error::other("no resident memory in /proc/self/status"))?;
    Ok(kib * 1024)
}
