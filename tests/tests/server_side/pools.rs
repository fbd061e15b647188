//! Several receivers of one server, on threads and tasks.

use super::*;

/// A request wakes one receiver. If that one leaves, the wake-up passes to the next.
#[test]
fn a_woken_server_that_leaves_passes_the_request_on() {
    let (server, client): Ends = ump::channel();
    let counters = [(); 3].map(|()| CountingWaker::new());
    let mut first = Box::pin(server.async_wait());
    let mut second = server.stream();
    let mut third = Box::pin(server.async_wait());
    assert!(poll_with(&mut first, &counters[0]).is_pending());
    assert!(poll_stream(&mut second, &counters[1]).is_pending());
    assert!(poll_with(&mut third, &counters[2]).is_pending());
    let wakes = || counters.each_ref().map(|counter| counter.wakes());
    post(&client, [7]);
    assert_eq!(wakes(), [1, 0, 0]);
    drop(first);
    assert_eq!(wakes(), [1, 1, 0]);
    drop(second);
    assert_eq!(wakes(), [1, 1, 1]);
    assert!(matches!(poll_once(&mut third), Poll::Ready(Ok((7, _)))));
    assert_eq!(counters.each_ref().map(CountingWaker::wakers), [0; 3]);
}

/// If the queue is empty, there is no wake-up to pass on.
#[test]
fn a_woken_server_leaving_an_empty_queue_is_silent() {
    let (server, client): Ends = ump::channel();
    let counters = [(); 2].map(|()| CountingWaker::new());
    let mut first = Box::pin(server.async_wait());
    let mut second = Box::pin(server.async_wait());
    assert!(poll_with(&mut first, &counters[0]).is_pending());
    assert!(poll_with(&mut second, &counters[1]).is_pending());
    post(&client, [7]);
    assert_eq!(server.try_pop().unwrap().unwrap().0, 7);
    drop(first);
    assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [1, 0]);
    post(&client, [8]);
    assert_eq!(counters.each_ref().map(|counter| counter.wakes()), [1, 1]);
    assert!(matches!(poll_once(&mut second), Poll::Ready(Ok((8, _)))));
}

#[test]
fn the_longest_waiter_is_woken_first() {
    let (server, client): Ends = ump::channel();
    let counters = [(); 4].map(|()| CountingWaker::new());
    let mut waiting: Vec<_> = counters
        .iter()
        .map(|_| Box::pin(server.async_wait()))
        .collect();
    for (future, counter) in waiting.iter_mut().zip(&counters) {
        assert!(poll_with(future, counter).is_pending());
    }
    // A receiver that is polled again keeps its place.
    assert!(poll_with(&mut waiting[0], &counters[0]).is_pending());
    let wakes = || counters.each_ref().map(|counter| counter.wakes());
    post(&client, [1]);
    assert_eq!(wakes(), [1, 0, 0, 0]);
    post(&client, [2, 3]);
    assert_eq!(wakes(), [1, 1, 1, 0]);
    drop(client);
    assert_eq!(wakes(), [1, 1, 1, 1]);
    for (n, future) in (1..).zip(&mut waiting[..3]) {
        assert!(matches!(poll_once(future), Poll::Ready(Ok((taken, _))) if taken == n));
    }
    assert!(matches!(
        poll_once(&mut waiting[3]),
        Poll::Ready(Err(Error::ClientsDisappeared))
    ));
}

#[test]
fn a_pool_of_tasks_shares_the_requests() {
    must_end(|| {
        const EACH: u32 = 100;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        let (server, client): Ends = ump::channel();
        let server = Arc::new(server);
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let server = Arc::clone(&server);
                runtime.spawn(async move {
                    let mut seen = Vec::new();
                    while let Ok((n, rctx)) = server.async_wait().await {
                        tokio::task::yield_now().await;
                        seen.push(n);
                        rctx.reply(n + 1).unwrap();
                    }
                    seen
                })
            })
            .collect();
        let askers: Vec<_> = (0..4)
            .map(|caller| {
                let client = client.clone();
                runtime.spawn(async move {
                    for n in caller * EACH..(caller + 1) * EACH {
                        assert_eq!(client.areq(n).await, Ok(n + 1));
                    }
                })
            })
            .collect();
        drop(client);
        runtime.block_on(async {
            for asker in askers {
                asker.await.unwrap();
            }
            let mut seen = Vec::new();
            for worker in workers {
                seen.extend(worker.await.unwrap());
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..4 * EACH).collect::<Vec<_>>());
        });
    });
}

#[test]
fn a_mixed_pool_shares_the_requests() {
    must_end(|| {
        const EACH: u32 = 200;
        let (server, client): Ends = ump::channel();
        let seen = Mutex::new(HashSet::new());
        thread::scope(|scope| {
            let server = Arc::new(server);
            let takes: [fn(&Server<u32, u32, ()>) -> Option<Job>; 6] = [
                Wait::take,
                AsyncWait::take,
                WaitMany::take,
                AsyncWaitMany::take,
                Streamed::take,
                |server| loop {
                    match server.wait_timeout(Duration::from_micros(100)) {
                        Ok(Some(job)) => break Some(job),
                        Ok(None) => {}
                        Err(_) => break None,
                    }
                },
            ];
            for take in takes {
                let (server, seen) = (Arc::clone(&server), &seen);
                scope.spawn(move || {
                    while let Some((n, rctx)) = take(&server) {
                        assert!(seen.lock().unwrap().insert(n), "{n} came twice");
                        rctx.reply(n + 1).unwrap();
                    }
                });
            }
            drop(server);
            for caller in 0..3 {
                let client = client.clone();
                scope.spawn(move || {
                    for n in caller * EACH..(caller + 1) * EACH {
                        let reply = match caller {
                            0 => client.req(n),
                            1 => block_on(client.areq(n)),
                            _ => client.req_async(n).unwrap().wait(),
                        };
                        assert_eq!(reply, Ok(n + 1));
                    }
                });
            }
            let client = client;
            eventually(|| client.stats().ended() == u64::from(3 * EACH));
            assert_balanced(&client.stats());
        });
        assert_eq!(seen.into_inner().unwrap().len(), 3 * EACH as usize);
    });
}
