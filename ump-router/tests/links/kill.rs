//! Two processes. One is killed again and again: each request ends in one outcome, and the outcomes
//! agree with what the killed processes have done.
//!
//! The other process is this test, run once more: see `child_process`.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use ump::Executed;
use ump_router::{RecvError, link::wire::Failure};

use crate::support::{
    Double, KillOnDrop, LONG, Price, SocketPath, await_server, await_subscriber, carrying, next,
    publish,
};

const ADDRESS: &str = "UMP_LINKS_ADDRESS";
const LEDGER: &str = "UMP_LINKS_LEDGER";

/// Serves at an address, until its standard input ends.
struct Process(KillOnDrop);

impl Process {
    fn start(address: &str, ledger: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_process", "--nocapture"])
            .env(ADDRESS, address)
            .env(LEDGER, ledger)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(KillOnDrop(child))
    }

    /// By SIGKILL.
    fn kill(&mut self) {
        self.0.0.kill().unwrap();
        self.0.0.wait().unwrap();
    }
}

/// What another process does, if this one is it.
#[test]
fn child_process() {
    let (Ok(address), Ok(ledger)) = (std::env::var(ADDRESS), std::env::var(LEDGER)) else {
        return;
    };
    let router = carrying();
    let mut ledger = OpenOptions::new()
        .append(true)
        .create(true)
        .open(ledger)
        .unwrap();
    let server = router.serve::<Double>("counted").unwrap();
    thread::spawn(move || {
        for (call, rctx) in &server {
            let Double(number) = call.message;
            // One system call, so a kill leaves all of it or nothing.
            ledger.write_all(&number.to_be_bytes()).unwrap();
            let _ = rctx.reply(2 * number);
        }
    });
    // Echoes prices, and asks the other process for each.
    let asker = router.clone();
    let mut asked = router.subscribe::<Price>("ask/*").unwrap();
    thread::spawn(move || {
        for price in &mut asked {
            let Ok(price) = price else { continue };
            let reply = asker
                .request("parent", Double(price.0))
                .timeout(LONG)
                .wait();
            publish(&asker, "answer", reply.unwrap_or(0));
        }
    });
    // Holds all requests, and tells how many.
    let stuck = router.serve::<Double>("stuck").unwrap();
    let teller = router.clone();
    thread::spawn(move || {
        let mut held = Vec::new();
        for call in &stuck {
            held.push(call);
            publish(&teller, "held", held.len() as u64);
        }
    });
    let _listener = router.listen(&address).unwrap();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(0);
}

fn ledger() -> PathBuf {
    SocketPath::new().0.with_extension("ledger")
}

fn executions(ledger: &Path) -> HashMap<u64, usize> {
    let bytes = fs::read(ledger).unwrap_or_default();
    let mut executions = HashMap::new();
    for number in bytes.chunks_exact(8) {
        let number = u64::from_be_bytes(number.try_into().unwrap());
        *executions.entry(number).or_default() += 1;
    }
    executions
}

#[test]
fn two_processes_talk_in_both_directions() {
    let (path, ledger) = (SocketPath::new(), ledger());
    let _child = Process::start(&path.address(), &ledger);
    let router = carrying();
    let server = router.serve::<Double>("parent").unwrap();
    let serving = thread::spawn(move || {
        for (call, rctx) in &server {
            let _ = rctx.reply(call.message.0 + 1);
        }
    });
    let mut answers = router.subscribe::<Price>("answer").unwrap();
    let link = router.connect(path.address()).unwrap();
    assert!(link.opened().timeout(LONG).wait());
    await_server(&router, "counted");
    assert_eq!(router.request("counted", Double(21)).wait().unwrap(), 42);
    await_subscriber(&router, "ask/now");
    for number in 1..50 {
        publish(&router, "ask/now", number);
        assert_eq!(next(&mut answers), Ok(number + 1));
    }
    assert_eq!(executions(&ledger), HashMap::from([(21, 1)]));
    router.close();
    serving.join().unwrap();
    fs::remove_file(ledger).unwrap();
}

