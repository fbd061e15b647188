//! What can be read.

use serde_json::{Value, json};
use ump_admin::Admin;
use ump_router::{Router, SubscribeOptions, WhenFull};

use crate::{
    client::{get, request},
    program::{Ask, Double, Price, Program, router},
};

/// Asks until the value is as it should be: a snapshot may be a little old.
fn await_value(ask: impl Fn() -> Value, is_it: impl Fn(&Value) -> bool) -> Value {
    loop {
        let value = ask();
        if is_it(&value) {
            return value;
        }
        std::thread::yield_now();
    }
}

#[test]
fn components_are_shown_with_what_is_in_hand() {
    let program = Program::start();
    let admin = program.admin().listen("127.0.0.1:0").unwrap();
    let client = program.client();
    assert_eq!(client.req(Ask::Echo(7)), Ok(7));
    let line = line!() + 1;
    let held = client.request(Ask::Hold).submit().wait().unwrap();
    program.held.recv().unwrap();
    let queued = client.request(Ask::Echo(1)).submit().wait().unwrap();
    let store = await_value(
        || get(&admin, "/api/components/store").expect(200).json(),
        |it| it["instances"][0]["requests"]["queued"] == 1,
    );
    let instance = &store["instances"][0];
    assert_eq!(store["state"], "up");
    assert_eq!(instance["capacity"], 4);
    assert_eq!(instance["requests"]["replied"], 1);
    assert_eq!(instance["requests"]["taken"], 1);
    let call = &instance["workers"][0]["in_hand"];
    let caller = call["caller"].as_str().unwrap();
    assert!(caller.contains(&format!("rest.rs:{line}:")), "{caller}");
    assert_eq!(call["is_running"], true);
    program.gate.send(()).unwrap();
    assert_eq!((held.wait(), queued.wait()), (Ok(0), Ok(1)));

    let all = get(&admin, "/api/components").expect(200).json();
    let names: Vec<_> = all["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["store", "search"]);
    assert_eq!(all["components"][1]["needs"], json!(["store"]));
    get(&admin, "/api/components/other").expect(404);
    drop(admin);
    program.stop();
}

#[test]
fn a_restart_is_shown_with_its_reason() {
    let program = Program::start();
    let admin = program.admin().listen("127.0.0.1:0").unwrap();
    assert!(program.client().req(Ask::Panic).is_err());
    let store = await_value(
        || get(&admin, "/api/components/store").expect(200).json(),
        |it| it["instances"][0]["restarts"] == 1,
    );
    let instance = &store["instances"][0];
    assert_eq!(instance["requests"]["panicked"], 1);
    let reason = instance["last_failure"].as_str().unwrap();
    assert!(reason.contains("as asked"), "{reason}");
    let failures = instance["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0]["reason"], reason);
    assert_eq!(failures[0]["decision"], "restart");
    assert_eq!(failures[0]["pause_s"], 0.0);
    drop(admin);
    program.stop();
}

#[test]
fn a_stall_is_shown_with_its_caller() {
    let program = Program::start_watched();
    let admin = program.admin().listen("127.0.0.1:0").unwrap();
    let held = program.client().request(Ask::Hold).submit().wait().unwrap();
    program.held.recv().unwrap();
    let look = || get(&admin, "/api/components/store").expect(200).json();
    let last = |it: &Value| {
        let stalls = it["instances"][0]["stalls"].as_array().unwrap();
        stalls.last().cloned().unwrap_or_default()
    };
    let store = await_value(look, |it| last(it)["is_over"] == false);
    let stall = last(&store);
    assert!(stall["caller"].as_str().unwrap().contains("rest.rs:"));
    assert!(stall["elapsed_s"].as_f64() >= Some(0.02), "{stall}");
    program.gate.send(()).unwrap();
    assert_eq!(held.wait(), Ok(0));
    await_value(look, |it| last(it)["is_over"] == true);
    drop(admin);
    program.stop();
}

#[test]
fn health_and_readiness_follow_the_components() {
    let program = Program::start();
    let admin = program.admin().listen("127.0.0.1:0").unwrap();
    assert_eq!(
        get(&admin, "/health").expect(200).json(),
        json!({ "healthy": true })
    );
    assert_eq!(
        get(&admin, "/ready").expect(200).json(),
        json!({ "ready": true })
    );
    let stopped = program.system.stop_component(
        "search",
        ump_server::Stop::Drain,
        std::time::Duration::from_secs(60),
    );
    assert!(stopped.unwrap().wait().is_clean());
    await_value(|| get(&admin, "/ready").json(), |it| it["ready"] == false);
    get(&admin, "/ready").expect(503);
    get(&admin, "/health").expect(200);
    drop(admin);
    program.stop();
}

#[test]
fn topics_are_shown_with_who_is_slow() {
    let router = router();
    let options = SubscribeOptions::new()
        .capacity(1)
        .when_full(WhenFull::DropOldest);
    let slow = router.subscribe_with::<Price>("*/eur", options).unwrap();
    let server = router.serve::<Double>("here").unwrap();
    for price in 0..3 {
        router.publish("eth/eur", Price(price)).wait().unwrap();
    }
    let admin = Admin::new().router(&router).listen("127.0.0.1:0").unwrap();
    let subscriptions = get(&admin, "/api/subscriptions").expect(200).json();
    let it = &subscriptions["items"][0];
    assert_eq!(it["patterns"], json!(["price/*/eur"]));
    assert_eq!((&it["depth"], &it["missed"]), (&json!(1), &json!(2)));
    assert_eq!(it["owner"], "program");
    assert_eq!(it["when_full"], "drop_oldest");
    let servers = get(&admin, "/api/servers").expect(200).json();
    assert_eq!(servers["items"][0]["topic"], "double/here");
    let topics = get(&admin, "/api/topics").expect(200).json();
    let slow_topic = topics["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["topic"] == "price/*/eur");
    assert_eq!(slow_topic.unwrap()["missed"], 2);
    assert_eq!(topics["total"], 4);
    assert_eq!(
        get(&admin, "/api/links").expect(200).json(),
        json!({ "links": [] })
    );
    drop((slow, server));
}

#[test]
fn lists_come_in_pages() {
    let router = router();
    let admin = Admin::new().router(&router).listen("127.0.0.1:0").unwrap();
    let page = get(&admin, "/api/retained?limit=1").expect(200).json();
    assert_eq!(page["items"][0]["topic"], "price/btc/eur");
    assert_eq!((&page["total"], &page["next"]), (&json!(2), &json!(1)));
    let page = get(&admin, "/api/retained?limit=1&offset=1")
        .expect(200)
        .json();
    assert_eq!(page["items"][0]["topic"], "price/eth/eur");
    assert_eq!(page["next"], Value::Null);
    for query in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "offset=-1",
        "offset=1000000001",
        "other=1",
    ] {
        get(&admin, &format!("/api/retained?{query}")).expect(400);
    }
    let last = get(&admin, "/api/retained?offset=1000000000")
        .expect(200)
        .json();
    assert_eq!(last["items"], json!([]));
}

#[test]
fn links_are_shown_with_their_peers() {
    let (hub, leaf) = (Router::new(), Router::new());
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let link = leaf.connect(listener.address()).unwrap();
    assert!(link.opened().wait());
    for router in [&hub, &leaf] {
        let admin = Admin::new().router(router).listen("127.0.0.1:0").unwrap();
        let links = await_value(
            || get(&admin, "/api/links").expect(200).json(),
            |it| it["links"][0]["is_ready"] == true,
        );
        assert_eq!(links["links"][0]["state"], "open");
        assert!(links["links"][0]["received"]["bytes"].as_u64().unwrap() > 0);
    }
    drop(link);
}

#[test]
fn two_patterns_are_explained() {
    let admin = Admin::new().listen("127.0.0.1:0").unwrap();
    let relation = get(&admin, "/api/explain?one=a/*&other=a/b")
        .expect(200)
        .json();
    assert_eq!(relation["intersect"], true);
    assert!(relation["explanation"].as_str().unwrap().contains("'a/b'"));
    get(&admin, "/api/explain?one=a%20b&other=a").expect(400);
    get(&admin, "/api/explain?one=a").expect(400);
}

#[test]
fn the_program_adds_sections_and_facts() {
    let admin = Admin::new()
        .section("participants", || json!(["a", "b"]))
        .section("panics", || panic!("as asked"))
        .info("commit", "0123abc")
        .listen("127.0.0.1:0")
        .unwrap();
    assert_eq!(
        get(&admin, "/api/sections").json(),
        json!({ "sections": ["panics", "participants"] })
    );
    assert_eq!(
        get(&admin, "/api/sections/participants").expect(200).json(),
        json!(["a", "b"])
    );
    get(&admin, "/api/sections/panics").expect(500);
    get(&admin, "/api/sections/other").expect(404);
    let info = get(&admin, "/api/info").expect(200).json();
    assert_eq!(info["program_info"], json!({ "commit": "0123abc" }));
    assert_eq!(info["pid"], std::process::id());
    assert_eq!(info["allows_actions"], false);
}

#[test]
fn help_has_the_routes_and_errors_lead_to_it() {
    let admin = Admin::new().listen("127.0.0.1:0").unwrap();
    let help = get(&admin, "/api/help").expect(200).json();
    let has = |path: &str| {
        help["routes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["path"] == path)
    };
    assert!(has("/api/help") && has("/events") && has("/api/retained"));
    let lost = get(&admin, "/api/helpp").expect(404);
    assert_eq!(
        lost.header("content-type"),
        Some("application/problem+json")
    );
    assert!(
        lost.json()["detail"]
            .as_str()
            .unwrap()
            .contains("/api/help")
    );
    request(&admin, "PATCH /api/help", &[], "").expect(405);
}

#[test]
fn the_page_needs_nothing_from_outside() {
    let admin = Admin::new().listen("127.0.0.1:0").unwrap();
    for (path, kind) in [
        ("/", "text/html"),
        ("/style.css", "text/css"),
        ("/app.js", "text/javascript"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let file = get(&admin, path).expect(200);
        assert!(file.header("content-type").unwrap().starts_with(kind));
        let policy = file.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        // The names of XML are no addresses that are fetched.
        let text = file.body.replace("http://www.w3.org/", "");
        assert!(
            !text.contains("http://") && !text.contains("https://"),
            "{path}"
        );
    }
}
