//! Waits for room.

use super::*;

#[test]
fn waiting_for_its_own_room_returns_the_message() {
    must_end(|| {
        let (server, client) = full();
        let recorder = Recorder::new(|wait| {
            assert!(wait.is_for_room());
            Err(cycle())
        });
        let _watched = hooks::watch(recorder.clone());
        let outcome = client.request(7).wait();
        assert!(matches!(outcome, Err(RequestError::WouldDeadlock(7, _))));
        let posted = client.post(8).wait();
        assert!(matches!(posted, Err(SendError::WouldDeadlock(8, _))));
        assert_eq!(client.req_async(9).unwrap_err(), Error::NoReply);
        let expected = stats_with(|s| (s.accepted, s.queued, s.refused) = (1, 1, 3));
        assert_eq!(server.stats(), expected);
        let HookCall::Before(wait) = recorder.calls()[0] else {
            panic!("it was asked")
        };
        assert!(!LoopView::new(&server).is_queued(wait.request()));
        assert_eq!(recorder.calls().len(), 3);
    });
}

#[test]
fn a_panicking_hook_leaves_the_wait_queue() {
    must_end(|| {
        let (server, client) = full();
        let panics = client.clone();
        let asks = thread::spawn(move || {
            let on_purpose = |_: &Wait| std::panic::resume_unwind(Box::new("on purpose"));
            let _watched = hooks::watch(Recorder::new(on_purpose));
            let _ = panics.request(7).wait();
        });
        assert!(asks.join().is_err());
        let mut post = client.post(8).into_future();
        assert!(poll_once(&mut post).is_pending());
        let counter = CountingWaker::new();
        assert!(poll_with(&mut post, &counter).is_pending());
        drop(server.wait().unwrap());
        assert_eq!(counter.wakes(), 1, "it is the first in line");
        let expected = stats_with(|s| (s.accepted, s.replied, s.refused) = (1, 1, 1));
        assert_eq!(server.stats(), expected);
    });
}

#[test]
fn waits_for_room_and_reply_are_reported_separately() {
    must_end(|| {
        let (server, client) = full();
        let recorder = Recorder::permissive();
        let watcher = Arc::clone(&recorder);
        let asked = move |count| {
            while watcher.calls().len() < count {
                thread::yield_now();
            }
        };
        let serves = thread::spawn(move || {
            asked(1);
            drop(server.wait().unwrap());
            asked(3);
            server.wait().unwrap().1.reply(1).unwrap();
        });
        let watched = hooks::watch(recorder.clone());
        assert_eq!(client.req(7), Ok(1));
        drop(watched);
        serves.join().unwrap();
        let calls = recorder.calls();
        let [
            HookCall::Before(room),
            HookCall::After(roomy),
            HookCall::Before(reply),
            HookCall::After(replied),
        ] = calls[..]
        else {
            panic!("{calls:?}")
        };
        assert_eq!((room, reply), (roomy, replied));
        assert!(room.is_for_room() && !reply.is_for_room());
        assert_eq!(room.request(), reply.request());
    });
}
