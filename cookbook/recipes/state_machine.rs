use std::{error::Error, time::Duration};

use ump_server::{Refused, TestClock, TimerId, Timers, service, thread};

const PAUSE: Duration = Duration::from_secs(30);

enum State {
    Closed,
    Open(TimerId),
    HalfOpen,
}

struct Breaker(State, Timers<BreakerTimer>);

#[service]
impl Breaker {
    fn permit(&mut self) -> Result<(), Refused> {
        match self.0 {
            State::Closed => {}
            State::Open(_) => return Err(Refused),
            State::HalfOpen => self.report(false), // one attempt in each pause
        }
        Ok(())
    }

    fn report(&mut self, success: bool) {
        if let State::Open(timer) = self.0 {
            self.1.cancel(timer);
        }
        let retry = (!success).then(|| self.1.once(PAUSE, BreakerTimer::Retry));
        self.0 = retry.map_or(State::Closed, State::Open);
    }

    #[timer]
    fn retry(&mut self) {
        self.0 = State::HalfOpen;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let clock = TestClock::new();
    let builder = thread::Builder::new().test_clock(&clock);
    let gate = BreakerClient(builder.spawn_with(|cx| Ok(Breaker(State::Closed, cx.timers())))?.0);
    gate.report(false).wait()?;
    assert!(gate.permit().wait().is_err());
    clock.advance(PAUSE);
    Ok(gate.permit().wait()?)
}
