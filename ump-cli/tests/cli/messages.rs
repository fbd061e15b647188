//! `ump pub` and `ump sub`.

use rustix::process::Signal;
use serde_json::{Value, json};
use ump_router::SubscribeOptions;

use crate::support::{Hub, Price, Ump, run, run_with_input};

#[test]
fn pub_reaches_a_subscription_of_the_hub() {
    let hub = Hub::new();
    for address in [&hub.unix, &hub.tcp] {
        let mut prices = hub.router.subscribe::<Price>("eth/*").unwrap();
        let ran = run(&[
            "pub",
            "--on",
            address,
            "price/eth/eur",
            "--json-payload",
            "3000.5",
        ]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert_eq!(*prices.recv().wait().unwrap(), Price(3000.5));
    }
}

#[test]
fn pub_repeats_and_counts() {
    let hub = Hub::new();
    let mut prices = hub.router.subscribe::<Price>("**").unwrap();
    let on = [
        "pub",
        "--json",
        "--on",
        &hub.unix,
        "price/a",
        "--json-payload",
        "1.5",
    ];
    let ran = run(&[&on[..], &["--repeat", "3", "--rate", "1000"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let result: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(result, json!({"published": 3, "sent": 3, "missed": 0}));
    for _ in 0..3 {
        assert_eq!(*prices.recv().wait().unwrap(), Price(1.5));
    }
}

#[test]
fn pub_sends_lines_of_the_standard_input() {
    let hub = Hub::new();
    let mut prices = hub.router.subscribe::<Price>("**").unwrap();
    let args = ["pub", "--on", &hub.unix, "price/a", "-", "--json-lines"];
    let ran = run_with_input(&args, "1.0\n2.0\n3.0");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    for expected in [1.0, 2.0, 3.0] {
        assert_eq!(*prices.recv().wait().unwrap(), Price(expected));
    }
    let ran = run_with_input(&args, "1.0\nx\n");
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn pub_waits_for_slow_subscriptions() {
    let hub = Hub::new();
    let options = SubscribeOptions::new().capacity(5000);
    let prices = hub.router.subscribe_with::<Price>("**", options);
    let mut prices = prices.unwrap();
    let counting = std::thread::spawn(move || {
        // A gap would be an error.
        (0..5000).for_each(|_| drop(prices.recv().wait().unwrap()));
    });
    let args = [
        "pub",
        "--on",
        &hub.unix,
        "price/a",
        "--json-payload",
        "1.5",
        "--json",
    ];
    let ran = run(&[&args[..], &["--repeat", "5000", "--patience", "60s"]].concat());
    let result: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        result,
        json!({"published": 5000, "sent": 5000, "missed": 0})
    );
    counting.join().unwrap();
}

#[test]
fn pub_to_nobody_is_done_and_wait_times_out() {
    let hub = Hub::new();
    let args = ["pub", "--on", &hub.unix, "price/a", "--text", "1"];
    let ran = run(&args);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("nobody"), "{}", ran.stderr);
    let ran = run(&[&args[..], &["--wait", "50ms"]].concat());
    assert_eq!(ran.code, 5, "{ran:?}");
}

#[test]
fn sub_prints_a_line_a_message() {
    let hub = Hub::new();
    let args = ["sub", "--on", &hub.tcp, "price/**", "-n", "2"];
    let sub = Ump::start_until(&args, "subscribed");
    hub.router.publish("eth/eur", Price(1.5)).wait().unwrap();
    hub.router.publish("btc", Price(2.0)).wait().unwrap();
    let ran = sub.end();
    assert_eq!(ran.code, 0);
    assert_eq!(ran.stdout, "price/eth/eur 1.5\nprice/btc 2.0\n");
}

#[test]
fn sub_prints_json() {
    let hub = Hub::new();
    let args = ["--json", "sub", "--on", &hub.unix, "price/**", "-n", "1"];
    let sub = Ump::start_until(&args, "subscribed");
    hub.router.publish("eth/eur", Price(1.5)).wait().unwrap();
    let ran = sub.end();
    let line: Value = serde_json::from_str(&ran.stdout).unwrap();
    let expected =
        json!({"topic": "price/eth/eur", "retained": false, "codec": "cbor", "json": 1.5});
    assert_eq!((ran.code, line), (0, expected));
}

#[test]
fn sub_ends_in_time() {
    let hub = Hub::new();
    let args = ["sub", "--on", &hub.unix, "price/**", "--for", "50ms"];
    let ran = run(&args);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    let ran = run(&[&args[..], &["-n", "1"]].concat());
    assert_eq!(ran.code, 5, "{ran:?}");
}

#[test]
fn sub_ends_quietly_when_its_reader_has_gone() {
    let hub = Hub::new();
    let mut sub = Ump::start_without_reader(&["sub", "--on", &hub.unix, "price/**"]);
    sub.wait_for("subscribed");
    hub.router.publish("a", Price(1.0)).wait().unwrap();
    let ran = sub.end();
    assert_eq!((ran.code, ran.stderr.lines().count()), (0, 1), "{ran:?}");
}

#[test]
fn a_command_that_fails_interrupts_no_subscription() {
    let hub = Hub::new();
    let mut prices = hub.router.subscribe::<Price>("**").unwrap();
    for _ in 0..5 {
        let ran = run(&["req", "--on", &hub.unix, "nobody/a", "--text", "x"]);
        assert_eq!(ran.code, 3, "{ran:?}");
    }
    hub.router.publish("a", Price(1.5)).wait().unwrap();
    assert_eq!(*prices.recv().wait().unwrap(), Price(1.5));
}

#[test]
fn a_subscription_that_is_stopped_interrupts_no_other() {
    let hub = Hub::new();
    let mut prices = hub.router.subscribe::<Price>("**").unwrap();
    for signal in [Signal::INT, Signal::TERM] {
        let sub = Ump::start_until(&["sub", "--on", &hub.unix, "price/**"], "subscribed");
        sub.signal(signal);
        assert_eq!(sub.end().code, 0);
    }
    hub.router.publish("a", Price(1.5)).wait().unwrap();
    assert_eq!(*prices.recv().wait().unwrap(), Price(1.5));
}
