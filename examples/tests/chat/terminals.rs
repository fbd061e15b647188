//! The chat between terminals: processes, which a link joins.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use crate::process::{self, End, Folder, KillOnDrop, program, signal};

/// Far more than anything here takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A terminal: a process whose lines are read as they come.
struct Terminal {
    process: KillOnDrop,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    read: Vec<String>,
}

impl Terminal {
    fn start(arguments: &[&str]) -> Self {
        // Both outputs in one pipe, so in the order in which they are written.
        let child = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 2>&1"#])
            .arg(program("chat"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("it starts");
        let (sender, lines) = mpsc::channel();
        let output = child.stdout.take().expect("a pipe");
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let line = line.expect("it writes UTF-8");
                // An error if the test has ended.
                let _ = sender.send(line);
            }
        });
        Self {
            stdin: child.stdin.take(),
            process: KillOnDrop(child),
            lines,
            read: Vec::new(),
        }
    }

    fn host(address: &str, name: &str) -> Self {
        let mut terminal = Self::start(&["--host", address, "--as", name]);
        // As standby, if another terminal was linked, and is the host, before it has joined.
        let joined = format!("{name} is in lobby, as ");
        terminal.expect_that(&joined, |line| line.starts_with(&joined));
        terminal
    }

    fn on(address: &str, name: &str) -> Self {
        let mut terminal = Self::start(&["--on", address, "--as", name]);
        terminal.expect(&format!("{name} is in lobby, as standby"));
        terminal
    }

    fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("it is open");
        writeln!(stdin, "{line}").expect("it reads");
    }

    /// Waits for a line, and skips the lines before it.
    #[track_caller]
    fn expect(&mut self, expected: &str) {
        self.expect_that(expected, |line| line == expected);
    }

    /// Waits for two lines, in either order.
    #[track_caller]
    fn expect_both(&mut self, expected: [&str; 2]) {
        let [one, other] = expected;
        let first = self.expect_that("one of two", |line| expected.contains(&line));
        self.expect(if first == one { other } else { one });
    }

    #[track_caller]
    fn expect_that(&mut self, what: &str, is_expected: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let last = &self.read[self.read.len().saturating_sub(20)..];
                panic!("{what:?} does not come: {last:#?}");
            };
            self.read.push(line);
            if let Some(line) = self.read.last().filter(|line| is_expected(line)) {
                return line.clone();
            }
        }
    }

    /// Reads lines until there is such a line, or none for a moment. Returns whether there is.
    fn hears(&mut self, is_expected: impl Fn(&str) -> bool) -> bool {
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(100)) {
            self.read.push(line);
            if self.read.last().is_some_and(|line| is_expected(line)) {
                return true;
            }
        }
        false
    }

    /// Ends its input, and returns the lines that were not skipped yet.
    #[track_caller]
    fn end(mut self) -> Vec<String> {
        drop(self.stdin.take());
        let status = self.process.wait("a terminal", TIMEOUT);
        assert!(status.success(), "{status}: {:#?}", self.read);
        self.lines.iter().collect()
    }

    fn kill(mut self) {
        self.process.0.kill().expect("it is our child");
        self.process.wait("a terminal that was killed", TIMEOUT);
    }
}

/// The address of a socket in a folder.
fn address_in(folder: &Folder) -> String {
    format!("unix:{}/chat.sock", folder.path().display())
}

/// The address of a host that listens on a port of its own, from its first line.
fn tcp_host(name: &str) -> (Terminal, String) {
    let mut host = Terminal::start(&["--host", "tcp:127.0.0.1:0", "--as", name]);
    let line = host.expect_that("the address", |line| line.contains("--on tcp:"));
    let words = line.split(' ').find(|word| word.starts_with("tcp:"));
    (host, words.expect("an address").to_owned())
}

