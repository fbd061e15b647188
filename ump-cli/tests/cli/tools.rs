//! `ump ls`, `doctor`, `explain` and `generate`.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Double, Hub, Price, run};

fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn ls_lists_what_the_hub_tells() {
    let hub = Hub::new();
    let _prices = hub.router.subscribe::<Price>("eth/*").unwrap();
    let _server = hub.router.serve::<Double>("here").unwrap();
    let ran = run(&["ls", "--on", &hub.unix]);
    let expected = "subscription price/eth/*\nserved       double/here\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (0, expected));
    let ran = run(&["ls", "--on", &hub.unix, "--json"]);
    let expected = [
        json!({"subscription": "price/eth/*"}),
        json!({"served": "double/here"}),
    ];
    assert_eq!((ran.code, lines(&ran.stdout)), (0, expected.to_vec()));
}

#[test]
fn doctor_names_the_step_that_fails() {
    let steps = |args: &[&str]| {
        let args = [&["doctor", "--json", "--connect-timeout", "2s"], args].concat();
        let ran = run(&args);
        let lines = lines(&ran.stdout);
        for line in &lines {
            assert_eq!(
                line["ok"] == json!(true),
                line["advice"].is_null(),
                "{line}"
            );
        }
        let last = lines.last().unwrap();
        (ran.code, last["step"].clone(), last["ok"].clone())
    };
    let hub = Hub::new();
    let _prices = hub.router.subscribe::<Price>("**").unwrap();
    assert_eq!(steps(&["--on", &hub.tcp]), (0, json!("told"), json!(true)));
    assert_eq!(
        steps(&["--on", &hub.unix, "price/a"]),
        (0, json!("type"), json!(true))
    );
    assert_eq!(
        steps(&["--on", &hub.unix, "prise/a"]),
        (3, json!("type"), json!(false))
    );
    let missing = format!("{}x", hub.unix);
    assert_eq!(
        steps(&["--on", &missing]),
        (6, json!("resolve"), json!(false))
    );
    let no_host = ["--on", "tcp:no.such.host.invalid:1"];
    assert_eq!(steps(&no_host), (6, json!("resolve"), json!(false)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    assert_eq!(
        steps(&["--on", &address]),
        (6, json!("hello"), json!(false))
    );
    drop(listener);
    assert_eq!(
        steps(&["--on", &address]),
        (6, json!("connect"), json!(false))
    );
}

#[test]
fn explain_needs_no_server() {
    let ran = run(&["explain", "a/*", "**/b"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, "'a/*' and '**/b' overlap: both match 'a/b'\n")
    );
    let ran = run(&["explain", "--json", "a/b", "a/c"]);
    let value = &lines(&ran.stdout)[0];
    assert_eq!(
        (&value["relation"], &value["common_topic"]),
        (&json!("disjoint"), &Value::Null)
    );
}

#[test]
fn completions_and_man_pages_are_generated() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(&["generate", "completions", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains("doctor"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&["generate", "man", folder.path().to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for page in ["ump.1", "ump-sub.1", "ump-doctor.1"] {
        assert!(
            fs::read_to_string(folder.path().join(page))
                .unwrap()
                .contains(".SH")
        );
    }
}
