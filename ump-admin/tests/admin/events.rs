//! Streams of what changes.

use ump_admin::{Admin, AdminHandle};

use crate::{
    client::Connection,
    program::{Ask, Price, Program, router},
};

fn stream(admin: &AdminHandle) -> Connection {
    let mut connection = Connection::open(admin);
    connection.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = connection.head().unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    connection
}

#[test]
fn the_first_event_has_all_and_later_ones_what_changed() {
    let program = Program::start();
    let admin = program.admin().listen("127.0.0.1:0").unwrap();
    let mut stream = stream(&admin);
    let first = stream.event().unwrap();
    assert_eq!(first["total"], 2);
    assert_eq!(first["components"].as_array().unwrap().len(), 2);
    assert_eq!(program.client().req(Ask::Echo(1)), Ok(1));
    let next = stream.event().unwrap();
    assert_eq!(next["total"], 2);
    let changed = next["components"].as_array().unwrap();
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0]["name"], "store");
    assert_eq!(next["topics"], serde_json::Value::Null);
    drop(admin);
    program.stop();
}

#[test]
fn topics_come_again_when_one_has_changed() {
    let router = router();
    let admin = Admin::new().router(&router).listen("127.0.0.1:0").unwrap();
    let mut stream = stream(&admin);
    assert_eq!(stream.event().unwrap()["topics"]["total"], 2);
    router.publish("ada/eur", Price(1)).retain().wait().unwrap();
    let topics = &stream.event().unwrap()["topics"];
    assert_eq!(topics["total"], 3);
    assert_eq!(topics["items"].as_array().unwrap().len(), 3);
}

#[test]
fn one_stream_too_many_is_refused() {
    let admin = Admin::new().listen("127.0.0.1:0").unwrap();
    let streams: Vec<_> = (0..16).map(|_| stream(&admin)).collect();
    let mut connection = Connection::open(&admin);
    connection.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(connection.receive().unwrap().status, 503);
    drop(streams);
}
