//! Processes that fork or are stopped: their programs are in `src/bin`, and their results are
//! checked here.
#![cfg(unix)]

use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use tests::must_end;

/// Runs a scenario of `forks`, which has its own time limit.
fn forks(scenario: &str) {
    let ended = Command::new(env!("CARGO_BIN_EXE_forks"))
        .arg(scenario)
        .status()
        .expect("it can be run");
    match ended.code() {
        Some(0) => {}
        Some(2) => panic!("{scenario}: the child hangs"),
        other => panic!("{scenario}: the child ended with {other:?}"),
    }
}

macro_rules! forks {
    ($($name:ident: $scenario:literal;)+) => {
        $( #[test] fn $name() { forks($scenario); } )+
    };
}

forks! {
    child_has_awaited_deadlines: "deadline";
    child_awaits_what_its_parent_armed: "armed-before";
    child_has_timers_and_restarts: "timers";
    child_has_a_watchdog: "watchdog";
    child_detects_cycles: "cycle";
    grandchild_has_timers: "grandchild";
    handler_can_fork: "handler";
    fork_does_not_inherit_held_locks: "busy";
    child_and_parent_read_links_of_their_own: "links";
}

/// A program whose handlers are watched, with a threshold of 2 s.
struct Watched {
    process: Child,
    asks: ChildStdin,
    says: Lines<BufReader<ChildStdout>>,
}

impl Watched {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stopped"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be run");
        let asks = process.stdin.take().expect("piped");
        let says = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut watched = Self {
            process,
            asks,
            says,
        };
        watched.says("ready");
        watched
    }

    fn ask(&mut self, what: &str) {
        writeln!(self.asks, "{what}").expect("it reads");
    }

    #[track_caller]
    fn says(&mut self, expected: &str) {
        let said = self.says.next().expect("it says something");
        assert_eq!(said.expect("it can be read"), expected);
    }

    /// Stops the process for longer than its threshold.
    fn be_stopped(&self) {
        let id = i32::try_from(self.process.id()).expect("it is one");
        let mut status = 0;
        // SAFETY: it is our child, which was not waited for, so its id is not reused.
        unsafe { libc::kill(id, libc::SIGSTOP) };
        // SAFETY: it is our child, as above, and `status` is a valid pointer. `WUNTRACED` does not
        // reap it.
        let stopped = unsafe { libc::waitpid(id, &raw mut status, libc::WUNTRACED) };
        assert!(stopped == id && libc::WIFSTOPPED(status));
        sleep(Duration::from_secs(5));
        // SAFETY: it is our child, which was not reaped, so its id is not reused.
        unsafe { libc::kill(id, libc::SIGCONT) };
        // A false stall would have been reported by then.
        sleep(Duration::from_millis(500));
    }

    /// Checks that a real stall is reported.
    fn stall(&mut self) {
        self.ask("stall");
        self.says("running");
        self.says("stall 0");
        self.says("done");
        self.says("stall 2");
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn handler_runs_while_stopped(on: &'static str) {
    must_end(move || {
        let mut watched = Watched::start();
        watched.ask(on);
        watched.says("running");
        // A turn counts from the monitor's second look on, which comes after half a second.
        sleep(Duration::from_millis(700));
        watched.be_stopped();
        watched.ask("go");
        watched.says("done");
        watched.stall();
    });
}

#[test]
fn stopped_process_has_no_stall_on_a_thread() {
    handler_runs_while_stopped("thread");
}

#[test]
fn stopped_process_has_no_stall_on_a_task() {
    handler_runs_while_stopped("task");
}

#[test]
fn process_stopped_when_idle_has_no_stall() {
    must_end(|| {
        let mut watched = Watched::start();
        for _ in 0..2 {
            watched.be_stopped();
            watched.ask("thread");
            watched.says("running");
            watched.ask("go");
            watched.says("done");
        }
        watched.stall();
    });
}
