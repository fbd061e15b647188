//! Programs of others: a browser that shows the page, and schemathesis, which makes requests from
//! the description of the routes. A test whose program is missing says so and passes.
//!
//! `chromium` is Debian's; `schemathesis` comes by `pip install schemathesis`, and is looked for in
//! `SCHEMATHESIS` first.

use std::{
    env, io,
    process::{Command, Output},
};

use tempfile::tempdir;
use ump_admin::Address;

use crate::program::{AUTHORIZED, Ask, Program, TOKEN, router};

/// Returns what the program has said, unless it is not installed.
fn run(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("skipped: {:?} is not installed", command.get_program());
            None
        }
        Err(error) => panic!("{command:?}: {error}"),
    }
}

/// Returns the page as a browser has it with its first event. The browser's time is virtual and
/// passes while nothing is loaded, so that it may be over before that.
fn page(address: &Address, view: &str, shows: &str) -> Option<String> {
    let mut page = String::new();
    for _ in 0..10 {
        page = load(address, view)?;
        if page.contains(shows) {
            break;
        }
    }
    Some(page)
}

fn load(address: &Address, view: &str) -> Option<String> {
    let profile = tempdir().unwrap();
    let mut chromium = Command::new("chromium");
    chromium
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--virtual-time-budget=200000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("http://{address}/#{view}"));
    let output = run(&mut chromium)?;
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_browser_shows_the_components_and_what_is_in_hand() {
    let program = Program::start();
    let router = router();
    let held = program.client().request(Ask::Hold).submit().wait().unwrap();
    program.held.recv().unwrap();
    let admin = program
        .admin()
        .router(&router)
        .listen("127.0.0.1:0")
        .unwrap();
    if let Some(page) = page(admin.address(), "", "<strong>") {
        for part in [
            "data-state=\"live\"",
            "<strong>store</strong>",
            "<strong>search</strong>",
            "aria-label=\"search\"",
            "<b>2</b><span>of 2 up</span>",
            "<b>1</b><span>in hand</span>",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
    }
    program.gate.send(()).unwrap();
    assert_eq!(held.wait(), Ok(0));
    drop(admin);
    program.stop();
}

#[cfg(feature = "log")]
#[test]
fn a_browser_shows_the_records_of_the_log() {
    let (admin, guard) = crate::log::shown(ump_admin::Admin::new());
    let admin = admin.listen("127.0.0.1:0").unwrap();
    if let Some(page) = page(admin.address(), "log", "class=\"record") {
        for part in [
            "<div class=\"record warn\">",
            "<b>error</b><span class=\"target\">mail</span><span>not sent</span>",
            "<span>sold article=\"tea\"</span>",
        ] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
    }
    drop((admin, guard));
}

#[test]
fn schemathesis_finds_no_fault() {
    let program = Program::start();
    let router = router();
    let admin = program
        .admin()
        .router(&router)
        .section("participants", || serde_json::Value::Null)
        .token(TOKEN)
        .listen("127.0.0.1:0")
        .unwrap();
    let schemathesis = env::var("SCHEMATHESIS").unwrap_or_else(|_| "schemathesis".to_owned());
    let folder = tempdir().unwrap();
    let mut command = Command::new(schemathesis);
    command
        .current_dir(folder.path())
        .arg("run")
        .arg(format!("http://{}/openapi.json", admin.address()))
        .args(["--header", AUTHORIZED])
        // Patterns and filters are narrower than texts, a component that is stopped does not come
        // back, and a stream does not end.
        .args(["--exclude-path-regex", "explain|stop|events|filter"])
        .args(["--phases", "examples,coverage"])
        .args(["--seed", "1", "--no-color"]);
    if let Some(output) = run(&mut command) {
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }
    drop(admin);
    program.stop();
}
