//! A service that takes batches: no reply before the method after the batch.

use std::{num::NonZeroUsize, sync::mpsc, time::Duration};

use tests::{
    LONG,
    ledger::{DiskFull, Fault, Ledger, LedgerBlock, LedgerClient, Log, Refused},
};
use ump::{Ask, NoReply, RequestError};
use ump_server::{
    JoinHandle, OnPanic, Restart, Stop, TestClock,
    system::{Attributes, System},
    thread::Builder,
};

const MANY: NonZeroUsize = NonZeroUsize::new(100).unwrap();

struct Loop {
    ledger: LedgerClient,
    handle: JoinHandle<()>,
    log: Log,
    fault: Fault,
    clock: TestClock,
}

fn start() -> Loop {
    let (log, fault, clock) = (Log::default(), Fault::default(), TestClock::new());
    let (own_log, own_fault) = (log.clone(), fault.clone());
    let restart = Restart::new().pause(Duration::ZERO, Duration::ZERO);
    let builder = Builder::new()
        .test_clock(&clock)
        .on_panic(OnPanic::Restart(restart));
    let (client, handle) = builder
        .spawn_batches(MANY, move |_| {
            Ok(Ledger::new(own_log.clone(), own_fault.clone()))
        })
        .unwrap();
    Loop {
        ledger: client.into(),
        handle,
        log,
        fault,
        clock,
    }
}

impl Loop {
    /// Keeps the loop busy until the result is dropped, so that requests queue.
    fn block(&self) -> impl Sized + use<> {
        let (until, blocks) = mpsc::channel();
        let block = LedgerBlock { until: blocks };
        let reply = self.ledger.0.ask(block).submit().wait().unwrap();
        while !self.log.contains("block") {
            std::thread::yield_now();
        }
        let _ = self.log.take();
        (until, reply)
    }
}

fn app<T, M, E>(outcome: Result<T, RequestError<M, E>>) -> Option<E> {
    outcome.err().and_then(RequestError::into_apperr)
}

#[test]
fn requests_of_a_batch_are_committed_together() {
    let it = start();
    let blocked = it.block();
    let one = it.ledger.add(1, 5).submit().wait().unwrap();
    it.ledger.note(1, 2).wait().unwrap();
    let two = it.ledger.balance(1).submit().wait().unwrap();
    let close = it.ledger.close(1).submit().wait().unwrap();
    drop(blocked);
    let outcomes = (one.wait().unwrap(), two.wait().unwrap(), close.wait());
    assert_eq!((outcomes.0, outcomes.1, outcomes.2.unwrap()), (5, 7, 7));
    assert_eq!(
        it.log.take(),
        ["commit", "begin", "add 5", "note 2", "close", "commit"]
    );
    assert_eq!(it.ledger.balance(1).wait().unwrap(), 0);
}

#[test]
fn no_reply_is_sent_before_the_commit() {
    let it = start();
    let blocked = it.block();
    let first = it.ledger.add(1, 5).submit().wait().unwrap();
    let (until, blocks) = mpsc::channel();
    let second = it.ledger.block(blocks).submit().wait().unwrap();
    drop(blocked);
    while !it.log.contains("block") {
        std::thread::yield_now();
    }
    // The first is handled, and its batch is not committed.
    assert!(!first.is_ready());
    drop(until);
    assert_eq!(first.wait().unwrap(), 5);
    second.wait().unwrap();
}

#[test]
fn a_failing_method_keeps_its_own_error() {
    let it = start();
    let blocked = it.block();
    let refused = it.ledger.add(1, -1).submit().wait().unwrap();
    let fine = it.ledger.add(2, 1).submit().wait().unwrap();
    drop(blocked);
    let refused = app(refused.wait());
    assert_eq!(refused, Some(Refused::Overdrawn));
    assert_eq!(fine.wait().unwrap(), 1);
}

#[test]
fn a_failing_start_refuses_the_batch() {
    let it = start();
    let blocked = it.block();
    it.fault.set("begin");
    let add = it.ledger.add(1, 5).submit().wait().unwrap();
    it.ledger.note(1, 5).wait().unwrap();
    let close = it.ledger.close(1).submit().wait().unwrap();
    let balance = it.ledger.balance(1).submit().wait().unwrap();
    drop(blocked);
    assert_eq!(app(add.wait()), Some(Refused::Disk(DiskFull)));
    assert_eq!(app(close.wait()), Some(Refused::Disk(DiskFull)));
    assert_eq!(app(balance.wait()), Some(DiskFull));
    assert_eq!(it.log.take(), ["commit"]);
    assert_eq!(it.ledger.balance(1).wait().unwrap(), 0);
}

#[test]
fn a_failing_commit_refuses_what_would_have_a_reply() {
    let it = start();
    let hold = it.ledger.hold().submit().wait().unwrap();
    assert_eq!(it.ledger.add(1, 5).wait().unwrap(), 5);
    let blocked = it.block();
    let add = it.ledger.add(1, 5).submit().wait().unwrap();
    let refused = it.ledger.add(2, -1).submit().wait().unwrap();
    let close = it.ledger.close(1).submit().wait().unwrap();
    let ignored = it.ledger.ignore().submit().wait().unwrap();
    // A post that is asked has no error to carry.
    let note = tests::ledger::LedgerNote {
        account: 1,
        amount: 1,
    };
    let note = it.ledger.0.ask(note).submit().wait().unwrap();
    it.fault.set("second commit");
    drop(blocked);
    assert_eq!(app(add.wait()), Some(Refused::Disk(DiskFull)));
    assert_eq!(app(refused.wait()), Some(Refused::Overdrawn));
    assert_eq!(app(close.wait()), Some(Refused::Disk(DiskFull)));
    assert_no_reply(ignored.wait());
    assert_no_reply(note.wait());
    let log = it.log.take();
    assert_eq!(log.last().map(String::as_str), Some("rollback"), "{log:?}");
    // A request that was taken out of its batch is not concerned.
    assert_eq!(it.ledger.release().wait().unwrap(), 1);
    assert_eq!(hold.wait().unwrap(), 0);
    assert_eq!(it.ledger.balance(1).wait().unwrap(), 5);
}

