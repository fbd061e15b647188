//! Threads that read a link by themselves while they block for what it brings.

mod callers;
mod servers;

use std::{
    net::TcpListener,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ump_router::{
    RequestError, Router,
    link::wire::{Failure, Message},
};

use crate::{
    raw::{LIMITS, Raw, hello},
    support::{
        Double, LONG, Pair, Price, await_server, await_subscriber, carrying, next, on_each,
        publish, serve,
    },
};

/// Makes some requests in a row, after which the server waits for the link by itself.
fn request_in_a_row(from: &Router) {
    for number in 1..20 {
        assert_eq!(
            from.request("a", Double(number)).wait().unwrap(),
            2 * number
        );
    }
}

/// Lets the loop finish its work, most likely. Then a thread can write its reply by itself, and
/// waits for the link after that.
pub(crate) fn await_idle_loop() {
    thread::sleep(Duration::from_millis(2));
}

#[test]
fn the_loop_reads_again_after_a_request() {
    on_each(|from, to, _| {
        let server = serve(to, "a");
        await_server(from, "a");
        let mut here = from.subscribe::<Price>("here").unwrap();
        let mut there = to.subscribe::<Price>("there").unwrap();
        await_subscriber(to, "here");
        await_subscriber(from, "there");
        for price in 0..100 {
            request_in_a_row(from);
            // By links that nobody waits for but the loop, or a server with nothing to do.
            publish(to, "here", price);
            assert_eq!(next(&mut here), Ok(price));
            publish(from, "there", price);
            assert_eq!(next(&mut there), Ok(price));
        }
        to.close();
        server.join().unwrap();
    });
}

#[test]
fn a_server_that_reads_a_link_hears_all_callers() {
    let pair = Pair::new(false);
    let server = serve(&pair.hub, "a");
    let others: Vec<_> = (0..3)
        .map(|_| {
            let other = carrying();
            let link = other.connect(pair.listener.address());
            await_server(&other, "a");
            (other, link)
        })
        .collect();
    await_server(&pair.leaf, "a");
    let callers = || others.iter().map(|(other, _)| other);
    for number in 1..100 {
        request_in_a_row(&pair.leaf);
        for other in callers().chain([&pair.hub]) {
            let reply = other.request("a", Double(number)).timeout(LONG).wait();
            assert_eq!(reply.unwrap(), 2 * number);
        }
    }
    request_in_a_row(&pair.leaf);
    pair.hub.close(); // the server waits for the link
    assert_eq!(server.join().unwrap(), 99 * 23 + 19);
}

#[test]
fn a_caller_that_reads_a_link_reads_for_all() {
    on_each(|from, to, _| {
        let slow = to.serve::<Double>("slow").unwrap();
        let server = serve(to, "a");
        await_server(from, "a");
        await_server(from, "slow");
        let mut prices = from.subscribe::<Price>("**").unwrap();
        await_subscriber(to, "any");
        thread::scope(|scope| {
            let caller = scope.spawn(|| from.request("slow", Double(1)).wait());
            let (_, context) = slow.wait().unwrap();
            for number in 1..200 {
                let reply = from.request("a", Double(number)).timeout(LONG).wait();
                assert_eq!(reply.unwrap(), 2 * number);
                publish(to, "any", number);
                assert_eq!(next(&mut prices), Ok(number));
            }
            context.reply(7).unwrap();
            assert_eq!(caller.join().unwrap().unwrap(), 7);
        });
        to.close();
        server.join().unwrap();
    });
}

#[test]
fn a_caller_that_reads_a_link_holds_up_no_writing() {
    on_each(|from, to, _| {
        let slow = to.serve::<Double>("slow").unwrap();
        await_server(from, "slow");
        let mut prices = to.subscribe::<Price>("**").unwrap();
        await_subscriber(from, "any");
        thread::scope(|scope| {
            let caller = scope.spawn(|| from.request("slow", Double(1)).wait());
            let (_, context) = slow.wait().unwrap();
            // More than the sockets hold, and than the credit.
            let publisher = scope.spawn(|| {
                for price in 0..50_000 {
                    publish(from, "any", price);
                }
            });
            let mut seen = 0;
            while seen < 50_000 {
                match prices.recv().wait_timeout(LONG) {
                    Ok(Some(_)) => seen += 1,
                    Err(ump_router::RecvError::Missed(count)) => seen += count,
                    other => panic!("{other:?}"),
                }
            }
            publisher.join().unwrap();
            context.reply(7).unwrap();
            assert_eq!(caller.join().unwrap().unwrap(), 7);
        });
    });
}

/// A hub that is written by hand, and serves `a` without ever replying.
struct Silent {
    leaf: Router,
    link: ump_router::link::sockets::Link,
    hub: Raw,
}

impl Silent {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let leaf = carrying();
        let address = format!("tcp:{}", listener.local_addr().unwrap());
        let link = leaf.connect(&address).unwrap();
        let mut hub = Raw::from(listener.accept().unwrap().0);
        let claim = Message::Serve {
            id: 1,
            stand_by: true,
            topic: "double/a".parse().unwrap(),
        };
        hub.send(&[hello(LIMITS), claim, Message::Synced]).unwrap();
        await_server(&leaf, "a");
        Self { leaf, link, hub }
    }

    fn await_request(&mut self) {
        loop {
            let message = self.hub.receive().unwrap().expect("a request");
            if let Message::Request { .. } = message {
                return;
            }
        }
    }
}

#[test]
fn a_caller_that_reads_a_link_learns_that_it_is_closed() {
    let mut silent = Silent::new();
    let leaf = silent.leaf.clone();
    let (send, outcome) = mpsc::channel();
    let caller = thread::spawn(move || send.send(leaf.request("a", Double(1)).wait()));
    silent.await_request();
    thread::sleep(Duration::from_millis(20)); // most likely it reads by now
    // The hub neither answers nor goes.
    drop(silent.link);
    let error = outcome.recv_timeout(LONG).expect("an outcome").unwrap_err();
    let failure = &error.link().expect("an error of the link").failure;
    assert_eq!(*failure, Failure::LinkLost);
    caller.join().unwrap().unwrap();
}

#[test]
fn a_caller_that_reads_a_link_leaves_at_its_deadline() {
    let silent = Silent::new();
    for timeout in [0, 1, 2, 3, 10, 30] {
        let timeout = Duration::from_millis(timeout);
        let begin = Instant::now();
        let outcome = silent.leaf.request("a", Double(1)).timeout(timeout).wait();
        let error = outcome.unwrap_err();
        assert!(begin.elapsed() >= timeout, "{error}");
        assert!(error.is_timeout(), "{error}");
    }
}

#[test]
fn a_caller_that_reads_a_link_learns_that_its_peer_is_gone() {
    let mut silent = Silent::new();
    let leaf = silent.leaf.clone();
    let caller = thread::spawn(move || leaf.request("a", Double(1)).wait());
    silent.await_request();
    drop(silent.hub);
    let error: RequestError<Double> = caller.join().unwrap().unwrap_err();
    let failure = &error.link().expect("an error of the link").failure;
    assert_eq!(*failure, Failure::LinkLost);
}
