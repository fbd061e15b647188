//! Random programs on two routers and a link, next to a simple model of them: as one router, except
//! for what a cut of the link does.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use ump_router::{
    CloseHandle, RecvError, RequestError, Router, ServeOptions, Subscription,
    link::sockets::{Link, Listener},
};

use crate::support::{Double, LONG, Price, await_told, carrying, next};

const TOPICS: [&str; 4] = ["a/1", "a/2", "b/1", "b/2"];
const PATTERNS: [&str; 6] = ["a/*", "*/1", "**", "a/1", "b/2", "c"];
const STEPS: usize = 60;

/// Forwards connections, and can cut all of them.
#[derive(Clone, Default)]
struct Proxy(Arc<Mutex<Vec<TcpStream>>>);

impl Proxy {
    /// Returns its address.
    fn start(&self, to: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp:{}", listener.local_addr().unwrap());
        let to = to.strip_prefix("tcp:").unwrap().to_owned();
        let all = Arc::clone(&self.0);
        thread::spawn(move || {
            for inner in listener.incoming() {
                let (inner, Ok(outer)) = (inner.unwrap(), TcpStream::connect(&to)) else {
                    return;
                };
                let clone = |stream: &TcpStream| stream.try_clone().unwrap();
                all.lock().unwrap().extend([clone(&inner), clone(&outer)]);
                let there = (clone(&inner), clone(&outer));
                for (mut from, mut to) in [there, (outer, inner)] {
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        address
    }

    fn cut(&self) {
        for stream in self.0.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

struct Subscriber {
    side: usize,
    pattern: &'static str,
    subscription: Subscription<Price>,
}

struct Served {
    side: usize,
    topic: &'static str,
    handle: CloseHandle,
    serving: JoinHandle<()>,
}

/// Who serves a topic, for a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claimant {
    Here,
    There,
}

struct World {
    routers: [Router; 2],
    proxy: Proxy,
    link: Link,
    _listener: Listener,
    subscribers: Vec<Subscriber>,
    /// One of each side, which is never dropped.
    probes: Vec<Subscription<Price>>,
    served: Vec<Served>,
    /// For each side and topic, in order.
    claimants: [[Vec<Claimant>; TOPICS.len()]; 2],
    published: u64,
    random: u64,
}

/// Serves a topic: the replies tell the side. Its thread ends with the claim.
fn serve(router: &Router, side: usize, topic: &str) -> Option<(CloseHandle, JoinHandle<()>)> {
    let server = router.serve_with::<Double>(topic, ServeOptions::new().standby());
    let server = server.ok()?;
    let handle = server.close_handle();
    let serving = thread::spawn(move || {
        for (call, rctx) in &server {
            let _ = rctx.reply(10 * call.message.0 + side as u64);
        }
    });
    Some((handle, serving))
}

impl World {
    fn new(seed: u64) -> Self {
        let routers = [carrying(), carrying()];
        let listener = routers[0].listen("tcp:127.0.0.1:0").unwrap();
        let proxy = Proxy::default();
        let address = proxy.start(&listener.address().to_string());
        let link = routers[1].connect(&address).unwrap();
        for (side, router) in routers.iter().enumerate() {
            drop(serve(router, side, &format!("sync/{side}")));
        }
        let probe = |router: &Router| router.subscribe::<Price>("probe").unwrap();
        let probes = routers.iter().map(probe).collect();
        let mut world = Self {
            routers,
            proxy,
            link,
            _listener: listener,
            subscribers: Vec::new(),
            probes,
            served: Vec::new(),
            claimants: Default::default(),
            published: 0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        };
        world.settle();
        world
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 33).unwrap() % limit
    }

    /// Waits until both routers know what there is. A router tells what it has before its requests.
    fn settle(&mut self) {
        assert!(self.link.opened().timeout(LONG).wait());
        for _ in 0..2 {
            for side in [1, 0] {
                let other = format!("sync/{}", 1 - side);
                let request = self.routers[side].request(other, Double(0));
                let reply = request.wait_for_server().timeout(LONG).wait();
                assert_eq!(reply.unwrap(), 1 - side as u64);
            }
        }
    }

    fn step(&mut self) {
        match self.below(24) {
            0..6 => self.subscribe(),
            6..8 => self.unsubscribe(),
            8..13 => self.publish(),
            13..16 => self.serve(),
            16..18 => self.leave(),
            18..23 => self.request(),
            _ => self.cut(),
        }
    }

    fn subscribe(&mut self) {
        let (side, nth) = (self.below(2), self.below(PATTERNS.len()));
        let pattern = PATTERNS[nth];
        let subscription = self.routers[side].subscribe(pattern).unwrap();
        self.subscribers.push(Subscriber {
            side,
            pattern,
            subscription,
        });
        await_told(&self.routers[1 - side], &format!("price/{pattern}"));
    }

    fn unsubscribe(&mut self) {
        if !self.subscribers.is_empty() {
            let nth = self.below(self.subscribers.len());
            let mut gone = self.subscribers.swap_remove(nth);
            assert!(gone.subscription.try_recv().unwrap().is_none());
            drop(gone);
            // What is published for it meanwhile would come to a new one with its pattern.
            self.settle();
        }
    }

    fn publish(&mut self) {
        let (side, nth) = (self.below(2), self.below(TOPICS.len()));
        self.published += 1;
        let price = Price(self.published);
        self.routers[side]
            .publish(TOPICS[nth], price)
            .wait()
            .unwrap();
        let topic = TOPICS[nth].parse::<ump_router::Pattern>().unwrap();
        for subscriber in &mut self.subscribers {
            let pattern: ump_router::Pattern = subscriber.pattern.parse().unwrap();
            if pattern.intersects(&topic) {
                let found = next(&mut subscriber.subscription);
                assert_eq!(
                    found,
                    Ok(self.published),
                    "{pattern} at {}",
                    subscriber.side
                );
            }
        }
    }

    fn serve(&mut self) {
        let (side, nth) = (self.below(2), self.below(TOPICS.len()));
        let topic = TOPICS[nth];
        if self.claimants[side][nth].contains(&Claimant::Here) {
            return;
        }
        let stands_by = self.below(2) == 0;
        if !stands_by {
            // Refused if the topic is served in either process.
            let is_free = self.claimants[side][nth].is_empty();
            let served = self.routers[side].serve::<Double>(topic);
            assert_eq!(served.is_ok(), is_free, "{topic} at {side}");
            drop(served);
            self.settle();
        }
        let (handle, serving) = serve(&self.routers[side], side, topic).unwrap();
        self.served.push(Served {
            side,
            topic,
            handle,
            serving,
        });
        self.claimants[side][nth].push(Claimant::Here);
        self.claimants[1 - side][nth].push(Claimant::There);
        self.settle();
    }

    fn leave(&mut self) {
        if self.served.is_empty() {
            return;
        }
        let nth = self.below(self.served.len());
        let gone = self.served.swap_remove(nth);
        gone.handle.close();
        gone.serving.join().unwrap();
        let nth = TOPICS
            .iter()
            .position(|topic| *topic == gone.topic)
            .unwrap();
        self.claimants[gone.side][nth].retain(|it| *it != Claimant::Here);
        self.claimants[1 - gone.side][nth].retain(|it| *it != Claimant::There);
        self.settle();
    }

    fn request(&mut self) {
        let (side, nth) = (self.below(2), self.below(TOPICS.len()));
        let number = self.published;
        let request = self.routers[side].request(TOPICS[nth], Double(number));
        let outcome = request.timeout(LONG).wait();
        let expected = match self.claimants[side][nth].first() {
            None => Err(RequestError::NoServer(Double(number))),
            Some(Claimant::Here) => Ok(10 * number + side as u64),
            Some(Claimant::There) => Ok(10 * number + 1 - side as u64),
        };
        assert_eq!(outcome, expected, "{} at {side}", TOPICS[nth]);
    }

    /// Each subscription is told once. Each router has its own servers first then, as it had no
    /// others for a time.
    fn cut(&mut self) {
        self.proxy.cut();
        for subscription in &mut self.probes {
            assert_eq!(next(subscription), Err(RecvError::Interrupted));
        }
        for subscriber in &mut self.subscribers {
            let found = next(&mut subscriber.subscription);
            assert_eq!(found, Err(RecvError::Interrupted), "{}", subscriber.pattern);
        }
        for claimants in self.claimants.iter_mut().flatten() {
            claimants.sort_by_key(|claimant| *claimant == Claimant::There);
        }
        self.settle();
        for subscriber in &self.subscribers {
            let full = format!("price/{}", subscriber.pattern);
            await_told(&self.routers[1 - subscriber.side], &full);
        }
    }
}

#[test]
fn two_linked_routers_match_the_model_of_one() {
    let first = u64::from(std::process::id());
    let rounds = std::env::var("LINK_PROGRAMS").map_or(6, |rounds| rounds.parse().unwrap());
    for seed in first..first + rounds {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        for router in &world.routers {
            router.close();
        }
    }
}