fn assert_no_reply<T, M, E>(outcome: Result<T, RequestError<M, E>>) {
    let error = outcome.err().expect("no reply");
    let dropped = matches!(error, RequestError::NoReply(NoReply::Dropped));
    assert!(dropped);
}

fn assert_panicked<T, M, E: std::fmt::Debug>(outcome: Result<T, RequestError<M, E>>, text: &str) {
    match outcome.err().expect("a panic") {
        RequestError::NoReply(NoReply::Panicked(message)) => {
            assert!(message.as_str().unwrap().starts_with(text));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_panic_is_told_to_the_whole_batch() {
    let it = start();
    let blocked = it.block();
    let before = it.ledger.add(1, 5).submit().wait().unwrap();
    let panics = it.ledger.panic().submit().wait().unwrap();
    let after = it.ledger.balance(1).submit().wait().unwrap();
    drop(blocked);
    assert_panicked(before.wait(), "as asked, with 1");
    assert_panicked(panics.wait(), "as asked, with 1");
    assert_panicked(after.wait(), "as asked, with 1");
    // The loop has restarted.
    assert_eq!(it.ledger.balance(1).wait().unwrap(), 0);
    it.fault.set("panic in commit");
    assert_panicked(it.ledger.add(1, 5).wait(), "commit");
    assert_eq!(it.ledger.balance(1).wait().unwrap(), 0);
}

#[test]
fn a_caller_that_left_is_seen_and_disturbs_nobody() {
    let it = start();
    let blocked = it.block();
    let (until, blocks) = mpsc::channel();
    let second = it.ledger.block(blocks).submit().wait().unwrap();
    let left = it.ledger.close(1).submit().wait().unwrap();
    let stays = it.ledger.add(1, 3).submit().wait().unwrap();
    let queued = it.ledger.add(1, 100).submit().wait().unwrap();
    drop(queued);
    drop(blocked);
    while !it.log.contains("block") {
        std::thread::yield_now();
    }
    // It is taken, with its batch.
    drop(left);
    drop(until);
    second.wait().unwrap();
    assert_eq!(stays.wait().unwrap(), 3);
    let expected = ["commit", "begin", "block", "close, for nobody", "add 3"];
    assert_eq!(it.log.take()[..5], expected);
}

#[test]
fn timers_come_between_batches() {
    let it = start();
    assert_eq!(it.ledger.add(1, 1).wait().unwrap(), 1);
    it.clock.advance(Duration::from_secs(2));
    assert_eq!(it.ledger.add(1, 1).wait().unwrap(), 2);
    let expected = [
        "begin", "add 1", "commit", "tick", "tick", "begin", "add 1", "commit",
    ];
    assert_eq!(it.log.take(), expected);
    drop(it.ledger);
    assert_eq!(it.handle.join().unwrap(), None);
    assert_eq!(it.log.take(), ["end"]);
}

#[test]
fn a_batch_that_ends_the_loop_is_committed() {
    let it = start();
    let blocked = it.block();
    let before = it.ledger.add(1, 5).submit().wait().unwrap();
    it.ledger.end().wait().unwrap();
    let after = it.ledger.add(1, 6).submit().wait().unwrap();
    drop(blocked);
    assert_eq!(before.wait().unwrap(), 5);
    assert_no_reply(after.wait());
    assert_eq!(it.handle.join().unwrap(), Some(()));
    let expected = ["commit", "begin", "add 5", "commit", "end"];
    assert_eq!(it.log.take(), expected);
}

#[test]
fn a_system_runs_batches() {
    let log = Log::default();
    let own_log = log.clone();
    let system = System::builder()
        .batches("ledger", Attributes::new(), MANY, move |_| {
            Ok(Ledger::new(own_log.clone(), Fault::default()))
        })
        .start(LONG)
        .wait()
        .unwrap();
    let ledger = LedgerClient(system.client("ledger").unwrap());
    assert_eq!(ledger.add(1, 5).wait().unwrap(), 5);
    drop(ledger);
    assert!(system.stop(Stop::Drain, LONG).wait().is_clean());
    assert!(log.contains("commit"));
}

/// A service whose methods before and after a batch cannot fail.
#[derive(Default)]
struct Counts {
    batches: u32,
    open: bool,
}

#[ump_server::service]
impl Counts {
    #[batch_start]
    fn open(&mut self) {
        self.open = true;
    }

    fn batches(&self) -> (u32, bool) {
        (self.batches, self.open)
    }

    #[batch_end]
    fn close(&mut self) {
        self.batches += 1;
        self.open = false;
    }
}

#[test]
fn methods_without_errors_need_none() {
    let loops = Builder::new().spawn_batches(MANY, |_| Ok(Counts::default()));
    let counts = CountsClient(loops.unwrap().0);
    assert_eq!(counts.batches().wait().unwrap(), (0, true));
    assert_eq!(counts.batches().wait().unwrap(), (1, true));
    let message = CountsBatches;
    let _: CountsRequest = message.into_request();
}
