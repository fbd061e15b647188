//! Links over which nothing goes: the memory of each in the hub, and its CPU time.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use ump_router::link::session::{Config, Session};

use crate::{
    children::{self, Process, Skipped},
    peer::{Failed, Kind, Peer},
    routers::Routers,
};

/// The name of the case.
pub(crate) const NAME: &str = "idle";

/// How often the other ends look at their sockets: they answer pings.
const TURN: Duration = Duration::from_millis(500);
/// How long all links may take to open.
const LONG: Duration = Duration::from_secs(60);

#[derive(Serialize)]
pub(crate) struct Idle {
    pub(crate) links: u64,
    /// The reason why there is no result.
    pub(crate) skipped: Option<String>,
    /// Resident bytes of the hub for each link.
    pub(crate) bytes: u64,
    /// CPU time of the hub in a second.
    pub(crate) milliseconds: f64,
}

pub(crate) fn measure_all(quick: bool) -> Vec<Idle> {
    let seconds = if quick { 2 } else { 10 };
    let one = |links| {
        let measured = measure(links, seconds);
        measured.unwrap_or_else(|Skipped(why)| {
            eprintln!("  {links} links are skipped: {why}");
            Idle {
                links,
                skipped: Some(why),
                bytes: 0,
                milliseconds: 0.0,
            }
        })
    };
    [1, 1_000, 10_000].map(one).into()
}

fn measure(links: u64, seconds: u64) -> Result<Idle, Skipped> {
    // The processes inherit it.
    allow_descriptors(links + 100)?;
    let unknown = || Skipped("the system tells no resident memory".to_owned());
    let hub = Routers::bus(Kind::Unix, false)?;
    let before = hub.resident_bytes().ok_or_else(unknown)?;
    let others = Process::of(&["idle", &hub.address, &links.to_string()])?;
    thread::sleep(Duration::from_secs(1));
    let after = hub.resident_bytes().ok_or_else(unknown)?;
    let start = hub.cpu();
    thread::sleep(Duration::from_secs(seconds));
    let used = hub.cpu().saturating_sub(start);
    drop(others);
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let milliseconds = used.as_secs_f64() * 1e3 / seconds as f64;
    let bytes = after.saturating_sub(before) / links;
    Ok(Idle {
        links,
        skipped: None,
        bytes,
        milliseconds,
    })
}

/// Has so many links for ever, each as a router of its own would have it, but without its thread.
pub(crate) fn be_linked(address: &str, count: usize) -> Result<(), Failed> {
    let mut ends = Vec::new();
    let begin = Instant::now();
    for number in 0..count {
        // One after the other: a listener has few at a time that have not said hello.
        let mut end = End::connect(address, number as u128 + 1)?;
        while !end.session.is_open() {
            if begin.elapsed() > LONG {
                return Err("a link does not open".into());
            }
            end.turn()?;
            thread::yield_now();
        }
        ends.push(end);
    }
    children::ready(address);
    loop {
        thread::sleep(TURN);
        ends.iter_mut().try_for_each(End::turn)?;
    }
}

/// One end of a link.
struct End {
    stream: UnixStream,
    session: Session,
}

impl End {
    fn connect(address: &str, router: u128) -> Result<Self, Failed> {
        let path = address.strip_prefix("unix:").ok_or("a unix socket")?;
        let stream = UnixStream::connect(path)?;
        stream.set_nonblocking(true)?;
        let config = Config {
            router,
            ..Config::default()
        };
        let session = Session::new(Instant::now(), config);
        Ok(Self { stream, session })
    }

    fn turn(&mut self) -> Result<(), Failed> {
        let now = Instant::now();
        let mut buffer = [0; 1024];
        match (&self.stream).read(&mut buffer) {
            Ok(0) => return Err("the hub has ended a link".into()),
            Ok(count) => {
                let mut rest = &buffer[..count];
                while !rest.is_empty() {
                    let used = self.session.receive(now, rest);
                    rest = &rest[used..];
                    while self.session.poll_event().is_some() {}
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        self.session.tick(now);
        loop {
            let bytes = self.session.transmit(now);
            if bytes.is_empty() {
                return Ok(());
            }
            let count = (&self.stream).write(bytes)?;
            self.session.sent(now, count);
        }
    }
}

fn allow_descriptors(needed: u64) -> Result<(), Skipped> {
    let failed = |error: nix::Error| Skipped(error.to_string());
    let (now, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    if now < needed {
        setrlimit(Resource::RLIMIT_NOFILE, needed.min(most), most).map_err(failed)?;
    }
    Ok(())
}
