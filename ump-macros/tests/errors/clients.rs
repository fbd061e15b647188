//! Mistakes of a caller.

#![allow(unused)]

use ump_server::{service, thread};

struct Store;

#[service]
impl Store {
    /// Looks up a key.
    pub fn get(&self, key: u32) -> Option<String> {
        None
    }
}

fn main() {
    let (client, _) = thread::serve(Store);
    let store = StoreClient(client);
    store.get("key").wait();
    let value: Option<u32> = store.get(1).wait().unwrap();
    store.delete(1);
    store.get(1);
}
