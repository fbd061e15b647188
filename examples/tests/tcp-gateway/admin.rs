//! The admin surface of the gateway.

use serde_json::Value;

use crate::{
    process::ask_admin,
    support::{ok, start, until},
};

#[test]
fn the_admin_surface_shows_the_loops_and_the_store() {
    let flags = ["--admin", "unix:admin.sock", "--workers", "2"];
    let (folder, gateway) = start(&flags);
    let socket = folder.path().join("admin.sock");
    let get = |path: &str| -> Value {
        let body = ask_admin(&socket, path).unwrap();
        serde_json::from_str(&body).unwrap()
    };
    let component = get("/api/components/gateway");
    assert_eq!(component["instances"].as_array().unwrap().len(), 2);
    let mut connection = gateway.connect();
    assert_eq!(connection.ask(&["SET", "a", "1"]), ok());
    until("the request", || {
        let store = get("/api/components/storage");
        let replied = store["instances"][0]["requests"]["replied"].as_u64();
        (replied > Some(0)).then_some(())
    });
    until("the socket", || {
        let sockets = get("/api/sockets").to_string();
        sockets.contains("127.0.0.1").then_some(())
    });
    drop(connection);
    gateway.stop();
    assert!(!socket.exists());
}