#[test]
fn two_terminals_talk() {
    let folder = Folder::new();
    let address = address_in(&folder);
    for is_tcp in [false, true] {
        let (mut alice, address) = if is_tcp {
            tcp_host("alice")
        } else {
            (Terminal::host(&address, "alice"), address.clone())
        };
        let mut bob = Terminal::on(&address, "bob");
        alice.expect("[lobby] bob joins");
        bob.say("good morning");
        alice.expect("[lobby] bob: good morning");
        alice.say("hello bob");
        bob.expect("[lobby] alice: hello bob");
        bob.say("/all fire");
        alice.expect("[lobby] bob to all: fire");
        for terminal in [&mut alice, &mut bob] {
            terminal.say("/who");
            terminal.expect("alice answers: alice, bob");
        }
        bob.say("/tell alice psst");
        bob.expect("delivered to alice");
        alice.expect("[lobby] bob tells alice: psst");
        alice.say("/tell bob pst");
        alice.expect("delivered to bob");
        bob.expect("[lobby] alice tells bob: pst");
        bob.say("/tell carol psst");
        bob.expect("nobody is at lobby/carol");
        alice.say("/listen kitchen/*");
        alice.expect("alice listens to kitchen/*");
        // The host answers the request of alice before it passes on what she says.
        alice.say("/tell bob cook something");
        bob.expect("[lobby] alice tells bob: cook something");
        bob.say("/join kitchen");
        bob.expect("bob is in kitchen, as host");
        bob.say("soup?");
        alice.expect("[kitchen] bob: soup?");
        bob.say("the last line");
        assert_eq!(bob.end(), [""; 0]);
        // Of two subscriptions.
        alice.expect_both(["[kitchen] bob: the last line", "[lobby] bob leaves"]);
        alice.say("/who");
        alice.expect("alice answers: alice");
        alice.say("is anybody here?");
        alice.expect("nobody else hears it");
        let mut bob = Terminal::on(&address, "bob");
        alice.expect("[lobby] bob joins");
        alice.say("good night");
        assert_eq!(alice.end(), [""; 0]);
        bob.expect("[lobby] alice: good night");
    }
}

#[test]
fn terminals_talk_through_their_host() {
    let folder = Folder::new();
    let address = address_in(&folder);
    let mut alice = Terminal::host(&address, "alice");
    let mut bob = Terminal::on(&address, "bob");
    alice.expect("[lobby] bob joins");
    for _ in 0..2 {
        let mut carol = Terminal::on(&address, "carol");
        bob.expect("[lobby] carol joins");
        for terminal in [&mut alice, &mut bob, &mut carol] {
            terminal.say("/who");
            terminal.expect("alice answers: alice, bob, carol");
        }
        carol.say("hello");
        alice.expect("[lobby] carol: hello");
        bob.expect("[lobby] carol: hello");
        bob.say("/tell carol psst");
        bob.expect("delivered to carol");
        carol.expect("[lobby] bob tells carol: psst");
        let refused = process::run(&program("chat"), &["--on", &address, "--as", "bob"], b"");
        assert_refused(&refused, 1, "another terminal is bob in lobby");
        carol.kill();
        alice.expect("[lobby] carol leaves");
        bob.expect("[lobby] carol leaves");
        bob.say("/tell carol are you there?");
        bob.expect("nobody is at lobby/carol");
    }
    // That a link of others is lost is no loss of bob's own.
    assert!(
        !bob.read.iter().any(|line| line.contains("lost")),
        "{:#?}",
        bob.read
    );
    alice.kill();
    bob.expect(&format!("* lost the link to {address}: trying again"));
}

#[test]
fn a_terminal_goes_on_when_the_host_is_killed_and_comes_back() {
    let folder = Folder::new();
    let address = address_in(&folder);
    let alice = Terminal::host(&address, "alice");
    let mut bob = Terminal::on(&address, "bob");
    alice.kill();
    bob.expect(&format!("* lost the link to {address}: trying again"));
    bob.say("/who");
    bob.expect("bob answers: bob");
    bob.say("alice?");
    bob.expect("nobody else hears it");
    bob.say("/tell alice psst");
    bob.expect("nobody is at lobby/alice");
    // The file of the socket that was killed is in the way of nobody.
    let mut alice = Terminal::host(&address, "alice");
    bob.expect(&format!("* linked to {address}"));
    alice.expect("[lobby] bob joins");
    alice.say("I am back");
    bob.expect("[lobby] alice: I am back");
    bob.say("good");
    alice.expect("[lobby] bob: good");
    bob.say("/who");
    bob.expect("bob answers: alice, bob");
    // And once more, with a host that ends in order.
    alice.end();
    bob.expect(&format!("* lost the link to {address}: trying again"));
    let mut alice = Terminal::host(&address, "alice");
    bob.expect_both([&format!("* linked to {address}"), "[lobby] alice joins"]);
    bob.say("/tell alice welcome");
    bob.expect("delivered to alice");
    alice.expect("[lobby] bob tells alice: welcome");
}

