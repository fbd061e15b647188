//! The other processes: this program again, in another role, or the program of a peer.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::Duration,
};

use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};

use crate::{
    echo, idle,
    mqtt::Mqtt,
    nats::Nats,
    peer::{self, Failed, Kind, Peer},
    routers::{Routers, RoutersInTasks},
    t2::T2,
};

/// The first argument of this program in another role.
pub(crate) const CHILD: &str = "--child";

/// The reason why a contender is left out.
pub(crate) struct Skipped(pub(crate) String);

/// A process, which ends when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// The address it listens at, or was given.
    pub(crate) address: String,
    output: Option<BufReader<ChildStdout>>,
    /// Removed at the end.
    file: Option<PathBuf>,
}

impl Process {
    /// Starts this program in a role, and waits until it is ready.
    pub(crate) fn of(role: &[&str]) -> Result<Self, Skipped> {
        let program = std::env::current_exe().map_err(|error| Skipped(error.to_string()))?;
        let mut command = Command::new(program);
        command
            .arg(CHILD)
            .args(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| Skipped(error.to_string()))?;
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut lines = output.by_ref().lines().map_while(Result::ok);
        // A peer may print lines of its own before.
        let address = lines.find_map(|line| Some(line.strip_prefix(READY)?.to_owned()));
        let Some(address) = address else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(Skipped(format!("the process `{}` failed", role.join(" "))));
        };
        let file = address.strip_prefix("unix:").map(PathBuf::from);
        let file = file.filter(|_| role.contains(&LISTENS));
        Ok(Self {
            child,
            address,
            output: Some(output),
            file,
        })
    }

    /// Starts the program of a peer, and waits until it accepts connections.
    pub(crate) fn program(
        name: &str,
        arguments: &[&str],
        port: u16,
        file: Option<PathBuf>,
    ) -> Result<Self, Skipped> {
        let mut command = Command::new(name);
        let silent = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        // Programs for administrators are often not where users look.
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin";
        let spawned = silent.stderr(Stdio::null()).env("PATH", &path).spawn();
        let child = spawned.map_err(|_| Skipped(format!("{name} is not installed")))?;
        let address = format!("127.0.0.1:{port}");
        let process = Self {
            child,
            address,
            output: None,
            file,
        };
        for _ in 0..200 {
            if std::net::TcpStream::connect(&process.address).is_ok() {
                return Ok(process);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(Skipped(format!("{name} does not accept connections")))
    }

    /// Takes its output, behind the line that says that it is ready.
    pub(crate) fn output(&mut self) -> BufReader<ChildStdout> {
        self.output.take().expect("it is taken once")
    }

    /// Returns the CPU time it has used so far.
    pub(crate) fn cpu(&self) -> Duration {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        clock_getcpuclockid(pid).map_or(Duration::ZERO, cpu_of)
    }

    /// Returns how often its threads have waited so far.
    pub(crate) fn waits(&self) -> u64 {
        waits_of(&self.child.id().to_string())
    }

    /// Returns its resident memory.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = resident.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(file) = &self.file {
            let _ = fs::remove_file(file);
        }
    }
}

/// Returns the CPU time of this process so far.
pub(crate) fn own_cpu() -> Duration {
    cpu_of(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// Returns how often the threads of this process have waited so far.
pub(crate) fn own_waits() -> u64 {
    waits_of("self")
}

fn waits_of(process: &str) -> u64 {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    let waits_of_one = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let mut lines = status.lines();
        let waits = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        waits.trim().parse::<u64>().ok()
    };
    let threads = threads.into_iter().flatten().map_while(Result::ok);
    threads.filter_map(waits_of_one).sum()
}

fn cpu_of(clock: ClockId) -> Duration {
    clock_gettime(clock).map_or(Duration::ZERO, |time: TimeSpec| time.into())
}

/// Returns a port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Returns the path of a file that nothing else uses.
pub(crate) fn temporary(ending: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Relaxed);
    let name = format!("link-benches-{}-{number}.{ending}", std::process::id());
    std::env::temp_dir().join(name)
}

/// Begins the line that says that a process is ready.
const READY: &str = "ready ";

/// The argument of a role that listens.
pub(crate) const LISTENS: &str = "listens";

/// Returns an address to listen at, in the notation of routers.
pub(crate) fn any_address(kind: Kind) -> String {
    match kind {
        Kind::Unix => format!("unix:{}", temporary("sock").display()),
        Kind::Tcp => format!("tcp:127.0.0.1:{}", free_port()),
    }
}

/// Tells the process that has started this one that it may begin.
pub(crate) fn ready(address: &str) {
    println!("{READY}{address}");
    let _ = std::io::stdout().flush(); // an error if that process is gone
}

/// Plays a role until the process that has started this one ends.
pub(crate) fn run(role: &[String]) -> Result<(), Failed> {
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let role: Vec<&str> = role.iter().map(String::as_str).collect();
    match role[..] {
        ["echo", how, LISTENS, address] => echo::serve(how, address),
        ["idle", address, count] => idle::be_linked(address, count.parse()?),
        [what, Routers::NAME, ..] => peer::play::<Routers>(what, &role[2..]),
        [what, RoutersInTasks::NAME, ..] => peer::play::<RoutersInTasks>(what, &role[2..]),
        [what, T2::NAME, ..] => peer::play::<T2>(what, &role[2..]),
        [what, Nats::NAME, ..] => peer::play::<Nats>(what, &role[2..]),
        [what, Mqtt::NAME, ..] => peer::play::<Mqtt>(what, &role[2..]),
        _ => Err("no such role".into()),
    }
}
