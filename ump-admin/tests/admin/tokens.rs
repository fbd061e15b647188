//! Who may act, and who may read.

use ump_admin::{Address, Admin, ListenError};

use crate::{
    client::{Connection, get, request},
    program::{AUTHORIZED, TOKEN},
};

#[test]
fn without_a_token_it_is_read_only() {
    let admin = Admin::new().listen("127.0.0.1:0").unwrap();
    request(
        &admin,
        "POST /api/components/store/renew",
        &[AUTHORIZED],
        "",
    )
    .expect(403);
    request(&admin, "DELETE /api/retained?topic=a", &[AUTHORIZED], "").expect(403);
    get(&admin, "/api/info").expect(200);
}

#[test]
fn a_wrong_token_is_refused() {
    let admin = Admin::new().token(TOKEN).listen("127.0.0.1:0").unwrap();
    let status =
        |headers: &[&str]| request(&admin, "DELETE /api/retained?topic=a", headers, "").status;
    for header in [
        "X: y",
        "Authorization: Bearer",
        "Authorization: Bearer ",
        "Authorization: Bearer correct-horse-batterY",
        "Authorization: Bearer correct-horse",
        "Authorization: Bearer correct-horse-battery and more",
        "Authorization: Basic correct-horse-battery",
        "Authorization: correct-horse-battery",
    ] {
        assert_eq!(status(&[header]), 401, "{header}");
    }
    let refused = request(&admin, "DELETE /api/retained?topic=a", &[], "");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    // There is no router.
    assert_eq!(status(&[AUTHORIZED]), 404);
    assert_eq!(
        status(&["authorization: bearer correct-horse-battery"]),
        404
    );
    get(&admin, "/api/info").expect(200);
}

#[test]
fn other_hosts_need_a_token_to_read() {
    let error = Admin::new().listen("0.0.0.0:0").unwrap_err();
    assert!(matches!(error, ListenError::NeedsToken(_)), "{error}");
    let admin = Admin::new().token(TOKEN).listen("0.0.0.0:0").unwrap();
    let Address::Tcp(address) = admin.address() else {
        panic!("{admin:?}");
    };
    let ask = |path: &str, header: &str| {
        let mut connection =
            Connection::to(&format!("127.0.0.1:{}", address.port()).parse().unwrap());
        connection.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n"
        ));
        connection.receive().unwrap().status
    };
    for path in ["/api/info", "/metrics", "/api/components", "/events"] {
        assert_eq!(ask(path, ""), 401, "{path}");
    }
    assert_eq!(ask("/api/info", &format!("{AUTHORIZED}\r\n")), 200);
    // These reveal nothing.
    for path in ["/", "/app.js", "/health", "/ready", "/openapi.json"] {
        assert_eq!(ask(path, ""), 200, "{path}");
    }
}

#[test]
fn a_token_is_long_and_visible() {
    for token in [
        "",
        "short",
        "fifteen bytes..",
        "sixteen and \u{e4}....",
        "sixteen bytes\r\nX",
    ] {
        let error = Admin::new().token(token).listen("127.0.0.1:0").unwrap_err();
        assert!(matches!(error, ListenError::Token), "{token:?}: {error}");
    }
}
