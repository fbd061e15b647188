//! Acknowledged writes survive failures of the process and of the disk.

use std::{
    collections::HashMap,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use crate::support::{Folder, Service, http, json_lines, keys, program, sse::Events, until};

#[test]
fn acknowledged_writes_survive_kill_9() {
    const ROUNDS: usize = 3;
    const WRITERS: usize = 4;
    let folder = Folder::new();
    // The expected value of each key; `None` means deleted. Keys whose last write got no response
    // are not in it.
    let acknowledged = Mutex::new(HashMap::<String, Option<Vec<u8>>>::new());
    for round in 0..=ROUNDS {
        let service = Service::start(&folder, &[]);
        for (key, wanted) in acknowledged.lock().expect("no panic").iter() {
            let found = service.get(&format!("/kv/{key}"));
            assert!(matches!(found.status, 200 | 404), "{found:?}");
            let value = (found.status == 200).then_some(found.body);
            assert!(
                value == *wanted,
                "round {round}: {key} is not what was acknowledged, but {}",
                found.status
            );
        }
        if round == ROUNDS {
            break;
        }
        let (address, writes) = (service.address(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (acknowledged, writes) = (&acknowledged, &writes);
                scope.spawn(move || {
                    for n in 0.. {
                        // Each writer rewrites its own 25 keys.
                        let key = format!("{writer}-{}", n % 25);
                        let path = format!("/kv/{key}");
                        let value = (n % 7 != 6)
                            .then(|| format!("{round} {writer} {n} ").repeat(n % 50).into_bytes());
                        acknowledged.lock().expect("no panic").remove(&key);
                        let answer = match &value {
                            Some(value) => http::request(address, "PUT", &path, value),
                            None => http::request(address, "DELETE", &path, b""),
                        };
                        let Ok(answer) = answer else { return };
                        assert!(matches!(answer.status, 204 | 404), "{answer:?}");
                        acknowledged.lock().expect("no panic").insert(key, value);
                        writes.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            until("some writes", || {
                (writes.load(Ordering::Relaxed) >= 200).then_some(())
            });
            service.kill();
        });
    }
    assert!(acknowledged.into_inner().expect("no panic").len() >= WRITERS * 20);
}

#[test]
fn a_failed_commit_fails_exactly_its_own_writes() {
    let folder = Folder::new();
    // A limit on file sizes simulates a full disk.
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\""])
        .arg(program());
    let service = Service::start_as(limited, &folder, &[]);
    let mut events = Events::of(&service, "kv/**");
    let value = "v".repeat(50_000);
    let there = |service: &Service| keys(&service.get("/kv?limit=1000").json()).len() as u64;

    // Many lines share a transaction.
    let lines = json_lines((0..500).map(|n| (format!("i{n}"), value.clone())));
    let response = service.request("POST", "/import", lines.as_bytes());
    let report = response.json();
    assert_eq!(response.status, 500, "{report}");
    assert!(
        response
            .error()
            .contains("the store failed and rolled back"),
        "{report}"
    );
    assert_eq!(report["imported"], there(&service));

    // Each write has its own transaction.
    let mut kept = there(&service);
    let failure = until("the disk to be full", || {
        let response = service.put(&format!("/kv/{kept}"), value.as_bytes());
        kept += u64::from(response.status == 204);
        (response.status != 204).then_some(response)
    });
    assert_eq!(failure.status, 500);
    assert_eq!(there(&service), kept, "it goes on reading");
    let listed = service.get("/kv?limit=1000").json();
    let report = (0..kept).map(|_| events.next().data["key"].clone());
    let mut report: Vec<_> = report.map(|key| key.as_str().map(str::to_owned)).collect();
    report.sort_unstable();
    assert!(report.iter().flatten().eq(keys(&listed)), "{report:?}");
    service.kill();

    let service = Service::start(&folder, &[]);
    assert_eq!(there(&service), kept);
    assert_eq!(service.put("/kv/more", value.as_bytes()).status, 204);
}
