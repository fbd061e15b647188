use std::{collections::HashMap, error::Error, time::Duration};

use ump_server::{TestClock, TimerId, Timers, service, thread};

const TIME_TO_LIVE: Duration = Duration::from_secs(60);

struct Cache {
    entries: HashMap<String, (String, TimerId)>,
    timers: Timers<CacheTimer>,
}

#[service]
impl Cache {
    fn get(&self, key: String) -> Option<String> {
        self.entries.get(&key).map(|(value, _)| value.clone())
    }

    fn put(&mut self, key: String, value: String) {
        let expiry = CacheTimer::Expire { key: key.clone() };
        let timer = self.timers.once(TIME_TO_LIVE, expiry);
        if let Some((_, old)) = self.entries.insert(key, (value, timer)) {
            self.timers.cancel(old);
        }
    }

    #[timer]
    fn expire(&mut self, key: String) {
        self.entries.remove(&key);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let clock = TestClock::new(); // so that a minute takes no time here
    let (client, _) = thread::Builder::new()
        .test_clock(&clock)
        .spawn_with(|cx| Ok(Cache { entries: HashMap::new(), timers: cx.timers() }))?;
    let cache = CacheClient(client);
    cache.put("tea".into(), "green".into()).wait()?;
    assert_eq!(cache.get("tea".into()).wait()?.as_deref(), Some("green"));
    clock.advance(TIME_TO_LIVE);
    assert_eq!(cache.get("tea".into()).wait()?, None);
    Ok(())
}
