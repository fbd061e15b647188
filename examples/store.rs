//! A service with typed methods, called by a task and by a thread: `cargo run --example store`

use std::{collections::HashMap, error::Error, thread::spawn, time::Duration};

use ump_server::{service, thread};

/// Owns the values. There is no lock, because it runs on a thread of its own.
#[derive(Default)]
struct Store {
    values: HashMap<String, i64>,
}

#[derive(Debug, thiserror::Error)]
#[error("the sum is too large")]
struct TooLarge;

/// Each method is a request, with its own reply and error.
#[service]
impl Store {
    /// Adds to a value, and returns the sum.
    fn add(&mut self, key: String, n: i64) -> Result<i64, TooLarge> {
        let value = self.values.entry(key).or_default();
        *value = value.checked_add(n).ok_or(TooLarge)?;
        Ok(*value)
    }

    fn get(&self, key: String) -> Option<i64> {
        self.values.get(&key).copied()
    }

    #[timer(every = Duration::from_secs(60))]
    fn forget(&mut self) {
        self.values.clear();
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (client, handle) = thread::serve(Store::default());
    let store = StoreClient(client);

    // Async code awaits a request. This one ends after five seconds at the latest.
    let sum = store.add("a".into(), 1).timeout(Duration::from_secs(5));
    println!("the sum is {}", sum.await?);

    // Blocking code waits for it.
    let client = store.clone();
    let thread = spawn(move || client.add("a".into(), i64::MAX).wait());
    let refused = thread.join().expect("it does not panic").unwrap_err();
    println!("then: {}", refused.into_apperr().expect("its own error"));

    println!("the value is {:?}", store.get("a".into()).await?);

    drop(store); // the last client: the loop ends
    handle.await?;
    Ok(())
}
