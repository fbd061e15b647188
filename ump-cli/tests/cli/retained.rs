//! `ump pub --retain`, and later `ump sub`.

use serde_json::{Value, json};

use crate::support::{Hub, run, serve};

fn publish(address: &str, args: &[&str]) {
    let ran = run(&[&["pub", "--on", address], args].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

fn subscribe(address: &str, args: &[&str]) -> String {
    let ran = run(&[&["sub", "--on", address], args].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout
}

#[test]
fn a_hub_keeps_what_is_retained() {
    let (_hub, address) = serve();
    publish(&address, &["a", "--text", "one", "--retain"]);
    publish(&address, &["a", "--text", "two", "--retain"]);
    publish(&address, &["b", "--text", "three", "--retain-for", "1h"]);
    let shown = subscribe(&address, &["**", "-n", "2"]);
    assert_eq!(shown, "a two\t# retained\nb three\t# retained\n");
    let shown = subscribe(&address, &["--json", "a", "-n", "1"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["json"], &shown["retained"]),
        (&json!("two"), &json!(true))
    );
    // Removed, or not wanted.
    publish(&address, &["a", "--unretain"]);
    let shown = subscribe(&address, &["**", "-n", "1"]);
    assert_eq!(shown, "b three\t# retained\n");
    let shown = subscribe(&address, &["**", "--no-retained", "--for", "100ms"]);
    assert_eq!(shown, "");
}

#[test]
fn a_subscription_receives_what_is_retained_now() {
    let (_hub, address) = serve();
    let args = ["sub", "--on", &address, "**", "-n", "2"];
    let sub = crate::support::Ump::start_until(&args, "subscribed");
    publish(&address, &["a", "--text", "one", "--retain"]);
    publish(&address, &["a", "--text", "two", "--retain", "--json"]);
    assert_eq!(sub.end().stdout, "a one\na two\n");
}

#[test]
fn the_end_of_a_time_to_live_is_kept() {
    let (_hub, address) = serve();
    publish(&address, &["a", "--text", "one", "--retain-for", "0s"]);
    publish(&address, &["b", "--text", "two", "--retain"]);
    let shown = subscribe(&address, &["**", "-n", "1"]);
    assert_eq!(shown, "b two\t# retained\n");
}

#[test]
fn what_cannot_be_retained_is_an_error() {
    let hub = Hub::new();
    let ran = run(&["pub", "--on", &hub.unix, "a/*", "--text", "x", "--retain"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("not on a pattern"), "{ran:?}");
    let ran = run(&["pub", "--on", &hub.unix, "a", "--text", "x", "--unretain"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn a_refusal_to_retain_is_told() {
    use ump_router::{
        Router,
        link::sockets::{ListenOptions, Permission, Quota, Quotas, Rules, Who},
    };
    let hub = Router::new();
    let quotas = Quotas::new().limit(Quota::RetainedMessages, 1);
    let rules = Rules::allow_by_default()
        .deny(
            Who::Anyone,
            [Permission::Publish],
            "secret".parse().unwrap(),
        )
        .quotas(Who::Anyone, quotas);
    let options = ListenOptions::new().rules(rules);
    let listener = hub.listen_with("tcp:127.0.0.1:0", options).unwrap();
    let address = listener.address().to_string();
    publish(&address, &["a", "--text", "x", "--retain"]);
    let retain = |topic| run(&["pub", "--on", &address, topic, "--text", "x", "--retain"]);
    let ran = retain("b");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("retained messages"), "{ran:?}");
    let ran = retain("secret");
    assert_eq!(ran.code, 6, "{ran:?}");
}
