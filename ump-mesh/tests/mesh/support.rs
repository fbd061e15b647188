//! Routers that join a mesh of their test.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use ump_mesh::{
    Config, Mesh,
    ump_router::{Change, ChangeKind, Message, RecvError, RequestMessage, Router, Subscription},
    zenoh::{self, Wait as _},
};

/// No test waits longer for what has to come.
pub(crate) const LONG: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Price(pub(crate) u64);

impl Message for Price {
    const PREFIX: &str = "price";
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Double(pub(crate) u64);

impl RequestMessage for Double {
    type Reply = u64;
    type Error = String;
    const PREFIX: &str = "double";
}

/// A domain that no other test has.
pub(crate) fn domain() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{number}", std::process::id())
}

/// Finds others on this host only.
pub(crate) fn config(domain: &str) -> Config {
    Config::new().domain(domain).interface("127.0.0.1")
}

pub(crate) fn carrying() -> Router {
    let router = Router::new();
    router.carry::<Price>().unwrap();
    router.carry_requests::<Double>().unwrap();
    router
}

/// A router that has joined.
pub(crate) struct Member {
    pub(crate) router: Router,
    pub(crate) mesh: Mesh,
}

impl Member {
    pub(crate) fn join(config: Config) -> Self {
        let router = carrying();
        let mesh = Mesh::join(&router, config).wait().unwrap();
        Self { router, mesh }
    }
}

/// A session of the domain, as `KEYS.md` says.
pub(crate) fn plain_session(domain: &str) -> zenoh::Session {
    let mut config = zenoh::Config::default();
    let port = ump_mesh::group(domain);
    let mut set = |key: &str, value: String| config.insert_json5(key, &value).unwrap();
    set("namespace", format!("\"ump/{domain}\""));
    set("scouting/multicast/address", format!("\"{port}\""));
    set("scouting/multicast/interface", "\"127.0.0.1\"".to_owned());
    set("listen/endpoints", "[\"tcp/127.0.0.1:0\"]".to_owned());
    zenoh::open(config).wait().unwrap()
}

/// Some members of one domain, which know each other.
pub(crate) fn members<const N: usize>(domain: &str) -> [Member; N] {
    let members =
        std::array::from_fn(|nth| Member::join(config(domain).name(format!("member {nth}"))));
    for member in &members {
        await_participants(member, N - 1);
    }
    members
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn await_participants(member: &Member, count: usize) {
    let what = format!("{count} other participants");
    eventually(&what, || member.mesh.participants().len() == count);
}

/// Waits until a router knows of a subscription.
pub(crate) fn await_subscriber(router: &Router, topic: &str) {
    let mut watch = router.watch_subscribers::<Price>(topic).unwrap();
    let changed = watch.changed().wait_timeout(LONG).unwrap();
    assert_eq!(changed, Some(true), "a subscriber of {topic}");
}

/// Waits until a router knows of a server.
pub(crate) fn await_server(router: &Router, topic: &str) {
    let mut changes = router
        .subscribe::<Change>(format!("double/{topic}"))
        .unwrap();
    if router.pin::<Double>(topic).unwrap().is_some() {
        return;
    }
    loop {
        let change = changes.recv().wait_timeout(LONG).unwrap();
        if change.expect("a change").kind() == ChangeKind::Served {
            return;
        }
    }
}

pub(crate) fn publish(router: &Router, topic: &str, price: u64) {
    router.publish(topic, Price(price)).wait().unwrap();
}

/// Receives the next message, or what there is instead.
pub(crate) fn next(subscription: &mut Subscription<Price>) -> Result<u64, RecvError> {
    let received = subscription.recv().wait_timeout(LONG)?;
    Ok(received.expect("a message in time").0)
}

/// Serves a topic until the router is closed: doubles, and refuses zero.
pub(crate) fn serve(router: &Router, topic: &str) -> thread::JoinHandle<u64> {
    let server = router.serve::<Double>(topic).unwrap();
    thread::spawn(move || {
        let mut served = 0;
        for (call, rctx) in &server {
            served += 1;
            let Double(number) = call.message;
            let answer = if number == 0 {
                Err("zero".to_owned())
            } else {
                Ok(2 * number)
            };
            let _ = rctx.answer(answer);
        }
        served
    })
}

/// This test program, run once more as another process.
pub(crate) struct Process {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Process {
    /// Runs a function of this program as a process of its own, with a variable in its environment.
    pub(crate) fn start(function: &str, variable: (&str, &str)) -> Self {
        let program = std::env::current_exe().unwrap();
        Self::spawn(Command::new(program), function, variable)
    }

    pub(crate) fn spawn(mut command: Command, function: &str, variable: (&str, &str)) -> Self {
        command.args(["--exact", function, "--nocapture"]);
        command.env(variable.0, variable.1);
        Self::run(command)
    }

    /// Runs a program.
    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Returns the next line that it prints with this beginning.
    pub(crate) fn line(&mut self, beginning: &str) -> String {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        let line = lines.find_map(|line| Some(line.strip_prefix(beginning)?.to_owned()));
        line.unwrap_or_else(|| panic!("no line {beginning:?}"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// By SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the standard input ends, which is when the parent does.
pub(crate) fn until_the_parent_ends() -> ! {
    let _ = std::io::stdin().lines().count();
    std::process::exit(0);
}
