//! A program as a process, and requests to it.

use std::{
    env, fs,
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rusqlite::{Connection, OptionalExtension};

/// The capacity of the queue in all tests.
pub(crate) const CAPACITY: usize = 2;

/// A deadline that never passes.
pub(crate) const NEVER: Duration = Duration::from_secs(300);

/// A deadline that passes while the store waits at a gate.
pub(crate) const SOON: Duration = Duration::from_millis(300);

/// A deadline that some requests keep and others do not.
pub(crate) const TIGHT: Duration = Duration::from_millis(4);

/// How long a test waits for anything before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program. It is killed on drop.
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
    /// Its folder, which is removed on drop.
    folder: PathBuf,
}

impl Program {
    pub(crate) fn start(name: &str, deadline: Duration) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("{name}-{}-{number}", process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        fs::create_dir_all(&folder).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_comparison"))
            .arg(name)
            .arg(folder.join("database"))
            .arg("127.0.0.1:0")
            .arg(CAPACITY.to_string())
            .arg(deadline.as_millis().to_string())
            .stdout(Stdio::piped())
            .env("RUST_BACKTRACE", "0") // it takes longer than the short deadline
            .stderr(Stdio::null()) // panics on purpose
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        Self {
            child,
            address: line.trim().parse().expect("the program tells its address"),
            folder,
        }
    }

    /// Sends a request, and waits for the response.
    pub(crate) fn ask(&self, request: &Request) -> Answer {
        ask(self.address, request)
    }

    /// Sends a request from a thread of its own.
    pub(crate) fn submit(&self, request: Request) -> JoinHandle<Answer> {
        let address = self.address;
        thread::spawn(move || ask(address, &request))
    }

    /// Sends a request that waits at a gate, and waits until the store is there. If the machine is
    /// so busy that a short deadline passes before that, it tries again.
    pub(crate) fn hold(&self, make: impl Fn(&Gate) -> Request) -> (JoinHandle<Answer>, AtGate) {
        let gate = Gate::new();
        let end = Instant::now() + PATIENCE;
        loop {
            let asked = self.submit(make(&gate));
            loop {
                let has_ended = asked.is_finished();
                if let Some(at_gate) = gate.poll() {
                    return (asked, at_gate);
                }
                assert!(Instant::now() < end, "the store does not come to the gate");
                if has_ended {
                    break;
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Reads a value. If the machine is so busy that the short deadline passes, it tries again.
    pub(crate) fn read(&self, key: &str) -> Answer {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask(&Request::get(key));
            if ![503, 504].contains(&answer.status) {
                return answer;
            }
            assert!(Instant::now() < end, "{answer:?}");
        }
    }

    /// Fills the queue with requests `make(0)`, `make(1)`, ... while the store is at a gate, until
    /// some are refused. Returns those that wait, by their numbers, and the refusals.
    pub(crate) fn fill_queue(
        &self,
        make: impl Fn(usize) -> Request,
    ) -> (Vec<(usize, JoinHandle<Answer>)>, Vec<Answer>) {
        const REFUSED: usize = 3;
        let asked = (0..CAPACITY + REFUSED).map(|n| (n, self.submit(make(n))));
        let mut waiting: Vec<_> = asked.collect();
        let mut refused = Vec::new();
        let end = Instant::now() + PATIENCE;
        while refused.len() < REFUSED {
            assert!(Instant::now() < end, "the queue is not full");
            match waiting.iter().position(|(_, asked)| asked.is_finished()) {
                Some(n) => refused.push(waiting.swap_remove(n).1.join().unwrap()),
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
        (waiting, refused)
    }

    /// Lets the next opening of the database fail.
    pub(crate) fn refuse_next_opening(&self) {
        fs::write(self.folder.join("refuse"), "").unwrap();
    }

    /// Sends a signal, given its name without `SIG`, and waits until the program accepts no more
    /// connections.
    pub(crate) fn stop(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success(), "{kill}");
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_ok() {
            assert!(
                Instant::now() < end,
                "the program still accepts connections"
            );
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the program does not end");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Reads a value from the file.
    pub(crate) fn stored(&self, key: &str) -> Option<String> {
        let query = "SELECT value FROM texts WHERE key = ?1";
        let value = self.database().query_row(query, [key], |row| row.get(0));
        value.optional().unwrap()
    }

    /// Returns how often the program has opened the database.
    pub(crate) fn openings(&self) -> usize {
        let query = "SELECT count(*) FROM openings";
        let count = self.database().query_row(query, [], |row| row.get(0));
        count.unwrap()
    }

    fn database(&self) -> Connection {
        Connection::open(self.folder.join("database")).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A request for HTTP.
pub(crate) struct Request {
    method: &'static str,
    path: String,
    body: String,
}

impl Request {
    pub(crate) fn get(key: &str) -> Self {
        Self::new("GET", format!("/values/{key}"))
    }

    pub(crate) fn put(key: &str, value: &str) -> Self {
        let body = value.to_owned();
        let path = format!("/values/{key}");
        Self {
            body,
            ..Self::new("PUT", path)
        }
    }

    pub(crate) fn put_slowly(key: &str, gate: &Gate) -> Self {
        Self::new("PUT", format!("/slow/{key}/{}", gate.port()))
    }

    pub(crate) fn crash(gate: &Gate) -> Self {
        Self::new("POST", format!("/crash/{}", gate.port()))
    }

    fn new(method: &'static str, path: String) -> Self {
        let body = String::new();
        Self { method, path, body }
    }
}

/// A response that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    /// Returns whether the response says that the request was not executed.
    pub(crate) fn tells_that_it_was_not_executed(&self) -> bool {
        self.body.contains(r#""executed":"no""#)
    }
}

/// Sends a request over a connection of its own.
fn ask(address: SocketAddr, request: &Request) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .proxy(None)
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    let uri = format!("http://{address}{}", request.path);
    let answer = match request.method {
        "GET" => agent.get(uri).call(),
        "PUT" => agent.put(uri).send(&request.body),
        _ => agent.post(uri).send(&request.body),
    };
    let (head, mut body) = answer.unwrap().into_parts();
    let retry_after = head.headers.get("retry-after");
    Answer {
        status: head.status.as_u16(),
        retry_after: retry_after.map(|value| value.to_str().unwrap().to_owned()),
        body: body.read_to_string().unwrap(),
    }
}

/// A gate at which the store waits: a listener that it connects to.
pub(crate) struct Gate(TcpListener);

impl Gate {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Returns whether the store is at the gate. It goes on when the result is dropped.
    fn poll(&self) -> Option<AtGate> {
        match self.0.accept() {
            Ok((store, _)) => Some(AtGate(store)),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                None
            }
        }
    }
}

/// The store is at a gate.
#[must_use = "the store goes on when it is dropped"]
pub(crate) struct AtGate(#[allow(dead_code, reason = "it is for its drop")] TcpStream);
