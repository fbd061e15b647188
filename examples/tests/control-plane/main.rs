//! The control plane as a process: a file in, a summary and an exit code out.

#[path = "../../control-plane/path.rs"]
#[allow(dead_code, reason = "the control plane uses the rest")]
mod path;
#[path = "../process/mod.rs"]
mod process;

#[cfg(unix)]
mod admin;
mod bird;
mod distances;
mod interfaces;
mod numbers;
mod peers;
mod plane;
mod topology;
mod traffic;

use std::fs;

use process::{End, Scratch, program};

/// Two hours of six neighbours, with twelve faulty lines.
const UPDATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/control-plane/updates.txt");

/// The summary. An independent model in another language computed the same figures.
const SUMMARY: &str = include_str!("summary.txt");

fn run(arguments: &[&str], commands: &str) -> End {
    process::run(&program("control-plane"), arguments, commands.as_bytes())
}

/// Removes the part that depends on the number of instances.
fn without_components(summary: &str) -> &str {
    summary.split("components").next().unwrap_or_default()
}

#[test]
fn the_summary_of_the_file_is_the_same_each_time() {
    for _ in 0..5 {
        let end = run(&[UPDATES], "");
        assert_eq!(end.code, Some(0), "{end:?}");
        assert_eq!(end.stdout, SUMMARY);
    }
}

#[test]
fn the_summary_is_independent_of_the_shard_count() {
    for shards in ["1", "7", "64"] {
        let end = run(&["--shards", shards, UPDATES], "");
        assert_eq!(end.code, Some(0), "{end:?}");
        assert_eq!(
            without_components(&end.stdout),
            without_components(SUMMARY),
            "{shards} instances"
        );
    }
}

#[test]
fn each_faulty_line_is_reported_with_its_number() {
    let end = run(&[UPDATES], "");
    let expected = [
        ":141: \"10.1.2.0/33\" is not a valid prefix",
        ":172: 10.1.2.3/16 has host bits: did you mean 10.1.0.0/16?",
        ":214: the path is missing",
        ":248: unknown kind \"X\"",
        ":320: 192.0.2.1 is in AS 64496, not 64999",
        ":378: its time is before that of the line before",
        ":403: unknown kind \"TABLE_DUMP2_AP\"",
        ":432: \"64500 AS64503\" is not a valid path",
        ":458: 192.0.2.2 has no session",
        ":547: \"17734x3555\" is not a valid time",
        ":606: \"www.example.net\" is not a valid address",
        ":628: its time is more than a day after that of the line before",
    ];
    let stderr: Vec<_> = end
        .stderr
        .lines()
        .map(|line| line.strip_prefix(UPDATES).unwrap_or(line))
        .collect();
    assert_eq!(stderr, expected);
}

#[test]
fn the_console_survives_unknown_commands() {
    let commands = "\
lookup 10.20.30.200
lookup 2001:db8:ffff::1
lookup example.net
show routes 198.19.0.0/16
show routes 10.1.1.0/24
show routes everything
show neighbours
nonsense

quit
lookup 10.0.0.1
";
    let end = run(&["--console", UPDATES], commands);
    assert_eq!(end.code, Some(0), "{end:?}");
    let stdout: Vec<_> = end.stdout.lines().collect();
    let expected = [
        "10.20.30.200 matches 10.20.30.128/25 via 192.0.2.1 from 192.0.2.1, path 64496 64509 65550 64508, preference 110, MED 0; 2 more",
        "2001:db8:ffff::1 matches nothing",
        "error: \"example.net\" is not an address such as 10.1.2.3",
        "198.19.0.0/16 via 198.51.100.7 from 198.51.100.7, path 64500 64504 64509 65549, preference 100, MED 0; 2 more",
        "198.19.64.0/18 via 192.0.2.1 from 192.0.2.1, path 64496 64502 64505 64503, preference 100, MED 10",
        "198.19.64.0/24 via 198.51.100.7 from 198.51.100.7, path 64500 65546, preference 100, MED 10; 2 more",
        "no routes",
        "error: \"everything\" is not a prefix such as 10.0.0.0/8",
        "192.0.2.1            AS 64496  established   0 flaps    143 messages",
        "192.0.2.2            AS 64497  established   1 flaps    143 messages",
        "198.51.100.7         AS 64500  established   0 flaps     73 messages",
        "198.51.100.9         AS 64501  established   1 flaps     82 messages",
        "2001:db8:0:1::1      AS 64496  established   0 flaps     82 messages",
        "2001:db8:0:1::2      AS 64497  idle          1 flaps     67 messages",
        "error: unknown command \"nonsense\"; try help",
    ];
    assert_eq!(stdout[..expected.len()], expected);
    assert!(
        stdout[expected.len()].starts_with("lines "),
        "{}",
        end.stdout
    );
    assert!(
        end.stdout.contains("lookups    34 found, 2 not"),
        "what is looked up here is counted, too: {}",
        end.stdout
    );
}

