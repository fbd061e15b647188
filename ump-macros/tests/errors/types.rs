//! Types that do not fit, found by the compiler: it points at the user's code.

#![allow(unused)]

use ump_server::{service, service::ReplyTo};

/// No `Result` of the standard library.
enum Result<T, E> {
    Fine(T),
    Bad(E),
}

struct Store;

#[service]
impl Store {
    fn result(&self) -> Result<u32, u8> {
        Result::Fine(1)
    }

    #[timer(every = 5)]
    fn tick(&mut self) {}

    #[timer]
    fn returning(&mut self) -> u32 {
        1
    }

    fn later(&mut self, reply: ReplyTo<'_, Self, u32>) {
        let _ = reply.reply("no number");
    }

    fn unknown(&self, key: Unknown) {}

    #[init]
    fn failing(&mut self) -> std::result::Result<(), u8> {
        Ok(())
    }

    #[term]
    fn ending(&mut self) -> u32 {
        1
    }
}

fn main() {}
