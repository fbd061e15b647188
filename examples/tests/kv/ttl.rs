//! Keys with a time to live: not served after it, and removed from the file by a timer.

use std::path::Path;

use rusqlite::Connection;
use serde_json::json;

use crate::support::{Folder, Service, keys, program, raw, run, start, until};

/// A time to live that does not pass while a test runs.
const LONG: &str = "100000";

fn timers(service: &Service) -> u64 {
    let timers = &service.stats()["store"]["timers"];
    timers.as_u64().expect("a number")
}

/// Waits until this many keys will expire, and all expired keys are removed.
fn wait_for_expiring(service: &Service, wanted: u64) {
    until(&format!("{wanted} keys that are to expire"), || {
        (service.stats()["store"]["expiring"] == wanted).then_some(())
    });
    assert_eq!(timers(service), wanted);
}

fn database(folder: &Folder) -> Connection {
    Connection::open(folder.path().join("kv.db")).expect("it can be opened")
}

/// Returns the keys in the file, whether or not they are served.
fn rows(folder: &Folder) -> Vec<String> {
    let db = database(folder);
    let mut statement = db
        .prepare("SELECT key FROM kv ORDER BY key")
        .expect("a table");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.map(|row| row.expect("text")).collect()
}

#[test]
fn an_expired_key_and_its_row_are_removed() {
    let (folder, service) = start(&[]);
    assert_eq!(service.put("/kv/stays", b"v").status, 204);
    assert_eq!(service.put("/kv/goes?ttl=1", b"v").status, 204);
    until("the end of its life", || {
        (service.get("/kv/goes").status == 404).then_some(())
    });
    assert_eq!(service.request("DELETE", "/kv/goes", b"").status, 404);
    wait_for_expiring(&service, 0);
    assert_eq!(keys(&service.get("/kv").json()), ["stays"]);
    service.kill();
    assert_eq!(rows(&folder), ["stays"]);
}

#[test]
fn a_write_replaces_or_removes_the_previous_ttl() {
    let (_folder, service) = start(&[]);
    for key in ["immortal", "longer", "deleted", "measure"] {
        assert_eq!(service.put(&format!("/kv/{key}?ttl=1"), b"1").status, 204);
    }
    assert_eq!(service.put("/kv/immortal", b"2").status, 204);
    let longer = format!("/kv/longer?ttl={LONG}");
    assert_eq!(service.put(&longer, b"2").status, 204);
    service.request("DELETE", "/kv/deleted", b"");
    assert_eq!(service.put("/kv/deleted", b"2").status, 204);
    // It was the last write with a time to live of a second.
    until("the end of the last of them", || {
        (service.get("/kv/measure").status == 404).then_some(())
    });
    wait_for_expiring(&service, 1);
    for key in ["immortal", "longer", "deleted"] {
        assert_eq!(service.get(&format!("/kv/{key}")).body, b"2", "{key}");
    }
}

#[test]
fn an_expired_key_is_not_served_before_its_timer() {
    // Timers do not fire while the store holds a batch.
    let (_folder, service) = start(&["--timeout", "60s", "--delay", "1500ms"]);
    assert_eq!(service.put("/kv/a?ttl=1", b"v").status, 204);
    let mut list = raw::send_head(service.address(), "GET", "/kv", 0).expect("it listens");
    assert_eq!(service.get("/kv/a").status, 404);
    let list = raw::receive(&mut list).expect("an answer");
    assert_eq!(keys(&list.json()), [""; 0]);
}

#[test]
fn a_time_to_live_goes_on_when_the_process_is_killed() {
    let folder = Folder::new();
    let service = Service::start(&folder, &[]);
    for key in ["early", "late"] {
        let path = format!("/kv/{key}?ttl={LONG}");
        assert_eq!(service.put(&path, b"v").status, 204);
    }
    service.kill();
    // Lets one of them expire in the past.
    database(&folder)
        .execute("UPDATE kv SET expires = 1 WHERE key = 'early'", [])
        .expect("a row");

    let service = Service::start(&folder, &[]);
    assert_eq!(service.get("/kv/early").status, 404);
    assert_eq!(service.get("/kv/late").status, 200);
    wait_for_expiring(&service, 1);
    service.kill();
    assert_eq!(rows(&folder), ["late"]);
}

