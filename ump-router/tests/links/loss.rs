//! Links that are closed, lost and made again.

use std::{
    future::{Future, IntoFuture},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use ump::{Clock, Executed};
use ump_router::{RecvError, RequestError, Router, SubscribeOptions, link::wire::Failure};

use crate::support::{
    Double, LONG, Price, SocketPath, await_no_subscriber, await_server, await_subscriber, carrying,
    next, on_each, publish,
};

#[test]
fn each_pending_request_ends_when_the_other_router_is_closed() {
    on_each(|from, to, _| {
        let server = to.serve::<Double>("a").unwrap();
        await_server(from, "a");
        thread::scope(|scope| {
            let callers: Vec<_> = (0..20)
                .map(|number| scope.spawn(move || from.request("a", Double(number)).wait()))
                .collect();
            // One is in the hands of the handler, the others are queued.
            let (_, held) = server.wait().unwrap();
            while server.len() < 19 {
                thread::yield_now();
            }
            to.close();
            for caller in callers {
                let error = caller.join().unwrap().unwrap_err();
                let link = error.link().unwrap_or_else(|| panic!("{error}"));
                assert_eq!(link.failure, Failure::LinkLost);
                assert_eq!(link.executed, Executed::Perhaps);
            }
            drop(held);
        });
        let error = from.request("a", Double(1)).wait().unwrap_err();
        assert_eq!(error, RequestError::NoServer(Double(1)));
    });
}

#[test]
fn both_ends_learn_that_a_link_is_dropped() {
    let (hub, leaf) = (carrying(), carrying());
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let mut at_hub = hub.subscribe::<Price>("**").unwrap();
    let mut at_leaf = leaf.subscribe::<Price>("**").unwrap();
    let link = leaf.connect(listener.address()).unwrap();
    await_listed(&hub, 2);
    await_listed(&leaf, 2);
    let server = leaf.serve::<Double>("a").unwrap();
    await_server(&hub, "a");
    publish(&hub, "a", 1);
    assert_eq!(next(&mut at_leaf), Ok(1));
    publish(&leaf, "a", 2);
    assert_eq!((next(&mut at_hub), next(&mut at_hub)), (Ok(1), Ok(2)));
    publish(&leaf, "a", 3);
    drop(link);
    // The leaf left on purpose, so nothing is missing here: what it had published comes before.
    assert_eq!(next(&mut at_hub), Ok(3));
    assert_eq!((next(&mut at_leaf), next(&mut at_leaf)), (Ok(2), Ok(3)));
    assert_eq!(next(&mut at_leaf), Err(RecvError::Interrupted));
    await_listed(&hub, 1);
    let error = hub.request("a", Double(1)).wait().unwrap_err();
    assert_eq!(error, RequestError::NoServer(Double(1)));
    publish(&hub, "a", 4);
    assert_eq!(next(&mut at_hub), Ok(4), "no gap before it");
    drop(server);
}

/// Waits until a router has so many subscriptions, those of links included.
fn await_listed(router: &ump_router::Router, count: usize) {
    let mut changes = router.subscribe::<ump_router::Change>("**").unwrap();
    // The one to changes, and that of the links.
    while router.subscriptions().len() != count + 2 {
        let change = changes.recv().wait_timeout(LONG).unwrap();
        assert!(change.is_some(), "{:?}", router.subscriptions());
    }
}

#[test]
fn a_link_restores_itself_and_tells_the_gap() {
    let path = SocketPath::new();
    let leaf = carrying();
    let mut prices = leaf.subscribe::<Price>("**").unwrap();
    let mut others = leaf.subscribe::<Price>("other").unwrap();
    let server = leaf.serve::<Double>("leaf").unwrap();
    let serving = thread::spawn(move || {
        for (call, rctx) in &server {
            let _ = rctx.reply(call.message.0);
        }
    });
    // Nobody listens yet.
    let link = leaf.connect(path.address()).unwrap();
    for round in 0..3 {
        let hub = carrying();
        // The former router lets go of the address when its thread ends.
        let listen = || hub.listen(path.address());
        let _listener = std::iter::repeat_with(listen).find_map(Result::ok).unwrap();
        assert!(link.opened().timeout(LONG).wait());
        await_subscriber(&hub, "a");
        await_subscriber(&hub, "other");
        await_server(&hub, "leaf");
        assert_eq!(hub.request("leaf", Double(round)).wait().unwrap(), round);
        publish(&hub, "a", round);
        if round > 0 {
            // In the place where messages may be missing, once for each time that it was lost.
            assert_eq!(next(&mut prices), Err(RecvError::Interrupted));
            assert_eq!(next(&mut others), Err(RecvError::Interrupted));
        }
        assert_eq!(next(&mut prices), Ok(round));
        assert!(others.is_empty());
        hub.close();
    }
    leaf.close();
    serving.join().unwrap();
}

#[test]
fn a_publisher_learns_that_the_subscribers_are_gone() {
    on_each(|from, to, _| {
        let _prices = to.subscribe::<Price>("**").unwrap();
        await_subscriber(from, "a");
        to.close();
        await_no_subscriber(from, "a");
        let published = from.publish("a", Price(1)).wait().unwrap();
        assert_eq!(published.matched, 0);
    });
}

#[test]
fn a_peer_that_closes_at_once_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    let leaf = carrying();
    let _link = leaf.connect(&address).unwrap();
    for _ in 0..3 {
        drop(listener.accept().unwrap());
    }
}

