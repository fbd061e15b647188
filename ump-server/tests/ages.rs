//! How long a call has been in hand, of loops whose calls are not timed.

#![cfg(not(feature = "metrics"))]

use std::{sync::mpsc, time::Duration};

use ump_server::{thread, ump::ManualClock};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn an_untimed_call_has_the_age_since_it_was_seen() {
    let time = ManualClock::new();
    let (sender, receiver) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let (client, handle) = thread::Builder::new()
        .clock(time.clock())
        .spawn(|_| {
            Ok(thread::reply(move |n: u32| {
                sender.send(()).unwrap();
                wait.recv().unwrap();
                n
            }))
        })
        .unwrap();
    let stopper = handle.stopper();
    let age = || stopper.workers()[0].in_hand.map(|call| call.age);
    for _ in 0..2 {
        let reply = client.request(1).submit().wait().unwrap();
        receiver.recv().unwrap();
        time.advance(MINUTE);
        assert_eq!(age(), Some(None), "nobody has seen it before");
        time.advance(MINUTE);
        assert_eq!(age(), Some(Some(MINUTE)));
        time.advance(MINUTE);
        assert_eq!(age(), Some(Some(2 * MINUTE)));
        go.send(()).unwrap();
        assert_eq!(reply.wait().unwrap(), 1);
    }
}
