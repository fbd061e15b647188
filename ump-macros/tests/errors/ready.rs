//! Methods that wait for something beside requests, and do not fit.

#![allow(unused)]

use ump_server::service;

struct Sync;

#[service]
impl Sync {
    #[ready]
    fn wait(&mut self) {}

    #[on_ready]
    fn read(&mut self) {}
}

struct Unhandled;

#[service]
impl Unhandled {
    #[ready]
    async fn wait(&mut self) {}
}

struct Unawaited;

#[service]
impl Unawaited {
    #[on_ready]
    async fn read(&mut self) {}
}

struct Types;

#[service]
impl Types {
    #[ready]
    async fn wait(&mut self) -> u32 {
        1
    }

    #[on_ready]
    fn read(&mut self) -> u32 {
        1
    }

    #[on_ready]
    fn again(&mut self) {}
}

struct Parameters;

#[service]
impl Parameters {
    #[ready]
    async fn wait(&mut self, n: u32) {}

    #[on_ready]
    async fn read(&mut self, n: u32) {}
}

fn main() {}
