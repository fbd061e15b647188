//! `POST /import`.

use std::thread;

use serde_json::json;

use crate::support::{json_lines, keys, start};

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
fn an_import_stops_at_a_bad_line_and_says_which() {
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
        let told = response.json();
        assert_eq!(response.status, 400, "{told}");
        assert_eq!(
            (&told["line"], &told["imported"]),
            (&json!(302), &json!(300)),
            "{told}"
        );
        assert!(!response.error().contains("line 1"), "{told}");
    }
    assert_eq!(service.get("/kv/k300").status, 200);
    assert_eq!(service.get("/kv/x").status, 404);
    assert_eq!(service.get("/kv/later").status, 404);
}

#[test]
fn an_import_takes_blank_lines_and_a_last_line_without_an_end() {
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
    let (_folder, service) = start(&["--queue", "1", "--timeout", "60000"]);
    let lines = json_lines((0..300).map(|n| (n.to_string(), n.to_string())));
    thread::scope(|scope| {
        for _ in 0..3 {
            let import = || service.request("POST", "/import", lines.as_bytes()).json();
            scope.spawn(move || assert_eq!(import(), json!({ "imported": 300 })));
        }
    });
    assert_eq!(service.wait_until_quiet()["requests"]["replied"], 900);
}
