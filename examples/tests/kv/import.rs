//! `POST /import`.

use std::{io::Write, thread};

use serde_json::json;

use crate::support::{json_lines, keys, raw, start};

#[test]
fn an_import_of_ten_thousand_lines_is_all_there() {
    let (_folder, service) = start(&[]);
    let lines = json_lines((0..10_000).map(|n| (format!("n/{n:05}"), format!("number {n}"))));
    let response = service.request("POST", "/import", lines.as_bytes());
    assert_eq!(
        (response.status, response.json()),
        (200, json!({ "imported": 10_000 }))
    );
    service.wait_for_stderr("import: 10000 lines");
    for n in [0, 1, 4_999, 9_999] {
        assert_eq!(
            service.get(&format!("/kv/n/{n:05}")).body,
            format!("number {n}").as_bytes()
        );
    }
    for thousand in 0..10 {
        let list = service
            .get(&format!("/kv?prefix=n/0{thousand}&limit=1000"))
            .json();
        assert_eq!(keys(&list).len(), 1000);
    }
    let sizes = &service.stats()["batch_size"];
    assert!(
        sizes["max"].as_u64() > Some(1),
        "lines share transactions: {sizes}"
    );
}

#[test]
fn an_import_stops_at_a_bad_line_and_reports_it() {
    let (_folder, service) = start(&[]);
    let good = json_lines((1..=300).map(|n| (format!("k{n}"), "v".to_owned())));
    let bad: [&[u8]; 11] = [
        b"nonsense",
        b"{\"key\":\"x\"}",
        b"{\"key\":\"\",\"value\":\"v\"}",
        b"{\"key\":\"x\",\"value\":1}",
        b"{\"key\":\"x\",\"value\":\"v\",\"ttl\":0}",
        b"{\"key\":\"x\",\"value\":\"v\",\"ttl\":\"1\"}",
        b"{\"key\":\"x\",\"value\":\"v\",\"more\":1}",
        b"{\"key\":\"x\",\"value\":\"v\"} {}",
        b"{\"key\":\"x\",\"value\":\"\xff\"}",
        b"[]",
        b"{\"key\":\"x\",\"value\":\"v",
    ];
    for line in bad {
        let body = [
            good.as_bytes(),
            b"\n",
            line,
            b"\n{\"key\":\"later\",\"value\":\"v\"}\n",
        ]
        .concat();
        let response = service.request("POST", "/import", &body);
        let report = response.json();
        assert_eq!(response.status, 400, "{report}");
        assert_eq!(
            (&report["line"], &report["imported"]),
            (&json!(302), &json!(300)),
            "{report}"
        );
        assert!(!response.error().contains("line"), "{report}");
    }
    assert_eq!(service.get("/kv/k300").status, 200);
    assert_eq!(service.get("/kv/x").status, 404);
    assert_eq!(service.get("/kv/later").status, 404);
}

#[test]
fn a_cut_line_is_reported_at_its_end() {
    let (_folder, service) = start(&[]);
    let good = "{\"key\":\"k\",\"value\":\"v\"}";
    for end in 1..good.len() {
        for (text, line) in [
            (format!("{good}\n{}\n{good}\n", &good[..end]), 2),
            (format!("{good}\n\n{}\r\n{good}\n", &good[..end]), 3),
            (format!("{good}\n{}", &good[..end]), 2),
        ] {
            let response = service.request("POST", "/import", text.as_bytes());
            assert_eq!(
                (response.status, &response.json()["line"]),
                (400, &json!(line))
            );
            assert!(
                response.error().ends_with(&format!(" at column {end}")),
                "{end}: {}",
                response.error()
            );
        }
    }
}

#[test]
fn another_form_than_lines_of_utf_8_is_named() {
    let (_folder, service) = start(&[]);
    let line = "{\"key\":\"k\",\"value\":\"v\"}\n";
    let wide = |mark: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let text = format!("{mark}{line}");
        text.encode_utf16().flat_map(bytes).collect()
    };
    let wider = |mark: &str, bytes: fn(u32) -> [u8; 4]| -> Vec<u8> {
        let text = format!("{mark}{line}");
        text.chars().flat_map(|c| bytes(u32::from(c))).collect()
    };
    let cases: [(Vec<u8>, &str); 11] = [
        (format!("\u{feff}{line}").into(), "byte-order mark"),
        (wide("", u16::to_le_bytes), "UTF-16"),
        (wide("", u16::to_be_bytes), "UTF-16"),
        (wide("\u{feff}", u16::to_le_bytes), "UTF-16"),
        (wide("\u{feff}", u16::to_be_bytes), "UTF-16"),
        (wider("", u32::to_le_bytes), "UTF-32"),
        (wider("\u{feff}", u32::to_le_bytes), "UTF-32"),
        (wider("\u{feff}", u32::to_be_bytes), "UTF-32"),
        (format!("\x1e{line}").into(), "RFC 7464"),
        (b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), "compressed"),
        (b"\x1f\x8b\n\0\0\0\0\0".to_vec(), "compressed"),
    ];
    for (body, name) in cases {
        let response = service.request("POST", "/import", &body);
        assert_eq!(
            (response.status, &response.json()["line"]),
            (400, &json!(1))
        );
        assert!(response.error().contains(name), "{}", response.error());
    }
    // Two concatenated files.
    let two = format!("{line}\u{feff}{line}");
    let response = service.request("POST", "/import", two.as_bytes());
    assert_eq!(response.json()["line"], json!(2));
    assert!(response.error().contains("byte-order mark"), "{response:?}");
}

#[test]
fn an_early_error_reaches_a_client_still_writing() {
    let (_folder, service) = start(&[]);
    // More than fits into all buffers; the client does not read before it has written everything.
    let line = json_lines((0..1).map(|_| ("k".to_owned(), "v".repeat(1000))));
    let body = format!("nonsense\n{}", line.repeat(20_000));
    for (method, path, status) in [
        ("POST", "/import", 400),
        ("PUT", "/kv/long", 413),
        ("PUT", "/kv/a?ttl=soon", 400),
        ("POST", "/nowhere", 404),
        ("POST", "/stats", 405),
    ] {
        let stream = raw::send_head(service.address(), method, path, body.len());
        let mut stream = stream.expect("it listens");
        let sent = stream.write_all(body.as_bytes());
        sent.unwrap_or_else(|e| panic!("{path}: it was reset while it wrote: {e}"));
        let response = raw::receive(&mut stream).expect("an answer");
        assert_eq!(response.status, status, "{path}");
    }
}

#[test]
fn an_import_allows_blank_and_unterminated_lines() {
    let (_folder, service) = start(&[]);
    let lines = b"\n{\"key\":\"a\",\"value\":\"1\"}\r\n \n{\"value\":\"2\",\"key\":\"b\"}";
    assert_eq!(
        service.request("POST", "/import", lines).json(),
        json!({ "imported": 2 })
    );
    assert_eq!(service.get("/kv/b").body, b"2");
    assert_eq!(
        service.request("POST", "/import", b"").json(),
        json!({ "imported": 0 })
    );
}

#[test]
fn an_import_waits_for_room_in_the_smallest_queue() {
    let (_folder, service) = start(&["--queue", "1", "--timeout", "60s"]);
    let lines = json_lines((0..300).map(|n| (n.to_string(), n.to_string())));
    thread::scope(|scope| {
        for _ in 0..3 {
            let import = || service.request("POST", "/import", lines.as_bytes()).json();
            scope.spawn(move || assert_eq!(import(), json!({ "imported": 300 })));
        }
    });
    assert_eq!(service.wait_until_quiet()["requests"]["replied"], 900);
}
