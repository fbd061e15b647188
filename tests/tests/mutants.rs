//! What mutations of the source have shown to be tested by nothing else.

use tests::books;

#[test]
fn each_way_to_end_counts_once_as_ended() {
    let stats = books(|s| {
        (s.replied, s.failed, s.no_reply, s.panicked) = (1, 2, 4, 8);
        (s.server_disappeared, s.timeout_queued, s.timeout_taken) = (16, 32, 64);
        (s.cancelled_queued, s.cancelled_taken, s.would_deadlock) = (128, 256, 512);
        // What is under way has not ended, and what was refused never began.
        (s.accepted, s.queued, s.taken, s.refused) = (1 << 10, 1 << 11, 1 << 12, 1 << 13);
    });
    assert_eq!(stats.ended(), (1 << 10) - 1);
}
