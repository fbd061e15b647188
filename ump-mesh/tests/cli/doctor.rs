//! `ump-mesh doctor`.

use std::{net::TcpListener, process::Command};

use serde_json::{Value, json};
use ump_mesh::zenoh::{self, Wait as _};

use crate::support::{Ran, config, domain, eventually, join, run, run_by, run_until};

/// The steps, and whether each was ok.
fn steps(ran: &Ran) -> Vec<(String, bool)> {
    let lines = ran.objects();
    let step = |line: &Value| {
        let ok = line["ok"].as_bool().unwrap();
        assert_eq!(ok, line["advice"].is_null(), "{line}");
        (line["step"].as_str().unwrap().to_owned(), ok)
    };
    lines.iter().map(step).collect()
}

fn expected(steps: &[(&str, bool)]) -> Vec<(String, bool)> {
    let steps = steps.iter();
    steps.map(|(step, ok)| ((*step).to_owned(), *ok)).collect()
}

#[test]
fn doctor_is_content_with_a_participant() {
    let domain = domain();
    let _member = join(config(&domain).name("here"));
    let words = format!("doctor --domain {domain} --json");
    let ran = run_until(&words, |ran| ran.code == Some(0));
    let all = [
        "domain",
        "interface",
        "multicast",
        "answer",
        "connect",
        "participant",
    ];
    assert_eq!(steps(&ran), expected(&all.map(|step| (step, true))));
    let last = ran.objects().pop().unwrap();
    let found = last["found"].as_str().unwrap();
    assert!(found.starts_with("1: here on "), "{found}");
}

#[test]
fn doctor_says_that_nobody_answers() {
    let ran = run(&format!("doctor --wait 300ms --domain {} --json", domain()));
    assert_eq!(ran.code, Some(6));
    let all = [
        ("domain", true),
        ("interface", true),
        ("multicast", true),
        ("answer", false),
    ];
    assert_eq!(steps(&ran), expected(&all));
    let ran = run(&format!("doctor --wait 300ms --domain {}", domain()));
    assert_eq!(ran.code, Some(6));
    assert!(ran.stdout.contains("\nFAIL answer      nobody"), "{ran:?}");
    assert!(
        ran.stdout
            .contains("a firewall must let UDP to 224.0.0.224:"),
        "{ran:?}"
    );
}

#[test]
fn doctor_names_an_interface_that_is_not_there() {
    let ran = run("doctor --interface no-such-interface --json");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(6), ""));
    assert_eq!(
        steps(&ran),
        expected(&[("domain", true), ("interface", false)])
    );
}

#[test]
fn doctor_sees_another_domain_and_a_fixed_participant_that_is_away() {
    let (this, other) = (domain(), domain());
    // The port may be taken before zenoh has it: then another one.
    let (member, address) = loop {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp/{}", free.local_addr().unwrap());
        drop(free);
        let router = ump_mesh::ump_router::Router::new();
        let config = config(&other).listen(&address).multicast(false);
        if let Ok(mesh) = ump_mesh::Mesh::join(&router, config).wait() {
            break (mesh, address);
        }
    };
    let words = format!("doctor --no-multicast --peer {address} --domain {this} --json");
    let ran = run_until(&words, |ran| ran.stdout.contains("\"other\""));
    assert_eq!(ran.code, Some(6));
    let all = [
        ("domain", true),
        ("interface", true),
        ("multicast", true),
        ("connect", true),
        ("other", true),
        ("participant", false),
    ];
    assert_eq!(steps(&ran), expected(&all));
    let lines = ran.objects();
    assert_eq!(lines[4]["found"], json!(format!("{other}: 1 programs")));
    member.leave();
    let ran = run(&words);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert!(
        steps(&ran).contains(&("connect".to_owned(), false)),
        "{ran:?}"
    );
}