#[test]
fn many_keys_due_together_are_removed_in_batches() {
    let folder = Folder::new();
    let service = Service::start(&folder, &[]);
    service.kill();
    database(&folder)
        .execute_batch(
            "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2500) \
             INSERT INTO kv (key, expires, value) SELECT 'k' || i, 1, '' FROM n",
        )
        .expect("a table");
    let service = Service::start(&folder, &[]);
    assert_eq!(keys(&service.get("/kv").json()), [""; 0]);
    wait_for_expiring(&service, 0);
    service.kill();
    assert!(rows(&folder).is_empty());
}

#[test]
fn lines_of_an_import_may_have_a_time_to_live() {
    let (_folder, service) = start(&[]);
    let lines = b"{\"key\":\"a\",\"value\":\"1\",\"ttl\":100000}\n{\"key\":\"b\",\"value\":\"2\"}";
    assert_eq!(
        service.request("POST", "/import", lines).json(),
        json!({ "imported": 2 })
    );
    assert_eq!(timers(&service), 1);
}

#[test]
fn a_bad_time_to_live_gets_400_and_nothing_is_written() {
    let (_folder, service) = start(&[]);
    let number = "ttl must be a whole number of seconds";
    let range = "ttl must be from 1 to 315360000 seconds";
    let cases = [
        ("", number),
        ("soon", number),
        ("1.5", number),
        ("1s", number),
        ("0", range),
        ("-1", range),
        ("315360001", range),
        ("99999999999999999999", range),
    ];
    for (ttl, reason) in cases {
        let response = service.put(&format!("/kv/a?ttl={ttl}"), b"v");
        assert_eq!(
            (response.status, response.error().as_str()),
            (400, reason),
            "{ttl:?}"
        );
    }
    assert_eq!(service.put("/kv/a?tll=1", b"v").status, 400);
    assert_eq!(service.get("/kv/a").status, 404);
    assert_eq!(service.put("/kv/a?ttl=315360000", b"v").status, 204);
}

/// Makes a database of the first version, without times to live.
fn make_old_database(path: &Path) {
    let db = Connection::open(path).expect("a database can be made");
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE kv (key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL);
         INSERT INTO kv VALUES ('a', x'00ff'), ('b', zeroblob(100000)), ('c', x'')",
    )
    .expect("a table can be made");
}

#[test]
fn a_database_without_ttls_is_migrated() {
    let folder = Folder::new();
    make_old_database(&folder.path().join("kv.db"));
    for _ in 0..2 {
        let service = Service::start(&folder, &[]);
        assert_eq!(keys(&service.get("/kv").json()), ["a", "b", "c"]);
        assert_eq!(service.get("/kv/a").body, [0, 255]);
        assert_eq!(service.get("/kv/b").body, vec![0; 100_000]);
        assert_eq!(service.put(&format!("/kv/c?ttl={LONG}"), b"").status, 204);
        assert_eq!(timers(&service), 1);
        service.kill();
    }
    let version: i64 = database(&folder)
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .expect("a number");
    assert_eq!(version, 1);
}

#[test]
fn a_database_of_a_later_version_is_refused() {
    let folder = Folder::new();
    let db = database(&folder);
    db.execute_batch("CREATE TABLE kv (key TEXT, more TEXT); PRAGMA user_version = 2")
        .expect("a table can be made");
    drop(db);
    let mut command = std::process::Command::new(program());
    let output = run(&folder, command.args(["--listen", "127.0.0.1:0"]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another kv: schema 2"), "{said}");
    database(&folder)
        .prepare("SELECT more FROM kv")
        .expect("the table is as it was");
}
