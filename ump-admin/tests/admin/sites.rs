//! Requests that the pages of other sites send.

use ump_admin::Admin;

use crate::client::{Connection, get, request};

fn status(host: &str) -> u16 {
    let admin = Admin::new()
        .host("Admin.example")
        .listen("127.0.0.1:0")
        .unwrap();
    let mut connection = Connection::open(&admin);
    connection.send(&format!("GET /api/info HTTP/1.1\r\n{host}\r\n"));
    connection.receive().unwrap().status
}

#[test]
fn only_names_that_are_known_are_hosts() {
    for host in [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1",
        "192.0.2.1:7070",
        "[::1]:7070",
        "admin.example:80",
    ] {
        assert_eq!(status(&format!("Host: {host}\r\n")), 200, "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        ":80",
        "localhost@evil",
    ] {
        assert_eq!(status(&format!("Host: {host}\r\n")), 421, "{host}");
    }
    assert_eq!(status("Host: localhost\r\nHost: evil.example\r\n"), 400);
}

#[test]
fn a_target_with_a_foreign_name_is_refused() {
    let admin = Admin::new().listen("127.0.0.1:0").unwrap();
    request(&admin, "GET http://evil.example/api/info", &[], "").expect(421);
    request(&admin, "GET http://localhost/api/info", &[], "").expect(200);
}

#[test]
fn requests_of_other_origins_are_refused() {
    let admin = Admin::new().listen("127.0.0.1:0").unwrap();
    let status = |headers: &[&str]| request(&admin, "GET /api/info", headers, "").status;
    assert_eq!(status(&["Origin: http://localhost"]), 200);
    assert_eq!(status(&["Sec-Fetch-Site: same-origin"]), 200);
    assert_eq!(status(&["Sec-Fetch-Site: none"]), 200);
    assert_eq!(
        status(&["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"]),
        200
    );
    for headers in [
        &["Origin: http://evil.example"][..],
        &["Origin: http://localhost:1"],
        &["Origin: null"],
        &["Origin: localhost"],
        &["Sec-Fetch-Site: cross-site"],
        &["Sec-Fetch-Site: same-site"],
        &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"],
    ] {
        assert_eq!(status(headers), 403, "{headers:?}");
    }
    get(&admin, "/api/info").expect(200);
}
