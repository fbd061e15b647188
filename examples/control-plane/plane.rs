//! The four components, and who needs whom: what is to the right is up before what is to the left, and ends after it.
//!
//! ```text
//!                 messages                    routes                    notes
//!   the file ───────────────▶ neighbours ───────────────▶ routes ×N ───────────────▶ statistics
//!       │                      timers of sessions          by prefix                  a timer for minutes
//!       └── lookups ───────────────────────────────────────▲ ▲
//!                 commands                                 │ │
//!   stdin ──────────────────▶ console ─────────────────────┘ └ asks all of them, urgently
//! ```
//!
//! Nobody asks to the left, so however full the queues are, nobody waits in a circle.

use std::time::Duration;

use ump_server::{
    OnRefusal, Refused, Stop,
    system::{Attributes, Report, Setup, System},
};

use crate::{
    console::{self, Console, ConsoleClient},
    neighbours::{self, Neighbours, NeighboursClient, Times},
    pace::Pace,
    shards::Shards,
    statistics::{self, Notes, Statistics, StatisticsClient},
    table::{self, Table},
};

const NEIGHBOURS: &str = "neighbours";
const ROUTES: &str = "routes";
const STATISTICS: &str = "statistics";
const CONSOLE: &str = "console";

/// What is counted or shown can wait for what is routed. Lower than the usual 47, which needs no privilege.
const LOW: u8 = 30;

/// For all of them to be up, and to end.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) shards: usize,
    pub(crate) hold: Duration,
    pub(crate) pace: Pace,
}

#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) system: System,
    pub(crate) neighbours: NeighboursClient,
    pub(crate) routes: Shards,
    pub(crate) statistics: StatisticsClient,
    pub(crate) console: ConsoleClient,
}

impl Plane {
    pub(crate) fn start(settings: &Settings) -> Result<Self, String> {
        let Settings { shards, hold, pace } = settings;
        let speed = pace.speed();
        let times = Times::new(*hold, speed);
        let builder = match pace {
            Pace::Virtual(clock) => System::builder().test_clock(clock),
            Pace::Real(_) => System::builder(),
        };
        let system = builder
            .thread(
                STATISTICS,
                background().capacity(4096),
                move |setup: &Setup<statistics::Op, _, Refused, _>| {
                    let timers = setup.timers();
                    Ok(Statistics::new(setup.clock(), &timers, speed))
                },
            )
            .thread(
                ROUTES,
                Attributes::new()
                    .instances(*shards)
                    .capacity(1024)
                    .needs(STATISTICS),
                |setup: &Setup<table::Op, _, Refused>| {
                    let notes = Notes(setup.client(STATISTICS)?);
                    Ok(Table::new(notes))
                },
            )
            .thread(
                NEIGHBOURS,
                Attributes::new()
                    .capacity(64)
                    .needs(ROUTES)
                    .needs(STATISTICS),
                move |setup: &Setup<neighbours::Op, _, _, _>| {
                    let notes = Notes(setup.client(STATISTICS)?);
                    let routes = Shards::new(setup.spread(ROUTES)?, notes.clone());
                    Ok(Neighbours::new(setup.timers(), times, routes, notes))
                },
            )
            .thread(
                CONSOLE,
                background()
                    .capacity(8)
                    .needs(NEIGHBOURS)
                    .needs(ROUTES)
                    .needs(STATISTICS),
                |setup: &Setup<console::Command, _, _>| {
                    let statistics: StatisticsClient = setup.client(STATISTICS)?;
                    let routes = Shards::new(setup.spread(ROUTES)?, Notes(statistics.clone()));
                    let neighbours = setup.client(NEIGHBOURS)?;
                    Ok(Console::new(neighbours, routes.urgent(), statistics))
                },
            )
            .start(PATIENCE)
            .wait()
            .map_err(|e| e.to_string())?;
        let statistics: StatisticsClient = found(system.client(STATISTICS));
        Ok(Self {
            neighbours: found(system.client(NEIGHBOURS)),
            routes: Shards::new(found(system.spread(ROUTES)), Notes(statistics.clone())),
            statistics,
            console: found(system.client(CONSOLE)),
            system,
        })
    }

    /// Ends all of them, with nothing left in their queues.
    pub(crate) fn stop(self) -> Report {
        self.system.stop(Stop::Drain, PATIENCE).wait()
    }
}

fn background() -> Attributes {
    Attributes::new()
        .priority(LOW)
        .on_refusal(OnRefusal::warn(|refused| {
            output::log!("control-plane: {refused}");
        }))
}

/// Its name and its types are those of its definition above.
fn found<T, E: std::error::Error>(client: Result<T, E>) -> T {
    client.expect("it is one of the four")
}
