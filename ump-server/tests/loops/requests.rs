//! Outcomes of requests.

use std::sync::{Arc, atomic::Ordering};

use ump_server::{
    Error, OnPanic,
    ump::{NoReply, RequestError},
};

use crate::support::{LONG, Loop, Op, RUNTIME, Traces, on_every_loop};

on_every_loop! {
    threads_and_tasks_get_replies
    a_refusal_reaches_the_caller
    a_context_that_is_dropped_ends_the_request_at_once
    a_context_that_is_forgotten_ends_with_the_call
    detached_context_can_be_answered_elsewhere
    posts_are_handled
    init_is_called_first
}

fn threads_and_tasks_get_replies(on: Loop) {
    let (client, _handle) = on.start(OnPanic::Stop, &Arc::default());
    let mut sum = client.req(Op::Add(1)).unwrap();
    sum += RUNTIME.block_on(client.areq(Op::Add(2))).unwrap();
    // A single handler adds up all requests; several handlers may not.
    assert!(sum == 1 + 3 || on.workers() > 1 && sum == 1 + 2);
}

fn a_refusal_reaches_the_caller(on: Loop) {
    let (client, _handle) = on.start(OnPanic::Stop, &Arc::default());
    assert_eq!(client.req(Op::Refuse), Err(Error::App("as asked")));
}

fn a_context_that_is_dropped_ends_the_request_at_once(on: Loop) {
    let (client, _handle) = on.start(OnPanic::Stop, &Arc::default());
    let outcome = client.request(Op::Drop).wait();
    assert!(matches!(
        outcome,
        Err(RequestError::NoReply(NoReply::Dropped))
    ));
    assert_eq!(client.req(Op::Add(0)), Ok(0), "the loop goes on");
}

fn a_context_that_is_forgotten_ends_with_the_call(on: Loop) {
    let (client, _handle) = on.start(OnPanic::Stop, &Arc::default());
    let outcome = client.request(Op::Forget).timeout(LONG).wait();
    assert!(matches!(
        outcome,
        Err(RequestError::NoReply(NoReply::Dropped))
    ));
}

fn detached_context_can_be_answered_elsewhere(on: Loop) {
    let (client, _handle) = on.start(OnPanic::Stop, &Arc::default());
    assert_eq!(client.req(Op::Delegate(7)), Ok(7));
}

fn posts_are_handled(on: Loop) {
    let (client, handle) = on.start(OnPanic::Stop, &Arc::default());
    client.post(Op::End(9)).wait().unwrap();
    assert_eq!(handle.join(), Ok(Some(9)));
}

fn init_is_called_first(on: Loop) {
    let traces = Arc::<Traces>::default();
    let (_client, mut handle) = on.start(OnPanic::Stop, &traces);
    handle.wait_started(LONG).unwrap();
    assert_eq!(traces.initialised.load(Ordering::SeqCst), on.workers());
    assert_eq!(RUNTIME.block_on(handle.started()), Ok(()));
}