#[test]
fn a_terminal_waits_for_its_host() {
    let folder = Folder::new();
    let address = address_in(&folder);
    let mut bob = Terminal::start(&["--on", &address, "--as", "bob"]);
    let waits = format!("no link to {address} yet, trying on: ");
    bob.expect_that(&waits, |line| line.starts_with(&waits));
    bob.expect("bob is in lobby, as host");
    let mut alice = Terminal::host(&address, "alice");
    bob.expect_both([&format!("* linked to {address}"), "[lobby] alice joins"]);
    alice.expect("[lobby] bob joins");
    bob.say("there you are");
    alice.expect("[lobby] bob: there you are");
}

#[test]
fn a_killed_terminal_leaves_and_its_name_is_free() {
    let folder = Folder::new();
    let address = address_in(&folder);
    let mut alice = Terminal::host(&address, "alice");
    for _ in 0..3 {
        let bob = Terminal::on(&address, "bob");
        alice.expect("[lobby] bob joins");
        bob.kill();
        alice.expect("[lobby] bob leaves");
    }
}

#[test]
fn a_name_is_refused_while_another_terminal_has_it() {
    let folder = Folder::new();
    let address = address_in(&folder);
    let mut alice = Terminal::host(&address, "alice");
    let refused = process::run(
        &program("chat"),
        &["--on", &address, "--as", "alice"],
        b"hello\n",
    );
    assert_refused(
        &refused,
        1,
        "chat: another terminal is alice in lobby: choose another name",
    );
    // It is free in another room.
    let mut other = Terminal::start(&["--on", &address, "--as", "alice", "--room", "kitchen"]);
    other.expect("alice is in kitchen, as host");
    other.say("/join lobby");
    other.expect("error: another terminal is alice in lobby: choose another name");
    alice.say("/tell alice me");
    alice.expect("delivered to alice");
}

#[test]
fn a_terminal_that_stops_reading_holds_up_nobody() {
    let folder = Folder::new();
    let address = address_in(&folder);
    let mut alice = Terminal::host(&address, "alice");
    let mut bob = Terminal::on(&address, "bob");
    alice.expect("[lobby] bob joins");
    signal(bob.process.0.id(), "STOP");
    let long = "blah ".repeat(20);
    for number in 0..20_000 {
        alice.say(&format!("{number} {long}"));
    }
    alice.say("/who");
    alice.expect("alice answers: alice, bob");
    signal(bob.process.0.id(), "CONT");
    // Until bob has caught up.
    let mut said = 20_000;
    while !bob.hears(|line| number(line) >= Some(20_000)) {
        alice.say(&format!("{said} there?"));
        said += 1;
    }
    let mut next = 0;
    for line in &bob.read {
        if let Some(number) = number(line) {
            assert_eq!(number, next, "{line}");
            next += 1;
        } else if let Some(missed) = missed(line) {
            next += missed;
        }
    }
    assert!(bob.read.iter().any(|line| missed(line).is_some()));
}

/// The number of a line that alice has said.
fn number(line: &str) -> Option<u32> {
    let rest = line.strip_prefix("[lobby] alice: ")?;
    rest.split(' ').next()?.parse().ok()
}

/// The number of lines that are missing.
fn missed(line: &str) -> Option<u32> {
    let rest = line.strip_prefix("[lobby] missed ")?;
    rest.split(' ').next()?.parse().ok()
}