#[test]
fn a_stream_cut_at_any_byte_ends_the_requests_on_it() {
    // A server that answers nothing: it reads the bytes of a link up to some number, then ends it.
    let hub = carrying();
    let server = hub.serve::<Double>("a").unwrap();
    let handler = thread::spawn(move || server.iter().map(|(_, rctx)| drop(rctx)).count());
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let hub_address = listener.address().to_string();
    let hub_address = hub_address.strip_prefix("tcp:").unwrap();
    for cut in (0..400).step_by(23) {
        // It keeps its port, and answers the first connection alone.
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
        let leaf = carrying();
        let link = leaf
            .connect(format!("tcp:{}", proxy.local_addr().unwrap()))
            .unwrap();
        let (mut inner, _) = proxy.accept().unwrap();
        let mut outer = TcpStream::connect(hub_address).unwrap();
        let mut back = (outer.try_clone().unwrap(), inner.try_clone().unwrap());
        let copying = thread::spawn(move || {
            let _ = std::io::copy(&mut back.0, &mut back.1);
        });
        let calling = thread::spawn(move || {
            let request = leaf.request("a", Double(1)).wait_for_server();
            let outcome = request.timeout(Duration::from_millis(300)).wait();
            drop(link);
            outcome
        });
        let mut buffer = [0];
        for _ in 0..cut {
            if inner.read_exact(&mut buffer).is_err() || outer.write_all(&buffer).is_err() {
                break;
            }
        }
        let _ = inner.shutdown(std::net::Shutdown::Both);
        let _ = outer.shutdown(std::net::Shutdown::Both);
        let outcome = calling.join().unwrap();
        assert!(outcome.is_err(), "in one definite outcome");
        copying.join().unwrap();
    }
    hub.close();
    handler.join().unwrap();
}

#[test]
fn a_closed_router_ends_the_requests_that_it_makes() {
    on_each(|from, to, _| {
        let server = to.serve::<Double>("a").unwrap();
        await_server(from, "a");
        thread::scope(|scope| {
            let caller = scope.spawn(|| from.request("a", Double(1)).wait());
            let (_, mut rctx) = server.wait().unwrap();
            from.close();
            let error = caller.join().unwrap().unwrap_err();
            assert_eq!(error.executed(), Executed::Perhaps, "{error}");
            assert!(rctx.wait_cancelled(LONG), "the handler learns of it");
        });
    });
}

#[test]
fn a_program_that_ends_waits_until_all_is_received() {
    let hub = carrying();
    let listener = hub.listen("tcp:127.0.0.1:0").unwrap();
    let options = SubscribeOptions::new().capacity(10_000);
    let mut at_hub = hub.subscribe_with::<Price>("**", options).unwrap();
    let address = listener.address().to_string();
    for how in ["one", "all", "async"] {
        let leaf = carrying();
        let link = leaf.connect(&address).unwrap();
        assert!(link.opened().timeout(LONG).wait());
        await_subscriber(&leaf, "a");
        for price in 0..1000 {
            publish(&leaf, "a", price);
        }
        match how {
            "one" => assert!(link.close().timeout(LONG).wait()),
            "all" => assert!(leaf.close_links().timeout(LONG).wait()),
            _ => assert_eq!(
                Clock::system().block_on(link.close().into_future(), None),
                Some(true)
            ),
        }
        // What is not there now was lost.
        for price in 0..1000 {
            assert_eq!(
                at_hub
                    .recv()
                    .wait_timeout(Duration::ZERO)
                    .map(|it| it.map(|it| it.0)),
                Ok(Some(price)),
                "{how}"
            );
        }
    }
}

#[test]
fn closing_tells_if_nobody_has_received_all() {
    // A peer that takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let leaf = carrying();
    let link = leaf
        .connect(format!("tcp:{}", silent.local_addr().unwrap()))
        .unwrap();
    assert!(!link.close().wait());
    assert!(leaf.close_links().wait(), "there is none");
    leaf.close();
    assert!(!leaf.close_links().wait());
}

/// Looks for the server of a topic when it is woken, and at no later time.
struct Looks {
    router: Router,
    has_server: Mutex<Option<bool>>,
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        let server = self.router.pin::<Double>("a");
        let has_server = server.is_ok_and(|server| server.is_some());
        *self.has_server.lock().unwrap() = Some(has_server);
    }
}

#[test]
fn a_caller_that_lost_its_link_does_not_find_it_again() {
    on_each(|from, to, _| {
        let server = to.serve::<Double>("a").unwrap();
        await_server(from, "a");
        let looks = Arc::new(Looks {
            router: from.clone(),
            has_server: Mutex::new(None),
        });
        let waker = Waker::from(Arc::clone(&looks));
        let mut request = pin!(from.request("a", Double(1)).into_future());
        let mut cx = Context::from_waker(&waker);
        assert!(request.as_mut().poll(&mut cx).is_pending());
        let held = server.wait().unwrap();
        to.close();
        while looks.has_server.lock().unwrap().is_none() {
            thread::yield_now();
        }
        assert_eq!(*looks.has_server.lock().unwrap(), Some(false));
        assert!(request.as_mut().poll(&mut cx).is_ready());
        drop(held);
    });
}
