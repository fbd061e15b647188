//! What systemd is told. Its socket is named by the environment, so the program is a process of its
//! own: this one, with a test that does nothing otherwise.

use std::{
    convert::Infallible,
    env,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::{TempDir, tempdir};
use ump_admin::{Admin, ListenError};
use ump_server::{
    Client,
    system::{Attributes, System},
    thread,
};

const LONG: Duration = Duration::from_secs(60);

/// Set if a component fails before the surface begins.
const BROKEN: &str = "BROKEN";

/// The program: it does what the lines of its input say.
#[test]
#[ignore = "is the program of the other tests"]
fn program() {
    let system = System::builder()
        .thread("store", Attributes::new(), |_| Ok(thread::reply(|n: u8| n)))
        .thread("fragile", Attributes::new(), |_| {
            Ok(thread::reply(|n: u8| 1 / n))
        })
        .start(LONG)
        .wait()
        .unwrap();
    let fragile = system.client::<u8, u8, Infallible>("fragile").unwrap();
    if env::var_os(BROKEN).is_some() {
        break_down(&fragile);
    }
    let admin = Admin::new().system(&system).systemd().listen("127.0.0.1:0");
    let _admin = match admin {
        Ok(admin) => admin,
        Err(ListenError::Systemd(error)) => {
            println!("refused: {error}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let mut system = Some(system);
    for line in std::io::stdin().lines() {
        match line.unwrap().as_str() {
            "break" => break_down(&fragile),
            "stop" => drop(system.take()),
            _ => return,
        }
    }
}

/// Makes the component fail for good.
fn break_down(fragile: &Client<u8, u8, Infallible>) {
    assert!(fragile.req(0).is_err());
    fragile.closed().wait();
}

struct Service {
    child: Child,
    socket: UnixDatagram,
    _folder: TempDir,
}

fn command(socket: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "systemd::program", "--ignored", "--nocapture"])
        .env("NOTIFY_SOCKET", socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

impl Service {
    fn start(set: impl FnOnce(&mut Command)) -> Self {
        let folder = tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        let mut command = command(&path);
        set(&mut command);
        Self {
            child: command.spawn().unwrap(),
            socket,
            _folder: folder,
        }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Returns what was told next, other than that the watchdog need not act.
    fn next(&self) -> String {
        loop {
            let told = self.next_of_all();
            if told != "WATCHDOG=1" {
                return told;
            }
        }
    }

    fn next_of_all(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).unwrap();
        let told = std::str::from_utf8(&buffer[..length]).unwrap();
        told.trim_end().to_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // it ends
        let _ = self.child.wait();
    }
}

#[test]
fn it_is_told_the_start_and_the_end() {
    let mut service = Service::start(|_| {});
    assert_eq!(service.next_of_all(), "STATUS=starting");
    assert_eq!(service.next_of_all(), "READY=1");
    assert_eq!(service.next_of_all(), "STATUS=components: 2 up");
    service.tell("stop");
    // It is told once, whatever the status says.
    let mut told = Vec::new();
    while !told.iter().any(|it| it == "STOPPING=1") {
        told.push(service.next_of_all());
    }
    drop(service.child.stdin.take());
    assert!(service.child.wait().unwrap().success());
    service.socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    while let Ok(length) = service.socket.recv(&mut buffer) {
        assert_ne!(&buffer[..length], b"STOPPING=1\n");
    }
}

#[test]
fn a_surface_that_stops_tells_it() {
    let mut service = Service::start(|_| {});
    while service.next_of_all() != "READY=1" {}
    service.tell("end");
    while service.next_of_all() != "STOPPING=1" {}
    assert!(service.child.wait().unwrap().success());
}

#[test]
fn the_watchdog_is_kept_quiet() {
    let service = Service::start(|command| {
        command.env("WATCHDOG_USEC", "200000");
    });
    for _ in 0..3 {
        while service.next_of_all() != "WATCHDOG=1" {}
    }
}

#[test]
fn the_watchdog_acts_if_a_component_has_failed() {
    let mut service = Service::start(|command| {
        command.env("WATCHDOG_USEC", "200000");
    });
    while service.next_of_all() != "WATCHDOG=1" {}
    service.tell("break");
    while service.next() != "STATUS=components: 1 up, 1 failed" {}
    service.tell("end");
    assert_eq!(service.next_of_all(), "STOPPING=1");
}

#[test]
fn a_program_with_a_component_that_is_not_up_is_not_ready() {
    let service = Service::start(|command| {
        command.env(BROKEN, "1");
    });
    assert_eq!(service.next_of_all(), "STATUS=starting");
    let status = "STATUS=components: 1 up, 1 failed";
    assert_eq!(service.next_of_all(), status);
}

#[test]
fn the_watchdog_of_another_process_is_not() {
    let mut service = Service::start(|command| {
        command.env("WATCHDOG_USEC", "1000");
        command.env("WATCHDOG_PID", "1");
    });
    let mut told = Vec::new();
    while !told.iter().any(|it: &String| it.contains("2 up")) {
        told.push(service.next_of_all());
    }
    service.tell("end");
    while service.next() != "STOPPING=1" {}
    assert!(!told.contains(&"WATCHDOG=1".to_owned()), "{told:?}");
}

#[test]
fn a_socket_that_takes_nothing_is_an_error() {
    let folder = tempdir().unwrap();
    let mut child = command(&folder.path().join("nobody")).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<String> = output.lines().map(Result::unwrap).collect();
    let is_refused = lines.iter().any(|line| line.contains("refused: "));
    assert!(is_refused, "{lines:?}");
    assert!(child.wait().unwrap().success());
}
