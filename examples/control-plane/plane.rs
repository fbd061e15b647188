//! The components and their dependencies: a component starts after those to its right, and
//! ends before them.
//!
//! ```text
//!                 messages                    routes                    records
//!   the file ───────────────▶ neighbours ───────────────▶ routes ×N ───────────────▶ statistics
//!       │                      timers of sessions          by prefix                  a timer for minutes
//!       └── lookups ───────────────────────────────────────▲ ▲
//!                 commands                                 │ │
//!   stdin ──────────────────▶ console ─────────────────────┘ └ requests to all, urgent
//!   TCP ◀───────────────────▶ speaker ── routes, and requests for changes ──▶ routes ×N
//!   links, from the console ▶ igp ────── costs of next hops ────────────────▶ routes ×N
//! ```
//!
//! The `speaker` exists if there are real neighbours, the `igp` if there is a topology.
//!
//! Requests only go to the right, so the components cannot deadlock, however full their queues are.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use ump_server::{
    OnRefusal, Stop,
    system::{Attributes, BoxError, Builder, Report, System},
};

use crate::{
    bgp::session::Config,
    console::{Console, ConsoleClient},
    igp::{Igp, IgpClient, Topology},
    interfaces::Interface,
    neighbours::{Neighbours, NeighboursClient, Times},
    shards::Shards,
    speaker::{Others, Speaker, SpeakerClient},
    statistics::{Statistics, StatisticsClient},
    table::Table,
    time::TimeMode,
};

const NEIGHBOURS: &str = "neighbours";
const ROUTES: &str = "routes";
const STATISTICS: &str = "statistics";
const SPEAKER: &str = "speaker";
const IGP: &str = "igp";
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
    /// The real neighbours, and where the speaker listens for them.
    pub(crate) sessions: Vec<Config>,
    pub(crate) listen: Vec<SocketAddr>,
    /// Where next hops are, if that is known.
    pub(crate) topology: Option<Topology>,
    /// The interfaces whose networks are routes.
    pub(crate) connected: Vec<Interface>,
}

impl Settings {
    fn has_speaker(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// Returns the topology with the networks of our own interfaces.
    fn topology(&self) -> Option<Topology> {
        let mut topology = self.topology.clone()?;
        for interface in &self.connected {
            topology.connect(interface.network());
        }
        Some(topology)
    }
}

#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) system: System,
    pub(crate) neighbours: NeighboursClient,
    pub(crate) routes: Shards,
    pub(crate) statistics: StatisticsClient,
    pub(crate) console: ConsoleClient,
    /// If there are real neighbours.
    pub(crate) speaker: Option<SpeakerClient>,
}

impl Plane {
    pub(crate) fn start(settings: &Settings) -> Result<Self, BoxError> {
        let Settings {
            shards,
            hold,
            mode,
            sessions,
            listen,
            connected,
            ..
        } = settings;
        let has_speaker = settings.has_speaker();
        let topology = settings.topology();
        let has_igp = topology.is_some();
        let distances = topology.as_ref().map(|it| Arc::new(it.distances()));
        let speed = mode.speed();
        let times = Times::new(*hold, speed);
        let builder = match mode {
            TimeMode::Virtual(clock) => System::builder().test_clock(clock),
            TimeMode::Real(_) => System::builder(),
        };
        let real: BTreeSet<_> = sessions.iter().map(|config| config.peer.ip()).collect();
        let mut builder = builder
            .thread(STATISTICS, background().capacity(4096), move |setup| {
                Ok(Statistics::new(setup.clock(), speed))
            })
            .thread(
                ROUTES,
                Attributes::new()
                    .instances(*shards)
                    .capacity(1024)
                    .needs(STATISTICS),
                move |setup| {
                    let statistics = setup.client(STATISTICS)?.into();
                    Ok(Table::new(statistics, distances.clone(), has_speaker))
                },
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
                    Ok(Neighbours::new(
                        real.clone(),
                        setup.timers(),
                        times,
                        routes,
                        statistics,
                    ))
                },
            );
        if has_speaker {
            builder = add_speaker(builder, sessions.clone(), listen.clone());
        }
        if let Some(topology) = topology {
            builder = add_igp(builder, topology);
        }
        let system = add_console(builder, has_speaker, has_igp)
            .start(TIMEOUT)
            .wait()?;
        let statistics = StatisticsClient(system.client(STATISTICS)?);
        let routes = Shards::new(system.balancer(ROUTES)?, statistics.clone());
        for interface in connected {
            // `Break` if the table has ended; then the first command or line says so.
            let _ = routes.announce(interface.network(), interface.path());
        }
        Ok(Self {
            neighbours: NeighboursClient(system.client(NEIGHBOURS)?),
            routes,
            statistics,
            console: ConsoleClient(system.client(CONSOLE)?),
            speaker: has_speaker
                .then(|| system.client(SPEAKER))
                .transpose()?
                .map(SpeakerClient),
            system,
        })
    }

    /// Stops all components after they have drained their queues.
    pub(crate) fn stop(self) -> Report {
        self.system.stop(Stop::Drain, TIMEOUT).wait()
    }
}

fn add_speaker(builder: Builder, sessions: Vec<Config>, listen: Vec<SocketAddr>) -> Builder {
    let attributes = Attributes::new()
        .capacity(64)
        .needs(ROUTES)
        .needs(STATISTICS);
    builder.thread(SPEAKER, attributes, move |setup| {
        let statistics = StatisticsClient(setup.client(STATISTICS)?);
        let routes = Shards::new(setup.balancer(ROUTES)?, statistics.clone());
        let others = Others { routes, statistics };
        let (clock, timers) = (setup.clock(), setup.timers());
        let net = (setup.sockets(), &listen[..]);
        Ok(Speaker::new(clock, timers, net, &sessions, others)?)
    })
}

fn add_igp(builder: Builder, topology: Topology) -> Builder {
    let attributes = background().capacity(8).needs(ROUTES).needs(STATISTICS);
    builder.thread(IGP, attributes, move |setup| {
        let statistics = StatisticsClient(setup.client(STATISTICS)?);
        let routes = Shards::new(setup.balancer(ROUTES)?, statistics);
        Ok(Igp::new(topology.clone(), routes.urgent()))
    })
}

fn add_console(builder: Builder, has_speaker: bool, has_igp: bool) -> Builder {
    let mut attributes = background()
        .capacity(8)
        .needs(NEIGHBOURS)
        .needs(ROUTES)
        .needs(STATISTICS);
    if has_speaker {
        attributes = attributes.needs(SPEAKER);
    }
    if has_igp {
        attributes = attributes.needs(IGP);
    }
    builder.thread(CONSOLE, attributes, move |setup| {
        let statistics = StatisticsClient(setup.client(STATISTICS)?);
        let routes = Shards::new(setup.balancer(ROUTES)?, statistics.clone());
        let neighbours = NeighboursClient(setup.client(NEIGHBOURS)?);
        let speaker = has_speaker.then(|| setup.client(SPEAKER)).transpose()?;
        let speaker = speaker.map(SpeakerClient);
        let igp = has_igp.then(|| setup.client(IGP)).transpose()?;
        Ok(Console::new(
            neighbours,
            (speaker, igp.map(IgpClient)),
            routes.urgent(),
            statistics,
        ))
    })
}

fn background() -> Attributes {
    Attributes::new()
        .priority(LOW)
        .on_refusal(OnRefusal::warn(|refused| {
            cli::log!("control-plane: {refused}");
        }))
}
