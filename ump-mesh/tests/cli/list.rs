//! `ump-mesh ls`.

use serde_json::json;
use ump_mesh::{
    ump_router::ServeOptions,
    zenoh::{self, Wait as _},
};

use crate::support::{Double, Price, config, domain, eventually, join, run, run_until};

#[test]
fn ls_lists_the_participants_with_what_they_have() {
    let domain = domain();
    let (one, own) = join(config(&domain).name("one"));
    let (two, other) = join(config(&domain).name("two\u{1b}"));
    let _prices = one.subscribe::<Price>("eth/*").unwrap();
    let server = one.serve::<Double>("a").unwrap();
    eventually("the server is known", || {
        two.pin::<Double>("a").unwrap().is_some()
    });
    let options = ServeOptions::new().standby();
    let standby = two.serve_with::<Double>("a", options).unwrap();
    assert!(standby.is_standing_by());

    let words = format!("ls --domain {domain}");
    let ran = run_until(&format!("{words} --json"), |ran| {
        let objects = ran.objects();
        objects.len() == 2
            && objects[0]["subscriptions"] == json!(["price/eth/*"])
            && objects[0]["serves"] == json!(["double/a"])
            && objects[1]["stands_by"] == json!(["double/a"])
    });
    assert_eq!(ran.code, Some(0));
    let objects = ran.objects();
    assert_eq!(objects[0]["name"], json!("one"));
    assert_eq!(objects[0]["id"], json!(own.id().to_string()));
    assert_eq!(objects[0]["pid"], json!(std::process::id()));
    assert_eq!(objects[0]["stands_by"], json!([]));
    assert!(objects[0]["age_ms"].is_u64() && objects[0]["host"].is_string());
    assert_eq!(objects[1]["name"], json!("two\u{1b}"));
    // It takes no part.
    assert_eq!(
        (own.participants().len(), other.participants().len()),
        (1, 1)
    );

    let served = "\n  served       double/a\n";
    let ran = run_until(&words, |ran| ran.stdout.contains(served));
    assert!(ran.stdout.starts_with("one on "), "{ran:?}");
    assert!(
        ran.stdout.contains("\n  subscription price/eth/*\n"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("\ntwo\\u{1b} on "), "{ran:?}");
    drop(server);
}

#[test]
fn ls_shows_a_plain_zenoh_program_that_subscribes() {
    let domain = domain();
    let mut config = zenoh::Config::default();
    let port = ump_mesh::group(&domain);
    let mut set = |key: &str, value: String| config.insert_json5(key, &value).unwrap();
    set("namespace", format!("\"ump/{domain}\""));
    set("scouting/multicast/address", format!("\"{port}\""));
    set("scouting/multicast/interface", "\"127.0.0.1\"".to_owned());
    set("listen/endpoints", "[\"tcp/127.0.0.1:0\"]".to_owned());
    let session = zenoh::open(config).wait().unwrap();
    let token = session
        .liveliness()
        .declare_token("@ump/1/s/2a/1/=price/=a");
    let _token = token.wait().unwrap();
    let words = format!("ls --domain {domain}");
    let ran = run_until(&words, |ran| !ran.stdout.is_empty());
    let expected =
        "a plain zenoh program, 0000000000000000000000000000002a\n  subscription price/a\n";
    assert_eq!(ran.stdout, expected);
}

#[test]
fn ls_of_an_empty_domain_says_so() {
    let words = format!("ls --wait 1ms --domain {}", domain());
    let ran = run(&words);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert!(ran.stderr.contains("ump mesh doctor"), "{ran:?}");
    let ran = run(&format!("{words} --json"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_wrong_configuration_exits_with_2() {
    for words in [
        "ls --domain a/b",
        "doctor --domain a/b",
        "ls --interface no-such-interface",
        "ls --wait 2h",
        "ls --zenoh-file /no/such/file",
        "nothing",
    ] {
        assert_eq!(run(words).code, Some(2), "{words}");
    }
    let ran = run("ls --domain a/b --json");
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["exit"], json!(2));
}
