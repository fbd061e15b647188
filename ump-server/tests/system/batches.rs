//! Components that take all queued requests at once. The other tests run what such components share
//! with all others, in batches of one.

use std::{num::NonZeroUsize, ops::ControlFlow, sync::mpsc, time::Duration};

use ump_server::{
    Client, JoinErrorKind, OnPanic, Restart, Stop,
    system::{Attributes, StopOutcome, System},
    thread::{Batch, BatchService},
    ump::WaitReply,
};

use crate::support::{LONG, poll};

enum Op {
    /// Reports that it has started, then waits to be released.
    Hold(mpsc::Sender<()>, mpsc::Receiver<()>),
    /// Replies with the size of its batch.
    Size,
    Panic,
}

struct Sizes;

impl BatchService for Sizes {
    type Request = Op;
    type Reply = usize;
    type Error = ();
    type Output = ();
    type Timer = ();

    fn handle(&mut self, batch: &mut Batch<Op, usize, ()>) -> ControlFlow<()> {
        for (op, _) in &*batch {
            match op {
                Op::Hold(here, go) => {
                    here.send(()).unwrap();
                    let _ = go.recv();
                }
                Op::Panic => panic!("one of them is no good"),
                Op::Size => {}
            }
        }
        let size = batch.len();
        for (_, rctx) in batch.drain() {
            let _ = rctx.reply(size);
        }
        ControlFlow::Continue(())
    }
}

/// Starts a system with one component, `a`, which takes three requests at a time.
fn start(attributes: Attributes) -> (System, Client<Op, usize, ()>) {
    let max = NonZeroUsize::new(3).unwrap();
    let system = System::builder()
        .batches("a", attributes, max, |_| Ok(Sizes))
        .start(LONG)
        .wait()
        .unwrap();
    let client = system.client("a").unwrap();
    (system, client)
}

/// Holds the handler within a batch until the result is dropped.
fn hold(client: &Client<Op, usize, ()>) -> mpsc::Sender<()> {
    let (here, is_here) = mpsc::channel();
    let (go, wait) = mpsc::channel();
    client.post(Op::Hold(here, wait)).wait().unwrap();
    is_here.recv().unwrap();
    go
}

fn ask(client: &Client<Op, usize, ()>, op: Op) -> WaitReply<usize, ()> {
    client.req_async(op).unwrap()
}

#[test]
fn queued_requests_come_together_up_to_the_limit() {
    let (_system, client) = start(Attributes::new());
    let held = hold(&client);
    let asked: Vec<_> = (0..5).map(|_| ask(&client, Op::Size)).collect();
    drop(held);
    let sizes: Vec<_> = asked.into_iter().map(WaitReply::wait).collect();
    assert_eq!(sizes, [Ok(3), Ok(3), Ok(3), Ok(2), Ok(2)]);
}

#[test]
fn drain_serves_queued_requests_in_batches() {
    let (system, client) = start(Attributes::new());
    let held = hold(&client);
    let asked: Vec<_> = (0..3).map(|_| ask(&client, Op::Size)).collect();
    let mut stopping = system.stop(Stop::Drain, LONG);
    assert!(poll(&mut stopping).is_pending());
    drop(held);
    assert!(stopping.wait().is_clean());
    let sizes: Vec<_> = asked.into_iter().map(WaitReply::wait).collect();
    assert_eq!(sizes, [Ok(3), Ok(3), Ok(3)]);
}

#[test]
fn panic_fails_the_batch_and_not_the_queue() {
    let restart = Restart::new().pause(Duration::ZERO, Duration::ZERO);
    let (system, client) = start(Attributes::new().on_panic(OnPanic::Restart(restart)));
    let held = hold(&client);
    let ops = [Op::Size, Op::Size, Op::Panic, Op::Size];
    let asked: Vec<_> = ops.into_iter().map(|op| ask(&client, op)).collect();
    drop(held);
    let answers: Vec<_> = asked.into_iter().map(|asked| asked.wait().ok()).collect();
    assert_eq!(answers, [None, None, None, Some(1)]);
    assert_eq!(system.status()[0].instances[0].restarts, 1);
}

#[test]
fn a_panic_without_a_restart_is_in_the_report() {
    let (system, client) = start(Attributes::new());
    assert!(client.req(Op::Panic).is_err());
    let failure = system.failed().wait();
    assert_eq!(failure.component, "a");
    let report = system.stop(Stop::Drain, LONG).wait();
    let StopOutcome::Failed(error) = &report.instances[0].how else {
        panic!("{report}")
    };
    assert!(matches!(error.kind(), JoinErrorKind::Panicked(_)));
}

#[test]
fn the_workers_of_a_pool_take_a_batch_each() {
    let (_system, client) = start(Attributes::new().workers(2));
    let held = [hold(&client), hold(&client)];
    let asked: Vec<_> = (0..3).map(|_| ask(&client, Op::Size)).collect();
    let [first, second] = held;
    drop(first);
    let sizes: Vec<_> = asked.into_iter().map(WaitReply::wait).collect();
    assert_eq!(sizes, [Ok(3), Ok(3), Ok(3)]);
    drop(second);
}
