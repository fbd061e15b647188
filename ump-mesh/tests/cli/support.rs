//! Participants of one domain, and the program.

use std::{
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ump_mesh::{
    Config, Mesh,
    ump_router::{Message, RequestMessage, Router},
};

/// No test waits longer for what has to come.
const LONG: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
pub(crate) struct Price(u64);

impl Message for Price {
    const PREFIX: &str = "price";
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Double(u64);

impl RequestMessage for Double {
    type Reply = u64;
    type Error = String;
    const PREFIX: &str = "double";
}

/// A domain that no other test has.
pub(crate) fn domain() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("cli-{}-{number}", std::process::id())
}

/// Finds others on this host only.
pub(crate) fn config(domain: &str) -> Config {
    Config::new().domain(domain).interface("127.0.0.1")
}

/// A router that has joined.
pub(crate) fn join(config: Config) -> (Router, Mesh) {
    let router = Router::new();
    router.carry::<Price>().unwrap();
    router.carry_requests::<Double>().unwrap();
    let mesh = Mesh::join(&router, config).wait().unwrap();
    (router, mesh)
}

/// What the program has left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Reads its lines.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Runs the program with these words, on this host only.
pub(crate) fn run(words: &str) -> Ran {
    run_by(Command::new(env!("CARGO_BIN_EXE_ump-mesh")), words)
}

pub(crate) fn run_by(mut command: Command, words: &str) -> Ran {
    command.args(words.split(' ')).env_remove("UMP_DOMAIN");
    if !words.contains("--interface") {
        command.args(["--interface", "127.0.0.1"]);
    }
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Runs the program until it has found what it should: the machine may be slow.
pub(crate) fn run_until(words: &str, is_so: impl Fn(&Ran) -> bool) -> Ran {
    let mut ran = run(words);
    eventually(words, || {
        let has_found = is_so(&ran);
        if !has_found {
            ran = run(words);
        }
        has_found
    });
    ran
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}
