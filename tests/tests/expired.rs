//! Expired posts: how many stay in memory, and what a queued post costs.

use std::{
    future::IntoFuture,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tests::{Counted, CountingWaker, DropCounter, Meter, assert_balanced, poll_with};
use ump::{Builder, ManualClock, RequestError, SendError, WeakClient};

#[global_allocator]
static METER: Meter = Meter::new();

const SECOND: Duration = Duration::from_secs(1);

/// Runs the tests one after the other, as they share the allocator's counts.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A message whose drop is counted.
fn channel(
    capacity: usize,
) -> (
    ManualClock,
    ump::Server<Counted, (), ()>,
    ump::Client<Counted, (), ()>,
) {
    let clock = ManualClock::new();
    let builder = Builder::new().clock(clock.clock()).capacity(capacity);
    let (server, client) = builder.build().unwrap();
    (clock, server, client)
}

#[test]
fn expired_posts_do_not_accumulate() {
    let _alone = alone();
    let drop_counter = DropCounter::default();
    let (clock, server, client) = channel(usize::MAX);
    // The server is stuck with a request, so nothing reads the queue, which is entered without a
    // lock.
    client.post(drop_counter.value()).wait().unwrap();
    let stuck = server.wait().unwrap();
    let mut most = 0;
    for _ in 0..100 {
        for _ in 0..100 {
            client
                .post(drop_counter.value())
                .timeout(SECOND)
                .wait()
                .unwrap();
        }
        most = most.max(drop_counter.created() - drop_counter.dropped());
        clock.advance(SECOND);
    }
    // Of each hundred posts, the expired ones were dropped on the way: at most 64 posts, and the
    // live posts, stay.
    assert!(most <= 1 + 100 + 2 * 64, "{most} of 10,001 were kept");
    let stats = client.stats();
    assert!(stats.timeout_queued > 9_000, "{stats:?}");
    assert_balanced(&stats);
    drop(stuck);
    assert!(server.try_pop().unwrap().is_none());
    assert_eq!(client.stats().timeout_queued, 10_000);
    assert_eq!(drop_counter.created(), drop_counter.dropped());
}

#[test]
fn expired_posts_are_no_reason_to_be_full() {
    let _alone = alone();
    let drop_counter = DropCounter::default();
    let (clock, _server, client) = channel(3);
    for _ in 0..3 {
        client
            .post(drop_counter.value())
            .timeout(SECOND)
            .wait()
            .unwrap();
    }
    let refused = client
        .post(drop_counter.value())
        .if_room()
        .wait()
        .unwrap_err();
    assert!(matches!(refused, SendError::Full(_)));
    drop(refused);
    clock.advance(SECOND);
    client.post(drop_counter.value()).if_room().wait().unwrap();
    assert_eq!(drop_counter.created() - drop_counter.dropped(), 1);
    assert_eq!((client.len(), client.stats().timeout_queued), (1, 3));
    // Reserved room makes expired posts go as well.
    for _ in 0..2 {
        client
            .post(drop_counter.value())
            .timeout(SECOND)
            .wait()
            .unwrap();
    }
    clock.advance(SECOND);
    // The first post in the queue has no deadline, so the posts behind it are not checked.
    client.reserve().if_room().wait().unwrap_err();
    assert_balanced(&client.stats());
}

#[test]
fn room_of_expired_posts_goes_to_all_waiters() {
    let _alone = alone();
    let drop_counter = DropCounter::default();
    let (clock, _server, client) = channel(2);
    for _ in 0..2 {
        client
            .post(drop_counter.value())
            .timeout(SECOND)
            .wait()
            .unwrap();
    }
    let mut waiting = client.post(drop_counter.value()).into_future();
    assert!(tests::poll_once(&mut waiting).is_pending());
    clock.advance(SECOND);
    // A new sender checks, which wakes the waiting sender.
    client.post(drop_counter.value()).if_room().wait().unwrap();
    assert!(tests::poll_once(&mut waiting).is_ready());
    assert_eq!(client.len(), 2);
}

/// The waiting senders come before the sender that checks, whether it waits or is refused.
#[test]
fn room_of_expired_posts_goes_in_waiting_order() {
    let _alone = alone();
    let drop_counter = DropCounter::default();
    let (clock, server, client) = channel(1);
    let counters = [CountingWaker::new(), CountingWaker::new()];
    let posts = || client.post(drop_counter.value()).into_future();
    for waits in [false, true] {
        client
            .post(drop_counter.value())
            .timeout(SECOND)
            .wait()
            .unwrap();
        let mut first = posts();
        assert!(poll_with(&mut first, &counters[0]).is_pending());
        clock.advance(SECOND);
        let wakes = counters.each_ref().map(|counter| counter.wakes());
        let mut second = posts();
        if waits {
            assert!(poll_with(&mut second, &counters[1]).is_pending());
        } else {
            client
                .post(drop_counter.value())
                .if_room()
                .wait()
                .unwrap_err();
        }
        let woken = counters.each_ref().map(|counter| counter.wakes());
        assert_eq!(woken, [wakes[0] + 1, wakes[1]]);
        // The first sender leaves without using its room, so the second sender is the next.
        if waits {
            drop(first);
            assert_eq!(counters[1].wakes(), wakes[1] + 1);
            assert!(poll_with(&mut second, &counters[1]).is_ready());
        } else {
            assert!(poll_with(&mut first, &counters[0]).is_ready());
            drop(server.try_pop().unwrap());
        }
    }
    assert_balanced(&client.stats());
}

/// The sender finds its room itself and needs no wake-up; the other waiter gets the rest.
#[test]
fn a_sender_that_makes_room_does_not_wake_itself() {
    let _alone = alone();
    let drop_counter = DropCounter::default();
    let (clock, _server, client) = channel(2);
    for _ in 0..2 {
        client
            .post(drop_counter.value())
            .timeout(SECOND)
            .wait()
            .unwrap();
    }
    let counters = [CountingWaker::new(), CountingWaker::new()];
    let mut posts = [(); 2].map(|()| client.post(drop_counter.value()).into_future());
    for (post, counter) in posts.iter_mut().zip(&counters) {
        assert!(poll_with(post, counter).is_pending());
    }
    clock.advance(SECOND);
    assert!(poll_with(&mut posts[0], &counters[0]).is_ready());
    assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [0, 1]);
    assert!(poll_with(&mut posts[1], &counters[1]).is_ready());
    assert_balanced(&client.stats());
}

