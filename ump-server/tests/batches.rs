//! Loops that take all queued requests at once.

use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use ump_server::{
    Client, Error, JoinErrorKind, JoinHandle, OnPanic, Restart,
    thread::{Batch, BatchService, Builder},
    ump::{NoReply, RequestError},
};

enum Op {
    /// Reports that it has started, then waits to be released.
    Hold(mpsc::Sender<()>, mpsc::Receiver<()>),
    Number(u32),
    /// Is left in the batch.
    Leave,
    Panic,
    End,
}

/// Records the numbers of each batch.
struct Sizes(Arc<Mutex<Vec<Vec<u32>>>>);

impl BatchService for Sizes {
    type Request = Op;
    type Reply = usize;
    type Error = ();
    type Output = &'static str;
    type Timer = ();

    fn handle(&mut self, batch: &mut Batch<Op, usize, ()>) -> ControlFlow<&'static str> {
        let numbers = batch.iter().filter_map(|(op, _)| match op {
            Op::Number(n) => Some(*n),
            _ => None,
        });
        let numbers = numbers.collect();
        self.0.lock().unwrap().push(numbers);
        for (op, _) in &*batch {
            assert!(!matches!(op, Op::Panic), "one of them is no good");
            if let Op::Hold(here, go) = op {
                here.send(()).unwrap();
                let _ = go.recv();
            }
        }
        if batch.iter().any(|(op, _)| matches!(op, Op::Leave)) {
            return ControlFlow::Continue(());
        }
        let size = batch.len();
        let is_the_end = batch.iter().any(|(op, _)| matches!(op, Op::End));
        for (_, rctx) in batch.drain() {
            let _ = rctx.reply(size);
        }
        if is_the_end {
            ControlFlow::Break("as asked")
        } else {
            ControlFlow::Continue(())
        }
    }
}

type Seen = Arc<Mutex<Vec<Vec<u32>>>>;

fn start(max: usize, policy: OnPanic) -> (Client<Op, usize, ()>, JoinHandle<&'static str>, Seen) {
    let seen = Seen::default();
    let made = Arc::clone(&seen);
    let (client, handle) = Builder::new()
        .name("batches")
        .on_panic(policy)
        .spawn_batches(NonZeroUsize::new(max).unwrap(), move |_| {
            Ok(Sizes(Arc::clone(&made)))
        })
        .unwrap();
    (client, handle, seen)
}

/// Keeps the loop busy until the result is dropped.
fn hold(client: &Client<Op, usize, ()>) -> impl Sized {
    let (here, is_here) = mpsc::channel();
    let (go, wait) = mpsc::channel();
    let held = client.req_async(Op::Hold(here, wait)).unwrap();
    is_here.recv().unwrap();
    (go, held)
}

#[test]
fn queued_requests_come_together_urgent_first() {
    let (client, handle, seen) = start(100, OnPanic::Stop);
    let held = hold(&client);
    let normal: Vec<_> = (0..3)
        .map(|n| client.req_async(Op::Number(n)).unwrap())
        .collect();
    let urgent = client
        .request(Op::Number(7))
        .urgent()
        .submit()
        .wait()
        .unwrap();
    drop(held);
    for reply in normal {
        assert_eq!(reply.wait(), Ok(4));
    }
    assert_eq!(urgent.wait().unwrap(), 4);
    drop(client);
    assert_eq!(handle.join(), Ok(None));
    assert_eq!(*seen.lock().unwrap(), [vec![], vec![7, 0, 1, 2]]);
}

#[test]
fn no_more_than_the_limit_come_together() {
    let (client, handle, seen) = start(2, OnPanic::Stop);
    let held = hold(&client);
    let replies: Vec<_> = (0..5)
        .map(|n| client.req_async(Op::Number(n)).unwrap())
        .collect();
    drop(held);
    let sizes: Vec<usize> = replies
        .into_iter()
        .map(|reply| reply.wait().unwrap())
        .collect();
    assert_eq!(sizes, [2, 2, 2, 2, 1]);
    drop(client);
    assert_eq!(handle.join(), Ok(None));
    assert_eq!(
        *seen.lock().unwrap(),
        [vec![], vec![0, 1], vec![2, 3], vec![4]]
    );
}

#[test]
fn requests_left_in_the_batch_get_no_reply() {
    let (client, _handle, _) = start(10, OnPanic::Stop);
    let outcome = client.request(Op::Leave).wait();
    assert!(matches!(
        outcome,
        Err(RequestError::NoReply(NoReply::Dropped))
    ));
    assert_eq!(client.req(Op::Number(1)), Ok(1), "the loop goes on");
}

#[test]
fn panic_fails_the_batch_and_the_queue_survives() {
    let restart = Restart::new().pause(Duration::ZERO, Duration::ZERO);
    let (client, handle, _) = start(2, OnPanic::Restart(restart));
    let held = hold(&client);
    let innocent = client.request(Op::Number(1)).submit().wait().unwrap();
    let culprit = client.request(Op::Panic).submit().wait().unwrap();
    let later = client.req_async(Op::Number(2)).unwrap();
    drop(held);
    for suffers in [innocent, culprit] {
        let error = suffers.wait().unwrap_err();
        assert_eq!(
            error.to_string_with_details(),
            "no reply: the handler panicked: one of them is no good"
        );
    }
    assert_eq!(later.wait(), Ok(1));
    assert_eq!(client.req(Op::End), Ok(1));
    assert_eq!(handle.join(), Ok(Some("as asked")));
}

#[test]
fn a_panic_without_a_restart_ends_the_loop() {
    let (client, handle, _) = start(2, OnPanic::Stop);
    assert_eq!(client.req(Op::Panic), Err(Error::NoReply));
    let error = handle.join().unwrap_err();
    assert_eq!(
        *error.kind(),
        JoinErrorKind::Panicked("one of them is no good".into())
    );
}

/// A text for outcomes whose application error, `()`, has none.
trait Details {
    fn to_string_with_details(self) -> String;
}

impl Details for RequestError<Op, ()> {
    fn to_string_with_details(self) -> String {
        RequestError::<Op, ump_server::Refused>::from(self).to_string()
    }
}