#[test]
fn names_of_all_scripts_can_talk() {
    let folder = Folder::new();
    let address = address_in(&folder);
    let mut zoe = Terminal::host(&address, "Zoë");
    let mut other = Terminal::on(&address, "日本.人-1");
    zoe.expect("[lobby] 日本.人-1 joins");
    other.say("/tell Zoë grüezi **/日本 \u{1f600}");
    other.expect("delivered to Zoë");
    zoe.expect("[lobby] 日本.人-1 tells Zoë: grüezi **/日本 \u{1f600}");
}

#[test]
fn a_bad_argument_is_explained() {
    let host = ["--host", "unix:unused.sock"];
    for (arguments, reason) in [
        (&["--as", "a b"][..], "' ' (space) is not allowed at byte 1"),
        (&["--as", "*"], "wildcard '*' in a topic at byte 0"),
        (&["--as", "a/b"], "it contains a slash"),
        (&["--as", ""], "a name is not empty"),
        (&["--as", "a", "--room", "x/y"], "it contains a slash"),
        (&[], "--as <NAME>"),
        (&["--as", "a", "--on", "unix:a"], "cannot be used with"),
        (&["--as", "a", "--interactive"], "cannot be used with"),
        (&["--as", "a", "--script", "a"], "cannot be used with"),
    ] {
        let arguments = [&host, arguments].concat();
        let end = process::run(&program("chat"), &arguments, b"");
        assert_refused(&end, 2, reason);
    }
    for (arguments, reason) in [
        (
            &["--on", "chat.sock", "--as", "a"][..],
            "is not an address of a link: write unix:PATH",
        ),
        (
            &["--on", "unix:", "--as", "a"],
            "is not an address of a link: write unix:PATH",
        ),
        (
            &["--on", "tcp:example", "--as", "a"],
            "is not an address of a link: write unix:PATH",
        ),
        (&["--as", "a"], "--host <ADDRESS>"),
        (&["--room", "a"], "--host <ADDRESS>"),
    ] {
        let end = process::run(&program("chat"), arguments, b"");
        assert_refused(&end, 2, reason);
    }
}

#[test]
fn a_place_that_cannot_be_listened_at_is_explained() {
    let folder = Folder::new();
    let _alice = Terminal::host(&address_in(&folder), "alice");
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").expect("a file can be made");
    let file_address = format!("unix:{}", file.display());
    let missing = format!("unix:{}/none/chat.sock", folder.path().display());
    for (address, reason) in [
        (address_in(&folder).as_str(), "another process listens on"),
        (&file_address, "is not a socket"),
        (&missing, "cannot be used"),
        (
            "tcp:0.0.0.0:0",
            "use a loopback address, a unix socket, or TLS",
        ),
    ] {
        let end = process::run(&program("chat"), &["--host", address, "--as", "eve"], b"");
        assert_refused(&end, 1, reason);
    }
    let content = std::fs::read_to_string(&file).expect("it is there");
    assert_eq!(content, "precious");
}

/// Checks that a program has ended with a code, and said why on the standard error.
#[track_caller]
fn assert_refused(end: &End, code: i32, reason: &str) {
    assert_eq!((end.code, end.stdout.as_str()), (Some(code), ""), "{end:?}");
    assert!(end.stderr.contains(reason), "{reason}: {end:?}");
}

#[test]
fn a_terminal_without_a_reader_ends_and_leaves() {
    let folder = Folder::new();
    let address = address_in(&folder);
    let mut alice = Terminal::host(&address, "alice");
    let mut bob: Child = process::start(&program("chat"), &["--on", &address, "--as", "bob"]);
    alice.expect("[lobby] bob joins");
    drop(bob.stdout.take());
    // A process that another test is about to start may hold the pipe open for a moment.
    let deadline = Instant::now() + TIMEOUT;
    while bob.try_wait().expect("it is our child").is_none() {
        assert!(Instant::now() < deadline, "it goes on without a reader");
        alice.say("hello");
        thread::sleep(Duration::from_millis(10));
    }
    let end = process::wait(bob);
    assert_eq!(end.code, Some(1), "{end:?}");
    assert!(
        end.stderr
            .starts_with("chat: cannot write to the standard output"),
        "{end:?}"
    );
    alice.expect("[lobby] bob leaves");
}
