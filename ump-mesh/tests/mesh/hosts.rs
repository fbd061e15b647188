//! Two hosts: this one and a network namespace, with a cable between them that is cut. Skipped
//! where the system does not permit them.

use std::{
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ump_mesh::{
    Config,
    ump_router::{Change, RecvError, ServeOptions, SubscribeOptions, link::wire::Failure},
};

use crate::support::{
    Double, LONG, Member, Price, Process, await_participants, await_server, await_subscriber,
    domain, eventually, next, publish, until_the_parent_ends,
};

const VARIABLE: &str = "UMP_MESH_HOSTS";
/// How many messages are counted by their bytes: more than what is told meanwhile anyway.
const MESSAGES: u64 = 20_000;
const LEASE: Duration = Duration::from_secs(1);

/// No address, no port, no file: only the interface, as this host may have others.
fn config(domain: &str, interface: &str) -> Config {
    Config::new()
        .domain(domain)
        .interface(interface)
        .lease(LEASE)
}

/// What the other host does: it serves, and publishes the number of each request.
#[test]
fn child_process() {
    let Ok(variable) = std::env::var(VARIABLE) else {
        return;
    };
    let (domain, interface) = variable.split_once(' ').unwrap();
    let member = Member::join(config(domain, interface).name("there"));
    let server = Arc::new(member.router.serve::<Double>("a").unwrap());
    let options = SubscribeOptions::new().capacity(1);
    let heard = member.router.subscribe_with::<Price>("heard", options);
    let stuck = member.router.serve::<Double>("stuck").unwrap();
    let router = member.router.clone();
    let serving = Arc::clone(&server);
    thread::spawn(move || {
        for (call, rctx) in &*serving {
            publish(&router, "tick", call.message.0);
            let _ = rctx.reply(2 * call.message.0);
        }
    });
    let (_stuck, _heard) = (stuck, heard.unwrap());
    println!("\njoined");
    thread::spawn(|| until_the_parent_ends());
    let mut changes = member.router.subscribe::<Change>("double/a").unwrap();
    let mut served = true;
    loop {
        if server.is_serving() != served {
            served = !served;
            println!("\n{}", if served { "serves" } else { "stands by" });
        }
        changes.recv().wait().unwrap();
    }
}

/// Runs `ip` with these words. Returns why it failed.
fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A namespace with a cable to this one.
struct Cable {
    namespace: String,
    here: String,
    there: String,
}

impl Cable {
    fn new() -> Result<Self, String> {
        let id = std::process::id();
        let cable = Self {
            namespace: format!("ump-mesh-{id}"),
            here: format!("ummh{id}"),
            there: format!("ummt{id}"),
        };
        let Self {
            namespace,
            here,
            there,
        } = &cable;
        let network = format!("10.212.{}", 1 + id % 250);
        ip(&format!("netns add {namespace}"))?;
        ip(&format!(
            "link add {here} type veth peer name {there} netns {namespace}"
        ))?;
        ip(&format!("addr add {network}.1/24 dev {here}"))?;
        ip(&format!(
            "-n {namespace} addr add {network}.2/24 dev {there}"
        ))?;
        ip(&format!("-n {namespace} link set {there} up"))?;
        ip(&format!("link set {here} up"))?;
        Ok(cable)
    }

    /// How many bytes have gone over it to the other host.
    fn sent(&self) -> u64 {
        let path = format!("/sys/class/net/{}/statistics/tx_bytes", self.here);
        std::fs::read_to_string(path)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }

    fn set(&self, state: &str) {
        ip(&format!("link set {} {state}", self.here)).unwrap();
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = ip(&format!("link del {}", self.here));
        let _ = ip(&format!("netns del {}", self.namespace));
    }
}

#[test]
fn hosts_find_each_other_are_cut_off_and_meet_again() {
    let cable = match Cable::new() {
        Ok(cable) => cable,
        Err(error) => return println!("skipped: no network namespace: {error}"),
    };
    let domain = domain();
    let mut there = Command::new("ip");
    there.args(["netns", "exec", &cable.namespace]);
    there.arg(std::env::current_exe().unwrap());
    let variable = format!("{domain} {}", cable.there);
    let mut child = Process::spawn(there, "hosts::child_process", (VARIABLE, &variable));
    child.line("joined");

    let here = Member::join(config(&domain, &cable.here));
    let mut ticks = here.router.subscribe::<Price>("tick").unwrap();
    await_participants(&here, 1);
    assert_eq!(here.mesh.participants()[0].name, "there");
    let options = ServeOptions::new().standby();
    await_server(&here.router, "stuck");
    await_subscriber(&here.router, "heard");
    assert!(here.mesh.settled(LONG).wait());
    // What nobody there listens to does not leave this host.
    let own = here.router.subscribe::<Price>("unheard").unwrap();
    let bytes_of = |topic: &str| {
        let before = cable.sent();
        for number in 0..MESSAGES {
            publish(&here.router, topic, number);
        }
        // This has gone over the cable after them.
        let _ = here.router.request("a", Double(0)).wait().unwrap();
        cable.sent() - before
    };
    let (unheard, heard) = (bytes_of("unheard"), bytes_of("heard"));
    println!("{MESSAGES} messages: unheard {unheard} bytes, heard {heard} bytes");
    assert!(!own.is_empty());
    for _ in 0..2 {
        assert_eq!(next(&mut ticks), Ok(0));
    }
    // Those that there is no room for in the queue are not sent either.
    assert!(50 * unheard < heard, "{unheard}, {heard}");
    for round in 1..3 {
        await_server(&here.router, "a");
        let standby = here.router.serve_with::<Double>("a", options).unwrap();
        assert!(standby.is_standing_by());
        assert!(here.mesh.settled(LONG).wait());
        let request = here.router.request("a", Double(round)).wait();
        assert_eq!(request.unwrap(), 2 * round);
        assert_eq!(next(&mut ticks), Ok(round));
        thread::scope(|scope| {
            let caller = scope.spawn(|| here.router.request("stuck", Double(round)).wait());
            thread::sleep(Duration::from_millis(100)); // sent, most likely
            cable.set("down");
            let cut = Instant::now();
            let error = caller.join().unwrap().unwrap_err();
            println!("round {round}: lost after {:?}", cut.elapsed());
            let link = error.link().unwrap_or_else(|| panic!("{error:?}"));
            assert_eq!(link.failure, Failure::ServerLost);
        });
        assert_eq!(next(&mut ticks), Err(RecvError::Interrupted));
        // Both sides serve now.
        eventually("the standby serves", || standby.is_serving());
        cable.set("up");
        let healed = Instant::now();
        await_participants(&here, 1);
        // The server that was cut off leaves the topic to the one that followed, until that ends.
        child.line("stands by");
        println!("round {round}: healed after {:?}", healed.elapsed());
        assert!(standby.is_serving());
        await_server(&here.router, "stuck");
        drop(standby);
        child.line("serves");
    }
    drop(child);
    await_participants(&here, 0);
}
