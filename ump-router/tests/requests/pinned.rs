//! Clients of one server of a topic: their requests keep their order over a hand-over.

use std::{
    collections::VecDeque,
    future::IntoFuture,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::Poll,
    thread,
};

use ump_router::{
    Error, PinnedClient, RequestError, RequestFuture, Router, ServeOptions, Server, TopicClient,
    TopicErrorKind,
    ump::{self, Clock},
};

use crate::{Double, LONG, counting_waker::poll_once, serve_all};

fn servers<const N: usize>(router: &Router) -> [Server<Double>; N] {
    let standby = ServeOptions::new().standby();
    [(); N].map(|()| router.serve_with("a", standby).unwrap())
}

fn pin_to(router: &Router) -> PinnedClient<Double> {
    router.pin("a").unwrap().expect("it is served")
}

/// Makes a request and polls it once.
fn send(client: &PinnedClient<Double>, number: u64) -> RequestFuture<Double> {
    let mut request = client.request(Double(number)).into_future();
    assert!(poll_once(Pin::new(&mut request)).is_pending());
    request
}

/// Returns the number of a request that came back because the server has left.
fn came_back(outcome: Result<u64, RequestError<Double>>) -> Option<u64> {
    match outcome {
        Ok(_) => None,
        Err(RequestError::Ended(ump::RequestError::ServerDisappeared(Double(number)))) => {
            Some(number)
        }
        Err(error) => panic!("{error:?}"),
    }
}

fn outcome(mut request: RequestFuture<Double>) -> Result<u64, RequestError<Double>> {
    match poll_once(Pin::new(&mut request)) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("it has no outcome"),
    }
}

/// Takes all queued requests.
fn taken(server: &Server<Double>) -> Vec<u64> {
    let next = || server.try_pop().unwrap();
    std::iter::from_fn(next)
        .map(|(call, _)| call.message.0)
        .collect()
}

#[test]
fn requests_by_topic_may_change_places() {
    let router = Router::new();
    let [first, second] = servers(&router);
    let [mut one, mut other] = [1, 2].map(|number| {
        let mut request = router.request("a", Double(number)).into_future();
        assert!(poll_once(Pin::new(&mut request)).is_pending());
        request
    });
    drop(first);
    let mut later = pin!(router.request("a", Double(3)).into_future());
    assert!(poll_once(later.as_mut()).is_pending());
    assert!(poll_once(Pin::new(&mut other)).is_pending());
    assert!(poll_once(Pin::new(&mut one)).is_pending());
    assert_eq!(taken(&second), [3, 2, 1], "as their callers ran");
}

#[test]
fn requests_of_a_pinned_client_come_back_in_order() {
    let router = Router::new();
    let [first, second] = servers(&router);
    let client = pin_to(&router);
    let [one, two, three] = [1, 2, 3].map(|number| send(&client, number));
    let (call, rctx) = first.wait().unwrap();
    assert_eq!(call.message, Double(1));
    assert!(!client.has_left());
    drop(first);
    assert!(client.has_left());
    // Those that are made later come back at once, by whichever way.
    assert_eq!(came_back(client.request(Double(4)).wait()), Some(4));
    assert_eq!(
        came_back(outcome(client.clone().request(Double(5)).into_future())),
        Some(5)
    );
    let waits = client.request(Double(6)).wait_for_server().timeout(LONG);
    assert_eq!(came_back(waits.wait()), Some(6));
    assert_eq!(
        [three, two].map(|request| came_back(outcome(request))),
        [Some(3), Some(2)]
    );
    assert!(second.is_empty());
    // One that was taken stays with its server.
    rctx.reply(2).unwrap();
    assert_eq!(outcome(one).unwrap(), 2);

    let next = pin_to(&router);
    let again = [2, 3, 4].map(|number| send(&next, number));
    assert_eq!(taken(&second), [2, 3, 4]);
    drop(again);
}

#[test]
fn a_request_that_was_made_before_its_server_left_comes_back() {
    let router = Router::new();
    let [first, second] = servers(&router);
    let client = pin_to(&router);
    let [early, late] = [1, 2].map(|number| client.request(Double(number)));
    first.close_handle().close();
    assert_eq!(came_back(early.wait()), Some(1));
    assert_eq!(came_back(outcome(late.into_future())), Some(2));
    assert!(first.is_empty() && second.is_empty());
}

