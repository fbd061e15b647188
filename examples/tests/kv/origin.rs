//! Requests that a browser sends for web pages of other origins.

use crate::support::{raw, start};

#[test]
fn only_own_pages_may_send_requests() {
    let (_folder, service) = start(&[
        "--host",
        "KV.example.org",
        "--origin",
        "https://example.net",
    ]);
    let address = service.address();
    let port = address.port();
    let own = format!("Host: {address}");
    let localhost = format!("Host: LocalHost:{port}");
    let same = format!("Origin: http://{address}");
    let other_port = format!("Origin: http://127.0.0.1:{}", port ^ 1);
    let cases: [(&[&str], u16); 24] = [
        (&[&own], 404),
        (&[&localhost], 404),
        (&["Host: localhost"], 404),
        (&["Host: [::1]:8080"], 404),
        (&["Host: 192.0.2.1:8080"], 404),
        (&["Host: kv.example.org:8080"], 404),
        // A foreign name that resolves to this machine.
        (&["Host: evil.example:8080"], 421),
        (&["Host: localhost.evil.example"], 421),
        (&["Host: 127.0.0.1.evil.example"], 421),
        (
            &[
                "Host: evil.example:8080",
                "Origin: http://evil.example:8080",
            ],
            421,
        ),
        (&["Host: "], 421),
        (&[], 400),
        (&[&own, &localhost], 400),
        (&[&own, &same], 404),
        (&[&own, "Origin: https://example.net"], 404),
        (&[&own, "Origin: http://example.net"], 403),
        (&[&own, &other_port], 403),
        (&[&own, "Origin: null"], 403),
        (&[&own, "Origin: http://evil.example"], 403),
        (&[&own, "Sec-Fetch-Site: same-origin"], 404),
        (&[&own, "Sec-Fetch-Site: none"], 404),
        (
            &[
                &own,
                "Sec-Fetch-Site: cross-site",
                "Sec-Fetch-Mode: no-cors",
            ],
            403,
        ),
        (&[&own, "Sec-Fetch-Site: same-site"], 403),
        (
            &[
                &own,
                "Sec-Fetch-Site: cross-site",
                "Sec-Fetch-Mode: navigate",
            ],
            404,
        ),
    ];
    for (headers, status) in cases {
        let response =
            raw::request_with_headers(address, "GET /kv/none", headers).expect("an answer");
        assert_eq!(response.status, status, "{headers:?}: {}", response.error());
        let report = response.json();
        assert!(
            status != 421 && status != 403 || report["executed"] == "no",
            "{report}"
        );
    }
    // The name in the request line takes precedence.
    let response = raw::request_with_headers(address, "GET http://evil.example/kv/none", &[&own]);
    assert_eq!(response.expect("an answer").status, 421);
}

#[test]
fn a_write_from_a_page_of_others_never_happens() {
    let (_folder, service) = start(&["--chaos"]);
    let address = service.address();
    let own = format!("Host: {address}");
    for line in [
        "PUT /kv/a",
        "DELETE /kv/a",
        "POST /import",
        "POST /debug/crash",
    ] {
        for header in ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site"] {
            let headers = [
                &own,
                header,
                "Content-Length: 0",
                "Sec-Fetch-Mode: navigate",
            ];
            let response = raw::request_with_headers(address, line, &headers).expect("an answer");
            assert_eq!(response.status, 403, "{line} {header}");
        }
    }
    assert_eq!(service.get("/kv/a").status, 404);
    assert_eq!(service.count("panicked"), 0);
}

#[test]
fn an_allowed_origin_may_see_the_answers() {
    let (_folder, service) = start(&["--origin", "https://example.net"]);
    let address = service.address();
    let own = format!("Host: {address}");
    let origin = "Origin: https://example.net";
    let seen = "access-control-allow-origin";
    let response =
        raw::request_with_headers(address, "GET /stats", &[&own, origin]).expect("an answer");
    assert_eq!(
        (response.status, response.header(seen)),
        (200, Some("https://example.net"))
    );
    let asks = "Access-Control-Request-Method: PUT";
    let response = raw::request_with_headers(address, "OPTIONS /kv/a", &[&own, origin, asks])
        .expect("an answer");
    assert_eq!(
        (response.status, response.header(seen)),
        (204, Some("https://example.net"))
    );
    let methods = response
        .header("access-control-allow-methods")
        .unwrap_or_default();
    assert!(methods.contains("PUT"), "{methods}");
    let response = raw::request_with_headers(address, "GET /stats", &[&own]).expect("an answer");
    assert_eq!((response.status, response.header(seen)), (200, None));
}
