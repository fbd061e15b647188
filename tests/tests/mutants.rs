//! What mutations of the source have shown to be tested by nothing else.

use std::{future::IntoFuture, task::Poll};

use tests::{books, poll_once};

#[test]
fn each_way_to_end_counts_once_as_ended() {
    let stats = books(|s| {
        (s.replied, s.failed, s.no_reply, s.panicked) = (1, 2, 4, 8);
        (s.server_disappeared, s.timeout_queued, s.timeout_taken) = (16, 32, 64);
        (s.cancelled_queued, s.cancelled_taken) = (128, 256);
        (s.would_deadlock_queued, s.would_deadlock_taken) = (512, 1024);
        // What is under way has not ended, and what was refused never began.
        (s.accepted, s.queued, s.taken, s.refused) = (1 << 11, 1 << 12, 1 << 13, 1 << 14);
    });
    assert_eq!(stats.ended(), (1 << 11) - 1);
    // What was in the queue when it ended, no handler has had.
    assert_eq!(stats.processed(), stats.ended() - 16 - 32 - 128 - 512);
}

#[test]
fn a_request_that_goes_past_the_queue_is_booked_as_queued() {
    let (server, client) = ump::channel::<u64, u64, ()>();
    // A client that was served some times in a row goes past it.
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
