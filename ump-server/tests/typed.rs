//! Services with typed methods.

#![cfg(feature = "tokio")]

use std::{collections::HashMap, ops::ControlFlow, time::Duration};

use ump_server::{
    service,
    service::{ContextOf, ReplyLater, ReplyTo},
    thread,
};

/// Maps keys to values.
#[derive(Default)]
struct Store {
    values: HashMap<u32, String>,
    waiting: Vec<(u32, ReplyLater<Store, String>)>,
    ticks: u32,
}

#[derive(Debug, PartialEq, Eq)]
struct Exists;

#[service(output = usize)]
impl Store {
    const MAX: usize = { 3 };

    fn limited() -> Self {
        Self {
            values: HashMap::with_capacity(Self::MAX),
            ..Self::default()
        }
    }

    /// Looks up a key.
    fn get(&self, key: u32) -> Option<String> {
        self.values.get(&key).cloned()
    }

    /// Stores a value under a new key.
    fn put(&mut self, key: u32, mut value: String) -> Result<(), Exists> {
        value.make_ascii_lowercase();
        if self.values.contains_key(&key) {
            return Err(Exists);
        }
        self.waiting.retain(|(waits_for, _)| *waits_for != key);
        self.values.insert(key, value);
        Ok(())
    }

    /// Waits for a key.
    fn watch(&mut self, key: u32, reply: ReplyTo<'_, Self, String>) {
        match self.values.get(&key) {
            Some(value) => drop(reply.reply(value.clone())),
            None => self.waiting.push((key, reply.detach())),
        }
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn clear(&mut self) {
        self.values.clear();
    }

    #[post]
    fn forget(&mut self, key: u32) {
        self.values.remove(&key);
    }

    #[post]
    fn end(&mut self) -> ControlFlow<usize> {
        ControlFlow::Break(self.values.len())
    }

    #[timer(every = Duration::from_secs(1))]
    fn tick(&mut self) {
        self.ticks += 1;
    }

    #[timer]
    fn expire(&mut self, key: u32) {
        self.values.remove(&key);
    }

    #[init]
    fn begin(&mut self, cx: &ContextOf<Self>) {
        cx.timers()
            .once(Duration::from_secs(60), StoreTimer::Expire { key: 9 });
    }

    #[term]
    fn finish(&mut self, output: Option<usize>) -> Option<usize> {
        output.map(|len| len + 100)
    }
}

#[test]
fn methods_are_requests() {
    let (client, handle) = thread::serve(Store::limited());
    let store = StoreClient(client);
    store.put(1, "One".to_owned()).wait().unwrap();
    let refused = store.put(1, "One".to_owned()).wait();
    assert_eq!(refused.unwrap_err().into_apperr(), Some(Exists));
    let value: Option<String> = store.get(1).wait().unwrap();
    assert_eq!(value.as_deref(), Some("one"));
    assert_eq!(store.watch(1).wait().unwrap(), "one");
    assert_eq!(
        store
            .len()
            .urgent()
            .timeout(Duration::from_secs(5))
            .wait()
            .unwrap(),
        1
    );
    store.end().wait().unwrap();
    assert_eq!(handle.join().unwrap(), Some(101));
}
