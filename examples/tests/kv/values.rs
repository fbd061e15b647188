//! Values, keys and lists, and invalid requests.

use serde_json::json;

use crate::support::{keys, start};

#[test]
fn a_value_can_be_put_read_replaced_and_deleted() {
    let (_folder, service) = start(&[]);
    assert_eq!(service.get("/kv/a").status, 404);
    assert_eq!(service.put("/kv/a", b"one").status, 204);
    assert_eq!(service.get("/kv/a").body, b"one");
    assert_eq!(service.put("/kv/a", b"two").status, 204);
    assert_eq!(service.get("/kv/a").body, b"two");
    assert_eq!(service.request("DELETE", "/kv/a", b"").status, 204);
    assert_eq!(service.get("/kv/a").error(), "no such key");
    assert_eq!(service.request("DELETE", "/kv/a", b"").status, 404);
}

#[test]
fn a_value_can_be_any_bytes_of_up_to_one_mebibyte() {
    let (_folder, service) = start(&[]);
    let all: Vec<u8> = (0..=255).collect();
    for value in [&b""[..], &all, &all.repeat(4096)] {
        assert_eq!(service.put("/kv/a", value).status, 204);
        let response = service.get("/kv/a");
        assert_eq!(response.status, 200);
        assert_eq!(
            response.header("content-type"),
            Some("application/octet-stream")
        );
        assert!(
            response.body == value,
            "{} bytes came back of {}",
            response.body.len(),
            value.len()
        );
    }
}

#[test]
fn a_value_over_one_mebibyte_gets_413() {
    let (_folder, service) = start(&[]);
    let value = vec![b'x'; 1024 * 1024 + 1];
    let response = service.put("/kv/a", &value);
    assert_eq!(
        (response.status, response.error()),
        (413, "the value has more than 1048576 bytes".to_owned())
    );
    let line = json!({ "key": "a", "value": String::from_utf8(value).expect("text") }).to_string();
    assert_eq!(
        service.request("POST", "/import", line.as_bytes()).status,
        413
    );
    assert_eq!(service.get("/kv/a").status, 404);
}

#[test]
fn a_key_can_be_any_text_of_up_to_1024_bytes() {
    let (_folder, service) = start(&[]);
    let long = "k".repeat(1024);
    let keys = [
        "a%20b",
        "%25_'%22--",
        "users/1/name",
        "users%2F2",
        "%C3%A4%E2%82%AC",
        "nul%00%01",
        ".",
        &long,
    ];
    for key in keys {
        assert_eq!(
            service.put(&format!("/kv/{key}"), key.as_bytes()).status,
            204,
            "{key}"
        );
    }
    for key in keys {
        assert_eq!(
            service.get(&format!("/kv/{key}")).body,
            key.as_bytes(),
            "{key}"
        );
    }
    assert_eq!(
        service.get("/kv/users/2").body,
        b"users%2F2",
        "a slash is the same with and without encoding"
    );
    assert_eq!(service.get("/kv/nul").status, 404);
}

#[test]
fn a_list_is_ordered_and_limited_by_prefix() {
    let (_folder, service) = start(&[]);
    assert_eq!(
        service.get("/kv").json(),
        json!({ "keys": [], "next": null })
    );
    for key in ["b/2", "a", "b/1", "b/10", "c", "b"] {
        service.put(&format!("/kv/{key}"), key.as_bytes());
    }
    assert_eq!(
        keys(&service.get("/kv").json()),
        ["a", "b", "b/1", "b/10", "b/2", "c"]
    );
    assert_eq!(
        keys(&service.get("/kv?prefix=b/").json()),
        ["b/1", "b/10", "b/2"]
    );
    assert_eq!(
        keys(&service.get("/kv?prefix=b%2F1").json()),
        ["b/1", "b/10"]
    );
    assert_eq!(keys(&service.get("/kv?limit=2").json()), ["a", "b"]);
    assert_eq!(keys(&service.get("/kv?prefix=b/&limit=1").json()), ["b/1"]);
    assert_eq!(
        service.get("/kv?prefix=b/10").json(),
        json!({ "keys": [{ "key": "b/10", "bytes": 4 }], "next": null })
    );
    assert_eq!(keys(&service.get("/kv?prefix=d").json()), [""; 0]);
}