#[test]
fn a_silent_neighbour_loses_its_session_and_routes() {
    let file = Scratch::new(
        b"BGP4MP|100|A|192.0.2.1|64496|10.0.0.0/8|64496|IGP|192.0.2.1|100|0||NAG||\n\
          KEEPALIVE|109.999|192.0.2.1|64496\n\
          LOOKUP|119.998|10.1.2.3\n\
          LOOKUP|119.999|10.1.2.3\n",
    );
    let end = run(&["--hold", "10s", file.path()], "");
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(
        end.stdout.contains("lookups    1 found, 1 not"),
        "{}",
        end.stdout
    );
    assert!(end.stdout.contains("1 expired"), "{}", end.stdout);
    assert!(
        end.stdout
            .contains("routes     0 of IPv4, 0 of IPv6, 0 paths"),
        "{}",
        end.stdout
    );
}

#[test]
fn the_best_path_follows_preference_then_length() {
    let file = Scratch::new(
        b"BGP4MP|1|A|192.0.2.1|64496|10.0.0.0/8|64496 64502|IGP|192.0.2.1|100|0||NAG||\n\
          BGP4MP|1|A|192.0.2.2|64497|10.0.0.0/8|64497|IGP|192.0.2.2|100|5||NAG||\n\
          BGP4MP|1|A|192.0.2.3|64498|10.0.0.0/8|64498|IGP|192.0.2.3|100|1||NAG||\n\
          BGP4MP|1|A|192.0.2.4|64499|10.0.0.0/8|64499 64502 64503|INCOMPLETE|192.0.2.4|200|9||NAG||\n",
    );
    let best = |extra: &str| {
        let mut text = fs::read(file.path()).expect("it is there");
        text.extend(extra.as_bytes());
        let more = Scratch::new(&text);
        let end = run(&["--console", more.path()], "lookup 10.1.2.3\n");
        assert_eq!(end.code, Some(0), "{end:?}");
        let line = end.stdout.lines().next().unwrap_or_default().to_owned();
        let from = line.split_once(" from ").map(|(_, from)| from.to_owned());
        from.and_then(|from| from.split(',').next().map(str::to_owned))
            .unwrap_or(line)
    };
    assert_eq!(best(""), "192.0.2.4");
    let mut gone = String::new();
    for (from, system, next) in [
        ("192.0.2.4", "64499", "192.0.2.3"),
        ("192.0.2.3", "64498", "192.0.2.2"),
        ("192.0.2.2", "64497", "192.0.2.1"),
        ("192.0.2.1", "64496", "10.1.2.3 matches nothing"),
    ] {
        gone = format!("{gone}BGP4MP|2|W|{from}|{system}|10.0.0.0/8\n");
        assert_eq!(best(&gone), next);
    }
}

#[test]
fn without_a_file_it_reads_the_sample() {
    let end = run(&[], "");
    assert_eq!(end.code, Some(0), "{end:?}");
    assert_eq!(end.stdout, SUMMARY);
    let first = end.stderr.lines().next().unwrap_or_default();
    assert!(
        first.contains("the sample, examples/control-plane/updates.txt"),
        "{first}"
    );
    // The console works with the sample, too.
    let end = run(&["--console"], "lookup 10.20.30.200\n");
    assert!(
        end.stdout
            .starts_with("10.20.30.200 matches 10.20.30.128/25 "),
        "{end:?}"
    );
}

