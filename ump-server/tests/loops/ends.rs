//! How loops end.

use std::{
    sync::{Arc, atomic::Ordering, mpsc},
    time::Duration,
};

use ump_server::{Error, LoopStartError, OnPanic, Stop, ump::RequestError};

use crate::support::{LONG, Loop, Op, RUNTIME, Traces, on_every_loop};

on_every_loop! {
    loop_ends_when_the_last_client_is_gone
    queued_requests_are_served_before_the_end
    loop_ends_with_the_value_of_break
    join_handle_can_be_awaited
    queued_requests_end_before_the_clean_up
    drain_serves_queued_requests_and_accepts_no_more
    refuse_rejects_queued_requests
    a_stop_finds_a_loop_that_sleeps
    stopping_an_ended_loop_does_nothing
    a_handle_that_is_dropped_lets_the_loop_go_on
    failed_factory_leaves_nothing_behind
}

fn loop_ends_when_the_last_client_is_gone(on: Loop) {
    let traces = Arc::<Traces>::default();
    let (client, handle) = on.start(OnPanic::Stop, &traces);
    assert!(!handle.is_finished());
    drop(client);
    assert_eq!(handle.join(), Ok(None));
    assert_eq!(traces.terminated.load(Ordering::SeqCst), on.workers());
    assert_eq!(traces.dropped.load(Ordering::SeqCst), on.workers());
}

fn queued_requests_are_served_before_the_end(on: Loop) {
    let (client, handle) = on.start(OnPanic::Stop, &Arc::default());
    let replies: Vec<_> = (0..100)
        .map(|_| client.req_async(Op::Add(0)).unwrap())
        .collect();
    drop(client);
    assert_eq!(handle.join(), Ok(None));
    for reply in replies {
        assert_eq!(reply.wait(), Ok(0));
    }
}

fn loop_ends_with_the_value_of_break(on: Loop) {
    let (client, handle) = on.start(OnPanic::Stop, &Arc::default());
    assert_eq!(client.req(Op::End(3)), Ok(3));
    assert_eq!(handle.join(), Ok(Some(3)));
    assert_eq!(client.req(Op::Add(0)), Err(Error::ServerDisappeared));
}

fn join_handle_can_be_awaited(on: Loop) {
    let (client, mut handle) = on.start(OnPanic::Stop, &Arc::default());
    RUNTIME.block_on(async {
        let left = tokio::time::timeout(Duration::ZERO, &mut handle).await;
        assert!(left.is_err(), "it has not ended");
        client.post(Op::End(4)).await.unwrap();
        assert_eq!((&mut handle).await, Ok(Some(4)));
    });
}

/// Holds each worker with a request in hand.
fn hold(
    client: &crate::support::AdderClient,
    workers: u64,
) -> (Vec<impl Sized>, Vec<mpsc::Sender<()>>) {
    (0..workers)
        .map(|_| {
            let (here, is_here) = mpsc::channel();
            let (go, wait) = mpsc::channel();
            let held = client.req_async(Op::Hold(here, wait)).unwrap();
            is_here.recv().unwrap();
            (held, go)
        })
        .unzip()
}

fn queued_requests_end_before_the_clean_up(on: Loop) {
    let traces = Arc::<Traces>::default();
    let (client, handle) = on.start(OnPanic::Stop, &traces);
    let (held, go) = hold(&client, on.workers());
    client.post(Op::End(1)).wait().unwrap();
    let queued = client.req_async(Op::Add(1)).unwrap();
    drop(go);
    let outcome = queued.wait();
    // In a pool another worker may have taken it.
    let may_be_taken = on.workers() > 1 && outcome == Ok(1);
    assert!(may_be_taken || outcome == Err(Error::ServerDisappeared));
    drop(held);
    assert_eq!(handle.join(), Ok(Some(1)));
    assert_eq!(traces.drained.load(Ordering::SeqCst), on.workers());
}

