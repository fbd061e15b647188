//! The chat as a process: lines in, a transcript and an exit code out.

#[path = "../process/mod.rs"]
mod process;
#[cfg(unix)]
mod terminals;

use std::{
    io::{BufRead, BufReader, Read, Write},
    thread,
    time::Duration,
};

use process::{End, Scratch, program};

/// The transcript of the built-in script.
const DEMO: &str = include_str!("demo.txt");

fn run(arguments: &[&str], input: &[u8]) -> End {
    process::run(&program("chat"), arguments, input)
}

/// Checks that all commands succeed with this transcript.
#[track_caller]
fn converse(input: &str, expected: &str) {
    let end = run(&["--interactive"], input.as_bytes());
    assert_eq!(end.stdout, expected);
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_demo_has_the_same_transcript_each_time() {
    for _ in 0..10 {
        let end = run(&[], b"");
        assert_eq!(end.stdout, DEMO);
        assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_line_is_heard_in_its_room_and_nowhere_else() {
    converse(
        "/as alice\n/join lobby\n/as bob\n/join kitchen\nhello\n/join lobby\nhello again\n",
        "  alice is in lobby, as host
  bob is in kitchen, as host
  nobody else hears it
  bob is in lobby, as standby
    alice  lobby      bob joins
    alice  lobby/*    lobby/bob: hello again
",
    );
}

#[test]
fn a_line_to_all_rooms_is_heard_in_each() {
    converse(
        "/as bob\n/join lobby\n/as carol\n/join kitchen\n/as dave\n/all fire\n",
        "  bob is in lobby, as host
  carol is in kitchen, as host
    bob    lobby/*    */dave: fire
    carol  kitchen/*  */dave: fire
",
    );
}

#[test]
fn a_pattern_hears_what_it_meets_until_it_is_ignored() {
    converse(
        "/as dave\n/listen */alice\n/listen **\n/as alice\n/join lobby\none\n/all two\n\
         /as bob\n/join lobby\nthree\n/as dave\n/ignore **\n/as bob\nfour\n",
        "  dave listens to */alice
  dave listens to **
  alice is in lobby, as host
    dave   */alice    lobby/alice: one
    dave   **         lobby/alice: one
    dave   */alice    */alice: two
    dave   **         */alice: two
  bob is in lobby, as standby
    alice  lobby      bob joins
    dave   **         lobby/bob: three
    alice  lobby/*    lobby/bob: three
  dave no longer listens to **
    alice  lobby/*    lobby/bob: four
",
    );
}

#[test]
fn standby_users_become_host_in_join_order() {
    converse(
        "/as a\n/join x\n/as b\n/join x\n/as c\n/join x\n/as a\n/leave\n/who x\n/join x\n\
         /as b\n/leave\n/who x\n/as c\n/leave\n/who x\n/as a\n/leave\n/who x\n",
        "  a is in x, as host
  b is in x, as standby
    a      x          b joins
  c is in x, as standby
    a      x          c joins
    b      x          c joins
  a has left x
    b      x          a leaves
    b      x          b is the host now
    c      x          a leaves
  b answers: b, c
  a is in x, as standby
    b      x          a joins
    c      x          a joins
  b has left x
    a      x          b leaves
    c      x          b leaves
    c      x          c is the host now
  c answers: a, c
  c has left x
    a      x          c leaves
    a      x          a is the host now
  a answers: a
  a has left x
  nobody is at x
",
    );
}

#[test]
fn a_private_message_reaches_only_its_receiver() {
    converse(
        "/as a\n/join x\n/as b\n/join x\n/as c\n/listen **\n/as a\n/tell b psst\n/tell c psst\n",
        "  a is in x, as host
  b is in x, as standby
    a      x          b joins
  c listens to **
  delivered to b
    b      x          a tells b: psst
  nobody is at x/c
",
    );
}

#[test]
fn a_mistake_is_explained_and_one_can_go_on() {
    let cases = [
        ("hello", "no current user; /as NAME chooses one"),
        ("/as", "/as needs a name"),
        ("/as a b", "' ' (space) is not allowed at byte 1"),
        ("/as *", "wildcard '*' in a topic at byte 0"),
        ("/as a/b", "\"a/b\" is not a name"),
        ("/as a\nhello", "a is in no room; /join ROOM joins one"),
        ("/as a\n/who", "a is in no room"),
        ("/as a\n/leave x", "a is not in x"),
        ("/as a\n/join x\n/tell b", "/tell needs a text"),
        ("/as a\n/listen x//y", "empty fragment at byte 2"),
        ("/as a\n/ignore **", "a does not listen to **"),
        (
            "/dance",
            "unknown command \"/dance\"; /help lists the commands",
        ),
    ];
    for (input, reason) in cases {
        let input = format!("{input}\n/as zoe\n/join hall\n/who\n");
        let end = run(&["--interactive"], input.as_bytes());
        assert_eq!(end.code, Some(1), "{end:?}");
        assert!(end.stderr.starts_with("error: "), "{end:?}");
        assert!(end.stderr.contains(reason), "{end:?}");
        assert_eq!(end.stderr.lines().count(), 1, "{end:?}");
        assert!(end.stdout.ends_with("  zoe answers: zoe\n"), "{end:?}");
    }
}

#[test]
fn the_input_may_end_anywhere() {
    converse("", "");
    converse("\n# nothing\n", "");
    converse("/as a\n/quit\n/nonsense", "");
    converse("/as a\n/join x", "  a is in x, as host\n");
    let end = run(&["--interactive"], b"/as a\n/join \xff\n");
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.contains("UTF-8"), "{end:?}");
}

#[test]
fn a_script_stops_at_the_first_failing_line() {
    let script = Scratch::new(b"# one\n/as a\n/join x\n\n/jump\n/who\n");
    let end = run(&["--script", script.path()], b"");
    assert_eq!(end.code, Some(1));
    assert_eq!(
        end.stdout,
        "# one\n> /as a\na> /join x\n  a is in x, as host\n\na> /jump\n"
    );
    assert_eq!(
        end.stderr,
        format!(
            "chat: {}, line 5: unknown command \"/jump\"; /help lists the commands\n",
            script.path()
        )
    );
}

#[test]
fn a_script_that_cannot_be_read_is_named() {
    let end = run(&["--script", "no such file"], b"");
    assert_eq!((end.code, end.stdout.as_str()), (Some(1), ""), "{end:?}");
    let reason = "chat: cannot read no such file";
    assert!(end.stderr.starts_with(reason), "{end:?}");
    assert_eq!(end.stderr.lines().count(), 1, "{end:?}");
}

#[test]
fn a_bad_argument_is_explained() {
    for (arguments, reason) in [
        (&["--script"][..], "a value is required for '--script"),
        (&["--interactive", "--script", "a"], "cannot be used with"),
        (&["lobby"], "unexpected argument 'lobby'"),
        (&["--nonsense"], "unexpected argument '--nonsense'"),
    ] {
        let end = run(arguments, b"");
        assert_eq!((end.code, end.stdout.as_str()), (Some(2), ""), "{end:?}");
        assert!(end.stderr.contains(reason), "{end:?}");
        assert!(end.stderr.contains("try '--help'"), "{end:?}");
    }
}

#[test]
fn a_closed_stdout_is_an_error_and_not_a_panic() {
    let mut child = process::start(&program("chat"), &["--interactive"]);
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    stdin.write_all(b"/as a\n/join x\n").expect("it reads");
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    assert_eq!(line, "  a is in x, as host\n");
    drop(stdout);
    // A process that another test is about to start may hold the pipe open for a moment.
    for _ in 0..100 {
        if stdin.write_all(b"/who\n").is_err() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    drop(stdin);
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().expect("a pipe");
    pipe.read_to_string(&mut stderr).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    assert!(
        stderr.starts_with("chat: cannot write to the standard output"),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}
