use std::{error::Error, thread::spawn, time::Duration};

use ump::{Builder, ManualClock, Refused, SendError};

const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let clock = ManualClock::new(); // so that a second takes no time here
    let builder = Builder::new().capacity(1).clock(clock.clock());
    let (server, client) = builder.build::<&str, (), Refused>()?;
    client.post("first").wait()?;

    // Refuse: the message comes back at once.
    let refused = client.post("second").if_room().wait();
    assert!(matches!(refused, Err(SendError::Full("second"))));

    // Wait: until there is room; `.timeout(..)` bounds it.
    let sender = spawn({
        let client = client.clone();
        move || client.post("third").wait()
    });
    assert_eq!(server.wait()?.0, "first");
    sender.join().map_err(|_| "the thread panicked")??;
    assert_eq!(server.wait()?.0, "third");

    // Shed: what is not taken in time makes room for what is new.
    client.post("stale").timeout(SECOND).wait()?;
    clock.advance(SECOND);
    client.post("fresh").if_room().wait()?;
    assert_eq!(server.wait()?.0, "fresh");
    Ok(())
}
