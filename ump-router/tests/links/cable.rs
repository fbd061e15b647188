//! A hub behind a real cable, which is cut: a network namespace and a pair of virtual interfaces.
//! Skipped where the system does not permit them.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use ump_router::{
    RecvError,
    link::{
        session::Timeouts,
        sockets::{ConnectOptions, ListenOptions},
        wire::Failure,
    },
};

use crate::support::{Double, KillOnDrop, LONG, Price, await_server, carrying, next, publish};

const ADDRESS: &str = "UMP_LINKS_CABLE";

fn timeouts() -> Timeouts {
    Timeouts {
        ping: Duration::from_millis(200),
        silence: Duration::from_secs(2),
        ..Timeouts::default()
    }
}

/// What the process in the namespace does: it publishes each number that it is asked for.
#[test]
fn child_process() {
    let Ok(address) = std::env::var(ADDRESS) else {
        return;
    };
    let hub = carrying();
    let (server, stuck) = (hub.serve::<Double>("a"), hub.serve::<Double>("stuck"));
    let (server, _stuck) = (server.unwrap(), stuck.unwrap());
    let publisher = hub.clone();
    thread::spawn(move || {
        for (call, rctx) in &server {
            publish(&publisher, "tick", call.message.0);
            let _ = rctx.reply(2 * call.message.0);
        }
    });
    let options = ListenOptions::new().timeouts(timeouts());
    let options = options.allow_plain_text_from_other_hosts();
    let listener = hub.listen_with(&address, options).unwrap();
    println!("\ncable {}", listener.address());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(0);
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
    network: String,
}

impl Cable {
    fn new() -> Result<Self, String> {
        let id = std::process::id();
        let cable = Self {
            namespace: format!("ump-links-{id}"),
            here: format!("umph{id}"),
            network: format!("10.211.{}", 1 + id % 250),
        };
        let Self {
            namespace,
            here,
            network,
        } = &cable;
        let there = format!("umpt{id}");
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
fn a_real_cable_is_cut_and_mended() {
    let cable = match Cable::new() {
        Ok(cable) => cable,
        Err(error) => return println!("skipped: no network namespace: {error}"),
    };
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new("ip")
        .args(["netns", "exec", &cable.namespace])
        .arg(program)
        .args(["--exact", "cable::child_process", "--nocapture"])
        .env(ADDRESS, format!("tcp:{}.2:0", cable.network))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let _child = KillOnDrop(child);
    let mut lines = output.lines().map(Result::unwrap);
    let address = lines.find_map(|line| Some(line.strip_prefix("cable ")?.to_owned()));
    let address = address.expect("the hub listens");

    let leaf = carrying();
    let mut ticks = leaf.subscribe::<Price>("tick").unwrap();
    let options = ConnectOptions::new().timeouts(timeouts());
    let link = leaf.connect_with(&address, options).unwrap();
    for round in 0..2 {
        assert!(link.opened().timeout(LONG).wait());
        await_server(&leaf, "a");
        await_server(&leaf, "stuck");
        assert_eq!(leaf.request("a", Double(round)).wait().unwrap(), 2 * round);
        assert_eq!(next(&mut ticks), Ok(round));
        thread::scope(|scope| {
            let caller = scope.spawn(|| leaf.request("stuck", Double(round)).wait());
            cable.set("down");
            let error = caller.join().unwrap().unwrap_err();
            let lost = error.link().unwrap_or_else(|| panic!("{error:?}"));
            // Whether it was on its way or not.
            assert_eq!(lost.failure, Failure::LinkLost);
        });
        assert_eq!(next(&mut ticks), Err(RecvError::Interrupted));
        cable.set("up");
    }
    assert!(link.opened().timeout(LONG).wait());
    await_server(&leaf, "a");
    assert_eq!(leaf.request("a", Double(7)).wait().unwrap(), 14);
    assert_eq!(next(&mut ticks), Ok(7));
}
