//! A hub and its leaves, all of them processes that are killed at random while they make requests
//! and publish. What callers and subscriptions were told agrees with what was done.
//!
//! The processes are this test, run again: see `child_process`. `LINK_SOAK=SECONDS` makes it
//! longer.

mod ledger;
mod process;

use std::{
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use self::{ledger::Account, process::Role};
use crate::support::{LONG, SocketPath};

const ROLE: &str = "UMP_LINKS_SOAK_ROLE";
const LEDGER: &str = "UMP_LINKS_SOAK_LEDGER";

/// Two that serve, and two that do not.
const LEAVES: u64 = 4;

/// How long the processes of a round are killed.
const ROUND: Duration = Duration::from_secs(8);

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

struct Running {
    child: Child,
    role: Role,
}

impl Running {
    fn start(role: Role, ledger: &Path) -> Self {
        let Role {
            process,
            slot,
            addresses,
        } = &role;
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "soak::child_process", "--nocapture"])
            .env(ROLE, format!("{process} {slot} {}", addresses.join(" ")))
            .env(LEDGER, ledger)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self {
            child: child.unwrap(),
            role,
        }
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status();
        assert!(status.unwrap().success());
    }

    /// By SIGKILL.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What another process does, if this one is it.
#[test]
fn child_process() {
    let (Ok(role), Ok(ledger)) = (std::env::var(ROLE), std::env::var(LEDGER)) else {
        return;
    };
    let mut words = role.split(' ');
    let mut number = || words.next().unwrap().parse().unwrap();
    let role = Role {
        process: number(),
        slot: number(),
        addresses: words.map(str::to_owned).collect(),
    };
    process::run(role, Path::new(&ledger));
}

/// An address that no connection of another process takes by chance: such a port is above these.
fn free_port() -> String {
    let mut random = Random::new(u64::from(std::process::id()));
    loop {
        let port = 20_000 + random.below(10_000);
        let address = format!("127.0.0.1:{port}");
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

/// Waits until something is so.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let limit = Instant::now() + 2 * LONG;
    while !is_so() {
        assert!(Instant::now() < limit, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn round(seed: u64) {
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let path = SocketPath::new();
    let ledger: PathBuf = path.0.with_extension("ledger");
    let addresses = [path.address(), format!("tcp:{}", free_port())];
    let mut made = 0;
    let mut start = |slot: u64| {
        made += 1;
        let addresses = match slot {
            0 => addresses.to_vec(),
            _ => vec![addresses[usize::from(slot % 2 == 0)].clone()],
        };
        let role = Role {
            process: made,
            slot,
            addresses,
        };
        Running::start(role, &ledger)
    };
    let mut all: Vec<_> = (0..=LEAVES).map(&mut start).collect();
    let end = Instant::now() + ROUND;
    let mut kills = 0;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(30 + random.below(300)));
        let slot = random.below(LEAVES + 1);
        let victim = &mut all[usize::try_from(slot).unwrap()];
        if random.below(8) == 0 {
            victim.signal("-STOP");
            thread::sleep(Duration::from_millis(random.below(200)));
            victim.signal("-CONT");
            continue;
        }
        victim.kill();
        kills += 1;
        if random.below(3) == 0 {
            thread::sleep(Duration::from_millis(random.below(150)));
        }
        *victim = start(slot);
    }
    // Those that live finish.
    for running in &mut all {
        let input = running.child.stdin.as_mut().unwrap();
        input.write_all(b"finish\n").unwrap();
    }
    let mut account = Account::default();
    wait_until("all requests end", || {
        account = Account::read(&ledger);
        let mut living = all.iter();
        living.all(|one| account.finished.contains_key(&one.role.process))
    });
    wait_until("the last messages come, or are told as missing", || {
        account = Account::read(&ledger);
        all.iter().all(|one| has_all(&account, &all, &one.role))
    });
    let outcomes = account.check(|number| number >> 32);
    println!("{kills} kills, {outcomes:?}");
    assert!(outcomes[&ledger::Outcome::Replied] > 100);
    assert!(account.received.values().any(|last| *last > 0));
    drop(all);
    std::fs::remove_file(ledger).unwrap();
}

/// Whether each subscription of a process has the last message of each living publisher from which
/// it has any, received or told as missing.
fn has_all(account: &Account, all: &[Running], role: &Role) -> bool {
    all.iter().all(|publisher| {
        let Role { process, slot, .. } = publisher.role;
        let last = account.received.get(&(role.process << 32 | slot));
        let last = last.copied().unwrap_or(0);
        last >> 32 != process || last + 1 >= (process << 32) + account.finished[&process]
    })
}

#[test]
fn what_callers_and_subscribers_are_told_is_true() {
    let seconds = std::env::var("LINK_SOAK").map_or(0, |seconds| seconds.parse().unwrap());
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut seed = u64::from(std::process::id());
    loop {
        round(seed);
        seed += 1;
        if Instant::now() >= end {
            return;
        }
    }
}