#[test]
fn doctor_sees_another_version() {
    let domain = domain();
    let mut config = zenoh::Config::default();
    let port = ump_mesh::group(&domain);
    let mut set = |key: &str, value: String| config.insert_json5(key, &value).unwrap();
    set("namespace", format!("\"ump/{domain}\""));
    set("scouting/multicast/address", format!("\"{port}\""));
    set("scouting/multicast/interface", "\"127.0.0.1\"".to_owned());
    set("listen/endpoints", "[\"tcp/127.0.0.1:0\"]".to_owned());
    let session = zenoh::open(config).wait().unwrap();
    let token = session.liveliness().declare_token("@ump/7/p/2a/new");
    let _token = token.wait().unwrap();
    let words = format!("doctor --domain {domain} --json");
    let ran = run_until(&words, |ran| ran.stdout.contains("\"version\""));
    assert_eq!(ran.code, Some(6));
    let lines = ran.objects();
    let version = lines.iter().find(|line| line["step"] == json!("version"));
    assert_eq!(
        version.unwrap()["found"],
        json!("1 programs have version 7")
    );
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

/// Another host, with a cable to this one.
struct Host {
    namespace: String,
    here: String,
    network: String,
}

impl Host {
    fn new() -> Result<Self, String> {
        let id = std::process::id();
        let host = Self {
            namespace: format!("ump-doctor-{id}"),
            here: format!("umdh{id}"),
            network: format!("10.213.{}", 1 + id % 250),
        };
        let (namespace, here, network) = (&host.namespace, &host.here, &host.network);
        ip(&format!("netns add {namespace}"))?;
        ip(&format!(
            "link add {here} type veth peer name there netns {namespace}"
        ))?;
        ip(&format!("addr add {network}.1/24 dev {here}"))?;
        ip(&format!("-n {namespace} addr add {network}.2/24 dev there"))?;
        ip(&format!("-n {namespace} link set there up"))?;
        ip(&format!("link set {here} up"))?;
        Ok(host)
    }

    /// Runs the doctor there.
    fn doctor(&self, domain: &str) -> Ran {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]);
        command.arg(env!("CARGO_BIN_EXE_ump-mesh"));
        run_by(
            command,
            &format!("doctor --interface there --domain {domain} --json"),
        )
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = ip(&format!("link del {}", self.here));
        let _ = ip(&format!("netns del {}", self.namespace));
    }
}

#[test]
fn doctor_tells_a_network_that_works_from_one_that_does_not() {
    let host = match Host::new() {
        Ok(host) => host,
        Err(error) => return println!("skipped: no network namespace: {error}"),
    };
    let domain = domain();
    let own = ump_mesh::Config::new()
        .domain(&domain)
        .interface(&host.here);
    let _member = join(own.name("here"));
    let all = [
        "domain",
        "interface",
        "multicast",
        "answer",
        "connect",
        "participant",
    ];
    let works = expected(&all.map(|step| (step, true)));
    eventually("it works", || steps(&host.doctor(&domain)) == works);
    // A firewall that lets datagrams through, and no connections: here a rule for packets of TCP.
    let rule = |change: &str, protocol: &str| {
        let namespace = &host.namespace;
        ip(&format!(
            "-n {namespace} rule {change} ipproto {protocol} prohibit pref 1"
        ))
    };
    if let Err(error) = rule("add", "tcp") {
        return println!("skipped: no rule for TCP: {error}");
    }
    let ran = host.doctor(&domain);
    let mut fails = works.clone();
    fails.truncate(5);
    fails[4].1 = false;
    assert_eq!((steps(&ran), ran.code), (fails, Some(6)));
    let found = ran.objects().pop().unwrap()["found"].to_string();
    let address = format!("tcp/{}.1:", host.network);
    assert!(found.starts_with("\"to 0 programs; not to "), "{found}");
    assert!(found.contains(&address), "{found}");
    // The interface is down.
    rule("del", "tcp").unwrap();
    ip(&format!("-n {} link set there down", host.namespace)).unwrap();
    let ran = host.doctor(&domain);
    let mut fails = works;
    fails.truncate(4);
    fails[2].1 = false;
    fails[3].1 = false;
    assert_eq!((steps(&ran), ran.code), (fails, Some(6)));
}
