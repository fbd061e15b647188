//! The chat as its users meet it: lines in, a transcript out, a code at the end.

#[path = "../process/run.rs"]
mod process;
#[path = "../process/program.rs"]
mod program;

use std::io::{BufRead, BufReader, Read, Write};

use process::{End, Scratch};
use program::program;

/// What the built-in script comes to.
const DEMO: &str = include_str!("demo.txt");

fn run(arguments: &[&str], input: &[u8]) -> End {
    process::run(&program("chat"), arguments, input)
}

/// All lines are obeyed, and come to this.
#[track_caller]
fn converse(input: &str, expected: &str) {
    let end = run(&["--interactive"], input.as_bytes());
    assert_eq!(end.said, expected);
    assert_eq!((end.code, end.complaints.as_str()), (Some(0), ""));
}

#[test]
fn the_demo_has_the_same_transcript_each_time() {
    for _ in 0..10 {
        let end = run(&[], b"");
        assert_eq!(end.said, DEMO);
        assert_eq!((end.code, end.complaints.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_line_is_heard_in_its_room_and_nowhere_else() {
    converse(
        "/as alice\n/join lobby\n/as bob\n/join kitchen\nhello\n/join lobby\nhello again\n",
        "  alice is in lobby, as its host
  bob is in kitchen, as its host
  nobody else hears it
  bob is in lobby, and stands by to be its host
    alice  lobby      bob comes in
    alice  lobby/*    lobby/bob: hello again
",
    );
}

#[test]
fn a_line_to_all_rooms_is_heard_in_each() {
    converse(
        "/as bob\n/join lobby\n/as carol\n/join kitchen\n/as dave\n/all fire\n",
        "  bob is in lobby, as its host
  carol is in kitchen, as its host
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
  alice is in lobby, as its host
    dave   */alice    lobby/alice: one
    dave   **         lobby/alice: one
    dave   */alice    */alice: two
    dave   **         */alice: two
  bob is in lobby, and stands by to be its host
    alice  lobby      bob comes in
    dave   **         lobby/bob: three
    alice  lobby/*    lobby/bob: three
  dave listens to ** no more
    alice  lobby/*    lobby/bob: four
",
    );
}

#[test]
fn standby_users_become_host_in_join_order() {
    converse(
        "/as a\n/join x\n/as b\n/join x\n/as c\n/join x\n/as a\n/leave\n/who x\n/join x\n\
         /as b\n/leave\n/who x\n/as c\n/leave\n/who x\n/as a\n/leave\n/who x\n",
        "  a is in x, as its host
  b is in x, and stands by to be its host
    a      x          b comes in
  c is in x, and stands by to be its host
    a      x          c comes in
    b      x          c comes in
  a has left x
    b      x          a leaves
    b      x          b is the host now
    c      x          a leaves
  b answers: b, c
  a is in x, and stands by to be its host
    b      x          a comes in
    c      x          a comes in
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
fn what_one_is_told_the_others_do_not_hear() {
    converse(
        "/as a\n/join x\n/as b\n/join x\n/as c\n/listen **\n/as a\n/tell b psst\n/tell c psst\n",
        "  a is in x, as its host
  b is in x, and stands by to be its host
    a      x          b comes in
  c listens to **
  b has heard it
    b      x          a tells b: psst
  nobody is at x/c
",
    );
}

#[test]
fn a_mistake_is_explained_and_one_can_go_on() {
    let cases = [
        ("hello", "nobody speaks yet; /as NAME says who does"),
        ("/as", "/as needs a name"),
        ("/as a b", "' ' is not allowed at byte 1"),
        ("/as *", "wildcard in a topic"),
        ("/as a/b", "\"a/b\" is no name; leave out the slash"),
        ("/as a\nhello", "a is in no room; /join ROOM enters one"),
        ("/as a\n/who", "a is in no room"),
        ("/as a\n/leave x", "a is not in x"),
        ("/as a\n/join x\n/tell b", "/tell needs a text"),
        ("/as a\n/listen x//y", "empty fragment at byte 2"),
        ("/as a\n/ignore **", "a does not listen to **"),
        (
            "/dance",
            "there is no \"/dance\"; /help lists what there is",
        ),
    ];
    for (input, reason) in cases {
        let input = format!("{input}\n/as zoe\n/join hall\n/who\n");
        let end = run(&["--interactive"], input.as_bytes());
        assert_eq!(end.code, Some(1), "{end:?}");
        assert!(end.complaints.starts_with("error: "), "{end:?}");
        assert!(end.complaints.contains(reason), "{end:?}");
        assert_eq!(end.complaints.lines().count(), 1, "{end:?}");
        assert!(end.said.ends_with("  zoe answers: zoe\n"), "{end:?}");
    }
}

#[test]
fn the_input_may_end_anywhere() {
    converse("", "");
    converse("\n# nothing\n", "");
    converse("/as a\n/quit\n/nonsense", "");
    converse("/as a\n/join x", "  a is in x, as its host\n");
    let end = run(&["--interactive"], b"/as a\n/join \xff\n");
    assert_eq!(end.code, Some(1));
    assert!(end.complaints.contains("UTF-8"), "{end:?}");
}

#[test]
fn a_script_stops_at_the_first_failing_line() {
    let script = Scratch::new(b"# one\n/as a\n/join x\n\n/jump\n/who\n");
    let end = run(&["--script", script.path()], b"");
    assert_eq!(end.code, Some(1));
    assert_eq!(
        end.said,
        "# one\n> /as a\na> /join x\n  a is in x, as its host\n\na> /jump\n"
    );
    assert_eq!(
        end.complaints,
        format!(
            "chat: {}, line 5: there is no \"/jump\"; /help lists what there is\n",
            script.path()
        )
    );
}

#[test]
fn a_start_that_fails_says_why_in_one_line() {
    for (arguments, reason) in [
        (&["--script"][..], "--script needs a file"),
        (&["--script", "no such file"], "cannot read no such file"),
        (
            &["--interactive", "--script"],
            "unknown argument \"--script\"",
        ),
        (&["lobby"], "unknown argument \"lobby\""),
    ] {
        let end = run(arguments, b"");
        assert_eq!((end.code, end.said.as_str()), (Some(1), ""), "{end:?}");
        assert!(end.complaints.starts_with("chat: "), "{end:?}");
        assert!(end.complaints.contains(reason), "{end:?}");
        assert_eq!(end.complaints.lines().count(), 1, "{end:?}");
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
    assert_eq!(line, "  a is in x, as its host\n");
    drop(stdout);
    stdin.write_all(b"/who\n").expect("it reads");
    drop(stdin);
    let mut complaints = String::new();
    let mut stderr = child.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut complaints).expect("text");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    assert!(
        complaints.starts_with("chat: cannot write to the standard output"),
        "{complaints}"
    );
    assert_eq!(complaints.lines().count(), 1, "{complaints}");
}
