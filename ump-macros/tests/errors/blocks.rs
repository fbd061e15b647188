//! What is not the block of a service.

#![allow(unused)]

use ump_server::service;

struct Store;

#[service]
impl Clone for Store {
    fn clone(&self) -> Self {
        Self
    }
}

struct Borrows<'a>(&'a str);

#[service]
impl<'a> Borrows<'a> {
    fn get(&self) -> u32 {
        1
    }
}

#[service]
struct NoBlock;

#[service]
impl (u8, u8) {
    fn get(&self) {}
}

struct Unknown;

#[service(wrong = 1)]
impl Unknown {
    fn get(&self) {}
}

struct Twice;

#[service(client = A, client = B)]
impl Twice {
    fn get(&self) {}
}

fn main() {
    // The block is there, whatever is wrong with it.
    let _: u32 = Borrows("").get();
}
