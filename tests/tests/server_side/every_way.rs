//! Tests of every way to take a request.

use super::*;

fn a_request_that_is_there_is_taken_at_once<T: Take>() {
    let (server, client): Ends = ump::channel();
    post(&client, [7]);
    assert_eq!(T::take(&server).unwrap().0, 7);
    assert!(server.is_empty());
}

fn a_server_waits_for_a_request<T: Take>() {
    let (server, client): Ends = ump::channel();
    thread::scope(|scope| {
        let taken = scope.spawn(|| T::take(&server).unwrap().0);
        for _ in 0..20 {
            assert!(!taken.is_finished());
            thread::yield_now();
        }
        post(&client, [7]);
        assert_eq!(taken.join().unwrap(), 7);
    });
}

fn the_queue_drains_before_clients_disappeared<T: Take>() {
    let (server, client): Ends = ump::channel();
    let reply = client.request(2).urgent().submit().wait().unwrap();
    post(&client, [3, 4]);
    drop(client);
    for n in 2..=4 {
        let (taken, rctx) = T::take(&server).unwrap();
        assert_eq!(taken, n);
        rctx.reply(n * 10).unwrap();
    }
    assert_eq!(reply.wait().unwrap(), 20);
    // A call that missed the end would block for ever.
    for _ in 0..3 {
        assert!(T::take(&server).is_none());
    }
}

fn a_waiting_server_learns_that_the_last_client_goes<T: Take>() {
    let (server, client): Ends = ump::channel();
    let other = client.clone();
    thread::scope(|scope| {
        let taken = scope.spawn(|| T::take(&server).is_none());
        drop(client);
        for _ in 0..20 {
            assert!(!taken.is_finished());
            thread::yield_now();
        }
        drop(other);
        assert!(taken.join().unwrap());
    });
}

/// Revoked requests are not drained.
fn a_revoked_request_does_not_delay_the_end<T: Take>() {
    let (server, client): Ends = ump::channel();
    let reply = client.req_async(7).unwrap();
    drop(client);
    assert_eq!(server.len(), 1);
    drop(reply);
    assert!(T::take(&server).is_none());
}

fn a_weak_client_does_not_keep_the_server_waiting<T: Take>() {
    let (server, client): Ends = ump::channel();
    let weak = client.weak();
    post(&weak.upgrade().unwrap(), [7]);
    thread::scope(|scope| {
        let taken = scope.spawn(|| {
            let first = T::take(&server).unwrap().0;
            (first, T::take(&server).is_none())
        });
        eventually(|| client.is_empty());
        drop(client);
        assert_eq!(taken.join().unwrap(), (7, true));
    });
    assert!(weak.upgrade().is_none());
    assert!(weak.clone().upgrade().is_none());
    assert!(T::take(&server).is_none());
}

fn an_upgraded_client_keeps_the_channel_alive<T: Take>() {
    let (server, client): Ends = ump::channel();
    let weak = client.weak();
    let strong = weak.upgrade().unwrap();
    drop(client);
    let second = weak.upgrade().unwrap();
    drop(strong);
    post(&second, [7]);
    assert_eq!(T::take(&server).unwrap().0, 7);
    thread::scope(|scope| {
        let taken = scope.spawn(|| T::take(&server).is_none());
        for _ in 0..20 {
            assert!(!taken.is_finished());
            thread::yield_now();
        }
        drop(second);
        assert!(taken.join().unwrap());
    });
    assert!(weak.upgrade().is_none());
}

/// Each of many requests from many clients goes to exactly one of many workers, and all of them end
/// when the last client goes.
fn a_pool_of_threads_shares_the_requests<T: Take>() {
    const CLIENTS: u32 = 4;
    const EACH: u32 = 100;
    let (server, client): Ends = ump::channel();
    let seen = Mutex::new(Vec::new());
    thread::scope(|scope| {
        // The workers share the server, which is dropped with the last of them.
        let server = Arc::new(server);
        for _ in 0..3 {
            let (server, seen) = (Arc::clone(&server), &seen);
            scope.spawn(move || {
                while let Some((n, rctx)) = T::take(&server) {
                    seen.lock().unwrap().push(n);
                    rctx.reply(n + 1).unwrap();
                }
            });
        }
        drop(server);
        for caller in 0..CLIENTS {
            let client = client.clone();
            scope.spawn(move || {
                for n in caller * EACH..(caller + 1) * EACH {
                    assert_eq!(client.req(n), Ok(n + 1));
                }
            });
        }
        drop(client);
    });
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (0..CLIENTS * EACH).collect::<Vec<_>>());
}

for_each!(
    wait = Wait,
    async_wait = AsyncWait,
    try_pop = TryPop,
    wait_many = WaitMany,
    async_wait_many = AsyncWaitMany,
    iterator = Iterate,
    stream = Streamed
    => {
        a_request_that_is_there_is_taken_at_once,
        a_server_waits_for_a_request,
        the_queue_drains_before_clients_disappeared,
        a_waiting_server_learns_that_the_last_client_goes,
        a_revoked_request_does_not_delay_the_end,
        a_weak_client_does_not_keep_the_server_waiting,
        an_upgraded_client_keeps_the_channel_alive,
        a_pool_of_threads_shares_the_requests,
    }
);

mod poll_wait {
    use super::*;

    // `poll_wait` is not for pools: a server registers one waker that is given in this way.
    for_each!(
        alone = PollWait
        => {
            a_request_that_is_there_is_taken_at_once,
            a_server_waits_for_a_request,
            the_queue_drains_before_clients_disappeared,
            a_waiting_server_learns_that_the_last_client_goes,
            a_revoked_request_does_not_delay_the_end,
            a_weak_client_does_not_keep_the_server_waiting,
            an_upgraded_client_keeps_the_channel_alive,
        }
    );
}
