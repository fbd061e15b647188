//! Iterators, streams and `poll_wait`.

use super::*;

// ---- iterators and streams

#[test]
fn a_for_loop_ends_with_the_last_client() {
    let (server, client): Ends = ump::channel();
    post(&client, 0..3);
    drop(client);
    let mut taken = Vec::new();
    for (n, _rctx) in &server {
        taken.push(n);
    }
    assert_eq!(taken, [0, 1, 2]);
    let mut iter = server.iter();
    assert!(iter.next().is_none());
    assert!(iter.next().is_none());
}

/// An iterator holds no entry in the wait queue and no request.
#[test]
fn several_iterators_take_turns() {
    let (server, client): Ends = ump::channel();
    post(&client, 0..4);
    let (mut a, mut b) = (server.iter(), server.iter());
    assert_eq!(a.next().unwrap().0, 0);
    assert_eq!(b.next().unwrap().0, 1);
    assert_eq!(b.clone().next().unwrap().0, 2);
    assert_eq!(a.next().unwrap().0, 3);
}

#[test]
fn a_stream_yields_the_requests_and_ends() {
    let (server, client): Ends = ump::channel();
    let mut stream = server.stream();
    post(&client, 0..3);
    for n in 0..3 {
        assert_eq!(next(&mut stream).unwrap().0, n);
    }
    drop(client);
    assert!(next(&mut stream).is_none());
    assert!(next(&mut stream).is_none());
}

#[test]
fn a_server_is_a_stream() {
    let (server, client): Ends = ump::channel();
    let mut server = Box::pin(server);
    post(&client, 0..3);
    for n in 0..3 {
        assert_eq!(next(&mut server).unwrap().0, n);
    }
    let counter = CountingWaker::new();
    let waker = counter.waker();
    let mut cx = Context::from_waker(&waker);
    assert!(server.as_mut().poll_next(&mut cx).is_pending());
    drop(client);
    assert_eq!(counter.wakes(), 1);
    assert!(matches!(
        server.as_mut().poll_next(&mut cx),
        Poll::Ready(None)
    ));
}

#[test]
fn streams_take_turns_and_each_request_wakes_one() {
    let (server, client): Ends = ump::channel();
    let (mut a, mut b) = (server.stream(), server.stream());
    let (counter_a, counter_b) = (CountingWaker::new(), CountingWaker::new());
    assert!(poll_stream(&mut a, &counter_a).is_pending());
    assert!(poll_stream(&mut b, &counter_b).is_pending());
    post(&client, [1]);
    assert_eq!((counter_a.wakes(), counter_b.wakes()), (1, 0));
    assert!(poll_stream(&mut a, &counter_a).is_ready());
    assert!(poll_stream(&mut a, &counter_a).is_pending());
    // Now the other receiver is the first.
    post(&client, [2]);
    assert_eq!((counter_a.wakes(), counter_b.wakes()), (1, 1));
    drop(client);
    assert_eq!((counter_a.wakes(), counter_b.wakes()), (2, 1));
    assert!(poll_stream(&mut b, &counter_b).is_ready());
    assert!(matches!(poll_stream(&mut a, &counter_a), Poll::Ready(None)));
    assert!(matches!(poll_stream(&mut b, &counter_b), Poll::Ready(None)));
}

#[test]
fn a_stream_keeps_its_own_place_when_polled_by_hand() {
    let (server, client): Ends = ump::channel();
    let (mut a, mut b) = (server.stream(), server.stream());
    let (counter_a, counter_b) = (CountingWaker::new(), CountingWaker::new());
    let (waker_a, waker_b) = (counter_a.waker(), counter_b.waker());
    assert!(a.poll_wait(&mut Context::from_waker(&waker_a)).is_pending());
    assert!(b.poll_wait(&mut Context::from_waker(&waker_b)).is_pending());
    post(&client, [1, 2]);
    assert_eq!((counter_a.wakes(), counter_b.wakes()), (1, 1));
    let taken = |polled: Poll<Result<Job, Error<()>>>| match polled {
        Poll::Ready(job) => job.map(|(n, _)| n),
        Poll::Pending => panic!("there is one for each"),
    };
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(taken(b.poll_wait(&mut cx)), Ok(1));
    assert_eq!(taken(a.poll_wait(&mut cx)), Ok(2));
    drop(client);
    assert_eq!(taken(a.poll_wait(&mut cx)), Err(Error::ClientsDisappeared));
}

// ---- poll_wait

fn poll_server(
    server: &Server<u32, u32, ()>,
    counter: &Arc<CountingWaker>,
) -> Poll<Result<u32, Error<()>>> {
    server
        .poll_wait(&mut Context::from_waker(&counter.waker()))
        .map_ok(|(n, _)| n)
}

#[test]
fn the_latest_waker_is_woken_and_the_only_one_kept() {
    let (server, client): Ends = ump::channel();
    let (first, last) = (CountingWaker::new(), CountingWaker::new());
    assert!(poll_server(&server, &first).is_pending());
    for _ in 0..5 {
        assert!(poll_server(&server, &last).is_pending());
        assert_eq!((first.wakers(), last.wakers()), (0, 1));
    }
    post(&client, [7]);
    assert_eq!((first.wakes(), last.wakes()), (0, 1));
    assert_eq!(last.wakers(), 0);
    assert_eq!(poll_server(&server, &first), Poll::Ready(Ok(7)));
    assert_eq!(first.wakers(), 0);
    assert!(poll_server(&server, &last).is_pending());
    drop(client);
    assert_eq!(last.wakes(), 2);
    assert_eq!(
        poll_server(&server, &last),
        Poll::Ready(Err(Error::ClientsDisappeared))
    );
}

#[test]
fn a_poller_is_not_in_the_wait_queue() {
    let (server, client): Ends = ump::channel();
    let (poller, waiter) = (CountingWaker::new(), CountingWaker::new());
    let mut waiting = pin!(server.async_wait());
    assert!(poll_with(&mut waiting, &waiter).is_pending());
    assert!(poll_server(&server, &poller).is_pending());
    post(&client, [1]);
    assert_eq!((poller.wakes(), waiter.wakes()), (1, 1));
    assert_eq!(poll_server(&server, &poller), Poll::Ready(Ok(1)));
    assert!(poll_with(&mut waiting, &waiter).is_pending());
    post(&client, [2]);
    assert_eq!(waiter.wakes(), 2);
    assert!(matches!(
        poll_with(&mut waiting, &waiter),
        Poll::Ready(Ok((2, _)))
    ));
}

#[test]
fn a_dropped_server_releases_its_poller() {
    let (server, _client): Ends = ump::channel();
    let counter = CountingWaker::new();
    assert!(poll_server(&server, &counter).is_pending());
    drop(server);
    assert_eq!(counter.wakers(), 0);
}