#[test]
fn what_bgpdump_prints_is_understood() {
    let lines = [
        // A table. Its second neighbour is in our own system and originates a route.
        "TABLE_DUMP2|1773468000|B|192.0.2.1|64496|10.0.0.0/8|64496 65536 64499|IGP|192.0.2.1|0|0||NAG||",
        "TABLE_DUMP2|1773468000|B|192.0.2.9|64511|10.9.0.0/16||IGP|192.0.2.9|100|0||NAG||",
        "TABLE_DUMP|1773468000|B|192.0.2.1|64496|10.1.0.0/16|64496|INCOMPLETE|192.0.2.1|0|0||AG|64496 192.0.2.1|",
        "TABLE_DUMP2|1773468000|B|2001:db8::1|64496|2001:db8:1::/48|64496|EGP|2001:db8::1|0|0|64496:1 no-export|NAG||",
        // Systems in dot notation.
        "BGP4MP|1773468001|STATE|192.0.2.3|1.10|5|6",
        "BGP4MP|1773468001|A|192.0.2.3|1.10|10.2.0.0/16|1.10 1.0 64500|IGP|192.0.2.3|0|0||NAG||",
        "BGP4MP|1773468001|W|192.0.2.3|65546|10.2.0.0/16|",
        // Confederations, sets, and both.
        "BGP4MP_ET|1773468002.5|A|192.0.2.1|64496|10.3.0.0/16|(65001 65002) 64496 64497|IGP|192.0.2.1|0|0||NAG||",
        "BGP4MP|1773468003|A|192.0.2.1|64496|10.4.0.0/16|(65001)|IGP|192.0.2.1|0|0||NAG||",
        "BGP4MP|1773468003|A|192.0.2.1|64496|10.5.0.0/16|[65001,65002] 64496 {64497,1.1}|IGP|192.0.2.1|0|0||NAG||",
        "BGP4MP|1773468003|A|192.0.2.1|64496|10.6.0.0/16||IGP|192.0.2.1|0|0||NAG||",
        "BGP4MP|1773468004|STATE|192.0.2.1|64496|6|7",
        "BGP4MP|1773468004|STATE|192.0.2.1|64496|7|8",
    ];
    let file = Scratch::new(lines.join("\n").as_bytes());
    let end = run(&[file.path()], "");
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
    assert!(
        end.stdout
            .starts_with("lines      13 read, 13 processed, 0 errors, 0 blank"),
        "{}",
        end.stdout
    );
    // Invalid paths are reported.
    let bad = [
        "(65001",
        "65001)",
        "(65001){1}",
        "()",
        "{}",
        "[1.1.1]",
        "1.65536",
        "65536.0",
        "+1",
        "4294967296",
        "{1,,2}",
        "(1 [2])",
    ];
    let lines: Vec<_> = bad
        .iter()
        .map(|path| {
            format!("BGP4MP|1|A|192.0.2.1|64496|10.0.0.0/8|{path}|IGP|192.0.2.1|0|0||NAG||")
        })
        .collect();
    let file = Scratch::new(lines.join("\n").as_bytes());
    let end = run(&[file.path()], "");
    let expected = bad
        .iter()
        .map(|path| format!("{path:?} is not a valid path"));
    let told = end
        .stderr
        .lines()
        .map(|line| line.rsplit(": ").next().unwrap_or(line).to_owned());
    assert!(told.clone().eq(expected), "{:?}", told.collect::<Vec<_>>());
}

