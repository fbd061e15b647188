//! What systemd is told about the program: `sd_notify(3)`.
//!
//! ```text
//!              all are up                       all end, or the surface stops
//!   Starting ─────────────▶ READY=1, STATUS=… ───────────────────────────────▶ STOPPING=1
//!                           WATCHDOG=1, twice in the time of the watchdog,
//!                           unless a component has failed for good
//! ```

use std::{io, time::Duration};

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::{sync::watch, time};

use crate::{
    api::App,
    model::{Component, Condition},
};

/// How often the components are looked at, until all are up and then.
const STARTING: Duration = Duration::from_millis(50);
const RUNNING: Duration = Duration::from_secs(1);

/// Checks that systemd can be told anything, if it has asked for it.
pub(super) fn check() -> io::Result<()> {
    notify(&[NotifyState::Status("starting")])
}

/// Tells systemd what changes, until the surface stops.
pub(super) async fn tell(app: &App, mut stopping: watch::Receiver<bool>) {
    let watchdog = watchdog_enabled().map(|time| time / 2);
    let mut told = Told::default();
    loop {
        told.look(&app.components(), watchdog.is_some());
        let pause = if told.is_ready { RUNNING } else { STARTING };
        let pause = watchdog.map_or(pause, |time| time.min(pause));
        if told.is_stopping
            || time::timeout(pause, stopping.wait_for(|stops| *stops))
                .await
                .is_ok()
        {
            break;
        }
    }
    if !told.is_stopping {
        send(&[NotifyState::Stopping]);
    }
}

/// What systemd knows.
#[derive(Default)]
struct Told {
    is_ready: bool,
    is_stopping: bool,
    has_seen_some: bool,
    status: String,
}

impl Told {
    fn look(&mut self, components: &[Component], has_watchdog: bool) {
        let count = |condition| components.iter().filter(|it| it.state == condition).count();
        let up = count(Condition::Up);
        if !self.is_ready && up == components.len() {
            self.is_ready = true;
            send(&[NotifyState::Ready]);
        }
        let ended = count(Condition::Ended) + count(Condition::Stopping);
        self.has_seen_some |= up > 0;
        // None is left of a system that was dropped.
        if self.has_seen_some && ended == components.len() {
            self.is_stopping = true;
            send(&[NotifyState::Stopping]);
        }
        let status = status(components);
        if self.status != status {
            send(&[NotifyState::Status(&status)]);
            self.status = status;
        }
        if has_watchdog && count(Condition::Failed) == 0 {
            send(&[NotifyState::Watchdog]);
        }
    }
}

/// Returns how many components are in each condition.
fn status(components: &[Component]) -> String {
    let counts = Condition::ALL.iter().filter_map(|condition| {
        let of = |it: &&Component| it.state == *condition;
        let count = components.iter().filter(of).count();
        (count > 0).then(|| format!("{count} {}", condition.name().replace('_', " ")))
    });
    let counts: Vec<String> = counts.collect();
    match &counts[..] {
        [] => "no components".to_owned(),
        counts => format!("components: {}", counts.join(", ")),
    }
}

/// If systemd does not take it, the next one may arrive, or its watchdog acts.
fn send(states: &[NotifyState<'_>]) {
    let _ = notify(states);
}
