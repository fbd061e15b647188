//! Links over which nothing goes: the memory of each in the hub, and the CPU time of both ends.

use std::{thread, time::Duration};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use ump_router::{Router, link::sockets::Link};

use crate::{
    children::{self, Process, Skipped},
    peer::{Failed, Kind, Peer},
    routers::Routers,
};

/// The name of the case.
pub(crate) const NAME: &str = "idle";

/// How many links a router makes.
const LINKS_EACH: usize = 1_000;
/// How long all links may take to open.
const LONG: Duration = Duration::from_secs(60);

#[derive(Serialize)]
pub(crate) struct Idle {
    pub(crate) links: u64,
    /// The reason why there is no result.
    pub(crate) skipped: Option<String>,
    /// Resident bytes of the hub for each link.
    pub(crate) bytes: u64,
    /// CPU time of both processes in a second.
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
    let cpu = || hub.cpu() + others.cpu();
    let start = cpu();
    thread::sleep(Duration::from_secs(seconds));
    let used = cpu().saturating_sub(start);
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

/// Has so many links for ever.
pub(crate) fn be_linked(address: &str, count: usize) -> Result<(), Failed> {
    let mut linked: Vec<(Router, Vec<Link>)> = Vec::new();
    let mut left = count;
    while left > 0 {
        let router = Router::new();
        let here = left.min(LINKS_EACH);
        let links = (0..here).map(|_| router.connect(address));
        let links = links.collect::<Result<Vec<_>, _>>()?;
        left -= here;
        for link in &links {
            if !link.opened().timeout(LONG).wait() {
                return Err("a link does not open".into());
            }
        }
        linked.push((router, links));
    }
    children::ready(address);
    loop {
        thread::park();
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
