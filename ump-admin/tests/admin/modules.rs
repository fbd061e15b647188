//! Requests to the program's modules.

use std::{collections::BTreeMap, ops::ControlFlow};

use serde_json::{Value, json};
use ump_admin::{
    Admin, AdminHandle,
    module::{ModuleError, ModuleRequest, Operation},
};
use ump_server::{Client, ReplyContext, thread};

use crate::{
    client::{Connection, Response, request},
    program::{AUTHORIZED, TOKEN},
};

type ModuleClient = Client<ModuleRequest, Value, ModuleError>;

/// A table of routes; some paths misbehave.
fn routes() -> ModuleClient {
    let mut routes = BTreeMap::<String, Value>::new();
    let handle = move |request: ModuleRequest, rctx: ReplyContext<'_, Value, ModuleError>| {
        let ModuleRequest {
            operation,
            path,
            query,
            body,
            ..
        } = request;
        let answer = match (operation, path.as_str()) {
            (_, "panic") => panic!("as asked"),
            (_, "drop") => return ControlFlow::<()>::Continue(()),
            (_, "fail") => Err(ModuleError::Failed("the table is gone".to_owned())),
            (Operation::Show, "") => Ok(json!({ "routes": routes, "query": query })),
            (Operation::Show, path) => routes.get(path).cloned().ok_or(ModuleError::NotFound),
            (Operation::Add, _) if routes.contains_key(&path) => {
                Err(ModuleError::Conflict(format!("{path} exists")))
            }
            (Operation::Add | Operation::Set, "") => Err(ModuleError::Unsupported),
            (Operation::Add | Operation::Set, _) if !body.is_string() => {
                Err(ModuleError::Invalid("a route is a text".to_owned()))
            }
            (Operation::Add | Operation::Set, _) => {
                Ok(routes.insert(path, body).unwrap_or_default())
            }
            (Operation::Delete, path) => routes
                .remove(path)
                .map(|_| Value::Null)
                .ok_or(ModuleError::NotFound),
        };
        let _ = match answer {
            Ok(value) => rctx.reply(value),
            Err(error) => rctx.fail(error),
        };
        ControlFlow::<()>::Continue(())
    };
    thread::Builder::new()
        .on_panic(ump_server::OnPanic::Continue)
        .serve(handle)
        .unwrap()
        .0
}

/// An admin surface with a module, and the only client that keeps the module's server.
fn with_routes() -> (ModuleClient, AdminHandle) {
    let client = routes();
    let admin = Admin::new()
        .module("routes", &client)
        .token(TOKEN)
        .listen("127.0.0.1:0")
        .unwrap();
    (client, admin)
}

fn ask(admin: &AdminHandle, line: &str, body: &str) -> Response {
    request(
        admin,
        line,
        &[AUTHORIZED, "Content-Type: application/json"],
        body,
    )
}

#[test]
fn methods_are_operations_and_outcomes_statuses() {
    let (_client, admin) = with_routes();
    let at = "/api/modules/routes";
    ask(&admin, &format!("POST {at}/10.0.0.0/8"), "\"eth0\"").expect(204);
    ask(&admin, &format!("POST {at}/10.0.0.0/8"), "\"eth1\"").expect(409);
    assert_eq!(
        ask(&admin, &format!("PUT {at}/10.0.0.0%2F8/"), "\"eth1\"")
            .expect(200)
            .json(),
        "eth0"
    );
    assert_eq!(
        ask(&admin, &format!("GET {at}/10.0.0.0/8"), "")
            .expect(200)
            .json(),
        "eth1"
    );
    let all = ask(&admin, &format!("GET {at}?a=b"), "").expect(200).json();
    assert_eq!(
        all,
        json!({ "routes": { "10.0.0.0/8": "eth1" }, "query": "a=b" })
    );
    ask(&admin, &format!("PUT {at}/x"), "7").expect(422);
    ask(&admin, &format!("PUT {at}"), "7").expect(405);
    ask(&admin, &format!("DELETE {at}/10.0.0.0/8"), "").expect(204);
    let gone = ask(&admin, &format!("DELETE {at}/10.0.0.0/8"), "").expect(404);
    assert_eq!(gone.json()["detail"], "there is nothing at this path");
    ask(&admin, "GET /api/modules/other", "").expect(404);
    let names = ask(&admin, "GET /api/modules", "").expect(200).json();
    assert_eq!(names, json!({ "modules": ["routes"] }));
}

#[test]
fn failures_are_statuses_that_say_whether_it_was_executed() {
    let (client, admin) = with_routes();
    assert_eq!(
        ask(&admin, "GET /api/modules/routes/panic", "")
            .expect(500)
            .json()["executed"],
        "perhaps"
    );
    assert_eq!(
        ask(&admin, "GET /api/modules/routes/drop", "")
            .expect(500)
            .json()["executed"],
        "perhaps"
    );
    assert_eq!(
        ask(&admin, "GET /api/modules/routes/fail", "")
            .expect(500)
            .json()["detail"],
        "the table is gone"
    );
    drop(client);
    let gone = ask(&admin, "GET /api/modules/routes", "").expect(503);
    assert_eq!(gone.json()["executed"], "no");
    assert!(gone.header("retry-after").is_some());
}

#[test]
fn a_full_queue_and_a_deadline_are_statuses() {
    let (server, client) = ump_server::ump::Builder::new().capacity(1).build().unwrap();
    let admin = Admin::new()
        .module("slow", &client)
        .listen("127.0.0.1:0")
        .unwrap();
    let show = |wait: &str| {
        let preference = format!("Prefer: respond-async, wait={wait}");
        request(&admin, "GET /api/modules/slow", &[preference.as_str()], "")
    };
    let late = show("1").expect(504);
    assert_eq!(late.json()["executed"], "no");
    let mut waits = Connection::open(&admin);
    waits.send("GET /api/modules/slow HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=25\r\n\r\n");
    while client.stats().queued == 0 {
        std::thread::yield_now();
    }
    assert_eq!(show("1").expect(503).json()["executed"], "no");
    let (_, rctx) = server.wait().unwrap();
    rctx.reply(json!("late, but there")).unwrap();
    assert_eq!(waits.receive().unwrap().json(), "late, but there");
    for wait in ["0", "26", "x", ""] {
        show(wait).expect(400);
    }
}

#[test]
fn a_body_is_json_and_says_so() {
    let (_client, admin) = with_routes();
    request(&admin, "PUT /api/modules/routes/a", &[AUTHORIZED], "\"b\"").expect(415);
    ask(&admin, "PUT /api/modules/routes/a", "{").expect(400);
    request(
        &admin,
        "PUT /api/modules/routes/a",
        &["Content-Type: application/json"],
        "1",
    )
    .expect(401);
}
