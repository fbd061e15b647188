//! TLS, with certificates of `ump ca`.

use std::{fs, path::Path};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Ump, run};

/// An authority with certificates for `localhost` and for these names.
fn authority(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    assert_eq!(run(&["ca", "init", "--folder", at]).code, 0);
    for name in [&["localhost"], names].concat() {
        assert_eq!(run(&["ca", "issue", name, "--folder", at]).code, 0);
    }
    folder
}

/// The options for the certificate of a name, and for the roots of an authority.
fn certificates(folder: &Path, name: &str, roots: &Path) -> Vec<String> {
    let file = |folder: &Path, file: &str| folder.join(file).to_str().unwrap().to_owned();
    [
        ("--tls-cert", file(folder, &format!("{name}.pem"))),
        ("--tls-key", file(folder, &format!("{name}.key"))),
        ("--tls-roots", file(roots, "ca.pem")),
    ]
    .into_iter()
    .flat_map(|(option, file)| [option.to_owned(), file])
    .collect()
}

/// Arguments, and certificates.
fn with<'a>(args: &[&'a str], certificates: &'a [String]) -> Vec<&'a str> {
    let certificates = certificates.iter().map(String::as_str);
    args.iter().copied().chain(certificates).collect()
}

/// A hub on TLS with rules, and its port.
fn serve(folder: &Path, rules: &str) -> (Ump, String) {
    let config = folder.join("hub.toml");
    fs::write(&config, rules).unwrap();
    let certificates = certificates(folder, "localhost", folder);
    let config = config.to_str().unwrap();
    let args = [
        "serve",
        "--json",
        "--listen",
        "tls:127.0.0.1:0",
        "--config",
        config,
    ];
    let mut hub = Ump::start(&with(&args, &certificates));
    let line: Value = serde_json::from_str(&hub.line()).unwrap();
    let address = line["listening"].as_str().unwrap();
    let port = address.rsplit_once(':').unwrap().1;
    (hub, format!("tls:localhost:{port}"))
}

const RULES: &str = r#"
[access]
default = "deny"
[[access.rules]]
who = "tls:alice"
allow = ["publish", "subscribe", "serve", "request"]
topics = ["**"]
[[access.rules]]
who = "tls:bob"
allow = ["subscribe"]
topics = ["news/**"]
"#;

#[test]
fn rules_know_the_owner_of_a_certificate() {
    let folder = authority(&["alice", "bob"]);
    let (hub, address) = serve(folder.path(), RULES);
    let [alice, bob] = ["alice", "bob"].map(|it| certificates(folder.path(), it, folder.path()));
    let sub = with(&["sub", "--on", &address, "news/**", "-n", "1"], &bob);
    let sub = Ump::start_until(&sub, "subscribed");
    let text = [
        "pub", "--on", &address, "news/a", "--text", "hi", "--wait", "30s",
    ];
    let ran = run(&with(&text, &alice));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let ran = sub.end();
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "news/a hi\n"));

    let secrets = with(&["sub", "--on", &address, "secrets/**"], &bob);
    assert_eq!(run(&secrets).code, 6);
    let reply = ["reply", "--on", &address, "news/server", "--text", "x"];
    assert_eq!(run(&with(&reply, &bob)).code, 6);
    let mut server = Ump::start_until(&with(&reply, &alice), "serves");
    let request = ["req", "--on", &address, "news/server", "--text", "x"];
    assert_eq!(run(&with(&request, &bob)).code, 6);
    assert_eq!(run(&with(&request, &alice)).code, 0);
    server.line();

    // The rules are read again. Wrong ones change nothing.
    let mut hub = hub;
    let config = folder.path().join("hub.toml");
    fs::write(&config, "[access]\ndefault = 1\n").unwrap();
    hub.signal(Signal::HUP);
    hub.wait_for("the old rules stay in force");
    assert_eq!(run(&secrets).code, 6);
    // They fail closed: an empty or a cut file does not allow all.
    let (cut, _) = RULES.split_once("default").unwrap();
    for text in ["", cut] {
        fs::write(&config, text).unwrap();
        hub.signal(Signal::HUP);
        hub.wait_for("the old rules stay in force");
        assert_eq!(run(&secrets).code, 6, "{text}");
    }
    fs::write(&config, RULES.replace("news", "secrets")).unwrap();
    hub.signal(Signal::HUP);
    hub.wait_for("the rules are in force");
    let secrets = [&secrets[..], &["--for", "10ms"]].concat();
    assert_eq!(run(&secrets).code, 0);
    hub.signal(Signal::TERM);
    assert_eq!(hub.end().code, 0);
}

#[test]
fn wrong_certificates_cannot_connect() {
    let folder = authority(&["alice"]);
    let stranger = authority(&["alice"]);
    let (_hub, address) = serve(folder.path(), "[access]\ndefault = \"allow\"\n");
    let doctor = |more: &[String]| {
        let args = ["doctor", "--json", "--on", &address];
        let ran = run(&with(&args, more));
        let last = ran.stdout.lines().last().unwrap_or_default().to_owned();
        let last: Value = serde_json::from_str(&last).unwrap();
        (ran.code, last["step"].clone(), last["ok"].clone())
    };
    let (home, away) = (folder.path(), stranger.path());
    assert_eq!(
        doctor(&certificates(home, "alice", home)),
        (0, json!("told"), json!(true))
    );
    // The hub is not known to the client, or the client not to the hub.
    assert_eq!(
        doctor(&certificates(home, "alice", away)),
        (6, json!("tls"), json!(false))
    );
    let (code, _, ok) = doctor(&certificates(away, "alice", home));
    assert_eq!((code, ok), (6, json!(false)));
    let mut wrong_name = certificates(home, "alice", home);
    wrong_name.extend(["--tls-name", "elsewhere"].map(str::to_owned));
    assert_eq!(doctor(&wrong_name), (6, json!("tls"), json!(false)));
    assert_eq!(
        run(&["ls", "--on", &address]).code,
        2,
        "there is no certificate"
    );
    // Without TLS.
    let plain = address.replace("tls:", "tcp:");
    assert_eq!(
        run(&["ls", "--on", &plain, "--connect-timeout", "2s"]).code,
        6
    );
}

#[test]
fn a_wrong_configuration_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("hub.toml");
    let config = config.to_str().unwrap();
    let serve = ["serve", "--listen", "tcp:127.0.0.1:0", "--config", config];
    assert_eq!(run(&serve).code, 2, "there is no file");
    for text in [
        "x",
        "colour = 1",
        "[access]\ndefault = \"maybe\"",
        "listen = [\"nowhere\"]\n[access]\ndefault = \"deny\"",
        "",
        "listen = []",
        "[access]",
        "access = {}",
    ] {
        fs::write(config, text).unwrap();
        let ran = run(&serve);
        assert_eq!(ran.code, 2, "{text}: {ran:?}");
    }
    fs::write(config, "[access]\ndefault = \"deny\"").unwrap();
    assert_eq!(run(&["serve", "--config", config]).code, 2, "no address");
}
