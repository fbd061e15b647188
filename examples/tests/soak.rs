//! The soak, for a moment: what it says of itself, and that it notices what is lost.

#[path = "process/program.rs"]
mod program;

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
};

use program::program;

fn start(flags: &[&str]) -> Child {
    Command::new(program("soak"))
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Its code, and what it said on either channel. It has a watchdog of its own.
fn end(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("it writes UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The two numbers of a line of the ledger.
fn line(ledger: &str, name: &str) -> [u64; 2] {
    let line = ledger.lines().find_map(|line| line.strip_prefix(name));
    let mut numbers = line
        .unwrap_or_else(|| panic!("no {name} in {ledger}"))
        .split_whitespace();
    let mut next = || numbers.next()?.parse().ok();
    [next(), next()].map(|number| number.expect("a number"))
}

#[test]
fn all_kinds_of_outcomes_come_up_and_the_books_agree() {
    let (code, said, complaint) = end(start(&["--seconds", "2", "--seed", "7"]));
    assert_eq!((code, complaint.as_str()), (Some(0), ""), "{said}");
    let names = [
        "requests and posts",
        "replied",
        "refused by the handler",
        "let go of",
        "panicked",
        "timed out, taken",
        "cancelled, taken",
        "not executed",
    ];
    let lines = names.map(|name| line(&said, name));
    for (name, [seen, counted]) in names.iter().zip(lines) {
        assert!(seen > 0 && seen == counted, "{name}: {said}");
    }
    let ended: u64 = lines[1..].iter().map(|[_, counted]| counted).sum();
    assert_eq!(ended, lines[0][0], "{said}");
    assert!(said.contains("--seed 7"), "{said}");
    assert!(said.contains("memory at the end:"), "{said}");
}

#[test]
fn a_request_that_a_handler_forgets_is_noticed() {
    let flags = ["60s", "--patience", "2", "--forget-at", "1000"];
    let (code, said, complaint) = end(start(&flags));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        complaint.contains("no outcome within") || complaint.contains("do not agree"),
        "{complaint}"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_early_and_in_order() {
    let mut child = start(&["1h"]);
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut said = String::new();
    while !said.contains("a second") {
        assert!(stdout.read_line(&mut said).expect("it can be read") > 0);
    }
    let kill = format!("kill -INT {}", child.id());
    let status = Command::new("sh").args(["-c", &kill]).status();
    assert!(status.expect("sh runs").success());
    stdout.read_to_string(&mut said).expect("it can be read");
    let (code, _, complaint) = end(child);
    assert_eq!((code, complaint.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("all in order"), "{said}");
}

#[test]
fn a_start_that_fails_says_why_in_one_line() {
    let cases: [(&[&str], &str); 7] = [
        (&["--seconds"], "--seconds needs a value"),
        (&["--seconds", "soon"], "soon"),
        (&["0"], "no time"),
        (&["10mm"], "10mm"),
        (&["--seed", "x"], "--seed"),
        (&["--channels", "0"], "--channels"),
        (&["--nonsense"], "--nonsense"),
    ];
    for (flags, reason) in cases {
        let (code, said, complaint) = end(start(flags));
        assert_eq!((code, said.as_str()), (Some(1), ""), "{flags:?}");
        assert!(
            complaint.lines().count() == 1 && complaint.contains(reason),
            "{flags:?}: {complaint}"
        );
    }
}