#[test]
fn a_list_can_be_continued_at_its_next() {
    let (_folder, service) = start(&[]);
    let there = ["a", "b", "b%00", "b%00x", "b/1", "b/10", "b%C3%A4", "c"];
    for key in there {
        service.put(&format!("/kv/{key}"), b"v");
    }
    for (prefix, expected) in [("", &there[..]), ("b", &there[1..7])] {
        for limit in 1..=expected.len() + 1 {
            let (mut listed, mut after) = (Vec::new(), String::new());
            loop {
                let path = format!("/kv?prefix={prefix}&limit={limit}{after}");
                let list = service.get(&path).json();
                listed.extend(keys(&list).iter().map(|&key| key.to_owned()));
                let Some(next) = list["next"].as_str() else {
                    assert!(list["next"].is_null(), "{list}");
                    break;
                };
                assert_eq!(keys(&list).len(), limit, "{list}");
                let bytes = next.bytes().map(|byte| format!("%{byte:02x}"));
                after = format!("&after={}", bytes.collect::<String>());
            }
            let encoded = |key: &String| key.replace('\0', "%00").replace('ä', "%C3%A4");
            let listed: Vec<_> = listed.iter().map(encoded).collect();
            assert_eq!(listed, expected, "{limit} at a time");
        }
    }
    assert_eq!(keys(&service.get("/kv?prefix=b&after=c").json()), [""; 0]);
    assert_eq!(keys(&service.get("/kv?prefix=c&after=a").json()), ["c"]);
}

#[test]
fn a_prefix_is_taken_literally() {
    let (_folder, service) = start(&[]);
    for key in [
        "100%25", "100%25x", "100x", "a_b", "a_c", "axb", "A_b", "[a]", "it's", "%C3%A4",
    ] {
        service.put(&format!("/kv/{key}"), b"");
    }
    assert_eq!(
        keys(&service.get("/kv?prefix=100%25").json()),
        ["100%", "100%x"]
    );
    assert_eq!(keys(&service.get("/kv?prefix=a_").json()), ["a_b", "a_c"]);
    assert_eq!(keys(&service.get("/kv?prefix=%25").json()), [""; 0]);
    assert_eq!(keys(&service.get("/kv?prefix=_").json()), [""; 0]);
    assert_eq!(keys(&service.get("/kv?prefix=[").json()), ["[a]"]);
    assert_eq!(keys(&service.get("/kv?prefix=it's").json()), ["it's"]);
    assert_eq!(keys(&service.get("/kv?prefix=%C3%A4").json()), ["ä"]);
}

#[test]
fn bad_input_gets_400_and_the_reason() {
    let (_folder, service) = start(&[]);
    let long = format!("/kv/{}", "k".repeat(1025));
    let paths = [
        ("PUT", "/kv/", "the key is empty"),
        ("PUT", &long, "1025 bytes, more than 1024"),
        ("PUT", "/kv/%ff", "UTF-8"),
        ("GET", "/kv/a%c3%28", "UTF-8"),
        ("GET", "/kv?limit=0", "from 1 to 1000"),
        ("GET", "/kv?limit=1001", "from 1 to 1000"),
        ("GET", "/kv?limit=-1", "limit"),
        ("GET", "/kv?limit=many", "limit"),
        ("GET", "/kv?prefx=a", "prefx"),
        ("GET", "/kv?prefix=%ff", "the query is not UTF-8"),
        ("GET", "/kv?prefix=a%c3", "the query is not UTF-8"),
        ("GET", "/kv?prefix=%zz", "two hexadecimal digits"),
        ("GET", "/kv?prefix=100%", "two hexadecimal digits"),
        ("GET", "/kv?after=%e4", "the query is not UTF-8"),
        ("PUT", "/kv/a?ttl=1%", "two hexadecimal digits"),
        ("GET", "/events?topic=kv/%ff", "the query is not UTF-8"),
        ("PUT", "/kv/100%", "two hexadecimal digits"),
        ("DELETE", "/kv/%4", "two hexadecimal digits"),
    ];
    for (method, path, reason) in paths {
        let response = service.request(method, path, b"");
        assert_eq!(response.status, 400, "{path}");
        assert!(
            response.error().contains(reason),
            "{path}: {}",
            response.error()
        );
    }
    assert_eq!(keys(&service.get("/kv").json()), [""; 0]);
}

#[test]
fn unknown_routes_get_404_and_wrong_methods_405() {
    let (_folder, service) = start(&[]);
    for path in ["/", "/kvx", "/stats/", "/import/a"] {
        let response = service.get(path);
        assert_eq!(
            (response.status, response.error()),
            (404, "no such route".to_owned()),
            "{path}"
        );
    }
    for (method, path) in [
        ("POST", "/kv/a"),
        ("PUT", "/kv"),
        ("GET", "/import"),
        ("DELETE", "/stats"),
    ] {
        let response = service.request(method, path, b"");
        assert_eq!(response.status, 405, "{method} {path}");
        assert_eq!(response.error(), "no such method here");
        assert!(response.header("allow").is_some(), "{response:?}");
    }
}
