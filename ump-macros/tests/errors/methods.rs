//! Methods that cannot be requests. Each has its error, and the others are there all the same.

#![allow(unused)]

use std::{borrow::Cow, ops::ControlFlow};

use ump_server::{service, service::ReplyTo};

struct Store;

#[service]
impl Store {
    fn borrowed(&self, key: &str) {}

    fn elided(&self, key: Option<Cow<'_, str>>) {}

    fn borrowed_reply(&self) -> &str {
        ""
    }

    fn unnamed(&self, key: impl Into<String>) {}

    fn generic<T>(&self, key: T) {}

    fn lifetime<'a>(&'a self) {}

    fn consuming(self) {}

    fn boxed(self: Box<Self>) {}

    unsafe fn promising(&self) {}

    fn ending(&mut self) -> ControlFlow<()> {
        ControlFlow::Break(())
    }

    #[post]
    #[timer]
    fn twice(&mut self) {}

    #[timer(often = 3)]
    fn often(&mut self) {}

    #[timer]
    fn no_method() {}

    #[timer(every = std::time::Duration::MAX)]
    fn argued(&mut self, key: u32) {}

    #[term]
    fn surplus(&mut self, output: Option<()>, key: u32) {}

    #[init]
    fn first(&mut self) {}

    #[init]
    fn second(&mut self) {}

    fn request(&self) {}

    fn early(&mut self, reply: ReplyTo<'_, Self, u32>, key: u32) {}

    fn key1(&self) {}

    fn key_1(&self) {}

    fn fine(&self, callback: Box<dyn Fn(&str) -> &str + Send>, name: &'static str) -> u32 {
        1
    }
}

fn main() {
    let (client, _) = ump_server::thread::serve(Store);
    let fine: u32 = StoreClient(client).fine(Box::new(|name| name), "name").wait().unwrap();
}