#[test]
fn segments_of_a_confederation_do_not_lengthen_a_path() {
    let from = |system: &str, path: &str| {
        format!(
            "TABLE_DUMP2|1|B|192.0.2.{system}|6449{system}|10.0.0.0/8|{path}|IGP|192.0.2.{system}|0|0||NAG||\n"
        )
    };
    let best = |text: String| {
        let file = Scratch::new(text.as_bytes());
        let end = run(&["--console", file.path()], "lookup 10.1.2.3\n");
        assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
        let (_, path) = end.stdout.split_once(", path ").expect("a path");
        path.split_once(", preference")
            .expect("it goes on")
            .0
            .to_owned()
    };
    assert_eq!(
        best(from("1", "64491 64499") + &from("2", "(65001 65002 65003) 64492")),
        "(65001 65002 65003) 64492"
    );
    assert_eq!(
        best(from("1", "64491") + &from("2", "[65001,65002]")),
        "[65001,65002]"
    );
    assert_eq!(best(from("1", "64491") + &from("2", "")), "(empty)");
    assert_eq!(
        best(from("1", "64491 64499 64500") + &from("2", "64492 {1,2,3,4}")),
        "64492 {1,2,3,4}"
    );
}

#[test]
fn a_broken_file_is_read_and_counted_to_its_end() {
    let mut broken = vec![0xff, 0xfe, b'\n', b'|', b'|', b'\n', b'\n'];
    broken.extend(vec![b'x'; 100_000]);
    broken.extend(b"\nBGP4MP|1|A|192.0.2.1|64496|10.0.0.0/8|64496|IGP|192.0.2.1|100|0");
    let file = Scratch::new(&broken);
    let end = run(&[file.path()], "");
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(
        end.stdout
            .starts_with("lines      5 read, 1 processed, 3 errors, 1 blank or comments\n"),
        "{}",
        end.stdout
    );
    let stderr: Vec<_> = end
        .stderr
        .lines()
        .map(|line| line.strip_prefix(file.path()).unwrap_or(line))
        .collect();
    assert_eq!(
        stderr,
        [
            ":1: it is not UTF-8",
            ":2: the kind is missing",
            ":4: it has more than 65536 bytes"
        ]
    );
}

#[test]
fn a_file_with_nothing_in_it_has_a_summary_too() {
    let file = Scratch::new(b"");
    let end = run(&[file.path()], "");
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
    assert!(
        end.stdout.starts_with("lines      0 read"),
        "{}",
        end.stdout
    );
}

#[test]
fn time_can_be_real() {
    let end = run(&["--real-time", "50000", UPDATES], "");
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(
        end.stdout.starts_with("lines      652 read"),
        "{}",
        end.stdout
    );
}

#[test]
fn quitting_early_in_real_time_is_an_error() {
    let end = run(&["--real-time", "1", "--console", UPDATES], "help\nquit\n");
    assert_eq!(end.code, Some(1), "{end:?}");
    assert!(end.stdout.starts_with("show routes"), "{}", end.stdout);
    assert!(
        end.stderr.contains("ended before the end of the file"),
        "{end:?}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_explained() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    for (file, reason) in [
        ("no/such/file", "cannot open no/such/file"),
        (folder, "cannot read on"),
    ] {
        let end = run(&[file], "");
        assert_eq!(end.code, Some(1), "{file}: {end:?}");
        assert_eq!(end.stderr.lines().count(), 1, "{file}: {end:?}");
        assert!(end.stderr.contains(reason), "{file}: {end:?}");
    }
}

#[test]
fn a_bad_argument_is_explained() {
    let cases: [(&[&str], &str); 6] = [
        (&["a", "b"], "unexpected argument 'b'"),
        (&["--nonsense", "a"], "unexpected argument '--nonsense'"),
        (&["--shards", "0", "a"], "0 is not in 1..=64"),
        (&["--hold", "2s", "a"], "it must be from 3s to 18h 12m 15s"),
        (&["--real-time", "fast", "a"], "--real-time"),
        (&["a", "--hold"], "a value is required for '--hold"),
    ];
    for (arguments, reason) in cases {
        let end = run(arguments, "");
        assert_eq!(end.code, Some(2), "{arguments:?}: {end:?}");
        assert!(end.stderr.contains(reason), "{arguments:?}: {end:?}");
        assert!(
            end.stderr.contains("try '--help'"),
            "{arguments:?}: {end:?}"
        );
    }
}
