//! Methods that do not fit the events of sockets.

#![allow(unused)]

use ump_server::{net::Event, service};

struct Asynchronous;

#[service]
impl Asynchronous {
    async fn get(&self) -> u32 {
        1
    }

    #[socket]
    fn on_event(&mut self, event: Event) {}
}

struct AsynchronousEvents;

#[service]
impl AsynchronousEvents {
    fn get(&self) -> u32 {
        1
    }

    #[socket]
    async fn on_event(&mut self, event: Event) {}
}

struct Parameters;

#[service]
impl Parameters {
    #[socket]
    fn none(&mut self) {}

    #[socket]
    fn two(&mut self, event: Event, n: u32) {}

    #[socket]
    fn on_event(&mut self, event: Event) {}

    #[socket]
    fn again(&mut self, event: Event) {}

    #[socket]
    #[post]
    fn both(&mut self, event: Event) {}

    #[socket(tcp)]
    fn argument(&mut self, event: Event) {}
}

struct Types;

#[service]
impl Types {
    #[socket]
    fn on_event(&mut self, event: u32) {}
}

struct Output;

#[service]
impl Output {
    #[socket]
    fn on_event(&mut self, event: Event) -> u32 {
        1
    }
}

fn main() {}
