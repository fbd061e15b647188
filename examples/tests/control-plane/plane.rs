//! A control plane with a console, as a process.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::{ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::process::{KillOnDrop, program};

/// Far more than anything here takes.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Returns ports of a loopback address that nobody uses.
pub(crate) fn ports<const N: usize>(address: &str) -> Option<[u16; N]> {
    let listeners: Vec<_> = (0..N)
        .map(|_| TcpListener::bind((address, 0)).ok())
        .collect::<Option<_>>()?;
    let ports = listeners
        .iter()
        .map(|it| it.local_addr().expect("it listens").port());
    ports.collect::<Vec<_>>().try_into().ok()
}

/// Waits until a closure returns something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if Instant::now() > deadline => panic!("{what}: {seen}"),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// A control plane with a console.
pub(crate) struct Plane {
    process: KillOnDrop,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

/// A command whose answer ends the one before.
const MARK: &str = "lookup 255.255.255.255";
const MARKED: &str = "255.255.255.255 matches nothing";

impl Plane {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(program("control-plane"))
            .args(["--console", "--connect-retry", "1s"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("it starts");
        Self {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().expect("a pipe")),
            process: KillOnDrop(child),
        }
    }

    pub(crate) fn execute(&mut self, command: &str) -> String {
        let stdin = self.stdin.as_mut().expect("it is open");
        writeln!(stdin, "{command}\n{MARK}").expect("it reads");
        let mut answer = String::new();
        loop {
            let before = answer.len();
            let length = self.stdout.read_line(&mut answer).expect("it writes");
            assert!(length > 0, "it has ended: {answer}");
            if answer[before..].trim_end() == MARKED {
                answer.truncate(before);
                return answer;
            }
        }
    }

    /// Waits until the answer to a command contains a text.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, command: &str, text: &str) -> String {
        eventually(text, || {
            let answer = self.execute(command);
            if answer.contains(text) {
                Ok(answer)
            } else {
                Err(answer)
            }
        })
    }

    /// Ends it, and returns the summary.
    pub(crate) fn quit(mut self) -> String {
        self.stdin = None;
        let mut summary = String::new();
        self.stdout.read_to_string(&mut summary).expect("it writes");
        let status = self.process.wait("the control plane", TIMEOUT);
        assert!(status.success(), "{status}: {summary}");
        summary
    }
}
