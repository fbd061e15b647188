//! A custom clock is user code: it may use the channel that it serves, and may panic.

use std::{
    future::pending,
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ump::{Builder, Client, Clock, RequestError, SendError, TimeSource};

type Asked = Client<u32, u32, ()>;

/// The action of the clock when it is read.
#[derive(Clone, Default)]
struct Source {
    client: Arc<OnceLock<Asked>>,
    panics: Arc<AtomicBool>,
}

impl TimeSource for Source {
    fn now(&self) -> Instant {
        if let Some(client) = self.client.get() {
            // Each of these locks the queue.
            let _ = (client.stats(), client.is_closed());
        }
        assert!(!self.panics.load(Ordering::Relaxed), "no time");
        Instant::now()
    }

    fn sleep_until(
        &self,
        _: Instant,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>> {
        Box::pin(pending())
    }
}

fn channel(capacity: usize) -> (ump::Server<u32, u32, ()>, Asked, Source) {
    let source = Source::default();
    let builder = Builder::new().clock(Clock::custom(source.clone()));
    let (server, client) = builder.capacity(capacity).build().unwrap();
    let _ = source.client.set(client.clone());
    (server, client, source)
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_clock_may_use_its_channel() {
    for capacity in [1, usize::MAX] {
        let (server, client, _) = channel(capacity);
        let handler = thread::spawn(move || {
            for _ in 0..100 {
                let (n, rctx) = server.wait().unwrap();
                rctx.reply(n).unwrap();
            }
        });
        for n in 0..100 {
            assert_eq!(client.request(n).timeout(LONG).wait(), Ok(n));
        }
        handler.join().unwrap();
    }
}

#[test]
fn a_full_queue_may_read_the_clock() {
    let (server, client, _) = channel(1);
    let past = Instant::now()
        .checked_add(Duration::from_millis(1))
        .unwrap();
    client.post(1).deadline(past).wait().unwrap();
    while Instant::now() <= past {
        thread::yield_now();
    }
    client.post(2).if_room().wait().unwrap();
    assert!(matches!(
        client.post(3).if_room().wait(),
        Err(SendError::Full(3))
    ));
    assert_eq!(server.try_pop().unwrap().unwrap().0, 2);
}

#[test]
fn a_clock_that_panics_loses_no_request() {
    let (server, client, source) = channel(4);
    client.post(1).timeout(LONG).wait().unwrap();
    client.post(2).timeout(LONG).wait().unwrap();
    source.panics.store(true, Ordering::Relaxed);
    for n in [1, 2] {
        assert_eq!(server.wait().unwrap().0, n);
    }
    drop(server);
    let late = client.request(3).timeout(LONG).wait();
    assert_eq!(late, Err(RequestError::ServerDisappeared(3)));
    assert_eq!(client.stats().ended(), client.stats().accepted);
}
