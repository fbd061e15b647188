//! Services that cannot serve a topic.

#![allow(unused)]

use ump_server::service;

struct Store<K, V>(K, V);

#[service(topic = "store")]
impl<K, V: Clone> Store<K, V> {
    fn get(&self, key: K) -> V {
        self.1.clone()
    }
}

struct NoText;

#[service(topic = 5)]
impl NoText {
    fn get(&self) {}
}

struct Collides;

#[service(topic = "collides")]
impl Collides {
    fn topic(&self) {}
}

fn main() {}
