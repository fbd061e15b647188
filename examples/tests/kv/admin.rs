//! The admin surface of the service.

use std::net::SocketAddr;

use serde_json::json;

use crate::support::{Folder, http::request, program, run, start, until};

#[test]
fn the_admin_surface_shows_the_store_and_the_watchers() {
    let (_folder, service) = start(&["--admin", "127.0.0.1:0"]);
    let said = service.wait_for_stderr("kv: admin at http://");
    let (_, address) = said.last().unwrap().rsplit_once('/').unwrap();
    let address: SocketAddr = address.trim().parse().unwrap();
    let get = |path: &str| request(address, "GET", path, b"").unwrap();
    assert_eq!(service.put("/kv/a", b"v").status, 204);
    until("the request", || {
        let store = get("/api/components/storage").json();
        let instance = &store["instances"][0];
        (instance["requests"]["replied"].as_u64() > Some(0)).then_some(())
    });
    assert_eq!(get("/health").json(), json!({ "healthy": true }));
    assert_eq!(get("/").status, 200);
    assert_eq!(get("/api/topics").json()["total"], 0);
    let put = request(address, "POST", "/api/components/storage/renew", b"").unwrap();
    assert_eq!(put.status, 403);
}

#[test]
fn the_admin_surface_needs_an_address_of_this_machine() {
    let folder = Folder::new();
    let mut command = std::process::Command::new(program());
    command.args(["--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"]);
    let output = run(&folder, &mut command);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("loopback"), "{said}");
}
