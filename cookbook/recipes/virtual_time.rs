use std::{collections::HashMap, time::Duration};

use ump_server::{Refused, TestClock, Timers, service, thread};

const TERM: Duration = Duration::from_secs(3600);

struct Leases {
    owners: HashMap<u32, String>,
    timers: Timers<LeasesTimer>,
}

#[service]
impl Leases {
    fn take(&mut self, room: u32, owner: String) -> Result<(), Refused> {
        if self.owners.contains_key(&room) {
            return Err(Refused);
        }
        self.owners.insert(room, owner);
        self.timers.once(TERM, LeasesTimer::Expire { room });
        Ok(())
    }

    #[timer]
    fn expire(&mut self, room: u32) {
        self.owners.remove(&room);
    }
}

#[test]
fn a_lease_ends_after_an_hour() -> Result<(), Box<dyn std::error::Error>> {
    let clock = TestClock::new();
    let (client, _) = thread::Builder::new()
        .test_clock(&clock)
        .spawn_with(|cx| Ok(Leases { owners: HashMap::new(), timers: cx.timers() }))?;
    let leases = LeasesClient(client);
    leases.take(7, "ann".into()).wait()?;
    clock.advance(TERM / 2);
    let refused = leases.take(7, "bob".into()).wait();
    assert!(refused.is_err_and(|error| error.into_apperr() == Some(Refused)));
    clock.advance(TERM / 2);
    leases.take(7, "bob".into()).wait()?;
    Ok(())
}
