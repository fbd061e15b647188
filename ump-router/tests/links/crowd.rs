//! Ten thousand links to one router.
//!
//! The router is in a process of its own: this test, run again.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit, setrlimit};
use ump_router::link::{
    session::Timeouts,
    sockets::{ListenOptions, Quota, Quotas, Rules, Who},
};

use crate::{
    raw::{LIMITS, Raw},
    support::{Double, LONG, await_server, carrying, serve},
};

const CHILD: &str = "UMP_LINKS_CROWD";
const CROWD: usize = 10_000;

/// Descriptors of a process beside those of the crowd.
const OTHERS: u64 = 500;

/// Lets this process have enough descriptors. Returns false if the system does not.
fn raise_limit() -> bool {
    let mut limit = getrlimit(Resource::Nofile);
    let needed = CROWD as u64 + OTHERS;
    if limit.current.is_none_or(|current| current >= needed) {
        return true;
    }
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        println!("skipped: {needed} descriptors are needed, and the limit is {limit:?}");
        return false;
    }
    limit.current = Some(needed);
    setrlimit(Resource::Nofile, limit).is_ok()
}

/// Tells its address, and for each line of its input what it uses.
#[test]
fn child_process() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    assert!(raise_limit());
    let hub = carrying();
    let server = serve(&hub, "a");
    let timeouts = Timeouts {
        hello: Duration::MAX,
        ping: Duration::MAX,
        silence: Duration::MAX,
        answer: Duration::MAX,
        ..Timeouts::default()
    };
    let options = ListenOptions::new();
    let options = options.timeouts(timeouts).max_links(2 * CROWD);
    let quotas = Quotas::new().limit(Quota::Connections, usize::MAX);
    let options = options.rules(Rules::default().quotas(Who::Anyone, quotas));
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    println!("\ncrowd {}", listener.address());
    for _ in std::io::stdin().lock().lines() {
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
        let memory = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = memory.split(' ').nth(1).unwrap().parse().unwrap();
        println!("crowd {descriptors} {}", 4096 * pages);
    }
    hub.close();
    server.join().unwrap();
}

struct Hub {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

#[derive(Debug)]
struct Uses {
    descriptors: usize,
    memory: usize,
}

impl Hub {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crowd::child_process", "--nocapture"])
            .env(CHILD, "1")
            // One for all threads: with an arena for each, more of what is freed stays unused.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    fn line(&mut self) -> String {
        let lines = self.output.by_ref().map(Result::unwrap);
        let mut own = lines.filter_map(|line| Some(line.strip_prefix("crowd ")?.to_owned()));
        own.next().expect("the hub lives")
    }

    fn uses(&mut self) -> Uses {
        self.input.write_all(b"?\n").unwrap();
        let line = self.line();
        let (descriptors, memory) = line.split_once(' ').unwrap();
        Uses {
            descriptors: descriptors.parse().unwrap(),
            memory: memory.parse().unwrap(),
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn ten_thousand_links_leave_nothing_behind() {
    if !raise_limit() {
        return;
    }
    let mut hub = Hub::start();
    let address = hub.line();
    let leaf = carrying();
    let _link = leaf.connect(&address).unwrap();
    await_server(&leaf, "a");
    assert_eq!(leaf.request("a", Double(1)).wait().unwrap(), 2);
    let before = hub.uses();
    let mut most: Option<usize> = None;
    for _ in 0..4 {
        let crowd: Vec<_> = (0..CROWD).map(|_| Raw::open(&address, LIMITS)).collect();
        assert_eq!(leaf.request("a", Double(2)).wait().unwrap(), 4);
        let full = hub.uses();
        // With those of the server's thread, which may begin to wait for a link by itself.
        let most_descriptors = before.descriptors + CROWD + 3;
        assert!(full.descriptors <= most_descriptors, "{full:?} {before:?}");
        let bytes = full.memory.saturating_sub(before.memory) / CROWD;
        println!("{bytes} bytes for an idle link, without those of the system");
        drop(crowd);
        let (mut left, mut since) = (full.descriptors, Instant::now());
        while left > before.descriptors + 3 {
            thread::sleep(Duration::from_millis(10));
            let uses = hub.uses();
            if uses.descriptors < left {
                (left, since) = (uses.descriptors, Instant::now());
            }
            assert!(since.elapsed() < LONG, "{uses:?} {before:?}");
        }
        // A busy machine may have lost the link meanwhile.
        await_server(&leaf, "a");
        assert_eq!(leaf.request("a", Double(3)).wait().unwrap(), 6);
        // The allocator may keep what was freed. The next crowd uses it again.
        let bound = most.get_or_insert(full.memory + full.memory / 8);
        assert!(full.memory <= *bound, "{full:?} after {bound}");
    }
}
