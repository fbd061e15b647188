//! The log in the surface: records, the stream of them, the filter.

use std::time::Duration;

use tracing::Dispatch;
use tracing_subscriber::{Registry, layer::SubscriberExt as _};
use ump_admin::{
    Admin, AdminHandle,
    log::{Builder, Format, Guard},
};

use crate::{
    client::{Connection, get, request},
    program::{AUTHORIZED, TOKEN},
};

const JSON: &str = "Content-Type: application/json";

/// A log that keeps the last 300 records, and the admin surface that shows it.
struct Logged {
    log: Dispatch,
    guard: Guard,
    admin: AdminHandle,
}

impl Logged {
    fn start() -> Self {
        let (layer, guard) = Builder::new().tail(300, Format::Text).start().unwrap();
        let log = Dispatch::new(Registry::default().with(layer));
        let admin = Admin::new().log(&guard).token(TOKEN);
        let admin = admin.listen("127.0.0.1:0").unwrap();
        Self { log, guard, admin }
    }

    /// Makes records, and waits until they are kept.
    fn write(&self, records: impl FnOnce()) {
        tracing::dispatcher::with_default(&self.log, records);
        self.guard.flush(Duration::from_secs(60)).unwrap();
    }

    fn texts(&self, query: &str) -> Vec<String> {
        let page = get(&self.admin, &format!("/api/log/records?{query}")).expect(200);
        let records = page.json()["records"].as_array().unwrap().clone();
        let text = |it: &serde_json::Value| it["text"].as_str().unwrap().to_owned();
        records.iter().map(text).collect()
    }

