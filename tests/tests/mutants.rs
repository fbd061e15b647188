//! Tests for mutations of the sources that no other test catches.

use std::{future::IntoFuture, task::Poll, thread};

use tests::{LONG, poll_once, stats_with};
use ump::{Builder, ManualClock, hooks::LoopView};

#[test]
fn each_way_to_end_counts_once_as_ended() {
    let stats = stats_with(|s| {
        (s.replied, s.failed, s.no_reply, s.panicked) = (1, 2, 4, 8);
        (s.server_disappeared, s.timeout_queued, s.timeout_taken) = (16, 32, 64);
        (s.cancelled_queued, s.cancelled_taken) = (128, 256);
        (s.would_deadlock_queued, s.would_deadlock_taken) = (512, 1024);
        // Pending requests have not ended, and refused ones never began.
        (s.accepted, s.queued, s.taken, s.refused) = (1 << 11, 1 << 12, 1 << 13, 1 << 14);
    });
    assert_eq!(stats.ended(), (1 << 11) - 1);
    // Requests that were queued at the end were never taken.
    assert_eq!(stats.processed(), stats.ended() - 16 - 32 - 128 - 512);
}

#[test]
fn a_direct_handoff_is_counted_as_queued() {
    let (server, client) = ump::channel::<u64, u64, ()>();
    // A client that was served a few times in a row uses direct handoff.
    for n in 0..5 {
        let mut request = client.request(n).into_future();
        assert!(poll_once(&mut request).is_pending());
        let stats = client.stats();
        assert_eq!((stats.accepted, stats.queued, stats.taken), (n + 1, 1, 0));
        let (_, rctx) = server.wait().unwrap();
        let stats = client.stats();
        assert_eq!((stats.accepted, stats.queued, stats.taken), (n + 1, 0, 1));
        rctx.reply(n).unwrap();
        assert!(matches!(poll_once(&mut request), Poll::Ready(Ok(_))));
    }
}

#[test]
fn an_unseen_interruption_prevents_sleep() {
    let (server, _client) = ump::channel::<u64, u64, ()>();
    for n in 0..3 {
        assert_eq!(LoopView::new(&server).interruptions(), n);
        server.interrupt();
        assert!(
            LoopView::new(&server)
                .wait_since(n, None)
                .unwrap()
                .is_none()
        );
    }
}

#[test]
fn a_request_wakes_without_an_interruption() {
    let time = ManualClock::new();
    let ends = Builder::new().clock(time.clock()).build::<u64, u64, ()>();
    let (server, client) = ends.unwrap();
    let far = Some(time.now() + LONG);
    server.interrupt();
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            LoopView::new(&server)
                .wait_since(1, far)
                .unwrap()
                .map(|(n, _)| n)
        });
        time.wait_for_sleepers(1);
        client.post(7).wait().unwrap();
        assert_eq!(worker.join().unwrap(), Some(7));
    });
    assert_eq!(LoopView::new(&server).interruptions(), 1);
}

#[test]
fn requests_under_way_have_numbers_of_their_own() {
    let (server, client) = ump::channel::<u64, u64, ()>();
    for _ in 0..2 {
        client.post(1).wait().unwrap();
    }
    let jobs = [(); 2].map(|()| server.try_pop().unwrap().unwrap());
    let [one, other] = jobs.each_ref().map(|(_, rctx)| usize::from(rctx.id()));
    assert!(one != 0 && other != 0 && one != other);
}
