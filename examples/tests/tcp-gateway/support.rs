//! The gateway as a process, connections to it, and programs of Debian.

use std::{
    env, fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use redis_protocol::resp2::{
    decode::decode,
    encode::encode,
    types::{OwnedFrame, Resp2Frame},
};

pub(crate) use crate::process::Folder;
use crate::process::{self, KillOnDrop};

/// Far more than anything here takes.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(90);

/// Polls until the condition returns a value.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A running gateway, killed when dropped.
pub(crate) struct Gateway {
    process: KillOnDrop,
    pub(crate) address: SocketAddr,
    stderr: mpsc::Receiver<String>,
}

/// Starts a gateway with its own folder.
pub(crate) fn start(flags: &[&str]) -> (Folder, Gateway) {
    let folder = Folder::new();
    let gateway = Gateway::start(&folder, flags);
    (folder, gateway)
}

impl Gateway {
    pub(crate) fn start(folder: &Folder, flags: &[&str]) -> Self {
        Self::start_as(
            &mut Command::new(process::program("tcp-gateway")),
            folder,
            flags,
        )
    }

    /// Starts it by a command that runs the program.
    pub(crate) fn start_as(command: &mut Command, folder: &Folder, flags: &[&str]) -> Self {
        if !flags.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let child = command
            .args(flags)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut process = KillOnDrop(child.expect("the program starts"));
        let stdout = lines(process.0.stdout.take().expect("a pipe"));
        let stderr = lines(process.0.stderr.take().expect("a pipe"));
        let ready = stdout.recv_timeout(TIMEOUT).unwrap_or_default();
        let address = ready.strip_prefix("listening on ").map(str::parse);
        let Some(Ok(address)) = address else {
            panic!("it says {ready:?}, {:?}", stderr.iter().collect::<Vec<_>>());
        };
        Self {
            process,
            address,
            stderr,
        }
    }

    pub(crate) fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).expect("it listens");
        // What was written is in the other socket when the call returns, also if the client goes.
        stream.set_nodelay(true).expect("it can be set");
        stream
            .set_read_timeout(Some(TIMEOUT))
            .expect("it can be set");
        stream
            .set_write_timeout(Some(TIMEOUT))
            .expect("it can be set");
        Connection {
            stream,
            received: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Returns the resident memory, in bytes.
    pub(crate) fn memory(&self) -> Option<usize> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: usize = line.split_whitespace().next()?.parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// Returns a line of `INFO`.
    pub(crate) fn info(&self, name: &str) -> u64 {
        let OwnedFrame::BulkString(text) = self.connect().ask(&["INFO"]) else {
            panic!("INFO has no text");
        };
        let text = String::from_utf8(text).expect("it is text");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// Stops it by a signal, and returns the lines of its standard error.
    pub(crate) fn stop(mut self) -> Vec<String> {
        process::signal(self.id(), "TERM");
        let status = self.process.wait("the gateway", TIMEOUT);
        let lines: Vec<_> = self.stderr.iter().collect();
        assert_eq!(status.code(), Some(0), "{lines:?}");
        lines
    }

    /// Ends it without warning.
    pub(crate) fn kill(mut self) {
        self.process.0.kill().expect("it runs");
        self.process.wait("the gateway", TIMEOUT);
    }
}

fn lines(stream: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// A connection of a client.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("it can be sent");
    }

    /// Sends a command, and waits for the reply.
    #[track_caller]
    pub(crate) fn ask(&mut self, command: &[&str]) -> OwnedFrame {
        self.send(&encoded(command));
        self.reply()
    }

    /// Waits for a reply.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> OwnedFrame {
        self.next().expect("the gateway has closed the connection")
    }

    /// Waits for a reply, or `None` if the connection is closed or reset.
    pub(crate) fn next(&mut self) -> Option<OwnedFrame> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some((frame, length)) = decode(&self.received).expect("valid replies") {
                self.received.drain(..length);
                return Some(frame);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(n) => self.received.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn shut_down(&self) {
        self.stream.shutdown(Shutdown::Write).expect("it is open");
    }
}

/// Encodes a command as clients do.
pub(crate) fn encoded<A: AsRef<[u8]>>(command: &[A]) -> Vec<u8> {
    let strings = command
        .iter()
        .map(|text| OwnedFrame::BulkString(text.as_ref().to_vec()));
    let frame = OwnedFrame::Array(strings.collect());
    let mut buffer = vec![0; frame.encode_len(false)];
    encode(&mut buffer, &frame, false).expect("it fits");
    buffer
}

pub(crate) fn ok() -> OwnedFrame {
    OwnedFrame::SimpleString(b"OK".to_vec())
}

pub(crate) fn text(text: &str) -> OwnedFrame {
    OwnedFrame::BulkString(text.as_bytes().to_vec())
}

pub(crate) fn number(number: i64) -> OwnedFrame {
    OwnedFrame::Integer(number)
}

/// Asserts that a reply is an error that contains this.
#[track_caller]
pub(crate) fn assert_error(reply: &OwnedFrame, part: &str) {
    let OwnedFrame::Error(error) = reply else {
        panic!("{reply:?} is no error");
    };
    assert!(error.contains(part), "no {part:?} in {error:?}");
}

/// Returns whether a program is installed. If not, says so.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let is = env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !is {
        println!("skipped: {program} is not installed");
    }
    is
}