    fn stream(&self, query: &str) -> Connection {
        let mut connection = Connection::open(&self.admin);
        connection.send(&format!(
            "GET /events/log?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ));
        assert_eq!(connection.head().unwrap().status, 200);
        connection
    }
}

/// Lets an admin surface show a log with three records.
pub(crate) fn shown(admin: Admin) -> (Admin, Guard) {
    let (layer, guard) = Builder::new().tail(300, Format::Json).start().unwrap();
    let log = Dispatch::new(Registry::default().with(layer));
    tracing::dispatcher::with_default(&log, three);
    guard.flush(Duration::from_secs(60)).unwrap();
    (admin.log(&guard), guard)
}

fn three() {
    tracing::info!(target: "shop::orders", article = "tea", "sold");
    tracing::warn!(target: "shop::orders", "few are left");
    tracing::error!(target: "mail", "not sent");
}

#[test]
fn the_last_records_are_shown_filtered() {
    let logged = Logged::start();
    logged.write(three);
    let page = get(&logged.admin, "/api/log/records").expect(200).json();
    assert_eq!(page["next"], 3);
    assert_eq!(page["missed"], 0);
    let first = &page["records"][0];
    assert_eq!(
        (&first["number"], &first["cut_bytes"]),
        (&0.into(), &0.into())
    );
    assert_eq!(first["level"], "info");
    assert_eq!(first["target"], "shop::orders");
    assert!(
        first["text"]
            .as_str()
            .unwrap()
            .ends_with("sold article=tea")
    );
    assert_eq!(logged.texts("level=warn").len(), 2);
    assert_eq!(logged.texts("target=shop::").len(), 2);
    assert_eq!(logged.texts("text=ARTICLE").len(), 1);
    assert_eq!(logged.texts("level=warn&target=shop&text=few").len(), 1);
    let last = logged.texts("limit=1");
    assert!(last[0].ends_with("not sent"), "{last:?}");
    for wrong in ["limit=0", "limit=1001", "level=loud", "x=1"] {
        get(&logged.admin, &format!("/api/log/records?{wrong}")).expect(400);
    }
}

#[test]
fn a_long_record_is_cut() {
    let logged = Logged::start();
    logged.write(|| tracing::info!(target: "x", "{}", "y".repeat(20_000)));
    let page = get(&logged.admin, "/api/log/records").expect(200).json();
    let record = &page["records"][0];
    assert_eq!(record["text"].as_str().unwrap().len(), 8192);
    assert!(record["cut_bytes"].as_u64().unwrap() > 11_000);
}

#[test]
fn a_stream_has_the_last_records_and_then_those_that_come() {
    let logged = Logged::start();
    logged.write(three);
    let mut stream = logged.stream("level=warn&limit=1");
    let first = stream.event().unwrap();
    assert_eq!(first["records"].as_array().unwrap().len(), 1);
    assert_eq!(first["records"][0]["target"], "mail");
    assert_eq!((&first["missed"], &first["next"]), (&0.into(), &3.into()));
    logged.write(|| {
        tracing::info!(target: "mail", "not wanted");
        tracing::warn!(target: "mail", "late");
    });
    let next = stream.event().unwrap();
    assert_eq!(next["records"].as_array().unwrap().len(), 1);
    assert_eq!(next["records"][0]["number"], 4);
}

#[test]
fn a_stream_counts_what_it_leaves_out() {
    let logged = Logged::start();
    let mut stream = logged.stream("");
    assert_eq!(stream.event().unwrap()["records"], serde_json::json!([]));
    logged.write(|| (0..2000).for_each(|n| tracing::info!(target: "mail", n, "sent")));
    let (mut received, mut missed) = (0, 0);
    loop {
        let event = stream.event().unwrap();
        received += event["records"].as_array().unwrap().len() as u64;
        missed += event["missed"].as_u64().unwrap();
        if event["next"] == 2000 {
            break;
        }
    }
    // At most 300 are kept, and 250 are in an event.
    assert_eq!(received + missed, 2000);
}

#[test]
fn the_filter_is_replaced_with_the_token_only() {
    let logged = Logged::start();
    let set = |headers: &[&str], body: &str| {
        request(&logged.admin, "PUT /api/log/filter", headers, body).status
    };
    assert_eq!(set(&[JSON], "{\"filter\":\"debug\"}"), 401);
    assert_eq!(set(&[AUTHORIZED, JSON], "{\"filter\":\"a=b=c\"}"), 400);
    assert_eq!(set(&[AUTHORIZED, JSON], "{\"level\":\"debug\"}"), 422);
    let long = format!("{{\"filter\":\"{}\"}}", "a".repeat(4097));
    assert_eq!(set(&[AUTHORIZED, JSON], &long), 400);
    let state = || get(&logged.admin, "/api/log").expect(200).json();
    assert_eq!(state()["filter"], "info");
    assert_eq!(set(&[AUTHORIZED, JSON], "{\"filter\":\"mail=debug\"}"), 204);
    assert_eq!(state()["filter"], "mail=debug");
    assert_eq!(state()["keeps_records"], true);
    logged.write(|| {
        tracing::debug!(target: "mail", "wanted");
        tracing::info!(target: "shop", "not wanted");
    });
    assert_eq!(logged.texts("").len(), 1);
    assert_eq!(state()["sinks"][0]["written"], 1);
    let metrics = get(&logged.admin, "/metrics").expect(200).body;
    let name = state()["sinks"][0]["name"].as_str().unwrap().to_owned();
    let line = format!("ump_log_written_total{{sink=\"0\",name=\"{name}\"}} 1\n");
    assert!(metrics.contains(&line), "{metrics}");
}

#[test]
fn without_a_log_or_its_records_there_are_none() {
    let admin = Admin::new().token(TOKEN).listen("127.0.0.1:0").unwrap();
    for path in ["/api/log", "/api/log/records", "/events/log"] {
        get(&admin, path).expect(404);
    }
    let body = "{\"filter\":\"info\"}";
    request(&admin, "PUT /api/log/filter", &[AUTHORIZED, JSON], body).expect(404);
    assert_eq!(get(&admin, "/api/info").json()["shows_log"], false);

    let (_layer, guard) = Builder::new().start::<Registry>().unwrap();
    let admin = Admin::new().log(&guard).listen("127.0.0.1:0").unwrap();
    assert_eq!(get(&admin, "/api/info").json()["shows_log"], true);
    assert_eq!(get(&admin, "/api/log").json()["keeps_records"], false);
    get(&admin, "/api/log/records").expect(404);
    get(&admin, "/events/log").expect(404);
}