fn drain_serves_queued_requests_and_accepts_no_more(on: Loop) {
    let (client, handle) = on.start(OnPanic::Stop, &Arc::default());
    let (held, go) = hold(&client, on.workers());
    let queued: Vec<_> = (0..10)
        .map(|_| client.req_async(Op::Add(0)).unwrap())
        .collect();
    handle.stopper().stop(Stop::Drain);
    assert!(client.is_closed());
    let refused = client.request(Op::Add(1)).wait();
    assert!(matches!(
        refused,
        Err(RequestError::ServerDisappeared(Op::Add(1)))
    ));
    drop(go);
    for reply in queued {
        assert_eq!(reply.wait(), Ok(0));
    }
    drop(held);
    assert_eq!(handle.join(), Ok(None));
}

fn refuse_rejects_queued_requests(on: Loop) {
    let (client, handle) = on.start(OnPanic::Stop, &Arc::default());
    let (held, go) = hold(&client, on.workers());
    let queued = client.request(Op::Add(1)).submit().wait().unwrap();
    handle.stopper().stop(Stop::Refuse);
    // The refusal comes at once, although the handlers are busy.
    assert!(matches!(
        queued.wait(),
        Err(RequestError::ServerDisappeared(Op::Add(1)))
    ));
    drop((go, held));
    assert_eq!(handle.join(), Ok(None));
}

fn a_stop_finds_a_loop_that_sleeps(on: Loop) {
    for how in [Stop::Drain, Stop::Refuse] {
        let (client, mut handle) = on.start(OnPanic::Stop, &Arc::default());
        handle.wait_started(LONG).unwrap();
        handle.stopper().stop(how);
        assert_eq!(handle.join(), Ok(None));
        assert!(client.is_closed());
    }
}

fn stopping_an_ended_loop_does_nothing(on: Loop) {
    let (client, handle) = on.start(OnPanic::Stop, &Arc::default());
    let stopper = handle.stopper();
    drop(client);
    assert_eq!(handle.join(), Ok(None));
    stopper.stop(Stop::Drain);
    stopper.stop(Stop::Refuse);
    assert_eq!(stopper.name(), "adder");
}

fn a_handle_that_is_dropped_lets_the_loop_go_on(on: Loop) {
    let (client, handle) = on.start(OnPanic::Stop, &Arc::default());
    drop(handle);
    assert_eq!(client.req(Op::Add(0)), Ok(0));
}

fn failed_factory_leaves_nothing_behind(on: Loop) {
    let traces = Arc::new(Traces::default());
    traces.made.store(1, Ordering::SeqCst);
    traces.factory_errors.store(u64::MAX, Ordering::SeqCst);
    let error = on.try_start(OnPanic::Stop, &traces).unwrap_err();
    assert_eq!(error.to_string(), "the handler could not be made: not now");
    assert_eq!(traces.initialised.load(Ordering::SeqCst), 0);
}

#[test]
fn a_loop_that_has_not_started_yet_says_so() {
    assert_eq!(
        LoopStartError::Late.to_string(),
        "the server did not start in time, and is still starting"
    );
}

/// When a thread is joined, the data that it writes in its thread-local destructors is there.
#[test]
fn joining_a_thread_waits_for_its_thread_locals() {
    use std::{cell::RefCell, ops::ControlFlow};
    use ump_server::{ReplyContext, thread};

    struct Flush(mpsc::Receiver<()>, Arc<std::sync::atomic::AtomicBool>);
    impl Drop for Flush {
        fn drop(&mut self) {
            // If the join waits for this destructor, no message that it has returned arrives.
            let is_late = self.0.recv_timeout(Duration::from_millis(300)).is_ok();
            self.1.store(!is_late, Ordering::SeqCst);
        }
    }
    thread_local! {
        static FLUSH: RefCell<Option<Flush>> = const { RefCell::new(None) };
    }
    let (returned, is_returned) = mpsc::channel();
    let flushed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut flush = Some(Flush(is_returned, Arc::clone(&flushed)));
    let (client, handle) = thread::spawn(move |_: &ump_server::Client<(), (), ()>| {
        Ok(move |(): (), rctx: ReplyContext<'_, (), ()>| {
            FLUSH.set(flush.take());
            let _ = rctx.reply(());
            ControlFlow::<()>::Continue(())
        })
    })
    .unwrap();
    client.req(()).unwrap();
    drop(client);
    assert_eq!(handle.join(), Ok(None));
    let _ = returned.send(());
    assert!(flushed.load(Ordering::SeqCst));
}