#[test]
fn a_killed_process_ends_each_pending_request() {
    let (path, ledger) = (SocketPath::new(), ledger());
    let mut child = Process::start(&path.address(), &ledger);
    let router = carrying();
    let mut prices = router.subscribe::<Price>("**").unwrap();
    let link = router.connect(path.address()).unwrap();
    await_server(&router, "stuck");
    thread::scope(|scope| {
        let router = &router;
        let callers: Vec<_> = (0..30)
            .map(|number| scope.spawn(move || router.request("stuck", Double(number)).wait()))
            .collect();
        while next(&mut prices) != Ok(30) {}
        child.kill();
        for caller in callers {
            let error = caller.join().unwrap().unwrap_err();
            let lost = error.link().unwrap_or_else(|| panic!("{error:?}"));
            assert_eq!(*lost.link, *path.address());
            assert_eq!(
                (lost.failure, lost.executed),
                (Failure::LinkLost, Executed::Perhaps)
            );
        }
    });
    assert_eq!(next(&mut prices), Err(RecvError::Interrupted));
    // The next process at the address is found.
    let _child = Process::start(&path.address(), &ledger);
    assert!(link.opened().timeout(LONG).wait());
    await_server(&router, "counted");
    assert_eq!(router.request("counted", Double(1)).wait().unwrap(), 2);
    fs::remove_file(ledger).unwrap();
}

#[test]
fn outcomes_agree_with_the_ledger_of_killed_processes() {
    let (path, ledger) = (SocketPath::new(), ledger());
    let router = carrying();
    let link = router.connect(path.address()).unwrap();
    let (next_number, is_over) = (AtomicU64::new(1), AtomicBool::new(false));
    let outcomes = thread::scope(|scope| {
        let callers: Vec<_> = (0..6)
            .map(|_| {
                scope.spawn(|| {
                    let mut outcomes = Vec::new();
                    while !is_over.load(Ordering::Relaxed) {
                        let number = next_number.fetch_add(1, Ordering::Relaxed);
                        let request = router.request("counted", Double(number));
                        let outcome = request.wait_for_server().timeout(LONG).wait();
                        outcomes.push((number, outcome));
                    }
                    outcomes
                })
            })
            .collect();
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..8 {
            let mut child = Process::start(&path.address(), &ledger);
            assert!(link.opened().timeout(LONG).wait());
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            thread::sleep(Duration::from_micros(2_000 + random % 60_000));
            child.kill();
        }
        let mut child = Process::start(&path.address(), &ledger);
        is_over.store(true, Ordering::Relaxed);
        let outcomes = callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap());
        let outcomes = outcomes.collect::<Vec<_>>();
        child.kill();
        outcomes
    });
    let executions = executions(&ledger);
    let (mut replies, mut lost, mut refused) = (0, 0, 0);
    for (number, outcome) in &outcomes {
        let times = executions.get(number).copied().unwrap_or(0);
        assert!(times <= 1, "{number} was executed {times} times");
        match outcome {
            Ok(reply) => {
                assert_eq!((*reply, times), (2 * number, 1));
                replies += 1;
            }
            Err(error) if error.executed() == Executed::No => {
                assert_eq!(times, 0, "{number} was executed: {error}");
                refused += 1;
            }
            Err(error) => {
                assert_eq!(
                    error.link().map(|link| link.failure),
                    Some(Failure::LinkLost)
                );
                lost += 1;
            }
        }
    }
    assert_eq!(
        outcomes.len() as u64,
        next_number.load(Ordering::Relaxed) - 1
    );
    println!("{replies} replies, {lost} lost, {refused} not executed");
    assert!(replies > 0);
    fs::remove_file(ledger).unwrap();
}

/// A process that is stopped, not killed: the link is silent.
#[test]
fn a_deadline_ends_a_request_to_a_stopped_process() {
    let (path, ledger) = (SocketPath::new(), ledger());
    let child = Process::start(&path.address(), &ledger);
    let router = carrying();
    let _link = router.connect(path.address()).unwrap();
    await_server(&router, "counted");
    let stop = |signal: &str| {
        let status = Command::new("kill")
            .args([signal, &child.0.0.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    };
    stop("-STOP");
    let began = Instant::now();
    let request = router
        .request("counted", Double(5))
        .timeout(Duration::from_millis(100));
    let error = request.wait().unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(began.elapsed() >= Duration::from_millis(100));
    stop("-CONT");
    assert_eq!(router.request("counted", Double(6)).wait().unwrap(), 12);
    fs::remove_file(ledger).unwrap();
}
