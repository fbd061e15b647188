//! Loops whose handler panics.

use std::{
    sync::{Arc, atomic::Ordering, mpsc},
    thread,
    time::{Duration, Instant},
};

use ump_server::{
    Error, JoinErrorKind, OnPanic, Restart, Stop, WorkerState,
    ump::{NoReply, RequestError},
};

use crate::support::{AdderClient, AdderHandle, LONG, Loop, Op, Traces, on_every_loop, restarts};

on_every_loop! {
    caller_gets_the_panic_message
    joining_a_failed_loop_returns_the_panic
    stopping_rejects_queued_requests
    a_loop_that_continues_keeps_its_handler
    a_restart_makes_another_handler
    queued_requests_survive_a_restart
    too_many_restarts_are_given_up
    a_handler_that_panics_in_its_init_counts_as_well
    a_factory_that_refuses_counts_as_well
    a_pause_before_a_restart_ends_with_a_refusal
    a_pause_ends_when_the_last_client_leaves
    a_pause_ends_when_others_served_the_queue
    a_pause_ends_when_another_worker_returns_break
    a_pause_ends_when_queued_requests_are_cancelled
    a_pause_ends_when_queued_requests_expire
}

fn call_that_panics(client: &AdderClient) -> String {
    match client.request(Op::Panic("ouch")).wait() {
        Err(RequestError::NoReply(why @ NoReply::Panicked(_))) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

fn caller_gets_the_panic_message(on: Loop) {
    for policy in [OnPanic::Stop, OnPanic::Continue, restarts(1)] {
        let (client, _handle) = on.start(policy, &Arc::default());
        assert_eq!(call_that_panics(&client), "the handler panicked: ouch");
    }
}

fn joining_a_failed_loop_returns_the_panic(on: Loop) {
    let traces = Arc::<Traces>::default();
    let (client, handle) = on.start(OnPanic::Stop, &traces);
    call_that_panics(&client);
    let error = handle.join().unwrap_err();
    assert_eq!(*error.kind(), JoinErrorKind::Panicked("ouch".into()));
    assert_eq!(
        error.to_string(),
        "server adder ended: the handler panicked: ouch"
    );
    assert_eq!(traces.dropped.load(Ordering::SeqCst), on.workers());
}

fn stopping_rejects_queued_requests(on: Loop) {
    let (client, handle) = on.start(OnPanic::Stop, &Arc::default());
    call_that_panics(&client);
    assert!(handle.join().is_err());
    assert_eq!(client.req(Op::Add(1)), Err(Error::ServerDisappeared));
}

fn a_loop_that_continues_keeps_its_handler(on: Loop) {
    let traces = Arc::<Traces>::default();
    let (client, handle) = on.start(OnPanic::Continue, &traces);
    for _ in 0..10 {
        call_that_panics(&client);
    }
    assert!(client.req(Op::Generation).unwrap() < on.workers());
    assert_eq!(traces.made.load(Ordering::SeqCst), on.workers());
    drop(client);
    assert_eq!(handle.join(), Ok(None));
}

fn a_restart_makes_another_handler(on: Loop) {
    let traces = Arc::<Traces>::default();
    let (client, handle) = on.start(restarts(1), &traces);
    call_that_panics(&client);
    drop(client);
    assert_eq!(handle.join(), Ok(None));
    let made = traces.made.load(Ordering::SeqCst);
    assert!(
        made == on.workers() + 1 || made == on.workers(),
        "no request is left: {made}"
    );
    assert_eq!(traces.dropped.load(Ordering::SeqCst), made);
}

fn queued_requests_survive_a_restart(on: Loop) {
    let traces = Arc::<Traces>::default();
    let (client, handle) = on.start(restarts(100), &traces);
    let replies: Vec<_> = (0..100)
        .map(|n| {
            let op = if n % 10 == 0 {
                Op::Panic("again")
            } else {
                Op::Add(0)
            };
            (n, client.req_async(op).unwrap())
        })
        .collect();
    for (n, reply) in replies {
        let expected = if n % 10 == 0 {
            Err(Error::NoReply)
        } else {
            Ok(0)
        };
        assert_eq!(reply.wait(), expected, "{n}");
    }
    assert_eq!(client.req(Op::Add(0)), Ok(0));
    drop(client);
    assert_eq!(handle.join(), Ok(None));
}

fn too_many_restarts_are_given_up(on: Loop) {
    let (client, handle) = on.start(restarts(2), &Arc::default());
    let mut suffered = 0;
    while client
        .request(Op::Panic("once more"))
        .wait()
        .is_err_and(|error| matches!(error, RequestError::NoReply(_)))
    {
        suffered += 1;
    }
    // Each worker has its own limit.
    assert!((3..=3 * on.workers()).contains(&suffered), "{suffered}");
    let error = handle.join().unwrap_err();
    assert_eq!(
        error.to_string(),
        "server adder ended: it failed too often; the last failure: the handler panicked: once more"
    );
}

fn a_handler_that_panics_in_its_init_counts_as_well(on: Loop) {
    let traces = Arc::<Traces>::default();
    traces.panics_in_init.store(2, Ordering::SeqCst);
    if on.workers() > 1 {
        traces.panics_in_init.store(0, Ordering::SeqCst);
    }
    let (client, handle) = on.start(restarts(3), &traces);
    call_that_panics(&client);
    assert_eq!(client.req(Op::Add(0)), Ok(0));
    drop(client);
    assert_eq!(handle.join(), Ok(None));
}

fn a_factory_that_refuses_counts_as_well(on: Loop) {
    if on.workers() > 1 {
        return; // whose factory is called when is not known
    }
    let traces = Arc::<Traces>::default();
    traces.factory_errors.store(u64::MAX, Ordering::SeqCst);
    let (client, handle) = on.start(restarts(3), &traces);
    call_that_panics(&client);
    let error = handle.join().unwrap_err();
    let JoinErrorKind::GaveUp(last) = error.kind() else {
        panic!("{error}");
    };
    assert_eq!(**last, JoinErrorKind::Refused);
    assert_eq!(traces.made.load(Ordering::SeqCst), 4);
    drop(client);
}

fn a_pause_before_a_restart_ends_with_a_refusal(on: Loop) {
    let (client, handle) = on.start(long_pause(), &Arc::default());
    call_that_panics(&client);
    handle.stopper().stop(Stop::Refuse);
    assert_eq!(handle.join(), Ok(None));
    drop(client);
}

/// A pause longer than any test.
fn long_pause() -> OnPanic {
    OnPanic::Restart(Restart::new().pause(60 * LONG, 60 * LONG))
}

/// Returns when `workers` workers are in this state. They need no further event to get there.
fn until(handle: &AdderHandle, state: WorkerState, workers: u64) {
    let since = Instant::now();
    let count = || {
        let workers = handle.stopper().workers();
        workers.iter().filter(|it| it.state == state).count() as u64
    };
    while count() != workers {
        assert!(since.elapsed() < LONG, "{:?}", handle.stopper().workers());
        thread::yield_now();
    }
}

/// Joins the loop, which must end before a pause does.
fn joined(handle: AdderHandle) -> Option<u64> {
    let (ended, outcome) = mpsc::channel();
    thread::spawn(move || ended.send(handle.join()));
    let outcome = outcome.recv_timeout(LONG);
    outcome.expect("it goes on pausing").unwrap()
}

fn a_pause_ends_when_the_last_client_leaves(on: Loop) {
    for pausing in 1..=on.workers() {
        let traces = Arc::<Traces>::default();
        let (client, handle) = on.start(long_pause(), &traces);
        for _ in 0..pausing {
            call_that_panics(&client);
        }
        until(&handle, WorkerState::Pausing, pausing);
        let other = client.clone();
        drop(client);
        assert!(!handle.is_finished(), "there is another client");
        drop(other);
        assert_eq!(joined(handle), None);
        // No handler was made in vain.
        assert_eq!(traces.made.load(Ordering::SeqCst), on.workers());
        assert_eq!(traces.dropped.load(Ordering::SeqCst), on.workers());
    }
}

/// Makes all workers pause. The traces count the handlers.
fn all_pause(on: Loop) -> (AdderClient, AdderHandle, Arc<Traces>) {
    let traces = Arc::<Traces>::default();
    let (client, handle) = on.start(long_pause(), &traces);
    for _ in 0..on.workers() {
        call_that_panics(&client);
    }
    until(&handle, WorkerState::Pausing, on.workers());
    (client, handle, traces)
}

fn a_pause_ends_when_queued_requests_are_cancelled(on: Loop) {
    let (client, handle, traces) = all_pause(on);
    let queued = [7, 8].map(|n| client.req_async(Op::Add(n)).unwrap());
    let urgent = client.request(Op::Add(9)).urgent().submit().wait().unwrap();
    drop(client);
    for request in queued {
        assert!(!handle.is_finished(), "something is queued");
        drop(request);
    }
    assert!(!handle.is_finished(), "something is queued");
    drop(urgent);
    assert_eq!(joined(handle), None);
    // No handler was made in vain.
    assert_eq!(traces.made.load(Ordering::SeqCst), on.workers());
}

fn a_pause_ends_when_queued_requests_expire(on: Loop) {
    let (client, handle, traces) = all_pause(on);
    let ask = |n| {
        client
            .request(Op::Add(n))
            .timeout(Duration::from_millis(20))
    };
    let waits = ask(1).submit().wait().unwrap();
    client
        .post(Op::Add(2))
        .timeout(Duration::from_millis(40))
        .wait()
        .unwrap();
    // The expired requests are queued behind this one.
    let first = client.request(Op::Add(3)).urgent().submit().wait().unwrap();
    drop(client);
    drop(first);
    assert_eq!(joined(handle), None);
    assert_eq!(traces.made.load(Ordering::SeqCst), on.workers());
    assert!(waits.wait().is_err_and(|error| error.is_timeout()));
}

/// Makes one worker pause and holds all others. Dropping the result lets them continue.
fn one_pauses_and_the_others_are_held(
    on: Loop,
    client: &AdderClient,
    handle: &AdderHandle,
) -> Vec<mpsc::Sender<()>> {
    call_that_panics(client);
    until(handle, WorkerState::Pausing, 1);
    let held = (1..on.workers()).map(|_| {
        let ((here, is_here), (go, gone)) = (mpsc::channel(), mpsc::channel());
        client.post(Op::Hold(here, gone)).wait().unwrap();
        is_here.recv_timeout(LONG).unwrap();
        go
    });
    held.collect()
}

fn a_pause_ends_when_others_served_the_queue(on: Loop) {
    if on.workers() == 1 {
        return; // there are no others
    }
    let (client, handle) = on.start(long_pause(), &Arc::default());
    let held = one_pauses_and_the_others_are_held(on, &client, &handle);
    let queued = client.req_async(Op::Add(7)).unwrap();
    drop(client);
    assert!(!queued.is_ready());
    drop(held);
    assert_eq!(queued.wait(), Ok(7));
    assert_eq!(joined(handle), None);
}

fn a_pause_ends_when_another_worker_returns_break(on: Loop) {
    if on.workers() == 1 {
        return; // there is no other
    }
    let (client, handle) = on.start(long_pause(), &Arc::default());
    let held = one_pauses_and_the_others_are_held(on, &client, &handle);
    let last = client.req_async(Op::End(7)).unwrap();
    drop(held);
    assert_eq!(last.wait(), Ok(7));
    assert_eq!(joined(handle), Some(7));
    drop(client);
}

#[test]
fn the_first_pause_is_short() {
    assert_eq!(
        Restart::default(),
        Restart::new().pause(Duration::from_millis(10), Duration::from_secs(1))
    );
}
