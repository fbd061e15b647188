//! The description of the routes, held against real responses.

use serde_json::Value;

use crate::{
    client::get,
    program::{Ask, Double, Price, Program, router},
};

/// Checks a value by a schema, as far as the document uses it.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        return check(document, schema, value, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        if value.is_null() {
            assert!(any.iter().any(|it| it["type"] == "null"), "{at}: null");
        } else {
            check(document, &any[0], value, at);
        }
        return;
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap()).collect(),
        _ => return,
    };
    let is_kind = |kind: &&str| match *kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        _ => value.is_object(),
    };
    assert!(
        kinds.iter().any(is_kind),
        "{at}: {value} is not of {kinds:?}"
    );
    if let (Some(allowed), Some(_)) = (schema["enum"].as_array(), value.as_str()) {
        assert!(allowed.contains(value), "{at}: {value}");
    }
    for (place, item) in value.as_array().into_iter().flatten().enumerate() {
        check(document, &schema["items"], item, &format!("{at}[{place}]"));
    }
    let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    else {
        return;
    };
    for (name, member) in members {
        let property = properties
            .get(name)
            .unwrap_or_else(|| panic!("{at}.{name} is not described"));
        check(document, property, member, &format!("{at}.{name}"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(
            members.contains_key(name.as_str().unwrap()),
            "{at}.{name} is missing"
        );
    }
}

#[test]
fn responses_are_as_the_document_says() {
    let program = Program::start();
    let router = router();
    let subscription = router.subscribe::<Price>("*/eur").unwrap();
    let server = router.serve::<Double>("here").unwrap();
    assert!(program.client().req(Ask::Panic).is_err());
    let _listener = router.listen("tcp:127.0.0.1:0").unwrap();
    let held = program.client().request(Ask::Hold).submit().wait().unwrap();
    program.held.recv().unwrap();
    let admin = program.admin().router(&router);
    #[cfg(feature = "log")]
    let (admin, _guard) = crate::log::shown(admin);
    let admin = admin.listen("127.0.0.1:0").unwrap();
    let document = get(&admin, "/openapi.json").expect(200).json();
    for (path, of_path) in document["paths"].as_object().unwrap() {
        let response = &of_path["get"]["responses"]["200"]["content"];
        let Some(schema) = response.get("application/json").map(|it| &it["schema"]) else {
            continue;
        };
        if path.starts_with("/api/log") && cfg!(not(feature = "log")) {
            continue;
        }
        let path = match path.as_str() {
            "/api/components/{name}" => "/api/components/store",
            "/api/explain" => "/api/explain?one=a&other=b",
            path if path.contains('{') => continue,
            path => path,
        };
        let value = get(&admin, path).expect(200).json();
        check(&document, schema, &value, path);
    }
    let problem = get(&admin, "/api/components/other").expect(404).json();
    check(
        &document,
        &document["components"]["schemas"]["Problem"],
        &problem,
        "problem",
    );
    program.gate.send(()).unwrap();
    assert_eq!(held.wait(), Ok(0));
    drop((admin, subscription, server));
    program.stop();
}
