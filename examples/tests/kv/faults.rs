//! Damaged rows and files: each fails only the requests that read it.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Command,
};

use rusqlite::Connection;

use crate::support::{Folder, Service, keys, program, raw, run, start};

/// Starts a service whose file another program has changed.
fn start_with(sql: &str, flags: &[&str]) -> (Folder, Service) {
    let (folder, service) = start(&[]);
    for key in ["a", "b", "c"] {
        assert_eq!(service.put(&format!("/kv/{key}"), b"v").status, 204);
    }
    service.kill();
    let db = Connection::open(folder.path().join("kv.db")).expect("a database");
    db.execute_batch(sql).expect("it is SQL");
    drop(db);
    let service = Service::start(&folder, flags);
    (folder, service)
}

#[test]
fn a_read_that_fails_fails_alone() {
    let (_folder, service) = start_with(
        "INSERT INTO kv (key, value) VALUES ('bad', 5)",
        &["--timeout", "60s", "--delay", "500ms"],
    );
    // The requests that arrive while the first is in hand are one batch.
    let mut first = raw::send_put(&service, "/kv/first");
    service.wait_for_count("accepted", 1);
    let mut requests: Vec<_> = (0..20)
        .map(|n| raw::send_put(&service, &format!("/kv/{n}")))
        .collect();
    service.wait_for_count("accepted", 21);
    let mut bad = raw::send_head(service.address(), "GET", "/kv/bad", 0).expect("it listens");
    let mut good = raw::send_head(service.address(), "GET", "/kv/a", 0).expect("it listens");
    assert_eq!(raw::receive(&mut first).expect("an answer").status, 204);
    for request in &mut requests {
        assert_eq!(raw::receive(request).expect("an answer").status, 204);
    }
    assert_eq!(raw::receive(&mut good).expect("an answer").body, b"v");
    let bad = raw::receive(&mut bad).expect("an answer");
    assert_eq!((bad.status, &bad.json()["executed"]), (500, &"no".into()));
    assert!(
        bad.error().contains("cannot read the value of \"bad\""),
        "{}",
        bad.error()
    );
    // The row can be replaced.
    assert_eq!(service.put("/kv/bad", b"good").status, 204);
    assert_eq!(service.get("/kv/bad").body, b"good");
}

#[test]
fn a_damaged_page_fails_the_reads_of_it_only() {
    let folder = Folder::new();
    let service = Service::start(&folder, &[]);
    let value = "v".repeat(50_000);
    for n in 0..50 {
        assert_eq!(
            service.put(&format!("/kv/{n:02}"), value.as_bytes()).status,
            204
        );
    }
    let mut service = service;
    service.signal("TERM");
    assert_eq!(service.exit_code(), Some(0));
    let path = folder.path().join("kv.db");
    let size = fs::metadata(&path).expect("it is there").len();
    let mut file = File::options()
        .write(true)
        .open(&path)
        .expect("it is there");
    // A page in the middle, which belongs to a value like nearly all: its link to the next page is
    // invalid.
    file.seek(SeekFrom::Start(size / 2 / 4096 * 4096))
        .expect("it is so long");
    file.write_all(&[0xff; 4096]).expect("it can be written");
    drop(file);

    let service = Service::start(&folder, &["--timeout", "60s", "--delay", "300ms"]);
    let mut first = raw::send_put(&service, "/kv/first");
    service.wait_for_count("accepted", 1);
    let mut reads: Vec<_> = (0..50)
        .map(|n| {
            raw::send_head(service.address(), "GET", &format!("/kv/{n:02}"), 0).expect("it listens")
        })
        .collect();
    let mut write = raw::send_put(&service, "/kv/zz");
    assert_eq!(raw::receive(&mut first).expect("an answer").status, 204);
    assert_eq!(raw::receive(&mut write).expect("an answer").status, 204);
    let answers = reads
        .iter_mut()
        .map(|read| raw::receive(read).expect("an answer"));
    let (good, bad): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status == 200);
    assert_eq!((good.len(), bad.len()), (49, 1), "{bad:?}");
    assert!(good.iter().all(|answer| answer.body == value.as_bytes()));
    assert!(bad[0].error().contains("malformed"), "{}", bad[0].error());
}

