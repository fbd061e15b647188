//! A stop aborts the calls of a loop, and so does the end of its runtime.

use std::{future::IntoFuture as _, ops::ControlFlow, sync::mpsc};

use ump_server::{
    Client, Error, JoinErrorKind, ReplyContext, Stop, task, thread,
    ump::{NoReply, RequestError},
};

use crate::support::{LONG, Op, bounded, runtime, sticks, why};

#[test]
fn abort_drops_the_call_in_hand() {
    for op in [Op::Stick, Op::Detach, Op::Answer, Op::Forget] {
        let runtime = runtime();
        let (handler, stuck) = sticks();
        let (client, handle) = task::Builder::new()
            .runtime(runtime.handle().clone())
            .spawn(|_: &Client<_, _, _>| Ok(handler))
            .unwrap();
        let asked = client.request(op).submit().wait().unwrap();
        assert_eq!(stuck.recv_timeout(LONG), Ok("call"));
        let queued = client.request(Op::Echo).submit().wait().unwrap();
        handle.stopper().stop(Stop::Abort);
        let expected = match op {
            Op::Answer => Ok(op),
            _ => Err(NoReply::Aborted),
        };
        assert_eq!(why(bounded(|| asked.wait())), expected, "{op:?}");
        assert!(matches!(
            queued.wait(),
            Err(RequestError::ServerDisappeared(Op::Echo))
        ));
        assert_eq!(bounded(|| handle.join()), Ok(Some("term")));
        assert_eq!(stuck.recv_timeout(LONG), Ok("dropped"));
    }
}

#[test]
fn plain_callers_get_no_reply() {
    let runtime = runtime();
    let (handler, stuck) = sticks();
    let (client, handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn(|_: &Client<_, _, _>| Ok(handler))
        .unwrap();
    let asked = client.req_async(Op::Stick).unwrap();
    assert_eq!(stuck.recv_timeout(LONG), Ok("call"));
    handle.stopper().stop(Stop::Abort);
    assert_eq!(bounded(|| asked.wait()), Err(Error::NoReply));
    assert_eq!(bounded(|| handle.join()), Ok(Some("term")));
}

#[test]
fn abort_follows_a_refusal_and_cuts_the_clean_up() {
    let runtime = runtime();
    let (mut handler, stuck) = sticks();
    handler.in_term = true;
    let (client, handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn(|_: &Client<_, _, _>| Ok(handler))
        .unwrap();
    let asked = client.request(Op::Stick).submit().wait().unwrap();
    assert_eq!(stuck.recv_timeout(LONG), Ok("call"));
    let stopper = handle.stopper();
    for how in [Stop::Drain, Stop::Refuse, Stop::Abort] {
        stopper.stop(how);
    }
    assert_eq!(why(bounded(|| asked.wait())), Err(NoReply::Aborted));
    assert_eq!(stuck.recv_timeout(LONG), Ok("term"));
    stopper.stop(Stop::Abort);
    let error = bounded(|| handle.join()).unwrap_err();
    assert_eq!(*error.kind(), JoinErrorKind::Aborted);
}

#[test]
fn second_abort_counts_even_if_the_first_was_not_noticed() {
    // Its tasks run only while it is blocked on.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (mut handler, stuck) = sticks();
    handler.in_term = true;
    let (client, handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn(|_: &Client<_, _, _>| Ok(handler))
        .unwrap();
    let asked = client.request(Op::Stick).submit().wait().unwrap();
    while stuck.try_recv() != Ok("call") {
        runtime.block_on(tokio::task::yield_now());
    }
    for _ in 0..2 {
        handle.stopper().stop(Stop::Abort);
    }
    let joined = bounded(move || runtime.block_on(handle.into_future()));
    assert_eq!(*joined.unwrap_err().kind(), JoinErrorKind::Aborted);
    assert_eq!(why(asked.wait()), Err(NoReply::Aborted));
}

#[test]
fn an_abort_of_an_idle_loop_lets_it_clean_up() {
    for _ in 0..50 {
        let runtime = runtime();
        let (handler, _stuck) = sticks();
        let (client, handle) = task::Builder::new()
            .runtime(runtime.handle().clone())
            .spawn(|_: &Client<_, _, _>| Ok(handler))
            .unwrap();
        assert_eq!(client.req(Op::Echo), Ok(Op::Echo));
        handle.stopper().stop(Stop::Abort);
        assert_eq!(bounded(|| handle.join()), Ok(Some("term")));
    }
}

#[test]
fn an_abort_finds_a_handler_in_its_init() {
    let runtime = runtime();
    let (mut handler, stuck) = sticks();
    handler.in_init = true;
    let (_client, mut handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn(|_: &Client<_, _, _>| Ok(handler))
        .unwrap();
    assert_eq!(stuck.recv_timeout(LONG), Ok("init"));
    handle.stopper().stop(Stop::Abort);
    assert!(bounded(move || (handle.wait_started(LONG), handle.join())).1 == Ok(Some("term")));
}

#[test]
fn an_abort_of_a_thread_waits_for_its_handler() {
    let (go, gone) = mpsc::channel::<()>();
    let (here, is_here) = mpsc::channel();
    let (client, handle) = thread::spawn(move |_: &Client<u8, u8, ()>| {
        Ok(move |n, rctx: ReplyContext<'_, u8, ()>| {
            here.send(()).unwrap();
            let _ = gone.recv();
            let _ = rctx.reply(n);
            ControlFlow::<()>::Continue(())
        })
    })
    .unwrap();
    let asked = client.req_async(1).unwrap();
    is_here.recv_timeout(LONG).unwrap();
    handle.stopper().stop(Stop::Abort);
    assert!(!handle.is_finished());
    go.send(()).unwrap();
    assert_eq!(asked.wait(), Ok(1));
    assert_eq!(bounded(|| handle.join()), Ok(None));
}

#[test]
fn shutdown_of_the_runtime_aborts_the_call_in_hand() {
    let runtime = runtime();
    let (handler, stuck) = sticks();
    let (client, handle) = task::Builder::new()
        .runtime(runtime.handle().clone())
        .spawn(|_: &Client<_, _, _>| Ok(handler))
        .unwrap();
    let asked = client.request(Op::Stick).submit().wait().unwrap();
    assert_eq!(stuck.recv_timeout(LONG), Ok("call"));
    drop(runtime);
    assert_eq!(why(asked.wait()), Err(NoReply::Aborted));
    let error = handle.join().unwrap_err();
    assert_eq!(*error.kind(), JoinErrorKind::Aborted);
}