#[test]
fn an_expired_request_found_by_a_sender_ends() {
    let _alone = alone();
    let clock = ManualClock::new();
    let builder = Builder::new().clock(clock.clock()).capacity(1);
    let (_server, client) = builder.build::<u32, u32, ()>().unwrap();
    let late = client.request(1).timeout(SECOND).submit().wait().unwrap();
    clock.advance(SECOND);
    client.post(2).if_room().wait().unwrap();
    assert!(late.is_ready());
    assert_eq!(late.wait(), Err(RequestError::TimeoutQueued(1)));
    assert_balanced(&client.stats());
}

/// A message that posts another message when it is dropped. That post needs the room of an expired
/// post.
struct Chained {
    left: u32,
    clock: ManualClock,
    clients: Arc<[WeakClient<Chained, (), ()>]>,
}

impl Chained {
    fn post(&self, left: u32) {
        let client = &self.clients[left as usize % self.clients.len()];
        let Some(client) = client.upgrade() else {
            return;
        };
        let next = Self {
            left,
            clock: self.clock.clone(),
            clients: Arc::clone(&self.clients),
        };
        let post = client.post(next).timeout(SECOND).if_room();
        post.wait().expect("the queued posts have expired");
    }
}

impl Drop for Chained {
    fn drop(&mut self) {
        if self.left > 0 {
            self.clock.advance(SECOND);
            self.post(self.left - 1);
        }
    }
}

#[test]
fn chain_of_expired_posts_needs_no_stack() {
    let _alone = alone();
    for channels in 1..=2 {
        let clock = ManualClock::new();
        let build = || Builder::new().clock(clock.clock()).capacity(1).build();
        let ends = [(); 2].map(|()| build().unwrap());
        let chain = move || {
            let clients = ends[..channels].iter().map(|(_, client)| client.weak());
            let first = Chained {
                left: 0,
                clock: clock.clone(),
                clients: clients.collect(),
            };
            // There are two chains: each makes room by dropping a message of the other.
            for left in [20_000, 20_001, 20_000, 20_001] {
                first.post(left);
                clock.advance(SECOND);
            }
            for (server, client) in ends.into_iter().take(channels) {
                let stats = client.stats();
                assert_balanced(&stats);
                assert!(stats.timeout_queued >= 20_000, "{stats:?}");
                drop((client, server));
            }
        };
        let thread = thread::Builder::new().stack_size(256 << 10).spawn(chain);
        thread.unwrap().join().unwrap();
    }
}

/// The numbers are those of the documentation of `Client::post`.
#[test]
fn a_queued_post_costs_what_is_documented() {
    fn bytes<S>(message: impl Fn() -> S) -> usize {
        const POSTS: usize = 10_000;
        let (_server, client) = ump::channel::<S, (), ()>();
        let before = METER.live();
        for _ in 0..POSTS {
            client.post(message()).wait().unwrap();
        }
        (METER.live() - before) / POSTS
    }
    let _alone = alone();
    let small = bytes(|| 1_u64);
    assert!(small <= 384, "{small}");
    let large = bytes(|| [0_u8; 128]);
    assert!(large <= 512, "{large}");
}
