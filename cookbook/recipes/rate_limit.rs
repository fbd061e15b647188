use std::{collections::VecDeque, error::Error, time::Duration};

use ump_server::{TestClock, service, thread};

const BURST: u32 = 2;
const PERIOD: Duration = Duration::from_millis(100); // ten in a second

struct Limiter {
    tokens: u32,
    waiting: VecDeque<service::ReplyLater<Self, ()>>,
}

#[service]
impl Limiter {
    fn acquire(&mut self, reply: service::ReplyTo<'_, Self, ()>) {
        self.waiting.push_back(reply.detach());
        self.admit();
    }

    #[timer(every = PERIOD)]
    fn refill(&mut self) {
        self.tokens = BURST.min(self.tokens + 1);
        self.admit();
    }
}

impl Limiter {
    fn admit(&mut self) {
        while let Some(caller) = (self.tokens > 0).then(|| self.waiting.pop_front()).flatten() {
            self.tokens -= u32::from(caller.reply(()).is_ok()); // an error: the caller has left
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let clock = TestClock::new();
    let limiter = Limiter { tokens: BURST, waiting: VecDeque::new() };
    let (client, _) = thread::Builder::new().test_clock(&clock).serve(limiter)?;
    let limiter = LimiterClient(client);
    limiter.acquire().wait()?; // or `.await?`
    limiter.acquire().wait()?;
    let third = limiter.acquire().submit().wait()?;
    assert!(!third.is_ready());
    clock.advance(PERIOD);
    third.wait()?;
    Ok(())
}