#[test]
fn a_list_reads_only_what_it_lists() {
    let (_folder, service) = start_with(
        "INSERT INTO kv (key, value) VALUES (CAST(x'62ff' AS TEXT), x''), (x'00', x'')",
        &[],
    );
    let list = |query: &str| service.get(&format!("/kv{query}"));
    assert_eq!(keys(&list("?prefix=a").json()), ["a"]);
    assert_eq!(keys(&list("?prefix=c").json()), ["c"]);
    assert_eq!(keys(&list("?limit=2").json()), ["a", "b"]);
    let bad = list("?prefix=b");
    assert_eq!(bad.status, 500);
    assert!(
        bad.error().contains("the list at \"b\u{fffd}\""),
        "{}",
        bad.error()
    );
    assert_eq!(keys(&list("?after=c").json()), [""; 0]);
}

#[test]
fn a_row_with_a_bad_end_of_its_life_is_named() {
    let (folder, service) = start_with(
        "UPDATE kv SET expires = 'soon' WHERE key = 'a';
         UPDATE kv SET expires = x'00' WHERE key = 'b';
         UPDATE kv SET expires = 1.5 WHERE key = 'c';
         INSERT INTO kv (key, expires, value) VALUES (x'ff', 7, x'')",
        &[],
    );
    let report = service.wait_for_stderr("the key \"b\"").join("\n");
    assert!(report.contains("the key \"\u{fffd}\""), "{report}");
    for key in ["a", "b"] {
        assert!(
            report.contains(&format!("the key {key:?} has an `expires`")),
            "{report}"
        );
        // It does not expire until it is written again.
        assert_eq!(service.get(&format!("/kv/{key}")).body, b"v");
    }
    assert!(!report.contains("\"c\""), "{report}");
    assert_eq!(service.get("/kv/c").status, 404, "that was in 1970");
    assert_eq!(service.put("/kv/a?ttl=1", b"new").status, 204);
    assert_eq!(service.request("DELETE", "/kv/b", b"").status, 204);
    crate::support::until("the end of its life", || {
        (service.get("/kv/a").status == 404).then_some(())
    });
    service.kill();

    // Many bad rows are not logged one by one.
    let db = Connection::open(folder.path().join("kv.db")).expect("a database");
    db.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
         INSERT INTO kv (key, expires, value) SELECT 'many/' || i, 'never', x'' FROM n",
    )
    .expect("it is SQL");
    drop(db);
    let service = Service::start(&folder, &[]);
    let report = service.wait_for_stderr("more keys");
    assert_eq!(report.len(), 11, "{report:?}");
    assert!(report[10].contains("991"), "{report:?}");
}

#[test]
fn a_database_that_is_read_only_is_called_so() {
    let folder = Folder::new();
    let service = Service::start(&folder, &[]);
    assert_eq!(service.put("/kv/a", b"v").status, 204);
    let mut service = service;
    service.signal("TERM");
    assert_eq!(service.exit_code(), Some(0));
    let file = folder.path().join("kv.db");
    let set = |path: &std::path::Path, mode| {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("it is ours");
    };
    // The superuser may write to all files, unless it drops that capability.
    let is_root = fs::metadata(&file).expect("it is there").uid() == 0;
    let start = || {
        let mut command = if is_root {
            let mut command = Command::new("setpriv");
            command.args(["--bounding-set=-all", "--inh-caps=-all"]);
            command.arg(program());
            command
        } else {
            Command::new(program())
        };
        let output = run(&folder, command.args(["--listen", "127.0.0.1:0"]));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    set(&file, 0o444);
    let report = start();
    assert!(
        report.contains("kv.db as the database: the file is read-only"),
        "{report}"
    );
    set(&file, 0o644);
    set(folder.path(), 0o555);
    let report = start();
    set(folder.path(), 0o755);
    assert!(report.contains("the folder is read-only"), "{report}");
}
