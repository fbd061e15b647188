//! A service with typed methods, asked by threads and by tasks: `cargo run --example store`

use std::{collections::HashMap, process::ExitCode, time::Duration};

use cli::print;
use ump_server::{service, thread};

/// Owns the values. There is no lock, as it runs on a thread of its own.
#[derive(Default)]
struct Store {
    values: HashMap<String, i64>,
}

#[service]
impl Store {
    /// Adds to a value, and returns the sum.
    fn add(&mut self, key: String, n: i64) -> Result<i64, String> {
        let value = self.values.entry(key).or_default();
        *value = value
            .checked_add(n)
            .ok_or_else(|| format!("{value} + {n} is too large"))?;
        Ok(*value)
    }

    fn get(&self, key: String) -> Option<i64> {
        self.values.get(&key).copied()
    }

    #[post]
    fn clear(&mut self) {
        self.values.clear();
    }

    #[timer(every = Duration::from_secs(60))]
    fn forget(&mut self) {
        self.values.clear();
    }
}

fn main() -> ExitCode {
    cli::run("store", || {
        let (client, handle) = thread::serve(Store::default());
        let store = StoreClient(client);

        // Blocking code, with a deadline.
        let sum = store
            .add("a".into(), 1)
            .timeout(Duration::from_secs(5))
            .wait();
        print(format!("the sum is {sum:?}\n"))?;
        let refused = store.add("a".into(), i64::MAX).wait();
        print(format!("then: {refused:?}\n"))?;

        // Async code, and a post.
        let runtime = tokio::runtime::Runtime::new().expect("tokio starts");
        let values = runtime.block_on(async {
            let before = store.get("a".into()).await;
            store.clear().await.expect("the store is there");
            (before, store.get("a".into()).await)
        });
        print(format!("before and after: {values:?}\n"))?;

        drop(store); // the last client: the loop ends
        handle.join().map_err(|error| error.to_string())?;
        Ok(true)
    })
}
