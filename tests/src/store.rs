//! A service of a library, under the lints of a strict one: what the macro writes has to pass them.
#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unnameable_types,
    unused_qualifications,
    elided_lifetimes_in_paths,
    explicit_outlives_requirements,
    single_use_lifetimes,
    clippy::all,
    clippy::pedantic,
    clippy::nursery
)]

use std::{collections::HashMap, ops::ControlFlow, time::Duration};

use ump_server::{
    service,
    service::{ContextOf, ReplyLater, ReplyTo},
};

/// Maps keys to values, and forgets them after some time.
#[derive(Debug, Default)]
pub struct Store {
    values: HashMap<u32, String>,
    waiting: Vec<(u32, ReplyLater<Self, String, Gone>)>,
    ticks: u32,
    /// How often it ticks.
    pub period: Option<Duration>,
}

/// The key has a value.
#[derive(Debug, PartialEq, Eq)]
pub struct Exists;

/// There will be no value.
#[derive(Debug, PartialEq, Eq)]
pub struct Gone;

#[service(output = usize, topic = "store")]
impl Store {
    const MANY: usize = { 3 };

    /// Creates a store that ticks. It is no request, as it has no receiver.
    #[must_use]
    pub fn ticking(period: Duration) -> Self {
        Self {
            values: HashMap::with_capacity(Self::MANY),
            period: Some(period),
            ..Self::default()
        }
    }

    /// Looks up a key.
    #[must_use]
    pub fn get(&self, key: u32) -> Option<String> {
        self.values.get(&key).cloned()
    }

    /// Stores a value under a new key.
    ///
    /// # Errors
    /// Returns an error if the key has a value.
    pub fn put(&mut self, key: u32, mut value: String) -> Result<(), Exists> {
        value.make_ascii_lowercase();
        if self.values.contains_key(&key) {
            return Err(Exists);
        }
        for (waits_for, reply) in std::mem::take(&mut self.waiting) {
            if waits_for == key {
                let _ = reply.reply(value.clone());
            } else {
                self.waiting.push((waits_for, reply));
            }
        }
        self.values.insert(key, value);
        Ok(())
    }

    /// Waits for the value of a key.
    pub fn watch(&mut self, key: u32, reply: ReplyTo<'_, Self, String, Gone>) {
        match self.values.get(&key) {
            Some(value) => drop(reply.reply(value.clone())),
            None => self.waiting.push((key, reply.detach())),
        }
    }

    /// Returns the number of ticks.
    #[must_use]
    pub const fn ticks(&self) -> u32 {
        self.ticks
    }

    /// Removes all values.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Panics.
    ///
    /// # Panics
    /// Panics.
    pub fn panic(&self) {
        panic!("as asked, with {} values", self.values.len());
    }

    /// Removes a value.
    #[post]
    pub fn forget(&mut self, key: u32) {
        self.values.remove(&key);
    }

    /// Ends the loop with the number of values.
    #[post]
    pub fn end(&mut self) -> ControlFlow<usize> {
        ControlFlow::Break(self.values.len())
    }

    /// Refuses all that wait, then ends the loop.
    pub fn give_up(&mut self, reply: ReplyTo<'_, Self, usize>) -> ControlFlow<usize> {
        let waiting = std::mem::take(&mut self.waiting);
        let _ = reply.reply(waiting.len());
        for (_, waits) in waiting {
            let _ = waits.fail(Gone);
        }
        ControlFlow::Break(0)
    }

    /// Is compiled for nobody.
    #[cfg(any())]
    pub fn absent(&mut self, unknown: Unknown) -> Result<Unknown, Unknown> {
        Err(unknown)
    }

    #[timer(every = self.period.unwrap_or(Duration::MAX))]
    const fn tick(&mut self) {
        self.ticks += 1;
    }

    #[timer]
    fn expire(&mut self, key: u32) {
        self.values.remove(&key);
    }

    #[init]
    fn begin(&mut self, cx: &ContextOf<Self>) {
        self.values.insert(9, "nine".to_owned());
        let expire = StoreTimer::Expire { key: 9 };
        cx.timers().once(Duration::from_secs(60), expire);
    }

    #[term]
    fn finish(&mut self, output: Option<usize>) -> Option<usize> {
        self.waiting.clear();
        output.map(|len| len + 100)
    }
}
