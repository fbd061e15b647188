//! Short soaks: their output, and that they notice a lost request.

mod process;

use std::{
    io::{BufRead, BufReader, Read},
    process::Child,
};

fn start(flags: &[&str]) -> Child {
    process::start(&process::program("soak"), flags)
}

/// Waits for the end, and returns the exit code, the standard output and the standard error. The
/// program has its own watchdog.
fn end(child: Child) -> (Option<i32>, String, String) {
    let end = process::wait(child);
    (end.code, end.stdout, end.stderr)
}

/// Returns the two numbers of a line of the table.
fn line(table: &str, name: &str) -> [u64; 2] {
    let line = table.lines().find_map(|line| line.strip_prefix(name));
    let mut numbers = line
        .unwrap_or_else(|| panic!("no {name} in {table}"))
        .split_whitespace();
    let mut next = || numbers.next()?.parse().ok();
    [next(), next()].map(|number| number.expect("a number"))
}

#[test]
fn all_kinds_of_outcomes_occur_and_the_counts_agree() {
    let (code, stdout, stderr) = end(start(&["2s", "--seed", "7"]));
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let names = [
        "requests and posts",
        "replied",
        "failed by the handler",
        "dropped by the handler",
        "panicked",
        "timed out, taken",
        "cancelled, taken",
        "not executed",
    ];
    let lines = names.map(|name| line(&stdout, name));
    for (name, [seen, counted]) in names.iter().zip(lines) {
        assert!(seen > 0 && seen == counted, "{name}: {stdout}");
    }
    let ended: u64 = lines[1..].iter().map(|[_, counted]| counted).sum();
    assert_eq!(ended, lines[0][0], "{stdout}");
    assert!(stdout.contains("--seed 7"), "{stdout}");
    assert!(stdout.contains("memory at the end:"), "{stdout}");
}

#[test]
fn a_request_that_a_handler_forgets_is_noticed() {
    let flags = ["60s", "--outcome-timeout", "2s", "--forget-at", "1000"];
    let (code, stdout, stderr) = end(start(&flags));
    assert_eq!(code, Some(1), "{stdout}");
    assert!(
        stderr.contains("no outcome within") || stderr.contains("do not agree"),
        "{stderr}"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_early_and_in_order() {
    let mut child = start(&["1h"]);
    let mut pipe = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut stdout = String::new();
    while !stdout.contains("a second") {
        assert!(pipe.read_line(&mut stdout).expect("it can be read") > 0);
    }
    process::signal(child.id(), "INT");
    pipe.read_to_string(&mut stdout).expect("it can be read");
    let (code, _, stderr) = end(child);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.contains("all in order"), "{stdout}");
}

#[test]
fn a_bad_argument_is_explained() {
    let cases: [(&[&str], &str); 8] = [
        (&["--outcome-timeout"], "a value is required"),
        (&["soon"], "'soon' for '[TIME]'"),
        (&["0s"], "it must be from 1s"),
        (&["10"], "time unit needed"),
        (&["10mm"], "10mm"),
        (&["--seed", "x"], "--seed"),
        (&["--channels", "0"], "--channels"),
        (&["--nonsense"], "--nonsense"),
    ];
    for (flags, reason) in cases {
        let (code, stdout, stderr) = end(start(flags));
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{flags:?}");
        assert!(stderr.contains(reason), "{flags:?}: {stderr}");
        assert!(stderr.contains("try '--help'"), "{flags:?}: {stderr}");
    }
}
