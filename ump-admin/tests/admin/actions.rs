//! What changes the program.

use std::time::Duration;

use ump_admin::{Admin, AdminHandle};
use ump_server::{Error, Stop};

use crate::{
    client::{Response, get, request},
    program::{AUTHORIZED, Ask, Price, Program, TOKEN, router},
};

const JSON: &str = "Content-Type: application/json";

fn act(admin: &AdminHandle, line: &str, body: &str) -> Response {
    request(admin, line, &[AUTHORIZED, JSON], body)
}

#[test]
fn a_component_is_renewed() {
    let program = Program::start();
    let admin = program.admin().token(TOKEN).listen("127.0.0.1:0").unwrap();
    let restarts = || {
        let store = get(&admin, "/api/components/store").json();
        store["instances"][0]["restarts"].as_u64().unwrap()
    };
    act(&admin, "POST /api/components/store/renew", "").expect(204);
    while restarts() != 1 {
        std::thread::yield_now();
    }
    assert_eq!(program.client().req(Ask::Echo(3)), Ok(3));
    act(&admin, "POST /api/components/other/renew", "").expect(404);
    drop(admin);
    program.stop();
}

#[test]
fn a_component_is_stopped_with_those_that_need_it() {
    let program = Program::start();
    let admin = program.admin().token(TOKEN).listen("127.0.0.1:0").unwrap();
    for body in [
        "{",
        "{\"how\":\"kill\"}",
        "{\"within_s\":-1}",
        "{\"within_s\":1e9}",
        "{\"x\":1}",
        "[1,2,3]",
    ] {
        let status = act(&admin, "POST /api/components/store/stop", body).status;
        assert!(matches!(status, 400 | 422), "{body}: {status}");
    }
    request(
        &admin,
        "POST /api/components/store/stop",
        &[AUTHORIZED],
        "{}",
    )
    .expect(415);
    let report = act(
        &admin,
        "POST /api/components/store/stop",
        "{\"how\":\"drain\"}",
    )
    .expect(200)
    .json();
    assert_eq!(report["is_clean"], true);
    assert_eq!(report["instances"][0]["component"], "search");
    assert_eq!(report["instances"][1]["component"], "store");
    assert_eq!(
        program.client().req(Ask::Echo(1)),
        Err(Error::ServerDisappeared)
    );
    let store = get(&admin, "/api/components/store").json();
    assert_eq!(store["state"], "ended");
    drop(admin);
    program.stop();
}

#[test]
fn a_system_that_has_ended_is_not_acted_on() {
    let program = Program::start();
    let admin = program.admin().token(TOKEN).listen("127.0.0.1:0").unwrap();
    assert!(
        program
            .system
            .stop(Stop::Drain, Duration::from_secs(60))
            .wait()
            .is_clean()
    );
    act(&admin, "POST /api/components/store/renew", "").expect(503);
    act(&admin, "POST /api/components/store/stop", "{}").expect(503);
}

#[test]
fn a_retained_message_is_forgotten() {
    let router = router();
    let admin = Admin::new()
        .router(&router)
        .token(TOKEN)
        .listen("127.0.0.1:0")
        .unwrap();
    act(&admin, "DELETE /api/retained?topic=price/eth/eur", "").expect(204);
    act(&admin, "DELETE /api/retained?topic=price/eth/eur", "").expect(404);
    act(&admin, "DELETE /api/retained?topic=eth/eur", "").expect(404);
    act(&admin, "DELETE /api/retained", "").expect(400);
    act(
        &admin,
        "DELETE /api/retained?topic=price/btc/eur&type_name=other",
        "",
    )
    .expect(404);
    let left: Vec<_> = router.read_retained::<Price>("**").unwrap().collect();
    assert_eq!(left.len(), 1);
    assert_eq!(get(&admin, "/api/retained").json()["total"], 1);
}
