//! Shapes of methods that cannot be requests, at their places.

#![allow(unused)]

use std::{pin::Pin, sync::Arc};

use ump_server::service;

struct Store<T>(T);

#[service]
impl<T> Store<T> {
    fn pinned(self: Pin<&mut Self>) {}

    fn shared(self: Arc<Self>) {}

    fn mutable(mut self) {}

    fn written(self: &Self) {}

    const fn constant<const N: usize>(&self) -> [u8; N] {
        [0; N]
    }

    extern "C" fn foreign(&self) {}

    async unsafe fn dangerous(&self) {}

    fn bounded(&self) -> u8
    where
        T: Copy,
    {
        1
    }

    fn variadic(&self, values: &mut [u8]) {}

    fn slice(&self, values: [u8]) {}

    fn returns_impl(&self) -> impl Iterator<Item = u8> {
        [1].into_iter()
    }

    fn dynamic(&self, value: Box<dyn Send + '_>) {}

    fn placeholder(&self, value: Vec<_>) {}

    fn attributed(&self, #[cfg(any())] value: u8) {}

    fn never(&self) -> ! {
        panic!()
    }

    async fn borrows(&self, key: &str) -> usize {
        key.len()
    }

    fn fine(&self) -> u8 {
        1
    }

    fn unfinished(&self, value: ) {}
}

fn main() {}
