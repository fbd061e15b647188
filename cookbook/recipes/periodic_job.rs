use std::{error::Error, time::Duration};

use ump_server::{TestClock, service, thread};

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Default)]
struct Cleaner {
    runs: u32,
}

#[service]
impl Cleaner {
    #[timer(every = HOUR)]
    fn clean(&mut self) {
        self.runs += 1; // the work
    }

    /// Cleans now, not only on the hour.
    fn clean_now(&mut self) -> u32 {
        self.clean();
        self.runs
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let clock = TestClock::new();
    let (client, handle) = thread::Builder::new().test_clock(&clock).serve(Cleaner::default())?;
    let cleaner = CleanerClient(client);
    clock.advance(24 * HOUR);
    assert_eq!(cleaner.clean_now().wait()?, 25);
    drop(cleaner); // the timers end with the loop
    handle.join()?;
    Ok(())
}