#[test]
fn a_pinned_client_keeps_nothing_alive() {
    let router = Router::new();
    let [server] = servers(&router);
    let client = pin_to(&router);
    let queued = send(&client, 1);
    server.close_handle().close();
    assert_eq!(serve_all(&server), ["a"], "it serves its queue");
    assert_eq!(outcome(queued).unwrap(), 2);
    assert_eq!(server.wait().unwrap_err(), ump::Error::ClientsDisappeared);

    let [_server] = servers(&router);
    let client = pin_to(&router);
    let made = client.request(Double(1));
    drop(router);
    for refused in [made.wait(), client.request(Double(1)).wait()] {
        let Err(RequestError::NotMade(Double(1), Error::Closed)) = refused else {
            panic!("{refused:?}")
        };
    }
    assert!(client.has_left());
}

#[test]
fn a_topic_is_pinned_like_it_is_served() {
    let router = Router::new();
    assert!(router.pin::<Double>("a").unwrap().is_none());
    let Err(Error::Topic(error)) = router.pin::<Double>("a/*") else {
        panic!()
    };
    assert_eq!(error.kind(), TopicErrorKind::Wildcard);
    let topic = TopicClient::<Double>::new(&router, "a").unwrap();
    let [_server] = servers(&router);
    let client = topic.pin().unwrap().unwrap();
    assert_eq!(client.topic().as_str(), "a");
    let text = format!("{client:?}");
    assert!(text.contains("has_left: false"), "{text}");
    router.close();
    assert_eq!(router.pin::<Double>("a").unwrap_err(), Error::Closed);
}

/// Servers that come and leave, and a caller that has several requests under way, in threads and
/// tasks by turns. Each request that comes back is made again, after those that were sent before.
#[test]
fn many_handovers_keep_the_order_between_threads() {
    const REQUESTS: u64 = 2_000;
    let router = Router::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let serving = {
        let (router, log) = (router.clone(), Arc::clone(&log));
        let standby = ServeOptions::new().standby();
        let mut server = router.serve_with::<Double>("a", standby).unwrap();
        thread::spawn(move || {
            for turn in 1.. {
                let next = router.serve_with("a", standby).unwrap();
                for _ in 0..=turn % 7 {
                    let Ok((call, rctx)) = server.wait() else {
                        return;
                    };
                    log.lock().unwrap().push(call.message.0);
                    let _ = rctx.reply(call.message.0);
                    if call.message.0 == REQUESTS {
                        return;
                    }
                }
                server = next; // the former one is dropped with its queue
            }
        })
    };
    let clock = Clock::system();
    let mut next = 1;
    let mut client = pin_to(&router);
    let mut under_way: VecDeque<RequestFuture<Double>> = VecDeque::new();
    let mut again: VecDeque<u64> = VecDeque::new();
    loop {
        // Another thread sends some of them.
        let mut numbers = Vec::new();
        while under_way.len() + numbers.len() < 5 {
            let Some(number) = again.pop_front().or((next <= REQUESTS).then_some(next)) else {
                break;
            };
            next = next.max(number + 1);
            numbers.push(number);
        }
        let sender = client.clone();
        let sending = thread::spawn(move || {
            numbers
                .into_iter()
                .map(|number| {
                    let mut request = sender.request(Double(number)).timeout(LONG).into_future();
                    match poll_once(Pin::new(&mut request)) {
                        Poll::Pending => Ok(request),
                        Poll::Ready(outcome) => Err(outcome),
                    }
                })
                .collect::<Vec<_>>()
        });
        let mut back = Vec::new();
        let first = under_way.pop_front();
        if let Some(request) = first {
            back.extend(came_back(clock.block_on(request, None).unwrap()));
        }
        for sent in sending.join().unwrap() {
            match sent {
                Ok(request) => under_way.push_back(request),
                Err(outcome) => back.extend(came_back(outcome)),
            }
        }
        if !back.is_empty() {
            // All that are under way come back, or were taken before.
            for request in std::mem::take(&mut under_way) {
                back.extend(came_back(clock.block_on(request, None).unwrap()));
            }
            back.sort_unstable();
            back.into_iter()
                .rev()
                .for_each(|number| again.push_front(number));
            client = pin_to(&router);
        }
        if under_way.is_empty() && again.is_empty() && next > REQUESTS {
            break;
        }
    }
    router.close();
    serving.join().unwrap();
    let log = log.lock().unwrap();
    assert!(log.iter().copied().eq(1..=REQUESTS), "{log:?}");
}
