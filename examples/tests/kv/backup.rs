//! `GET /backup`.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::support::{Service, json_lines, raw, start, until};

#[test]
fn a_backup_is_whole_while_writes_go_on() {
    let (folder, service) = start(&[]);
    let lines = (0..3000).map(|n| (format!("old/{n:05}"), "v".repeat(1000)));
    let imported = service.request("POST", "/import", json_lines(lines).as_bytes());
    assert_eq!(imported.status, 200);
    let is_over = AtomicBool::new(false);
    let acknowledged = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for writer in 0..3 {
            let (service, is_over, acknowledged) = (&service, &is_over, &acknowledged);
            scope.spawn(move || {
                for n in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = format!("new/{writer}/{n}");
                    assert_eq!(service.put(&format!("/kv/{key}"), b"v").status, 204);
                    acknowledged.lock().expect("no panic").insert(key);
                }
            });
        }
        for round in 0..5 {
            let written = || acknowledged.lock().expect("no panic").len();
            let at_least = written() + 20;
            until("some writes", || (written() >= at_least).then_some(()));
            let before = acknowledged.lock().expect("no panic").clone();
            let backup = service.get("/backup");
            assert_eq!(backup.status, 200, "{:?}", backup.header("content-type"));
            assert_eq!(
                backup.header("content-type"),
                Some("application/vnd.sqlite3")
            );
            let copy = folder.path().join(format!("copy-{round}.db"));
            fs::write(&copy, &backup.body).expect("a file can be made");
            let there = check(&copy);
            assert!(
                before.is_subset(&there),
                "an acknowledged write is not there"
            );
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let names = fs::read_dir(folder.path()).expect("it is there");
    let names = names.map(|entry| entry.expect("an entry").file_name());
    let left: Vec<_> = names
        .filter(|name| name.to_string_lossy().contains("backup"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    // The service can start with a copy.
    fs::rename(
        folder.path().join("copy-4.db"),
        folder.path().join("copy.db"),
    )
    .expect("it is there");
    let copy = Service::start(&folder, &["--db", "copy.db"]);
    assert_eq!(copy.get("/kv/old/02999").body, "v".repeat(1000).as_bytes());
}

/// Checks a copy and returns its new keys.
fn check(copy: &std::path::Path) -> BTreeSet<String> {
    let db = rusqlite::Connection::open(copy).expect("a database");
    let found: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("it can be read");
    assert_eq!(found, "ok");
    let old: i64 = db
        .query_row(
            "SELECT count(*) FROM kv WHERE key LIKE 'old/%'",
            [],
            |row| row.get(0),
        )
        .expect("it can be read");
    assert_eq!(old, 3000);
    let mut new = db
        .prepare("SELECT key FROM kv WHERE key LIKE 'new/%'")
        .expect("it can be read");
    let keys = new.query_map([], |row| row.get(0)).expect("keys");
    keys.collect::<Result<_, _>>().expect("keys")
}

#[test]
fn a_database_in_memory_has_no_backup() {
    let (_folder, service) = start(&["--db", ":memory:"]);
    let response = service.get("/backup");
    assert_eq!(response.status, 409);
    assert!(response.error().contains("in memory"), "{response:?}");
}

#[test]
fn a_client_that_leaves_its_backup_costs_nothing() {
    let (_folder, service) = start(&[]);
    let lines = (0..3000).map(|n| (format!("old/{n:05}"), "v".repeat(1000)));
    let imported = service.request("POST", "/import", json_lines(lines).as_bytes());
    assert_eq!(imported.status, 200);
    for _ in 0..10 {
        drop(raw::send_head(service.address(), "GET", "/backup", 0).expect("it listens"));
    }
    until("a backup of one's own", || {
        let backup = service.get("/backup");
        assert!(matches!(backup.status, 200 | 503), "{}", backup.status);
        (backup.status == 200).then_some(())
    });
}
