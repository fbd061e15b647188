//! The four components and their dependencies: a component starts after those to its right, and
//! ends before them.
//!
//! ```text
//!                 messages                    routes                    records
//!   the file ───────────────▶ neighbours ───────────────▶ routes ×N ───────────────▶ statistics
//!       │                      timers of sessions          by prefix                  a timer for minutes
//!       └── lookups ───────────────────────────────────────▲ ▲
//!                 commands                                 │ │
//!   stdin ──────────────────▶ console ─────────────────────┘ └ requests to all, urgent
//! ```
//!
//! Requests only go to the right, so the components cannot deadlock, however full their queues are.

use std::time::Duration;

use ump_server::{
    OnRefusal, Stop,
    system::{Attributes, BoxError, Report, System},
};

use crate::{
    console::{Console, ConsoleClient},
    neighbours::{Neighbours, NeighboursClient, Times},
    shards::Shards,
    statistics::{Statistics, StatisticsClient},
    table::Table,
    time::TimeMode,
};

const NEIGHBOURS: &str = "neighbours";
const ROUTES: &str = "routes";
const STATISTICS: &str = "statistics";
const CONSOLE: &str = "console";

/// The priority of what is not routing. It is below the default of 47, so it needs no privilege.
const LOW: u8 = 30;

/// Timeout of the start and of the stop.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) shards: usize,
    pub(crate) hold: Duration,
    pub(crate) mode: TimeMode,
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
    pub(crate) fn start(settings: &Settings) -> Result<Self, BoxError> {
        let Settings { shards, hold, mode } = settings;
        let speed = mode.speed();
        let times = Times::new(*hold, speed);
        let builder = match mode {
            TimeMode::Virtual(clock) => System::builder().test_clock(clock),
            TimeMode::Real(_) => System::builder(),
        };
        let system = builder
            .thread(STATISTICS, background().capacity(4096), move |setup| {
                Ok(Statistics::new(setup.clock(), speed))
            })
            .thread(
                ROUTES,
                Attributes::new()
                    .instances(*shards)
                    .capacity(1024)
                    .needs(STATISTICS),
                |setup| Ok(Table::new(setup.client(STATISTICS)?.into())),
            )
            .thread(
                NEIGHBOURS,
                Attributes::new()
                    .capacity(64)
                    .needs(ROUTES)
                    .needs(STATISTICS),
                move |setup| {
                    let statistics = StatisticsClient(setup.client(STATISTICS)?);
                    let routes = Shards::new(setup.balancer(ROUTES)?, statistics.clone());
                    Ok(Neighbours::new(setup.timers(), times, routes, statistics))
                },
            )
            .thread(
                CONSOLE,
                background()
                    .capacity(8)
                    .needs(NEIGHBOURS)
                    .needs(ROUTES)
                    .needs(STATISTICS),
                |setup| {
                    let statistics = StatisticsClient(setup.client(STATISTICS)?);
                    let routes = Shards::new(setup.balancer(ROUTES)?, statistics.clone());
                    let neighbours = NeighboursClient(setup.client(NEIGHBOURS)?);
                    Ok(Console::new(neighbours, routes.urgent(), statistics))
                },
            )
            .start(TIMEOUT)
            .wait()?;
        let statistics = StatisticsClient(system.client(STATISTICS)?);
        Ok(Self {
            neighbours: NeighboursClient(system.client(NEIGHBOURS)?),
            routes: Shards::new(system.balancer(ROUTES)?, statistics.clone()),
            statistics,
            console: ConsoleClient(system.client(CONSOLE)?),
            system,
        })
    }

    /// Stops all components after they have drained their queues.
    pub(crate) fn stop(self) -> Report {
        self.system.stop(Stop::Drain, TIMEOUT).wait()
    }
}

fn background() -> Attributes {
    Attributes::new()
        .priority(LOW)
        .on_refusal(OnRefusal::warn(|refused| {
            cli::log!("control-plane: {refused}");
        }))
}
