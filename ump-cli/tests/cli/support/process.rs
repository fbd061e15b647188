//! The command as a process, with a limit on its time.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Far more than anything here takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const UMP: &str = env!("CARGO_BIN_EXE_ump");

/// What a process has left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A process whose lines can be waited for. It is killed when it is dropped.
pub(crate) struct Ump {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    stdout: Lines,
    stderr: Lines,
}

struct Lines {
    lines: Receiver<String>,
    seen: String,
}

/// Runs the command to its end.
pub(crate) fn run(args: &[&str]) -> Ran {
    run_with_input(args, "")
}

/// Runs the command to its end, with this standard input.
pub(crate) fn run_with_input(args: &[&str], input: &str) -> Ran {
    let mut ump = Ump::start(args);
    // It may end before it has read all.
    let _ = ump.stdin.take().unwrap().write_all(input.as_bytes());
    ump.end()
}

/// A hub as a process, with its address.
pub(crate) fn serve() -> (Ump, String) {
    let mut hub = Ump::start(&["serve", "--listen", "tcp:127.0.0.1:0", "--json"]);
    let line: Value = serde_json::from_str(&hub.line()).unwrap();
    let address = line["listening"].as_str().unwrap().to_owned();
    (hub, address)
}

fn spawn(program: &str, args: &[&str]) -> Child {
    Command::new(program)
        .args(args)
        .env_remove("UMP_ON")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

impl Ump {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_by(UMP, args)
    }

    /// Starts a program that becomes the command.
    pub(crate) fn start_by(program: &str, args: &[&str]) -> Self {
        let mut child = spawn(program, args);
        let stdout = child.stdout.take().unwrap();
        Self::new(child, stdout)
    }

    /// Starts the command with a standard output that nobody reads any more.
    pub(crate) fn start_without_reader(args: &[&str]) -> Self {
        let mut child = spawn(UMP, args);
        drop(child.stdout.take());
        Self::new(child, std::io::empty())
    }

    fn new(mut child: Child, stdout: impl Read + Send + 'static) -> Self {
        let stdin = child.stdin.take();
        let stdout = Lines::read(stdout);
        let stderr = Lines::read(child.stderr.take().unwrap());
        Self {
            child,
            stdin,
            stdout,
            stderr,
        }
    }

    /// Starts the command, and waits until its standard error has a line with this text.
    pub(crate) fn start_until(args: &[&str], text: &str) -> Self {
        let mut ump = Self::start(args);
        ump.wait_for(text);
        ump
    }

    /// Waits for a line on the standard error that has this text.
    pub(crate) fn wait_for(&mut self, text: &str) {
        while !self.stderr.next().contains(text) {}
    }

    /// Returns the next line of the standard output.
    pub(crate) fn line(&mut self) -> String {
        self.stdout.next()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ran {
        drop(self.stdin.take());
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the process does not end");
            thread::sleep(Duration::from_millis(5));
        };
        Ran {
            code: status.code().unwrap_or(-1),
            stdout: self.stdout.rest(),
            stderr: self.stderr.rest(),
        }
    }
}

impl Drop for Ump {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn read(source: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(source).lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let seen = String::new();
        Self { lines, seen }
    }

    fn next(&mut self) -> String {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => {
                self.seen += &line;
                self.seen += "\n";
                line
            }
            Err(error) => panic!("no line ({error}) after: {}", self.seen),
        }
    }

    fn rest(&mut self) -> String {
        while let Ok(line) = self.lines.recv_timeout(LIMIT) {
            self.seen += &line;
            self.seen += "\n";
        }
        std::mem::take(&mut self.seen)
    }
}
