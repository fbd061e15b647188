//! What stays on its thread cannot be a message, nor be held while a service on a task waits.

#![allow(unused)]

use std::rc::Rc;

use ump_server::{service, task, thread};

struct Local;

#[service]
impl Local {
    fn share(&self) -> Rc<u32> {
        Rc::new(1)
    }
}

struct Waits;

#[service]
impl Waits {
    async fn wait(&mut self) {
        let held = Rc::new(1);
        std::future::ready(()).await;
        drop(held);
    }
}

fn main() {
    thread::serve(Local);
    task::serve(Waits);
}
