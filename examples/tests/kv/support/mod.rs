//! The service as a process, its working folder, and a way to wait for a condition.

pub(crate) mod http;
#[path = "../../process/mod.rs"]
mod processes;
pub(crate) mod raw;
pub(crate) mod sse;

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

pub(crate) use self::processes::Folder;
use self::{http::Response, processes::KillOnDrop};

/// Far more than anything here takes: a longer wait is a bug.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A duration that does not pass while a test runs.
pub(crate) const FOR_EVER: &str = "10m";

/// Polls until the condition returns a value.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a service with its own folder.
#[track_caller]
pub(crate) fn start(flags: &[&str]) -> (Folder, Service) {
    let folder = Folder::new();
    let service = Service::start(&folder, flags);
    (folder, service)
}

/// Returns the path of the example.
pub(crate) fn program() -> PathBuf {
    processes::program("kv")
}

/// Runs a command that ends by itself.
#[track_caller]
pub(crate) fn run(folder: &Folder, command: &mut Command) -> Output {
    let mut child = spawn(folder, command);
    let status = child.wait("the program", TIMEOUT);
    let mut output = Output {
        status,
        stdout: Vec::new(),
        stderr: Vec::new(),
    };
    child
        .0
        .stdout
        .take()
        .expect("a pipe")
        .read_to_end(&mut output.stdout)
        .expect("it can be read");
    child
        .0
        .stderr
        .take()
        .expect("a pipe")
        .read_to_end(&mut output.stderr)
        .expect("it can be read");
    output
}

fn spawn(folder: &Folder, command: &mut Command) -> KillOnDrop {
    command
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    KillOnDrop(command.spawn().expect("the program starts"))
}

/// A running service, killed when dropped.
#[derive(Debug)]
pub(crate) struct Service {
    process: KillOnDrop,
    address: SocketAddr,
    /// The lines of its standard error.
    stderr: Mutex<mpsc::Receiver<String>>,
}

impl Service {
    /// Starts it on a free port with `kv.db` in the folder, and waits until it listens.
    pub(crate) fn start(folder: &Folder, flags: &[&str]) -> Self {
        Self::start_as(Command::new(program()), folder, flags)
    }

    /// Starts it by a command that runs the program.
    pub(crate) fn start_as(mut command: Command, folder: &Folder, flags: &[&str]) -> Self {
        let mut process = spawn(
            folder,
            command.args(["--listen", "127.0.0.1:0"]).args(flags),
        );
        let stdout = lines(process.0.stdout.take().expect("a pipe"));
        let stderr = Mutex::new(lines(process.0.stderr.take().expect("a pipe")));
        let mut service = Self {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            stderr,
        };
        let ready = stdout.recv_timeout(TIMEOUT).unwrap_or_default();
        match ready.strip_prefix("listening on http://").map(str::parse) {
            Some(Ok(address)) => service.address = address,
            _ => panic!(
                "said {ready:?} instead of where it listens; stderr: {:?}",
                service.wait_for_stderr("")
            ),
        }
        service
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a request on its own connection.
    #[track_caller]
    pub(crate) fn request(&self, method: &str, path: &str, body: &[u8]) -> Response {
        http::request(self.address, method, path, body).expect("the service answers")
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, b"")
    }

    #[track_caller]
    pub(crate) fn put(&self, path: &str, value: &[u8]) -> Response {
        self.request("PUT", path, value)
    }

    /// Returns a counter below `requests` in `/stats`.
    #[track_caller]
    pub(crate) fn count(&self, name: &str) -> u64 {
        count(&self.stats(), name)
    }

    #[track_caller]
    pub(crate) fn stats(&self) -> Value {
        let response = self.get("/stats");
        assert_eq!(response.status, 200);
        response.json()
    }

    /// Returns the process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.0.id()
    }

    #[track_caller]
    pub(crate) fn wait_for_at_least(&self, name: &str, wanted: u64) {
        until(&format!("{name} >= {wanted}"), || {
            (self.count(name) >= wanted).then_some(())
        });
    }

    #[track_caller]
    pub(crate) fn wait_for_count(&self, name: &str, wanted: u64) {
        until(&format!("{name} = {wanted}"), || {
            (self.count(name) == wanted).then_some(())
        });
    }

    /// Waits until no request is queued or taken, and returns the counters.
    #[track_caller]
    pub(crate) fn wait_until_quiet(&self) -> Value {
        until("quiet", || {
            let stats = self.stats();
            (count(&stats, "queued") == 0 && count(&stats, "taken") == 0).then_some(stats)
        })
    }

    /// Sends a signal, given its name without `SIG`.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        processes::signal(self.id(), name);
    }

    /// Waits for a line with this text, and returns all lines up to it.
    #[track_caller]
    pub(crate) fn wait_for_stderr(&self, text: &str) -> Vec<String> {
        let lines = self.stderr.lock().expect("no test panics with it");
        let mut said = Vec::new();
        while let Ok(line) = lines.recv_timeout(TIMEOUT) {
            let found = line.contains(text);
            said.push(line);
            if found {
                return said;
            }
        }
        panic!("stderr ended, or fell silent, without {text:?}: {said:?}");
    }

    /// Waits for the end of the process; `None` means that a signal killed it.
    #[track_caller]
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.process.wait("the service", TIMEOUT).code()
    }

    /// Kills it with `kill -9`.
    pub(crate) fn kill(self) {
        drop(self.process);
    }
}

/// Returns the keys of a list.
pub(crate) fn keys(list: &Value) -> Vec<&str> {
    list["keys"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry["key"].as_str().expect("a key"))
        .collect()
}

/// Returns the body of a `POST /import`.
pub(crate) fn json_lines(lines: impl Iterator<Item = (String, String)>) -> String {
    lines
        .map(|(key, value)| json!({ "key": key, "value": value }).to_string() + "\n")
        .collect()
}

pub(crate) fn count(stats: &Value, name: &str) -> u64 {
    stats["requests"][name]
        .as_u64()
        .unwrap_or_else(|| panic!("no count of {name} in {stats}"))
}

/// Reads lines on a thread, so that a test can wait for them with a timeout and the writer never
/// blocks.
fn lines(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // Without a receiver it goes on reading, so that the writer does not block.
            let _ = sender.send(line);
        }
    });
    receiver
}
